"""The recipes: each line of docs/recipes.md is what the cell on its right says.

Those of other pages, which take several lines, are what their oracles say.
"""

import ast
import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from tests import papers, trajectories
from tests.optimizers.test_averages_and_rate_free import assert_near, walk
from tests.support.agreement import assert_follows, wanted
from tests.support.runs import run
from tests.trajectories import quadratic

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECIPES = (DOCS / "recipes.md").read_text()
ROWS = re.findall(r"^\| .+? \| `(adamx\..+?)` \| `?(.+?)`? \|$", RECIPES, re.MULTILINE)
STEPS = 60
TOLERANCE = 1e-12


def test_every_row_is_read():
    assert len(ROWS) == RECIPES.count("\n| ") - 1  # the head


def parameters(tx, theta, gradients):
    """The parameters after each step on given gradients."""
    theta, gradients = jax.tree.map(jnp.asarray, (theta, gradients))
    return jax.jit(lambda *given: run(tx, *given)[0])(theta, gradients)


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
    for got, want in zip(*map(jax.tree.leaves, (ours, thetas)), strict=True):
        close = np.abs(got - want) <= TOLERANCE * np.max(np.abs(want))
        assert close.all(), np.max(np.abs(got - want))


def built(page, name):
    """What a code cell of a page calls by this name."""
    cells = re.findall(
        r"```{code-cell}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL
    )
    for cell in cells:
        lines = ast.parse(cell).body
        for i, line in enumerate(lines):
            if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == name:
                known = {"adamx": adamx}
                exec(compile(ast.Module(lines[: i + 1], []), page, "exec"), known)
                return known[name]
    raise AssertionError(f"docs/{page} has no cell with {name} = ...")


def soap_then_muon_or_soap(theta, gradient, steps):
    if theta.ndim == 2:
        return papers.soap_then_muon(theta, gradient, steps, out_axis=1)
    return papers.soap(theta, gradient, steps, b2=0.9, released=False)


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
def test_soap_before_muon_is_the_polar_factor_of_what_soap_makes():
    expected = wanted(soap_then_muon_or_soap)
    assert_follows(lambda: built("matrices.md", "soap_muon"), expected)
    with pytest.raises(AssertionError):
        assert_follows(lambda: adamx.muon(0.02), expected)


@pytest.mark.oracle
@pytest.mark.usefixtures("x64")
def test_prodigy_with_schedule_free_follows_both():
    """From d = 0.01: with steps of 1e-6, 10 digits of θ_0 - y are lost, in either."""
    problem, steps = quadratic.problem(), quadratic.STEPS
    first, *rest = built("parameter_averages.md", "prodigy_schedule_free").parts
    tx = adamx.chain(dataclasses.replace(first, estim_lr0=1e-2), *rest)
    given = problem.theta, problem.gradient, steps
    theirs = papers.prodigy_schedule_free(*given, d_0=1e-2)
    for mine, want in zip(walk(tx, problem, steps), theirs, strict=True):
        assert_near(mine, want)
    equal_weights = adamx.chain(*tx.parts[:-1], adamx.parts.ScheduleFree(1.0, 0.9))
    with pytest.raises(AssertionError):
        assert_near(walk(equal_weights, problem, steps)[1], theirs[1])


@pytest.mark.parametrize("size", [1e-2, 1.0, 100.0])
def test_prodigy_with_schedule_free_needs_no_rate(size):
    """Noisy least squares whose solution is at a distance that no default knows."""
    tx = built("parameter_averages.md", "prodigy_schedule_free")
    curvature = jnp.logspace(-1, 1, 20)
    target = size * jnp.linspace(-1.0, 1.0, 20)
    noise = 0.3 * size * np.random.default_rng(3).standard_normal((2000, 20))

    def step(carry, e):
        theta, state = carry
        g = curvature * (theta - target + e)
        updates, state = tx.update(g, state, theta)
        return (optax.apply_updates(theta, updates), state), None

    start = jnp.zeros(20)
    run = jax.jit(lambda c, e: jax.lax.scan(step, c, e)[0])
    theta, state = run((start, tx.init(start)), jnp.asarray(noise, jnp.float32))

    def distance(x):
        return float(jnp.linalg.norm(x - target))

    evaluated = distance(adamx.eval_params(state, theta))
    assert evaluated < 0.1 * distance(start)


def test_what_scales_the_weights_must_stand_before():
    tx = adamx.chain(adamx.sgd(0.1), adamx.parts.ScheduleFree(1.0, scaled_by="d"))
    p = {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"ScheduleFree: `scaled_by` must name .* 'd'"):
        tx.update(p, tx.init(p), p)
