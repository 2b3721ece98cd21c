"""`adamx.to_config` and `adamx.from_config`: JSON and back."""

import copy
import json

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

import adamx
from adamx import parts
from adamx.storage import Blockwise, Cast
from tests.descriptions.test_equations_of_parts import VARIANTS, built


def again(tx):
    return adamx.from_config(json.loads(json.dumps(adamx.to_config(tx))))


@pytest.mark.parametrize(("row", "variant"), VARIANTS)
def test_the_same_transformation_comes_back(row, variant):
    tx = built(row, variant)
    back = again(tx)
    assert back == tx
    assert hash(back) == hash(tx)
    assert repr(back) == repr(tx)


COSINE = adamx.schedule(optax.cosine_decay_schedule, init_value=1e-3, decay_steps=9)


@pytest.mark.parametrize(
    "tx",
    [
        adamx.adamw(COSINE, mask="kernel$"),
        adamx.adamw(1e-3, mask={"a": True, "b": [False, True]}),
        adamx.adamw(jnp.float32(1e-3), b1=jnp.float32([0.9, 0.8])),
        adamx.adamw(1e-3, mask=parts.Not("bias")),
        adamx.store(adamx.adamw(1e-3), mu=Cast("bfloat16"), nu=Blockwise(bits=8)),
        adamx.accumulate(adamx.adam(1e-3), 4, skip_nonfinite=True),
        adamx.tunable(adamx.adam(1e-3), "learning_rate"),
        adamx.groups([("head", adamx.adam(1e-3)), ("body", adamx.muon(0.02))]),
        adamx.groups([("head", adamx.adam(1e-3)), (..., None)]),
        adamx.cautious(adamx.adamw(1e-3)),
        adamx.fused(adamx.adamw(1e-3)),
        adamx.stacked(adamx.muon(0.02), "layers"),
        adamx.chain(parts.ClipByGlobalNorm(1.0), adamx.adam(1e-3)),
        adamx.chain(adamx.muon(0.02), parts.QKClip()),
        adamx.zero1(adamx.adam(1e-3), "data"),
        adamx.zero1(adamx.adam(1e-3), specs={"a": P(None, ("x", "y"), "z"), "b": P()}),
        adamx.offload(adamx.adam(1e-3), "pinned_host", select="nu"),
        adamx.observe(adamx.adam(1e-3), every=5),
        adamx.sparse.per_row(adamx.adam(1e-3), "embed"),
        adamx.sparse.catch_up(adamx.sgd(0.1, momentum=0.9), "embed"),
        adamx.muon(0.02, axes={"kernel": parts.MatrixAxes((0,), (1,))}),
        adamx.scale_by_adam(),
        parts.Masked(parts.Sign(), "kernel"),
        Blockwise(bits=4),
        adamx.adam(adamx.schedule(optax.constant_schedule, value=float("inf"))),
    ],
    ids=lambda tx: repr(tx)[:60],
)
def test_wrappers_masks_schedules_and_codecs_come_back(tx):
    back = again(tx)
    assert back == tx  # and equal transformations are one program
    assert repr(back) == repr(tx)


def test_the_version_and_what_made_it_are_kept():
    config = adamx.to_config(adamx.adamw(1e-3))
    assert config["adamx"] == adamx.__version__
    assert adamx.cite(again(adamx.adamw(1e-3))) == adamx.cite(adamx.adamw(1e-3))


class Mine(adamx.Rule):
    """A rule of one's own."""

    def apply(self, update, slots, ctx):
        return update, slots


@pytest.mark.parametrize(
    ("tx", "says"),
    [
        (
            adamx.adam(lambda t: 1e-3),
            r"`Chain.parts\[1\].learning_rate` must be a function of adamx",
        ),
        (
            adamx.adamw(1e-3, mask=lambda params: params),
            r"`Chain.parts\[1\].mask.function` must be a function of adamx",
        ),
        (
            adamx.chain(optax.clip(1.0), adamx.adam(1e-3)),
            r"`Chain.parts\[0\]` must be a part of adamx, got 'clip' of another",
        ),
        (adamx.chain(Mine()), r"`Chain.parts\[0\]` must be of adamx itself, got Mine"),
        (
            adamx.adam(adamx.schedule(lambda: lambda t: t)),
            "a schedule whose factory is one of optax.schedules",
        ),
        (
            adamx.adamw(1e-3, mask=(True, False)),
            "must be a tree of dicts, lists and bools",
        ),
    ],
)
def test_what_cannot_be_written_is_named(tx, says):
    with pytest.raises(adamx.AdamxTypeError, match=f"to_config: .*{says}"):
        adamx.to_config(tx)


def test_a_traced_number_cannot_be_written():
    with pytest.raises(adamx.AdamxTypeError, match="Call to_config outside of jit"):
        jax.jit(lambda rate: adamx.to_config(adamx.adam(rate)) and rate)(1e-3)


def changed(path, value):
    config = copy.deepcopy(adamx.to_config(adamx.adam(COSINE)))
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return config


RATE = ("parts", 1, "learning_rate")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (changed(("parts", 1, "type"), "LearningRat"), "Did you mean 'LearningRate'"),
        (changed(("parts", 1, "learning_rat"), 1), "Did you mean 'learning_rate'"),
        (changed(("type",), "os.system"), "must be a name of adamx, got 'os.system'"),
        (
            changed((*RATE, "schedule"), "optax.cosine_decay_schedul"),
            "Did you mean 'optax.cosine_decay_schedule'",
        ),
        (changed(RATE, {"schedule": "os.system"}), "must be a name of adamx"),
        (changed(RATE, {"function": "builtins.eval"}), "must be a name of adamx"),
        (changed(RATE, {"value": 1}), "must have one of the keys 'type', 'function'"),
        (changed(RATE, -1.0), "LearningRate: `learning_rate` must be at least 0"),
        (changed(RATE, {"array": 1.0, "dtype": "float33"}), "must have a dtype of JAX"),
        (changed(("parts", 1), {"type": "LearningRate"}), "must have all fields"),
    ],
)
def test_unknown_names_and_fields_are_errors_with_the_nearest(config, says):
    with pytest.raises(adamx.AdamxError, match=says):
        adamx.from_config(config)


@pytest.mark.parametrize("config", ["{}", {}, {"type": "Chain"}, None])
def test_what_is_no_configuration_is_an_error(config):
    with pytest.raises(adamx.AdamxTypeError, match=r"Read a text by json\.loads first"):
        adamx.from_config(config)
