"""What `adamx.interop.torch` reads and writes: names, groups, files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import adamx
from adamx.interop import torch as states
from adamx.interop.torch import Weight, conv
from adamx.storage import Blockwise
from tests.support.torch_state_dicts import (
    ADAMW,
    NAMES,
    PARAMS,
    SGD,
    SHAPES,
    adamw,
    moments,
    one,
    state,
    without,
)


class Tensor:
    """A tensor as far as it is read: torch is not installed here."""

    __module__ = "torch"

    def __init__(self, array, dtype):
        self.array, self.dtype = array, dtype

    def detach(self):
        return Tensor(self.array, self.dtype)

    cpu = detach

    def float(self):
        return Tensor(self.array.astype(np.float32), "torch.float32")

    def __array__(self, dtype=None, copy=None):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_tensors_are_read_without_torch():
    array = np.asarray(jnp.arange(12.0).reshape(3, 4), jnp.bfloat16)
    weights = {
        "fc.weight": Tensor(array, "torch.bfloat16"),
        "fc.bias": Tensor(np.ones(3, np.float32), "torch.float32"),
    }
    got = states.params_from_torch(weights, PARAMS, NAMES)
    np.testing.assert_array_equal(got["fc"]["kernel"], np.arange(12.0).reshape(3, 4).T)


def test_weights_come_back():
    """A convolution, a tied weight, attention with an axis of heads, bfloat16."""
    names = {
        "conv.weight": conv("conv"),
        "wte.weight": "embed",
        "head.weight": "embed",
        "q.weight": Weight("query", (1, 0), shape=(12, 6)),
    }
    rng = np.random.default_rng(0)
    arrays = {
        "conv.weight": rng.random((2, 3, 5, 4), np.float32),
        "wte.weight": rng.random((7, 6), np.float32),
        "q.weight": rng.random((12, 6), np.float32),
    }
    arrays["head.weight"] = arrays["wte.weight"]
    params = {
        "conv": jnp.zeros((5, 4, 3, 2)),
        "embed": jnp.zeros((7, 6)),
        "query": jnp.zeros((6, 3, 4)),
    }
    got = states.params_from_torch(arrays, params, names)
    assert got["conv"][4, 1, 2, 0] == arrays["conv.weight"][0, 2, 4, 1]
    assert got["query"][5, 2, 3] == arrays["q.weight"][2 * 4 + 3, 5]
    back = states.params_to_torch(got, names)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].flags.c_contiguous
    low = jax.tree.map(lambda x: x.astype(jnp.bfloat16), got)
    assert states.params_to_torch(low, names)["q.weight"].dtype == np.float32


def test_groups_become_groups_and_the_rest_is_frozen():
    first = one("AdamW", ADAMW, ["fc.bias"])
    both = first | one("SGD", SGD, ["fc.weight"])
    assert states.transformation(both, PARAMS, NAMES) == adamx.groups(
        [
            (r"^(fc/bias)$", adamx.adamw(0.01, weight_decay=0.1)),
            (r"^(fc/kernel)$", adamx.sgd(0.1, 0.9, dampening=0.0)),
        ]
    )
    assert states.transformation(first, PARAMS, NAMES) == adamx.groups(
        [
            (r"^(fc/bias)$", adamx.adamw(0.01, weight_decay=0.1)),
            (r"^(fc/kernel)$", None),
        ]
    )


def test_parameters_are_named_in_the_order_of_the_optimizer():
    bare = without(adamw(), "param_names")["AdamW"]
    named = states.with_names(bare, list(NAMES))
    assert named["param_groups"] == adamw()["AdamW"]["param_groups"]
    assert named["state"] is bare["state"]
    with pytest.raises(ValueError, match="a name for each of the 2 parameters"):
        states.with_names(bare, ["fc.weight"])


@pytest.mark.parametrize(
    "tx",
    [
        adamx.store(adamx.adamw(0.01, weight_decay=0.1), nu=Blockwise()),
        adamx.tunable(adamx.adamw(0.01, weight_decay=0.1), "learning_rate"),
        adamx.groups([(..., adamx.adamw(0.01, weight_decay=0.1))]),
        adamx.adamw(lambda k: 0.1, weight_decay=0.1),
    ],
    ids=["stored", "tunable", "groups", "scheduled"],
)
def test_the_state_is_in_the_form_of_the_transformation(tx):
    optimizers = adamw()
    made = state(optimizers, tx)
    fresh = tx.init(PARAMS)
    assert jax.tree.structure(made) == jax.tree.structure(fresh)
    back = states.state_to_torch(tx, made, PARAMS, NAMES, optimizers)["AdamW"]["state"]
    for number, kept in optimizers["AdamW"]["state"].items():
        np.testing.assert_array_equal(back[number]["exp_avg"], kept["exp_avg"])
        near = 0.02 if "Blockwise" in repr(tx) else 0
        np.testing.assert_allclose(
            back[number]["exp_avg_sq"], kept["exp_avg_sq"], rtol=near, atol=near
        )


def test_an_optimizer_that_took_no_step_is_a_fresh_one():
    fresh = {"AdamW": {**adamw()["AdamW"], "state": {}}}
    tx = states.transformation(fresh, PARAMS, NAMES)
    made = state(fresh, tx)
    assert int(made.count) == 0
    assert states.state_to_torch(tx, made, PARAMS, NAMES, fresh)["AdamW"]["state"] == {}


def test_state_dicts_are_written_and_read_as_safetensors(tmp_path):
    optimizers = adamw() | one("SGD", {**SGD, "lr": np.float32(0.5)})
    states.save_optimizers(tmp_path / "run.safetensors", optimizers)
    read = states.load_optimizers(tmp_path / "run.safetensors")
    assert read["SGD"]["state"] == {}
    assert read["SGD"]["param_groups"][0]["lr"] == 0.5
    assert read["AdamW"]["param_groups"][0]["betas"] == [0.9, 0.999]
    for got, want in zip(
        jax.tree.leaves(read["AdamW"]["state"]),
        jax.tree.leaves(adamw()["AdamW"]["state"]),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    assert jax.tree.all(
        jax.tree.map(
            np.array_equal,
            state({"AdamW": read["AdamW"]}),
            state({"AdamW": adamw()["AdamW"]}),
        )
    )


def test_a_file_without_groups_and_a_missing_package_are_named(tmp_path, monkeypatch):
    from safetensors.numpy import save_file

    save_file({"fc.weight": np.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"safetensors.numpy.load_file"):
        states.load_optimizers(tmp_path / "model.safetensors")
    with pytest.raises(TypeError, match="an option of a group must be a number"):
        states.save_optimizers(tmp_path / "x", adamw(lr=object()))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'adamx\[safetensors\]'"):
        states.load_optimizers(tmp_path / "model.safetensors")


def test_what_is_not_constant_is_not_compared():
    for tx in (
        adamx.adamw(jnp.asarray(0.5), weight_decay=0.1),
        adamx.adamw(lambda k: 0.5, weight_decay=0.1),
        adamx.tunable(adamx.adamw(0.5, weight_decay=0.1), "learning_rate"),
    ):
        jax.block_until_ready(state(adamw(), tx))
    with pytest.raises(ValueError, match=r"learning_rate=0\.5 for 0\.01 in torch"):
        state(adamw(), adamx.adamw(0.5, weight_decay=0.1))
    state(adamw(), adamx.adamw(0.5, weight_decay=0.1), check=False)


NADAM = {
    "lr": 0.1,
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "weight_decay": 0,
    "momentum_decay": 4e-3,
}


def test_groups_of_nadam_in_one_group_of_adamx():
    """Their `mu_product` differs, and one group of adamx has one."""
    kept = {
        name: moments(shape) | {"mu_product": np.float32(i + 1) / 4}
        for i, (name, shape) in enumerate(SHAPES.items())
    }
    optimizers = one("NAdam", NADAM, list(NAMES), kept)
    with pytest.raises(
        ValueError, match=r"must have one `mu_product`, got 0.25 and 0.5"
    ):
        state(optimizers, adamx.nadam(0.1, momentum_decay=4e-3))


def test_nadam_without_warm_up_has_no_product_for_torch():
    tx = adamx.nadam(0.1)
    made = tx.init(PARAMS)._replace(count=jnp.int32(1))
    with pytest.raises(ValueError, match="must hold `mu_weight` of 'fc/kernel'"):
        states.state_to_torch(
            tx, made, PARAMS, NAMES, one("NAdam", NADAM, list(NAMES)), check=False
        )


def test_parameters_in_boxes_of_flax():
    boxed = nnx.State({"fc": jax.tree.map(nnx.Param, PARAMS["fc"])})
    optimizers = adamw()
    tx = states.transformation(optimizers, boxed, NAMES)
    made = state(optimizers, tx, boxed)
    assert jax.tree.structure(made) == jax.tree.structure(tx.init(boxed))
    back = states.state_to_torch(tx, made, boxed, NAMES, optimizers)["AdamW"]["state"]
    want = optimizers["AdamW"]["state"][0]["exp_avg"]
    np.testing.assert_array_equal(back[0]["exp_avg"], want)
