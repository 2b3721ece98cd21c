"""The per-tensor oracles against the authors' packages and repositories.

The recorders `trajectories/record_*.py` say what was recorded. An oracle is called with
the keywords that make it the released code; where those are not the paper's, the list
here, with that of `trajectories/matrix_forms.py`, is the list of disagreements:

- AdamP's code corrects the bias and adds ε to |w|; the algorithm does neither.
- GaLore's and APOLLO's codes have ε̂ (before the correction), GaLore's, APOLLO's and
  Fira's decay after the step and project a square matrix from the right. APOLLO's has
  sqrt(α) for α, and adds 1e-8 to the lengths it divides by, the paper nothing.
- Fira's code takes α P R, not P R, from the gradient, and does not multiply what is
  left by α (`fira_quarter`); its limiter sees the residual without bias correction.
- LaProp's code decays after the step, without the rate.
- MARS's code updates matrices only by MARS, the other leaves by AdamW.
- RAdam's code takes no step while ρ_t < 5 (unless `degenerated_to_sgd`).
- AdaHessian's code averages |D|.
- torch's Adafactor: see `papers.adafactor_torch`.
"""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from tests import papers, trajectories
from tests.papers.adafactor import EPSILON
from tests.papers.adam_mini import by_rows
from tests.trajectories import matrix_forms

PACKAGES = Path(__file__).parents[1] / "trajectories" / "packages"
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
    return papers.adamp, {
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
    return papers.came, {
        "b1": b1,
        "b2": b2,
        "b3": b3,
        "eps": eps,
        "eps_instability": eps_instability,
        "clipping_threshold": group["clip_threshold"],
        "weight_decay": group["weight_decay"],
    }


def adam_mini(group, leaf, run):
    """One block, but: rows of the MLP's weight, two heads of a query's, and a bias by
    its elements."""
    by_row = by_rows((4, 3))
    heads = by_rows((4, 4)) // 2
    elements = by_rows((5,)) if "bias" in group["name"] else None
    return papers.adam_mini, {
        "b1": group["beta1"],
        "b2": group["beta2"],
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "blocks": {"matrix": by_row, "square": heads, "vector": elements}.get(leaf),
    }


def stable_adamw(group, leaf, run):
    return papers.stable_adamw, {
        "b1": group["beta1"],
        "b2": group["beta2"],
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
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
    return papers.galore, words | {"rank": group["rank"], "scale": group["scale"]}


def apollo(group, leaf, run):
    return papers.apollo, subspace(group, leaf, run) | {
        "scale": np.sqrt(group["scale"]),
        "eps_norm": 1e-8,
        "by_tensor": group["scale_type"] == "tensor",
    }


def fira(group, leaf, run):
    words = subspace(group, leaf, run)
    del words["eps_hat"]  # the paper's own
    return papers.fira, words | {
        "rank": group["rank"],
        "scale": group["alpha"],
        "released": True,
        "eps_norm": 1e-8,
    }


def laprop(group, leaf, run):
    b1, b2 = group["betas"]
    return papers.laprop_official, {
        "b1": b1,
        "b2": b2,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
    }


def radam(group, leaf, run):
    b1, b2 = group["betas"]
    steps_along_m = run["about"]["options"].get("degenerated_to_sgd", False)
    return papers.radam_torch, {
        "b1": b1,
        "b2": b2,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "degenerate": "momentum" if steps_along_m else "skip",
    }


def mars(group, leaf, run):
    b1, b2 = group["betas"]
    options = run["about"]["options"]
    words = {
        "b1": b1,
        "b2": b2,
        "gamma": group["gamma"],
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
    }
    if group["optimize_1d"]:
        return papers.mars_approximate, words
    adam_b1, adam_b2 = options.get("betas_1d", (0.9, 0.95))
    return papers.mars_of_matrices, words | {
        "adam_learning_rate": options.get("lr_1d", 3e-3),
        "adam_b1": adam_b1,
        "adam_b2": adam_b2,
        "adam_eps": group["eps"],
        "adam_weight_decay": group["weight_decay_1d"],
    }


def adahessian(group, leaf, run):
    b1, b2 = group["betas"]
    curvatures = 0.3 * np.cos(stored("inputs")[f"{leaf}.gradients"])
    return papers.adahessian, {
        "b1": b1,
        "b2": b2,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "hessian_power": group["hessian_power"],
        "magnitude": True,
        "hessian": lambda k, _: curvatures[k],
    }


ORACLES = {
    "adamp": adamp,
    "came-pytorch": came,
    "adam-mini": adam_mini,
    "torch-optimi": stable_adamw,
    "galore-torch": galore,
    "apollo-torch": apollo,
    "fira": fira,
    "LaProp-Optimizer": laprop,
    "RAdam": radam,
    "MARS": mars,
    "adahessian": adahessian,
} | matrix_forms.ORACLES
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
    if "hessian" in words:  # of h θ² / 2 + c θ, c being what is replayed elsewhere
        slope, h = gradient, words["hessian"]
        gradient = lambda k, theta: h(k, theta) * theta + slope(k, theta)  # noqa: E731
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
        actual = papers.adafactor_torch(
            run.theta[leaf],
            lambda k, _, g=run.gradients[leaf]: g[k],
            len(expected),
            learning_rate=o["lr"],
            decay_rate=-o["beta2_decay"],
            clipping_threshold=o["d"],
            eps=EPSILON if eps is None else eps,
            eps_scale=eps_scale,
            weight_decay=o["weight_decay"],
        )
        compare(actual.reshape(len(expected), -1), expected.reshape(len(expected), -1))


@pytest.mark.parametrize(
    ("name", "of"),
    [("splus", "between"), ("splus_options", "between"), ("splus_optax", "before")],
)
def test_splus_is_evaluated_where_its_codes_are(name, of):
    run, inputs = stored(name), stored("inputs")
    about = run["about"]
    for leaf, group in about["groups"].items():
        oracle, words = ORACLES["splus"](group, leaf, run)
        gradient = replay(inputs[f"{leaf}.gradients"], about["zeros"])
        words |= {"learning_rate": about["options"]["lr"], "evaluated": of}
        path = oracle(inputs[f"{leaf}.theta"], gradient, len(run[leaf]), **words)
        compare(path[-1:], run[f"{leaf}.average"][None])
