"""What a kept notebook looks like: short, numbered, executed, stripped, small."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_CELLS, MOST_LINES, MOST_BYTES = 12, 15, 300 * 1024


def test_notebooks_are_numbered_in_reading_order():
    assert NOTEBOOKS
    numbers = [re.fullmatch(r"(\d\d)_[a-z_]+", path.stem) for path in NOTEBOOKS]
    order = [int(found[1]) for found in numbers]
    assert order == sorted(set(order))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    assert path.stat().st_size <= MOST_BYTES
    kept = json.loads(path.read_text())
    cells = kept["cells"]
    assert kept["metadata"] == {"language_info": {"name": "python"}}
    assert [cell["metadata"] for cell in cells] == [{}] * len(cells)

    first = "".join(cells[0]["source"])
    assert cells[0]["cell_type"] == "markdown"
    assert "You will see" in first
    assert re.search(r"takes about \d+ s", first)

    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) <= MOST_CELLS
    lengths = [len("".join(cell["source"]).splitlines()) for cell in code]
    assert max(lengths) <= MOST_LINES, lengths


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_was_executed_from_top_to_bottom(path):
    cells = json.loads(path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    numbers = [cell["execution_count"] for cell in code]
    assert numbers == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert all(output.get("metadata", {}) == {} for output in outputs)
    kinds = [output["output_type"] for output in outputs]
    assert "error" not in kinds
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
