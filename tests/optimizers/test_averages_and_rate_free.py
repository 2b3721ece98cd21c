"""Optimizers of the whole model: averages of the parameters, and rates that are found.

Each follows its oracle, which sees all leaves as one vector, on a problem whose
gradient depends on the point: 100 steps in float64, with zero gradients in between, and
a state that is pickled and read back in the middle. Schedule-Free follows the recorded
run of its authors' package as well. Differences are of the largest entry of a leaf.
"""

import functools
import inspect
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, PartitionSpec

import adamx
from adamx.later import things
from tests import papers
from tests.trajectories import quadratic

pytestmark = pytest.mark.oracle
TOLERANCE = 1e-12


def falling(k):
    return 0.05 / (1.0 + 0.1 * k)


def varying(k):
    return 0.5 + 0.4 / (k + 1.0)


def walk(tx, problem, steps):
    """The parameters, and those to evaluate with, after each step."""
    params = list(map(jnp.asarray, problem.theta))
    state, seen = tx.init(params), []
    update, evaluated = jax.jit(tx.update), jax.jit(adamx.eval_params)
    for k in range(steps):
        if k == steps // 2:
            state = jax.tree.map(jnp.asarray, pickle.loads(pickle.dumps(state)))
        g = problem.gradient(k, [np.asarray(p) for p in params])
        updates, state = update(list(map(jnp.asarray, g)), state, params)
        params = optax.apply_updates(params, updates)
        seen.append((params, evaluated(state, params)))
    paths = zip(*seen, strict=True)
    return [
        [np.stack(leaf) for leaf in zip(*path, strict=True)]
        for path in map(list, paths)
    ]


def assert_near(ours, theirs, tolerance=TOLERANCE):
    for a, b in zip(ours, theirs, strict=True):
        assert np.max(np.abs(a - b)) <= tolerance * np.max(np.abs(b))


def around_adam(wrapper, **keywords):
    return lambda **adam: wrapper(adamx.adam(**adam), **keywords)


AVERAGES = {
    "schedule_free_adamw": (
        adamx.schedule_free_adamw,
        papers.schedule_free_adamw,
        {"learning_rate": 0.05},
    ),
    "schedule_free_adamw warm": (
        adamx.schedule_free_adamw,
        papers.schedule_free_adamw,
        {"warmup_steps": 20, "weight_decay": 0.1, "r": 1.0, "weight_lr_power": 1.0},
    ),
    "schedule_free_adamw scheduled": (
        adamx.schedule_free_adamw,
        papers.schedule_free_adamw,
        {"learning_rate": falling, "b1": varying, "b2": 0.99, "weight_decay": 0.1},
    ),
    "schedule_free_radam": (
        adamx.schedule_free_radam,
        papers.schedule_free_radam,
        {"learning_rate": 0.05, "weight_decay": 0.1},
    ),
    "schedule_free_radam loud": (
        adamx.schedule_free_radam,
        papers.schedule_free_radam,
        {
            "learning_rate": falling,
            "b2": 0.99,
            "weight_decay": 0.1,
            "silent_sgd_phase": False,
            "threshold": 5.0,
            "r": 1.0,
        },
    ),
    "schedule_free_sgd": (
        adamx.schedule_free_sgd,
        papers.schedule_free_sgd,
        {"learning_rate": 0.05, "warmup_steps": 10, "weight_decay": 0.1},
    ),
    "gpa": (
        around_adam(adamx.gpa),
        papers.gpa_adamw,
        {"learning_rate": 0.05},
    ),
    "lookahead": (
        around_adam(adamx.lookahead),
        functools.partial(papers.lookahead_adam, slow_step_size=0.8),
        {"learning_rate": falling},
    ),
    "lookahead of the paper": (
        around_adam(adamx.lookahead, slow_step_size=0.5),
        papers.lookahead_adam,
        {"learning_rate": falling},
    ),
    "param_ema": (
        around_adam(adamx.param_ema, decay=0.99),
        functools.partial(papers.adam_averaged, decay=0.99),
        {"learning_rate": 0.05},
    ),
    "param_ema scheduled": (
        around_adam(adamx.param_ema, decay=varying),
        functools.partial(papers.adam_averaged, decay=varying),
        {"learning_rate": 0.05},
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_follows_its_paper(name):
    make, oracle, keywords = AVERAGES[name]
    problem, steps = quadratic.problem(), quadratic.STEPS
    y, x = walk(make(**keywords), problem, steps)
    theirs = oracle(problem.theta, problem.gradient, steps, **keywords)
    assert_near(y, theirs[0])
    assert_near(x, theirs[1])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("run", "make"),
    [
        ("schedule_free_adamw_warm", adamx.schedule_free_adamw),
        ("schedule_free_adamw_fused", adamx.schedule_free_adamw),
        ("schedule_free_sgd_options", adamx.schedule_free_sgd),
        ("schedule_free_radam", adamx.schedule_free_radam),
        ("schedule_free_radam_options", adamx.schedule_free_radam),
        ("schedule_free_radam_loud", adamx.schedule_free_radam),
    ],
)
def test_schedule_free_follows_the_authors_recorded_run(run, make):
    recorded, problem = quadratic.load(run), quadratic.problem()
    options = recorded.options
    keywords = {
        name: options[name]
        for name in (
            *("eps", "weight_decay", "warmup_steps", "weight_lr_power", "r"),
            "silent_sgd_phase",
        )
        if name in options and name in inspect.signature(make).parameters
    }
    if "momentum" in options:
        keywords["b1"] = options["momentum"]
    if "betas" in options:
        keywords["b1"], keywords["b2"] = options["betas"]
    rate = recorded.rate(0.0025)
    assert not callable(rate)
    steps = len(recorded.paths["y"][0])
    y, x = walk(make(learning_rate=rate, **keywords), problem, steps)
    assert_near(y, recorded.paths["y"])
    assert_near(x, recorded.paths["x"])


FREE = {
    "dog": (adamx.dog, papers.dog, {}, {}),
    "dog with decay": (
        adamx.dog,
        papers.dog,
        {"learning_rate": falling, "weight_decay": 0.1, "init_distance": 1e-3},
        {"learning_rate": falling, "weight_decay": 0.1, "reps_rel": 1e-3},
    ),
    "dowg": (
        functools.partial(adamx.dowg, eps=0.0, init_estim_sq_dist=1e-4),
        papers.dowg,
        {},
        {},
    ),
    "dowg as released": (
        adamx.dowg,
        papers.dowg,
        {"weight_decay": 0.1},
        {"weight_decay": 0.1, "eps": 1e-4},
    ),
    "prodigy": (
        adamx.prodigy,
        papers.prodigy_official,
        {"estim_lr0": 1e-2},
        {"estim_lr0": 1e-2, "bias_correction": True},
    ),
    "prodigy with options": (
        functools.partial(adamx.prodigy, bias_correction=False),
        papers.prodigy_official,
        {
            "learning_rate": falling,
            "weight_decay": 0.1,
            "estim_lr_coef": 0.5,
            "estim_lr0": 0.1,
        },
        {
            "learning_rate": falling,
            "weight_decay": 0.1,
            "estim_lr_coef": 0.5,
            "estim_lr0": 0.1,
        },
    ),
    "dadapt_adamw": (
        adamx.dadapt_adamw,
        papers.d_adapt_adam_official,
        {"estim_lr0": 1e-2},
        {"estim_lr0": 1e-2, "bias_correction": True},
    ),
    "dadapt_adamw with options": (
        functools.partial(
            adamx.dadapt_adamw, betas=(lambda k: 0.8, 0.99), bias_correction=False
        ),
        papers.d_adapt_adam_official,
        {"learning_rate": falling, "weight_decay": 0.1, "estim_lr0": 0.1},
        {
            "learning_rate": falling,
            "weight_decay": 0.1,
            "estim_lr0": 0.1,
            "b1": 0.8,
            "b2": 0.99,
        },
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", FREE)
def test_a_found_rate_follows_its_paper(name):
    make, oracle, keywords, described = FREE[name]
    problem, steps = quadratic.problem(), quadratic.STEPS
    ours, same = walk(make(**keywords), problem, steps)
    assert_near(ours, oracle(problem.theta, problem.gradient, steps, **described))
    assert_near(ours, same, 0.0)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_follows_its_paper(adaptive):
    problem, steps = quadratic.problem(), quadratic.STEPS
    curvatures = list(map(jnp.asarray, problem.curvatures))
    targets = list(map(jnp.asarray, problem.targets))

    def loss(params, k):
        rows = zip(params, curvatures, targets, strict=True)
        return sum(jnp.sum(h[k] * (p - c[k]) ** 2) / 2 for p, h, c in rows)

    tx = adamx.adam(0.05)
    gradient = adamx.sharpness_aware(jax.grad(loss), 0.1, adaptive=adaptive)
    params = list(map(jnp.asarray, problem.theta))
    state, seen = tx.init(params), []

    @jax.jit
    def step(params, state, k):
        updates, state = tx.update(gradient(params, k), state, params)
        return optax.apply_updates(params, updates), state

    for k in range(steps):
        params, state = step(params, state, k)
        seen.append(params)
    ours = [np.stack(leaf) for leaf in zip(*seen, strict=True)]
    words = {"learning_rate": 0.05, "rho": 0.1, "adaptive": adaptive}
    assert_near(
        ours, papers.sam_adam(problem.theta, problem.gradient, steps, **words), 1e-11
    )


MEMBERS = {
    "schedule_free_adamw": adamx.schedule_free_adamw(0.1, weight_decay=0.1),
    "schedule_free_radam": adamx.schedule_free_radam(0.1, weight_decay=0.1),
    "schedule_free_sgd": adamx.schedule_free_sgd(0.1),
    "gpa": adamx.gpa(adamx.adamw(0.1)),
    "lookahead": adamx.lookahead(adamx.adam(0.1), 2),
    "param_ema": adamx.param_ema(adamx.adam(0.1), 0.9),
    "dog": adamx.dog(),
    "dowg": adamx.dowg(),
    "prodigy": adamx.prodigy(),
    "dadapt_adamw": adamx.dadapt_adamw(weight_decay=0.1),
}
EACH = pytest.mark.parametrize("name", MEMBERS)
DECAYING = ("schedule_free_adamw", "gpa", "dadapt_adamw")  # without a gradient too


def tree(dtype="float32"):
    return {
        "w": jnp.arange(1.0, 7.0, dtype=dtype).reshape(3, 2),
        "b": jnp.ones(2, dtype),
    }


@EACH
@pytest.mark.parametrize("params_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("grads_dtype", ["float32", "bfloat16"])
def test_the_state_is_a_fixed_point(name, params_dtype, grads_dtype):
    tx, params = MEMBERS[name], tree(params_dtype)
    grads = jax.tree.map(lambda p: jnp.ones_like(p, grads_dtype), params)
    state = jax.eval_shape(tx.init, params)
    updates, after = jax.eval_shape(tx.update, grads, state, params)
    kinds = [
        jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), s)
        for s in (state, after)
    ]
    assert kinds[0] == kinds[1]
    wider = jnp.promote_types(params_dtype, grads_dtype)
    assert all(u.dtype == wider for u in jax.tree.leaves(updates))
    evaluated = jax.eval_shape(adamx.eval_params, after, params)
    assert all(x.dtype == params_dtype for x in jax.tree.leaves(evaluated))


@pytest.mark.parametrize("name", [n for n in MEMBERS if n not in DECAYING])
def test_a_zero_gradient_from_the_start_moves_nothing(name):
    tx, params = MEMBERS[name], tree()
    grads = jax.tree.map(jnp.zeros_like, params)
    updates, state = tx.update(grads, tx.init(params), params)
    assert all(not np.any(u) for u in jax.tree.leaves(updates))
    for a, b in zip(
        *map(jax.tree.leaves, (adamx.eval_params(state, params), params)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@EACH
def test_a_value_like_every_other(name):
    tx = MEMBERS[name]
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert hash(pickle.loads(pickle.dumps(tx))) == hash(tx)
    names = things(adamx.parts) | things(adamx.optimizers) | things(adamx)
    assert eval(repr(tx), names) == tx


@pytest.mark.parametrize("name", ["dog", "dowg", "prodigy", "dadapt_adamw"])
def test_a_found_rate_inside_shard_map_is_that_of_the_whole(name):
    mesh = Mesh(np.array(jax.devices()[:2]), ("d",))
    params = {"w": jnp.arange(1.0, 9.0).reshape(4, 2), "b": jnp.ones(2)}
    grads = jax.tree.map(jnp.cos, params)
    whole = getattr(adamx, name)()
    split = getattr(adamx, name)(axis_name="d")

    def three(tx, params, grads):
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return params

    spec = {"w": PartitionSpec("d"), "b": PartitionSpec("d")}
    sharded = jax.jit(
        jax.shard_map(
            functools.partial(three, split),
            mesh=mesh,
            in_specs=(spec, spec),
            out_specs=spec,
        )
    )
    for a, b in zip(
        jax.tree.leaves(three(whole, params, grads)),
        jax.tree.leaves(sharded(params, grads)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


# ---- planted mistakes: the comparison above must see each ----------------

MUTANTS = {
    "weights of equal size": lambda: adamx.schedule_free_adamw(
        0.05, 20, weight_lr_power=0.0
    ),
    "evaluation without the interpolation": lambda: adamx.schedule_free_adamw(
        0.05, 20, b1=1.0
    ),
    "no warm-up": lambda: adamx.schedule_free_adamw(0.05),
    "momentum inside": lambda: adamx.schedule_free(adamx.adam(0.05), 0.05),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_seen(name):
    problem, steps = quadratic.problem(), quadratic.STEPS
    words = {"learning_rate": 0.05, "warmup_steps": 20}
    theirs = papers.schedule_free_adamw(problem.theta, problem.gradient, steps, **words)
    _, x = walk(MUTANTS[name](), problem, steps)
    with pytest.raises(AssertionError):
        assert_near(x, theirs[1])
