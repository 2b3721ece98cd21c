"""Figure 7: a character transformer of a million parameters, by steps and by time.

Shakespeare's plays; batches of 8 windows of 64 characters; the rate rises over 50
steps and then stays. The time of a step is measured apart, every optimizer in turn, and
the validation loss at equal time is read from the curve by steps.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import adamx
from benchmarks.training.paper import characters
from benchmarks.training.paper.claim import (
    FAILS,
    HOLDS,
    OPEN,
    Claim,
    all_lower,
    final,
    lower,
    said,
    within,
)
from benchmarks.training.paper.contest import Budget, contest
from benchmarks.training.paper.entries import Entry, chosen, shaped
from benchmarks.training.paper.problem import Problem
from benchmarks.training.step_share import command as share

TITLE = "Figure 7: a character transformer on Shakespeare"
NAMES = (
    "Adam",
    "AdamW",
    "RAdam",
    "NAdamW",
    "Lion",
    "ADOPT",
    "schedule-free AdamW",
    "Muon",
    "AdamW, 8 bits",
)
LATER = ("RAdam", "NAdamW", "Lion", "ADOPT", "schedule-free AdamW", "Muon")
WARM = 50
CURVE = 12  # validations of a run


class Scale(NamedTuple):
    budget: Budget
    names: tuple[str, ...] = NAMES
    repeats: int = 8  # turns of the timing, each of two samples
    steps: int = 5  # of a sample


SCALES = {
    "quick": Scale(Budget(6, 12, 3, 3, 1), ("AdamW", "Muon"), 1, 1),
    "default": Scale(Budget(80, 400, search_seeds=1)),
    "full": Scale(Budget(1000, 10_000)),
}


def warmed(entry: Entry) -> Entry:
    """The rate rises linearly over 50 steps and then stays."""
    if entry.name == "schedule-free AdamW":  # its weights must know of the warm-up
        make = functools.partial(adamx.schedule_free_adamw, warmup_steps=WARM)
        return entry._replace(make=make)
    return shaped(entry, lambda count: jnp.minimum(1.0, (count + 1.0) / WARM))


def times(
    problem: Problem, entries: dict[str, Entry], repeats: int, steps: int
) -> dict[str, Any]:
    """Median seconds and quartiles of a whole step, and of its gradient alone."""
    made = {name: entry.make(entry.usual) for name, entry in entries.items()}
    found = {}
    for name, wall in share.seconds(problem, made, repeats, steps).items():
        low, median, high = share.quartiles(wall)
        found[name] = {"median": median, "quartiles": [low, high]}
    return found


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    size = SCALES[scale]
    quick = scale == "quick"
    problem = characters.small() if quick else characters.plays(share.SIZE, 8)
    entries = [warmed(entry) for entry in chosen(*size.names)]
    steps = size.budget.steps
    marks = range(steps // CURVE, steps, steps // CURVE)
    found = contest(problem, entries, size.budget, progress, marks)
    progress("the time of a step, every optimizer in turn")
    plain = {entry.name: entry for entry in chosen(*size.names)}
    found["seconds of a step"] = times(problem, plain, size.repeats, size.steps)
    return found


def curve(row: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Steps, and the validation losses (marks, seeds).

    A mark is measured at the next end of `every` steps.
    """
    marks = sorted(row["measured"], key=int)
    losses = [row["measured"][mark]["loss"] for mark in marks]
    every = row["loss"]["every"]
    steps = -(-np.array(marks, int) // every) * every
    return steps, np.array(losses, float)


def at_equal_time(result: dict[str, Any]) -> dict[str, list[float]]:
    """The validation losses by seed when the quickest is done with its steps."""
    took = result["seconds of a step"]
    done = min(
        took[row["optimizer"]]["median"] * curve(row)[0][-1] for row in result["rows"]
    )
    found = {}
    for row in result["rows"]:
        steps, losses = curve(row)
        at = done / took[row["optimizer"]]["median"]
        found[row["optimizer"]] = [float(np.interp(at, steps, of)) for of in losses.T]
    return found


def draw(result: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(1, 2, figsize=(13, 5), sharey=True, layout="tight")
    for i, row in enumerate(result["rows"]):
        steps, losses = curve(row)
        mean, sd = losses.mean(1), losses.std(1, ddof=1)
        second = result["seconds of a step"][row["optimizer"]]["median"]
        label = f"{row['optimizer']} ({row['rate']:g})"
        for axis, unit in zip(axes, (1, second), strict=True):
            axis.plot(steps * unit, mean, f"C{i}", lw=1.3, label=label)
            axis.fill_between(
                steps * unit, mean - sd, mean + sd, color=f"C{i}", alpha=0.15
            )
            axis.grid(alpha=0.3)
    axes[0].set(xlabel="steps", ylabel="validation loss, nats a character")
    axes[1].set_xlabel("seconds: steps × the median time of one")
    axes[0].legend(fontsize=8)
    seeds = result["budget"]["seeds"]
    figure.suptitle(f"{result['problem']}; mean and sd of {seeds} seeds")
    return figure


def claims(result: dict[str, Any]) -> list[Claim]:
    names = [row["optimizer"] for row in result["rows"]]
    by_steps = {name: final(result, name, "loss") for name in names}
    by_time = at_equal_time(result)
    took = result["seconds of a step"]
    alone = took["gradient alone"]["median"]
    later = [n for n in names if n in LATER]
    plain = by_steps["AdamW"]
    ahead = [n for n in later if lower(by_steps[n], plain, len(later)) > 0]
    behind = all(lower(plain, by_steps[n]) > 0 for n in later)
    beyond = 1 - alone / took["AdamW"]["median"]
    found = [
        Claim(
            "no later optimizer beats AdamW at equal steps, each at its best rate",
            "common belief",
            FAILS if ahead else HOLDS if behind else OPEN,
            f"validation after {result['budget']['steps']} steps: {said(by_steps, 4)}; "
            f"ahead of AdamW: {', '.join(ahead) or 'none'}",
        ),
        Claim(
            "AdamW's own step costs little beside the gradient (less than a tenth)",
            "abstract: “computationally efficient”",
            HOLDS if beyond < 0.1 else FAILS,
            f"AdamW {1e3 * took['AdamW']['median']:.3g} ms a step, the gradient alone "
            f"{1e3 * alone:.3g} ms: {beyond:.0%} of the step",
        ),
    ]
    if "AdamW, 8 bits" in names:
        found.append(
            Claim(
                "moments of 8 bits train as well as float32 (within 1 % in loss)",
                "Dettmers et al., 2022",
                within(by_steps["AdamW, 8 bits"], plain, 0.01, both=False),
                said({n: by_steps[n] for n in ("AdamW", "AdamW, 8 bits")}, 4),
            )
        )
    if "Muon" in names:
        found.append(
            Claim(
                "Muon is ahead of AdamW at equal time",
                "Jordan et al., 2024",
                all_lower([(by_time["Muon"], by_time["AdamW"])]),
                f"validation at equal time: {said(by_time, 4)}",
            )
        )
    return found
