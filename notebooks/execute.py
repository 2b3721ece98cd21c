"""Executes the notebooks and writes them back as they are kept: outputs, no metadata.

    python notebooks/execute.py                      # all of them
    python notebooks/execute.py 01_quickstart.ipynb  # one

The only way in which the outputs of a notebook are written. Needs nbclient and
ipykernel (the group `notebooks`) and the extra `plot`. What is kept
`tests/repository/test_notebooks.py` checks.
"""

import base64
import io
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parent


def execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    began = time.perf_counter()
    how = {"timeout": 60, "kernel_name": "python3", "coalesce_streams": True}
    NotebookClient(notebook, **how).execute(cwd=FOLDER)
    took = time.perf_counter() - began
    strip(notebook)
    nbformat.write(notebook, path)
    print(f"{path.name}: {took:.1f} s, {path.stat().st_size / 1024:.0f} KiB")


def strip(notebook: nbformat.NotebookNode) -> None:
    """Keeps no metadata but the language, and numbers the cells."""
    notebook.metadata = {"language_info": {"name": "python"}}
    for place, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{place}", {}
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = {}
            if picture := output.get("data", {}).get("image/png"):
                output.data["image/png"] = palette(picture)


def palette(picture: str) -> str:
    """The same PNG in 255 colours: a third of the size."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    method = Image.Quantize.MAXCOVERAGE  # Others mix the colours of small names.
    small = image.quantize(255, method, kmeans=1, dither=Image.Dither.NONE)
    kept = io.BytesIO()
    small.save(kept, "PNG", optimize=True)
    return base64.b64encode(kept.getvalue()).decode()


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(p.name for p in FOLDER.glob("*.ipynb")):
        execute(FOLDER / name)
