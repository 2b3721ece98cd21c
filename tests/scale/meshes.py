"""Small parameters on a mesh of 8 virtual devices, in every kind of mesh."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

SPECS = {"bias": P("y"), "kernel": P("x", "y"), "square": P(None, "x")}
SHAPES = {"bias": (8,), "kernel": (16, 8), "square": (8, 8)}
KINDS = {
    "auto": (AxisType.Auto, AxisType.Auto),
    "explicit": (AxisType.Explicit, AxisType.Explicit),
    "default": None,
}
EVERY_MESH = pytest.mark.parametrize("kind", KINDS)
UNDER = pytest.mark.parametrize("under", [True, False], ids=["under", "outside"])
NEEDS_DEVICES = pytest.mark.skipif(
    jax.device_count() < 8, reason="needs 8 devices (tests/conftest.py sets them)"
)


def mesh_of(kind="auto"):
    types = KINDS[kind]
    given = {} if types is None else {"axis_types": types}
    return jax.make_mesh((4, 2), ("x", "y"), **given)


def entered(mesh, under):
    """`jax.set_mesh`, or nothing."""
    return jax.set_mesh(mesh) if under else contextlib.nullcontext()


def tree(seed=0):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(s), jnp.float32) for name, s in SHAPES.items()}


def placed(mesh, seed=0):
    shardings = {name: NamedSharding(mesh, spec) for name, spec in SPECS.items()}
    return jax.device_put(tree(seed), shardings)
