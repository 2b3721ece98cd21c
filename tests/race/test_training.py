"""The race's training against plain loops, and what a run says of itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx.race import data, models, optimizers, training
from adamx.race.usage_error import UsageError

ROWS = np.random.default_rng(0)
PICTURES = data.split("small", ROWS.normal(size=(60, 4, 5)), np.arange(60) % 3)


def course(**given):
    settings = {"steps": 30, "seeds": 2, "seed": 0, "batch": 20} | given
    model = models.mlp(PICTURES.shape, PICTURES.classes)
    return training.Course(model, PICTURES, training.Settings(**settings))


@pytest.mark.parametrize("tx", [adamx.adam(1e-2), adamx.schedule_free_sgd(0.1)])
def test_a_run_is_a_plain_loop(tx):
    """The same as one step after another, one seed alone, without jit or scan."""
    together = course(steps=3)
    grad = jax.jit(jax.grad(together.loss))
    run = training.train("any", 0.1, tx, together)
    for seed in range(2):
        params = jax.tree.map(lambda leaf, seed=seed: leaf[seed], together.start)
        state = tx.init(params)
        rows = together.minibatches(together.shuffles[seed], 0, 0, 3)
        for batch in rows:
            x, y = together.train[0][batch], together.train[1][batch]
            updates, state = tx.update(grad(params, x, y), state, params)
            params = optax.apply_updates(params, updates)
        judged = adamx.eval_params(state, params)
        loss = together.loss(judged, *together.test)
        np.testing.assert_allclose(run.test_loss[seed, -1], loss, rtol=1e-4)


@pytest.mark.parametrize("name", ["sophia", "adahessian"])
def test_an_estimate_of_the_hessian_is_taken_when_it_is_used(name):
    """Sophia's at every tenth step: the others do not change what it does."""
    entry = optimizers.OPTIMIZERS[name]
    every, of = entry.estimate.every, entry.estimate.of
    assert every == {"sophia": 10, "adahessian": 1}[name]
    tx, together = entry.factory(1e-3), course(steps=12, seeds=1)
    run = training.train(name, 1e-3, tx, together, estimate=entry.estimate)
    params = jax.tree.map(lambda leaf: leaf[0], together.start)
    state, key = tx.init(params), together.shuffles[0]
    drawing = jax.random.fold_in(key, training.DRAWING)
    for number in range(12):
        (rows,) = together.minibatches(key, *divmod(20 * number, together.rows), 1)
        x, y = together.train[0][rows], together.train[1][rows]

        def loss(p, x=x, y=y):
            return together.loss(p, x, y)

        def logits(p, x=x):
            return together.model.apply(p, x)

        hessian = of(loss, logits, params, jax.random.fold_in(drawing, number))
        if number % every:
            hessian = jax.tree.map(lambda h: h + 1e6, hessian)
        updates, state = tx.update(
            jax.grad(loss)(params), state, params, hessian=hessian
        )
        params = optax.apply_updates(params, updates)
    expected = together.loss(params, *together.train)
    np.testing.assert_allclose(run.train_loss[0, -1], expected, rtol=1e-3)


def test_each_seed_is_the_same_alone():
    tx = adamx.sgd(0.1)
    both = training.train("sgd", 0.1, tx, course(seed=3))
    alone = training.train("sgd", 0.1, tx, course(seed=4, seeds=1))
    np.testing.assert_allclose(both.train_loss[1], alone.train_loss[0], rtol=1e-4)
    assert not np.allclose(both.train_loss[0], both.train_loss[1])


def test_the_length_of_a_chunk_changes_nothing(monkeypatch):
    tx = adamx.sgd(0.1)
    ends = []
    for points in (1, 4):
        monkeypatch.setattr(training, "POINTS", points)
        ends.append(training.train("sgd", 0.1, tx, course()).train_loss[:, -1])
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-4)


def test_an_epoch_sees_every_row_once():
    """48 rows, minibatches of 20: 12 steps are 5 epochs, cut anywhere."""
    held = course(seeds=1)
    assert held.rows == 48
    key = held.shuffles[0]
    whole = np.concatenate(held.minibatches(key, 0, 0, 12))
    epochs = whole.reshape(5, 48)
    assert all(sorted(epoch) == list(range(48)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    epoch, offset = divmod(5 * 20, 48)
    part = held.minibatches(key, epoch, offset, 3).reshape(-1)
    assert part.tolist() == whole[100:160].tolist()


def test_points_and_progress():
    seen = []
    run = training.train(
        "sgd", 0.1, adamx.sgd(0.1), course(), lambda *heard: seen.append(heard)
    )
    assert run.steps.tolist() == [*range(0, 30, 2), 30]
    assert [steps for steps, *_ in seen] == run.steps[1:].tolist()
    assert all(speed > 0 for *_, speed in seen)
    assert run.train_loss.shape == run.test_accuracy.shape == (2, 16)
    assert run.train_loss[:, -1].max() < run.train_loss[:, 0].min()
    assert run.finished.all()


def test_state_is_counted_from_its_arrays():
    adam = training.train("adam", 1e-3, adamx.adam(1e-3), course(steps=1))
    assert adam.parameters == 20 * 128 + 128 + 128 * 128 + 128 + 128 * 3 + 3
    assert adam.state_bytes == 8 * adam.parameters + 4
    assert adam.transformation == repr(adamx.adam(1e-3))


def test_divergence_is_found_and_ends_the_run():
    run = training.train("sgd", 1e30, adamx.sgd(1e30), course())
    assert not run.finished.any()
    assert (run.diverged_at >= 1).all()
    assert run.steps[-1] < 30


def test_ending_far_above_the_start_is_divergence():
    """Adam with a huge rate stays finite; it is lost all the same."""
    run = training.train("adam", 1e3, adamx.adam(1e3), course())
    assert np.isfinite(run.train_loss).all()
    assert run.diverged_at.tolist() == [2, 2]


def test_the_point_from_which_it_stays_worse():
    losses = np.array([[1, 3, 1, 3, 4], [1, 3, 1, 3, 2], [1, 1, 1, 1, np.nan]])
    points = np.array([0, 5, 10, 15, 20])
    assert training._stays_above(losses, points).tolist() == [15, 0, 20]


def test_first_bad_step():
    losses = np.ones((4, 5))
    losses[1, 2] = losses[1, 4] = np.nan
    losses[3, 0] = losses[2, 0] = np.inf
    first = training._first_bad(np.array([0, 0, 7, 0]), losses, done=10)
    assert first.tolist() == [0, 13, 7, 11]


def test_loss_and_accuracy():
    model = models.Model(lambda key: None, lambda params, x: x)
    logits = np.array([[2.0, 0, 0], [0, 1, 3], [0, 5, 0], [1, 0, 0]], np.float32)
    y = np.array([0, 1, 1, 0], np.int32)
    given = jnp.asarray(logits), jnp.asarray(y)
    loss, accuracy = models.loss_and_accuracy(model, None, *given)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(p[range(4), y]).mean(), rtol=1e-6)
    assert accuracy == 0.75


@pytest.mark.parametrize("shape", [(8, 8), (7, 5, 3)])
def test_conv_is_a_convolution(shape):
    """Against XLA's own, layer by layer, even and odd sizes."""
    model = models.conv(shape, 10)
    params = model.init(jax.random.key(0))
    rows = jax.random.normal(jax.random.key(1), (6, *shape))
    x = rows.reshape(6, *(*shape, 1)[:3])
    for stride, layer in zip((1, 2), params["kernels"], strict=True):
        kernel = layer["w"].reshape(3, 3, x.shape[-1], -1)
        form = ("NHWC", "HWIO", "NHWC")
        window = ((stride, stride), ((1, 1), (1, 1)))
        x = jax.lax.conv_general_dilated(x, kernel, *window, dimension_numbers=form)
        x = jnp.maximum(x + layer["b"], 0)
    wide, last = params["dense"]
    x = jnp.maximum(x.reshape(6, -1) @ wide["w"] + wide["b"], 0)
    expected = x @ last["w"] + last["b"]
    np.testing.assert_allclose(
        model.apply(params, rows), expected, rtol=1e-4, atol=1e-5
    )


def test_conv_refuses_rows_without_pictures():
    with pytest.raises(
        UsageError, match=r"got rows of shape \(64,\).* take --model mlp"
    ):
        models.conv((64,), 10)
