"""adamx's form of each recorded optimizer of torch.optim, from torch's options."""

import jax.numpy as jnp

import adamx
from adamx.interop.torch.forms import MEMBERS as OF_STATES, Leaf
from adamx.interop.torch.names import Weight
from tests import trajectories


def rprop(o, rate, leaves):
    return adamx.rprop(rate, *o["etas"], *o["step_sizes"])


MEMBERS = {**OF_STATES, "Rprop": rprop}


def form(run: trajectories.Recorded):
    """The transform that a recorded run must agree with."""
    rate = run.defaults["lr"]
    if run.rates is not None:
        rate = lambda k: jnp.asarray(run.rates)[k]  # noqa: E731 (a schedule)
    leaves = [Leaf(Weight(name), x.dtype) for name, x in run.theta.items()]
    return MEMBERS[run.optimizer](run.defaults, rate, leaves)
