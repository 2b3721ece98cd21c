"""The other oracles against results by hand, and properties proved."""

import math

import numpy as np
import pytest

from tests import papers
from tests.oracles.test_limits import STEPS, gradient, same, start
from tests.papers import clips, directions
from tests.papers.adahessian import hutchinson_estimate, spatial_average
from tests.papers.adam import adam, adamw
from tests.papers.ademamix import alpha_schedule, b3_schedule, b3_schedule_official
from tests.papers.dog import polynomial_average
from tests.papers.sgd import sgd
from tests.papers.sophia import gauss_newton_bartlett_estimate

pytestmark = pytest.mark.oracle


def given(*values):
    """A gradient that is a list of numbers, whatever the point."""
    return lambda k, theta: np.full_like(theta, values[k])


def test_adopt_by_hand():
    """v_0 = 4; g_1 = 6 is 3 after division and clipped to 1; g_2 = -1 by v_1 = 20."""
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5}
    path = papers.adopt(np.zeros(1), given(2.0, 6.0, -1.0), 3, **words)
    m_1 = 0.5 * 1
    m_2 = 0.5 * m_1 + 0.5 * (-1 / math.sqrt(20))
    np.testing.assert_allclose(path[:, 0], [0, -m_1, -m_1 - m_2], rtol=1e-15)


def test_the_first_adopt_by_hand():
    words = {"learning_rate": 1.0, "b1": 0.5, "b2": 0.5}
    path = papers.adopt_first_version(np.zeros(1), given(2.0, 6.0), 2, **words)
    np.testing.assert_allclose(path[:, 0], [0, -3], rtol=1e-15)


def test_adan_by_hand():
    """m_0 = g_0, n_0 = g_0², v_0 = 0: the first step is the sign, then proximal."""
    words = {"learning_rate": 0.5, "eps": 0.0, "weight_decay": 1.0}
    path = papers.adan(np.ones(1), given(2.0, 3.0), 2, **words)
    first = (1 - 0.5) / 1.5
    m = 0.98 * 2 + 0.02 * 3
    v = 0.08 * (3 - 2)
    n = 0.99 * 4 + 0.01 * (3 + 0.92 * (3 - 2)) ** 2
    second = (first - 0.5 * (m + 0.92 * v) / math.sqrt(n)) / 1.5
    np.testing.assert_allclose(path[:, 0], [first, second], rtol=1e-14)


def test_mars_takes_both_gradients_of_one_sample():
    """With gradients that do not depend on the point the exact difference is zero, and
    the approximate one is not."""

    def small(k, theta):
        return np.full_like(theta, 0.1 * math.sin(k + 1))

    words = {"learning_rate": 0.05, "gamma": 0.5, "b1": 0.9, "b2": 0.999}
    exact = papers.mars(start(), small, STEPS, **words)
    parent = adamw(start(), small, STEPS, learning_rate=0.05, weight_decay=0.0)
    same(exact, parent)
    other = papers.mars_approximate(start(), small, STEPS, **words)
    assert np.max(np.abs(other - parent)) > 1e-2


def test_mars_asks_for_the_gradient_at_the_point_before():
    asked = []

    def remember(k, theta):
        asked.append((k, theta.copy()))
        return gradient(k, theta)

    path = papers.mars(start(), remember, 3)
    expected = [start(), start(), path[0], start(), path[1], path[0]]
    assert [k for k, _ in asked] == [0, 0, 1, 1, 2, 2]
    for (_, point), wanted in zip(asked, expected, strict=True):
        np.testing.assert_array_equal(point, wanted)


def test_the_half_life_of_ademamix_grows_linearly():
    half_lives = [
        math.log(0.5) / math.log(b3_schedule(0.9999, 50, 0.9)(k)) for k in range(50)
    ]
    np.testing.assert_allclose(np.diff(half_lives), np.diff(half_lives)[0], rtol=1e-8)
    assert b3_schedule(0.9999, 50)(49) == 0.9999
    assert b3_schedule_official(0.9999, 50)(49) == 0.9999
    assert alpha_schedule(5.0, 50)(24) == 2.5
    assert alpha_schedule(5.0, 50)(80) == 5.0


def test_the_official_schedule_of_b3_is_near_the_papers():
    paper = b3_schedule(0.9999, 50)
    code = b3_schedule_official(0.9999, 50)
    apart = max(abs((1 - code(k)) / (1 - paper(k)) - 1) for k in range(60))
    assert 1e-6 < apart < 1e-3


def rprop_by_hand(oracle):
    """Gradients +, +, -, -, +, and a step size of 1 that doubles or halves."""
    words = {"learning_rate": 1.0, "eta_plus": 2.0, "eta_minus": 0.5}
    words |= {"min_step_size": 0.1, "max_step_size": 10.0}
    path = oracle(np.zeros(1), given(1.0, 3.0, -1.0, -1.0, 2.0), 5, **words)
    return np.diff(np.concatenate([[0.0], path[:, 0]]))


def test_rprop_by_hand():
    # Step 2 is zeroed, so step 3 has nothing before it; step 4 is zeroed again.
    assert list(rprop_by_hand(papers.rprop)) == [-1, -2, 0, 1, 0]
    # Step 2 is taken, halved; step 3 doubles; step 4 halves.
    assert list(rprop_by_hand(papers.rprop_minus)) == [-1, -2, 1, 2, -1]
    # Step 2 takes step 1 back; step 3 is new; step 4 takes step 3 back.
    assert list(rprop_by_hand(papers.rprop_plus)) == [-1, -2, 2, 1, -1]


def test_the_first_step_of_adadelta():
    path = papers.adadelta(np.zeros(1), given(3.0), 1, rho=0.9, eps=1e-6)
    expected = -math.sqrt(1e-6) / math.sqrt(0.1 * 9 + 1e-6) * 3
    np.testing.assert_allclose(path[0, 0], expected, rtol=1e-15)


def test_sophia_by_hand():
    """Three elements: a Hessian large enough, one so small that it clips, and one that
    is negative, where only epsilon stands below."""
    words = {"learning_rate": 1.0, "gamma": 1.0, "weight_decay": 0.0, "b2": 0.0}
    h = np.array([4.0, 1e-3, -1.0])
    path = papers.sophia(
        np.zeros(3), given(2.0), 1, hessian=lambda k, theta: h, b1=0.5, **words
    )
    np.testing.assert_allclose(path[0], [-0.25, -1, -1], rtol=1e-15)


@pytest.mark.parametrize(
    ("oracle", "steps"),
    [(papers.sophia, [0, 4, 8]), (papers.sophia_official, [3, 7])],
)
def test_sophia_asks_for_the_hessian_at_its_interval(oracle, steps):
    asked = []

    def hessian(k, theta):
        asked.append(k)
        return np.ones_like(theta)

    oracle(start(), gradient, 10, hessian=hessian, update_interval=4)
    assert asked == steps


def test_the_estimates_have_the_right_means():
    """Of u ⊙ Hu over all signs u it is exactly diag(H)."""
    h = np.array([[2.0, -1.0, 0.5], [-1.0, 3.0, 0.0], [0.5, 0.0, -4.0]])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    mean = np.mean([hutchinson_estimate(u, h @ u) for u in signs], axis=0)
    np.testing.assert_allclose(mean, np.diag(h), rtol=1e-15)
    estimate = gauss_newton_bartlett_estimate(np.array([2.0, -1.0]), 8)
    assert list(estimate) == [32, 8]


def test_the_spatial_average_is_over_rows_and_kernels():
    d = np.arange(24.0)
    assert spatial_average(d) is d
    rows = spatial_average(d.reshape(4, 6))
    np.testing.assert_array_equal(rows[:, 0], [2.5, 8.5, 14.5, 20.5])
    kernels = spatial_average(d.reshape(2, 3, 2, 2))
    np.testing.assert_array_equal(kernels[1, 2], np.full((2, 2), 21.5))


U, G = np.array([1.0, -2.0, 3.0, 0.0]), np.array([0.5, 1.0, 2.0, 1.0])


def test_caution_by_hand():
    kept = np.array([1.0, 0.0, 3.0, 0.0])
    np.testing.assert_allclose(directions.cautious_mean(U, G, 0.0), kept * 2)
    np.testing.assert_allclose(directions.cautious_counted(U, G), kept * 4 / 3)
    np.testing.assert_allclose(directions.cautious_clamped(U, G), kept * 2)
    np.testing.assert_allclose(directions.cautious_clamped(U, -U), 0 * kept)
    np.testing.assert_allclose(directions.cautious_clamped(U, G, 0.8), kept / 0.8)
    np.testing.assert_allclose(directions.grams(U, G), [1, 2, 3, 0])
    theta = np.array([10.0, 10.0, -10.0, -10.0])
    decayed = directions.cautious_decay(U, theta, 0.1)
    np.testing.assert_allclose(decayed, [2, -2, 3, -1])


def test_no_direction_is_adamw():
    words = {"learning_rate": 0.05, "weight_decay": 0.1}

    def unchanged(u, g):
        return u

    path = papers.adamw_directed(start(), gradient, STEPS, direction=unchanged, **words)
    same(path, adamw(start(), gradient, STEPS, **words))


def test_the_clips_by_hand():
    g = np.array([3.0, -4.0])

    def constant(k, theta):
        return g

    np.testing.assert_allclose(clips.clipped(constant, 3.5)(0, None), [3, -3.5])
    np.testing.assert_allclose(clips.clipped_per_tensor(constant, 1.0)(0, None), g / 5)
    np.testing.assert_allclose(clips.clipped_per_tensor(constant, 9.0)(0, None), g)
    rms = math.sqrt(12.5)
    np.testing.assert_allclose(clips.clipped_rms(constant, 2.0)(0, None), g * 2 / rms)
    np.testing.assert_allclose(clips.clipped_rms(constant, 9.0)(0, None), g)
    noisy = clips.noisy(constant, lambda k: np.array([1.0, -1.0]), eta=0.3, gamma=0.5)
    np.testing.assert_allclose(noisy(3, None), g + math.sqrt(0.15) * np.array([1, -1]))


def test_centralised_gradients_have_no_mean():
    g = np.arange(24.0).reshape(2, 3, 4) ** 2

    def constant(k, theta):
        return [g, g[0, 0]]

    kernel, vector = clips.centralised(constant)(0, None)
    np.testing.assert_allclose(kernel.mean(axis=(1, 2)), 0, atol=1e-13)
    assert abs(kernel.mean(axis=0)).max() > 1
    np.testing.assert_array_equal(vector, g[0, 0])
    kernel, _ = clips.centralised(constant, axes=(0, 1))(0, None)
    np.testing.assert_allclose(kernel.mean(axis=(0, 1)), 0, atol=1e-13)


def test_adagc_by_hand():
    """Warm-up for one step clips both leaves together to norm 1; then each by its own
    average, here of decay 1/2."""
    sizes = [(3.0, 4.0), (3.0, 0.8), (3.0, 0.8)]

    def of_leaves(k, thetas):
        return [np.array([size]) for size in sizes[k]]

    words = {"b1": 0.0, "b2": 0.0, "eps": 1.0, "learning_rate": 1.0}
    words |= {"decay": 0.5, "lambda_rel": 2.0, "warmup": 2}
    paths = papers.adagc_adamw([np.zeros(1)] * 2, of_leaves, 3, **words)
    # clipped: 0.6, 0.8; then min(3, 1.2), 0.8; then min(3, 2 (0.6 + 1.2) / 2), 0.8
    for path, clipped in zip(paths, ([0.6, 1.2, 1.8], [0.8, 0.8, 0.8]), strict=True):
        steps = -np.diff(np.concatenate([[0.0], path[:, 0]]))
        np.testing.assert_allclose(steps, [c / (c + 1) for c in clipped], rtol=1e-12)


def test_spam_begins_anew_with_a_small_rate():
    """At t = 10 both moments hold that step's gradient alone, uncorrected, and the rate
    is a hundredth."""
    words = {"learning_rate": 0.05, "eps": 0.0, "threshold": 1e30, "interval": 10}
    path = papers.spam(np.zeros(1), given(*range(1, 13)), 12, **words)
    step = 0.1 / math.sqrt(0.001)
    scale = math.sqrt(1 - 0.999**10) / (1 - 0.9**10)
    expected = -0.05 * scale * 0.01 * step
    np.testing.assert_allclose(path[9, 0] - path[8, 0], expected, rtol=1e-10)


def test_a_limited_step_grows_by_its_limit():
    def growing(k, theta):
        return 10.0**k * np.array([1.0, -2.0])

    path = papers.adam_norm_growth_limited(
        np.zeros(2), growing, 9, b1=0.0, b2=0.999, limit=1.01
    )
    sizes = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 1.01, rtol=1e-12)


def test_schedule_free_evaluates_the_mean_of_its_steps():
    """At a constant rate x_k is the mean of z_1 … z_k, and z is y and x undone."""
    for oracle in (papers.schedule_free_sgd, papers.schedule_free_adamw):
        y, x = oracle(start(), gradient, STEPS, learning_rate=0.05, b1=0.9)
        z = (y - 0.9 * x) / 0.1
        mean = np.cumsum(z, axis=0) / np.arange(1, STEPS + 1)[:, None, None]
        np.testing.assert_allclose(x, mean, rtol=1e-11, atol=1e-12)


def test_gpa_without_average_is_its_base():
    words = {"learning_rate": 0.05, "weight_decay": 0.1}
    y, x = papers.gpa_adamw(start(), gradient, STEPS, mu_x=0.0, **words)
    same(y, adamw(start(), gradient, STEPS, **words))
    np.testing.assert_allclose(x, y, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("oracle", "parent"), [(papers.lookahead_adam, adam), (papers.lookahead_sgd, sgd)]
)
def test_lookahead(oracle, parent):
    words = {"learning_rate": 0.05}
    alone = parent(start(), gradient, STEPS, **words)
    fast, slow = oracle(start(), gradient, STEPS, slow_step_size=1.0, **words)
    same(fast, alone)
    np.testing.assert_array_equal(slow[4::5], fast[4::5])
    fast, slow = oracle(start(), gradient, STEPS, sync_period=5, **words)
    same(fast[:4], alone[:4])
    np.testing.assert_array_equal(slow[:4], np.broadcast_to(start(), (4, 2, 3)))
    np.testing.assert_allclose(slow[4], (start() + alone[4]) / 2, rtol=1e-14)
    np.testing.assert_array_equal(fast[4], slow[4])


def test_lookahead_that_resets_starts_its_adam_again():
    words = {"learning_rate": 0.05}
    fast, slow = papers.lookahead_adam(
        start(), gradient, 10, sync_period=5, reset_state=True, **words
    )

    def later(k, theta):
        return gradient(k + 5, theta)

    again = adam(slow[4], later, 4, **words)
    np.testing.assert_array_equal(fast[5:9], again)


def test_sam_climbs_by_rho():
    asked = []

    def remember(k, theta):
        asked.append(theta.copy())
        return gradient(k, theta)

    papers.sam_sgd(start(), remember, 1, rho=0.3)
    climb = asked[1] - asked[0]
    np.testing.assert_allclose(np.linalg.norm(climb), 0.3, rtol=1e-14)
    g = gradient(0, start())
    np.testing.assert_allclose(climb, 0.3 * g / np.linalg.norm(g), rtol=1e-13)


def test_the_average_of_the_parameters():
    theta, mean = papers.adam_averaged(start(), gradient, STEPS, decay=0.5)
    same(theta, adam(start(), gradient, STEPS))
    np.testing.assert_allclose(mean[0], theta[0], rtol=1e-15)
    np.testing.assert_allclose(mean[1], (theta[0] + 2 * theta[1]) / 3, rtol=1e-14)
    _, last = papers.adam_averaged(start(), gradient, STEPS, decay=0.0)
    np.testing.assert_array_equal(last, theta)


def test_the_first_steps_of_dog_and_dowg_have_the_length_given():
    words = {"eps": 0.0}
    path = papers.dog(start(), gradient, 2, r_eps=0.01, **words)
    np.testing.assert_allclose(np.linalg.norm(path[0] - start()), 0.01, rtol=1e-10)
    g = [gradient(0, start()), gradient(1, path[0])]
    eta = 0.01 / math.sqrt(sum(np.sum(x**2) for x in g))
    np.testing.assert_allclose(path[1], path[0] - eta * g[1], rtol=1e-14)
    path = papers.dowg(start(), gradient, 1, init_estim_sq_dist=1e-4, **words)
    np.testing.assert_allclose(np.linalg.norm(path[0] - start()), 0.01, rtol=1e-10)


RATE_FREE = {
    "prodigy": papers.prodigy,
    "prodigy_official": papers.prodigy_official,
    "d_adapt_adam": papers.d_adapt_adam,
    "d_adapt_adam_official": papers.d_adapt_adam_official,
    "dog": papers.dog,
    "dowg": papers.dowg,
}


@pytest.mark.parametrize("name", RATE_FREE)
def test_what_finds_its_rate_does_not_see_the_scale_of_the_loss(name):
    def loud(k, theta):
        return 1024.0 * gradient(k, theta)

    oracle = RATE_FREE[name]
    quiet = oracle(start(), gradient, STEPS, eps=0.0)
    np.testing.assert_allclose(
        oracle(start(), loud, STEPS, eps=0.0), quiet, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("name", RATE_FREE)
def test_leaves_are_one_vector(name):
    """Cutting θ into leaves changes nothing: norms and products are of the whole."""
    theta = start()

    def of_leaves(k, leaves):
        return list(gradient(k, np.stack(leaves)))

    whole = RATE_FREE[name](theta, gradient, STEPS)
    cut = RATE_FREE[name](list(theta), of_leaves, STEPS)
    np.testing.assert_array_equal(np.stack(cut, axis=1), whole)


def test_the_polynomial_average():
    path = np.arange(1.0, 6.0)[:, None]
    mean = polynomial_average(path, gamma=0.0)
    np.testing.assert_allclose(mean[:, 0], np.cumsum(path[:, 0]) / np.arange(1, 6))
    mean = polynomial_average(path)
    np.testing.assert_allclose(mean[1, 0], 0.1 * 1 + 0.9 * 2, rtol=1e-14)
