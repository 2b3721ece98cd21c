"""Published forms that are an optimizer with a part exchanged, each in one line.

The check is the one that the optimizers pass in test_follow_papers.py.
"""

import pytest

from tests.support.agreement import assert_follows, wanted
from tests.table import COMPOSED
from tests.table.row import RATE

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]


@pytest.mark.parametrize("form", COMPOSED)
def test_a_published_form_is_a_part_exchanged(form):
    make, oracle, keywords = COMPOSED[form]
    assert_follows(make, wanted(oracle, **{"learning_rate": RATE, **keywords}))
