"""The oracles of Schedule-Free against the authors' own implementation.

`record_schedule_free.py` ran package schedulefree in float64 for 100 steps on gradients
that depend on the point: y, where they are taken, has to be right at every step. They
are different writings of one method, the package's fused classes without x. RTOL is of
the largest entry of a leaf along its path; measured: at most 2e-15, and 9e-15 for RAdam
at β2 = 0.999, where the package's ρ_t cancels and the oracle's has 50 digits.
"""

import numpy as np
import pytest

from tests import papers
from tests.trajectories import quadratic

RTOL = 1e-13

ORACLES = {
    "SGDScheduleFreeReference": papers.schedule_free_sgd,
    "AdamWScheduleFreeReference": papers.schedule_free_adamw,
    "AdamWScheduleFree": papers.schedule_free_adamw,
    "AdamWScheduleFreePaper": papers.schedule_free_adamw_paper,
    "RAdamScheduleFree": papers.schedule_free_radam,
    "ScheduleFreeWrapperReference": papers.schedule_free_adamw,
}
DEFAULT_RATES = {"AdamWScheduleFreeReference": 0.0025}
SAME = (
    "eps",
    "weight_decay",
    "warmup_steps",
    "weight_lr_power",
    "r",
    "decay_at_z",
    "silent_sgd_phase",
)
RUNS = sorted(path.stem for path in quadratic.FOLDER.glob("schedule_free_*.npz"))


def words(run: quadratic.Run) -> dict:
    """The package's options in the oracles' words."""
    o = dict(run.options)
    known = {name: o[name] for name in SAME if name in o}
    if "momentum" in o:
        known["b1"] = o["momentum"]
    if "betas" in o:
        known["b1"], known["b2"] = o["betas"]
    if run.about["base"]:  # Adam inside the wrapper
        inner = run.about["base"]
        known["inner_b1"], known["b2"] = inner["betas"]
        known["weight_decay"] = o["weight_decay_at_y"]
        return known | {"learning_rate": inner["lr"]}
    return known | {"learning_rate": run.rate(DEFAULT_RATES.get(run.about["class"]))}


def distance(path, expected) -> float:
    """The largest difference, of the largest entry of the expected path."""
    return float(np.max(np.abs(path - expected)) / np.max(np.abs(expected)))


def distances(name: str, oracle=None, **changed) -> dict[str, float]:
    """Of the sequences y and x, the largest over the leaves."""
    run, problem = quadratic.load(name), quadratic.problem()
    oracle = oracle or ORACLES[run.about["class"]]
    steps = len(run.paths["y"][0])
    keywords = words(run) | changed
    y, x = oracle(problem.theta, problem.gradient, steps, **keywords)
    ours = {"y": y, "x": x}
    return {
        sequence: max(map(distance, ours[sequence], run.paths[sequence]))
        for sequence in ours
    }


def test_every_class_is_recorded():
    classes = {quadratic.load(name).about["class"] for name in RUNS}
    assert classes == set(ORACLES)


@pytest.mark.oracle
@pytest.mark.parametrize("name", RUNS)
def test_the_oracle_follows_the_authors(name):
    for sequence, far in distances(name).items():
        assert far <= RTOL, (sequence, far)


# What must be seen: each wrong reading, and a run that shows it.
WRONG = {
    "the paper's form for the reference's": (
        "schedule_free_adamw_warm",
        {"oracle": papers.schedule_free_adamw_paper},
    ),
    "the reference's form for the paper's": (
        "schedule_free_adamw_paper",
        {"oracle": papers.schedule_free_adamw},
    ),
    "no interpolation": ("schedule_free_adamw", {"b1": 0.0}),
    "the decay at z": ("schedule_free_adamw_warm", {"decay_at_z": True}),
    "the decay at y": ("schedule_free_adamw_decay_at_z", {"decay_at_z": False}),
    "equal weights": ("schedule_free_adamw_warm", {"weight_lr_power": 0.0}),
    "no polynomial weights": ("schedule_free_sgd_options", {"r": 0.0}),
    "no warm-up": ("schedule_free_adamw_warm", {"warmup_steps": 0}),
    "an SGD phase": ("schedule_free_radam", {"silent_sgd_phase": False}),
    "rectified later": ("schedule_free_radam", {"threshold": 5.0}),
    "no inner momentum": ("schedule_free_wrapped_adam", {"inner_b1": 0.0}),
}


@pytest.mark.oracle
@pytest.mark.parametrize("reading", WRONG)
def test_a_wrong_reading_is_seen(reading):
    name, changed = WRONG[reading]
    assert max(distances(name, **changed).values()) > 1e-4


@pytest.mark.oracle
def test_without_decay_the_authors_two_sequences_of_gpa_are_the_three():
    problem, steps = quadratic.problem(), quadratic.STEPS
    three = papers.gpa_adamw(problem.theta, problem.gradient, steps)
    two = papers.gpa_adamw_official(problem.theta, problem.gradient, steps)
    for ours, theirs in zip(three, two, strict=True):
        assert max(map(distance, ours, theirs)) <= RTOL


@pytest.mark.oracle
@pytest.mark.parametrize("decay_at_y", [False, True])
def test_with_decay_they_are_not(decay_at_y):
    problem, steps = quadratic.problem(), quadratic.STEPS
    words = {"learning_rate": 0.05, "weight_decay": 0.1}
    _, x = papers.gpa_adamw(problem.theta, problem.gradient, steps, **words)
    _, other = papers.gpa_adamw_official(
        problem.theta, problem.gradient, steps, **words, decay_at_y=decay_at_y
    )
    assert max(map(distance, other, x)) > 1e-3
