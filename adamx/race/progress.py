"""Live progress: bars in a terminal, one line for each optimizer elsewhere."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from .table import diverged
from .training import Run

Listener = Callable[[int, list[np.ndarray], float], None]


class Bars:
    """One bar for each optimizer, all on the screen from the start."""

    def __init__(
        self,
        console: Console,
        names: Sequence[str],
        steps: int,
        check: Callable[[], None],
    ):
        self._check = check
        self._bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[says]}"),
            console=console,
            transient=True,
        )
        self._tasks = {
            name: self._bars.add_task(name, total=steps, start=False, says="waiting")
            for name in names
        }

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, name: str) -> Listener:
        self._check()
        task = self._tasks[name]
        self._bars.start_task(task)
        self._bars.update(task, says="compiling")

        def on_chunk(steps: int, measured: list[np.ndarray], speed: float) -> None:
            says = _says(measured[0], measured[3], speed)
            self._bars.update(task, completed=steps, says=says)
            self._check()

        return on_chunk

    def end(self, run: Run) -> None:
        if text := diverged(run):
            self._bars.update(self._tasks[run.name], says=f"[red]{text}")


class Lines(Bars):
    """The same for a file or a pipe: a line when an optimizer is done."""

    def __init__(
        self,
        console: Console,
        names: Sequence[str],
        steps: int,
        check: Callable[[], None],
    ):
        del steps
        self._check = check
        self._console = console
        self._width = max(map(len, names))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, name: str) -> Listener:
        self._check()
        return lambda *_: self._check()

    def end(self, run: Run) -> None:
        ends = (run.train_loss[:, -1], run.test_accuracy[:, -1], run.steps_per_second)
        text = diverged(run) or _says(*ends)
        name = run.name.ljust(self._width)
        self._console.print(f"{name}  {run.steps[-1]} steps  {text}", highlight=False)


def progress(
    console: Console,
    names: Sequence[str],
    steps: int,
    check: Callable[[], None] = lambda: None,
) -> Bars:
    """Bars where the console is a terminal, lines where it is not.

    `check` is called at the start of each optimizer and after each chunk of steps: the
    places where a race may be stopped.
    """
    return (Bars if console.is_terminal else Lines)(console, names, steps, check)


def _says(train_loss: np.ndarray, accuracy: np.ndarray, speed: float) -> str:
    loss, right = train_loss.mean(), accuracy.mean()
    return f"train loss {loss:.4f}  test {right:.1%}  {speed:,.0f} steps/s"
