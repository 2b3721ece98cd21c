"""A test of the tests: wrong optimizers, each of which the oracle check must catch.

Every mutant goes through `assert_follows`, the very check that the optimizers pass in
test_follow_papers.py, against the oracle of the optimizer that it pretends to be. They
stand in tests/table, each beside the row of its optimizer; the small grid has the
first of each file.
"""

import jax.numpy as jnp
import pytest

import adamx
from adamx.parts import LearningRate, WeightDecay
from tests import papers
from tests.support.agreement import assert_follows, from_disk, wanted
from tests.table import MUTANTS, first_mutants
from tests.table.adam import ADAMW, DECAY, PLAIN_ADAM, adam_of, adamw_of, counting_from
from tests.table.cases import SMALL
from tests.table.radam import radam_of
from tests.table.row import RATE
from tests.table.sgd import NESTEROV

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]


def check(pretended, make, restore=from_disk):
    oracle, keywords = pretended
    expected = wanted(oracle, **{"learning_rate": RATE, **keywords})
    assert_follows(make, expected, restore=restore)


@pytest.mark.parametrize("name", first_mutants() if SMALL else MUTANTS)
def test_the_mutant_is_caught(name):
    pretended, make = MUTANTS[name]
    with pytest.raises(AssertionError):
        check(pretended, make)


# What a wrong checkpoint would bring back: (tx, saved state, params) -> state.
WRONG_RESTORES = {
    "count forgotten": lambda tx, state, params: state._replace(
        count=jnp.zeros((), jnp.int32)
    ),
    "count one ahead": lambda tx, state, params: state._replace(count=state.count + 1),
    "state forgotten": lambda tx, state, params: tx.init(params),
    "moments swapped": lambda tx, state, params: state._replace(
        slots={"mu": state.slots["nu"], "nu": state.slots["mu"]}
    ),
    "moments forgotten": lambda tx, state, params: tx.init(params)._replace(
        count=state.count
    ),
}


@pytest.mark.parametrize("name", WRONG_RESTORES)
def test_a_wrong_restart_is_caught(name):
    wrong = WRONG_RESTORES[name]

    def restore(tx, state, params):
        return wrong(tx, from_disk(tx, state, params), params)

    with pytest.raises(AssertionError):
        check(PLAIN_ADAM, lambda: adamx.adam(RATE), restore)


@pytest.mark.parametrize(
    ("pretended", "make"),
    [
        (PLAIN_ADAM, adam_of),
        (PLAIN_ADAM, lambda: counting_from(0)),
        (ADAMW, lambda: adamw_of(WeightDecay(DECAY), LearningRate(RATE))),
        (NESTEROV, lambda: adamx.sgd(RATE, 0.9, nesterov=True)),
        ((papers.radam, {}), radam_of),
    ],
    ids=["adam", "adam counted", "adamw", "nesterov", "radam"],
)
def test_what_the_mutants_were_made_from_passes(pretended, make):
    check(pretended, make)
