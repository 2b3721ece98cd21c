"""The command `adamx playground`: writes the page and opens it."""

import argparse
import importlib
import pathlib
import tempfile
import webbrowser

from .. import __version__
from ..errors import AdamxError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Write the playground, one HTML page that needs no network, and open it in the "
        "browser."
    )
    parser.add_argument(
        "--output",
        metavar="PATH.html",
        help="where the page is written (default: a folder for temporary files)",
    )
    parser.add_argument(
        "--no-open",
        action="store_true",
        help="write the page only; do not open it in the browser",
    )


def run(args: argparse.Namespace) -> int:
    """Return the exit code 0. A path that cannot be written raises `ValueError`."""
    target = _target(args.output)
    # imported when it is needed, as it imports what writes equations and pictures
    page = importlib.import_module("adamx.playground.page")
    text = page.page(__version__)
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        raise AdamxError(
            f"--output {args.output}: the page cannot be written there "
            f"({error.strerror}); give the path of a file that you may write to."
        ) from None
    size = len(text.encode()) / 1024
    print(f"Written: {target} ({size:.0f} KiB)")
    if not args.no_open and not webbrowser.open(target.as_uri()):
        print("No browser was found here; open the file in one.")
    return 0


def _target(output: str | None) -> pathlib.Path:
    if output is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="adamx-"))
        return folder / "playground.html"
    target = pathlib.Path(output).resolve()
    if target.suffix.lower() not in (".html", ".htm"):
        raise AdamxError(f"--output {output}: the page is HTML; end the path in .html.")
    if not target.parent.is_dir():
        raise AdamxError(
            f"--output {output}: there is no folder {str(target.parent)!r}; "
            "make it first."
        )
    return target
