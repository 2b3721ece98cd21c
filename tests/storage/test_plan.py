"""The second table of `memory_plan`: what is done to each leaf."""

import jax.numpy as jnp
import optax
import pytest

import adamx
import adamx.interop.optax as beside
from adamx.parts import (
    CautiousWeightDecay,
    ClipByGlobalNorm,
    LearningRate,
    Masked,
    WeightDecay,
)
from tests.support.trees import params

PARAMS = {
    "embed": jnp.ones((10, 4)),
    "layer": {"bias": jnp.ones(4), "kernel": jnp.ones((4, 4))},
}


def leaves(tx):
    return {row.leaf: row for row in adamx.memory_plan(tx, PARAMS).leaves}


# name: (a transformation, the leaves that decay, and by how much)
DECAYING = {
    "a pattern": (adamx.adamw(1e-3, weight_decay=0.1, mask="kernel$"), "kernel", 0.1),
    "in a direction": (
        adamx.lars(0.1, weight_decay=0.2, mask=lambda path, leaf: leaf.ndim == 1),
        "bias",
        0.2,
    ),
    "in a masked part": (
        adamx.chain(Masked(WeightDecay(0.3), "embed"), LearningRate(0.1)),
        "embed",
        0.3,
    ),
    "a part inside a rule": (
        adamx.stable_adamw(1e-3, weight_decay=CautiousWeightDecay(0.3, mask="kernel$")),
        "kernel",
        0.3,
    ),
    "tunable": (
        adamx.tunable(
            adamx.adamw(1e-3, weight_decay=0.1, mask="kernel$"), "learning_rate"
        ),
        "kernel",
        0.1,
    ),
    "of Optax's signature": (
        beside.adamw(
            0.1,
            weight_decay=0.1,
            mask={"embed": False, "layer": {"bias": False, "kernel": True}},
        ),
        "kernel",
        0.1,
    ),
}


@pytest.mark.parametrize("name", DECAYING)
def test_it_says_which_leaves_decay(name):
    tx, wanted, decay = DECAYING[name]
    for path, row in leaves(tx).items():
        if wanted in path:
            assert row.decays.startswith(f"{decay} ("), row
        else:
            assert row.decays == "no"
            assert row.left_out_by, row


def test_it_says_what_is_clipped():
    tx = adamx.chain(Masked(ClipByGlobalNorm(1.0), "layer"), adamx.adam(1e-3))
    clipped = {path: row.clipped for path, row in leaves(tx).items()}
    assert clipped.pop("embed") == "no"
    assert set(clipped.values()) == {"ClipByGlobalNorm"}
    assert leaves(tx)["embed"].left_out_by == "ClipByGlobalNorm: 'layer'"


def test_it_says_which_rule_of_muon_a_leaf_has():
    rows = leaves(adamx.muon(0.02))
    assert "Orthogonalize" in rows["embed"].left_out_by
    assert "Not(hidden_matrix)" in rows["layer/kernel"].left_out_by


def test_it_prints_only_what_there_is_to_say():
    plain = str(adamx.memory_plan(adamx.adam(1e-3), PARAMS))
    assert "decays" not in plain
    decaying = str(adamx.memory_plan(adamx.adamw(1e-3), PARAMS))
    assert "layer/bias    0.0001 (WeightDecay)  no" in decaying


def test_it_says_what_it_cannot_look_into():
    tx = adamx.chain(optax.clip(1.0), adamx.adam(1e-3))
    (note,) = adamx.memory_plan(tx, PARAMS).notes
    assert note == "What clip does to each leaf is not known."
    assert adamx.memory_plan(optax.adam(1e-3), params()).notes


def test_it_says_which_masks_select_no_leaf():
    """A predicate may select nothing, as for a model without matrices."""

    def of_three_axes(path, leaf):
        return leaf.ndim == 3

    plan = adamx.memory_plan(adamx.adamw(1e-3, mask=of_three_axes), PARAMS)
    (note,) = plan.notes
    assert note.startswith("The mask ")
    assert note.endswith("of_three_axes selects no leaf.")
    assert note in str(plan)
