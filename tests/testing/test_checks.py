"""Each law of `adamx.testing` finds what it is about, in the smallest example."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import testing
from adamx.testing import LAWS, RULE_LAWS, Example
from adamx.testing.examples import drawn
from adamx.testing.laws import Subject
from adamx.testing.transforms import broken


def stateless(f):
    """A transformation that is a function of each gradient."""
    return optax.stateless(lambda g, p: jax.tree.map(f, g))


def with_state(init, update):
    return optax.GradientTransformation(init, update)


def averaged(start, after):
    """One slot for each leaf: `start(p)`, then `after(m, g)`."""

    def update(g, m, params=None):
        m = jax.tree.map(after, m, g)
        return m, m

    return with_state(lambda p: jax.tree.map(start, p), update)


def counting():
    """A transformation that counts its calls outside the state."""
    calls = []

    def f(g):
        calls.append(1)
        return g * len(calls)

    return stateless(f)


def leaking():
    kept = []

    def f(g):
        kept.append(g)
        return g

    return stateless(f)


@jax.custom_batching.custom_vmap
def doubled(x):
    return 2 * x


@doubled.def_vmap
def _(axis_size, in_batched, x):
    return 3 * x, True


def mean_kept(p):
    return jax.tree.map(lambda x: jnp.zeros((), x.dtype), p)


def counter(p):
    return jnp.zeros((), jnp.int32)


def filled(g, p):
    """Zeros where there is a hole."""
    return jax.tree.map(
        lambda x: jnp.zeros(()) if x is None else x, g, is_leaf=lambda x: x is None
    )


def over_all(g, p):
    """The gradients over the size of the first leaf."""
    many = jax.tree.leaves(g)[0].size
    return jax.tree.map(lambda x: x / many, g)


BROKEN = {
    "init_of_shapes": lambda: averaged(
        lambda p: jnp.asarray(0 * np.asarray(p)), lambda m, g: m + g
    ),
    "updates_are_like_gradients": lambda: stateless(lambda g: g.astype(jnp.bfloat16)),
    "state_keeps_its_form": lambda: averaged(
        lambda p: jnp.zeros(p.shape, jnp.int32), lambda m, g: m + g
    ),
    "halves_keep_their_form": lambda: averaged(
        jnp.zeros_like, lambda m, g: m + g.astype(jnp.float32)
    ),
    "strict_promotion": lambda: stateless(lambda g: g * jnp.ones((), jnp.int32)),
    "empty_tree": lambda: optax.stateless(over_all),
    "leaf_without_elements": lambda: with_state(
        mean_kept, lambda g, m, p=None: (g, jax.tree.map(jnp.mean, g))
    ),
    "holes_stay_holes": lambda: optax.stateless(filled),
    "jit_is_eager": lambda: stateless(
        lambda g: 2 * g if isinstance(g, jax.core.Tracer) else g
    ),
    "scan_is_the_loop": counting,
    "vmap_is_the_loop": lambda: stateless(doubled),
    "no_tracer_leaks": leaking,
    "same_again": counting,
    "numpy_leaves": lambda: stateless(lambda g: g.at[()].multiply(2)),
    "state_owns_its_memory": lambda: averaged(lambda p: p, lambda m, g: m + g),
    "counters_saturate": lambda: with_state(counter, lambda g, n, p=None: (g, n + 1)),
    "finite_at_zero": lambda: stateless(lambda g: g / jnp.abs(g)),
    "derivative_is_the_difference_quotient": lambda: stateless(jax.lax.stop_gradient),
    "derivative_at_zero_is_finite": lambda: stateless(
        lambda g: g / (jnp.sqrt(g**2) + 1e-3)
    ),
}


class Meddling(adamx.Rule):
    """A rule that sees its whole leaf, and does not say so."""

    def apply(self, update, slots, ctx):
        return update - jnp.sum(update), slots


class Branching(adamx.Rule):
    """A rule with a Python branch on a hyperparameter."""

    b1: adamx.Hyper = adamx.hyper(0.9)

    def apply(self, update, slots, ctx):
        return (2 * update if self.b1 > 0.5 else update), slots


class Calling(adamx.Rule):
    """A rule with a field that does not pickle."""

    function: object = None

    def apply(self, update, slots, ctx):
        return update, slots


BROKEN_RULES = {
    "is_a_value": lambda: Calling(lambda x: x),
    "the_scope_holds": Meddling,
    "arrays_are_numbers": Branching,
}


def told(law, tx):
    """What breaks one law, on the usual trees."""
    examples = [Example(), *drawn(2, 0)]
    return broken(RULE_LAWS[law], Subject(tx, None, 16.0), examples)


@pytest.mark.parametrize("law", RULE_LAWS)
def test_a_law_finds_what_breaks_it_and_nothing_in_what_is_right(law):
    made = (BROKEN | BROKEN_RULES)[law]()
    if law == "no_tracer_leaks":
        # JAX then collects garbage and looks through all objects for what holds the
        # tracer, but not through frozen ones: of a worker that has run for long there
        # are millions, and one collection of them took a minute and a half.
        gc.freeze()
    assert told(law, made) is not None
    right = adamx.parts.Ema(0.9) if law in BROKEN_RULES else optax.scale(-0.5)
    assert told(law, right) is None


def only_matrices(g):
    return g if g.ndim < 2 else g.astype(jnp.bfloat16)


def test_the_example_is_the_smallest():
    """Of a transformation that is wrong for matrices only."""
    wanted = (
        r"check_transform: a \w+ must return updates with the structure and shapes of "
        r"the gradients, .* \(law `updates_are_like_gradients`\), got bfloat16\[1, 1\] "
        r"for float32\[1, 1\] at `a`, for parameters {a: float32\[1, 1\]} and 1 step. "
        r"Cast the updates back."
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=wanted):
            testing.check_transform(stateless(only_matrices))


def test_laws_are_left_out_by_name():
    tx = stateless(only_matrices)
    others = [law for law in LAWS if law != "updates_are_like_gradients"]
    testing.check_transform(tx, exempt=[*others, "updates_are_like_gradients"])
    with pytest.raises(ValueError, match="law `updates_are_like_gradients`"):
        testing.check_transform(tx, exempt=others)


def test_the_parameters_and_the_extra_arguments_are_those_given():
    seen = []

    def update(g, state, params, *, value):
        seen.append((jax.tree.map(jnp.shape, params), value))
        return g, state

    tx = optax.GradientTransformationExtraArgs(lambda p: (), update)
    names = {"kernel": jax.ShapeDtypeStruct((2, 5), "float32")}
    laws = [law for law in LAWS if law not in ("same_again", "strict_promotion")]
    given = {"params": names, "exempt": laws}
    testing.check_transform(tx, extra={"value": 3.0}, **given)
    testing.check_transform(tx, extra=lambda params, g: {"value": 4.0}, **given)
    assert seen[0] == ({"kernel": (2, 5)}, 3.0)
    assert seen[-1] == ({"kernel": (2, 5)}, 4.0)
    with pytest.raises(
        ValueError, match=r"TypeError: .*value.*kernel: float32\[2, 5\]"
    ):
        testing.check_transform(tx, **given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: testing.check_transform(3), "`tx` must be a gradient transformation"),
        (lambda: testing.broken_laws(None), "`tx` must be a gradient transformation"),
        (
            lambda: testing.check_rule(adamx.adam(0.1)),
            "`rule` must be an adamx.Rule, got .*use check_transform",
        ),
        (
            lambda: testing.check_transform(optax.scale(1.0), exempt=["jit_is_eagr"]),
            r"names of laws, got \['jit_is_eagr'\]. Did you mean 'jit_is_eager'",
        ),
        (
            lambda: testing.check_rule(adamx.parts.Ema(0.9), exempt="jit_is_eager"),
            "`exempt` must be a list of names of laws, got 'jit_is_eager'",
        ),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
