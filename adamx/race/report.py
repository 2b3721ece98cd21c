"""The file of `--json`: settings, machine, every curve and the table's numbers."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax

from .data import Data
from .table import deviation, milestones
from .training import Run, Settings

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def report(model: str, data: Data, settings: Settings, runs: Sequence[Run]) -> dict:
    """The race as plain lists and numbers; a loss that is not finite is null."""
    return {
        "command": "adamx race",
        "model": model,
        "data": {
            "name": data.name,
            "train": len(data.y_train),
            "test": len(data.y_test),
            "shape": list(data.shape),
            "classes": data.classes,
        },
        "steps": settings.steps,
        "batch": settings.batch,
        "seeds": [settings.seed + i for i in range(settings.seeds)],
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "device": jax.devices()[0].device_kind,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "optax": optax.__version__,
            "numpy": np.__version__,
        },
        "optimizers": [_of(run, milestones(runs)) for run in runs],
    }


def write(path: str, contents: dict) -> None:
    """As strict JSON, or to the standard output for `-`."""
    text = json.dumps(contents, indent=1, allow_nan=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _of(run: Run, marks: Sequence[float]) -> dict[str, Any]:
    curves = {key: _plain(getattr(run, key)) for key in CURVES}
    ends = {key: getattr(run, key)[run.finished, -1] for key in CURVES}
    return {
        "name": run.name,
        "learning_rate": run.learning_rate,
        "transformation": run.transformation,
        "diverged_at": [int(step) or None for step in run.diverged_at],
        "final": {
            key: {"mean": float(end.mean(dtype=float)), "deviation": deviation(end)}
            if len(end)
            else None
            for key, end in ends.items()
        },
        "steps_to_train_loss": {
            f"{mark:g}": [int(s) if np.isfinite(s) else None for s in run.reached(mark)]
            for mark in marks
        },
        "steps_per_second": run.steps_per_second,
        "compile_seconds": run.compile_seconds,
        "parameters": run.parameters,
        "state_bytes": run.state_bytes,
        "state_bytes_per_parameter": run.state_bytes_per_parameter,
        "curves": {"steps": run.steps.tolist(), **curves},
    }


def _plain(curve: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in seed] for seed in curve]
