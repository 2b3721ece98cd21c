"""How trainers build optimizers, with `adamx.interop.optax` in the place of Optax.

Each construction is written anew after its project, in a function of the module `of`:
the test runs it with Optax and beside it, and compares numbers and states.
"""

import operator
import re

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx.interop.optax as beside
from tests.interop.optax_calls import apart, data, form, run

COSINE = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 3, 20)


def paths(params, pattern):
    """A mask of the leaves whose path is found, as in scenic and big_vision."""
    named = re.compile(pattern).search

    def one(keys, _):
        return bool(named(jax.tree_util.keystr(keys, simple=True, separator="/")))

    return jax.tree_util.tree_map_with_path(one, params)


def maxtext(of, params):
    """`opt_type: adamw` of MaxText, with the betas of Llama 2."""
    return of.adamw(COSINE, b1=0.9, b2=0.95, eps=1e-8, eps_root=0.0, weight_decay=0.1)


def maxtext_outer(of, params):
    """The outer optimizer of MaxText's DiLoCo."""
    return of.sgd(0.7, momentum=0.9, nesterov=True)


def levanter(of, params):
    """`AdamConfig.build` of Levanter: links in `inject_hyperparams`."""

    def optimizer(learning_rate):
        return of.chain(
            of.clip_by_global_norm(1.0),
            of.scale_by_adam(0.9, 0.95, 1e-8, nesterov=False),
            of.add_decayed_weights(0.1, paths(params, "0|1")),
            of.scale(-learning_rate),
        )

    return of.inject_hyperparams(optimizer)(learning_rate=COSINE)


def easylm(of, params):
    """The AdamW of EasyLM, with a first moment in bfloat16 or float32."""
    adamw = of.adamw(
        learning_rate=COSINE,
        weight_decay=1e-4,
        b1=0.9,
        b2=0.95,
        mask=paths(params, "0|1"),
        mu_dtype=jnp.float32,
    )
    return of.MultiSteps(of.chain(of.clip_by_global_norm(1.0), adamw), 2)


def easylm_palm(of, params):
    """The PaLM optimizer of EasyLM: Adafactor without factors."""
    adafactor = of.adafactor(
        learning_rate=lambda step: 1 / jnp.sqrt(jnp.maximum(step, 100.0)),
        multiply_by_parameter_scale=True,
        momentum=0.9,
        decay_rate=0.99,
        factored=False,
        clipping_threshold=None,
        dtype_momentum=jnp.float32,
    )
    return of.chain(of.clip_by_global_norm(1.0), adafactor)


def scenic(of, params):
    """`get_optimizer` of scenic: a name and keywords, frozen leaves."""
    config = {"optimizer": "adamw", "weight_decay": 0.1, "b2": 0.99}
    frozen = paths(params, "2")
    make = getattr(of, config.pop("optimizer"))
    trained = jax.tree.map(operator.not_, frozen)
    return of.chain(
        of.clip_by_global_norm(1.0),
        of.masked(make(learning_rate=COSINE, **config), trained),
        of.masked(of.set_to_zero(), frozen),
    )


def big_vision(of, params):
    """`make` of big_vision: `scale_by_adam` by its name, masks for each part."""
    tx = operator.attrgetter("scale_by_adam")(of)
    return of.chain(
        of.clip_by_global_norm(1.0),
        of.masked(tx(b2=0.95, mu_dtype="float32"), paths(params, ".")),
        of.scale(1e-3),
        of.masked(of.scale(0.1), paths(params, "2")),
        of.add_decayed_weights(1e-4, paths(params, "0|1")),
        of.masked(of.scale_by_schedule(COSINE), paths(params, ".")),
        of.scale(-1.0),
    )


def big_vision_adafactor(of, params):
    """The Adafactor of big_vision, whose decay has a cap: Optax computes it."""

    def capped(step, exponent):
        t = jnp.asarray(step, jnp.float32) + 1.0
        return jnp.minimum(0.999, 1.0 - t ** (-exponent))

    return of.chain(
        of.scale_by_factored_rms(min_dim_size_to_factor=2, decay_rate_fn=capped),
        of.ema(0.9, debias=False, accumulator_dtype=jnp.bfloat16),
        of.scale_by_learning_rate(COSINE),
    )


def t5x(of, params):
    """What T5X wraps: an optimizer whose states are in its registry of rules."""
    return of.chain(of.clip(1.0), of.adamw(COSINE, mask=paths(params, "0|1")))


BUILDS = (maxtext, maxtext_outer, levanter, easylm, easylm_palm, scenic, big_vision)
BUILDS += (big_vision_adafactor, t5x)


SINGLE = {
    easylm: "the first moment is in float32",
    big_vision: "the first moment is in float32",
    easylm_palm: "the first moment is in float32, and Optax's decay too",
}
"""What has numbers of float32 in it under x64 too."""


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_the_construction_gives_the_numbers_and_the_state_of_optax(build, x64):
    params, grads = data(jnp.float64, 12)
    bound = 1e-6 if build in SINGLE else 1e-12
    (u, state, _), (v, other, _) = (
        run(build(of, params), params, grads) for of in (beside, optax)
    )
    assert apart(u, v) <= bound
    assert form(state) == form(other)


# T5X has a rule for each class of state, and raises an error for any other.
RULES = {
    optax.EmptyState: lambda state, axes: state,
    optax.ScaleByAdamState: lambda state, axes: optax.ScaleByAdamState(
        None, axes, axes
    ),
    optax.ScaleByScheduleState: lambda state, axes: optax.ScaleByScheduleState(None),
    optax.MaskedState: lambda state, axes: optax.MaskedState(
        by_rules(state.inner_state, axes)
    ),
}


def is_state(x):
    return isinstance(x, tuple) and type(x).__name__.endswith("State")


def by_rules(state, axes):
    leaves, structure = jax.tree.flatten(state, is_leaf=is_state)
    return structure.unflatten([RULES[type(x)](x, axes) for x in leaves])


def test_every_state_is_in_the_registry_of_t5x():
    params, _ = data(jnp.float32, 1)
    state = t5x(beside, params).init(params)
    placed = by_rules(state, {"0": "model", "1": "data", "2": None})
    assert placed[1][0].mu == {"0": "model", "1": "data", "2": None}


def test_states_are_found_by_their_class_as_in_big_vision():
    params, grads = data(jnp.float32, 4)
    _, state, _ = run(big_vision(beside, params), params, grads)

    def find(kind):
        leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind))
        return [x for x in leaves if isinstance(x, kind)]

    (counted,) = find(optax.ScaleByScheduleState)
    assert int(counted.count) == 4
    (adam,) = find(optax.ScaleByAdamState)
    assert adam.mu["0"].shape == params["0"].shape
