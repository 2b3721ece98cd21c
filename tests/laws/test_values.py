"""Laws of values: a transform prints, compares, hashes, copies and pickles."""

import copy
import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import Masked, chain
from adamx.later import things
from adamx.parts import (
    Centered,
    Clip,
    ClipByGlobalNorm,
    Debiased,
    Ema,
    Identity,
    IndependentWeightDecay,
    LearningRate,
    Momentum,
    Precondition,
    Rectified,
    RootPlusEps,
    SquaredDeviation,
    Sum,
    WeightDecay,
    square,
)
from tests.support.given_hessian import Estimated
from tests.support.trees import assert_equal, grads, params
from tests.table.cases import PAIRS, cases, kinds

NAMES = {
    **things(adamx.parts),
    **things(adamx.optimizers),
    **things(adamx),
    "Estimated": Estimated,
    "adamx": adamx,
    "optax": optax,
    "jnp": jnp,
    "np": np,
}
COSINE = {"init_value": 0.1, "decay_steps": 100}

PARTS = {
    "ema": Ema(0.9),
    "ema of squares": Ema(0.999, of=square, name="nu"),
    "ema of surprise": Ema(0.999, of=SquaredDeviation("mu"), name="nu"),
    "heavy ball": Momentum(0.9, nesterov=True),
    "sum": Sum(start=0.1),
    "identity": Identity(),
    "debiased": Debiased(Ema(0.9)),
    "root": RootPlusEps(
        Debiased(Ema(0.9, of=square, name="nu")), adamx.parts.EpsInsideRoot(1e-8, 1e-6)
    ),
    "centered": RootPlusEps(Centered(Ema(0.9, of=square, name="nu"), Ema(0.9)), 1e-3),
    "rectified": Rectified(RootPlusEps(Debiased(Ema(0.9, of=square, name="nu"))), 4.0),
    "precondition": Precondition(Ema(0.9), by=RootPlusEps(Sum())),
    "decay": WeightDecay(0.1, mask="kernel$"),
    "independent decay": IndependentWeightDecay(0.1),
    "rate": LearningRate(0.1),
    "schedule": LearningRate(adamx.schedule(optax.cosine_decay_schedule, **COSINE)),
    "clip": Clip(1.0),
    "global clip": ClipByGlobalNorm(1.0, axis_name="d"),
    "masked": Masked(Ema(0.9), "kernel$"),
    "chain": chain(Clip(1.0), adamx.scale_by_adam(), LearningRate(0.1)),
    "tunable": adamx.tunable(adamx.adam(0.1), "learning_rate"),
    "nested": chain(WeightDecay(0.1), Masked(adamx.adam(0.1), "kernel$")),
}
VALUES = {
    **PARTS,
    **{str(c.values[0]): c.values[0].build() for c in cases()},
    **{f"scale_by_{c.values[0]}": c.values[0].scale_by() for c in cases()},
}
EACH = pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
WITH_ARRAYS = pytest.mark.parametrize("case", kinds())


def with_arrays(case, which=0):
    names = ("learning_rate", *case.hypers)
    return case.build(**{n: jnp.asarray(PAIRS[n][which]) for n in names})


def assert_same_value(one, other):
    assert type(one) is type(other)
    assert one == other
    assert (one != other) is False
    assert hash(one) == hash(other)
    assert one.init is other.init
    assert one.update is other.update


@EACH
def test_repr_is_the_expression_that_builds_it(value):
    text = repr(value)
    assert_same_value(eval(text, NAMES), value)
    assert "0x" not in text


@EACH
def test_pickle_and_copies_are_the_same_value(value):
    for again in (
        pickle.loads(pickle.dumps(value)),
        copy.copy(value),
        copy.deepcopy(value),
        dataclasses.replace(value),
        jax.tree.map(lambda x: x, value),
    ):
        assert_same_value(again, value)


@EACH
def test_it_is_a_frozen_dataclass_and_an_optax_transformation(value):
    assert dataclasses.is_dataclass(value)
    assert isinstance(value, optax.GradientTransformationExtraArgs)
    init, update = value
    assert init is value.init
    assert update is value.update
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        value.update = None
    with pytest.raises(dataclasses.FrozenInstanceError, match="assign to field 'own'"):
        value.own = None
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"'{field.name}'"):
            setattr(value, field.name, None)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"'{field.name}'"):
            delattr(value, field.name)


def test_a_field_that_init_does_not_take_is_frozen_too():
    tx = adamx.parts.Nesterov(Debiased(Ema(0.9)))
    with pytest.raises(dataclasses.FrozenInstanceError, match="'ahead'"):
        tx.ahead = 1.0


def test_different_expressions_are_different_values():
    values = [(name, value, repr(value)) for name, value in VALUES.items()]
    assert len(values) > 40
    for i, (name, one, text) in enumerate(values):
        for other_name, other, other_text in values[:i]:
            assert (one == other) == (text == other_text), (name, other_name)
    assert Ema(0.9) != 0.9
    assert Ema(0.9) != Ema(0.9, name="m")
    assert adamx.adam(0.1) != adamx.adam(0.1, eps=adamx.parts.EpsBeforeCorrection(1e-8))
    assert len({Ema(0.9), Ema(0.9), Ema(0.8)}) == 2


def test_equal_by_other_words():
    """Positions, keywords and defaults are ways to say one thing."""
    assert_same_value(adamx.adam(0.1), adamx.adam(learning_rate=0.1, b1=0.9))
    second = Debiased(Ema(0.999, of=square, name="nu"))
    composed = chain(
        Precondition(Debiased(Ema(0.9)), by=RootPlusEps(second, 1e-8)),
        LearningRate(0.1),
    )
    assert_same_value(adamx.adam(0.1), composed)


def test_replace_changes_a_field():
    assert dataclasses.replace(Ema(0.9), decay=0.8) == Ema(0.8)
    assert dataclasses.replace(WeightDecay(0.1), mask="a") == WeightDecay(0.1, "a")
    moment = Debiased(Ema(0.9))
    changed = dataclasses.replace(moment, moment=Ema(0.5))
    assert changed == Debiased(Ema(0.5))
    assert moment == Debiased(Ema(0.9))


@WITH_ARRAYS
def test_array_valued_transforms_compare_by_their_values(case):
    one, two, other = with_arrays(case), with_arrays(case), with_arrays(case, 1)
    assert_same_value(one, two)
    assert one != other
    assert hash(one) == hash(other), "arrays hash by structure"
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert_same_value(again, one)
    assert one != case.build(), "an array is not the number"


@WITH_ARRAYS
def test_arrays_are_leaves_and_constants_are_not(case):
    names = ("learning_rate", *case.hypers)
    assert len(jax.tree.leaves(with_arrays(case))) == len(names)
    assert jax.tree.leaves(case.build()) == []
    assert jax.tree.structure(with_arrays(case)) == jax.tree.structure(
        with_arrays(case, 1)
    )


@WITH_ARRAYS
def test_trees_of_transforms_are_mapped(case):
    pair = {"a": with_arrays(case), "b": [with_arrays(case, 1)]}
    doubled = jax.tree.map(lambda x: x * 2, pair)
    back = jax.tree.map(lambda x: x / 2, doubled)
    assert_same_value(back["a"], pair["a"])
    assert_same_value(back["b"][0], pair["b"][0])


@WITH_ARRAYS
def test_rebuilt_around_anything(case):
    """JAX rebuilds a pytree around objects that are no numbers at all."""
    leaves, structure = jax.tree.flatten(with_arrays(case))
    for stand_in in (object(), None, "name", jax.ShapeDtypeStruct((), "float32")):
        rebuilt = jax.tree.unflatten(structure, [stand_in] * len(leaves))
        assert type(rebuilt) is type(with_arrays(case))
    axes = jax.tree.map(lambda x: 0, with_arrays(case))
    assert set(jax.tree.leaves(axes)) == {0}


def test_tracers_compare_by_identity():
    @jax.jit
    def inside(x, y):
        assert Ema(x) == Ema(x)
        assert Ema(x) != Ema(y)
        assert hash(Ema(x)) == hash(Ema(y))
        return x

    inside(jnp.float32(0.9), jnp.float32(0.9))


def test_schedules_that_are_values():
    one, two = (adamx.schedule(optax.cosine_decay_schedule, **COSINE) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), NAMES) == one
    assert one != adamx.schedule(
        optax.cosine_decay_schedule, init_value=0.2, decay_steps=100
    )
    assert float(one(0)) == pytest.approx(0.1)
    assert_same_value(adamx.adam(one), adamx.adam(two))
    closure = optax.cosine_decay_schedule(**COSINE)
    assert adamx.adam(closure) == adamx.adam(closure)
    assert adamx.adam(closure) != adamx.adam(optax.cosine_decay_schedule(**COSINE))
    p = params()
    for tx in (adamx.adam(one), adamx.adam(closure)):
        got = tx.update(grads(), tx.init(p), p)
        assert_equal(got, adamx.adam(one).update(grads(), tx.init(p), p))


@WITH_ARRAYS
def test_a_state_pickles_and_copies(case):
    tx, p = case.build(), params()
    _, state = tx.update(grads(), tx.init(p), p)
    for again in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert type(again) is type(state)
        assert_equal(again, state)


# treescope reads every name of NumPy's public modules, some of them deprecated.
@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")
@WITH_ARRAYS
def test_treescope_and_equinox_print_it(case):
    import equinox as eqx
    import treescope

    for value in (case.build(), with_arrays(case)):
        for text in (eqx.tree_pformat(value), treescope.render_to_text(value)):
            assert "bound method" not in text
            assert "0x" not in text
            assert "chain" in text.lower()
