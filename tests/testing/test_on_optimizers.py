"""The laws of `adamx.testing` on adamx's own rules and optimizers, and on Optax's."""

import pytest

import adamx
from adamx import testing
from adamx.testing import LAWS
from adamx.testing.laws import Subject
from adamx.testing.transforms import broken, examples_of
from docs import optax_laws
from tests.table.cases import OPTIMIZERS, SMALL
from tests.table.row import kept

ELSEWHERE = (
    "init_of_shapes",
    "updates_are_like_gradients",
    "state_keeps_its_form",
    "halves_keep_their_form",
    "strict_promotion",
    "empty_tree",
    "leaf_without_elements",
    "holes_stay_holes",
    "jit_is_eager",
    "scan_is_the_loop",
    "vmap_is_the_loop",
    "numpy_leaves",
    "state_owns_its_memory",
    "counters_saturate",
    "finite_at_zero",
    "derivative_at_zero_is_finite",
)
"""What tests/laws has for all optimizers, in more dtypes and to closer tolerances."""

QUOTIENT = "derivative_is_the_difference_quotient"
CONSTANT_IN_DERIVATIVES = {
    "dion": "its left factor",
    "kl_soap": "its bases",
}
"""The optimizers of which a part is a constant in derivatives, and which part."""

BROKEN_IN_THE_SAMPLE = ("adam",)


SGD = [row for row in OPTIMIZERS if row.name == "sgd"]
RULES = {
    "average": lambda: adamx.parts.Ema(0.9),
    "adam": adamx.scale_by_adam,
    "adabelief": adamx.scale_by_adabelief,
    "yogi": adamx.scale_by_yogi,
    "clipping": lambda: adamx.parts.ClipByRms(0.5),
    "decay": lambda: adamx.parts.WeightDecay(0.1),
}


@pytest.mark.parametrize("name", ["average"] if SMALL else RULES)
def test_rules_have_every_law(name):
    testing.check_rule(RULES[name](), examples=1 if SMALL else 4)


@pytest.mark.parametrize("row", SGD if SMALL else OPTIMIZERS, ids=lambda row: row.name)
def test_optimizers_have_the_other_laws(row):
    constant = [QUOTIENT] if row.name in CONSTANT_IN_DERIVATIVES else []
    testing.check_transform(kept(row, row.variants[0]), exempt=[*ELSEWHERE, *constant])


def names():
    every = (*optax_laws.ALIASES, *optax_laws.CONTRIB)
    return BROKEN_IN_THE_SAMPLE if SMALL else every


@pytest.mark.parametrize("name", names())
def test_optimizers_of_optax_break_what_the_table_says(name):
    """In the small grid the laws that are broken, in the full one all others too."""
    wanted = optax_laws.recorded()[name]
    if not SMALL:
        assert sorted(optax_laws.broken(name)) == wanted
        return
    subject = Subject(optax_laws.built(name), optax_laws.EXTRA.get(name), 16.0)
    for law in wanted:
        assert broken(LAWS[law], subject, examples_of(None, 1, 0)) is not None, law


def test_the_table_has_every_optimizer():
    assert [*optax_laws.recorded()] == [*optax_laws.ALIASES, *optax_laws.CONTRIB]
