"""The call of adamx that is each recorded matrix optimizer of the authors' code.

Weights are (out, in), as torch has them, so `out_axis=0`. The runs are those of
`tests/trajectories/record_matrices.py`, and of other recorders for Muon and AdaMuon.
What the codes draw at random was recorded, and is put in the place of adamx's numbers.
"""

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
    NewtonSchulz,
    Orthogonalize,
    WeightDecay,
    WeightDecayAfterStep,
)
from tests.oracles.test_tensor_against_authors import replay, stored
from tests.trajectories import matrix_forms

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
TOLERANCE = 1e-13
"""Of the largest parameter of a leaf. Measured: 5e-15."""
LOOSE = {
    "normuon": 1e-11,  # the code adds 1e-10 to ‖Ô‖. Measured: 5.3e-12
    "scion/vector": 1e-7,  # the code adds 1e-8 to the RMS. Measured: 2.5e-8
}
LEFT_OUT = dict.fromkeys(("muonh", "psgd_kron", "shampoo", "normuon"), ("square",))
"""Each shape is compiled by itself; the oracle follows all of them."""
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
    which = {"matrix": "tall", "square": "tall", "wide": "wide"}
    return optax.multi_transform({"tall": tall, "wide": wide}, which)


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
    first = lambda self, p: arrays[p.shape]  # noqa: E731 (a method)
    monkeypatch.setattr(LowRankOrthogonal, "_start", first)
    return arrays


@pytest.mark.parametrize("name", CALLS)
def test_the_call_follows_the_recorded_code(name, drawn):
    run, inputs, tx = stored(name), stored("inputs"), CALLS[name]
    about = run["about"]
    leaves = [leaf for leaf in about["groups"] if leaf not in LEFT_OUT.get(name, ())]
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

    def step(carry, now):
        (params, state), (g, v) = carry, now
        drawn.update({v[leaf].shape: v[leaf] for leaf in v})
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    _, thetas = jax.lax.scan(step, (theta, tx.init(theta)), (given, each))
    for leaf in leaves:
        apart = np.max(np.abs(thetas[leaf] - run[leaf])) / np.max(np.abs(run[leaf]))
        assert apart <= LOOSE.get(name, LOOSE.get(f"{name}/{leaf}", TOLERANCE))


def test_every_recorded_code_has_a_call():
    assert {stored(name)["about"]["package"] for name in CALLS} == set(
        matrix_forms.ORACLES
    )
