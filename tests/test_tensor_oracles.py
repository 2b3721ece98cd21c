"""The per-tensor oracles: against the authors' packages, and against each other.

`trajectories/record_packages.py` says what was recorded. An oracle is called with the
keywords that make it the released code; where those are not the paper's, the list here
is the list of disagreements:

- AdamP's code corrects the bias and adds ε to |w|; the algorithm does neither.
- GaLore's, APOLLO's and Fira's codes have ε̂ (before the correction), decay after the
  step, and project a square matrix from the right. APOLLO's has sqrt(α) for α.
- Fira's code takes α P R, not P R, from the gradient: `fira_quarter` shows it.
- APOLLO's and Fira's codes add 1e-8 to every length they divide by.
- torch's Adafactor: see `papers.compact.adafactor_torch`.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from tests import trajectories
from tests.papers import compact, layerwise, low_rank, matrix
from tests.papers.adam_forms import adam, adam_eps_hat, adamw
from tests.papers.adaptive import adagrad

PACKAGES = Path(__file__).parent / "trajectories" / "packages"
RTOL = 1e-12


@functools.cache
def stored(name: str) -> dict:
    """The arrays of a file, and what it says about itself under "about"."""
    with np.load(PACKAGES / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays | {"about": json.loads(str(arrays["about"]))}


def replay(gradients, zeros):
    """The recorded gradients, with exact zeros where the run had them."""
    still = stored("inputs")["about"]["zeros"] if zeros else ()
    return lambda k, _: gradients[k] * (0.0 if k in still else 1.0)


def compare(actual, expected):
    """Equal to rounding, relative to the largest entry of each step."""
    size = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
    assert np.max(np.abs(actual - expected) / size) <= RTOL


def adamp(group, leaf, run):
    b1, b2 = group["betas"]
    return layerwise.adamp, {
        "b1": b1,
        "b2": b2,
        "eps": group["eps"],
        "eps_norm": group["eps"],
        "weight_decay": group["weight_decay"],
        "delta": group["delta"],
        "wd_ratio": group["wd_ratio"],
        "nesterov": group["nesterov"],
    }


def came(group, leaf, run):
    (b1, b2, b3), (eps, eps_instability) = group["betas"], group["eps"]
    return compact.came, {
        "b1": b1,
        "b2": b2,
        "b3": b3,
        "eps": eps,
        "eps_instability": eps_instability,
        "clipping_threshold": group["clip_threshold"],
        "weight_decay": group["weight_decay"],
    }


def adam_mini(group, leaf, run):
    """One block, but: rows of the MLP's weight, and two heads of a query's."""
    by_row = compact.by_rows((4, 3))
    heads = compact.by_rows((4, 4)) // 2
    return compact.adam_mini, {
        "b1": group["beta1"],
        "b2": group["beta2"],
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "blocks": {"matrix": by_row, "square": heads}.get(leaf),
    }


def stable_adamw(group, leaf, run):
    return layerwise.stable_adamw, {
        "b1": group["beta1"],
        "b2": group["beta2"],
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
    }


def muon(group, leaf, run):
    rms = 0.2 if group["adjust_lr_fn"] == "match_rms_adamw" else None
    return matrix.muon, {
        "beta": group["momentum"],
        "nesterov": group["nesterov"],
        "weight_decay": group["weight_decay"],
        "consistent_rms": rms,
        "eps": 0.0,  # max(|X|, ε), and no |X| here is as small
    }


def subspace(group, leaf, run):
    used = run[f"{leaf}.projections"]
    b1, b2 = group["betas"]
    gap = group["update_proj_gap"]
    return {
        "b1": b1,
        "b2": b2,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "update_proj_gap": gap,
        "projection": lambda k, _: used[k // gap],
        "eps_hat": True,
        "right_if_square": True,
    }


def galore(group, leaf, run):
    words = subspace(group, leaf, run)
    return low_rank.galore, words | {"rank": group["rank"], "scale": group["scale"]}


def apollo(group, leaf, run):
    return low_rank.apollo, subspace(group, leaf, run) | {
        "scale": np.sqrt(group["scale"]),
        "eps_norm": 1e-8,
        "by_tensor": group["scale_type"] == "tensor",
    }


def fira(group, leaf, run):
    return low_rank.fira, subspace(group, leaf, run) | {
        "rank": group["rank"],
        "scale": group["alpha"],
        "scale_residual": True,
        "eps_norm": 1e-8,
    }


ORACLES = {
    "adamp": adamp,
    "came-pytorch": came,
    "adam-mini": adam_mini,
    "torch-optimi": stable_adamw,
    "torch": muon,
    "galore-torch": galore,
    "apollo-torch": apollo,
    "fira": fira,
}
RUNS = sorted(p.stem for p in PACKAGES.glob("*.npz") if p.stem != "inputs")


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        (name, key)
        for name in RUNS
        for key in stored(name)
        if key != "about" and "." not in key
    ],
)
def test_the_oracle_is_the_authors_package(name, leaf):
    run, inputs = stored(name), stored("inputs")
    about = run["about"]
    oracle, words = ORACLES[about["package"]](about["groups"][leaf], leaf, run)
    gradient = replay(inputs[f"{leaf}.gradients"], about["zeros"])
    actual = oracle(
        inputs[f"{leaf}.theta"],
        gradient,
        len(run[leaf]),
        learning_rate=about["options"]["lr"],
        **words,
    )
    compare(actual, run[leaf])


def test_every_package_is_recorded():
    assert {stored(name)["about"]["package"] for name in RUNS} == set(ORACLES)
    assert {stored(name)["about"]["torch"].split("+")[0] for name in RUNS} == {"2.13.0"}


@pytest.mark.parametrize("name", ["adafactor", "adafactor_options"])
def test_adafactor_is_torchs(name):
    run = trajectories.load(name)
    o = run.defaults
    eps, eps_scale = o["eps"]
    for leaf, expected in run.thetas.items():
        actual = compact.adafactor_torch(
            run.theta[leaf],
            lambda k, _, g=run.gradients[leaf]: g[k],
            len(expected),
            learning_rate=o["lr"],
            decay_rate=-o["beta2_decay"],
            clipping_threshold=o["d"],
            eps=compact.EPSILON if eps is None else eps,
            eps_scale=eps_scale,
            weight_decay=o["weight_decay"],
        )
        compare(actual.reshape(len(expected), -1), expected.reshape(len(expected), -1))


# What must hold of the methods themselves, whoever wrote them.


def noisy(k, theta):
    """A gradient that depends on the point, and is zero at k = 5."""
    noise = np.random.default_rng(k).standard_normal(theta.shape)
    return (k != 5) * (theta + 0.5 * noise)


def start(*shape):
    return np.random.default_rng(11).standard_normal(shape)


def test_adamp_projects_at_some_steps_and_not_at_others():
    inputs = stored("inputs")
    for leaf in ("matrix", "wide", "square"):
        g, theta = inputs[f"{leaf}.gradients"], inputs[f"{leaf}.theta"]
        paths = [
            layerwise.adamp(theta, lambda k, _, g=g: g[k], len(g), delta=delta)
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
    path = layerwise.adamp(theta, gradient, 20, learning_rate=1e-3)
    before = np.concatenate([theta[None], path[:-1]])
    radial = np.einsum("kij,kij->k", path - before, before)
    assert np.max(np.abs(radial)) < 1e-15


def test_lamb_and_lars_step_by_a_share_of_the_tensors_length():
    theta = start(4, 3)
    path = layerwise.lamb(theta, noisy, 4, learning_rate=0.01)
    before = np.concatenate([theta[None], path[:-1]])
    lengths = [layerwise.norm(a - b) for a, b in zip(path, before, strict=True)]
    np.testing.assert_allclose(lengths, [0.01 * layerwise.norm(b) for b in before])
    first = layerwise.lars(theta, noisy, 1, learning_rate=2.0)[0]
    share = layerwise.norm(first - theta) / layerwise.norm(theta)
    np.testing.assert_allclose(share, 2.0 * 0.001)


def test_lars_forms_agree_without_decay_and_not_with():
    theta = start(4, 3)
    for decay in (0.0, 0.1):
        words = {"learning_rate": 1.0, "weight_decay": decay}
        paper = layerwise.lars(theta, noisy, 10, **words)
        of_sum = layerwise.lars(theta, noisy, 10, norm_of_sum=True, **words)
        assert np.allclose(paper, of_sum, rtol=1e-14) == (decay == 0.0)


def test_novograd_does_not_see_the_size_of_the_gradient():
    theta = start(3, 2)
    g = [noisy(k, theta) for k in range(8)]
    words = {"learning_rate": 0.1, "eps": 0.0}
    plain = layerwise.novograd(theta, lambda k, _: g[k], 8, **words)
    large = layerwise.novograd(theta, lambda k, _: 1e3 * g[k], 8, **words)
    np.testing.assert_allclose(plain, large, rtol=1e-12)


def test_stable_adamw_is_adamw_while_the_gradient_keeps_its_size():
    def signs(k, theta):
        return np.sign(np.random.default_rng(k).standard_normal(theta.shape))

    words = {"learning_rate": 0.1, "weight_decay": 0.1, "b2": 0.99, "eps": 1e-6}
    stable = layerwise.stable_adamw(start(5), signs, 20, **words)
    np.testing.assert_allclose(stable, adamw(start(5), signs, 20, **words), rtol=1e-12)


def test_a_second_moment_of_rank_one_is_kept_exactly():
    size = np.outer([1.0, 2.0, 0.1], [0.5, 3.0])

    def gradient(k, theta):
        return (
            size * (1 + k) * np.sign(np.random.default_rng(k).standard_normal((3, 2)))
        )

    whole = compact.adafactor(start(3, 2), gradient, 20, factored=False)
    kept = compact.adafactor(start(3, 2), gradient, 20)
    np.testing.assert_allclose(kept, whole, rtol=1e-12)


def test_adafactor_decay_starts_at_zero_so_nothing_needs_correction():
    one = compact.adafactor(start(5), noisy, 1, multiply_by_parameter_scale=False)
    step = (start(5) - one[0]) / 1e-2
    np.testing.assert_allclose(step, np.sign(noisy(0, start(5))), rtol=1e-12)


def test_adam_mini_with_a_block_for_each_entry_is_adam():
    blocks = np.arange(6).reshape(3, 2)
    words = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95}
    mini = compact.adam_mini(start(3, 2), noisy, 20, blocks=blocks, **words)
    np.testing.assert_allclose(mini, adam(start(3, 2), noisy, 20, **words), rtol=1e-12)


def test_sm3_is_adagrad_on_a_vector_and_takes_shorter_steps_on_a_matrix():
    words = {"learning_rate": 0.1}
    vector = compact.sm3(start(5), noisy, 20, momentum=0.0, **words)
    same = adagrad(start(5), noisy, 20, eps=0.0, **words)
    np.testing.assert_allclose(vector, same, rtol=1e-12)
    theta = start(3, 4)
    first = [
        np.abs(oracle - theta)
        for oracle in (
            adagrad(theta, lambda k, _: noisy(k, theta), 1, eps=0.0, **words)[-1],
            compact.sm3(theta, noisy, 1, momentum=0.0, **words)[-1],
            compact.sm3_i(theta, noisy, 1, **words)[-1],
        )
    ]
    assert np.all(first[0] >= first[1] - 1e-15)
    assert np.all(first[1] >= first[2] - 1e-15)


def test_muons_forms_differ_by_epsilon_only():
    average = matrix.muon(start(4, 3), noisy, 10, eps=0.0)
    heavy_ball = matrix.muon(start(4, 3), noisy, 10, eps=0.0, average=False)
    np.testing.assert_allclose(average, heavy_ball, rtol=1e-10, atol=1e-12)
    tall, g = start(4, 3), [noisy(k, start(4, 3)) for k in range(10)]
    path = matrix.muon(tall, lambda k, _: g[k], 10)
    turned = matrix.muon(tall.T, lambda k, _: g[k].T, 10, out_axis=1)
    np.testing.assert_allclose(turned, path.swapaxes(1, 2), rtol=1e-12)
    values = np.linalg.svd(matrix.newton_schulz(start(6, 6)), compute_uv=False)
    assert values.min() > 0.5
    assert values.max() < 1.25


def test_soap_does_not_see_signs_of_eigenvectors():
    inputs = stored("inputs")
    g, theta = inputs["square.gradients"], inputs["square.theta"]
    left, right = (matrix.eigenbasis(s) for s in (g[0] @ g[0].T, g[0].T @ g[0]))
    words = {"precondition_frequency": 5}
    plain = matrix.soap(theta, lambda k, _: g[k], 30, **words)
    flipped = [left * [1, -1, 1, -1], right * [-1, -1, 1, 1]]
    other = matrix.soap(theta, lambda k, _: g[k], 30, bases=flipped, **words)
    np.testing.assert_allclose(plain, other, rtol=1e-9, atol=1e-12)


def test_soap_without_a_basis_is_adam_from_the_second_gradient_on():
    words = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.95}
    path = matrix.soap(start(3, 2), noisy, 10, bases=[None, None], **words)
    later = adam_eps_hat(start(3, 2), lambda k, x: noisy(k + 1, x), 9, **words)
    np.testing.assert_array_equal(path[0], start(3, 2))
    np.testing.assert_allclose(path[1:], later, rtol=1e-12)


def test_shampoo_of_a_diagonal_gradient_is_adagrad():
    theta = np.diag(start(3))
    path = matrix.shampoo(theta, noisy_diagonal, 10, learning_rate=0.1, eps=1e-30)
    same = adagrad(start(3), vector_of(noisy_diagonal), 10, learning_rate=0.1, eps=0.0)
    np.testing.assert_allclose(np.einsum("kii->ki", path), same, rtol=1e-9)


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
        galore = low_rank.galore(start(*shape), noisy, 20, rank=3, scale=1.0, **words)
        fira = low_rank.fira(start(*shape), noisy, 20, rank=3, **words)
        np.testing.assert_allclose(galore, expected, rtol=1e-12)
        np.testing.assert_allclose(fira, expected, rtol=1e-12)


def test_a_zero_gradient_silences_the_norm_growth_limiter_for_ever():
    def projection(k, g):
        return np.random.default_rng(k).standard_normal((len(g), 2))

    path = low_rank.apollo(
        start(3, 4), noisy, 20, learning_rate=0.1, projection=projection
    )
    assert np.any(path[4] != path[3])
    np.testing.assert_array_equal(path[5:], np.broadcast_to(path[4], (15, 3, 4)))
