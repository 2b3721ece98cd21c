"""`PeriodicReset`: what begins anew, what goes on, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adamx
from adamx import Masked, chain
from adamx.engine.state import is_absent
from adamx.parts import Ema, LearningRate, PeriodicReset
from tests import papers
from tests.support.agreement import assert_follows, wanted
from tests.support.error_messages import assert_told
from tests.support.trees import assert_equal, grads, params
from tests.table.cases import SCHEDULES
from tests.table.row import RATE
from tests.table.spam import IN_PAPER, SHORT

ADAM = adamx.scale_by_adam


def run(tx, steps, state=None, first=0):
    p, updates = params(), None
    state = tx.init(p) if state is None else state
    step = jax.jit(tx.update)
    for k in range(first, first + steps):
        updates, state = step(grads(k), state, p)
    return updates, state


def test_recounted_without_a_warm_up_it_is_the_part_from_its_start():
    tx = PeriodicReset(ADAM(), every=5, warmup=0, recount=True)
    fresh, _ = run(ADAM(), 3, first=4)  # the fifth step is the first after a restart
    updates, state = run(tx, 7)
    for one, other in zip(*map(jax.tree.leaves, (updates, fresh)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert float(state.slots["since_restart"]) == 2


@pytest.mark.oracle
@pytest.mark.parametrize("recount", [False, True])
def test_decays_that_are_arrays_or_schedules(recount, x64):
    """The weights of the averages go on, or begin anew with them."""
    words = {n: SCHEDULES[n] for n in ("b1", "b2")}
    expected = wanted(
        papers.spam, learning_rate=RATE, recount=recount, **IN_PAPER, **words
    )
    assert_follows(
        lambda: adamx.spam(RATE, recount=recount, **SHORT, **words), expected
    )


@pytest.mark.oracle
@pytest.mark.parametrize("recount", [False, True])
def test_restored_from_constants_into_arrays(recount, x64):
    """In the middle of a cycle: its weights are filled from the steps since."""
    words, legs = {"b1": 0.8, "b2": 0.95}, []

    def make():
        legs.append(None)
        kind = float if len(legs) <= 2 else jnp.asarray
        given = {name: kind(value) for name, value in words.items()}
        return adamx.spam(RATE, recount=recount, **SHORT, **given)

    expected = wanted(
        papers.spam, learning_rate=RATE, recount=recount, **IN_PAPER, **words
    )
    assert_follows(make, expected, restore=adamx.restore)


def test_adam_goes_on_as_spam():
    _, state = run(adamx.adam(RATE), 7)
    restored = adamx.restore(adamx.spam(RATE, interval=5), state, params())
    assert float(restored.slots["since_restart"]) == 2


def test_a_leaf_that_keeps_nothing_goes_on_keeping_nothing():
    tx = PeriodicReset(Masked(Ema(0.9), "kernel"), every=2, warmup=0)
    updates, state = run(tx, 4)
    assert_equal(updates["gain"], grads(3)["gain"])
    assert is_absent(state.slots["mu"]["gain"])


def test_it_begins_anew_long_after_float32_has_lost_count():
    """Float32 does not tell 2**24 + 1 steps from 2**24; the restart is due at odd."""
    tx = PeriodicReset(Ema(0.9), every=3, warmup=0)
    _, state = run(tx, 2)
    due = 2**24 + 2
    assert due % 3 == 0
    state = state._replace(count=jnp.asarray(due - 1, jnp.int32))
    updates, _ = tx.update(grads(5), state)
    np.testing.assert_allclose(updates["gain"], 0.1 * grads(5)["gain"], rtol=1e-6)


SENTENCES = {
    "every": (
        lambda: PeriodicReset(ADAM(), 0),
        "PeriodicReset: `every` must be a whole number, at least 1, got 0.",
        "The paper has every=500, warmup=150.",
    ),
    "warmup": (
        lambda: PeriodicReset(ADAM(), warmup=-1),
        "PeriodicReset: `warmup` must be a whole number, at least 0, got -1.",
        "The paper has every=500, warmup=150.",
    ),
    "a slot that starts at the parameter": (
        lambda: PeriodicReset(
            chain(ADAM(), LearningRate(0.1), adamx.parts.LookaheadWeights())
        ),
        "PeriodicReset: the slots of `part` must start at numbers, got `slow` of",
        "Put what keeps it outside.",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_what_it_refuses(name):
    assert_told(*SENTENCES[name])
