"""The recorded trajectories of torch.optim (tests/trajectories/record_torch.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests import trajectories
from tests.trajectories.forms import form

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("x64")]
TOLERANCE = 1e-12
OF_BFLOAT16 = 5e-3
"""torch's Muon iterates in bfloat16: measured, 1e-3 to 4.2e-3."""


@pytest.mark.parametrize("name", trajectories.names())
def test_an_optimizer_follows_the_recorded_trajectory(name):
    run = trajectories.load(name)
    tx = form(run)

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = jax.tree.map(jnp.asarray, run.theta)
    gradients = jax.tree.map(jnp.asarray, run.gradients)
    _, thetas = jax.lax.scan(step, (params, tx.init(params)), gradients)
    tolerance = OF_BFLOAT16 if run.optimizer == "Muon" else TOLERANCE
    for leaf, wanted in run.thetas.items():
        np.testing.assert_allclose(
            thetas[leaf],
            wanted,
            rtol=0,
            atol=tolerance * np.max(np.abs(wanted)),
            err_msg=leaf,
        )


def test_every_optimizer_is_recorded_with_its_options():
    """A recording that is missing would pass the test above by not being there."""
    assert set(trajectories.names()) >= {
        "sgd",
        "sgd_momentum",
        "sgd_nesterov",
        "sgd_dampening",
        "adagrad",
        "adagrad_options",
        "rmsprop",
        "rmsprop_centered",
        "rmsprop_momentum",
        "adam",
        "adam_l2",
        "adam_scheduled",
        "adamw",
        "adamw_scheduled",
        "radam",
        "radam_quick",
        "radam_decoupled",
        "adam_amsgrad",
        "adam_amsgrad_l2",
        "adamw_amsgrad",
        "adamax",
        "adamax_l2",
        "nadam",
        "nadam_l2",
        "nadam_decoupled",
        "adadelta",
        "adadelta_l2",
        "rprop",
        "rprop_options",
        "adafactor",
        "adafactor_options",
        "muon",
        "muon_plain",
        "muon_rms",
    }
