"""Runs of torch.optim continued in adamx, and back (`adamx.interop.torch`).

What torch did is recorded (tests/trajectories/record_torch_states.py), in float32: so
is adamx's arithmetic, and the two may differ by its rounding.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adamx import RowSparse, sparse
from adamx.interop import torch as states
from adamx.interop.torch import conv, linear
from tests.trajectories import names as runs_in, saved_by_torch as recorded

NAMES = {
    "fc.weight": linear("fc/kernel"),
    "fc.bias": "fc/bias",
    "conv.weight": conv("conv/kernel"),
    "embed.weight": "embed/embedding",
    "head.weight": "embed/embedding",
    "wide.weight": conv("wide/kernel"),
    "line.weight": conv("line/kernel", 1),
    "stack.weight": "stack/kernel",
}
SAVED = 6
OF_BFLOAT16 = 5e-3
"""torch's Muon iterates in bfloat16, adamx's in float32."""
ULPS = 8
"""Of the largest parameter; 6 steps after which the parameters themselves differ."""


class Trained:
    """A recorded run as trees of JAX: a Flax-like model of its parameters."""

    def __init__(self, name):
        self.name, self.run = name, recorded.load(name)
        self.names = {
            n: place
            for n, place in NAMES.items()
            if n in self.run.thetas or (n == "head.weight" and self.has("embed.weight"))
        }
        self.steps = None if self.has_count() else SAVED
        factor = (lambda k: 1 / (1 + k)) if name.endswith("scheduled") else None
        self.tx = states.transformation(
            self.run.saved, self.params(0), self.names, factor=factor
        )

    def has(self, name):
        return name in self.run.thetas

    def has_count(self):
        return any(kind not in ("SGD", "Muon") for kind in self.run.saved)

    def tree(self, arrays):
        found = {}
        for name, x in arrays.items():
            place = NAMES[name]
            path = place if isinstance(place, str) else place.path
            if not isinstance(place, str):
                x = np.transpose(x, place.axes)
            above, below = path.split("/")
            found.setdefault(above, {})[below] = jnp.asarray(x)
        return found

    def params(self, step):
        """The parameters so many steps after the state was saved."""
        return self.tree({n: x[step] for n, x in self.run.thetas.items()})

    def gradients(self, steps):
        """Those of some steps, stacked."""
        return stacked(self.gradient(k) for k in steps)

    def gradient(self, k):
        if self.run.rows:
            (rows,) = self.run.rows.values()
            (g,) = self.run.gradients.values()
            rows = jnp.asarray(rows[k])
            return {"embed": {"embedding": RowSparse(rows, jnp.asarray(g[k])[rows], 5)}}
        return self.tree({n: x[k] for n, x in self.run.gradients.items()})

    def exported(self, state):
        """The state in torch's form."""
        return states.state_to_torch(
            self.tx, state, self.params(0), self.names, self.run.saved
        )

    def state(self, **given):
        found = states.state_from_torch
        return found(
            self.tx,
            self.run.saved,
            self.params(0),
            self.names,
            steps=self.steps,
            **given,
        )

    @functools.cached_property
    def trained(self):
        """A function that takes all the steps of some gradients."""

        @jax.jit
        def train(params, state, gradients):
            def step(carry, g):
                params, state = carry
                updates, state = self.tx.update(g, state, params)
                params = sparse.apply_updates(params, updates)
                return (params, state), params

            (_, state), thetas = jax.lax.scan(step, (params, state), gradients)
            return state, thetas

        return train


@functools.cache
def run(name):
    return Trained(name)


def stacked(trees):
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


def tolerance(name):
    return OF_BFLOAT16 if "bfloat16" in name else ULPS * 2.0**-23


def assert_near(got, wanted, name, note):
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, note
    scale = np.max(np.abs(wanted), initial=np.float32(1e-30))
    np.testing.assert_allclose(
        got, wanted, rtol=0, atol=tolerance(name) * scale, err_msg=note
    )


def assert_same_state(got, wanted, name, near):
    assert got.keys() == wanted.keys()
    for kind, state_dict in wanted.items():
        mine = got[kind]["state"]
        assert {k: x.keys() for k, x in mine.items()} == {
            k: x.keys() for k, x in state_dict["state"].items() if x
        }
        for number, kept in mine.items():
            for key, x in kept.items():
                want = state_dict["state"][number][key]
                assert isinstance(x, int) or x.dtype == want.dtype
                note = f"{kind} {number} {key}"
                if key == "mu_product":  # adamx keeps one minus it
                    assert_near(1 - x, 1 - want, name, note)
                elif near or key == "step_size":  # kept in units of the rate
                    assert_near(x, want, name, note)
                else:
                    np.testing.assert_array_equal(x, want)


@pytest.mark.oracle
@pytest.mark.parametrize("name", runs_in(recorded.HERE))
def test_a_run_of_torch_goes_on_as_in_torch(name):
    """Its parameters, and at its end its state; and the saved state comes back."""
    one = run(name)
    state = one.state()
    assert_same_state(one.exported(state), one.run.saved, name, near=False)
    gradients = one.gradients(range(SAVED, 2 * SAVED))
    state, thetas = one.trained(one.params(0), state, gradients)
    wanted = stacked(one.params(k + 1) for k in range(SAVED))
    for (path, got), want in zip(
        jax.tree_util.tree_leaves_with_path(thetas),
        jax.tree.leaves(wanted),
        strict=True,
    ):
        assert_near(got, want, name, jax.tree_util.keystr(path))
    assert_same_state(one.exported(state), one.run.last, name, near=True)


@pytest.mark.oracle
@pytest.mark.parametrize("name", runs_in(recorded.HERE))
def test_a_run_of_adamx_gives_the_state_of_torch(name):
    """From the start of the run: nothing of torch's state is read."""
    one = run(name)
    start = one.tree(one.run.start)
    gradients = one.gradients(range(SAVED))
    state, _ = one.trained(start, one.tx.init(start), gradients)
    assert_same_state(one.exported(state), one.run.saved, name, near=True)
