"""`adamx.list_optimizers` and `adamx.create`."""

import pytest

import adamx
from adamx import parts
from adamx.descriptions import kinds
from tests.table.cases import OPTIMIZERS


def test_the_optimizers_are_those_of_the_table():
    assert adamx.list_optimizers() == sorted(row.name for row in OPTIMIZERS)


def test_each_kind_lists_its_own():
    found = kinds.by_kind(adamx.list_optimizers())
    for kind, group in found.items():
        assert adamx.list_optimizers(kind=kind) == sorted(group)
    assert adamx.list_optimizers(kind="low rank") == [
        "apollo",
        "apollo_mini",
        "fira",
        "galore",
    ]


def test_by_pattern_and_by_bytes():
    names = adamx.list_optimizers("*muon*")
    assert names == ["adamuon", "muon", "muonh", "normuon"]
    small = adamx.list_optimizers(max_bytes=4)
    assert {"sgd", "lion", "muon", "adafactor", "galore"} <= set(small)
    assert not {"adam", "soap", "prodigy"} & set(small)
    assert "adam" in adamx.list_optimizers(max_bytes=8)


def test_an_optimizer_by_its_name():
    assert adamx.create("adamw", 1e-3, b1=0.8) == adamx.adamw(1e-3, b1=0.8)
    assert adamx.create("gpa", adamx.adam(1e-3)) == adamx.gpa(adamx.adam(1e-3))


def test_vectors_do_not_decay():
    tx = adamx.create("adamw", 1e-3, weight_decay=0.1, no_decay_for_vectors=True)
    assert tx == adamx.adamw(1e-3, weight_decay=0.1, mask=parts.not_vector)
    tx = adamx.create("prodigy", weight_decay=0.1, no_decay_for_vectors=True)
    decay = parts.WeightDecay(0.1, parts.not_vector)
    assert tx == adamx.prodigy(weight_decay=decay)
    assert adamx.from_config(adamx.to_config(tx)) == tx


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: adamx.create("adamww", 1e-3), "got 'adamww'. Did you mean 'adamw'"),
        (lambda: adamx.create("adamw", 1e-3, bb=1), "adamw: a keyword must be one"),
        (lambda: adamx.create(adamx.adam, 1e-3), "`name` must be the name of an opt"),
        (
            lambda: adamx.create("adam", 1e-3, no_decay_for_vectors=True),
            "must have a weight decay, got 'adam'. Those with one are .*adamw",
        ),
        (
            lambda: adamx.create("adamw", 1, mask="a", no_decay_for_vectors=True),
            "there must be no other, got mask= too",
        ),
        (lambda: adamx.list_optimizers("adamww*"), "must match a name, .*'adamw'"),
        (lambda: adamx.list_optimizers(kind="Another"), "The kinds are Gradient"),
        (lambda: adamx.list_optimizers(max_bytes="8"), "must be a number of bytes"),
    ],
)
def test_errors_name_what_is_near(call, says):
    with pytest.raises((adamx.AdamxError, adamx.AdamxTypeError), match=says):
        call()
