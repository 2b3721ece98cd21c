"""`cautious` and `grams` on every optimizer: with the gradient, or refused."""

import jax
import numpy as np
import optax
import pytest

import adamx
from tests.support.trees import grads, params
from tests.table.cases import rows, sampled

# What is after their rate is no decay; Rprop has no rate of its own.
REFUSED = {"lars", "schedule_free", "schedule_free_sgd", "schedule_free_adamw"}
REFUSED |= {"schedule_free_radam", "gpa", "lookahead", "param_ema", "rprop"}
REFUSED |= {"adamh", "muonh", "snoo", "splus", "muown"}
TOLD = r"nothing but a decay may come after the rate|before its decay and rate"


def without_decay(optimizer):
    keywords = dict(optimizer.variants[0].keywords)
    if "weight_decay" in optimizer.hypers:
        keywords["weight_decay"] = 0.0
    return optimizer.build(**keywords)


@pytest.mark.parametrize(
    ("optimizer", "operator"),
    [
        *(
            pytest.param(row, adamx.cautious, id=f"cautious-{row.name}")
            for row in rows()
        ),
        *(pytest.param(row, adamx.grams, id=f"grams-{row.name}") for row in sampled()),
    ],
)
def test_it_goes_with_the_gradient(optimizer, operator):
    """Not against it, as where the sign had turned before they were compared."""
    tx = without_decay(optimizer)
    if optimizer.completed is not type(optimizer).completed:
        pytest.skip("what completes it for the laws is outside")
    if optimizer.name in REFUSED:
        with pytest.raises(TypeError, match=TOLD):
            operator(tx)
        return
    tx, p = operator(tx), params()
    state, moved = tx.init(p), False
    step = jax.jit(tx.update)
    for k in range(3):
        updates, state = step(grads(k), state, p)
        for u, g in zip(*map(jax.tree.leaves, (updates, grads(k))), strict=True):
            assert np.all(np.asarray(u * g) <= 0)
            moved = moved or bool(np.any(np.asarray(u * g) < 0))
        p = optax.apply_updates(p, updates)
    assert moved
