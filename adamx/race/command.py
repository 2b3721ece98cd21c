"""The command `adamx race`: checks the arguments, runs the race, shows the results."""

import argparse
import importlib
import os
import pathlib
import sys
import textwrap
import time
from typing import TYPE_CHECKING

from . import data, optimizers, training
from .interrupt import held_back
from .models import MODELS, Model
from .usage_error import UsageError

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130  # the shells' code for Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Train the same model on the same data with several optimizers, from the same\n"
        "starts and minibatches, and compare them."
    )
    parser.epilog = (
        "sparse (the default): hand-written digits as 512 columns of zeros and ones,\n"
        "most of them almost always zero, and 64 pixels in units that differ by 100.\n"
        "digits: the same as plain pictures, on which most optimizers end alike.\n\n"
        f"A data file is {data.LAYOUT}.\n"
        "One fifth of its rows, always the same, is the test set.\n\n"
        "Learning rates without --lr (sparse / digits and files):\n" + _rates()
    )
    add = parser.add_argument
    six = ",".join(optimizers.SIX)
    add("--optimizers", default=six, metavar="A,B", help="who races (default: all six)")
    add("--lr", default="", metavar="A=RATE,B=RATE", help="learning rates")
    add("--steps", type=_count, default=500, help="train steps (default: 500)")
    add(
        "--seeds", type=_count, default=5, help="how many, trained at once (default: 5)"
    )
    add("--seed", type=_seed, default=0, help="the first seed (default: 0)")
    add("--batch", type=_count, default=64, help="rows in a minibatch (default: 64)")
    add("--model", default="mlp", metavar="mlp|conv", help="default: mlp")
    add(
        "--data",
        default="sparse",
        metavar="sparse|digits|PATH.npz",
        help="default: sparse, included as digits is",
    )
    add("--json", metavar="PATH", help="write curves and figures here")
    add("--plot", metavar="PATH", help="draw the loss curves here (.png, .svg, .pdf)")


def _rates() -> str:
    """The learning rates of all, in lines that fit a terminal."""
    entries = optimizers.OPTIMIZERS.items()
    said = [
        f"{name} " + "/".join(f"{entry.learning_rate(of):g}" for of in data.SHIPPED)
        for name, entry in entries
    ]
    return textwrap.fill(", ".join(said) + ".", 78, break_on_hyphens=False)


def run(args: argparse.Namespace) -> int:
    """The exit code: 0, or 130 after Ctrl-C. Bad input raises `UsageError`."""
    if (model_of := MODELS.get(args.model)) is None:
        known = " or ".join(MODELS)
        raise UsageError(f"--model {args.model}: there is no such model; take {known}.")
    names = optimizers.chosen(args.optimizers)
    rates = optimizers.rates(args.lr, names, args.data)
    _need("rich", "the table and the progress", extra="race")
    _check_writable("--json", args.json)
    _check_writable("--plot", args.plot)
    if args.plot:
        _check_picture(args.plot)
    rows = data.load(args.data)
    if args.batch > len(rows.y_train):
        raise UsageError(
            f"--batch {args.batch}: the training set of {rows.name} has "
            f"{len(rows.y_train)} rows; give at most so many."
        )
    settings = training.Settings(args.steps, args.seeds, args.seed, args.batch)
    model = model_of(rows.shape, rows.classes)
    return _race(args, names, rates, rows, model, settings)


def _race(
    args: argparse.Namespace,
    names: list[str],
    rates: dict[str, float],
    rows: data.Data,
    model: Model,
    settings: training.Settings,
) -> int:
    from rich.console import Console

    from .progress import progress

    began = time.perf_counter()
    shown, live = Console(width=_width()), Console(stderr=True)
    runs: list[training.Run] = []
    stopped = False

    def stopping() -> None:
        live.print("Stopping soon; press Ctrl-C again to stop at once.")

    try:
        with (
            held_back(stopping) as check,
            progress(live, names, settings.steps, check) as bars,
        ):
            course = training.Course(model, rows, settings)
            for name in names:
                entry = optimizers.OPTIMIZERS[name]
                entered = (name, rates[name], entry.factory(rates[name]))
                listener = bars.begin(name)
                ran = training.train(
                    *entered, course, listener, estimate=entry.estimate
                )
                runs.append(ran)
                bars.end(runs[-1])
    except KeyboardInterrupt:
        stopped = True
        done = ", ".join(run.name for run in runs) or "none"
        live.print(f"Stopped by Ctrl-C. Finished: {done}.", highlight=False)
    if runs:
        _show(args, shown, rows, settings, runs, time.perf_counter() - began)
    return INTERRUPTED if stopped else 0


def _show(
    args: argparse.Namespace,
    shown: "Console",
    rows: data.Data,
    settings: training.Settings,
    runs: list[training.Run],
    seconds: float,
) -> None:
    from . import report, table

    several = settings.seeds > 1
    title = (
        f"{rows.name}, {len(rows.y_train):,} rows to train with and "
        f"{len(rows.y_test):,} to test with; {args.model} of {runs[0].parameters:,} "
        f"parameters; {settings.steps:,} steps of {settings.batch}"
    )
    say = shown.print
    if args.json != "-":
        seeds = f"{settings.seeds} seeds" if several else f"seed {settings.seed}"
        say(f"{title}; {seeds}.\n", highlight=False)
        say(table.final_table(runs), "")
        spread = "± is the standard deviation over the seeds. " if several else ""
        together = f" of {settings.seeds} seeds at once" if several else ""
        median = "the median seed" if several else "the run"
        every = -(-settings.steps // training.POINTS)
        looked = "every step" if every == 1 else f"every {every} steps"
        say(
            f"{spread}Steps to 0.1: until the training loss of {median} was at most "
            f"0.1, looked at after {looked}; –: never. "
            f"steps/s counts steps{together}, without compiling. "
            f"All in {seconds:.0f} s.",
            highlight=False,
        )
        if rows.name == "sparse":
            say("The same digits as plain pictures: --data digits.", highlight=False)
    if args.json:
        report.write(args.json, report.report(args.model, rows, settings, runs))
    if args.plot:
        from . import plot

        plot.save(plot.draw(runs, title), args.plot)
    written = [path for path in (args.json, args.plot) if path and path != "-"]
    if written and args.json != "-":
        say(f"Written: {', '.join(written)}", highlight=False, soft_wrap=True)


def _width() -> int | None:
    """The terminal's own width; elsewhere wide enough that no cell is cut."""
    return None if sys.stdout.isatty() else 120


def _count(text: str) -> int:
    number = _integer(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}.")
    return number


def _seed(text: str) -> int:
    number = _integer(text)
    if not 0 <= number < 2**31 - 10**6:
        raise argparse.ArgumentTypeError(f"must lie in [0, 2**31 - 10**6), got {text}.")
    return number


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be an integer, got {text!r}; write it in digits, such as 500."
        ) from None


def _need(module: str, what: str, *, extra: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError:
        raise UsageError(
            f"{what} need {module}, which is not installed; install it with "
            f'pip install "adamx[{extra}]".'
        ) from None


def _check_picture(path: str) -> None:
    _need("matplotlib", "--plot: pictures", extra="plot")
    from . import plot

    ending = pathlib.Path(path).suffix.lstrip(".").lower()
    if ending not in plot.formats():
        raise UsageError(
            f"--plot {path}: {ending or 'no ending'!r} is no picture format; end it in "
            ".png, .svg or .pdf."
        )


def _check_writable(option: str, path: str | None) -> None:
    if path is None or (option, path) == ("--json", "-"):
        return
    target = pathlib.Path(path)
    if target.is_dir():
        raise UsageError(f"{option} {path}: is a folder; give the path of a file.")
    if not target.parent.is_dir():
        raise UsageError(
            f"{option} {path}: there is no folder {str(target.parent)!r}; "
            "make it first."
        )
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UsageError(
            f"{option} {path}: may not be written; give a path that you may write to."
        )
