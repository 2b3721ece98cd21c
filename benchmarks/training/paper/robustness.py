"""Figure 5: how far the rate, b1 and b2 may be off: the claim of "little tuning".

Seven optimizers over three decades of rates around their usual one, and those with
averages over b1 and b2 at their best rate. The band of an optimizer is the length, in
decades, of the rates whose loss is within 10 % of its own best (log-linear between the
points); a wide band needs no search.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import adamx
from benchmarks.training import data, transformer
from benchmarks.training.data import shipped
from benchmarks.training.paper import characters, perceptron
from benchmarks.training.paper.claim import FAILS, HOLDS, Claim, all_lower, said
from benchmarks.training.paper.contest import numbers, score
from benchmarks.training.paper.entries import adamw, chosen, nesterov, rmsprop
from benchmarks.training.paper.problem import Problem
from benchmarks.training.paper.training import train

TITLE = "Figure 5: how far rate, b1 and b2 may be off"
NAMES = ("SGD", "SGD, Nesterov", "AdaGrad", "RMSProp", "Adam", "AdamW", "RAdam")
TOLERANCE = 1.1
B1, B2 = (0.0, 0.5, 0.9, 0.99), (0.9, 0.99, 0.999, 0.9999)


class Scale(NamedTuple):
    seeds: int
    steps: tuple[int, int]  # of the perceptron, of the transformer
    rates: int  # over three decades; odd, so that the usual one is among them
    b1: tuple[float, ...] = B1
    b2: tuple[float, ...] = B2
    names: tuple[str, ...] = NAMES


SCALES = {
    "quick": Scale(1, (30, 10), 3, (0.0, 0.9), (0.9, 0.999), ("SGD, Nesterov", "Adam")),
    "default": Scale(5, (500, 200), 11),
    "full": Scale(5, (5000, 2000), 13, (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)),
}

# What is on the two axes of a second map, and how an optimizer is made with it.
MOMENTS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "SGD, Nesterov": (("b1",), lambda learning_rate, b1: nesterov(learning_rate, b1)),
    "RMSProp": (
        ("b2",),
        lambda learning_rate, b2: rmsprop(learning_rate, decay=b2),
    ),
    "Adam": (("b1", "b2"), adamx.adam),
    "AdamW": (("b1", "b2"), adamw),
    "RAdam": (("b1", "b2"), adamx.radam),
}


def problems(scale: str) -> tuple[Problem, Problem]:
    if scale == "quick":
        digits = perceptron.problem(shipped.digits(), "digits, 64-32-32-10", 32, 0, 64)
        return digits, characters.small()
    return (
        perceptron.problem(data.mnist(), "MNIST, 784-128-128-10", 128, 0, 64),
        characters.plays(transformer.Size(), 8),
    )


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    size = SCALES[scale]
    found = []
    for problem, steps in zip(problems(scale), size.steps, strict=True):
        rows = []
        for entry in chosen(*size.names):
            offsets = np.linspace(-1.5, 1.5, size.rates)
            rates = [float(f"{entry.usual * 10**o:.4g}") for o in offsets]
            points = [{"learning_rate": rate} for rate in rates]
            losses = last(problem, entry.make, points, size.seeds, steps)
            row = {"optimizer": entry.name, "rates": rates, "loss": losses.tolist()}
            best = rates[int(np.argmin(means(losses)))]
            row |= {"best": best, "band": band(rates, means(losses))}
            if entry.name in MOMENTS:
                row["moments"] = moments(problem, entry.name, best, size, steps)
            rows.append(row)
            progress(f"{problem.name}, {entry.name}: band {row['band']:.2f} decades")
        settings = {"steps": steps, "batch": problem.batch, "seeds": size.seeds}
        found.append({"problem": problem.name, **settings, "rows": rows})
    return {"problems": found}


def last(problem: Problem, make: Any, points: Any, seeds: int, steps: int) -> Any:
    """(points, seeds): the mean loss of the last fifth; None where it diverged."""
    runs = train(problem, make, points, range(seeds), steps, max(1, steps // 20))
    return np.array([numbers(of) for of in score(runs)], object)


def means(losses: Any) -> np.ndarray:
    values = np.array(losses, float).mean(-1)  # None becomes nan
    return np.where(np.isfinite(values), values, np.inf)


def moments(
    problem: Problem, name: str, rate: float, size: Scale, steps: int
) -> dict[str, Any]:
    """The losses over b1 and b2 at one rate."""
    axes, make = MOMENTS[name]
    values = [getattr(size, axis) for axis in axes]
    points = [
        {"learning_rate": rate, **dict(zip(axes, at, strict=True))}
        for at in itertools.product(*values)
    ]
    losses = last(problem, make, points, size.seeds, steps)
    return {
        "axes": dict(zip(axes, values, strict=True)),
        "loss": [numbers(np.atleast_1d(x))[0] for x in means(losses)],
    }


def band(rates: list[float], losses: np.ndarray) -> float:
    """The decades of rates around the best with a loss within 10 % of the best."""
    best = int(np.argmin(losses))
    if not np.isfinite(losses[best]):
        return 0.0
    limit = TOLERANCE * losses[best]
    length = 0.0
    for step in (-1, 1):
        i = best
        while 0 <= i + step < len(rates):
            width = abs(np.log10(rates[i + step] / rates[i]))
            here, there = losses[i], losses[i + step]
            if there > limit:
                share = (limit - here) / (there - here) if np.isfinite(there) else 0.0
                length += share * width
                break
            length += width
            i += step
    return round(float(length), 3)


def bands_by_seed(row: dict[str, Any]) -> list[float]:
    """The band of every seed by itself."""
    losses = np.array(row["loss"], float)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return [band(row["rates"], of) for of in losses.T]


def draw(result: dict[str, Any]) -> Any:
    """Rates as one map for each problem; b1 and b2 as one map for each optimizer."""
    figure = plt.figure(figsize=(15, 4.6 * len(result["problems"])), layout="tight")
    with_both = [
        row["optimizer"]
        for row in result["problems"][0]["rows"]
        if len(row.get("moments", {}).get("axes", ())) == 2
    ]
    grid = figure.add_gridspec(len(result["problems"]), 3 + len(with_both))
    for place, problem in enumerate(result["problems"]):
        rows = problem["rows"]
        losses = np.array([means(row["loss"]) for row in rows])
        best = losses.min()
        axis = figure.add_subplot(grid[place, :3])
        heat(axis, losses, best)
        named = [f"{r['optimizer']} ({usual(r):.2g})" for r in rows]
        axis.set_yticks(range(len(rows)), named)
        decades = np.linspace(-1.5, 1.5, losses.shape[1])
        axis.set_xticks(range(len(decades)), [f"{d:.2g}" for d in decades])
        axis.set(title=problem["problem"], xlabel="decades off the usual rate")
        for k, name in enumerate(with_both):
            row = next(r for r in rows if r["optimizer"] == name)
            b1, b2 = row["moments"]["axes"].values()
            losses = np.array(row["moments"]["loss"], float).reshape(len(b1), len(b2))
            axis = figure.add_subplot(grid[place, 3 + k])
            heat(axis, losses, best)
            axis.set_xticks(range(len(b2)), [f"{b:g}" for b in b2], fontsize=7)
            axis.set_yticks(range(len(b1)), [f"{b:g}" for b in b1], fontsize=7)
            axis.set(title=f"{name}, rate {row['best']:.2g}", xlabel="b2", ylabel="b1")
    figure.suptitle(
        "Training loss at the end; the darkest is twice the best or more, –: diverged"
    )
    return figure


def heat(axis: Any, losses: np.ndarray, best: float) -> None:
    """One map with its numbers."""
    there = np.isfinite(losses)
    dark = np.where(there, np.minimum(losses, 2 * best), 2 * best)
    axis.imshow(dark, aspect="auto", vmin=best, vmax=2 * best, cmap="viridis_r")
    for (i, j), loss in np.ndenumerate(losses):
        told = (
            "–" if not there[i, j] else f"{loss:.3g}" if loss < 100 else f"{loss:.0e}"
        )
        colour = "k" if dark[i, j] < 1.4 * best else "w"
        axis.text(j, i, told, ha="center", va="center", fontsize=7, color=colour)


def usual(row: dict[str, Any]) -> float:
    """The middle of an optimizer's rates."""
    return float(np.exp(np.log(row["rates"]).mean()))


def default_off(row: dict[str, Any]) -> float:
    """How much worse than its best an optimizer is at its usual rate."""
    losses, rates = means(row["loss"]), np.array(row["rates"])
    near = np.interp(np.log(usual(row)), np.log(rates), losses)
    return float(near / losses.min() - 1)


def claims(result: dict[str, Any]) -> list[Claim]:
    found = []
    for problem in result["problems"]:
        rows = {row["optimizer"]: row for row in problem["rows"]}
        bands = {name: bands_by_seed(row) for name, row in rows.items()}
        plain = [name for name in bands if "SGD" in name]
        off = default_off(rows["Adam"])
        there = np.isclose(usual(rows["Adam"]), rows["Adam"]["rates"]).any()
        how = "" if there else ", between its points"
        found += [
            Claim(
                "Adam's band of good rates is wider than that of SGD and of Nesterov "
                f"({problem['problem']})",
                "abstract: “typically require little tuning”",
                all_lower([(bands[name], bands["Adam"]) for name in plain]),
                f"decades within 10 % of the best: {said(bands)}",
            ),
            Claim(
                "Adam is within 10 % of its best at the default rate of .001 "
                f"({problem['problem']})",
                "Algorithm 1: “good default settings”",
                HOLDS if off <= TOLERANCE - 1 else FAILS,
                f"{off:.1%} above the best rate of this grid{how}",
            ),
        ]
    return found
