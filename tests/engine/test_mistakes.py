"""Mistakes in a call, and the sentence that each gets.

The sentence names the function and the keyword that the user has written, not the part
behind them, shows the value in short, and says what to write instead.
"""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import chain
from adamx.parts import Ema
from tests.support.error_messages import PARAMS, assert_told, message

A_NUMBER = "must be a real number, a floating array or a schedule, got"
ONE_KEYWORD = "a keyword must be one that it has, got"
STATE = "update: `state` must be the state that `init` returned, got"
CALL = "Call tx.update(updates, state, params)."
TX = adamx.adam(1e-3)
LONG = list(range(1000))


def updated(*arguments):
    return lambda: TX.update(*arguments)


# name: (the mistake, the beginning of the sentence, its remedy)
MISTAKES = {
    # Keywords of other libraries.
    "lr": (
        lambda: adamx.adam(lr=1e-3),
        f"adam: {ONE_KEYWORD} `lr`.",
        "Pass learning_rate=.",
    ),
    "beta1": (
        lambda: adamx.adamw(1e-3, beta1=0.9),
        f"adamw: {ONE_KEYWORD} `beta1`.",
        "Pass b1=.",
    ),
    "beta_2 of Keras": (
        lambda: adamx.nadam(1e-3, beta_2=0.9),
        f"nadam: {ONE_KEYWORD} `beta_2`.",
        "Pass b2=.",
    ),
    "betas": (
        lambda: adamx.adam(1e-3, betas=(0.9, 0.999)),
        f"adam: {ONE_KEYWORD} `betas`.",
        "Pass b1= and b2=.",
    ),
    "b1 where it has betas": (
        lambda: adamx.prodigy(b1=0.9),
        f"prodigy: {ONE_KEYWORD} `b1`.",
        "Pass betas=(b1, b2).",
    ),
    "epsilon": (
        lambda: adamx.lamb(1e-3, epsilon=1e-6),
        f"lamb: {ONE_KEYWORD} `epsilon`.",
        "Pass eps=.",
    ),
    "rho of Keras": (
        lambda: adamx.rmsprop(1e-3, rho=0.9),
        f"rmsprop: {ONE_KEYWORD} `rho`.",
        "Pass decay=.",
    ),
    "alpha of torch": (
        lambda: adamx.scale_by_rmsprop(alpha=0.99),
        f"scale_by_rmsprop: {ONE_KEYWORD} `alpha`.",
        "Pass decay=.",
    ),
    "amsgrad": (
        lambda: adamx.adam(1e-3, amsgrad=True),
        f"adam: {ONE_KEYWORD} `amsgrad`.",
        "AMSGrad is another optimizer: adamx.amsgrad.",
    ),
    "maximize": (
        lambda: adamx.sgd(1e-3, maximize=True),
        f"sgd: {ONE_KEYWORD} `maximize`.",
        "Negate the gradients, or the loss.",
    ),
    "foreach": (
        lambda: adamx.adam(1e-3, foreach=True),
        f"adam: {ONE_KEYWORD} `foreach`.",
        "Leave it out: jax.jit compiles the whole step.",
    ),
    "fused": (
        lambda: adamx.adamw(1e-3, fused=True),
        f"adamw: {ONE_KEYWORD} `fused`.",
        "Leave it out: jax.jit compiles the whole step.",
    ),
    "lr_decay": (
        lambda: adamx.adagrad(1e-2, lr_decay=0.1),
        f"adagrad: {ONE_KEYWORD} `lr_decay`.",
        "Pass a schedule as learning_rate,",
    ),
    "clipnorm of Keras": (
        lambda: adamx.adam(1e-3, clipnorm=1.0),
        f"adam: {ONE_KEYWORD} `clipnorm`.",
        "Put adamx.parts.ClipByNorm in front: adamx.chain(ClipByNorm(1.0), tx).",
    ),
    "weight decay of adam": (
        lambda: adamx.adam(1e-3, weight_decay=0.1),
        f"adam: {ONE_KEYWORD} `weight_decay`.",
        "Put adamx.parts.WeightDecay(...) into the chain",
    ),
    "weight_decay_mask": (
        lambda: adamx.lars(1e-3, weight_decay_mask="kernel"),
        f"lars: {ONE_KEYWORD} `weight_decay_mask`.",
        "Pass mask=.",
    ),
    "momentum of adam": (
        lambda: adamx.adam(1e-3, momentum=0.9),
        f"adam: {ONE_KEYWORD} `momentum`.",
        "Pass b1=.",
    ),
    "a slip": (
        lambda: adamx.adamw(1e-3, weigth_decay=0.1),
        f"adamw: {ONE_KEYWORD} `weigth_decay`.",
        "Did you mean 'weight_decay'?",
    ),
    "a keyword of nobody": (
        lambda: adamx.apollo(1e-3, zebra=1),
        f"apollo: {ONE_KEYWORD} `zebra`.",
        "It has 'learning_rate', 'rank', ",
    ),
    "the rate of a direction": (
        lambda: adamx.scale_by_adam(learning_rate=1e-3),
        f"scale_by_adam: {ONE_KEYWORD} `learning_rate`.",
        "chain it with adamx.parts.LearningRate(...).",
    ),
    # Keywords of Optax, with a value at which they change something.
    "mu_dtype": (
        lambda: adamx.adam(1e-3, mu_dtype=jnp.bfloat16),
        "adam: `mu_dtype` must be None or float32, got the class bfloat16.",
        "adamx.store(tx, mu=adamx.storage.Cast(jnp.bfloat16)), or call "
        "adamx.interop.optax.adam(mu_dtype=...).",
    ),
    "eps_root": (
        lambda: adamx.adamw(1e-3, eps_root=1e-6),
        "adamw: `eps_root` must be 0.0, got 1e-06.",
        "Pass eps=adamx.parts.EpsInsideRoot(eps_root, eps), or call "
        "adamx.interop.optax.adamw(eps_root=...).",
    ),
    "eps_root by its place": (
        lambda: adamx.lamb(1e-3, 0.9, 0.999, 1e-6, 1e-6),
        "lamb: `eps_root` must be 0.0, got 1e-06.",
        "adamx.interop.optax.lamb(eps_root=...).",
    ),
    "nesterov of adam": (
        lambda: adamx.adam(1e-3, nesterov=True),
        "adam: `nesterov` must be False, got True.",
        "another optimizer: adamx.nadam, adamx.nadamw, or call",
    ),
    "a keyword of optax.contrib": (
        lambda: adamx.adopt(1e-3, nesterov=True),
        "adopt: `nesterov` must be False, got True.",
        "Call adamx.interop.optax.contrib.adopt(nesterov=...).",
    ),
    "the rate of optax.scale_by_rprop": (
        lambda: adamx.scale_by_rprop(1e-3),
        "scale_by_rprop: `learning_rate` must be left out, got 0.001.",
        "adamx.rprop has the rate",
    ),
    "too many places": (
        lambda: adamx.adam(1e-3, 0.9, 0.999, 1e-8, 0.0, None, False),
        "adam: at most 6 arguments must be given by place, got 7.",
        "Pass the others by keyword.",
    ),
    "the same argument twice": (
        lambda: adamx.adam(1e-3, learning_rate=1e-2),
        "adam: `learning_rate` must be given once, got it by place and by keyword.",
        "Leave one of them out.",
    ),
    # Values.
    "betas by their place": (
        lambda: adamx.adam(1e-3, (0.9, 0.999)),
        f"adam: `b1` {A_NUMBER} a tuple.",
        "Pass b1=0.9, b2=0.999.",
    ),
    "a rate as text": (
        lambda: adamx.adam("1e-3"),
        f"adam: `learning_rate` {A_NUMBER} '1e-3'.",
        "Pass a number: learning_rate=0.001.",
    ),
    "the parameters for a rate": (
        lambda: adamx.adam({"w": jnp.ones(1000)}),
        f"adam: `learning_rate` {A_NUMBER} a dict",
        "Parameters are passed to `init` of what this returns.",
    ),
    "a list of rates": (
        lambda: adamx.adam(LONG),
        f"adam: `learning_rate` {A_NUMBER} a list.",
        "Pass one number: learning_rate=....",
    ),
    "an infinite rate": (
        lambda: adamx.adam(float("inf")),
        "adam: `learning_rate` must be finite and at least 0, got inf.",
        "It is the length of a step",
    ),
    "a b1 of two": (
        lambda: adamx.muon(1e-3, adam_b1=2),
        "muon: `adam_b1` must lie in [0, 1), got 2.0.",
        "It is the weight of the past",
    ),
    "a beta of two in a tuple": (
        lambda: adamx.prodigy(betas=(2.0, 0.999)),
        "prodigy: `betas` must lie in [0, 1), got 2.0.",
        "",
    ),
    "the eps of an inner kind": (
        lambda: adamx.sm3(1e-3, eps=-1.0),
        "sm3: `eps` must be at least 0, got -1.0.",
        "It keeps the division finite; 1e-8 is usual.",
    ),
    "the bound of an inner part": (
        lambda: adamx.sophia(1e-3, clip_threshold=0.0),
        "sophia: `clip_threshold` must be above 0, got 0.0.",
        "It bounds the size of every element.",
    ),
    "an integer array": (
        lambda: adamx.rmsprop(1e-3, jnp.asarray(1, jnp.complex64)),
        f"rmsprop: `decay` {A_NUMBER} an array of dtype complex64.",
        "Pass decay.astype(float).",
    ),
    "a number out of the range of floats": (
        lambda: adamx.adam(1e-3, b1=10**400),
        "adam: `b1` must lie in [0, 1), got inf.",
        "It is the weight of the past",
    ),
    "a whole number of too many bits": (
        lambda: adamx.lookahead(TX, sync_period=2**40),
        "lookahead: `sync_period` must be a whole number of at most 31 bits, got one "
        "of 41.",
        "Pass an int, such as sync_period=1.",
    ),
    "a class as a schedule": (
        lambda: adamx.adam(1e-3, b1=float),
        f"adam: `b1` {A_NUMBER} the class float.",
        "A schedule is a function of the steps already taken.",
    ),
    "a class as a mask": (
        lambda: adamx.adamw(1e-3, mask=int),
        "adamw: `mask` must be a tree of bools, a pattern or a function, got the class "
        "int.",
        "Write for example `lambda path, leaf: leaf.ndim > 1`.",
    ),
    "a schedule where the state starts": (
        lambda: adamx.prodigy(estim_lr0=lambda count: 1e-6),
        "prodigy: `estim_lr0` must be one number, at which the state starts, got the "
        "function <lambda>.",
        "such as estim_lr0=0.1.",
    ),
    "a vector where the state starts": (
        lambda: adamx.yogi(1e-3, initial_accumulator=jnp.ones(2)).init(PARAMS),
        "init: the slot `mu` must start at one number, got an array of shape (2,)",
        "Use jax.vmap to run several at once.",
    ),
    "a schedule under RAdam's factor that returns nothing": (
        lambda: adamx.schedule_free_radam(lambda count: None).update(
            PARAMS, adamx.schedule_free_radam(1e-3).init(PARAMS), PARAMS
        ),
        "schedule_free_radam: the schedule for `learning_rate` must return one number, "
        "got None.",
        "A hyperparameter is a scalar",
    ),
    "an axis without a mesh": (
        lambda: adamx.adamp(1e-3, axis_name="data").update(
            PARAMS, adamx.adamp(1e-3).init(PARAMS), PARAMS
        ),
        "update: `axis_name` must be the name of a mesh axis of the shard_map around "
        "it, got 'data', which is none.",
        "Outside jax.shard_map pass axis_name=None.",
    ),
    # What is no transformation.
    "a rate for an optimizer": (
        lambda: adamx.lookahead(1e-3),
        "lookahead: `tx` must be a gradient transformation, got 0.001.",
        "Pass an optimizer with its rate, such as adamx.adam(1e-3).",
    ),
    "a list in a chain": (
        lambda: chain([Ema(0.9), adamx.sgd(1e-3)] * 50),
        "chain: every part must be a rule or a gradient transformation, got a list of "
        "100 elements.",
        "Pass its elements: chain(*parts).",
    ),
    "a function that was not called": (
        lambda: chain(adamx.scale_by_adam, adamx.sgd(1e-3)),
        "chain: every part must be a rule or a gradient transformation, got the "
        "function scale_by_adam.",
        "Call it: scale_by_adam(...).",
    ),
    "a class that was not called": (
        lambda: chain(Ema),
        "chain: every part must be a rule or a gradient transformation, got the class "
        "Ema.",
        "Call it: Ema(...).",
    ),
    # The arguments of update.
    "the state first": (
        updated(TX.init(PARAMS), PARAMS, PARAMS),
        "update: `updates` must be the gradients, got the state.",
        CALL,
    ),
    "no state": (
        updated(PARAMS, PARAMS),
        f"{STATE} a dict with the structure of the updates.",
        CALL,
    ),
    "the state last": (
        updated(PARAMS, PARAMS, TX.init(PARAMS)),
        f"{STATE} it in the place of the parameters.",
        CALL,
    ),
    "a state of a chain of Optax": (
        updated(PARAMS, optax.adam(1e-3).init(PARAMS), PARAMS),
        f"{STATE} an Optax tuple of ScaleByAdamState, EmptyState.",
        "Convert it with adamx.restore(tx, state, params).",
    ),
    "a state of Optax": (
        updated(PARAMS, optax.scale_by_adam().init(PARAMS), PARAMS),
        f"{STATE} an Optax ScaleByAdamState.",
        "Convert it with adamx.restore(tx, state, params).",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_a_sentence(name):
    assert_told(*MISTAKES[name])


@pytest.mark.parametrize("name", MISTAKES)
def test_no_sentence_shows_a_long_value(name):
    assert len(message(MISTAKES[name][0])) < 420


# Calls that work in Optax and must work here.
ACCEPTED = {
    "neutral keywords": lambda: adamx.adam(
        1e-3, eps_root=0.0, mu_dtype=None, nesterov=False
    ),
    "the dtype that is kept": lambda: adamx.adam(1e-3, mu_dtype="float32"),
    "neutral places": lambda: adamx.adamw(1e-3, 0.9, 0.999, 1e-8, 0.0, None, 1e-4),
    "no momentum": lambda: adamx.sgd(1e-3, momentum=None),
    "no momentum, Nesterov": lambda: adamx.sgd(1e-3, nesterov=True),
    "RMSProp without momentum": lambda: adamx.rmsprop(1e-3, momentum=None),
    "no warm-up": lambda: adamx.schedule_free_adamw(1e-3, warmup_steps=None),
    "no decay": lambda: adamx.dog(weight_decay=None),
    "integers": lambda: adamx.adamw(1, 0, 0, 0, weight_decay=0),
    "a mask for all": lambda: adamx.adamw(1e-3, mask=True),
    "a trust ratio for all": lambda: adamx.lars(1e-3, 0.0, True, trust_ratio_mask=True),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_changes_nothing_is_accepted(name):
    tx = ACCEPTED[name]()
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert jax.tree.structure(updates) == jax.tree.structure(PARAMS)


def test_an_error_keeps_its_type():
    assert issubclass(adamx.AdamxTypeError, TypeError)
    with pytest.raises(adamx.AdamxError, match="adam: `b1`") as caught:
        adamx.adam(b1=2)
    assert not isinstance(caught.value, TypeError)
