"""adamx's form of each recorded optimizer of torch.optim, from torch's options."""

import jax.numpy as jnp

from adamx.interop.torch.forms import MEMBERS, Leaf
from adamx.interop.torch.names import Weight
from tests import trajectories


def form(run: trajectories.Recorded):
    """The transform that a recorded run must agree with."""
    rate = run.defaults["lr"]
    if run.rates is not None:
        rate = lambda k: jnp.asarray(run.rates)[k]  # noqa: E731 (a schedule)
    leaves = [Leaf(Weight(name), x.dtype, x.ndim) for name, x in run.theta.items()]
    return MEMBERS[run.optimizer](run.defaults, rate, leaves)
