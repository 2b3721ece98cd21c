"""The extension of the site: what is generated, and how docstrings are shown."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from adamx import __version__
from adamx.playground import page

from . import (
    annotations,
    api_pages,
    assets,
    docstrings,
    gallery,
    layers,
    optimizer_pages,
)


def generate(app: Sphinx) -> None:
    """Write the generated pages; a file that would not change is left alone."""
    folder = Path(app.srcdir) / "generated"
    pages: dict[str, str | bytes] = {}
    pages |= optimizer_pages.pages()
    pages |= api_pages.pages()
    pages |= gallery.pages()
    pages["layers.svg"] = layers.picture()
    for name, content in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = content.encode() if isinstance(content, str) else content
        if not path.exists() or path.read_bytes() != new:
            path.write_bytes(new)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in pages:
            path.unlink()


def finish(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        assets.copy_mathjax(static)
        (static / "playground.html").write_text(page.page(__version__), "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", generate)
    app.connect("autodoc-process-docstring", docstrings.before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", annotations.after_napoleon, priority=600)
    app.connect("autodoc-process-signature", annotations.signature)
    app.connect("missing-reference", docstrings.find_by_last_name)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
