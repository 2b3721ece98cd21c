"""A row-sparse step: rows as on a table of them alone, and nothing else touched."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import adamx
from adamx import RowSparse, chain, parts, sparse, storage
from tests.sparse.trees import (
    STEPS,
    TABLE,
    WIDTH,
    N,
    gradient,
    sparse_adam,
)
from tests.support.counting import counted
from tests.support.error_messages import message
from tests.table.cases import SMALL, cases
from tests.table.row import RATE

ROWS = np.array([1, 4, 5])
GIVEN = np.array(
    [4, N, 1, 4, -1, 5], np.int32
)  # 4 is split in two, and there is padding
PARTS = np.random.default_rng(3).standard_normal((3, len(GIVEN), WIDTH)).astype("f4")
ELEMENT = [
    param
    for param in cases(first_only=True)
    if param.values[0].optimizer.scope == "element"
    and not param.values[0].optimizer.name.startswith(("adahessian", "sophia"))
][:: 3 if SMALL else 1]


STILL = {"schedule_free_radam"}  # r_t is not defined in the first steps


def params(rows=slice(None)):
    return {"bias": jnp.ones(3), "table": jnp.asarray(TABLE[rows], jnp.float32)}


def grads_of(step):
    """The same gradient, of some rows of the table, and of a table of these alone."""
    some = RowSparse(jnp.asarray(GIVEN), jnp.asarray(PARTS[step]), N)
    alone = some.todense()[ROWS]
    bias = jnp.full(3, 0.1 * (step + 1))
    return {"bias": bias, "table": some}, {"bias": bias, "table": alone}


@functools.partial(jax.jit, static_argnums=0)
def run(tx, p, state, grads):
    for g in grads:
        updates, state = tx.update(g, state, p)
        p = sparse.apply_updates(p, updates)
    return p, state


@pytest.mark.parametrize("case", ELEMENT)
def test_every_element_wise_optimizer_steps_the_rows_alone(case):
    """Rows, slots and what all share are those of a table of the rows, to rounding."""
    whole, alone = params(), params(ROWS)
    given = [grads_of(step) for step in range(3)]
    start = case.tx.init(whole)
    p, state = run(case.tx, whole, start, [g for g, _ in given])
    q, other = run(case.tx, alone, case.tx.init(alone), [g for _, g in given])
    np.testing.assert_array_equal(p["bias"], q["bias"])
    others = np.setdiff1d(np.arange(N), ROWS)
    before = {"table": whole["table"], **{n: s for n, s in start.slots.items()}}
    after = {"table": p["table"], **{n: s for n, s in state.slots.items()}}
    small = {"table": q["table"], **{n: s for n, s in other.slots.items()}}
    for name in after:
        trees = before[name], after[name], small[name]
        was, new, rows = (
            np.asarray(t["table"] if isinstance(t, dict) else t) for t in trees
        )
        if new.ndim == 0:
            assert new == rows, name
            continue
        np.testing.assert_allclose(new[ROWS], rows, rtol=3e-7, atol=1e-8, err_msg=name)
        np.testing.assert_array_equal(new[others], was[others], err_msg=name)
    moved = not np.array_equal(p["table"][ROWS], whole["table"][ROWS])
    assert moved == (case.optimizer.name not in STILL)


def adam_as_torch(**changes):
    eps = parts.EpsBeforeCorrection(1e-8)
    return adamx.adam(RATE, eps=eps, **changes)


def trained(tx, dtype, steps=STEPS):
    p = {"table": jnp.asarray(TABLE, dtype)}
    state = tx.init(p)
    for step in range(steps):
        p, state = run(tx, p, state, [{"table": gradient(step, dtype)}])
    return p["table"], state


def test_it_is_the_sparse_adam_of_torch():
    want = sparse_adam(RATE)
    for tx in (adamx.adam(RATE), adam_as_torch()):
        assert np.abs(trained(tx, jnp.float32)[0] - want).max() < 1.4e-6


def test_it_is_the_sparse_adam_of_torch_in_float64(x64):
    got, state = trained(adam_as_torch(), jnp.float64)
    np.testing.assert_allclose(got, sparse_adam(RATE), rtol=1e-12)
    dense = sparse_adam(RATE, by_row=True)
    assert np.abs(got - dense).max() > 1e-3, "the oracle counts all steps"
    assert state.count == STEPS


# ---- mixed trees, nests, extra arguments -------------------------------------


def masked():
    return chain(
        adamx.Masked(parts.TrustRatio(), "bias"),
        adamx.Masked(adamx.scale_by_adam(), "table"),
        parts.LearningRate(0.1),
    )


BY_ROW = storage.Blockwise(block=WIDTH, min_size=0)
NESTS = {
    "tunable": lambda: adamx.tunable(adamx.adam(0.1), "learning_rate"),
    "chain of Optax": lambda: optax.chain(
        adamx.scale_by_adam(), parts.LearningRate(0.1)
    ),
    "partition": lambda: optax.partition(
        {"ours": adamx.adam(0.1), "theirs": optax.sgd(0.1)},
        {"bias": "theirs", "table": "ours"},
    ),
    "tensor-wise for others": masked,
    "in a chain": lambda: chain(adamx.tunable(adamx.adam(0.1), "b1")),
    "array": lambda: adamx.adam(jnp.float32(0.1)),
    "schedule": lambda: adamx.adamw(lambda count: 0.1 / (1 + count)),
    "a rule": lambda: parts.Ema(0.9),
    "fused": lambda: adamx.fused(adamx.adamw(0.1)),
    "groups": lambda: adamx.groups(
        [("table", adamx.store(adamx.adam(0.1), mu=BY_ROW)), (..., adamx.novograd(0.1))]
    ),
    "a frozen group": lambda: adamx.groups(
        [("table", adamx.adam(0.1)), ("bias", None)], clip=parts.ClipByGlobalNorm(0.1)
    ),
}


@pytest.mark.parametrize("made", NESTS.values(), ids=NESTS)
def test_in_any_nesting(made):
    tx = made()
    (some, alone), p, q = grads_of(0), params(), params(ROWS)
    step = jax.jit(lambda g, s, p: tx.update(g, s, p))
    got, _ = step(some, tx.init(p), p)
    want, _ = step(alone, tx.init(q), q)
    assert isinstance(got["table"], RowSparse)
    np.testing.assert_allclose(got["table"].todense()[ROWS], want["table"], rtol=1e-6)
    np.testing.assert_allclose(got["bias"], want["bias"], rtol=1e-6)


def test_the_global_norm_is_that_of_the_dense_gradient():
    tx = chain(parts.ClipByGlobalNorm(0.5), parts.LearningRate(1.0))
    (some, _), p = grads_of(0), params()
    dense = {**some, "table": some["table"].todense()}
    got, want = (tx.update(g, tx.init(p), p)[0] for g in (some, dense))
    np.testing.assert_allclose(got["table"].todense(), want["table"], rtol=1e-6)
    np.testing.assert_allclose(got["bias"], want["bias"], rtol=1e-6)


def test_an_extra_argument_is_read_at_the_rows():
    tx, p = adamx.sophia(0.1), params()
    (some, _) = grads_of(0)
    curvature = {"bias": jnp.ones(3), "table": jnp.abs(p["table"])}
    found = []
    for table in (
        curvature["table"],
        RowSparse(jnp.arange(N), curvature["table"], N),
    ):
        extra = {"hessian": {**curvature, "table": table}}
        updates, state = tx.update(some, tx.init(p), p, **extra)
        found.append((updates["table"].todense(), state))
    dense = {**some, "table": some["table"].todense()}
    want, after = tx.update(dense, tx.init(p), p, hessian=curvature)
    for updates, state in found:
        np.testing.assert_allclose(updates[ROWS], want["table"][ROWS], rtol=1e-6)
        for name in after.slots:
            got, all_rows = (s.slots[name]["table"][ROWS] for s in (state, after))
            np.testing.assert_allclose(got, all_rows, rtol=1e-6)


# ---- storages and random numbers ---------------------------------------------

LARGE, ACROSS = 64, 16
CODECS = {
    "bfloat16, 8 bits": (
        storage.Cast(jnp.bfloat16, "stochastic"),
        storage.Blockwise(block=8, min_size=256),
    ),
    "4 bits, not coded": (
        storage.Blockwise(4, block=16, min_size=0, rounding="dither"),
        storage.Blockwise(min_size=10_000),
    ),
}


@pytest.mark.parametrize(("mu", "nu"), CODECS.values(), ids=CODECS)
def test_a_stored_row_rounds_as_in_the_whole_table(mu, nu):
    """The codes are those of the dense step: random numbers go by the place."""
    tx = chain(adamx.store(adamx.adam(0.1), mu=mu, nu=nu), adamx.stochastic_rounding())
    table = np.random.default_rng(0).standard_normal((LARGE, ACROSS))
    p = {"table": jnp.asarray(table, jnp.bfloat16)}
    ids = jnp.array([50, 3, 60])
    g = RowSparse(ids, jnp.asarray(table[:3], jnp.float32), LARGE)
    step = jax.jit(lambda p, s, g: adamx.step(tx, p, {"table": g}, s))
    got, want = step(p, tx.init(p), g), step(p, tx.init(p), g.todense())
    for ours, theirs in zip(*map(jax.tree.leaves, (got, want)), strict=True):
        if ours.shape[:1] == (LARGE,):
            ours, theirs = (np.asarray(x.astype(float))[ids] for x in (ours, theirs))
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "codec",
    [
        storage.Blockwise(min_size=0),
        storage.RowColumnMeans(),
        storage.BlockMean(),
        storage.Blockwise(block=4, min_size=0),
    ],
    ids=["two rows a block", "factored", "means", "two blocks a row"],
)
def test_a_storage_whose_blocks_cross_rows_is_refused(codec):
    tx = adamx.store(adamx.adam(0.1), nu=codec)
    shape = (128, 64)
    p = {"table": jnp.ones(shape)}
    g = {"table": RowSparse(jnp.arange(3), jnp.ones((3, 64)), 128)}
    if codec == storage.Blockwise(block=4, min_size=0):
        jax.eval_shape(lambda: tx.update(g, tx.init(p), p))
        return
    text = message(lambda: tx.update(g, tx.init(p), p))
    assert "what is kept of a row must not depend on other rows" in text
    assert f"`nu` for `table` of shape {shape}" in text
    assert "Blockwise(block=64)" in text


class Spread(storage.Codec):
    """A codec of one's own whose scale is that of the whole array, in each row."""

    def encode(self, x, uniform):
        scale = jnp.broadcast_to(jnp.abs(x).max(), (x.shape[0], 1))
        return {"codes": (x / scale).astype(jnp.bfloat16), "scale": scale}

    def decode(self, kept, shape):
        return kept["codes"].astype(jnp.float32) * kept["scale"]


def test_a_codec_that_reads_other_rows_is_found_by_trying_it():
    tx = adamx.store(adamx.adam(0.1), nu=Spread())
    update = jax.jit(lambda g, s, p: tx.update(g, s, p))
    text = message(lambda: update(grads_of(0)[0], tx.init(params()), params()))
    assert "must not depend on other rows" in text


# ---- in place ----------------------------------------------------------------


def test_a_donated_step_has_no_temporary_of_the_size_of_the_table():
    rows, width, k = 50_000, 16, 32
    tx = chain(parts.ClipByGlobalNorm(1.0), adamx.adamw(0.1))
    p = {"table": jax.ShapeDtypeStruct((rows, width), jnp.float32)}

    def step(p, state, ids):
        def loss(p, ids):
            return (sparse.lookup(p["table"], ids) ** 2).sum()

        value, grads = sparse.value_and_grad(loss)(p, ids)
        p, state = adamx.step(tx, p, grads, state)
        return p, state, value

    ids = jax.ShapeDtypeStruct((k,), jnp.int32)
    given = p, jax.eval_shape(tx.init, p), ids
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(*given).compile()
    found = compiled.memory_analysis()
    table = 4 * rows * width
    assert found.temp_size_in_bytes < 0.1 * table
    assert found.alias_size_in_bytes >= 3 * table


def test_nothing_is_compiled_for_other_ids():
    tx, p = adamx.adam(0.1), {"table": params()["table"]}
    state = tx.init(p)
    p, state = run(tx, p, state, [{"table": gradient(0, jnp.float32)}])
    with counted() as count:
        run(tx, p, state, [{"table": gradient(1, jnp.float32)}])
    assert (count.traces, count.compilations) == (0, 0)


# ---- refusals ----------------------------------------------------------------

MESH = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))
REFUSED = {
    "tensor": (lambda: adamx.novograd(0.1), "rules that act on each element"),
    "matrices": (lambda: adamx.muon(0.1), "which reads the whole tensor"),
    "tree": (lambda: adamx.prodigy(1.0), "which reads the whole tree"),
    "own state": (lambda: chain(parts.AdaptiveClip(), adamx.sgd(0.1)), "whole tree"),
    "mask": (
        lambda: adamx.adamw(0.1, mask=lambda path, leaf: leaf.shape[0] > 6),
        "a mask must select the same leaves for rows as for whole tables",
    ),
    "group": (
        lambda: adamx.groups([("table", adamx.muon(0.1)), (..., adamx.adam(0.1))]),
        "which reads the whole tensor",
    ),
    "accumulate": (
        lambda: adamx.accumulate(adamx.adam(0.1), 2),
        "must be given to the optimizer itself, got accumulate(",
    ),
    "in a chain": (
        lambda: chain(adamx.accumulate(adamx.adam(0.1), 2)),
        "make the gradient dense with `rows.todense()`",
    ),
    "offload": (lambda: adamx.offload(adamx.adam(0.1)), "got offload("),
    "observe": (lambda: adamx.observe(adamx.adam(0.1)), "got observe("),
    "zero1": (lambda: adamx.zero1(adamx.adam(0.1), mesh=MESH, axis="d"), "got zero1("),
}


@pytest.mark.parametrize(("made", "says"), REFUSED.values(), ids=REFUSED)
def test_what_needs_more_than_the_rows_is_refused(made, says):
    tx = made()
    assert says in message(
        lambda: tx.update(grads_of(0)[0], tx.init(params()), params())
    )


def test_the_rows_of_another_table_are_refused():
    tx = adamx.adam(0.1)
    g = {"bias": None, "table": RowSparse(jnp.array([1]), jnp.ones((1, WIDTH)), N + 1)}
    text = message(lambda: tx.update(g, tx.init(params()), params()))
    assert f"got a table of shape {(N + 1, WIDTH)} for `table`" in text
