"""The oracles themselves: what must hold of every one of them, and worked examples."""

import inspect

import numpy as np
import pytest

from tests import papers
from tests.papers import exact

ORACLES = {
    name: getattr(papers, name)
    for name in papers.__all__
    if name not in ("at", "divide", "l2", "trajectory")
}
STEPS = 12
CONSTANTS = {"radam": ["b2"], "radam_torch": ["b2"]}  # not defined when they change


def start() -> np.ndarray:
    return np.array([[0.5, -2.0, 0.0], [1.0, 3.0, -0.25]])


def gradient(k, theta):
    """Depends on the point; exactly zero for two steps, and always in one place."""
    g = np.sin(1.7 * k + np.arange(theta.size).reshape(theta.shape)) + 0.3 * theta
    g = g * (k not in (4, 5))
    return g * (np.arange(theta.size).reshape(theta.shape) != 2)


def keywords(name: str) -> dict:
    """All numeric keywords of an oracle at their defaults, with a rate."""
    words = {
        key: parameter.default
        for key, parameter in inspect.signature(ORACLES[name]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
        and not isinstance(parameter.default, bool)
    }
    return words | {"learning_rate": 0.05}


@pytest.mark.parametrize("name", ORACLES)
def test_a_constant_schedule_is_the_constant(name):
    words = keywords(name)
    functions = {
        key: (lambda k, value=value: value) if isinstance(value, float) else value
        for key, value in words.items()
        if key not in CONSTANTS.get(name, []) and not key.startswith("initial_")
    }
    np.testing.assert_array_equal(
        ORACLES[name](start(), gradient, STEPS, **(words | functions)),
        ORACLES[name](start(), gradient, STEPS, **words),
    )


@pytest.mark.parametrize("name", ORACLES)
def test_a_zero_gradient_from_a_zero_state_moves_nothing(name):
    words = keywords(name)
    words |= {key: 0.0 for key in words if key in ("eps", "eps_root", "weight_decay")}
    words |= {key: 0.0 for key in words if key.startswith("initial_")}
    path = ORACLES[name](start(), lambda k, theta: 0 * theta, 3, **words)
    np.testing.assert_array_equal(path, np.stack([start()] * 3))


@pytest.mark.parametrize("name", ORACLES)
def test_a_leaf_without_axes_is_one_entry_of_a_larger_one(name):
    words = keywords(name)
    whole = ORACLES[name](np.array([0.7, 0.7]), lambda k, t: np.cos(k) * t, 5, **words)
    point = ORACLES[name](np.float64(0.7), lambda k, t: np.cos(k) * t, 5, **words)
    assert point.shape == (5,)
    np.testing.assert_allclose(point, whole[:, 1], rtol=1e-15)


def test_adam_moves_by_its_rate_on_the_first_step():
    path = papers.adam(start(), gradient, 1, learning_rate=0.5, eps=0.0)
    np.testing.assert_allclose(
        path[0] - start(), -0.5 * np.sign(gradient(0, start())), rtol=1e-15
    )


def test_adam_by_hand():
    # g = 1, 3 with b1 = b2 = 1/2: m̂ = 1, 7/3 and v̂ = 1, 19/3.
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5, "eps": 0.0}
    path = papers.adam(0.0, lambda k, theta: [1.0, 3.0][k], 2, **words)
    np.testing.assert_allclose(path, [-1.0, -1.0 - (7 / 3) / np.sqrt(19 / 3)])


def test_a_changing_decay_is_corrected_with_the_weights_of_its_average():
    # b1 = 1/2, 3/4 on g = 1, 3: m = 1/2, 9/8, their weights 1/2, 5/8.
    words = {"learning_rate": 1.0, "b1": lambda k: [0.5, 0.75][k], "b2": 0.0}
    path = papers.adam(0.0, lambda k, theta: [1.0, 3.0][k], 2, eps=0.0, **words)
    np.testing.assert_allclose(path, [-1.0, -1.0 - (9 / 5) / 3])


def test_the_decay_of_adamw_is_not_in_its_moments():
    words = {"learning_rate": 0.1, "weight_decay": 0.5}
    still = papers.adamw(2.0, lambda k, theta: 0.0, 2, **words)
    np.testing.assert_allclose(still, [2.0 * 0.95, 2.0 * 0.95**2])
    independent = papers.adamw_independent(2.0, lambda k, theta: 0.0, 2, **words)
    np.testing.assert_allclose(independent, [1.0, 0.5])


def test_radam_switches_at_the_sixth_step_for_its_default_decay():
    # ρ_5 = 4.996 and ρ_6 = 5.994 at β2 = 0.999.
    g = np.array([3.0, 1e-3])
    path = papers.radam(np.zeros(2), lambda k, theta: g, 7, learning_rate=1.0)
    moves = -np.diff(path, axis=0, prepend=np.zeros((1, 2)))
    np.testing.assert_allclose(moves[:5], np.stack([g] * 5))
    rectifier = float(exact.rectifier(6, 0.999))
    np.testing.assert_allclose(moves[5], rectifier * g / (g + 1e-8))


@pytest.mark.parametrize("b", [0.0, 0.5, 0.9, 0.999, 1 - 1e-6])
def test_exact_scalars_agree_with_their_sums(b):
    # 1 - b^t = (1 - b) Σ b^i, and 1 - Π b is the same product.
    total = (1 - b) * sum(b**i for i in range(20))
    assert float(exact.one_minus_power(b, 20)) == pytest.approx(total, rel=1e-14)
    product = exact.one_minus_product([b] * 20)
    assert float(product) == float(exact.one_minus_power(b, 20))


@pytest.mark.parametrize("b2", [0.5, 0.9, 0.999, 1 - 1e-6])
def test_exact_rho_starts_at_one_and_grows_to_its_limit(b2):
    rhos = [exact.rho(t, b2) for t in range(1, 50)]
    assert float(rhos[0]) == 1.0
    assert rhos == sorted(rhos)
    assert rhos[-1] < exact.rho_inf(b2)
    # Two gradients weigh b2 : 1, a mean age that a simple average of ρ_2 has too.
    assert float(rhos[1]) == pytest.approx(1 + 2 * b2 / (1 + b2), rel=1e-14)
