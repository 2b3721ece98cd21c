"""What the tests of pictures share: a backend without windows, and closed figures."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Draw without windows, and close what was drawn."""
    pyplot = pytest.importorskip("matplotlib.pyplot")  # of the extra `plot`
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


@pytest.fixture
def ax(figures: None) -> Any:
    """An axes of a figure with two, so that it is not the whole figure."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    return pyplot.subplots(1, 2)[1][0]
