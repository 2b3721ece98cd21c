"""Opens every page of the built site in a browser: `python -m docs.check_site OUT`.

At the width of a desk and of a phone: no error in the console, no failed request and
none to another site, mathematics rendered, pictures loaded, nothing wider than the
phone. Then every internal link and anchor, and the searches of SEARCHES. Addresses of
other sites are checked for their form only.
"""

import argparse
import asyncio
import functools
import http.server
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

from docs import browser, links

WIDTHS = ((1280, 900), (390, 844))
TABS = 3
SEARCHES = {"weight decay mask": "schedules_and_masks.html"}
"""What is searched, and the page that must come first."""

READY = "window.MathJax?.startup?.promise?.then(() => true) ?? true"

LOOK = r"""((width) => {
  const wrong = [];
  const raw = /\\(?:frac|begin|sqrt|leftarrow|hat|text|beta)\b|\\\[|\\\(/;
  for (const node of document.querySelectorAll('.math')) {
    if (!node.querySelector('mjx-container')) {
      wrong.push('not rendered: ' + node.textContent.trim().slice(0, 60));
    }
  }
  for (const node of document.querySelectorAll('mjx-merror, [data-mjx-error]')) {
    wrong.push('MathJax: ' + (node.getAttribute('data-mjx-error') || node.textContent));
  }
  for (const node of document.querySelectorAll('mjx-mtext, mjx-mi')) {
    const style = getComputedStyle(node);
    if (style.color === 'rgb(255, 0, 0)') wrong.push('MathJax: unknown command');
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const code = node.parentElement.closest('pre, code, script, style, mjx-container');
    if (!code && raw.test(node.data)) {
      wrong.push('raw TeX: ' + node.data.trim().slice(0, 60));
    }
  }
  for (const node of document.images) {
    const hidden = node.loading === 'lazy' && !node.complete;
    if (!hidden && node.naturalWidth === 0) wrong.push('no picture: ' + node.src);
  }
  // The page, and each box around the whole article: a theme may let that one scroll.
  const scrolls = (n) => /auto|scroll/.test(getComputedStyle(n).overflowX);
  const root = document.documentElement;
  const article = document.querySelector('article');
  const wide = [];
  if (root.scrollWidth > width) wide.push(root);
  for (let n = article; n && n !== root; n = n.parentElement) {
    if (scrolls(n) && n.scrollWidth > n.clientWidth + 1) wide.push(n);
  }
  if (wide.length) {
    const boxed = (n) => {
      for (let up = n.parentElement; up && up !== article; up = up.parentElement) {
        if (scrolls(up)) return true;
      }
      return false;
    };
    const first = [...document.querySelectorAll('article *')].find(
      (n) => n.getBoundingClientRect().right > width && !boxed(n)
    );
    const name = first && `<${first.tagName.toLowerCase()} class="${first.className}">`;
    const said = first && first.textContent.trim().slice(0, 40);
    wrong.push(`scrolls sideways at ${width} px` + (first ? `: ${name} ${said}` : ''));
  }
  return wrong.map((said) => said.replace(/\s+/g, " "));
})"""

FOUND = r"""new Promise((done) => {
  const started = Date.now();
  const look = () => {
    const links = [...document.querySelectorAll('#search-results ul.search li > a')];
    const status = document.querySelector('#search-results .search-summary');
    const over = status && /found|no results|did not match/i.test(status.textContent);
    if (over && links.length) return done(links.map((a) => a.getAttribute('href')));
    if (Date.now() - started > 20000) return done([]);
    setTimeout(look, 100);
  };
  look();
})"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which the site is served from this machine."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


async def opened(chromium: str, address: str, pages: Sequence[str]) -> list[str]:
    """What the browser finds wrong, page by page."""
    wrong: list[str] = []
    todo = iter(pages)

    async with browser.browser(chromium) as made:

        async def work() -> None:
            tab = await made.tab()
            tab.host = address
            for page in todo:
                await tab.size(*WIDTHS[0])
                await tab.open(f"{address}/{page}")
                await tab.run(READY)
                for size in WIDTHS:
                    await tab.size(*size)
                    for found in await tab.run(f"{LOOK}({size[0]})"):
                        wrong.append(f"{page} at {size[0]} px: {found}")
                wrong.extend(f"{page}: {error}" for error in tab.errors)

        await asyncio.gather(*(work() for _ in range(TABS)))
        tab = await made.tab()
        tab.host = address
        for query, first in SEARCHES.items():
            await tab.open(f"{address}/search.html?q={quote_plus(query)}")
            found = await tab.run(FOUND)
            wrong.extend(f"search.html: {error}" for error in tab.errors)
            if not found or not found[0].split("#")[0].split("?")[0].endswith(first):
                wrong.append(
                    f"the search for {query!r} must find {first} first, it finds "
                    f"{found[:3] or 'nothing'}"
                )
    return list(dict.fromkeys(wrong))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m docs.check_site", description=__doc__)
    parser.add_argument("site", type=Path, help="the folder that Sphinx wrote")
    site = parser.parse_args(arguments).site.resolve()
    if not (site / "index.html").exists():
        print(f"check_site: {site} must be a built site; it has no index.html.")
        return 2
    chromium = browser.executable()
    if chromium is None:
        print(
            "check_site: Chromium is needed to open the pages, and none of "
            f"{', '.join(browser.NAMES)} is installed."
        )
        return 2
    began = time.perf_counter()
    wrong = list(links.broken(site))
    pages = [path.relative_to(site).as_posix() for path in sorted(site.rglob("*.html"))]
    pages = [page for page in pages if not page.startswith("_static/")]
    with served(site) as address:
        wrong += asyncio.run(opened(chromium, address, pages))
    for sentence in wrong:
        print(f"check_site: {sentence}")
    took = time.perf_counter() - began
    print(f"check_site: {len(pages)} pages, {len(wrong)} faults, {took:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
