"""Runs of a transformation over given gradients."""

import jax
import optax


def run(tx, p, gradients):
    """The parameters after each step, and the last state, from stacked gradients."""

    def step(carry, g):
        p, state = carry
        updates, state = tx.update(g, state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), p

    (_, state), each = jax.lax.scan(step, (p, tx.init(p)), gradients)
    return each, state
