"""`adamx.diff`: the parts, hyperparameters and codecs that differ."""

import optax
import pytest

import adamx
from adamx import parts
from adamx.storage import Blockwise, Cast


def changes(a, b):
    return [tuple(change) for change in adamx.diff(a, b)]


def test_equal_transformations_do_not_differ():
    made = adamx.diff(adamx.adamw(1e-3), adamx.adamw(1e-3))
    assert not made
    assert len(made) == 0
    assert str(made) == "adamw → adamw: no difference."
    assert "No difference" in made._repr_html_()


def test_added_parts_and_changed_numbers():
    before, after = adamx.adam(1e-3), adamx.adamw(2e-3, b1=0.8)
    assert changes(before, after) == [
        (
            "changed",
            "Precondition.moment.Debiased.moment.Ema.decay (b1)",
            "0.9",
            "0.8",
        ),
        ("added", "WeightDecay", "", "WeightDecay(0.0001)"),
        ("changed", "LearningRate.learning_rate", "0.001", "0.002"),
    ]
    back = [(kind, part) for kind, part, *_ in changes(after, before)]
    assert back[1] == ("removed", "WeightDecay")
    lines = str(adamx.diff(before, after)).splitlines()
    assert lines[0] == "adam → adamw"
    assert [line.split()[0] for line in lines[1:]] == ["~", "+", "~"]


def test_another_eps_kind_and_another_mask():
    kind = adamx.adam(1e-3, eps=parts.EpsInsideRoot(1e-8))
    assert changes(adamx.adam(1e-3), kind) == [
        ("changed", "Precondition.by.RootPlusEps.eps", "1e-08", "EpsInsideRoot()")
    ]
    masked = adamx.adamw(1e-3, mask="kernel")
    assert changes(adamx.adamw(1e-3), masked) == [
        ("changed", "WeightDecay.mask", "None", "'kernel'")
    ]


def test_storage():
    plain, stored = (
        adamx.adam(1e-3),
        adamx.store(adamx.adam(1e-3), nu=Blockwise(bits=8)),
    )
    assert changes(plain, stored) == [("added", "storage of nu", "", "Blockwise()")]
    assert changes(stored, plain) == [("removed", "storage of nu", "Blockwise()", "")]
    other = adamx.store(adamx.adam(1e-3), nu=Cast("bfloat16"))
    ((kind, place, before, after),) = changes(stored, other)
    assert (kind, place) == ("changed", "Stored.codecs")
    assert "Blockwise" in before
    assert "Cast" in after


def test_wrappers_and_parts_of_optax():
    accumulated = adamx.accumulate(adamx.adam(1e-3), 4)
    ((kind, part, _, after),) = changes(adamx.adam(1e-3), accumulated)
    assert (kind, part) == ("added", "Accumulating")
    assert "every=4" in after
    clipped = adamx.chain(optax.clip(1.0), adamx.adam(1e-3))
    ((kind, part, *_),) = changes(adamx.adam(1e-3), clipped)
    assert (kind, part) == ("added", "clip")


def test_what_is_not_of_adamx_is_an_error():
    with pytest.raises(adamx.AdamxTypeError, match="diff: `tx2` must be a transf"):
        adamx.diff(adamx.adam(1e-3), optax.adam(1e-3))
