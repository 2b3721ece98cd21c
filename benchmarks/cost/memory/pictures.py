"""The figures of `benchmarks memory` as pictures."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.training.storage_training import MEAN_OF


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """One picture for each part that has one and is there."""
    made = []
    for name, picture in (("staleness", _staleness), ("parity", _parity)):
        if results.get(name):
            figure = picture(results[name])
            path = folder / f"memory_{name}.png"
            figure.savefig(path, dpi=100)
            plt.close(figure)
            made.append(path)
    return made


def _staleness(rows: list[dict[str, Any]]) -> Any:
    names = [r["form"] for r in rows][::-1]
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="tight")
    medians = [r["median of the root"] for r in rows][::-1]
    largest = [r["heavy: largest update"] for r in rows][::-1]
    nearest = ["C3" if "nearest" in n else "C0" for n in names]
    axes[0].barh(names, medians, color=nearest)
    axes[0].axvspan(0.95, 1.05, color="C2", alpha=0.25)
    axes[0].axvline(1, color="k", lw=0.8)
    axes[0].set_xlabel("median of sqrt(v kept / v exact), 1,000 steps after the shrink")
    axes[1].barh(names, largest, color=nearest)
    axes[1].set_xscale("log")
    axes[1].axvline(2, color="C2")
    axes[1].set_xlabel("largest update / float32's, blocks of many decades")
    figure.suptitle("Red: rounded to nearest. Green: the bars that defaults must keep")
    return figure


def _parity(tasks: dict[str, list[dict[str, Any]]]) -> Any:
    figure, axes = plt.subplots(
        len(tasks), 2, figsize=(12, 4.5 * len(tasks)), squeeze=False
    )
    for (task, rows), (left, right) in zip(tasks.items(), axes, strict=True):
        for row in rows:
            steps = MEAN_OF * (1 + np.arange(len(row["losses"])))
            style = "--" if row["control"] else "-"
            left.plot(steps, row["losses"], style, lw=1.2, label=row["form"])
        left.set(title=task, xlabel="step", ylabel="training loss, mean of 25 steps")
        left.set_yscale("log")
        names = [r["form"] for r in rows][::-1]
        off = [r["off"] for r in rows][::-1]
        error = [r["off_error"] for r in rows][::-1]
        colours = ["C3" if r["control"] else "C0" for r in rows][::-1]
        noise = rows[0]["seed_noise"]
        right.axvspan(-noise, noise, color="C2", alpha=0.25)
        right.barh(names, off, xerr=error, color=colours)
        right.set_xscale("symlog", linthresh=2 * noise, linscale=2)
        right.set_xlabel("test loss less float32's; green: the noise of seeds")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    return figure
