"""`import adamx` loads what optimizers are made of, and the rest when it is used."""

import importlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax import export

import adamx
import adamx.later
from adamx import observation, storage

PACKAGES = {"adamx": adamx, "adamx.storage": storage, "adamx.observation": observation}
LATER = [(name, later) for name in PACKAGES for later in PACKAGES[name]._LATER]


def in_a_new_process(code: str) -> set[str]:
    """The modules of adamx that are loaded after some code."""
    code = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    return {name for name in json.loads(out) if name.startswith("adamx.")}


def test_plans_metrics_files_and_pictures_are_loaded_when_they_are_used():
    loaded = in_a_new_process("import adamx")
    first = {name.split(".")[1] for name in loaded}
    assert first == {
        *("engine", "errors", "gradients", "html", "later", "numerics"),
        *("observation", "optimizers", "parts", "storage", "wrappers"),
    }
    assert not {"adamx.storage.plan", "adamx.observation.observing"} & loaded
    assert "adamx.storage.plan" in in_a_new_process("import adamx; adamx.memory_plan")


@pytest.mark.parametrize(("package", "name"), LATER)
def test_a_name_that_is_loaded_later_is_there(package, name):
    place = PACKAGES[package]._LATER[name]
    loaded = importlib.import_module(f"{package}.{place}")
    found = getattr(PACKAGES[package], name)
    assert found is (loaded if place == name else getattr(loaded, name))
    assert name in dir(PACKAGES[package])


def test_an_exported_state_is_read_without_its_wrapper(tmp_path):
    """`jax.export` must know the class of a state when it reads one."""
    tx = adamx.accumulate(
        adamx.observe(adamx.tunable(adamx.sgd(0.1), "learning_rate")), 2
    )
    exported = export.export(jax.jit(lambda x: x))(tx.init({"w": jnp.ones(2)}))
    path = tmp_path / "state"
    path.write_bytes(exported.serialize())
    code = f"open({str(path)!r}, 'rb').read()"
    loaded = in_a_new_process(
        f"import adamx; from jax import export; export.deserialize({code})"
    )
    assert "adamx.observation.observing" not in loaded


def test_a_name_that_is_not_there_is_said():
    with pytest.raises(AttributeError, match=r"storage' has no attribute 'Plan'"):
        storage.Plan  # noqa: B018


def test_the_things_of_a_package_are_those_of_its_list_too():
    found = adamx.later.things(adamx)
    assert {"adamw", "memory_plan", "sweep", "chain"} <= found.keys()
    assert not {"plotting", "testing", "storage", "loader"} & found.keys()
