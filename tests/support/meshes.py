"""Small parameters on a mesh of 8 virtual devices, in every kind of mesh."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

SPECS = {"bias": P("y"), "kernel": P("x", "y"), "square": P(None, "x")}
SHAPES = {"bias": (8,), "kernel": (16, 8), "square": (8, 8)}
KINDS = {"auto": AxisType.Auto, "explicit": AxisType.Explicit, "default": None}
EVERY_MESH = pytest.mark.parametrize("kind", KINDS)
UNDER = pytest.mark.parametrize("under", [True, False], ids=["under", "outside"])
NEEDS_DEVICES = pytest.mark.skipif(
    jax.device_count() < 8, reason="needs 8 devices (tests/conftest.py sets them)"
)


def mesh_of(kind="auto", **axes):
    """A mesh of axes of these lengths, such as `data=8`; else x of 4 and y of 2."""
    axes = axes or {"x": 4, "y": 2}
    known = KINDS[kind]
    given = {} if known is None else {"axis_types": (known,) * len(axes)}
    return jax.make_mesh(tuple(axes.values()), tuple(axes), **given)


def entered(mesh, under):
    """`jax.set_mesh`, or nothing."""
    return jax.set_mesh(mesh) if under else contextlib.nullcontext()


def tree(seed=0, shapes=SHAPES):
    """Normal numbers; in float64 where that is enabled."""
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(s)) for name, s in shapes.items()}


def placed(mesh, seed=0, specs=SPECS, shapes=SHAPES):
    """The tree of the seed, each leaf laid out by its spec."""
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    return jax.device_put(tree(seed, shapes), shardings)
