"""The oracles themselves: what must hold of every one of them, and worked examples."""

import inspect

import numpy as np
import pytest

from tests import papers
from tests.oracles import test_limits
from tests.papers import exact

# The oracles of one leaf of which every keyword is a number or a function of the step;
# a file of tests/papers is one of them unless it is named here or in test_limits.py.
PER_TENSOR = (
    "adafactor",
    "adam_mini",
    "adamp",
    "adamuon",
    "apollo",
    "came",
    "dion",
    "dion2",
    "fira",
    "galore",
    "grafting",
    "hyperball",
    "kl_soap",
    "lamb",
    "lars",
    "muon",
    "muown",
    "normuon",
    "novograd",
    "psgd_kron",
    "scion",
    "shampoo",
    "sm3",
    "soap",
    "splus",
    "stable_adamw",
)
ORACLES = {
    name: oracle
    for file, oracles in papers.ORACLES.items()
    if file not in (*PER_TENSOR, *test_limits.FILES)
    for name, oracle in oracles.items()
}
STEPS = 12
RECTIFIED = ("radam", "radam_torch", "adabelief_rectified")  # a constant b2 only
AVERAGE_RATES = ("adamod", "adamod_official")  # α / ε has to be a number,
NORMED = ("avagrad", "avagrad_official")  # and so has 1 / ε


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
    words |= {"learning_rate": 0.05}
    return words | ({"max_learning_rate": 0.05} if name == "adamc" else {})


@pytest.mark.parametrize("name", ORACLES)
def test_a_constant_schedule_is_the_constant(name):
    words = keywords(name)
    functions = {
        key: (lambda k, value=value: value) if isinstance(value, float) else value
        for key, value in words.items()
        if not key.startswith("initial_")
        if not (key == "b2" and name in RECTIFIED)
    }
    np.testing.assert_array_equal(
        ORACLES[name](start(), gradient, STEPS, **(words | functions)),
        ORACLES[name](start(), gradient, STEPS, **words),
    )


@pytest.mark.parametrize("name", ORACLES)
def test_a_zero_gradient_from_a_zero_state_moves_nothing(name):
    words = keywords(name)
    zero = ("eps", "eps_root", "weight_decay")
    if name in AVERAGE_RATES + NORMED:
        zero = ("weight_decay",)
    words |= {key: 0.0 for key in words if key in zero}
    words |= {key: 0.0 for key in words if key.startswith("initial_")}
    path = ORACLES[name](start(), lambda k, theta: 0 * theta, 3, **words)
    np.testing.assert_array_equal(path, np.stack([start()] * 3))


@pytest.mark.parametrize("name", ORACLES)
def test_a_leaf_without_axes_is_one_entry_of_a_larger_one(name):
    # The two entries are equal, so that a maximum or a norm over them is one's own.
    words = keywords(name)
    whole = ORACLES[name](np.array([0.7, 0.7]), lambda k, t: np.cos(k) * t, 5, **words)
    point = ORACLES[name](np.float64(0.7), lambda k, t: np.cos(k) * t, 5, **words)
    assert point.shape == (5,)
    np.testing.assert_allclose(point, whole[:, 1], rtol=1e-15)


ADAM = {"learning_rate": 0.05, "b1": 0.8, "b2": 0.9, "eps": 1e-3}
NO_B1 = ADAM | {"b1": 0.0}
NO_EPS = ADAM | {"eps": 0.0}
WIDE = {"final_lr": 1.0, "gamma": 1e-9}  # AdaBound's bounds, [1e-9, 1e9]

# What an optimizer is when the number that makes it one is taken away.
REDUCTIONS = {
    "adamax: b2 = 0 and b1 = 0 leave the sign": (
        (papers.adamax, NO_EPS | {"b1": 0.0, "b2": 0.0}),
        (papers.adam, NO_EPS | {"b1": 0.0, "b2": 0.0}),
    ),
    "adamaxw without decay": (
        (papers.adamaxw, ADAM | {"weight_decay": 0.0}),
        (papers.adamax, ADAM),
    ),
    "nadam without momentum": ((papers.nadam, NO_B1), (papers.adam, NO_B1)),
    "nadam_torch without momentum": ((papers.nadam_torch, NO_B1), (papers.adam, NO_B1)),
    "nadam_torch with a warming that is over is nadam with another average": (
        (papers.nadam_torch, ADAM | {"momentum_decay": 1e9}),
        (papers.nadam, ADAM),
    ),
    "nadamw without decay": (
        (papers.nadamw, ADAM | {"weight_decay": 0.0}),
        (papers.nadam, ADAM),
    ),
    "nadamw_algoperf without momentum": (
        (papers.nadamw_algoperf, NO_B1),
        (papers.adam, NO_B1),
    ),
    "padam with the whole power": (
        (papers.padam, ADAM | {"p": 0.5}),
        (papers.amsgrad_paper, ADAM),
    ),
    "padam_official with the whole power": (
        (papers.padam_official, NO_EPS | {"p": 0.5}),
        (papers.amsgrad_torch, NO_EPS),
    ),
    "padam with no power is momentum": (
        (papers.padam, ADAM | {"p": 0.0}),
        (
            papers.sgd,
            {"learning_rate": 0.05 * (1 - 0.8), "momentum": 0.8},
        ),
    ),
    "adabound with no bounds": (
        (papers.adabound, ADAM | WIDE),
        (papers.adam_eps_hat, ADAM),
    ),
    "adamod with no memory": (
        (papers.adamod, ADAM | {"b3": 0.0}),
        (papers.adam, ADAM),
    ),
    "adamod_official with no memory": (
        (papers.adamod_official, ADAM | {"b3": 0.0}),
        (papers.adam_eps_hat, ADAM),
    ),
    "adamd without momentum": ((papers.adamd, NO_B1), (papers.adam, NO_B1)),
    "adamc at a constant rate": (
        (papers.adamc, ADAM | {"weight_decay": 0.1}),
        (papers.adamw, ADAM | {"weight_decay": 0.1}),
    ),
    "adamc at twice its rate's maximum": (
        (papers.adamc, ADAM | {"weight_decay": 0.1, "max_learning_rate": 0.1}),
        (papers.adamw, ADAM | {"weight_decay": 0.05}),
    ),
    "qhadam without its blend": (
        (papers.qhadam, ADAM | {"nu1": 1.0, "nu2": 1.0}),
        (papers.adam, ADAM),
    ),
    "qhadam of the gradient alone": (
        (papers.qhadam, ADAM | {"nu1": 0.0, "nu2": 1.0}),
        (papers.adam, NO_B1),
    ),
    "yogi_official and yogi differ in epsilon": (
        (papers.yogi_official, NO_EPS),
        (papers.yogi, NO_EPS | {"initial_mean": 0.0}),
    ),
    "adabelief and its rectified form, where all are plain": (
        (papers.adabelief_rectified, ADAM | {"threshold": 1e9, "b1": 0.0}),
        (papers.sgd, {"learning_rate": 0.05}),
    ),
    "adapnm with one sign and no momentum": (
        (papers.adapnm, NO_B1 | {"b3": 0.0}),
        (papers.amsgrad_torch, NO_B1),
    ),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction(name):
    (left, left_words), (right, right_words) = REDUCTIONS[name]
    np.testing.assert_allclose(
        left(start(), gradient, STEPS, **left_words),
        right(start(), gradient, STEPS, **right_words),
        rtol=1e-13,
    )


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


def test_yogi_by_hand():
    # v: 0 + g² (1 - b2) while g² is above it, and less the same where it is below.
    words = {"learning_rate": 1.0, "b1": 0.0, "b2": 0.5, "eps": 0.0}
    g = [2.0, 1.0, 3.0]  # v = 2, 1.5, 6
    path = papers.yogi_paper(0.0, lambda k, theta: g[k], 3, **words)
    steps = [2 / np.sqrt(2), 1 / np.sqrt(1.5), 3 / np.sqrt(6)]
    np.testing.assert_allclose(path, -np.cumsum(steps), rtol=1e-15)


def test_adabelief_by_hand():
    # b1 = b2 = 1/2 on g = 2, 4: m = 1, 5/2; s = 1/2, 11/8; m̂ = 2, 10/3; ŝ = 1, 11/6
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5, "eps": 0.0, "eps_root": 0.0}
    path = papers.adabelief(0.0, lambda k, theta: [2.0, 4.0][k], 2, **words)
    np.testing.assert_allclose(path, [-2.0, -2 - (10 / 3) / np.sqrt(11 / 6)])


def test_the_epsilon_of_adabelief_adds_up_in_its_average():
    words = {"learning_rate": 1.0, "b1": 0.0, "b2": 0.5, "eps": 0.0, "eps_root": 1.0}
    path = papers.adabelief(0.0, lambda k, theta: 1.0, 2, **words)
    np.testing.assert_allclose(
        path, [-1 / np.sqrt(2), -1 / np.sqrt(2) - 1 / np.sqrt(2)]
    )


def test_amsgrad_keeps_the_maximum_of_what_its_name_says():
    # g = 1, 0 with b2 = 1/2: v = 1/2, 1/4; corrected 1, 1/3; b1 = 1/2: m̂ = 1, 1/3.
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5, "eps": 0.0}
    moves = {}
    for name in ("amsgrad", "amsgrad_torch", "amsgrad_paper"):
        path = ORACLES[name](0.0, lambda k, theta: [1.0, 0.0][k], 2, **words)
        moves[name] = -np.diff(path, prepend=0.0)
    np.testing.assert_allclose(moves["amsgrad"], [1, 1 / 3])
    np.testing.assert_allclose(moves["amsgrad_torch"], [1, (1 / 3) / np.sqrt(2 / 3)])
    np.testing.assert_allclose(moves["amsgrad_paper"], np.array([0.5, 0.25]) * 2**0.5)


def test_adabound_ends_as_gradient_descent():
    words = {"b1": 0.0, "final_lr": 0.1, "gamma": 1e9}
    path = papers.adabound(0.0, lambda k, theta: 2.0, 3, **words)
    np.testing.assert_allclose(path, [-0.2, -0.4, -0.6], rtol=1e-6)


def test_adabound_paper_by_hand():
    # b2 = 0: bounds η*(1 ∓ …) = .05, .2 at t = 1 and .0667, .15 at t = 2; α/|g| = 1.
    words = {"learning_rate": 1.0, "b1": 0.0, "b2": 0.0, "final_lr": 0.1}
    path = papers.adabound_paper(0.0, lambda k, theta: 1.0, 2, **words)
    np.testing.assert_allclose(path, [-0.2, -0.2 - 0.15 / np.sqrt(2)])


def test_msvag_of_a_steady_gradient_is_its_average():
    path = papers.msvag(0.0, lambda k, theta: 3.0, 4, learning_rate=0.1, beta=0.9)
    np.testing.assert_allclose(path, -0.3 * np.arange(1, 5), rtol=1e-12)


def test_msvag_by_hand():
    # β = 1/2 on g = 1, 4: m = 3, v = 11, ρ = 5/9, s = 2 / (4/9), γ = 9 / (9 + 5/2)
    path = papers.msvag(
        0.0, lambda k, theta: [1.0, 4.0][k], 2, learning_rate=1.0, beta=0.5
    )
    np.testing.assert_allclose(path, [-1.0, -1.0 - 3 * 9 / 11.5])


def test_diffgrad_by_hand():
    # Its friction is σ(2) at the first step, Δg = 2, and σ(0) = 1/2 at the second.
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5, "eps": 0.0}
    path = papers.diffgrad(0.0, lambda k, theta: 2.0, 2, **words)
    first = 1 / (1 + np.exp(-2.0))
    np.testing.assert_allclose(path, [-first, -first - 0.5])


def test_adapnm_by_hand():
    # b1² = 1/4 on g = 4, 8, 0, b3 = 1: m = 3, 6, 3/4; 2 m_t - m_{t-1} = 6, 9, -9/2;
    # 1 - b1^t = 1/2, 3/4, 7/8; b2 = 0: sqrt(max) = 4, 8, 8; divided by sqrt(5).
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.0, "eps": 0.0}
    path = papers.adapnm(0.0, lambda k, theta: [4.0, 8.0, 0.0][k], 3, **words)
    steps = np.array([12 / 4, 12 / 8, -(36 / 7) / 8]) / np.sqrt(5)
    np.testing.assert_allclose(path, -np.cumsum(steps))


def test_nadam_by_hand():
    # b1 = 1/2 on g = 1: m = 1/2, m̂ = (1/2)(1/2)/(3/4) + (1/2)(1)/(1/2) = 4/3.
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5, "eps": 0.0}
    for oracle, size in ((papers.nadam, 4 / 3), (papers.nadamw_algoperf, 3 / 2)):
        path = oracle(0.0, lambda k, theta: 1.0, 1, **words)
        np.testing.assert_allclose(path, [-size])


def test_adashift_waits_and_divides_by_the_past():
    # n = 2, b1 = 1/2: m_3 = (4 + 2/2) / (3/2); v̂_3 = g_1², the largest of the leaf's.
    g = np.array([[1.0, 3.0], [2.0, 2.0], [4.0, 5.0]])
    words = {"learning_rate": 1.0, "n": 2, "b1": 0.5, "b2": 0.9, "eps": 0.0}
    path = papers.adashift(np.zeros(2), lambda k, theta: g[k], 3, **words)
    one = papers.adashift_elementwise(np.zeros(2), lambda k, theta: g[k], 3, **words)
    m = np.array([5.0, 6.0]) / 1.5
    np.testing.assert_array_equal(one[:2], np.zeros((2, 2)))
    np.testing.assert_allclose(one[2], -m / g[0])
    np.testing.assert_allclose(path[2], -m / 3.0)


def test_avagrad_starts_plain_and_couples_its_leaves():
    g = [np.array([1.0, -2.0]), np.array(3.0)]
    theta = [np.zeros(2), np.zeros(())]
    words = {"learning_rate": 0.5, "b1": 0.0, "b2": 0.75, "eps": 0.5}
    pair, single = papers.avagrad(theta, lambda k, theta: g, 2, **words)
    np.testing.assert_allclose(pair[0], -0.5 * g[0])
    # sqrt(v_1) = |g| / 2: η = 1, 2/3, 1/2, whose root mean square is sqrt(61/108).
    eta = np.array([1.0, 2 / 3, 1 / 2]) / np.sqrt(61 / 108)
    moves = [*(pair[1] - pair[0]), single[1] - single[0]]
    np.testing.assert_allclose(moves, -0.5 * eta * [1.0, -2.0, 3.0])
    late, _ = papers.avagrad_official(theta, lambda k, theta: g, 2, **words)
    np.testing.assert_array_equal(late[0], theta[0])
