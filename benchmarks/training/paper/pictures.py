"""Draws what several figures of the paper share: curves with bands."""

from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np


def contests(result: dict[str, Any]) -> Any:
    """Training loss against epochs, one panel for each problem."""
    problems = result["problems"]
    figure, axes = plt.subplots(
        1,
        len(problems),
        figsize=(6.5 * len(problems), 5),
        squeeze=False,
        layout="tight",
    )
    for problem, axis in zip(problems, axes[0], strict=True):
        for i, row in enumerate(problem["rows"]):
            band(axis, row, problem["steps in an epoch"], f"C{i}")
        axis.set_yscale("log")
        seeds = problem["budget"]["seeds"]
        axis.set(
            title=problem["problem"],
            xlabel="epochs",
            ylabel=f"training loss, mean and sd of {seeds} seeds",
        )
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    return figure


def band(axis: Any, row: dict[str, Any], unit: float, colour: str) -> None:
    """One optimizer's curve with its spread."""
    loss = row["loss"]
    values = [[np.nan if x is None else x for x in loss[k]] for k in ("mean", "sd")]
    mean, sd = (np.array(v, float) for v in values)
    at = loss["every"] * (1 + np.arange(len(mean))) / unit
    axis.plot(
        at, mean, color=colour, lw=1.3, label=f"{row['optimizer']} ({row['rate']:g})"
    )
    low = np.maximum(mean - sd, mean / 10)
    axis.fill_between(at, low, mean + sd, color=colour, alpha=0.2, lw=0)
