"""The call of adamx that is each recorded matrix optimizer of the authors' code.

Weights are (out, in), as torch has them, so `out_axis=0`. The runs are those of
`record_matrices.py` and `record_bases.py` in `tests/trajectories`, and of other
recorders for Muon and AdaMuon. What the codes draw at random was recorded, and is put
in the place of adamx's numbers; so are the first eigenvectors of SOAP, where the
statistic has no full rank.
"""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adamx
from adamx import chain
from adamx.optimizers import LowRankOrthogonal, SpectralRadius
from adamx.parts import (
    Ema,
    EpsBeforeCorrection,
    LearningRate,
    LookAhead,
    MatrixAxes,
    NewtonSchulz,
    NormalizeRms,
    Orthogonalize,
    WeightDecay,
    WeightDecayAfterStep,
)
from tests.oracles.test_tensor_against_authors import replay, stored
from tests.papers.shampoo import blocks
from tests.trajectories import matrix_forms

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
TOLERANCE = 1e-13
"""Of the largest parameter of a leaf. Measured: 5e-15."""
LOOSE = {
    "normuon": 1e-11,  # the code adds 1e-10 to ‖Ô‖. Measured: 5.3e-12
    "scion/vector": 1e-7,  # the code adds 1e-8 to the RMS. Measured: 2.5e-8
}
LEAVES = {
    "adamh": "matrix",
    "adamuon_megatron": "matrix wide",
    "dion_low_rank": "matrix wide",
    "kl_soap_options": "matrix",
    "muon": "matrix wide",
    "muon_unclamped": "wide",
    "muonh": "wide",
    "muown": "wide",
    "muown_options": "matrix wide",
    "normuon": "matrix wide",
    "psgd_kron": "vector matrix",
    "scion": "vector wide",
    "scion_sign": "wide",
    "shampoo": "matrix",
    "shampoo_blocks": "vector wide",
    "shampoo_grafted": "matrix",
    "soap_normalized": "wide",
    "soap_options": "vector matrix",
    "splus": "vector matrix",
    "splus_optax": "matrix",
}
"""Each shape is compiled by itself; the oracle follows all of them."""
QUICKLY = {"xla_backend_optimization_level": 0}
"""A program runs for milliseconds, and half of its compilation is optimization."""
TORCH = {"eps": 0.0, "out_axis": 0}  # its ε is max(|X|, ε)
BALL = {"radius": 1.0, "out_axis": 0}


def from_the_second(decay):
    """The weight decay of SOAP's code, whose first gradient moves nothing."""
    return lambda k: jnp.where(k > 0, decay, 0.0)


def dion(rate, mu, decay, **rank):
    """The authors', which runs on Xᵀ where X has fewer rows than columns."""
    wide = chain(
        LowRankOrthogonal(mu, out_axis=-1, **rank),
        SpectralRadius(1.0, out_axis=0),
        WeightDecay(decay),
        LearningRate(rate),
    )
    tall = adamx.dion(rate, mu, weight_decay=decay, out_axis=0, **rank)
    which = lambda p: {leaf: "wide" if leaf == "wide" else "tall" for leaf in p}  # noqa: E731
    return optax.multi_transform({"tall": tall, "wide": wide}, which)


def of_blocks(tx, size):
    """A transformation of the blocks of every leaf, each as a leaf."""

    def cut(tree):
        return {n: [x[at] for at in blocks(x.shape, size)] for n, x in tree.items()}

    def update(g, state, p):
        each, state = tx.update(cut(g), state, cut(p))
        whole = {n: jnp.zeros_like(x) for n, x in g.items()}
        for n, x in whole.items():
            for at, u in zip(blocks(x.shape, size), each[n], strict=True):
                whole[n] = whole[n].at[at].set(u)
        return whole, state

    return optax.GradientTransformation(lambda p: tx.init(cut(p)), update)


def adams_length(b2, eps, start=1, **words):
    """Distributed Shampoo with the length of Adam's step."""
    words |= {"b2": 0.95, "bias_correction": True, "start_preconditioning_step": start}
    return adamx.graft(
        magnitude=adamx.scale_by_adam(0.0, b2, eps),
        direction=adamx.scale_by_shampoo(2**-7, **words),
        start=start,
    )


def soaps_correction(k):
    """The rate of SOAP's code, which does not divide M and V by their weights."""
    t = jnp.maximum(k, 1)
    return 0.02 * jnp.sqrt(1 - 0.95**t) / (1 - 0.95**t)


def polynomials(name):
    """Those of Dion2's code, which are in its recorded run."""
    rows = stored(name)["about"]["groups"]["matrix"]["coefficients"]
    return NewtonSchulz(rows, safety=1.02)


CALLS = {
    "muon": adamx.muon(0.02, weight_decay=0.1, **TORCH),
    "muon_unclamped": chain(
        LookAhead(Ema(0.95, name="momentum")),
        Orthogonalize(eps=0.0),
        SpectralRadius(1.0, out_axis=0),
        WeightDecay(0.1),
        LearningRate(0.02),
    ),
    "normuon": adamx.normuon(0.02, out_axis=0),
    "adamuon_megatron": adamx.adamuon(0.02, weight_decay=0.1),
    "shampoo": adamx.shampoo(2**-7, 2**-7, b2=0.95, bias_correction=True),
    "soap": chain(
        adamx.scale_by_soap(eps=EpsBeforeCorrection(1e-8), sort=True),
        LearningRate(0.01),
        WeightDecayAfterStep(from_the_second(0.01), learning_rate=0.01),
    ),
    "soap_options": chain(
        adamx.scale_by_soap(
            0.9,
            0.95,
            0.8,
            1e-4,
            precondition_frequency=3,
            precondition_1d=True,
            bias_correction=False,
            sort=True,
        ),
        LearningRate(0.02),
        WeightDecayAfterStep(from_the_second(0.1), learning_rate=0.02),
    ),
    "soap_normalized": chain(
        adamx.scale_by_soap(
            precondition_frequency=4, max_dim=4, bias_correction=False, sort=True
        ),
        NormalizeRms(1.0),
        LearningRate(soaps_correction),
    ),
    "soap_tensor": chain(
        adamx.scale_by_soap(
            eps=EpsBeforeCorrection(1e-8),
            precondition_frequency=3,
            sort=True,
            merge_dims=False,
        ),
        LearningRate(0.02),
        WeightDecayAfterStep(from_the_second(0.1), learning_rate=0.02),
    ),
    "soap_merged": adamx.soap(
        0.02,
        eps=EpsBeforeCorrection(1e-8),
        weight_decay=0.0,
        precondition_frequency=4,
        sort=True,
        max_dim=5,
        merge_dims=True,
    ),
    "shampoo_blocks": adamx.shampoo(
        2**-7,
        2**-7,
        b2=0.95,
        bias_correction=True,
        block_size=2,
        precondition_frequency=3,
        start_preconditioning_step=5,
    ),
    "shampoo_grafted": chain(
        adams_length(0.9, 1e-4, start=4, precondition_frequency=4),
        WeightDecay(0.1),
        LearningRate(2**-7),
    ),
    "shampoo_grafted_blocks": of_blocks(
        chain(adams_length(0.99, 1e-8), LearningRate(2**-7)), 3
    ),
    "splus": adamx.splus(
        0.1, b2=0.99, ema_decay=0.9, inverse_every=4, weight_decay=0.0
    ),
    "splus_options": chain(
        adamx.scale_by_splus(
            0.8, 0.9, inverse_every=3, max_dim=4, nonstandard_constant=0.05
        ),
        LearningRate(0.2),
        WeightDecayAfterStep(0.1, learning_rate=0.2 * 0.05),  # neither is a matrix
    ),
    "splus_optax": adamx.splus(
        0.2,
        0.8,
        0.9,
        ema_decay=0.8,
        inverse_every=5,
        weight_decay=0.1,
        nonstandard_constant=0.05,
    ),
    "muown": adamx.muown(0.01, eps=0.05 * 1e-7, out_axis=0),
    "muown_options": adamx.muown(
        0.02,
        0.8,
        0.2 * 1e-7,
        nesterov=False,
        weight_decay=0.1,
        adam_b1=0.8,
        adam_b2=0.99,
        adam_eps=1e-4,
        out_axis=0,
    ),
    "muown_fused": adamx.muown(
        0.02,
        eps=0.05 * 1e-7,
        weight_decay=0.1,
        out_axis=0,
        axes=MatrixAxes(split_rows=3),
    ),
    "dion_low_rank": dion(0.02, 0.8, 0.1, rank_fraction=0.5),
    "dion2_options": adamx.dion2(
        0.02,
        0.8,
        1e-3,
        weight_decay=0.1,
        fraction=0.3,
        iteration=polynomials("dion2_options"),
        out_axis=0,
    ),
    "scion": adamx.scion(2**-6, **BALL),
    "scion_sign": adamx.scion(
        2**-6,
        0.5,
        weight_decay=0.0,
        output_radius=3.0,
        hidden_mask=lambda path, leaf: False,
        **BALL,
    ),
    "kl_soap_options": chain(
        adamx.scale_by_kl_soap(
            0.8,
            0.95,
            0.9,
            1e-4,
            precondition_frequency=3,
            init_factor=1.0,
            bias_correction=False,
        ),
        LearningRate(0.02),
        WeightDecayAfterStep(from_the_second(0.1), learning_rate=0.02),
    ),
    "psgd_kron": adamx.psgd_kron(0.01, damping=matrix_forms.ROOT),
    "snoo": adamx.snoo(adamx.adam(0.05, 0.9, 0.99), 4, 0.68, 0.37),
    "muonh": adamx.muonh(0.018, eps=1e-7, coefficients=(2, -1.5, 0.5), ns_steps=12),
    "adamh": adamx.adamh(0.018, 0.9, 0.95),
}


@pytest.fixture
def drawn(monkeypatch):
    """Arrays by shape, in the place of what Dion and PSGD Kron draw."""
    arrays = {}
    kron = importlib.import_module("adamx.optimizers.psgd_kron")
    monkeypatch.setattr(kron, "normal", lambda key, shape, dtype: arrays[shape])
    first = lambda self, layout, dtype: arrays[layout.shape]  # noqa: E731 (a method)
    monkeypatch.setattr(LowRankOrthogonal, "_start", first)
    return arrays


@pytest.mark.parametrize("name", CALLS)
def test_the_call_follows_the_recorded_code(name, drawn, monkeypatch):
    run, inputs, tx = stored(name), stored("inputs"), CALLS[name]
    about = run["about"]
    leaves = LEAVES[name].split() if name in LEAVES else list(about["groups"])
    theta = {leaf: jnp.asarray(inputs[f"{leaf}.theta"]) for leaf in leaves}
    steps = len(run[leaves[0]])
    given, each = {}, {}
    for leaf in leaves:
        gradient = replay(inputs[f"{leaf}.gradients"], about["zeros"])
        given[leaf] = np.stack([gradient(k, None) for k in range(steps)])
        if name.startswith("psgd_kron"):
            each[leaf] = run[f"{leaf}.drawn"]
        elif f"{leaf}.drawn" in run:
            drawn[theta[leaf].shape] = jnp.asarray(run[f"{leaf}.drawn"])

    if name == "soap_options":
        sides = [f"{leaf}.{side}" for leaf in leaves for side in ("left", "right")]
        first = {q.shape: q[:, ::-1] for q in map(run.get, sides) if q is not None}
        monkeypatch.setattr(jnp.linalg, "eigh", lambda h: (None, first[h.shape]))

    def step(carry, now):
        (params, state), (g, v) = carry, now
        drawn.update({v[leaf].shape: v[leaf] for leaf in v})
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    @functools.partial(jax.jit, compiler_options=QUICKLY)
    def walked(theta, given):
        (last, state), path = jax.lax.scan(step, (theta, tx.init(theta)), given)
        return path, adamx.eval_params(state, last) if name == "splus" else {}

    thetas, average = walked(theta, (given, each))
    found = thetas | {f"{leaf}.average": x for leaf, x in average.items()}
    for key, x in found.items():
        apart = np.max(np.abs(x - run[key])) / np.max(np.abs(run[key]))
        assert apart <= LOOSE.get(name, LOOSE.get(f"{name}/{key}", TOLERANCE))


def test_every_recorded_code_has_a_call():
    assert {stored(name)["about"]["package"] for name in CALLS} == set(
        matrix_forms.ORACLES
    )
