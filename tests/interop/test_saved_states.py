"""States that earlier forms of adamx saved keep loading, and go on as they did."""

import functools

import jax
import numpy as np
import pytest

import adamx
from tests.saved_states import FILES, FORMS, OTHERS, load
from tests.support.trees import grads, params

held = functools.cache(load)
CASES = [
    pytest.param(file, name, id=f"{file.stem}-{name}")
    for file in FILES
    for name in held(file)
]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_version_holds_optimizers_storages_and_wrappers(file):
    known = held(file)
    assert {*OTHERS, "adamw", "muon", "soap", "schedule_free_adamw"} <= set(known)
    assert all(saved.state and saved.updates for saved in known.values())
    assert {name for name, saved in known.items() if not saved.config} <= set(FORMS)


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_saved_state_is_restored_and_goes_on(file, name):
    """By the configuration that was saved with it, whatever the defaults are now."""
    saved = held(file)[name]
    p = params()
    tx = FORMS[name] if saved.config is None else adamx.from_config(saved.config)
    state = adamx.restore(tx, saved.state, p)
    assert jax.tree.structure(state) == jax.tree.structure(tx.init(p))
    if name in OTHERS or name in ("adamw", "adafactor", "schedule_free_adamw", "soap"):
        updates, _ = tx.update(grads(2), state, p)
        for got, want in zip(jax.tree.leaves(updates), saved.updates, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-7)
