"""A small model, and some steps of an optimizer on it in one compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

SHAPES = {
    "embed": {"table": (6, 4)},
    "layers": [{"kernel": (4, 4), "bias": (4,)}, {"kernel": (4, 4), "bias": (4,)}],
    "head": {"kernel": (4, 3)},
}
FROZEN = {"embed/table"}


def is_shape(x):
    return type(x) is tuple


def tree(seed=0, dtype="float32"):
    normal = np.random.default_rng(seed).standard_normal
    draw = lambda shape: jnp.asarray(normal(shape), dtype)  # noqa: E731
    return jax.tree.map(draw, SHAPES, is_leaf=is_shape)


def path_of(keys):
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def only(tree, keep):
    """The tree with `None` where `keep(path)` is false."""
    return jax.tree_util.tree_map_with_path(
        lambda keys, x: x if keep(path_of(keys)) else None, tree
    )


def run(tx, params, steps=3, gradients=tree):
    """The parameters and the state after some steps, in one compiled program."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optax.apply_updates(params, updates), state), None

    each = [gradients(k + 1) for k in range(steps)]
    stack = jax.tree.map(lambda *x: jnp.stack(x), *each)

    @jax.jit
    def whole(params):
        return jax.lax.scan(step, (params, tx.init(params)), stack)[0]

    return whole(params)
