"""Bad values and compositions get one sentence that says what to do, when built.

"Where: what must hold, got what. Meaning; remedy." Nothing has been computed by then.
"""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import adagrad, adam, adamw, chain, radam, rmsprop, sgd
from adamx.parts import (
    Clip,
    ClipByGlobalNorm,
    Debiased,
    Ema,
    LearningRate,
    Momentum,
    Precondition,
    RootPlusEps,
    SquaredDeviation,
    square,
)
from tests.support.error_messages import PARAMS, assert_told, message, step

# name: (the mistake, the beginning of the sentence, its remedy)
AVERAGE = "It is the weight of the past; to average over about n steps pass 1 - 1/n."
RATE = "It is the length of a step, and steps go downhill by themselves."
ARITY = "Bind the others first, for example with adamx.schedule or functools.partial."
NUMBER = "A schedule is a function of the steps already taken."
UNSAID = "Give one of them another name=."
REAL = "must be a real number, a floating array or a schedule, got"
CASES = {
    # Values: when the part is built.
    "decay of one": (
        lambda: Ema(1.0),
        "Ema: `decay` must lie in [0, 1), got 1.0.",
        AVERAGE,
    ),
    "decay below zero": (
        lambda: Ema(-0.1),
        "Ema: `decay` must lie in [0, 1), got -0.1.",
        AVERAGE,
    ),
    "decay of nan": (
        lambda: Ema(float("nan")),
        "Ema: `decay` must lie in [0, 1), got nan.",
        AVERAGE,
    ),
    "decay of text": (lambda: Ema("0.9"), f"Ema: `decay` {REAL} '0.9'.", "decay=0.9."),
    "b1 of one": (
        lambda: adam(0.1, b1=1.0),
        "adam: `b1` must lie in [0, 1), got 1.0.",
        AVERAGE,
    ),
    "b2 above one": (
        lambda: radam(0.1, b2=2),
        "radam: `b2` must lie in [0, 1), got 2",
        AVERAGE,
    ),
    "decay of rmsprop": (
        lambda: rmsprop(0.1, 1.5),
        "rmsprop: `decay` must lie in [0, 1), got 1.5.",
        AVERAGE,
    ),
    "momentum above one": (
        lambda: sgd(0.1, 1.5),
        "sgd: `momentum` must lie in [0, 1), got 1.5.",
        "It is the share of the last step that is kept.",
    ),
    "dampening above one": (
        lambda: sgd(0.1, 0.5, dampening=1.5),
        "sgd: `dampening` must lie in [0, 1], got 1.5.",
        "It is the share of the gradient that is left out.",
    ),
    "Nesterov without momentum": (
        lambda: Momentum(0.0, nesterov=True),
        "Momentum: Nesterov's momentum must have a momentum above 0",
        "set momentum=0.9, dampening=0, or nesterov=False.",
    ),
    "Nesterov with dampening": (
        lambda: sgd(0.1, 0.9, nesterov=True, dampening=0.1),
        "Momentum: Nesterov's momentum must have a momentum above 0",
        "set momentum=0.9, dampening=0, or nesterov=False.",
    ),
    "negative rate": (
        lambda: adam(-0.1),
        "adam: `learning_rate` must be at least 0, got -0.1.",
        RATE,
    ),
    "rate of nan": (
        lambda: adam(float("nan")),
        "adam: `learning_rate` must be finite and at least 0, got nan.",
        RATE,
    ),
    "no rate": (lambda: adam(None), f"adam: `learning_rate` {REAL}", NUMBER),
    "rate of True": (
        lambda: adam(True),
        f"adam: `learning_rate` {REAL} True.",
        NUMBER,
    ),
    "complex rate": (
        lambda: adam(jnp.asarray(1j)),
        f"adam: `learning_rate` {REAL} an array of dtype complex64.",
        "Pass learning_rate.astype(float).",
    ),
    "array of bools for a rate": (
        lambda: adam(jnp.asarray(True)),
        f"adam: `learning_rate` {REAL} an array of dtype bool.",
        "Pass learning_rate.astype(float).",
    ),
    "integer vector for a rate": (
        lambda: adam(jnp.asarray([1])),
        f"adam: `learning_rate` {REAL} an array of dtype int32.",
        "Pass learning_rate.astype(float).",
    ),
    "negative eps": (
        lambda: adam(0.1, eps=-1.0),
        "adam: `eps` must be at least 0, got -1.0.",
        "It keeps the division finite; 1e-8 is usual.",
    ),
    "eps of text": (
        lambda: adam(0.1, eps="x"),
        f"adam: `eps` {REAL} 'x'.",
        "Pass a number such as eps=0.001.",
    ),
    "negative weight decay": (
        lambda: adamw(0.1, weight_decay=-1.0),
        "adamw: `weight_decay` must be at least 0, got -1.0.",
        "It pulls the parameters towards zero; 0.01 is usual.",
    ),
    "threshold below four": (
        lambda: radam(0.1, threshold=3.0),
        "radam: `threshold` must be at least 4, got 3.0.",
        "Below 4 the variance is not defined; 5 is usual.",
    ),
    "negative accumulator": (
        lambda: adagrad(0.1, initial_accumulator=-1.0),
        "adagrad: `initial_accumulator` must be at least 0, got -1.0.",
        "",
    ),
    "negative norm": (
        lambda: ClipByGlobalNorm(-1.0),
        "ClipByGlobalNorm: `max_norm` must be above 0, got -1.0.",
        "It bounds the norm of the whole update; 1 is usual.",
    ),
    "negative bound": (
        lambda: Clip(-1.0),
        "Clip: `max_delta` must be above 0, got -1.0.",
        "It bounds the size of every element.",
    ),
    # Schedules and arrays.
    "schedule of nothing": (
        lambda: adam(lambda: 0.1),
        "adam: the schedule for `learning_rate` must take one argument,",
        ARITY,
    ),
    "schedule of two": (
        lambda: adam(0.1, b1=lambda count, total: 0.9),
        "adam: the schedule for `b1` must take one argument,",
        ARITY,
    ),
    "schedule of a vector": (
        lambda: step(adam(lambda k: jnp.ones(3))),
        "LearningRate: the schedule for `learning_rate` must return one number,",
        "A hyperparameter is a scalar; use jax.vmap to run several.",
    ),
    "schedule of text": (
        lambda: step(adam(lambda k: "fast")),
        "LearningRate: the schedule for `learning_rate` must return one number,",
        "",
    ),
    "schedule that forgets to return": (
        lambda: step(adam(lambda k: None)),
        "LearningRate: the schedule for `learning_rate` must return one number,",
        "",
    ),
    "vector of rates": (
        lambda: step(adam(jnp.ones(3))),
        "update: a hyperparameter must be one number, got an array of shape (3,)",
        "Use jax.vmap to run several at once.",
    ),
    "schedule from no factory": (
        lambda: adamx.schedule(0.1),
        "schedule: `factory` must be a function that returns a schedule, got 0.1.",
        "Pass for example optax.cosine_decay_schedule and its arguments.",
    ),
    "schedule with a wrong keyword": (
        lambda: adamx.schedule(optax.cosine_decay_schedule, nope=3),
        "schedule: schedule(optax.cosine_decay_schedule, nope=3) fails:",
        "",
    ),
    # Composition.
    "two slots with one name": (
        lambda: chain(Ema(0.9), Ema(0.8)),
        ": each slot name must belong to one part, got `mu` twice, the second time"
        " from Ema(0.8).",
        UNSAID,
    ),
    "two directions with one name": (
        lambda: chain(adamx.scale_by_adam(), adamw(0.1)),
        ": each slot name must belong to one part, got `mu` twice,",
        UNSAID,
    ),
    "two moments with one name": (
        lambda: Precondition(Ema(0.9), by=RootPlusEps(Ema(0.9, of=square))).init(
            PARAMS
        ),
        "Precondition: each slot name must belong to one part, got `mu` twice,",
        UNSAID,
    ),
    "a reading of a slot that is not there": (
        lambda: step(Ema(0.9, of=SquaredDeviation("m"), name="nu")),
        "SquaredDeviation: `slot` must be kept by a part of the same chain, got 'm'.",
        "There is 'nu'.",
    ),
    "a number in a chain": (
        lambda: chain(adam(0.1), 3),
        "chain: every part must be a rule or a gradient transformation, got 3.",
        "Pass for example adamx.scale_by_adam(), or an optimizer.",
    ),
    "a factory in a chain": (
        lambda: chain(optax.adam),
        "chain: every part must be a rule or a gradient transformation, got the",
        "Call it: adam(...).",
    ),
    "a function of the updates in a chain": (
        lambda: chain(lambda updates: updates),
        "chain: every part must be a rule or a gradient transformation, got the",
        "For a function of the updates use optax.stateless.",
    ),
    "correction of what is no average": (
        lambda: Debiased(Momentum(0.9)),
        "Debiased: `moment` must be an average with a decay, such as Ema(0.9), got"
        " Momentum(0.9).",
        "Only a weighted average has a zero start to correct.",
    ),
    "a root of a number": (
        lambda: RootPlusEps(3),
        "RootPlusEps: `moment` must be a rule on one leaf, such as Ema(0.9), got 3.",
        "What sees the whole tree goes into adamx.chain beside it.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_a_sentence(name):
    assert_told(*CASES[name])


def test_rprop_takes_no_step_back_without_pausing():
    with pytest.raises(ValueError, match="rprop: `backtrack` must go with `pause`"):
        adamx.rprop(0.1, pause=False, backtrack=True)


# Keywords of Optax that adamx spells otherwise, and a word that must be in the answer.
OTHERWISE = {
    "mu_dtype": (lambda: adam(0.1, mu_dtype=jnp.bfloat16), "float32"),
    "eps_root": (lambda: adam(0.1, eps_root=1e-8), "EpsInsideRoot"),
    "adamw mu_dtype": (lambda: adamw(0.1, mu_dtype=jnp.bfloat16), "float32"),
    "initial_accumulator_value": (
        lambda: adagrad(0.1, initial_accumulator_value=0.2),
        "Pass initial_accumulator=.",
    ),
    "eps_in_sqrt": (lambda: rmsprop(0.1, eps_in_sqrt=False), "EpsOutsideRoot"),
    "initial_scale": (lambda: rmsprop(0.1, initial_scale=1.0), "Averages start at 0"),
    "accumulator_dtype": (lambda: sgd(0.1, accumulator_dtype=jnp.float16), "float32"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_keyword_of_optax_that_is_spelt_otherwise_is_explained(name):
    mistake, word = OTHERWISE[name]
    text = message(mistake)
    assert name.split()[-1] in text
    assert word in text


def test_what_is_not_a_mistake_is_let_through():
    """Zero decays, a zero rate, tracers and integers for numbers are all right."""
    for tx in (
        Ema(0.0),
        Ema(0),
        adam(0.0),
        adam(1),
        adam(0.1, b1=0.0, b2=0.0),
        sgd(0.1, 0.0),
        radam(0.1, threshold=4),
        chain(),
        LearningRate(jnp.float32(-0.1)),
    ):
        updates, _ = step(tx)
        assert jax.tree.structure(updates) == jax.tree.structure(PARAMS)
    built = jax.eval_shape(lambda b: adam(b, b1=b, b2=b, eps=b), jnp.float32(2))
    assert len(jax.tree.leaves(built)) == 4
