"""The laws of `adamx.testing` on adamx's own rules and optimizers, and on Optax's."""

import pytest

import adamx
from adamx import testing
from adamx.testing import LAWS
from adamx.testing.laws import Subject
from adamx.testing.transforms import broken, examples_of
from docs import optax_laws
from tests.table.cases import OPTIMIZERS, SMALL, sampled
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
    "soap": "its bases",
    "splus": "its bases",
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
    """A leak, and numbers kept outside the state, are a matter of the engine alone."""
    exempt = [*ELSEWHERE]
    if row.name in CONSTANT_IN_DERIVATIVES:
        exempt.append(QUOTIENT)
    if row not in sampled():
        exempt += ["no_tracer_leaks", "same_again"]
    testing.check_transform(kept(row, row.variants[0]), exempt=exempt)


def names():
    every = (*optax_laws.ALIASES, *optax_laws.CONTRIB)
    return BROKEN_IN_THE_SAMPLE if SMALL else every


@pytest.mark.parametrize("name", names())
def test_optimizers_of_optax_break_what_the_table_says(name):
    """And in the full grid none of the other laws that are only traced.

    `python -m docs.optax_laws` goes through all of them.
    """
    wanted = optax_laws.recorded()[name]
    given, params = optax_laws.EXTRA.get(name), optax_laws.PARAMS.get(name)
    subject = Subject(optax_laws.built(name), given, 16.0)
    for law in LAWS:
        if law in wanted or (LAWS[law].traced and not SMALL):
            told = broken(LAWS[law], subject, examples_of(params, 1, 0))
            assert (told is not None) == (law in wanted), (law, told)


def test_the_table_has_every_optimizer():
    assert [*optax_laws.recorded()] == [*optax_laws.ALIASES, *optax_laws.CONTRIB]
