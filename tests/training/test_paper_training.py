"""The engine of the paper's experiments: batches, lanes, models, data."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from benchmarks.training import data
from benchmarks.training.data import shipped
from benchmarks.training.data.texts import bags_of_words
from benchmarks.training.paper import bias, characters, models, noise, regression
from benchmarks.training.paper.entries import ENTRIES, shaped
from benchmarks.training.paper.problem import Problem
from benchmarks.training.paper.training import train

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


def lines(together=True, **others):
    """Least squares on ten rows, three at a time; the key moves the target a little."""

    def loss(params, batch, key):
        return ((batch @ params["w"] - 1 - 0.1 * jax.random.normal(key)) ** 2).mean()

    return Problem(
        "lines",
        lambda key: {"w": jax.random.normal(key, (3,))},
        loss,
        jnp.asarray(X),
        len(X),
        3,
        jnp.asarray(X),
        lambda params, batch: {"mean": (batch @ params["w"]).mean()},
        together=together,
        test_rows=5,
        **others,
    )


def test_every_pass_has_every_row_once_in_a_new_order():
    stream = lines().batches([0, 1], 10)  # 30 rows: three passes
    first, second = next(stream), next(stream)
    assert first.shape == (2, 10, 3)
    for seed in range(2):
        rows = np.concatenate([first[seed], second[seed]]).reshape(6, 10)
        assert all(sorted(one) == list(range(10)) for one in rows)
        assert len({tuple(one) for one in rows}) == 6
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(next(lines().batches([1], 10))[0], first[1])


@pytest.mark.parametrize("together", [True, False])
def test_a_lane_is_the_run_by_itself(together):
    """Each point and seed is what a plain loop over the same batches gives."""
    task = lines(together)
    points = [
        {"learning_rate": rate, "b1": b1} for rate, b1 in ((0.1, 0.9), (0.3, 0.0))
    ]
    runs = train(task, adamx.adam, points, [3, 4], steps=8, every=4, marks=[4])
    assert runs.losses.shape == (2, 2, 2)
    assert list(runs.measured) == [4, 8]
    for i, point in enumerate(points):
        for j, seed in enumerate((3, 4)):
            tx, key = adamx.adam(**point), jax.random.key(seed)
            params = task.init(jax.random.fold_in(key, 0))
            state, losses = tx.init(params), []
            stream = task.batches([seed], 4)
            for number, chosen in enumerate([*next(stream)[0], *next(stream)[0]]):
                fresh = jax.random.fold_in(jax.random.fold_in(key, 1), number)
                value = jax.value_and_grad(task.loss)
                loss, grads = value(params, task.data[chosen], fresh)
                updates, state = tx.update(grads, state, params)
                params = optax.apply_updates(params, updates)
                losses.append(loss)
                if number in (3, 7):
                    got = runs.measured[number + 1]["mean"][i, j]
                    want = float((X @ params["w"]).mean())
                    assert got == pytest.approx(want, abs=1e-5)
            means = np.reshape(losses, (2, 4)).mean(1)
            np.testing.assert_allclose(runs.losses[i, j], means, rtol=2e-5)


def test_what_is_the_problems_own_does_not_reach_the_optimizer():
    def scaled(grads, key, point):
        return jax.tree.map(lambda g: g * point["scale"], grads)

    task = lines(disturb=scaled, own=("scale",))
    points = [
        {"learning_rate": 0.1, "scale": 1.0},
        {"learning_rate": 0.05, "scale": 2.0},
    ]
    losses = train(task, adamx.sgd, points, [0], steps=6, every=2).losses
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_an_average_is_measured_where_there_is_one():
    points = [{"learning_rate": 0.3}]
    args = points, [0], 8, 8
    plain = train(lines(), adamx.sgd, *args).measured[8]["mean"]

    def averaged(learning_rate):
        return adamx.param_ema(adamx.sgd(learning_rate), 0.9)

    ours = train(lines(), averaged, *args)
    assert ours.measured[8]["mean"] != pytest.approx(plain)


def test_without_the_correction_the_first_step_is_too_long():
    """m = .1 g and v = .001 g²: the step is .1 / sqrt(.001) of the rate."""
    grads = jnp.array([2.0, -0.5])
    tx = bias.uncorrected(0.01, 0.9, 0.999)
    updates, state = tx.update(grads, tx.init(grads))
    np.testing.assert_allclose(updates, [-0.0316228, 0.0316228], rtol=1e-4)
    updates, _ = tx.update(grads, state)
    m, v = 0.19, 0.001999
    np.testing.assert_allclose(np.abs(updates), 0.01 * m / v**0.5, rtol=1e-4)


@pytest.mark.parametrize("side", [5, 8, 14, 32])
def test_pooling_is_the_largest_of_three_by_three(side):
    x = np.random.default_rng(1).normal(size=(2, side, side, 3)).astype(np.float32)
    out, more = -(-side // 2), 1 if side % 2 == 0 else 2
    before = more // 2
    wide = np.full((2, side + more, side + more, 3), -np.inf, np.float32)
    wide[:, before : before + side, before : before + side] = x
    want = np.empty((2, out, out, 3), np.float32)
    for i in range(out):
        for j in range(out):
            window = wide[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            want[:, i, j] = window.max((1, 2))
    np.testing.assert_array_equal(models.pooled(jnp.asarray(x)), want)


def test_dropout_keeps_the_mean():
    x = jnp.ones((400, 500))
    kept = np.asarray(models.dropout(jax.random.key(0), x, 0.5))
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1, abs=0.01)  # 4.5 standard errors
    assert models.dropout(jax.random.key(0), x, 0.0) is x


def test_the_bound_of_an_autoencoder_of_zeros():
    """Latents as their prior, pixels at one half: log 2 a pixel and no divergence."""
    params = jax.tree.map(jnp.zeros_like, models.autoencoder(jax.random.key(0), 12))
    found = models.bound(params, jnp.ones((2, 12)), jax.random.key(1))
    assert found == pytest.approx(12 * np.log(2), rel=1e-6)
    params["latent"]["bias"] = params["latent"]["bias"].at[0].set(3.0)  # a mean
    found = models.bound(params, jnp.ones((2, 12)), jax.random.key(1))
    assert found == pytest.approx(12 * np.log(2) + 4.5, rel=1e-6)


def test_whitened_pixels_are_uncorrelated():
    x = np.random.default_rng(2).random((500, 4, 1)).astype(np.float32)
    x[:, 1] += x[:, 0]
    found, _ = data.whitened(x, x[:5], floor=0.0)
    assert found.shape == x.shape
    covariance = np.cov(found.reshape(500, -1), rowvar=False)
    np.testing.assert_allclose(covariance, np.eye(4), atol=1e-3)


def test_a_bag_has_the_places_of_the_most_frequent_words_of_training():
    texts = ["It is, it IS a don't", "is it? never", "a rare word"]
    bags = bags_of_words(texts, np.array([True, True, False]), 3)
    # In training: it 3, is 3, then "a" before "don't" and "never".
    assert bags.tolist() == [[0, 1, 2], [0, 1, data.NO_WORD], [2, -1, -1]]


def test_the_logits_of_a_bag_are_the_sum_of_its_words():
    bags = np.array([[0, 2, data.NO_WORD]], np.int16)
    y = np.array([1], np.int32)
    task = regression.words((bags, y, bags, y), "bags", 3)
    params = {"words": jnp.array([1.0, 10.0, -3.0]), "bias": jnp.array(0.5)}
    found = task.measure(params, task.test)
    assert found["loss"] == pytest.approx(np.log1p(np.exp(1.5)), rel=1e-6)
    assert found["error"] == 1


def test_what_ships_is_what_its_text_says():
    x, y, x_test, y_test = shipped.fashion()
    assert (x.shape, x_test.shape) == ((1000, 28, 28), (300, 28, 28))
    assert (x.min(), x.max()) == (0, 1)
    assert set(y) == set(y_test) == set(range(10))
    digits = shipped.digits()
    assert [len(a) for a in digits] == [1438, 1438, 359, 359]
    assert (digits[0].min(), digits[0].max()) == (0, 1)
    assert collections.Counter(shipped.passages()[1]).keys() == {0, 1}
    assert "Zalando" in (shipped.FOLDER / "LICENSE-fashion-mnist").read_text()


def test_windows_of_a_text_follow_each_other():
    task = characters.small()
    batch = np.asarray(task.pick(task.data, jnp.array([0, 7])))
    assert batch.shape == (2, 17)
    np.testing.assert_array_equal(batch[1], task.data[7:24])
    assert task.examples == len(task.data) - 17
    assert task.test.shape == (characters.TESTED, 17)


@pytest.mark.parametrize("kind", ["white", "sparse"])
def test_noise_has_the_level_that_it_says(kind):
    grads = {"a": jnp.full(40_000, 2.0), "b": jnp.full(40_000, 0.1)}
    point = {"level": jnp.array(3.0)}
    found = noise.disturbed(kind)(grads, jax.random.key(0), point)
    for name, g in grads.items():
        spread = (np.asarray(found[name]) - g).std()
        assert spread == pytest.approx(3 * float(g[0]), rel=0.1)  # sparse: 7 % at 2 sd
    calm = noise.disturbed(kind)(grads, jax.random.key(0), {"level": jnp.array(0.0)})
    assert all(np.array_equal(calm[name], g) for name, g in grads.items())


def test_heavy_tails_are_students_with_two_degrees_of_freedom():
    """F(x) = 1/2 + x / (2 sqrt(2 + x²))."""
    found = np.asarray(noise.heavy(jax.random.key(0), (200_000,)))
    assert np.isfinite(found).all()
    for x in (-10.0, -1.0, 0.0, 2.0, 30.0):
        want = 0.5 + x / (2 * np.sqrt(2 + x * x))
        assert (found <= x).mean() == pytest.approx(want, abs=0.005)  # 4.5 sd


def test_a_shape_multiplies_the_rate_and_moves_the_grid():
    entry = shaped(ENTRIES["SGD"], lambda count: 1 / (count + 1.0), 10)
    assert entry.usual == pytest.approx(10 * ENTRIES["SGD"].usual)
    tx, g = entry.make(0.6), jnp.ones(1)
    first, state = tx.update(g, tx.init(g))
    second, _ = tx.update(g, state)
    assert (first[0], second[0]) == (pytest.approx(-0.6), pytest.approx(-0.3))


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_every_entry_has_six_rates_around_its_usual_one(entry):
    rates = entry.rates()
    assert len(rates) == 6
    assert entry.usual in [pytest.approx(rate, rel=1e-2) for rate in rates]
    np.testing.assert_allclose(np.diff(np.log10(rates)), 0.5, atol=0.01)
