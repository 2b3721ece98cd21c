"""The laws of `adamx.testing`, asserted of the little trees of the tests."""

import dataclasses
from typing import Any

import jax

from adamx.testing import Example
from adamx.testing.laws import Subject


@dataclasses.dataclass(frozen=True)
class Given(Example):
    """An example whose trees are given, not drawn."""

    trees: Any = None

    def params(self):
        return self.trees[0]

    def gradients(self):
        return self.trees[1]


def assert_law(law, tx, params, gradients, ulps=0, jit=jax.jit):
    """`tx` has the law for these parameters and gradients, also in its state.

    With `jit=None` the loop and what is compared with it run as they are: an update of
    adamx is one compiled program, so that the steps of a loop cost one.
    """
    jit = jit or (lambda f: f)
    subject = Subject(tx, None, ulps, jit=jit, whole=True)
    given = Given(steps=len(gradients), trees=(params, list(gradients)))
    told = law(subject, given)
    assert told is None, told
