"""SPlus: the point to evaluate with, the length of its steps, and what is scaled."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec as P

import adamx
from adamx.engine.state import is_absent
from adamx.optimizers import SignInEigenbasis
from adamx.parts import CautiousWeightDecay, IndependentWeightDecay
from tests import papers

STEPS, RATE = 12, 0.3
SHAPES = {"w": (5, 3), "bias": (3,)}
OFTEN = {"inverse_every": 4, "b2": 0.9}
_normal = np.random.default_rng(16).standard_normal
START = {n: _normal(s) for n, s in SHAPES.items()}
NOISE = {n: _normal((STEPS, *s)) for n, s in SHAPES.items()}


def walked(tx):
    """The parameters, and those to evaluate with, after each step."""

    def step(carry, noise):
        p, state = carry
        g = jax.tree.map(lambda x, e: 0.3 * x + e, p, noise)
        updates, state = tx.update(g, state, p)
        p = optax.apply_updates(p, updates)
        return (p, state), (p, adamx.eval_params(state, p))

    p = jax.tree.map(jnp.asarray, START)
    run = jax.jit(lambda c, e: jax.lax.scan(step, c, e)[1])
    return run((p, tx.init(p)), jax.tree.map(jnp.asarray, NOISE))


def test_it_is_evaluated_at_the_corrected_average(x64):
    words = OFTEN | {"ema_decay": 0.7, "weight_decay": 0.1}
    trained, averaged = walked(adamx.splus(RATE, **words))
    for evaluated, got in ((None, trained), ("after", averaged)):
        for name, noise in NOISE.items():
            want = papers.splus(
                START[name],
                lambda k, x, noise=noise: 0.3 * x + noise[k],
                STEPS,
                learning_rate=RATE,
                evaluated=evaluated,
                **words,
            )
            np.testing.assert_allclose(got[name], want, rtol=0, atol=1e-12)


def test_a_step_is_bounded_however_old_the_basis_is(x64):
    """Its norm is that of m n signs over (m + n) / 2, in every step."""
    path, _ = walked(adamx.splus(RATE, inverse_every=10**6, weight_decay=0.0))
    steps = np.diff(path["w"], axis=0)
    lengths = np.sqrt(np.sum(steps**2, (1, 2)))
    np.testing.assert_allclose(lengths, RATE * 2 * 15**0.5 / 8, rtol=1e-12)
    assert np.ptp(np.abs(steps[2:])) > 0.01, "in a basis, entries differ"


def one(tx, p, g):
    return tx.update(g, tx.init(p), p)[0]


def test_what_is_no_matrix_steps_by_the_constant():
    """Vectors, tensors of three axes, and matrices longer than `max_dim`."""
    shapes = {"w": (4, 6), "embed": (9, 2), "bias": (3,), "conv": (2, 2, 3), "x": ()}
    p = {n: jnp.ones(s) for n, s in shapes.items()}
    tx = adamx.splus(1.0, weight_decay=0.0, nonstandard_constant=0.125, max_dim=8)
    got = {n: np.unique(u) for n, u in one(tx, p, p).items()}
    assert got.pop("w") == pytest.approx([-0.2])
    assert all(u == [-0.125] for u in got.values())
    absent = tx.init(p).slots["left_basis"]
    assert {n for n, x in absent.items() if not is_absent(x)} == {"w"}


def test_a_decay_before_the_rate_is_scaled_and_one_after_it_is_not():
    p = {"w": jnp.full((4, 6), 2.0)}
    g = {"w": -jnp.ones((4, 6))}
    for decay, want in (
        (0.5, -0.1 * 0.2 * (-1 + 0.5 * 2)),
        (CautiousWeightDecay(0.5), -0.1 * 0.2 * -1),
        (IndependentWeightDecay(0.5), -0.1 * 0.2 * -1 - 0.5 * 2),
    ):
        u = one(adamx.splus(0.1, weight_decay=decay), p, g)["w"]
        np.testing.assert_allclose(u, want, rtol=1e-6, atol=1e-8)


@pytest.mark.skipif(jax.device_count() < 4, reason="needs 4 devices")
def test_inside_shard_map_the_sides_are_those_of_the_whole_matrix():
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    tx = adamx.splus(1.0, weight_decay=0.0, axis_name="d")
    p = {"w": jnp.ones((8, 6))}
    step = jax.shard_map(
        lambda p: one(tx, p, p), mesh=mesh, in_specs=P("d"), out_specs=P("d")
    )
    np.testing.assert_allclose(jax.jit(step)(p)["w"], -2 / (8 + 6), rtol=1e-6)


@pytest.mark.parametrize(
    ("sentence", "build"),
    [
        (
            r"splus: `inverse_every` must be a whole number, at least 1, got 0",
            lambda: adamx.splus(inverse_every=0),
        ),
        (
            r"splus: `nonstandard_constant` must be .*, got -0.1",
            lambda: adamx.splus(nonstandard_constant=-0.1),
        ),
        (r"splus: `ema_decay` must .*, got 1.0", lambda: adamx.splus(ema_decay=1.0)),
        (
            r"splus: `weight_decay` must be a number.*, got LearningRate",
            lambda: adamx.splus(weight_decay=adamx.parts.LearningRate(0.1)),
        ),
    ],
)
def test_what_is_out_of_range_is_refused(sentence, build):
    with pytest.raises((ValueError, TypeError), match=sentence):
        build()


def test_parameters_are_needed_for_the_average():
    tx, p = adamx.splus(weight_decay=0.0), {"w": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match="ParamEma needs the parameters, got"):
        tx.update(p, tx.init(p))


def test_blocks_of_the_rule_step_as_separate_matrices(x64):
    """A 5 × 3 matrix in blocks of 4 is one of 4 × 3 and one of 1 × 3, filled up."""

    def run(tx, x):
        p = {"w": jnp.asarray(x[0])}

        def step(state, g):
            u, state = tx.update({"w": g}, state, p)
            return state, u["w"]

        return jax.jit(lambda g: jax.lax.scan(step, tx.init(p), g)[1])(jnp.asarray(x))

    words, g = {"b2": 0.9, "inverse_every": 2}, NOISE["w"]
    whole = run(SignInEigenbasis(**words, block_size=4), g)
    for rows in (slice(0, 4), slice(4, 5)):
        alone = run(SignInEigenbasis(**words), g[:, rows])
        # after the fourth gradient every statistic has full rank
        np.testing.assert_allclose(whole[4:, rows], alone[4:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(jnp.sum(whole[1:] ** 2, (1, 2)), 15.0, rtol=1e-9)
