"""Checks of a rule, a codec or a transformation of your own.

    adamx.testing.check_transform(my_optimizer(1e-3))
    adamx.testing.check_rule(MyRule())
    adamx.testing.check_storage(MyCodec())

The first two go through laws, by name in `LAWS` and `RULE_LAWS`. The error says which
law does not hold, and the smallest example found. `broken_laws` returns all that do not
hold. The examples are the same in each run.
"""

from .examples import Example as Example
from .rules import RULE_LAWS as RULE_LAWS, check_rule as check_rule
from .storage import check_storage as check_storage, kept_slot as kept_slot
from .transforms import (
    LAWS as LAWS,
    broken_laws as broken_laws,
    check_transform as check_transform,
)
