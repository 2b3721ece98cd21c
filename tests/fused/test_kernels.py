"""Kernels in interpret mode return the bits of the plain step."""

import jax
import jax.numpy as jnp
import pytest

from adamx.engine.leaf_functions import leaf_functions
from adamx.engine.leaf_parts import in_parts
from adamx.kernels import gpu, tpu
from adamx.kernels.scalars import packed_as
from tests.fused.test_leaf_parts import CASES, as_given, leaf, same, shared

KERNELS = {"gpu": gpu, "tpu": tpu}
GIVEN = ("float32", "bfloat16", "8 bits", "dither", "4 bits", "fp8", "split")


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", GIVEN)
def test_kernels_return_the_bits_of_the_plain_step(case, kernel):
    tx, shape, dtype = CASES[case]
    shape = (40, shape[-1] + 1)
    rule, form, kept, x = leaf(tx, shape, jnp.dtype(dtype))
    kept = as_given(rule, kept)
    whole, given = leaf_functions(rule).apply, (shared(rule), jnp.int32(3), x)
    for _ in range(2):  # of slots that are not zero
        before = kept
        update, kept = whole(form, before, *given)
    parts = in_parts(rule, form, before, *given)
    assert not isinstance(parts, str), parts
    scalars = parts.numbers(rule, *given)
    made = KERNELS[kernel].prepared(parts, packed_as(scalars, parts.words))
    assert not isinstance(made, str), made

    @jax.jit
    def run(arrays, scalars):
        return made.run(arrays, made.packing.pack(scalars), interpret=True)

    joined, new = parts.joined(run(parts.arrays(before, x), scalars), before, x)
    jax.tree.map(same, new, kept)
    same(joined, update)
