"""Kernels in interpret mode return the bits of the plain step."""

import jax
import pytest

from adamx.engine.leaf_parts import in_parts
from adamx.kernels import gpu, tpu
from adamx.kernels.scalars import packed_as
from tests.fused.test_leaf_parts import CASES, after_two_steps, same

KERNELS = {"gpu": gpu, "tpu": tpu}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize(
    ("case", "shape"), [("8 and 4 bits", (40, 301)), ("split", (37, 300))]
)
def test_kernels_return_the_bits_of_the_plain_step(case, shape, kernel):
    tx, _, dtype = CASES[case]
    rule, form, (before, *given), (update, kept) = after_two_steps(tx, shape, dtype)
    x = given[-1]
    parts = in_parts(rule, form, before, *given)
    assert not isinstance(parts, str), parts
    numbers = parts.numbers(rule, *given)
    made = kernel.prepared(parts, packed_as(numbers, parts.words))
    assert not isinstance(made, str), made

    @jax.jit
    def run(arrays, numbers):
        return made.run(arrays, made.packing.pack(numbers), interpret=True)

    joined, new = parts.joined(run(parts.arrays(before, x), numbers), before, x)
    same(joined, update)
    jax.tree.map(same, new, kept)
