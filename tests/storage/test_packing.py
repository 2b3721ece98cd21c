"""Packing: the steps of packed parameters are those of the parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

import adamx
from adamx.storage import Blockwise

LAYERS = 6


def tree(seed: int = 0) -> dict:
    random = np.random.default_rng(seed)

    def one(*shape: int) -> jax.Array:
        return jnp.asarray(random.standard_normal(shape), jnp.float32)

    layers = [{"kernel": one(3, 4), "bias": one(4)} for _ in range(LAYERS)]
    return {
        "layers": layers,
        "head": {"bias": one(2), "gain": one()},
        "none": None,
        "ids": jnp.arange(3),
    }


@pytest.fixture(autouse=True)
def few_leaves_in_a_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adamx.storage.packing.MOST", 4)


def floats(seed: int = 0) -> dict:
    return {k: v for k, v in tree(seed).items() if k != "ids"}


def test_leaves_whose_paths_differ_in_numbers_are_packed() -> None:
    packing = adamx.packing(tree())
    packed = packing.pack(tree())
    assert {path: x.shape for path, x in packed.items() if "bias" in path} == {
        "head/bias": (2,),
        "layers/*1/bias": (16,),
        "layers/*2/bias": (8,),
    }
    assert packed["ids"].dtype == jnp.int32
    assert packed["none"] is None
    np.testing.assert_array_equal(
        packed["layers/*1/bias"][4:8], tree()["layers"][1]["bias"]
    )
    jax.tree.map(np.testing.assert_array_equal, packing.unpack(packed), tree())
    assert str(packing).splitlines() == [
        "packing of 16 leaves as 12 arrays:",
        "layers/*1/bias: 4 leaves, 16 elements",
        "layers/*2/bias: 2 leaves, 8 elements",
        "10 leaves stay as they are.",
    ]
    assert packing == adamx.packing(tree(1))
    assert hash(packing) == hash(adamx.packing(tree(1)))


def test_steps_are_those_of_the_parameters() -> None:
    params = floats()
    packing = adamx.packing(params)
    tx = adamx.chain(adamx.parts.ClipByGlobalNorm(1.0), adamx.adamw(0.1, mask="kernel"))

    def loss(params: dict, scale: float) -> jax.Array:
        return scale * sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(params))

    @jax.jit
    def both(params: dict, packed: dict, state: tuple, own: tuple, scale: float):
        grads = jax.grad(loss)(params, scale)
        params, state = adamx.step(tx, params, grads, state)
        grads = jax.grad(lambda p: loss(packing.unpack(p), scale))(packed)
        packed, own = adamx.step(tx, packed, grads, own)
        return params, packed, state, own

    packed = packing.pack(params)
    state, own = tx.init(params), tx.init(packed)
    for scale in (1.0, -2.0, 0.5):
        params, packed, state, own = both(params, packed, state, own, scale)

    def close(a: jax.Array, b: jax.Array) -> None:
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)

    jax.tree.map(close, packing.unpack(packed), params)
    jax.tree.map(close, packing.unpack_state(own), state)
    jax.tree.map(close, packing.pack_state(state), own)


def test_the_gradient_is_one_concatenation() -> None:
    packing = adamx.packing(floats())

    def loss(packed: dict) -> jax.Array:
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(packing.unpack(packed)))

    packed = packing.pack(floats())
    program = str(jax.make_jaxpr(jax.grad(loss))(packed))
    assert program.count("concatenate[") == 2
    assert "pad[" not in program
    _, along = jax.jvp(loss, (packed,), (packed,))  # forward mode, too
    assert jnp.isclose(along, 2 * loss(packed))


@pytest.mark.parametrize("optimizer", ["adamw without mean", "optax", "schedule-free"])
def test_a_state_is_packed_and_unpacked(optimizer: str) -> None:
    tx = {
        "adamw without mean": adamx.Masked(adamx.adamw(0.1, b1=0), "kernel"),
        "optax": optax.chain(optax.clip(1.0), optax.adamw(0.1)),
        "schedule-free": adamx.schedule_free_adamw(0.1),
    }[optimizer]
    packing = adamx.packing(floats())
    state, own = tx.init(floats()), tx.init(packing.pack(floats()))
    there = packing.pack_state(state)
    assert jax.tree.structure(there) == jax.tree.structure(own)
    jax.tree.map(np.testing.assert_array_equal, there, own)
    back = packing.unpack_state(there)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, back, state)


def test_a_packed_state_is_kept_in_8_bits_by_restore() -> None:
    params = floats()
    packing = adamx.packing(params)
    packed = packing.pack(params)
    tx = adamx.adam(0.1)
    _, state = tx.update(params, tx.init(params), params)
    small = adamx.store(tx, nu=Blockwise(min_size=0))
    own = adamx.restore(small, packing.pack_state(state), packed)
    kept = adamx.slots(own, "nu", packed)["layers/*1/bias"]
    exact = packing.pack(state.slots["nu"])["layers/*1/bias"]
    np.testing.assert_allclose(kept, exact, rtol=0.1, atol=1e-6)
    with pytest.raises(adamx.AdamxError, match=r"`layers/\*1/bias` must have 16 elem"):
        packing.unpack_state(own)
    with pytest.raises(
        adamx.AdamxError, match="got one in codes, whose small leaves are"
    ):
        packing.pack_state(small.init(params))


def test_boxes_and_abstract_parameters() -> None:
    boxed = {
        f"Dense_{i}": {"bias": linen.LogicallyPartitioned(jnp.full(3, i), ("embed",))}
        for i in (0.0, 1.0)
    }
    packing = adamx.packing(boxed)
    plain = {path: {"bias": x["bias"].value} for path, x in boxed.items()}
    for given in (boxed, plain):
        packed = packing.pack(given)
        assert list(packed) == ["Dense_*.*/bias"]
        again = packing.unpack(packed)
        assert jax.tree.structure(again) == jax.tree.structure(boxed)
    shapes = jax.eval_shape(lambda: floats())
    packing = adamx.packing(shapes)
    assert packing == adamx.packing(floats())
    abstract = packing.pack(shapes)
    assert abstract["layers/*2/bias"] == jax.ShapeDtypeStruct((8,), jnp.float32)
    assert packing.unpack(abstract) == shapes


def test_what_is_packed_is_chosen() -> None:
    params = floats()
    packing = adamx.packing(
        params, select=r"layers", by=lambda path: path.split("/")[-1]
    )
    assert {pack.path for pack in packing.packs} == {
        *("kernel *1", "kernel *2", "bias *1", "bias *2")
    }
    jax.tree.map(
        np.testing.assert_array_equal, packing.unpack(packing.pack(params)), params
    )
    assert not adamx.packing(params, max_size=1).packs
    half = {"a": [jnp.ones(2), jnp.ones(2), *[jnp.ones(2, jnp.bfloat16)] * 2]}
    assert [pack.path for pack in adamx.packing(half).packs] == [
        *("a/*float32", "a/*bfloat16")
    ]


def test_divided_leaves_stay_alone() -> None:
    mesh = jax.make_mesh((1,), ("data",))
    specs = [jax.P("data"), jax.P("data"), jax.P(), jax.P()]
    params = [
        jax.device_put(jnp.ones(4), jax.NamedSharding(mesh, spec)) for spec in specs
    ]
    assert [pack.leaves for pack in adamx.packing(params).packs] == [(2, 3)]


def test_bad_input() -> None:
    packing = adamx.packing(floats())
    packed = packing.pack(floats())
    with pytest.raises(
        adamx.AdamxError, match="must have the leaves of the parameters"
    ):
        packing.pack({"layers": jnp.ones(2)})
    with pytest.raises(
        adamx.AdamxError, match=r"got None for `layers/0/bias` of shape"
    ):
        packing.pack(floats() | {"layers": [{"kernel": 0, "bias": None}] * LAYERS})
    with pytest.raises(adamx.AdamxError, match="must be the dict that `pack` returns"):
        packing.unpack(floats())
    with pytest.raises(adamx.AdamxError, match=r"<class 'list'>\". Call packing.pack"):
        packing.unpack([1])
    with pytest.raises(adamx.AdamxError, match=r"`layers/\*2/bias` must have 8"):
        packing.unpack(packed | {"layers/*2/bias": jnp.ones(3)})
    with pytest.raises(
        adamx.AdamxError, match="a tree with several leaves, got one arr"
    ):
        adamx.packing(jnp.ones(3))
    with pytest.raises(adamx.AdamxTypeError, match="`max_size` must be an integer"):
        adamx.packing(floats(), max_size=1.5)
    with pytest.raises(adamx.AdamxError, match="`max_size` must be at least 1, got 0"):
        adamx.packing(floats(), max_size=0)
    with pytest.raises(adamx.AdamxTypeError, match="`by` must return a text"):
        adamx.packing(floats(), by=lambda path: 1)
    with pytest.raises(adamx.AdamxError, match="must not be the path of a leaf"):
        adamx.packing({"a": jnp.ones((2, 2)), "b": [jnp.ones(2)] * 2}, by=lambda p: "a")
