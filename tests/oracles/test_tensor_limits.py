"""What must hold of the per-tensor oracles themselves, whoever wrote the method.

Limits in which they are a simpler method, and what they are said not to see.
"""

import numpy as np

from tests import papers
from tests.papers.adagrad import adagrad
from tests.papers.adam import adam, adam_eps_hat, adamw
from tests.papers.lamb import norm
from tests.papers.muon import newton_schulz
from tests.papers.soap import eigenbasis


def noisy(k, theta):
    """A gradient that depends on the point, and is zero at k = 5."""
    noise = np.random.default_rng(k).standard_normal(theta.shape)
    return (k != 5) * (theta + 0.5 * noise)


def start(*shape):
    return np.random.default_rng(11).standard_normal(shape)


def test_adamp_projects_at_some_steps_and_not_at_others():
    for shape in ((4, 3), (3, 5), (4, 4)):
        theta = start(*shape)
        g = [noisy(k, theta) for k in range(30)]
        paths = [
            papers.adamp(theta, lambda k, _, g=g: g[k], len(g), delta=delta)
            for delta in (0.0, 1.0, 100.0)
        ]
        never, some, always = paths
        assert not np.allclose(never, some)
        assert not np.allclose(some, always)


def test_a_projected_step_is_tangent():
    # The gradient of a function of the direction alone, so no step may be radial.
    def gradient(k, theta):
        g = np.random.default_rng(k).standard_normal(theta.shape)
        return g - theta * np.sum(g * theta) / np.sum(theta**2)

    theta = start(4, 3)
    path = papers.adamp(theta, gradient, 20, learning_rate=1e-3)
    before = np.concatenate([theta[None], path[:-1]])
    radial = np.einsum("kij,kij->k", path - before, before)
    assert np.max(np.abs(radial)) < 1e-15


def test_lamb_and_lars_step_by_a_share_of_the_tensors_length():
    theta = start(4, 3)
    path = papers.lamb(theta, noisy, 4, learning_rate=0.01)
    before = np.concatenate([theta[None], path[:-1]])
    lengths = [norm(a - b) for a, b in zip(path, before, strict=True)]
    np.testing.assert_allclose(lengths, [0.01 * norm(b) for b in before])
    first = papers.lars(theta, noisy, 1, learning_rate=2.0)[0]
    share = norm(first - theta) / norm(theta)
    np.testing.assert_allclose(share, 2.0 * 0.001)


def test_lars_forms_agree_without_decay_and_not_with():
    theta = start(4, 3)
    for decay in (0.0, 0.1):
        words = {"learning_rate": 1.0, "weight_decay": decay}
        paper = papers.lars(theta, noisy, 10, **words)
        of_sum = papers.lars(theta, noisy, 10, norm_of_sum=True, **words)
        assert np.allclose(paper, of_sum, rtol=1e-14) == (decay == 0.0)


def test_novograd_does_not_see_the_size_of_the_gradient():
    theta = start(3, 2)
    g = [noisy(k, theta) for k in range(8)]
    words = {"learning_rate": 0.1, "eps": 0.0}
    plain = papers.novograd(theta, lambda k, _: g[k], 8, **words)
    large = papers.novograd(theta, lambda k, _: 1e3 * g[k], 8, **words)
    np.testing.assert_allclose(plain, large, rtol=1e-12)


def test_stable_adamw_is_adamw_while_the_gradient_keeps_its_size():
    def signs(k, theta):
        return np.sign(np.random.default_rng(k).standard_normal(theta.shape))

    words = {"learning_rate": 0.1, "weight_decay": 0.1, "b2": 0.99, "eps": 1e-6}
    stable = papers.stable_adamw(start(5), signs, 20, **words)
    np.testing.assert_allclose(stable, adamw(start(5), signs, 20, **words), rtol=1e-12)


def test_a_second_moment_of_rank_one_is_kept_exactly():
    size = np.outer([1.0, 2.0, 0.1], [0.5, 3.0])

    def gradient(k, theta):
        return (
            size * (1 + k) * np.sign(np.random.default_rng(k).standard_normal((3, 2)))
        )

    whole = papers.adafactor(start(3, 2), gradient, 20, factored=False)
    kept = papers.adafactor(start(3, 2), gradient, 20)
    np.testing.assert_allclose(kept, whole, rtol=1e-12)


def test_adafactor_decay_starts_at_zero_so_nothing_needs_correction():
    one = papers.adafactor(start(5), noisy, 1, multiply_by_parameter_scale=False)
    step = (start(5) - one[0]) / 1e-2
    np.testing.assert_allclose(step, np.sign(noisy(0, start(5))), rtol=1e-12)


def test_adam_mini_with_a_block_for_each_entry_is_adam():
    blocks = np.arange(6).reshape(3, 2)
    words = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95}
    mini = papers.adam_mini(start(3, 2), noisy, 20, blocks=blocks, **words)
    np.testing.assert_allclose(mini, adam(start(3, 2), noisy, 20, **words), rtol=1e-12)


def test_sm3_is_adagrad_on_a_vector_and_takes_shorter_steps_on_a_matrix():
    words = {"learning_rate": 0.1}
    vector = papers.sm3(start(5), noisy, 20, momentum=0.0, **words)
    same = adagrad(start(5), noisy, 20, eps=0.0, **words)
    np.testing.assert_allclose(vector, same, rtol=1e-12)
    theta = start(3, 4)
    first = [
        np.abs(oracle - theta)
        for oracle in (
            adagrad(theta, lambda k, _: noisy(k, theta), 1, eps=0.0, **words)[-1],
            papers.sm3(theta, noisy, 1, momentum=0.0, **words)[-1],
            papers.sm3_i(theta, noisy, 1, **words)[-1],
        )
    ]
    assert np.all(first[0] >= first[1] - 1e-15)
    assert np.all(first[1] >= first[2] - 1e-15)


def test_muons_forms_differ_by_epsilon_only():
    average = papers.muon(start(4, 3), noisy, 10, eps=0.0)
    heavy_ball = papers.muon(start(4, 3), noisy, 10, eps=0.0, average=False)
    np.testing.assert_allclose(average, heavy_ball, rtol=1e-10, atol=1e-12)
    tall, g = start(4, 3), [noisy(k, start(4, 3)) for k in range(10)]
    path = papers.muon(tall, lambda k, _: g[k], 10)
    turned = papers.muon(tall.T, lambda k, _: g[k].T, 10, out_axis=1)
    np.testing.assert_allclose(turned, path.swapaxes(1, 2), rtol=1e-12)
    values = np.linalg.svd(newton_schulz(start(6, 6)), compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.25


def test_soap_does_not_see_signs_of_eigenvectors():
    theta = start(4, 4)
    g = [noisy(k, theta) for k in range(30)]
    left, right = (eigenbasis(s) for s in (g[0] @ g[0].T, g[0].T @ g[0]))
    words = {"precondition_frequency": 5}
    plain = papers.soap(theta, lambda k, _: g[k], 30, **words)
    flipped = [left * [1, -1, 1, -1], right * [-1, -1, 1, 1]]
    other = papers.soap(theta, lambda k, _: g[k], 30, bases=flipped, **words)
    np.testing.assert_allclose(plain, other, rtol=1e-9, atol=1e-12)


def test_soap_without_a_basis_is_adam_from_the_second_gradient_on():
    words = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.95}
    path = papers.soap(start(3, 2), noisy, 10, bases=[None, None], **words)
    later = adam_eps_hat(start(3, 2), lambda k, x: noisy(k + 1, x), 9, **words)
    np.testing.assert_array_equal(path[0], start(3, 2))
    np.testing.assert_allclose(path[1:], later, rtol=1e-12)


def test_shampoo_of_a_diagonal_gradient_is_adagrad():
    theta = np.diag(start(3))
    path = papers.shampoo(theta, noisy_diagonal, 10, learning_rate=0.1, eps=1e-30)
    same = adagrad(start(3), vector_of(noisy_diagonal), 10, learning_rate=0.1, eps=0.0)
    np.testing.assert_allclose(np.einsum("kii->ki", path), same, rtol=1e-9)


def test_one_sided_shampoo_of_a_diagonal_gradient_is_adagrad_too():
    """The power of one preconditioner is -1/2, that of two -1/4 each."""
    for side in ("left", "right", "smaller"):
        words = {"learning_rate": 0.1, "eps": 1e-30, "one_sided": side}
        path = papers.shampoo(np.diag(start(3)), noisy_diagonal, 10, **words)
        same = adagrad(
            start(3), vector_of(noisy_diagonal), 10, learning_rate=0.1, eps=0.0
        )
        np.testing.assert_allclose(np.einsum("kii->ki", path), same, rtol=1e-9)


def test_one_block_is_the_whole_and_blocks_of_one_element_are_adam():
    theta = start(4, 3)
    g = [noisy(k, theta) for k in range(12)]
    words = {"learning_rate": 0.1, "eps": 1e-8}
    for name in ("shampoo", "soap", "kl_soap"):
        whole = getattr(papers, name)(theta, lambda k, _: g[k], 12, **words)
        cut = getattr(papers, f"{name}_in_blocks")
        one = cut(theta, lambda k, _: g[k], 12, block_size=4, **words)
        np.testing.assert_array_equal(one, whole)
    each = papers.soap_in_blocks(theta, lambda k, _: g[k], 12, block_size=1, **words)
    words |= {"b1": 0.95, "b2": 0.95}
    later = adam_eps_hat(theta, lambda k, _: g[k + 1], 11, **words)
    np.testing.assert_allclose(each[1:], later, rtol=1e-12)


def test_roots_that_never_come_leave_the_gradient_or_adam():
    words = {"learning_rate": 0.1}
    plain = papers.shampoo(
        start(4, 3), noisy, 10, start_preconditioning_step=11, **words
    )
    same = start(4, 3)
    for k, point in enumerate(plain):
        same = same - 0.1 * noisy(k, same)
        np.testing.assert_allclose(point, same, rtol=1e-12)
    grafted = papers.adam_on_shampoo(start(4, 3), noisy, 10, start=11, **words)
    adams = adam(start(4, 3), noisy, 10, b1=0.0, b2=0.95, **words)
    np.testing.assert_allclose(grafted, adams, rtol=1e-12)


def noisy_diagonal(k, theta):
    return np.diag(np.diag(theta) + np.random.default_rng(k).standard_normal(3))


def vector_of(gradient):
    return lambda k, x: np.diag(gradient(k, np.diag(x)))


def test_a_subspace_that_is_everything_is_adam():
    def identity(k, g):
        return np.eye(len(g))

    words = {"learning_rate": 0.1, "eps": 1e-8, "projection": identity}
    for shape in ((3, 4), (4, 3)):
        expected = adam(start(*shape), noisy, 20, learning_rate=0.1)
        galore = papers.galore(start(*shape), noisy, 20, rank=3, scale=1.0, **words)
        np.testing.assert_allclose(galore, expected, rtol=1e-12)
        hat = adam_eps_hat(start(*shape), noisy, 20, learning_rate=0.1)
        fira = papers.fira(start(*shape), noisy, 20, rank=3, **words)
        np.testing.assert_allclose(fira, hat, rtol=1e-12)


def test_a_zero_gradient_silences_the_norm_growth_limiter_for_ever():
    def projection(k, g):
        return np.random.default_rng(k).standard_normal((len(g), 2))

    path = papers.apollo(
        start(3, 4), noisy, 20, learning_rate=0.1, projection=projection
    )
    assert np.any(path[4] != path[3])
    np.testing.assert_array_equal(path[5:], np.broadcast_to(path[4], (15, 3, 4)))
