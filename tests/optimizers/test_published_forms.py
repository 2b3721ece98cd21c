"""The wider family: its other published forms, and wrong members that must be caught.

The check is the one that the members pass in tests/optimizers/test_follow_papers.py.
"""

import pytest

from tests.support.agreement import assert_follows, wanted
from tests.table import COMPOSED, MUTANTS
from tests.table.row import RATE

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name):
    (oracle, keywords), make = MUTANTS[name]
    expected = wanted(oracle, **{"learning_rate": RATE, **keywords})
    with pytest.raises(AssertionError):
        assert_follows(make, expected)


@pytest.mark.parametrize("form", COMPOSED)
def test_a_published_form_is_a_part_exchanged(form):
    make, oracle, keywords = COMPOSED[form]
    assert_follows(make, wanted(oracle, **{"learning_rate": RATE, **keywords}))
