"""The rows of adam and adamw."""

import functools

import jax
import jax.numpy as jnp
import optax

import adamx
from adamx import chain
from adamx.parts import (
    Debiased,
    Ema,
    EpsBeforeCorrection,
    EpsInsideRoot,
    Identity,
    IndependentWeightDecay,
    LearningRate,
    Momentum,
    Precondition,
    RootPlusEps,
    WeightDecay,
    square,
)
from tests import papers
from tests.table.hyperparameters import SCHEDULES
from tests.table.row import RATE, Optimizer, Variant

ROWS = (
    Optimizer(
        "adam",
        (
            Variant("", in_optax=optax.adam),
            Variant(
                "coarse",
                {"b1": 0.6, "b2": 0.9, "eps": 1e-2},
                in_optax=functools.partial(optax.adam, b1=0.6, b2=0.9, eps=1e-2),
            ),
            Variant(
                "no-b1", {"b1": 0.0}, in_optax=functools.partial(optax.adam, b1=0.0)
            ),
            Variant(
                "hat",
                {"eps": adamx.parts.EpsBeforeCorrection(1e-3)},
                oracle="adam_eps_hat",
                oracle_keywords={"eps": 1e-3},
            ),
            Variant(
                "root",
                {"eps": adamx.parts.EpsInsideRoot(1e-4, 1e-6)},
                oracle="adam_eps_root",
                oracle_keywords={"eps_root": 1e-4, "eps": 1e-6},
                in_optax=functools.partial(optax.adam, eps_root=1e-4, eps=1e-6),
            ),
            Variant(
                "max",
                {"eps": adamx.parts.EpsAsFloor(0.3)},
                oracle="adam_eps_max",
                oracle_keywords={"eps": 0.3},
            ),
        ),
        hypers=("b1", "b2", "eps"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
    Optimizer(
        "adamw",
        (
            Variant("", oracle_keywords={"weight_decay": 1e-4}, in_optax=optax.adamw),
            Variant(
                "torch",
                {"weight_decay": 1e-2},
                in_optax=functools.partial(optax.adamw, weight_decay=1e-2),
            ),
            Variant(
                "heavy",
                {"weight_decay": 0.3, "b2": 0.99, "eps": 1e-4},
                in_optax=functools.partial(
                    optax.adamw, weight_decay=0.3, b2=0.99, eps=1e-4
                ),
            ),
        ),
        hypers=("b1", "b2", "eps", "weight_decay"),
        slots=("mu", "nu"),
        scale_free_from=1,
    ),
)

B1, B2, EPS = 0.9, 0.999, 1e-8


def adam_of(mu=None, nu=None, eps=EPS, then=()):
    """Adam of its parts, one of them exchanged for a wrong one."""
    mu = Debiased(Ema(B1)) if mu is None else mu
    nu = Debiased(Ema(B2, of=square, name="nu")) if nu is None else nu
    return chain(Precondition(mu, by=RootPlusEps(nu, eps)), *then, LearningRate(RATE))


def counting_from(start):
    """Adam whose first step believes to be step `start + 1`."""
    right = adamx.adam(RATE)

    def init(params):
        return right.init(params)._replace(count=jnp.asarray(start, jnp.int32))

    return optax.GradientTransformation(init, right.update)


def correction_of_the_next_step():
    """Adam that corrects by 1 - b^(t+1); the state counts as it should."""
    right = adamx.adam(RATE)

    def update(g, state, params=None):
        ahead = state._replace(count=state.count + 1)
        updates, after = right.update(g, ahead, params)
        return updates, after._replace(count=state.count + 1)

    return optax.GradientTransformation(right.init, update)


def frozen_on_a_zero_gradient(right):
    def update(g, state, params=None):
        updates, after = right.update(g, state, params)
        zero = jnp.all(jnp.stack([jnp.all(x == 0) for x in jax.tree.leaves(g)]))
        return updates, jax.tree.map(lambda a, b: jnp.where(zero, a, b), state, after)

    return optax.GradientTransformation(right.init, update)


def silent_on_a_zero_gradient(right):
    """The state goes on, but the momentum does not move the parameters."""

    def update(g, state, params=None):
        updates, after = right.update(g, state, params)
        zero = jnp.all(jnp.stack([jnp.all(x == 0) for x in jax.tree.leaves(g)]))
        return jax.tree.map(lambda u: jnp.where(zero, 0.0, u), updates), after

    return optax.GradientTransformation(right.init, update)


def adamw_of(*parts):
    return chain(adamx.scale_by_adam(), *parts)


DECAY = 0.1

ADAMW = (papers.adamw, {"weight_decay": DECAY})

PLAIN_ADAM = (papers.adam, {})

SCHEDULED_RATE = {"learning_rate": SCHEDULES["learning_rate"]}


def scale_by_adam(eps=1e-8):
    second = Debiased(Ema(0.999, of=square, name="nu"))
    return Precondition(Debiased(Ema(0.9)), by=RootPlusEps(second, eps))


# name: (what it pretends to be, the wrong transform)
MUTANTS = {
    "no correction": (
        PLAIN_ADAM,
        lambda: adam_of(Ema(B1), Ema(B2, of=square, name="nu")),
    ),
    "first moment not corrected": (PLAIN_ADAM, lambda: adam_of(mu=Ema(B1))),
    "second moment not corrected": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Ema(B2, of=square, name="nu")),
    ),
    "correction one step late": (PLAIN_ADAM, lambda: counting_from(1)),
    "correction of the next step": (PLAIN_ADAM, correction_of_the_next_step),
    "b2 := b1": (PLAIN_ADAM, lambda: adamx.adam(RATE, B1, B1)),
    "b1 := b2": (PLAIN_ADAM, lambda: adamx.adam(RATE, B2, B2)),
    "update x 1.5": (PLAIN_ADAM, lambda: chain(adamx.adam(RATE), optax.scale(1.5))),
    "update x (1 + 1e-9)": (PLAIN_ADAM, lambda: adamx.adam(RATE * (1 + 1e-9))),
    "eps inside the root": (PLAIN_ADAM, lambda: adam_of(eps=EpsInsideRoot(EPS))),
    "eps before the correction": (
        PLAIN_ADAM,
        lambda: adam_of(eps=EpsBeforeCorrection(EPS)),
    ),
    "eps dropped": (PLAIN_ADAM, lambda: adam_of(eps=0.0)),
    "gradient instead of the moment": (PLAIN_ADAM, lambda: adam_of(mu=Identity())),
    "moment of the square of the wrong decay": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(0.9991, of=square, name="nu"))),
    ),
    "gradient read for the square": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(B2, name="nu"))),
    ),
    "coefficients of the first average swapped": (
        PLAIN_ADAM,
        lambda: adam_of(mu=Debiased(Ema(1 - B1))),
    ),
    "coefficients of the second average swapped": (
        PLAIN_ADAM,
        lambda: adam_of(nu=Debiased(Ema(1 - B2, of=square, name="nu"))),
    ),
    "sum instead of an average": (PLAIN_ADAM, lambda: adam_of(mu=Momentum(B1))),
    "decay not decoupled": (ADAMW, lambda: chain(WeightDecay(DECAY), adam_of())),
    "decay dropped": (ADAMW, adam_of),
    "decay of the wrong sign": (
        ADAMW,
        lambda: adamw_of(optax.add_decayed_weights(-DECAY), LearningRate(RATE)),
    ),
    "decay x rate twice": (
        ADAMW,
        lambda: adamw_of(WeightDecay(DECAY * RATE), LearningRate(RATE)),
    ),
    "decay x rate never": (
        ADAMW,
        lambda: adamw_of(LearningRate(RATE), IndependentWeightDecay(DECAY)),
    ),
    "state not advanced on a zero gradient": (
        PLAIN_ADAM,
        lambda: frozen_on_a_zero_gradient(adamx.adam(RATE)),
    ),
    "no movement on a zero gradient": (
        PLAIN_ADAM,
        lambda: silent_on_a_zero_gradient(adamx.adam(RATE)),
    ),
    "schedule counted from one": (
        (papers.adam, SCHEDULED_RATE),
        lambda: adamx.adam(lambda k: SCHEDULES["learning_rate"](k + 1)),
    ),
}

# Published forms that are a part exchanged: name: (the transform, oracle, keywords).
COMPOSED = {
    "adam of its parts": (
        lambda: chain(scale_by_adam(), LearningRate(RATE)),
        papers.adam,
        {},
    ),
    "adam with L2": (
        lambda: chain(WeightDecay(0.1), adamx.adam(RATE)),
        papers.adam_l2,
        {"weight_decay": 0.1},
    ),
    "adamw of its parts": (
        lambda: chain(scale_by_adam(), WeightDecay(0.1), LearningRate(RATE)),
        papers.adamw,
        {"weight_decay": 0.1},
    ),
    "adamw with a decay independent of the rate": (
        lambda: chain(adamx.adam(RATE), IndependentWeightDecay(0.01)),
        papers.adamw_independent,
        {"weight_decay": 0.01},
    ),
    "adamw by the paper's schedule multiplier": (
        lambda: chain(
            adamx.adam(lambda k: RATE / (1.0 + k)),
            IndependentWeightDecay(lambda k: 0.01 / (1.0 + k)),
        ),
        papers.adamw_independent,
        {"weight_decay": 0.01, "schedule": lambda k: 1.0 / (1.0 + k)},
    ),
    "adam with eps-hat as its paper's last form": (
        lambda: adamx.adam(RATE, eps=EpsBeforeCorrection(1e-4)),
        papers.adam_eps_hat,
        {"eps": 1e-4},
    ),
}
