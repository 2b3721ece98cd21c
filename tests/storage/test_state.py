"""Storage changes how the memory is kept, and nothing else: laws of what is stored."""

import copy
import functools
import pickle

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from adamx.later import things
from adamx.storage import BlockMean, Blockwise, Cast, Codec, Minifloat, RowColumnMeans
from adamx.testing import kept_slot
from tests.support.counting import counted
from tests.support.trees import (
    assert_close,
    assert_equal,
    assert_same_codes,
    signature,
)
from tests.table.cases import few

HALF = Cast(jnp.bfloat16, "stochastic")
FORMS = {
    "bfloat16": {"mu": HALF, "nu": HALF},
    "eight": {"mu": Blockwise(), "nu": Blockwise()},
    "four": {"mu": Blockwise(4), "nu": Blockwise(4)},
    "float8": {"mu": Cast(jnp.float8_e4m3fn), "nu": Cast(jnp.float8_e5m2)},
    "means": {"nu": RowColumnMeans()},
    "blocks": {"nu": BlockMean()},
    "mixed": {"mu": HALF, "nu": Blockwise(block=64, code=Minifloat(2))},
}
EVERY = pytest.mark.parametrize("form", list(FORMS))
SHAPES = {"kernel": (64, 128), "narrow": (512, 10), "gain": ()}


@functools.cache
def stored(form):
    return adamx.store(adamx.adamw(1e-2), **FORMS[form])


def tree(seed, dtype=jnp.float32):
    normal = np.random.default_rng(seed).standard_normal
    return {name: jnp.asarray(normal(s), dtype) for name, s in SHAPES.items()}


def run(tx, steps, start=0, state=None, p=None, update=None):
    p = tree(0) if p is None else p
    state = tx.init(p) if state is None else state
    update = update or jax.jit(tx.update)
    for k in range(start, start + steps):
        u, state = update(tree(100 + k), state, p)
        p = optax.apply_updates(p, u)
    return p, state


def test_kept_in_float32_it_is_the_same_bit_for_bit():
    plain = adamx.adamw(1e-2)
    wide = adamx.store(plain, mu=Cast(jnp.float32), nu=Cast(jnp.float32))
    assert_equal(run(wide, 5), run(plain, 5))


@EVERY
@pytest.mark.parametrize("dtype", few(["bfloat16", "float32"], 1))
def test_the_state_is_a_fixed_point_and_step_two_compiles_nothing(form, dtype):
    tx, p = stored(form), tree(0, dtype)
    state = tx.init(p)
    update = jax.jit(tx.update)
    u, after = update(tree(1, dtype), state, p)
    assert signature(after) == signature(state)
    assert u["kernel"].dtype == dtype
    with counted() as count:
        update(tree(2, dtype), after, p)
    assert (count.traces, count.compilations) == (0, 0)
    abstract = jax.eval_shape(tx.init, p)
    assert signature(abstract)[1] == signature(state)[1]


@EVERY
def test_a_run_goes_on_from_a_pickled_state_bit_for_bit(form):
    """Random rounding follows from the step: a restored run rounds alike."""
    tx = stored(form)
    p, state = run(tx, 3)
    state = copy.deepcopy(pickle.loads(pickle.dumps(state)))
    assert_equal(run(tx, 3, 3, state, p), run(tx, 6))


@EVERY
def test_checkpoints_keep_every_bit(form, tmp_path):
    _, state = run(stored(form), 2)
    data = flax.serialization.to_bytes(state)
    assert_equal(flax.serialization.from_bytes(state, data), state)
    with ocp.StandardCheckpointer() as saver:
        saver.save(tmp_path / "state", state)
        saver.wait_until_finished()
        assert_equal(saver.restore(tmp_path / "state", state), state)


@EVERY
def test_it_is_a_value(form):
    tx = stored(form)
    again = adamx.store(adamx.adamw(1e-2), **FORMS[form])
    assert again == tx
    assert hash(again) == hash(tx)
    assert again.update is tx.update
    names = {"jnp": jnp}
    for package in (adamx.storage, adamx.parts, adamx):
        names |= things(package)
    assert eval(repr(tx), names) == tx
    assert pickle.loads(pickle.dumps(tx)) == tx


@EVERY
def test_jit_and_scan_do_what_steps_do(form):
    tx = stored(form)
    p, state = run(tx, 4)

    def one(carry, g):
        p, state = carry
        u, state = tx.update(g, state, p)
        return (optax.apply_updates(p, u), state), None

    gradients = jax.tree.map(
        lambda *x: jnp.stack(x), *(tree(100 + k) for k in range(4))
    )
    scan = jax.jit(lambda c, g: jax.lax.scan(one, c, g)[0])
    q, other = scan((tree(0), tx.init(tree(0))), gradients)
    assert_close(q, p, ulps=64)
    assert signature(other) == signature(state)


@pytest.mark.parametrize("form", ["bfloat16", "eight", "means"])
def test_vmap_over_seeds_is_a_loop(form):
    tx = stored(form)
    several = jax.tree.map(lambda *x: jnp.stack(x), *(tree(k) for k in range(3)))
    state = jax.vmap(tx.init)(several)
    u, state = jax.jit(jax.vmap(tx.update))(several, state, several)
    for k in range(3):
        alone, after = jax.jit(tx.update)(tree(k), tx.init(tree(k)), tree(k))
        assert_close(jax.tree.map(lambda x, k=k: x[k], u), alone)
        assert signature(jax.tree.map(lambda x, k=k: x[k], state)) == signature(after)


@EVERY
@pytest.mark.parametrize("mode", few([AxisType.Explicit, AxisType.Auto], 1), ids=str)
def test_sharded_as_unsharded(form, mode):
    """Codes and scales follow the parameter; the same bits are drawn and kept."""
    mesh = jax.make_mesh((4, 2), ("d", "m"), axis_types=(mode, mode))
    spec = {"kernel": P("d", None), "narrow": P("d", None), "gain": P()}
    place = {name: NamedSharding(mesh, s) for name, s in spec.items()}
    tx = stored(form)

    def sharded(seed):
        return jax.device_put(tree(seed), place)

    update = jax.jit(tx.update)
    with jax.set_mesh(mesh):
        p = sharded(0)
        state = jax.jit(tx.init)(p)
        for path, x in jax.tree_util.tree_leaves_with_path(state.slots):
            name = jax.tree_util.keystr(path)
            split = not any(s in name for s in ("col", "whole", "gain"))
            if split and form != "blocks" and x.ndim > 1:
                assert x.sharding.spec[0] == "d", name
        for k in range(3):
            u, after = update(sharded(100 + k), state, p)
            for a, b in zip(
                jax.tree.leaves(after), jax.tree.leaves(state), strict=True
            ):
                assert a.sharding.is_equivalent_to(b.sharding, a.ndim)
            p, state = optax.apply_updates(p, u), after
    alone, want = run(tx, 3)
    got = jax.tree.map(np.asarray, (p, state))
    if form in ("means", "blocks"):
        assert_close(got, jax.tree.map(np.asarray, (alone, want)), ulps=64)
    else:
        assert_same_codes(got[1], jax.tree.map(np.asarray, want))


@pytest.mark.parametrize("form", ["bfloat16", "eight", "means"])
def test_inside_optax(form):
    tx, p, g = stored(form), tree(0), tree(1)
    alone, _ = jax.jit(tx.update)(g, tx.init(p), p)
    label = {"kernel": "a", "narrow": "b", "gain": "b"}
    outers = (
        optax.chain(optax.identity(), tx),
        optax.masked(tx, dict.fromkeys(SHAPES, True)),
        optax.partition({"a": tx, "b": tx}, label),
        optax.apply_if_finite(tx, 3),
        optax.MultiSteps(tx, 1).gradient_transformation(),
        adamx.chain(optax.identity(), tx),
        adamx.tunable(tx, "learning_rate"),
        adamx.store(adamx.tunable(adamx.adamw(1e-2), "learning_rate"), **FORMS[form]),
    )
    steps = jax.jit(lambda g, p: [o.update(g, o.init(p), p) for o in outers])(g, p)
    for outer, (u, state) in zip(outers, steps, strict=True):
        assert_close(u, alone, ulps=64)
        doubled = optax.tree_map_params(outer, lambda x: x, state)
        assert_equal(doubled, state)


def test_a_masked_part_keeps_nothing_of_the_others():
    tx = adamx.Masked(adamx.scale_by_adam(), "kernel")
    tx = adamx.store(tx, mu=Blockwise(), nu=Blockwise())
    state = tx.init(tree(0))
    assert is_absent(state.slots["mu"]["codes"]["narrow"])
    u, state = tx.update(tree(1), state, tree(0))
    assert np.array_equal(u["narrow"], tree(1)["narrow"])
    assert is_absent(state.slots["nu"]["scale"]["narrow"])


def test_stacked_layers_are_stored_as_one_leaf():
    tx = adamx.stacked(adamx.lamb(1e-2), "kernel")
    tx = adamx.store(tx, mu=Blockwise(), nu=Blockwise())
    p = {"kernel": jnp.ones((4, 32, 64))}
    state = tx.init(p)
    assert state.slots["mu"]["scale"]["kernel"].shape == (4, 16, 1)
    u, state = tx.update(p, state, p)
    assert np.isfinite(u["kernel"]).all()


def test_adams_second_moment_in_row_and_column_means_is_adafactors():
    """Without first moment and correction: RowColumnMeans() of the same average."""
    linear = adamx.parts.RootPlusEps(
        adamx.parts.Ema(0.9, adamx.parts.square, "nu"), 0.0
    )
    ours = adamx.store(
        adamx.parts.Precondition(adamx.parts.Identity(), by=linear), nu=RowColumnMeans()
    )
    theirs = adamx.parts.FactoredSecondMoment(0.9, eps=0.0)
    p = {"w": jnp.zeros((8, 16))}
    state, other = ours.init(p), theirs.init(p)
    for k in range(6):
        g = {"w": jnp.asarray(np.random.default_rng(k).standard_normal((8, 16)), "f4")}
        _, state = ours.update(g, state, p)
        v, other = theirs.update(g, other, p)
        assert_close(kept_slot(ours, state, "nu", p), v)


def test_adams_second_moment_in_block_means_is_adam_minis():
    mini = adamx.optimizers.BlockEma(0.9, adamx.optimizers.by_column)
    ours = adamx.store(adamx.parts.Ema(0.9, adamx.parts.square, "nu"), nu=BlockMean())
    p = {"w": jnp.zeros((8, 16))}
    state, other = ours.init(p), mini.init(p)
    for k in range(6):
        g = {"w": jnp.asarray(np.random.default_rng(k).standard_normal((8, 16)), "f4")}
        _, state = ours.update(g, state, p)
        v, other = mini.update(g, other, p)
        assert_close(kept_slot(ours, state, "nu", p), v)


def test_the_update_is_made_of_the_new_moments_before_they_are_kept():
    """The first step of Adam is the sign of the gradient, whatever the codec."""
    for form in FORMS:
        tx = adamx.store(adamx.scale_by_adam(eps=0.0), **FORMS[form])
        g = {"kernel": tree(1)["kernel"]}
        u, _ = tx.update(g, tx.init(g), g)
        assert_close(u["kernel"], jnp.sign(g["kernel"]), ulps=16)


def test_other_seeds_round_otherwise():
    one, two = (
        adamx.store(adamx.scale_by_adam(), nu=Blockwise(), seed=s).init for s in (0, 1)
    )
    assert_equal(one(tree(0)), two(tree(0)))
    states = []
    for seed in (0, 1):
        tx = adamx.store(adamx.scale_by_adam(), nu=Blockwise(), seed=seed)
        states.append(tx.update(tree(1), tx.init(tree(0)))[1])
    a, b = (s.slots["nu"]["codes"]["kernel"] for s in states)
    assert 0.1 < np.mean(np.asarray(a) != np.asarray(b)) < 0.7


def test_yogis_start_is_encoded():
    tx = adamx.store(adamx.yogi(1e-2), nu=Blockwise(), mu=Blockwise())
    p = tree(0)
    start = kept_slot(tx, tx.init(p), "nu", p)
    np.testing.assert_allclose(start["kernel"], 1e-6, rtol=1e-6)


def test_a_codec_of_your_own():
    class Halved(Codec):
        """Every second number, twice."""

        def encode(self, x, uniform):
            flat = x.reshape(-1)
            pairs = flat[: flat.size // 2 * 2].reshape(-1, 2).mean(-1)
            rest = flat[flat.size // 2 * 2 :]
            return {"codes": pairs, "scale": rest}

        def decode(self, kept, shape):
            pairs = jnp.repeat(kept["codes"], 2)
            return jnp.concatenate([pairs, kept["scale"]]).reshape(shape)

    tx = adamx.store(adamx.adam(1e-2), nu=Halved())
    p, state = run(tx, 2)
    assert state.slots["nu"]["codes"]["kernel"].shape == (64 * 128 // 2,)
    assert np.isfinite(p["kernel"]).all()
    adamx.testing.check_storage(Halved(), tolerance=0.01)


def test_a_schedule_free_point_is_read_back_in_bfloat16():
    tx = adamx.store(adamx.schedule_free_adamw(1e-2), z=HALF)
    p = tree(0)
    u, state = tx.update(tree(1), tx.init(p), p)
    p = optax.apply_updates(p, u)
    plain = adamx.schedule_free_adamw(1e-2)
    v, other = plain.update(tree(1), plain.init(tree(0)), tree(0))
    q = optax.apply_updates(tree(0), v)
    got, want = adamx.eval_params(state, p), adamx.eval_params(other, q)
    assert np.abs(got["kernel"] - want["kernel"]).max() < 0.03
    assert got["kernel"].dtype == jnp.float32


WRAPPERS = {
    "chain": lambda tx: adamx.chain(adamx.parts.Clip(1.0), tx),
    "masked": lambda tx: adamx.Masked(tx, "kernel"),
    "cautious": adamx.cautious,
    "grams": adamx.grams,
    "tunable": lambda tx: adamx.tunable(tx, "b2"),
    "stacked": lambda tx: adamx.stacked(tx, "kernel"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_stand_outside_or_inside(wrapper):
    """What is kept is the same either way, and a step gives the same update."""
    wrap, codecs = WRAPPERS[wrapper], {"mu": HALF, "nu": Blockwise()}
    inner = adamx.scale_by_adam() if wrapper == "masked" else adamx.adam(1e-2)
    made = (
        wrap(adamx.store(inner, **codecs)),
        adamx.store(wrap(inner), **codecs),
    )
    p, g = tree(0), tree(1)
    states = [tx.init(p) for tx in made]
    assert_equal(*states)
    (u, a), (v, b) = (
        jax.jit(tx.update)(g, s, p) for tx, s in zip(made, states, strict=True)
    )
    assert_close(u, v)
    assert signature(a) == signature(b)
