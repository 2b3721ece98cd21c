"""The links of a built site: pages, anchors and files that are not there."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "img": "src", "script": "src", "link": "href", "source": "src"}


class Page(HTMLParser):
    """The anchors that a page has, and the links that it makes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}
        self.links: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name in ("id", "name"):
            if given.get(name):
                self.anchors.add(str(given[name]))
        target = given.get(LINKS.get(tag, ""))
        if target is not None:
            self.links.append((tag, target))


def broken(site: Path) -> Iterator[str]:
    """What is wrong with the links, as sentences."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for tag, target in page.links:
            if wrong := _wrong(site, pages, path, tag, target):
                yield f"{where}: {wrong}"


def _wrong(
    site: Path, pages: dict[Path, Page], path: Path, tag: str, target: str
) -> str:
    parts = urlsplit(target)
    if parts.scheme in ("data", "mailto"):
        return ""
    if parts.scheme or parts.netloc:
        if tag in ("img", "script", "source"):
            return f"<{tag}> takes {target} from another site"
        good = parts.scheme in ("http", "https") and "." in parts.netloc
        return "" if good and " " not in target else f"the address {target!r} is none"
    there = path
    if parts.path:
        base = site if parts.path.startswith("/") else path.parent
        there = (base / unquote(parts.path).lstrip("/")).resolve()
    if there.is_dir():
        there /= "index.html"
    if not there.exists():
        return f"<{tag}> points to {target}, which is not there"
    anchor = unquote(parts.fragment)
    if there in pages and anchor not in pages[there].anchors:
        return f"the link {target} has no such anchor"
    return ""
