"""Figure 6: steps to a target while noise of a growing level is added to the gradients.

White: normal, its standard deviation the level times the root mean square of the leaf's
gradient. Heavy-tailed: Student's t with 2 degrees of freedom (no variance), scaled
alike. Sparse: one element in 64, eight times as large (the same variance as white). A
perceptron of 64-64 on MNIST, its pixels averaged by 2 × 2, must reach a training loss
of .3, the mean of 50 steps. Each optimizer at each level takes its best rate of six, on
seeds of their own. Rates are constant, so that AdaGrad's alone falls.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.training import data
from benchmarks.training.data import shipped
from benchmarks.training.paper import perceptron
from benchmarks.training.paper.claim import Claim, all_lower
from benchmarks.training.paper.contest import SEARCH_SEEDS
from benchmarks.training.paper.entries import chosen
from benchmarks.training.paper.training import train

TITLE = "Figure 6: steps to a target under noise in the gradients"
NAMES = ("SGD", "SGD, Nesterov", "AdaGrad", "RMSProp", "Adam", "AdamW", "RAdam")
EVERY = 10
WINDOW = 5  # of so many steps each
SHARE = 1 / 64
NEVER = 2  # times all steps, as the cost of a run that never arrives


class Scale(NamedTuple):
    seeds: int
    steps: int
    levels: tuple[float, ...]
    rates: int = 6
    target: float = 0.3
    names: tuple[str, ...] = NAMES


SCALES = {
    "quick": Scale(1, 150, (0.0, 3.0), 3, 1.0, ("SGD, Nesterov", "Adam")),
    "default": Scale(5, 800, (0.0, 1.0, 3.0, 6.0)),
    "full": Scale(5, 5000, (0.0, 1.0, 3.0, 10.0, 30.0)),
}


def sparse(key: Any, shape: Any) -> Any:
    where, values = jax.random.split(key)
    there = jax.random.bits(where, shape, jnp.uint8) < 256 * SHARE
    return there * jax.random.normal(values, shape) / SHARE**0.5


def heavy(key: Any, shape: Any) -> Any:
    """Student's t with 2 degrees of freedom, by its inverse distribution function."""
    half = jnp.finfo(jnp.float32).eps / 2
    u = jax.random.uniform(key, shape, minval=half, maxval=1 - half)
    return (2 * u - 1) / jnp.sqrt(2 * u * (1 - u))


KINDS: Mapping[str, Callable[[Any, Any], Any]] = {
    "white": jax.random.normal,
    "heavy-tailed": heavy,
    "sparse": sparse,
}


def disturbed(kind: str) -> Callable[[Any, Any, Any], Any]:
    """g + level · rms(g) · noise, for every leaf by itself."""

    def disturb(grads: Any, key: Any, point: Any) -> Any:
        leaves, form = jax.tree.flatten(grads)
        keys = jax.random.split(key, len(leaves))
        noisy = [
            g + point["level"] * jnp.sqrt((g * g).mean()) * KINDS[kind](k, g.shape)
            for g, k in zip(leaves, keys, strict=True)
        ]
        return form.unflatten(noisy)

    return disturb


def reached(losses: np.ndarray, target: float) -> np.ndarray:
    """The steps until the mean of 50 is at the target; infinity where it never is."""
    windows = np.lib.stride_tricks.sliding_window_view(losses, WINDOW, axis=-1)
    there = windows.mean(-1) <= target
    return np.where(there.any(-1), EVERY * (WINDOW + there.argmax(-1)), np.inf)


def chosen_rates(steps: np.ndarray, most: int) -> np.ndarray:
    """By level the place of the best rate, of steps (levels, rates, seeds).

    Never is dearer than any run that arrives; ties go to the lower rate.
    """
    return np.where(np.isfinite(steps), steps, NEVER * most).mean(-1).argmin(1)


def halved(x: np.ndarray) -> np.ndarray:
    """The means of 2 × 2 pixels."""
    return x.reshape(len(x), 14, 2, 14, 2).mean((2, 4))


def run(scale: str, progress: Callable[[str], None]) -> dict[str, Any]:
    size = SCALES[scale]
    if scale == "quick":
        labelled, what = shipped.digits(), "digits"
    else:
        x, y, x_test, y_test = data.mnist()
        labelled = halved(x), y, halved(x_test), y_test
        what = "MNIST by 2 × 2"
    rows = []
    for kind in KINDS:
        task = perceptron.problem(
            labelled,
            f"{what}, perceptron of 64-64",
            64,
            0,
            64,
            disturb=disturbed(kind),
            own=("level",),
        )
        for entry in chosen(*size.names):
            rates = entry.rates(size.rates)
            points = [
                {"learning_rate": rate, "level": level}
                for level in size.levels
                for rate in rates
            ]
            seeds = *range(size.seeds), *SEARCH_SEEDS
            losses = train(task, entry.make, points, seeds, size.steps, EVERY).losses
            steps = reached(losses, size.target)
            steps = steps.reshape(len(size.levels), len(rates), -1)
            best = chosen_rates(steps[..., size.seeds :], size.steps)
            steps = steps[..., : size.seeds]
            for level, of_rates, at in zip(size.levels, steps, best, strict=True):
                of_seeds = [int(s) if np.isfinite(s) else None for s in of_rates[at]]
                row = {"kind": kind, "level": level, "optimizer": entry.name}
                rows.append({**row, "rate": rates[at], "steps": of_seeds})
            first = " ".join(str(row["steps"][0]) for row in rows[-len(size.levels) :])
            progress(f"{kind}, {entry.name}: steps of the first seed: {first}")
    return {"problem": task.name, "batch": task.batch, **size._asdict(), "rows": rows}


def by_seed(result: dict[str, Any], kind: str, name: str) -> list[list[int | None]]:
    """By level: the steps of each seed; None where it never arrives."""
    rows = result["rows"]
    return [r["steps"] for r in rows if (r["kind"], r["optimizer"]) == (kind, name)]


def mean_steps(result: dict[str, Any], kind: str, name: str) -> np.ndarray:
    """By level: the mean over seeds; infinity where a seed never arrives."""
    of_levels = by_seed(result, kind, name)
    return np.array([np.inf if None in of else np.mean(of) for of in of_levels])


def costs(result: dict[str, Any], steps: list[int | None]) -> list[int]:
    """The steps, where never costs twice all of them."""
    return [NEVER * result["steps"] if s is None else s for s in steps]


def told(steps: list[int | None]) -> str:
    arrived = [s for s in steps if s is not None]
    if not arrived:
        return "never"
    some = f" ({len(arrived)} of {len(steps)} seeds)"
    return f"{np.mean(arrived):.0f}" + (some if len(arrived) < len(steps) else "")


def draw(result: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(
        1, len(KINDS), figsize=(14, 4.8), sharey=True, layout="tight"
    )
    places = np.arange(len(result["levels"]))
    never = 1.6 * result["steps"]
    for kind, axis in zip(KINDS, axes, strict=True):
        for i, name in enumerate(result["names"]):
            shift = (i - len(result["names"]) / 2) * 0.06
            for place, steps in zip(places, by_seed(result, kind, name), strict=True):
                at = [never if s is None else s for s in steps]
                axis.plot([place + shift] * len(at), at, f"C{i}.", ms=4)
            means = mean_steps(result, kind, name)
            shown = np.where(np.isfinite(means), means, np.nan)
            axis.plot(places + shift, shown, f"C{i}-", lw=1.2, label=name)
        axis.axhline(result["steps"], color="k", lw=0.8)
        axis.set(title=kind, xlabel="level", yscale="log")
        axis.set_xticks(places, [f"{level:g}" for level in result["levels"]])
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel(f"steps to a loss of {result['target']:g}; above: never")
    axes[0].legend(fontsize=8)
    figure.suptitle(
        f"{result['problem']}; points are seeds, lines means where all arrive"
    )
    return figure


def claims(result: dict[str, Any]) -> list[Claim]:
    found = []
    for kind in KINDS:
        at_level = {n: mean_steps(result, kind, n) for n in result["names"]}
        # The highest level at which all seeds of anyone arrive.
        best_of = np.min(list(at_level.values()), axis=0)
        level = max(np.flatnonzero(np.isfinite(best_of)), default=0)
        steps = {name: by_seed(result, kind, name)[level] for name in at_level}
        rivals = [n for n in steps if n in ("SGD", "SGD, Nesterov", "AdaGrad")]
        found.append(
            Claim(
                f"Adam suits very noisy gradients ({kind}): fewer steps to a loss than "
                "SGD, Nesterov and AdaGrad",
                "abstract: “very noisy and/or sparse gradients”",
                all_lower(
                    [
                        (costs(result, steps["Adam"]), costs(result, steps[n]))
                        for n in rivals
                    ]
                ),
                f"{result['problem']}, level {result['levels'][level]:g}, mean steps "
                f"to a loss of {result['target']:g}: "
                + ", ".join(f"{name} {told(of)}" for name, of in steps.items()),
            )
        )
    return found
