"""A bar of the runs that are done, where somebody looks: a terminal or a notebook."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import errors

Advance = Callable[[int, str], None]


def _rich(name: str) -> Any:
    try:
        return importlib.import_module(f"rich.{name}")
    except ImportError:
        return None


def _quiet(done: int, says: str) -> None:
    del done, says


@contextmanager
def bar(runs: int, wanted: bool | None) -> Iterator[Advance]:
    """Give a function of the runs done and of what is being done.

    Without `wanted` there is a bar if rich is installed and stderr is a terminal, or a
    notebook that has the ipywidgets with which rich draws there.

    Raises:
        ImportError: a bar is wanted, and rich is not installed.
    """
    consoles = None if wanted is False else _rich("console")
    if consoles is None:
        if wanted:
            raise ImportError(
                "sweep: progress=True needs rich, which is not installed; install it "
                'with pip install "adamx[race]", or leave progress out.'
            )
        yield _quiet
        return
    console = consoles.Console(stderr=True)
    drawn = console.is_terminal
    if console.is_jupyter:
        drawn = importlib.util.find_spec("ipywidgets") is not None
    if not (wanted or drawn):
        yield _quiet
        return
    bars = _rich("progress")
    columns = (
        bars.TextColumn("sweep"),
        bars.BarColumn(bar_width=28),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.description}"),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=runs)

        def advance(done: int, says: str) -> None:
            shown.update(task, completed=done, description=says)

        yield advance


def check(progress: Any) -> bool | None:
    """Return `progress`, if it is True, False or None."""
    if progress in (True, False) or progress is None:
        return progress
    raise errors.type_error(
        "sweep", "`progress` must be True, False or None", repr(progress), "Write True."
    )
