"""Checks that two sides compute the same, and two devices the same numbers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.optax_counterparts import Counterpart, Make

SAME = 1e-10
"""The largest relative difference in float64 that is still rounding."""

SHAPES = {"vector": (64,), "matrix": (8, 16)}


def gradients(steps: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Gradients over seven decades, so that eps shows, with exact zeros among them."""
    rng = np.random.default_rng(seed)
    scales = {k: 10.0 ** rng.uniform(-6, 1, shape) for k, shape in SHAPES.items()}
    return [
        {
            k: scale
            * rng.standard_normal(scale.shape)
            * (rng.random(scale.shape) > 0.1)
            for k, scale in scales.items()
        }
        for _ in range(steps)
    ]


def updates_of(make: Make, grads: Sequence[dict], dtype: str) -> dict[str, np.ndarray]:
    """Every update of a run, stacked: leaf by leaf, `(steps, *shape)`."""
    tx = make()
    rng = np.random.default_rng(1)
    params = {k: jnp.asarray(rng.standard_normal(s), dtype) for k, s in SHAPES.items()}
    state = tx.init(params)
    step = jax.jit(tx.update)
    seen = []
    for grad in grads:
        updates, state = step(
            {k: jnp.asarray(g, dtype) for k, g in grad.items()}, state, params
        )
        params = optax.apply_updates(params, updates)
        seen.append(jax.device_get(updates))
    return {k: np.stack([u[k] for u in seen]).astype(np.float64) for k in SHAPES}


def difference(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> float:
    """The largest difference of two runs, relative to each element's largest update."""
    worst = 0.0
    for name, w in want.items():
        scale = np.max(np.abs(w), axis=0)
        gap = np.max(np.abs(got[name] - w), axis=0)
        worst = max(worst, float(np.max(np.where(gap > 0, gap / (scale + 1e-300), 0))))
    return worst


def sameness(
    optimizer: Counterpart,
    steps: int = 30,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> dict[str, float]:
    """The difference of the sides in float64 (mathematics) and float32 (rounding)."""
    grads = gradients(steps)
    found = {}
    for dtype in dtypes:
        with jax.enable_x64(dtype == "float64"):
            ours = updates_of(optimizer.ours, grads, dtype)
            found[dtype] = difference(
                ours, updates_of(optimizer.counterpart, grads, dtype)
            )
    return found


def device_difference(make: Make, device: jax.Device, steps: int) -> float:
    """The float32 difference of a run on `device` from the same run on the CPU."""
    grads = gradients(steps)
    runs = []
    for place in device, jax.devices("cpu")[0]:
        with jax.default_device(place):
            runs.append(updates_of(make, grads, "float32"))
    return difference(*runs)
