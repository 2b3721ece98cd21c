"""The first place of each id, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from adamx.numerics import first_places as module
from adamx.numerics.first_places import first_places

SIZE = 96
RANDOM = np.random.default_rng(11)


def expected(ids):
    _, first, group = np.unique(ids, return_index=True, return_inverse=True)
    return first[group]


def colliding():
    """Different ids that share one slot in the first turn."""
    many = np.arange(60_000, dtype=np.int32)
    slots = (4 * SIZE - 1).bit_length()
    mixed = np.asarray(module._spread(jnp.asarray(many), jnp.uint32(0)))
    found = many[mixed >> (32 - slots) == 5][:SIZE]
    assert len(found) == SIZE
    return found


def test_it_is_that_of_numpy_whatever_the_ids():
    each = {
        "few": RANDOM.integers(0, 7, SIZE),
        "many": RANDOM.integers(0, 2**31 - 1, SIZE),
        "some": RANDOM.integers(0, SIZE, SIZE),
        "one": np.full(SIZE, 3),
        "different": RANDOM.permutation(SIZE),
        "colliding": RANDOM.permutation(colliding()),
    }
    ids = np.stack(list(each.values())).astype(np.int32)
    found = jax.jit(first_places)
    for name, own in zip(each, ids, strict=True):
        np.testing.assert_array_equal(found(own), expected(own), err_msg=name)
    together = jax.jit(jax.vmap(first_places))(ids)
    np.testing.assert_array_equal(together, list(map(expected, ids)))


def test_one_id_and_none():
    assert first_places(jnp.array([4])).tolist() == [0]
    assert first_places(jnp.zeros(0, jnp.int32)).tolist() == []
