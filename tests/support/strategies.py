"""Hypothesis strategies: trees of leaves in containers, gradient values, bad arguments.

A tree is drawn as its description: a container and three leaves, each with a shape, two
dtypes and what is missing. `Trees.of` makes the trees of parameters and of gradients.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from hypothesis import strategies as st

import adamx
from tests.table.cases import OPTIMIZERS

# ---- containers of three leaves ----------------------------------------------


class Triple(NamedTuple):
    """Three leaves in a tuple with names."""

    a: Any
    b: Any
    c: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Record:
    """Three leaves in a dataclass."""

    a: Any
    b: Any
    c: Any


class Module(eqx.Module):
    """Three leaves in an Equinox module, beside a function that is none."""

    a: Any
    b: Any
    c: Any
    activation: Callable = eqx.field(static=True, default=jnp.tanh)


def boxed(a, b, c):
    """Three leaves in the state of an nnx module, each in a box; none for None."""
    named = {"a": a, "b": b, "c": c}
    return nnx.State({n: nnx.Param(x) for n, x in named.items() if x is not None})


CONTAINERS: dict[str, Callable] = {
    "dict": lambda a, b, c: {"b": b, "layer": {"c": c}, "a": a},
    "list": lambda a, b, c: [a, [b, c]],
    "NamedTuple": Triple,
    "dataclass": Record,
    "Equinox module": Module,
    "nnx state, boxed": boxed,
    "nnx state": lambda a, b, c: nnx.to_pure_dict(boxed(a, b, c)),
}

# ---- leaves ------------------------------------------------------------------

DTYPES = ("float16", "bfloat16", "float32")
SHAPES = ((), (1,), (4,), (2, 3), (3, 1, 2), (2, 1, 3, 2), (2, 1, 2, 1, 3))
EMPTY = ((0,), (0, 3), (2, 0), (2, 0, 3))


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One leaf: its shape, and the dtypes of parameter and gradient, None for none."""

    shape: tuple[int, ...] = (2, 3)
    param: str | None = "float32"
    grad: str | None = "float32"

    def struct(self, of):
        dtype = getattr(self, of)
        return None if dtype is None else jax.ShapeDtypeStruct(self.shape, dtype)

    @property
    def update(self):
        """The dtype of the update: the wider of the two, float32 of the two halves."""
        return self.grad if self.grad in (None, self.param) else "float32"


@dataclasses.dataclass(frozen=True)
class Trees:
    """Three leaves in a container."""

    container: str
    leaves: tuple[Leaf, Leaf, Leaf]

    def of(self, field):
        """The tree of one field of the leaves: "param", "grad" or "update"."""
        structs = [leaf.struct(field) for leaf in self.leaves]
        return CONTAINERS[self.container](*structs)


NOTHING = Leaf((), None, None)


def leaves():
    held = st.sampled_from(DTYPES)
    shape = st.sampled_from(SHAPES + EMPTY)
    return st.one_of(
        st.builds(Leaf, shape, held, held),
        st.builds(Leaf, shape, held, st.one_of(held, st.none())),
        st.just(NOTHING),
    )


def trees():
    """In nnx, where a parameter is missing rather than None, none is frozen."""

    def is_made(tree):
        frozen = any(x.grad is None and x.param is not None for x in tree.leaves)
        return not (tree.container.startswith("nnx") and frozen)

    container = st.sampled_from(sorted(CONTAINERS))
    return st.builds(Trees, container, st.tuples(*[leaves()] * 3)).filter(is_made)


# ---- numbers -----------------------------------------------------------------

LANDMARKS = (0.0, 1.0, -1.0, 1e-45, 1e-38, 1e-19, 1e-10, 1e10, 2e19, 3e38, -3e38)


def numbers():
    """Gradient values: zero, and both signs of every size that float32 has."""
    exponents = st.floats(-45.0, math.log10(3e38))
    of_any_size = st.builds(
        lambda sign, e: sign * min(10.0**e, 3e38),
        st.sampled_from((-1.0, 1.0)),
        exponents,
    )
    return st.one_of(st.sampled_from(LANDMARKS), of_any_size)


def vectors(size):
    return st.lists(numbers(), min_size=size, max_size=size).map(
        lambda xs: np.asarray(xs, np.float32)
    )


# ---- arguments ---------------------------------------------------------------


def optimizers():
    """Their names: a failing example is then short."""
    return st.sampled_from([row.name for row in OPTIMIZERS])


def keywords(name):
    """The names of the arguments of an optimizer's function."""
    return st.sampled_from(sorted(inspect.signature(getattr(adamx, name)).parameters))


WRONG: dict[str, Callable[[], Any]] = {
    "text": lambda: "0.9",
    "empty text": lambda: "",
    "bytes": lambda: b"1",
    "minus one": lambda: -1.0,
    "zero": lambda: 0,
    "two": lambda: 2.0,
    "a half": lambda: 0.5,
    "huge": lambda: 10**400,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "complex": lambda: 1j,
    "None": lambda: None,
    "True": lambda: True,
    "object": object,
    "class": lambda: int,
    "empty tuple": tuple,
    "tuple": lambda: (0.9, 0.999),
    "tuple of text": lambda: ("a", "b"),
    "list": lambda: [0.1],
    "dict": lambda: {"w": 1.0},
    "function of nothing": lambda: lambda: 0.1,
    "function to text": lambda: lambda count: "0.1",
    "function to None": lambda: lambda count: None,
    "vector": lambda: jnp.ones(2),
    "integer array": lambda: jnp.ones((), jnp.int32),
    "boolean array": lambda: jnp.ones((), bool),
    "complex array": lambda: jnp.ones((), jnp.complex64),
    "array of objects": lambda: np.asarray([None, "a"], object),
    "shape without values": lambda: jax.ShapeDtypeStruct((), jnp.float32),
    "key": lambda: jax.random.key(0),
    "optimizer": lambda: OPTIMIZERS[0].build(),
    "dtype": lambda: jnp.bfloat16,
}
