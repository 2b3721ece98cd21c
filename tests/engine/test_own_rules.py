"""A mistake in a user's own rule is explained when the rule is first traced."""

import jax
import jax.numpy as jnp
import optax
import pytest

import adamx
from adamx import Rule, Slot
from adamx.parts import (
    ClipByGlobalNorm,
    Ema,
    LearningRate,
    Masked,
    Precondition,
    WeightDecay,
)

PARAMS = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)


def step(tx):
    return tx.update(GRADS, tx.init(PARAMS), PARAMS)


class ReadsParam(Rule):
    def apply(self, update, slots, ctx):
        return update + ctx.param, slots


class ReadsDtype(Rule):
    def apply(self, update, slots, ctx):
        return update.astype(ctx.dtype), slots


class ReadsPath(Rule):
    def apply(self, update, slots, ctx):
        return update * len(ctx.path), slots


class ReadsKey(Rule):
    def apply(self, update, slots, ctx):
        return update * ctx.key, slots


class ReadsExtra(Rule):
    def apply(self, update, slots, ctx):
        return update * ctx.extra["loss"], slots


class ReadsSlot(Rule):
    def slots(self):
        return {"mu": Slot()}

    def apply(self, update, slots, ctx):
        return update + slots["nu"], slots


class ReturnsSlot(Rule):
    def apply(self, update, slots, ctx):
        return update, slots | {"mu": update}


class LosesSlot(Rule):
    def slots(self):
        return {"mu": Slot()}

    def apply(self, update, slots, ctx):
        return update, {}


class ReshapesSlot(Rule):
    def slots(self):
        return {"mu": Slot()}

    def apply(self, update, slots, ctx):
        return update, slots | {"mu": jnp.sum(update)}


class NumberAsSlot(Rule):
    def slots(self):
        return {"mu": Slot()}

    def apply(self, update, slots, ctx):
        return update, slots | {"mu": 0.0}


class OnlyUpdate(Rule):
    def apply(self, update, slots, ctx):
        return update


class SlotsInList(Rule):
    def apply(self, update, slots, ctx):
        return update, [slots]


class NoApply(Rule):
    def slots(self):
        return {"mu": Slot()}


class ReshapesUpdate(Rule):
    def apply(self, update, slots, ctx):
        return update.ravel(), slots


class NoneAsUpdate(Rule):
    def apply(self, update, slots, ctx):
        return None, slots


class SlotNames(Rule):
    def slots(self):
        return ["mu"]

    def apply(self, update, slots, ctx):
        return update, slots


class NeedsString(Rule):
    def needs(self):
        return "param"

    def apply(self, update, slots, ctx):
        return update, slots


MISTAKES = {
    ReadsParam: r"ReadsParam: `ctx.param` must be asked for.*super\(\)\.needs\(\) \| "
    r'\{"param"\}',
    ReadsDtype: r'ReadsDtype: `ctx.dtype` must be asked for.*\{"param"\}',
    ReadsPath: r'ReadsPath: `ctx.path` must be asked for.*\{"path"\}',
    ReadsKey: r'ReadsKey: `ctx.key` must be asked for.*\{"random"\}',
    ReadsExtra: r'ReadsExtra: the extra argument `loss` must be asked for.*\{"loss"\}',
    ReadsSlot: r"ReadsSlot: the slot `nu` must be declared.*There is 'mu'",
    ReturnsSlot: r"ReturnsSlot: every slot that apply returns must be declared, got "
    r"`mu`",
    LosesSlot: r"LosesSlot: apply must return every slot.*`mu` is missing",
    ReshapesSlot: r"ReshapesSlot: the slot `mu` must keep its shape \(3,\), got an "
    r"array of shape \(\)",
    NumberAsSlot: r"NumberAsSlot: the slot `mu` must keep its shape .* got float 0.0",
    OnlyUpdate: r"OnlyUpdate: apply must return two things.*return update, slots",
    SlotsInList: r"SlotsInList: apply must return the slots as a dict",
    NoApply: r"NoApply: a rule must have a method apply\(self, update, slots, ctx\)",
    ReshapesUpdate: r"ReshapesUpdate: the update must keep its shape \(2, 3\), got an "
    r"array of shape \(6,\)",
    NoneAsUpdate: r"NoneAsUpdate: the update must keep its shape .* got NoneType",
    SlotNames: r"SlotNames: slots\(\) must return a dict of adamx.Slot",
    NeedsString: r"NeedsString: needs\(\) must return a set of names, got 'param'",
}
AROUND = {
    "alone": lambda rule: rule,
    "beside what asks for more": lambda rule: adamx.chain(
        rule, WeightDecay(0.1), LearningRate(0.1), adamx.stochastic_rounding()
    ),
    "inside another": lambda rule: adamx.chain(
        Precondition(rule, by=Ema(0.9, name="other")), WeightDecay(0.1)
    ),
    "masked": lambda rule: Masked(rule, lambda path, leaf: True),
    "in optax.chain": lambda rule: optax.chain(rule, optax.scale(1.0)),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda rule: rule.__name__)
def test_a_mistake_gets_a_sentence(mistake, around):
    with pytest.raises(adamx.AdamxError, match=f"(?s){MISTAKES[mistake]}"):
        step(around(mistake()))


def test_apply_with_other_arguments_fails_where_the_class_is_written():
    with pytest.raises(adamx.AdamxTypeError, match=r"must take \(self, update, slots"):

        class Old(Rule):
            def apply(self, update, slots):
                return update, slots


@pytest.mark.parametrize("name", ["scope", "place"])
def test_an_unknown_scope_or_place_fails_where_the_class_is_written(name):
    with pytest.raises(adamx.AdamxError, match=rf"`{name}` must be one of .*'layer'"):
        type("Wrong", (Rule,), {name: "layer", "__module__": __name__})


def test_a_part_that_needs_the_whole_tree_is_refused_where_no_sums_are_made():
    with pytest.raises(adamx.AdamxError, match="`moment` must not need sums over"):
        Precondition(ClipByGlobalNorm(1.0), by=Ema(0.9))


class Signed(Rule):
    """The sign of an average, with hyperparameters of both kinds."""

    b1: adamx.Hyper = adamx.hyper(0.9, allowed="[0, 1)", public="momentum")
    gain: adamx.Hyper = 1.0

    def slots(self):
        return {"mu": Slot()}

    def apply(self, update, slots, ctx):
        mu = self.b1 * slots["mu"] + (1 - self.b1) * update
        return self.gain * jnp.sign(mu), slots | {"mu": mu}


@pytest.mark.parametrize("b1", [0.5, jnp.float32(0.5), lambda count: 0.5 + 0 * count])
def test_a_field_annotated_with_hyper_takes_all_three_kinds(b1):
    got, state = step(Signed(b1, gain=2.0))
    assert jnp.allclose(got["w"], 2.0)
    assert jnp.allclose(state.slots["mu"]["w"], 0.5)


def test_a_schedule_is_given_the_steps_taken():
    seen = []
    tx = Signed(lambda count: seen.append(count) or 0.0 * count)
    step(tx)
    assert len(seen) == 1


def test_a_hyper_is_checked():
    with pytest.raises(ValueError, match=r"Signed: `b1` must lie in \[0, 1\), got 1.5"):
        Signed(1.5)
    with pytest.raises(TypeError, match="Signed: `gain` must be a real number"):
        Signed(gain="large")


def test_a_hyper_is_found_by_its_public_name():
    tx = adamx.tunable(adamx.chain(Signed(), LearningRate(0.1)), "momentum", "gain")
    state = adamx.replace_hyperparams(tx.init(PARAMS), momentum=0.5, gain=3.0)
    assert set(adamx.hyperparams(state)) == {"momentum", "gain"}
    updates, _ = tx.update(GRADS, state, PARAMS)
    assert jnp.allclose(updates["w"], -0.3)


@pytest.mark.parametrize("text", ["0, 1", "[1, 0]", "[0; 1)", "", "{0, 1}"])
def test_an_interval_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="`allowed` must be an interval"):
        adamx.hyper(0.5, allowed=text)


def test_intervals_with_infinite_ends():
    class Positive(Rule):
        rate: adamx.Hyper = adamx.hyper(1.0, allowed="(0, inf)")

        def apply(self, update, slots, ctx):
            return self.rate * update, slots

    Positive(3.0)
    with pytest.raises(ValueError, match=r"`rate` must be above 0, got 0\.0"):
        Positive(0.0)


def test_an_extra_argument_that_is_no_tree_like_the_parameters_is_given_whole():
    class Tabled(adamx.Rule):
        whole_extra = frozenset({"table"})

        def needs(self):
            return super().needs() | {"table"}

        def apply(self, update, slots, ctx):
            return update * ctx.extra["table"]["all"], slots

    p = {"a": jnp.ones(2), "b": jnp.ones(3)}
    tx = adamx.chain(Tabled(), adamx.parts.LearningRate(0.5))
    u, _ = tx.update(p, tx.init(p), p, table={"all": jnp.asarray(4.0), "other": 1.0})
    assert float(u["a"][0]) == float(u["b"][2]) == -2.0
    with pytest.raises(TypeError, match="the extra argument `table` must be given"):
        tx.update(p, tx.init(p), p)
