"""State_dicts of torch's optimizers, made by hand: torch is not installed."""

import jax.numpy as jnp
import numpy as np

from adamx.interop import torch as states
from adamx.interop.torch import linear

NAMES = {"fc.weight": linear("fc/kernel"), "fc.bias": "fc/bias"}
PARAMS = {"fc": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}}
SHAPES = {"fc.weight": (3, 4), "fc.bias": (3,)}
ADAMW = {
    "lr": 0.01,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0.1,
    "amsgrad": False,
    "maximize": False,
    "foreach": None,
}
SGD = {
    "lr": 0.1,
    "momentum": 0.9,
    "dampening": 0,
    "nesterov": False,
    "weight_decay": 0,
}
MUON = {
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0,
    "ns_coefficients": (3.4445, -4.775, 2.0315),
    "eps": 1e-7,
    "ns_steps": 5,
    "adjust_lr_fn": None,
}


def moments(shape, seed=1):
    rng = np.random.default_rng(seed)
    both = {key: rng.random(shape, np.float32) for key in ("exp_avg", "exp_avg_sq")}
    return {"step": np.float32(5), **both}


def adamw(state=None, **options):
    """The state_dict of AdamW after 5 steps."""
    state = state or {i: moments(s) for i, s in enumerate(SHAPES.values())}
    group = {"params": [0, 1], "param_names": list(NAMES), **ADAMW, **options}
    return {"AdamW": {"state": state, "param_groups": [group]}}


def without(optimizers, *keys):
    (kind,) = optimizers
    groups = [
        {k: x for k, x in group.items() if k not in keys}
        for group in optimizers[kind]["param_groups"]
    ]
    return {kind: {**optimizers[kind], "param_groups": groups}}


def one(kind, options, names=("fc.weight",), state=None):
    group = {"params": list(names), **options}
    return {kind: {"state": state or {}, "param_groups": [group]}}


def state(optimizers, tx=None, params=PARAMS, names=NAMES, **given):
    tx = states.transformation(optimizers, params, names) if tx is None else tx
    return states.state_from_torch(tx, optimizers, params, names, **given)


def moved(optimizers, number, **changes):
    (kind,) = optimizers
    kept = dict(optimizers[kind]["state"])
    kept[number] = {
        k: x for k, x in {**kept[number], **changes}.items() if x is not ...
    }
    return {kind: {**optimizers[kind], "state": kept}}


def weights(**changes):
    arrays = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    return {k: x for k, x in {**arrays, **changes}.items() if x is not None}
