"""The little trees of parameters and gradients that the laws run on."""

import jax
import jax.numpy as jnp
import numpy as np

from adamx.engine.state import Absent
from adamx.testing.compare import signature as signature, stacked as stacked
from tests.table.cases import SMALL

PARAM_DTYPES = ("float32",) if SMALL else ("float32", "bfloat16")
GRAD_DTYPES = ("float32",) if SMALL else ("float32", "bfloat16", "float16")


def _draw(seed, dtype):
    """Nested containers, a matrix, a leaf of three axes and a scalar.

    Three leaves: what these tests cost is compiling, and that is paid for each leaf.
    """
    normal = np.random.default_rng(seed).standard_normal
    tree = {
        "dense": {"kernel": normal((3, 4))},
        "blocks": [normal((2, 1, 3))],
        "gain": normal(()),
    }
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def params(dtype="float32"):
    return _draw(0, dtype)


def grads(step=0, dtype="float32"):
    return _draw(100 + step, dtype)


def outline(tree):
    """The structure, where what stands for no slot is a leaf, as the slot would be."""
    return jax.tree.structure(tree, is_leaf=lambda x: isinstance(x, Absent))


def assert_equal(got, want):
    """Bit for bit, in structure, dtype and value."""
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(want), strict=True
    ):
        where = jax.tree_util.keystr(path)
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=where)


def assert_same_codes(got, want):
    """Bit for bit what is not float32; float32 to one unit in its last place.

    A compiler may contract a product and a sum in the program of a piece and not in
    that of the whole: by the machine, a scale may differ in its last place.
    """
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        if a.dtype == jnp.float32:
            assert_close(a, b, ulps=1)
        else:
            assert_equal(a, b)


def assert_close(got, want, ulps=8):
    """To rounding: `ulps` units of the last place of the largest element of the leaf.

    The unit is that of the dtype compared, so a difference of programs (fused or not)
    passes and a difference of mathematics does not.
    """
    assert jax.tree.structure(got) == jax.tree.structure(want)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(want), strict=True
    ):
        where = jax.tree_util.keystr(path)
        assert a.dtype == b.dtype, where
        unit = float(jnp.finfo(a.dtype).eps) if a.dtype.kind in "fV" else 0.0
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        scale = np.max(np.abs(b), initial=0.0)
        np.testing.assert_allclose(
            a, b, rtol=0, atol=ulps * unit * scale, err_msg=where
        )
