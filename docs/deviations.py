"""How far an optimizer is from its counterpart in Optax and from torch's recorded runs.

In float64, over 60 steps. Beside Optax: the largest difference between two updates of
an element, relative to that element's largest update. Beside torch: the largest
difference between two parameters, relative to the largest.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adamx
from adamx.engine import keywords
from adamx.later import things
from benchmarks import optax_counterparts, roster
from tests import trajectories
from tests.trajectories import forms

NAMES = things(adamx.parts) | things(adamx)
RATE = 1e-3
STEPS = 60
SCALES = (-3, 1)
ROUNDING = {jnp.float32: 1e-6, jnp.float64: 1e-12, jnp.bfloat16: 2e-2}
"""Below this a difference is called rounding."""

FOUND = {name: keywords.counterpart(name) for name in roster.ALL}
IN_OPTAX = {name: found for name, found in FOUND.items() if found}
"""The optimizers that Optax has under the same name: where, and its function."""

ROUNDED = "an update is a difference of parameters, which are rounded"

# Why the same call gives other numbers, where it does by more than rounding.
REASONS = {
    "adan": "Optax weighs the difference of the gradients by 1 - b2, the paper by b2",
    "galore": "Optax projects from the longer side, and small leaves too",
    "lookahead": "Optax's is of pairs of parameters",
    "muon": "Optax corrects the two terms of Nesterov's sum by different weights",
    "rprop": "Optax returns the step of the step before",
    "schedule_free": "it takes an optimizer; around SGD the two agree",
    "schedule_free_adamw": ROUNDED,
    "schedule_free_sgd": ROUNDED,
    "sophia": "Optax makes the estimate itself, and divides by the one before",
}
CALLED_OTHERWISE = ("lookahead", "schedule_free", "sophia")
"""Those that are not called with a rate alone."""

# Compared while the parameters move: the call of ours and of Optax, of one form. Both
# have constants in float32 in Optax, so they are not among the timed ones.
# Nothing there is like ours of sophia, whose estimator is inside and whose h is the one
# before, and of lookahead, which is of pairs of parameters.
MOVING = {
    "muon": (
        "muon(1e-3, nesterov=False)",
        "muon(1e-3, nesterov=False)",
    ),
    "galore": ("galore(1e-3, 2)", "galore(1e-3, 2)"),
}


def relative(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the element's largest update."""
    largest = np.max(np.abs(theirs), axis=0)
    gap = np.max(np.abs(ours - theirs), axis=0)
    return float(np.max(gap / np.where(largest > 0, largest, 1.0)))


def apart(
    tx: Any, counterpart: Any, dtype: Any, steps: int, moving: bool = False
) -> float:
    """The difference from `counterpart` on normal gradients; the parameters may move.

    They are of scales from 1e-3 to 10, and ten times smaller in the second half.
    """
    random = np.random.default_rng(0)
    theta = random.normal(size=(10, 10))
    scales = 10 ** random.uniform(*SCALES, size=(10, 10))
    gradients = random.normal(size=(steps, 10, 10)) * scales
    gradients[steps // 2 :] /= 10
    with jax.enable_x64(dtype == jnp.float64):
        given = jnp.asarray(theta, dtype), jnp.asarray(gradients, dtype)
        ours, theirs = (
            np.float64(updates(one, moving, *given)) for one in (tx, counterpart)
        )
    return relative(ours, theirs)


@functools.partial(jax.jit, static_argnums=(0, 1))
def updates(tx: Any, moving: bool, theta: Any, gradients: Any) -> Any:
    """The updates of a run on given gradients."""

    def step(carry: Any, g: Any) -> tuple[Any, Any]:
        params, state = carry
        u, state = tx.update(g, state, params)
        params = optax.apply_updates(params, u) if moving else params
        return (params, state), u

    return jax.lax.scan(step, (theta, tx.init(theta)), gradients)[1]


def said(difference: float, dtype: Any = jnp.float64) -> str:
    return "rounding" if difference < ROUNDING[dtype] else f"{difference:.0e}"


def from_optax(name: str) -> str:
    """In the form that both have; a dash where Optax has no such optimizer."""
    if name in optax_counterparts.COUNTERPARTS:
        row = optax_counterparts.COUNTERPARTS[name]
        return said(
            apart(row.ours(), row.counterpart(), jnp.float64, STEPS, moving=True)
        )
    if name in MOVING:
        ours, theirs = MOVING[name]
        counterpart = eval(theirs, vars(optax) | vars(optax.contrib))
        tx = eval(ours, NAMES)
        return said(apart(tx, counterpart, jnp.float64, STEPS, moving=True))
    if name not in IN_OPTAX or name in CALLED_OTHERWISE:
        return "–"
    _, counterpart = IN_OPTAX[name]
    ours = getattr(adamx, name)(RATE)
    return said(apart(ours, counterpart(RATE), jnp.float64, STEPS))


@functools.cache
def recorded() -> dict[str, float]:
    """The largest difference over the runs of each optimizer of torch, by its name."""
    found: dict[str, float] = {}
    for name in trajectories.names():
        run = trajectories.load(name)
        if run.optimizer in forms.MEMBERS:
            optimizer = name.split("_")[0]
            if run.options.get("amsgrad"):
                optimizer = "amsgrad"
            found[optimizer] = max(found.get(optimizer, 0.0), from_run(run))
    return found


def from_run(run: trajectories.Recorded) -> float:
    """The difference from one recorded run."""
    with jax.enable_x64(True):
        theta = jax.tree.map(jnp.asarray, run.theta)
        gradients = jax.tree.map(jnp.asarray, run.gradients)
        thetas = jax.jit(path, static_argnums=0)(forms.form(run), theta, gradients)
    return max(
        float(
            np.max(np.abs(np.asarray(thetas[leaf]) - theirs)) / np.max(np.abs(theirs))
        )
        for leaf, theirs in run.thetas.items()
    )


def path(tx: Any, theta: Any, gradients: Any) -> Any:
    """The parameters after each step."""

    def step(carry: Any, g: Any) -> tuple[Any, Any]:
        params, state = carry
        u, state = tx.update(g, state, params)
        params = optax.apply_updates(params, u)
        return (params, state), params

    return jax.lax.scan(step, (theta, tx.init(theta)), gradients)[1]


def from_torch(name: str) -> str:
    """Over the recorded runs; a dash where there is none."""
    found = recorded().get(name)
    return "–" if found is None else said(found)
