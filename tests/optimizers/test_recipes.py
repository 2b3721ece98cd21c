"""The recipes of docs/recipes.md: each line is what the cell on its right says."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests import papers, trajectories

RECIPES = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text()
ROWS = re.findall(r"^\| .+? \| `(adamx\..+?)` \| `?(.+?)`? \|$", RECIPES, re.MULTILINE)
STEPS = 60
TOLERANCE = 1e-12


def test_every_row_is_read():
    assert len(ROWS) == RECIPES.count("\n| ") - 1  # the head


def parameters(tx, theta, gradients):
    """The parameters after each step on given gradients."""

    def step(carry, g):
        theta, state = carry
        updates, state = tx.update(g, state, theta)
        theta = optax.apply_updates(theta, updates)
        return (theta, state), theta

    theta, gradients = jax.tree.map(jnp.asarray, (theta, gradients))
    return jax.jit(lambda *a: jax.lax.scan(step, *a)[1])(
        (theta, tx.init(theta)), gradients
    )


def described(form, rate):
    """Start, gradients and parameters of what a recipe must equal."""
    if form.startswith("torch.optim."):
        recorded = trajectories.load(form.removeprefix("torch.optim.").lower())
        return recorded.theta, recorded.gradients, recorded.thetas
    random = np.random.default_rng(1)
    theta = random.normal(size=20)
    gradients = random.normal(size=(STEPS, 20)) * 10 ** random.uniform(-2, 1, size=20)
    if form.startswith("tests.papers."):
        oracle = getattr(papers, form.removeprefix("tests.papers."))
        thetas = oracle(theta, lambda k, _: gradients[k], STEPS, learning_rate=rate)
    else:
        counterpart = eval(form, {"optax": optax})
        thetas = parameters(counterpart, theta, gradients)
    return theta, gradients, thetas


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("code", "form"), ROWS, ids=[code for code, _ in ROWS])
def test_a_recipe_is_the_form_it_names(code, form):
    tx = eval(code, {"adamx": adamx})
    rate = float(re.search(r"1e-3|0\.\d+", code)[0])
    theta, gradients, thetas = described(form, rate)
    ours = parameters(tx, theta, gradients)
    for got, wanted in zip(*map(jax.tree.leaves, (ours, thetas)), strict=True):
        close = np.abs(got - wanted) <= TOLERANCE * np.max(np.abs(wanted))
        assert close.all(), np.max(np.abs(got - wanted))
