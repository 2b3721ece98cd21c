"""MathJax from an installed package, so that a page asks no other host for it."""

import importlib.util
import shutil
from pathlib import Path

PACKAGE = "sphinx-mathjax-offline"
WANTED = ("tex-chtml.js", "output/chtml/fonts/woff-v2")


def copy_mathjax(static: Path) -> None:
    """Put the script and its fonts into the static files of the site."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"docs: install {PACKAGE}, which brings MathJax's files.")
    source = Path(spec.origin).parent / "static" / "mathjax"
    for name in WANTED:
        target = static / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, target)
