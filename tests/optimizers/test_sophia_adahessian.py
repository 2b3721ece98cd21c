"""Sophia and AdaHessian against their papers, and the estimates that they are given.

With estimates of any sign; in the table of optimizers they are given |g|.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx import chain
from adamx.parts import LearningRate, WeightDecay
from tests import papers
from tests.support.agreement import NOISE, SHAPES, SIZE, START, on, slope
from tests.table.cases import SCHEDULES

STEPS = 40
RATE = 0.05
_random = np.random.default_rng(2006)
CURVED = {n: _random.standard_normal((STEPS, *s)) for n, s in SHAPES.items()}
CURVED["matrix"][:, 2, 0] = 0.0


def hessian(noise, point):
    """Some function of the step and the point; the same for NumPy and for JAX."""
    return noise + 0.1 * point


def followed(tx):
    state = tx.init(START)
    params, thetas = jax.tree.map(jnp.asarray, START), []
    step = jax.jit(tx.update)
    for k in range(STEPS):
        grads = {n: slope(SIZE[n], params[n], NOISE[n][k], on(k)) for n in SHAPES}
        estimate = {n: hessian(CURVED[n][k], params[n]) for n in SHAPES}
        updates, state = step(grads, state, params, hessian=estimate)
        params = optax.apply_updates(params, updates)
        thetas.append(params)
    return {n: np.stack([theta[n] for theta in thetas]) for n in SHAPES}


def assert_follows(tx, oracle, **keywords):
    got = followed(tx)
    for n in SHAPES:
        want = oracle(
            START[n],
            lambda k, at, n=n: slope(SIZE[n], at, NOISE[n][k], on(k)),
            STEPS,
            hessian=lambda k, at, n=n: hessian(CURVED[n][k], at),
            **{"learning_rate": RATE, **keywords},
        )
        assert got[n].dtype == np.float64
        np.testing.assert_allclose(
            got[n], want, rtol=0, atol=1e-12 * np.max(np.abs(want)), err_msg=n
        )


def of_inputs(d):
    return np.broadcast_to(np.mean(d, axis=0, keepdims=True), d.shape)


def averaged(d):
    return of_inputs(d) if d.ndim == 2 else d


# name: (the transform, oracle, keywords of both)
FORMS = {
    "sophia": (adamx.sophia, papers.sophia, {}),
    "sophia often": (
        adamx.sophia,
        papers.sophia,
        {
            "update_interval": 1,
            "gamma": 0.5,
            "clip_threshold": 0.7,
            "weight_decay": 0.3,
            "b2": 0.6,
        },
    ),
    "sophia scheduled": (
        adamx.sophia,
        papers.sophia,
        {n: SCHEDULES[n] for n in ("learning_rate", "b1", "b2", "eps", "weight_decay")},
    ),
    "adahessian": (adamx.adahessian, papers.adahessian, {}),
    "adahessian of the paper": (
        adamx.adahessian,
        papers.adahessian,
        {"magnitude": False},
    ),
    "adahessian of a power": (
        adamx.adahessian,
        papers.adahessian,
        {"hessian_power": 0.5, "weight_decay": 0.3},
    ),
    "adahessian scheduled": (
        adamx.adahessian,
        papers.adahessian,
        {n: SCHEDULES[n] for n in ("learning_rate", "b1", "b2", "eps", "weight_decay")},
    ),
}


def average_of(oracle):
    """What adamx has by default and the oracle, which is the paper's, has not."""
    defaults = {"average": averaged, "magnitude": True}
    return defaults if oracle is papers.adahessian else {}


@pytest.mark.oracle
@pytest.mark.parametrize("form", FORMS)
def test_it_follows_its_paper(form, x64):
    build, oracle, keywords = FORMS[form]
    tx = build(**{"learning_rate": RATE, **keywords})
    assert_follows(tx, oracle, **{**average_of(oracle), **keywords})


@pytest.mark.oracle
def test_adahessian_without_averaging(x64):
    tx = adamx.adahessian(RATE, average=None)
    assert_follows(tx, papers.adahessian, average=lambda d: d)


@pytest.mark.oracle
@pytest.mark.parametrize("form", ["sophia often", "adahessian of a power"])
def test_hyperparameters_as_arrays(form, x64):
    build, oracle, keywords = FORMS[form]
    arrays = {
        n: jnp.asarray(x) if isinstance(x, float) else x for n, x in keywords.items()
    }
    assert_follows(
        build(jnp.asarray(RATE), **arrays),
        oracle,
        **{**average_of(oracle), **keywords},
    )


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["sophia", "adahessian"])
def test_scale_by_is_the_optimizer_without_rate_and_decay(name, x64):
    oracle = getattr(papers, name)
    tx = chain(getattr(adamx, f"scale_by_{name}")(), LearningRate(RATE))
    assert_follows(tx, oracle, weight_decay=0.0, **average_of(oracle))


# name: (the form it pretends to be, the wrong transform)
MUTANTS = {
    "an estimate at every step": (
        "sophia",
        lambda: adamx.sophia(RATE, eps=1e-12, update_interval=1),
    ),
    "sophia not clipped": (
        "sophia often",
        lambda: adamx.sophia(
            RATE,
            eps=1e-12,
            update_interval=1,
            gamma=0.5,
            clip_threshold=1e9,
            weight_decay=0.3,
            b2=0.6,
        ),
    ),
    "sophia with a coupled decay": (
        "sophia often",
        lambda: chain(
            WeightDecay(0.3),
            adamx.scale_by_sophia(
                b2=0.6, eps=1e-12, update_interval=1, gamma=0.5, clip_threshold=0.7
            ),
            LearningRate(RATE),
        ),
    ),
    "adahessian of signed estimates": (
        "adahessian",
        lambda: adamx.adahessian(RATE, magnitude=False),
    ),
    "adahessian not averaged": (
        "adahessian",
        lambda: adamx.adahessian(RATE, average=None),
    ),
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_is_caught(name, x64):
    form, make = MUTANTS[name]
    _, oracle, keywords = FORMS[form]
    with pytest.raises(AssertionError):
        assert_follows(make(), oracle, **{**average_of(oracle), **keywords})


@pytest.mark.parametrize("build", [adamx.sophia, adamx.adahessian])
def test_nothing_moves_from_nothing(build):
    zero = {"w": jnp.zeros((3, 2)), "b": jnp.zeros(2)}

    def moved(zero):
        tx = build(0.1)
        state, p = tx.init(zero), zero
        for _ in range(2):
            updates, state = tx.update(zero, state, p, hessian=zero)
            p = optax.apply_updates(p, updates)
        return sum(jnp.sum(x) for x in jax.tree.leaves(p))

    value, slope = jax.value_and_grad(moved)(zero)
    assert value == 0
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(slope))


@pytest.mark.parametrize("build", [adamx.sophia, adamx.adahessian])
def test_a_missing_estimate_is_asked_for(build):
    tx, p = build(0.1), {"w": jnp.ones(3)}
    with pytest.raises(TypeError, match=r"extra argument `hessian` must be given"):
        tx.update(p, tx.init(p), p)


def test_an_estimate_that_is_not_due_may_be_anything():
    tx, p = adamx.sophia(0.1, update_interval=2), {"w": jnp.ones(3)}
    state = tx.init(p)
    _, state = tx.update(p, state, p, hessian=p)
    nothing = jax.tree.map(lambda x: x * jnp.nan, p)
    updates, after = tx.update(p, state, p, hessian=nothing)
    np.testing.assert_array_equal(
        after.slots["hessian"]["w"], state.slots["hessian"]["w"]
    )
    assert np.all(np.isfinite(updates["w"]))


def test_adahessian_inside_shard_map_averages_over_all_inputs():
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    normal = np.random.default_rng(8).standard_normal
    p, g, h = (
        {n: jnp.asarray(normal(s), "float32") for n, s in {"w": (8, 6), "b": 8}.items()}
        for _ in range(3)
    )

    def two(tx, p, g, h):
        state = tx.init(p)
        for _ in range(2):
            updates, state = tx.update(g, state, p, hessian=h)
            p = optax.apply_updates(p, updates)
        return p

    spec = {"w": P("d", None), "b": P("d")}

    def split(**where):
        tx = adamx.adahessian(RATE, **where)
        step = functools.partial(two, tx)
        specs = {"in_specs": (spec,) * 3, "out_specs": spec}
        return jax.jit(jax.shard_map(step, mesh=mesh, **specs))(p, g, h)

    want = two(adamx.adahessian(RATE), p, g, h)
    got = split(axis_name="d")
    for name in spec:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-6)
    assert np.max(np.abs(split()["w"] - want["w"])) > 1e-3


A = np.random.default_rng(5).standard_normal((4, 4))
A = jnp.asarray(A @ A.T, jnp.float32)


@pytest.mark.parametrize("draw", [jax.random.rademacher, jax.random.normal])
def test_the_mean_of_hutchinsons_estimate_is_the_diagonal(draw):
    params = {"x": jnp.ones(3), "y": jnp.ones(())}

    def loss(p):
        v = jnp.append(p["x"], p["y"])
        return 0.5 * v @ A @ v

    keys = jax.random.split(jax.random.key(0), 4000)
    estimates = jax.vmap(
        lambda key: adamx.hutchinson_estimate(loss, params, key, draw=draw)
    )(keys)
    got = jnp.append(estimates["x"], estimates["y"][:, None], axis=1)
    error = jnp.std(got, axis=0) / np.sqrt(len(keys))
    assert np.all(np.abs(got.mean(0) - jnp.diag(A)) < 4 * error + 1e-5)


def test_hutchinsons_estimate_of_a_diagonal_hessian_is_exact():
    params = {"x": jnp.arange(1.0, 4.0)}
    estimate = adamx.hutchinson_estimate(
        lambda p: jnp.sum(p["x"] ** 3), params, jax.random.key(1)
    )
    np.testing.assert_allclose(estimate["x"], 6 * params["x"], rtol=1e-6)


def test_the_mean_of_the_bartlett_estimate_is_the_gauss_newton_diagonal():
    """By the exact Gauss-Newton matrix: the Jacobian around the softmax's Hessian."""
    inputs = jnp.asarray(np.random.default_rng(6).standard_normal((5, 3)), "float32")
    params = jnp.asarray(np.random.default_rng(7).standard_normal((3, 4)), "float32")

    def logits(w):
        return jnp.tanh(inputs @ w)

    jacobian = jax.jacobian(logits)(params)  # (5, 4, 3, 4)
    p = jax.nn.softmax(logits(params))
    inner = jax.vmap(jnp.diag)(p) - jnp.einsum("bi,bj->bij", p, p)
    exact = jnp.einsum("bimn,bij,bjmn->mn", jacobian, inner, jacobian) / len(inputs)
    keys = jax.random.split(jax.random.key(0), 4000)
    got = jax.vmap(
        lambda key: adamx.gauss_newton_bartlett_estimate(logits, params, key)
    )(keys)
    assert np.all(got >= 0)
    error = jnp.std(got, axis=0) / np.sqrt(len(keys))
    assert np.all(np.abs(got.mean(0) - exact) < 4.5 * error + 1e-6)


def test_sophia_trains_with_its_estimate():
    scales = jnp.asarray([1.0, 30.0])

    def loss(p):
        return 0.5 * jnp.sum(scales * p["w"] ** 2)

    tx = adamx.sophia(0.02, gamma=1.0, weight_decay=0.0)

    def step(carry, key):
        p, state = carry
        estimate = adamx.hutchinson_estimate(loss, p, key)
        updates, state = tx.update(jax.grad(loss)(p), state, p, hessian=estimate)
        return (optax.apply_updates(p, updates), state), loss(p)

    p = {"w": jnp.asarray([1.0, -1.0])}
    keys = jax.random.split(jax.random.key(0), 400)
    _, losses = jax.lax.scan(step, (p, tx.init(p)), keys)
    assert losses[-1] < 1e-2 * losses[0]
