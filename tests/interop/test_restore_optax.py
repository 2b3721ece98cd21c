"""States of Optax continue in adamx, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
import adamx.interop.optax as beside
from adamx.parts import ClipByGlobalNorm, EpsInsideRoot, LearningRate, Momentum
from adamx.storage import Blockwise, Cast
from tests.interop.optax_calls import RATE, apart, data, falling, form, matrices, run

MASK = {"0": True, "1": False, "2": True}
LABELS = {"0": "a", "1": "b", "2": "a"}
C = optax.contrib


def rmsprop_of_parts(rate):
    """Momentum of the direction, as torch has it: in another unit than Optax's."""
    scale = adamx.scale_by_rmsprop()
    return adamx.chain(scale, Momentum(0.9), LearningRate(rate))


# name: (Optax, adamx, by how much the numbers may differ in float64)
PAIRS = {
    "adam": (optax.adam(RATE), adamx.adam(RATE)),
    "a schedule": (optax.adam(falling), adamx.adam(falling)),
    "adamw": (optax.adamw(RATE), adamx.adamw(RATE)),
    "nadam": (optax.nadam(RATE), adamx.nadam(RATE)),
    "nadamw": (optax.nadamw(RATE), adamx.nadamw(RATE)),
    "sgd": (optax.sgd(RATE, 0.9), adamx.sgd(RATE, 0.9)),
    "rmsprop": (optax.rmsprop(RATE), adamx.rmsprop(RATE)),
    "rmsprop with momentum": (
        optax.rmsprop(RATE, momentum=0.9),
        adamx.rmsprop(RATE, momentum=0.9),
    ),
    "rmsprop with the momentum before the rate": (
        optax.rmsprop(RATE, momentum=0.9),
        rmsprop_of_parts(RATE),
    ),
    "rmsprop centered": (
        optax.rmsprop(RATE, centered=True),
        adamx.rmsprop(RATE, centered=True),
    ),
    "adagrad": (
        optax.adagrad(RATE),
        adamx.adagrad(RATE, 0.1, EpsInsideRoot(1e-7)),
    ),
    "adafactor": (optax.adafactor(RATE, 2), adamx.adafactor(RATE, 2), 1e-6),
    "adafactor with momentum": (
        optax.adafactor(RATE, 2, momentum=0.9, weight_decay_rate=1e-3),
        adamx.adafactor(RATE, 2, momentum=0.9, weight_decay_rate=1e-3),
        1e-6,
    ),
    "lion": (optax.lion(RATE), adamx.lion(RATE)),
    "signum": (optax.signum(RATE), adamx.signum(RATE)),
    "lamb": (optax.lamb(RATE), adamx.lamb(RATE)),
    "lars": (optax.lars(RATE), adamx.lars(RATE, norm_of_sum=True)),
    "radam": (optax.radam(RATE), adamx.radam(RATE), 1e-11),
    "amsgrad": (optax.amsgrad(RATE), adamx.amsgrad(RATE)),
    "adabelief": (optax.adabelief(RATE), adamx.adabelief(RATE)),
    "adamax": (optax.adamax(RATE), adamx.adamax(RATE)),
    "adamaxw": (optax.adamaxw(RATE), adamx.adamaxw(RATE)),
    "novograd": (optax.novograd(RATE), adamx.novograd(RATE)),
    "yogi": (optax.yogi(RATE), adamx.yogi(RATE)),
    "sm3": (optax.sm3(RATE), adamx.sm3(RATE, eps=1e-8)),
    "adadelta": (optax.adadelta(RATE), adamx.adadelta(RATE)),
    "prodigy": (C.prodigy(), adamx.prodigy()),
    "dadapt_adamw": (C.dadapt_adamw(), adamx.dadapt_adamw()),
    "dog": (C.dog(), adamx.dog()),
    "dowg": (C.dowg(), adamx.dowg()),
    "ademamix": (C.ademamix(RATE), adamx.ademamix(RATE)),
    "simplified_ademamix": (
        C.simplified_ademamix(RATE),
        adamx.simplified_ademamix(RATE),
    ),
    "adopt": (C.adopt(RATE), adamx.adopt(RATE)),
    "schedule_free_sgd": (
        C.schedule_free_sgd(RATE),
        adamx.schedule_free_sgd(RATE),
        1e-11,
    ),
    "schedule_free_adamw": (
        C.schedule_free_adamw(RATE),
        adamx.schedule_free_adamw(RATE),
        1e-11,
    ),
    "schedule_free": (
        C.schedule_free(optax.adam(RATE, b1=0.0), RATE),
        adamx.schedule_free(adamx.adam(RATE, b1=0.0), RATE),
        1e-11,
    ),
    "chain": (
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE)),
        adamx.chain(ClipByGlobalNorm(1.0), adamx.adam(RATE)),
    ),
    "Optax's chain": (
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE)),
        optax.chain(optax.clip_by_global_norm(1.0), adamx.adam(RATE)),
    ),
    "out of inject_hyperparams": (
        optax.inject_hyperparams(optax.adam)(learning_rate=RATE),
        adamx.adam(RATE),
    ),
    "in inject_hyperparams": (
        optax.inject_hyperparams(optax.adam)(learning_rate=RATE),
        optax.inject_hyperparams(adamx.adam)(learning_rate=RATE),
    ),
    "tunable": (
        optax.adam(RATE),
        adamx.tunable(adamx.adam(RATE), "learning_rate", "b1"),
    ),
    "MultiSteps": (
        optax.MultiSteps(optax.adam(RATE), 2),
        optax.MultiSteps(adamx.adam(RATE), 2),
    ),
    "apply_if_finite": (
        optax.apply_if_finite(optax.adam(RATE), 3),
        optax.apply_if_finite(adamx.adam(RATE), 3),
    ),
    "out of apply_if_finite": (
        optax.apply_if_finite(optax.adam(RATE), 3),
        adamx.adam(RATE),
    ),
    "out of two groups": (
        optax.partition({"a": optax.adam(RATE), "b": optax.adam(RATE)}, LABELS),
        adamx.adam(RATE),
    ),
    "masked": (
        optax.masked(optax.adam(RATE), MASK),
        optax.masked(adamx.adam(RATE), MASK),
    ),
    "beside Optax": (optax.adamw(RATE), beside.adamw(RATE)),
}


def known(tx):
    """What made a state, where Optax's units differ; nothing for a wrapper of Optax."""
    return tx if hasattr(tx, "slots") else None


@pytest.mark.parametrize("name", PAIRS)
def test_five_steps_in_optax_then_five_in_adamx(name, x64):
    theirs, ours, bound = (*PAIRS[name], 1e-12)[:3]
    params, grads = data(jnp.float64, 10)
    wanted = run(theirs, params, grads)[0][5:]
    _, saved, moved = run(theirs, params, grads[:5])
    state = adamx.restore(ours, saved, moved)
    assert form(state) == form(ours.init(moved))
    assert apart(run(ours, moved, grads[5:], state)[0], wanted) <= bound


@pytest.mark.parametrize("name", PAIRS)
def test_five_steps_in_adamx_then_five_in_optax(name, x64):
    theirs, ours, bound = (*PAIRS[name], 1e-12)[:3]
    if name == "beside Optax":
        pytest.skip("its states are Optax's own")
    params, grads = data(jnp.float64, 10)
    wanted = run(ours, params, grads)[0][5:]
    _, saved, moved = run(ours, params, grads[:5])
    state = beside.to_optax_state(theirs, saved, moved, saved_by=known(ours))
    assert form(state) == form(theirs.init(moved))
    assert apart(run(theirs, moved, grads[5:], state)[0], wanted) <= bound


def test_the_moments_of_muon_continue_in_both_groups(x64):
    """In form only: the mean of `adamx.muon` is not corrected, that of Optax is."""
    ours = adamx.muon(RATE, muon_mask=matrices)
    params, grads = data(jnp.float64, 3)
    _, saved, _ = run(C.muon(RATE), params, grads)
    state = adamx.restore(ours, saved, params)
    assert form(state) == form(ours.init(params))
    groups = saved.inner_states
    moments = groups["muon"].inner_state[0].mu
    np.testing.assert_array_equal(state.slots["momentum"]["0"], moments["0"])
    adam = groups["adam"].inner_state[0]
    np.testing.assert_array_equal(state.slots["nu"]["2"], adam.nu["2"])


# ---- dtypes and codecs ---------------------------------------------------------


def trained(tx, dtype=jnp.float32, steps=3):
    params, grads = data(dtype, steps)
    return run(tx, params, grads)[1], params


def test_dtypes_are_those_that_the_optimizer_keeps():
    """A state that was cast to float16 with a count of 8 bits would go on so."""
    tx = adamx.adam(1e-3)
    state, params = trained(tx, steps=3)
    small = jax.tree.map(lambda x: x.astype(jnp.float16), state.slots)
    saved = adamx.State(np.uint8(255), small)
    restored = adamx.restore(tx, saved, params)
    assert form(restored) == form(tx.init(params))
    u, after = tx.update(params, restored, params)
    assert int(after.count) == 256
    assert {x.dtype for x in jax.tree.leaves(u)} == {jnp.dtype("float32")}


STORED = {
    "8 bits": {"mu": Blockwise(bits=8), "nu": Blockwise(bits=8)},
    "bfloat16": {"mu": Cast(jnp.bfloat16), "nu": Cast(jnp.bfloat16)},
    "float8": {"mu": Cast(jnp.float8_e4m3fn)},
}


@pytest.mark.parametrize("storage", STORED)
def test_into_another_storage_and_back(storage):
    plain = adamx.adam(RATE)
    stored = adamx.store(plain, **STORED[storage])
    params = {"w": jnp.ones((64, 48)), "b": jnp.ones(7)}
    random = np.random.default_rng(0)
    grads = jax.tree.map(lambda p: jnp.asarray(random.normal(size=p.shape)), params)
    grads = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
    _, state = plain.update(grads, plain.init(params), params)

    there = adamx.restore(stored, state, params)
    assert form(there) == form(stored.init(params))
    back = adamx.restore(plain, there, params, saved_by=stored)
    assert form(back) == form(plain.init(params))
    for name in ("mu", "nu"):
        for a, b in zip(
            jax.tree.leaves(back.slots[name]),
            jax.tree.leaves(state.slots[name]),
            strict=True,
        ):
            # half a step of 4 bits of mantissa, of the largest in its block
            assert np.max(np.abs(a - b)) <= 0.07 * np.max(np.abs(b))
    # what was encoded and decoded is encoded to the same again
    again = adamx.restore(stored, back, params)
    assert apart_states(adamx.restore(plain, again, params, saved_by=stored), back) == 0


def apart_states(a, b):
    return max(
        float(np.max(np.abs(np.float64(x) - np.float64(y)), initial=0))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_from_optax_into_8_bits():
    stored = adamx.store(adamx.adam(RATE), mu=Blockwise(bits=8))
    saved, params = trained(optax.adam(RATE))
    restored = adamx.restore(stored, saved, params)
    assert form(restored) == form(stored.init(params))
    back = beside.to_optax_state(optax.adam(RATE), restored, params, saved_by=stored)
    assert form(back) == form(saved)


# ---- inside others, and errors -------------------------------------------------


@pytest.mark.parametrize(
    "inside",
    [
        lambda s: (optax.EmptyState(), s),
        lambda s: {"optimizer": s, "step": np.int32(3)},
        lambda s: [((s,),)],
    ],
)
def test_the_one_state_of_adamx_is_found_inside_others(inside):
    tx = adamx.adam(RATE)
    state, params = trained(tx)
    assert apart_states(adamx.restore(tx, inside(state), params), state) == 0


def test_from_adamx_to_the_functions_beside_optax():
    state, params = trained(adamx.adam(RATE))
    tx = beside.adam(RATE)
    restored = adamx.restore(tx, state, params)
    assert form(restored) == form(tx.init(params))
    assert apart_states(restored[0].mu, state.slots["mu"]) == 0


PARAMS, GRADS = data(jnp.float32, 3)


def saved_by(tx):
    return run(tx, PARAMS, GRADS)[1]


def of_long_ago(state):
    """The state before it kept the form of what is stored."""
    slots = {
        name: {part: x for part, x in slot.items() if part != "form"}
        for name, slot in state.slots.items()
    }
    return state._replace(slots=slots)


TWO = optax.chain(optax.trace(0.9), optax.trace(0.5), optax.scale(-RATE))
EIGHT = adamx.store(adamx.adam(RATE), mu=Blockwise(bits=8))
ERRORS = {
    "no moments": (
        lambda: adamx.restore(adamx.adam(RATE), saved_by(optax.clip(1.0)), PARAMS),
        "restore: `saved` must be the state of a transformation of adamx, or of Optax",
    ),
    "another algorithm": (
        lambda: adamx.restore(adamx.adam(RATE), saved_by(optax.lion(RATE)), PARAMS),
        "restore: the saved state must hold the slot `nu`, got",
    ),
    "too much": (
        lambda: adamx.restore(adamx.lion(RATE), saved_by(optax.adam(RATE)), PARAMS),
        "restore: everything saved must have a place, got slots ['nu']",
    ),
    "two of a kind": (
        lambda: adamx.restore(adamx.sgd(RATE, 0.9), saved_by(TWO), PARAMS),
        "restore: one state of Optax must hold the slot `momentum` of a leaf, got two",
    ),
    "two of adamx": (
        lambda: adamx.restore(
            adamx.adam(RATE), (adamx.adam(RATE).init(PARAMS),) * 2, PARAMS
        ),
        "restore: `saved` must hold one state of adamx, got 2",
    ),
    "built otherwise": (
        lambda: adamx.restore(
            optax.chain(optax.clip(1.0), adamx.adam(RATE)),
            saved_by(optax.sgd(RATE)) * 2,
            PARAMS,
        ),
        "restore: the saved state must hold `1`, got tuple with nothing. Pass missing=",
    ),
    "counts that differ": (
        lambda: adamx.restore(
            adamx.adam(falling),
            tuple(
                s._replace(count=s.count + i)
                for i, s in enumerate(saved_by(optax.adam(falling)))
            ),
            PARAMS,
        ),
        "restore: the states of Optax must have counted the same steps, got [3, 4]",
    ),
    "a scheduled unit": (
        lambda: adamx.restore(
            rmsprop_of_parts(falling),
            saved_by(optax.rmsprop(falling, momentum=0.9)),
            PARAMS,
        ),
        "restore: the learning rate of rmsprop must be a number above 0",
    ),
    "a lost hyperparameter": (
        lambda: adamx.restore(
            optax.inject_hyperparams(adamx.adam)(learning_rate=RATE),
            saved_by(
                optax.inject_hyperparams(optax.adam)(learning_rate=RATE, eps_root=1.0)
            ),
            PARAMS,
        ),
        "restore: the saved hyperparameters that are not 0 must have a place",
    ),
    "stored, by whom?": (
        lambda: adamx.restore(adamx.adam(RATE), of_long_ago(saved_by(EIGHT)), PARAMS),
        "restore: the slot `mu` was stored by a codec that the state does not name, got"
        " codes, scale. Pass saved_by= the transformation that stored it.",
    ),
    "stored, to Optax": (
        lambda: beside.to_optax_state(optax.adam(RATE), saved_by(EIGHT), PARAMS),
        "to_optax_state: the slot `mu` must have the structure of the parameters",
    ),
    "nothing of adamx": (
        lambda: beside.to_optax_state(
            optax.adam(RATE), saved_by(optax.clip(1.0)), PARAMS
        ),
        "to_optax_state: `state` must hold one state of adamx, got 0",
    ),
    "too little for Optax": (
        lambda: beside.to_optax_state(
            optax.adam(RATE), saved_by(adamx.lion(RATE)), PARAMS
        ),
        "to_optax_state: the state must hold what ScaleByAdamState holds, got ['mu']",
    ),
    "another shape": (
        lambda: adamx.restore(
            optax.chain(optax.trace(0.9), adamx.scale_by_adam()),
            (optax.TraceState(jnp.ones(3)), adamx.adam(RATE).init(PARAMS)),
            {"0": jnp.ones(4), "1": jnp.ones(2), "2": jnp.ones(2)},
        ),
        "restore: ",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_converted_gets_a_sentence(name):
    mistake, beginning = ERRORS[name]
    with pytest.raises((TypeError, ValueError)) as caught:
        mistake()
    assert beginning in str(caught.value)
