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


LATER = {"Adadelta", "Rprop", "Adafactor", "Muon"}
"""Recorded for members that are still to come."""


def is_later(name):
    return trajectories.load(name).optimizer in LATER


RECORDED = [name for name in trajectories.names() if not is_later(name)]


@pytest.mark.parametrize("name", RECORDED)
def test_a_member_follows_the_recorded_trajectory(name):
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
    for leaf, wanted in run.thetas.items():
        np.testing.assert_allclose(
            thetas[leaf],
            wanted,
            rtol=0,
            atol=TOLERANCE * np.max(np.abs(wanted)),
            err_msg=leaf,
        )


def test_every_member_is_recorded_with_its_options():
    """A recording that is missing would pass the test above by not being there."""
    assert set(RECORDED) >= {
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
    }
