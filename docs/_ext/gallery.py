"""The notebooks as pages, a gallery of them, and the changelog.

The notebooks are copied as they are kept, with their outputs, and not executed here.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"


def pages() -> dict[str, str | bytes]:
    """The generated files by their path."""
    made: dict[str, str | bytes] = {}
    cards = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = path.read_text()
        made[f"notebooks/{path.name}"] = text
        notebook = json.loads(text)
        picture = thumbnail(notebook)
        if picture:
            made[f"notebooks/{path.stem}.png"] = picture
        cards.append(card(path.stem, notebook, bool(picture)))
    made["gallery.md"] = "\n".join(
        (
            "# Gallery",
            "",
            "Notebooks that run in seconds on two CPU cores.",
            "",
            "::::{container} gallery",
            *cards,
            "::::",
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *(f"notebooks/{path.stem}" for path in sorted(NOTEBOOKS.glob("*.ipynb"))),
            "```",
            "",
        )
    )
    made["changelog.md"] = changelog()
    return made


def thumbnail(notebook: dict[str, Any]) -> bytes:
    """The largest picture among the outputs; empty where there is none."""
    found = [
        "".join(output["data"]["image/png"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    return base64.b64decode(max(found, key=len)) if found else b""


def said(notebook: dict[str, Any]) -> tuple[str, str]:
    """The title and the first sentence."""
    text = "".join(notebook["cells"][0]["source"])
    title = re.sub(r"^#\s*", "", text.splitlines()[0])
    body = " ".join(text.split("\n", 1)[-1].split())
    sentence = re.match(r".*?[.!?](?=\s|$)", body)
    return title, sentence[0] if sentence else body


def card(stem: str, notebook: dict[str, Any], pictured: bool) -> str:
    title, sentence = said(notebook)
    page = f"notebooks/{stem}.ipynb"
    lines = [":::{container} card", f"**[{title}]({page})**", ""]
    if pictured:
        lines += [f"[![{title}](notebooks/{stem}.png)]({page})", ""]
    return "\n".join([*lines, sentence, ":::"])


def changelog() -> str:
    """CHANGELOG.md, with links that hold from where the page stands."""
    text = (ROOT / "CHANGELOG.md").read_text()
    return re.sub(r"\]\(docs/", "](../", text)
