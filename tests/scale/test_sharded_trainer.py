"""The trainer of docs/sharded.md, made small: one device, a mesh, another mesh."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks.training.sharded import command, trainer
from tests.support.meshes import NEEDS_DEVICES
from tests.support.trees import assert_close

pytestmark = NEEDS_DEVICES
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def small(monkeypatch):
    sizes = {"LAYERS": 2, "WIDTH": 16, "HEADS": 2, "LENGTH": 8, "BATCH": 8}
    for name, size in sizes.items():
        monkeypatch.setattr(trainer, name, size)
    jax.config.update("jax_disable_most_optimizations", True)  # compile faster
    yield trainer.Blockwise(min_size=256, shards=1)
    jax.config.update("jax_disable_most_optimizations", False)
    trainer.step.clear_cache()


def test_a_mesh_and_another_after_it_train_as_one_device(small):
    """In float64 no code differs, and losses by some units in the last place.

    Saved inside an accumulation, so that the sum of gradients is restored too.
    """
    found = command.compare("nnx", small, True, 6, ["2 × 4"])
    (row,) = found["then"]
    assert row["codes"] > 2000
    assert row["codes_differ"] == 0
    assert row["off"] < 1e-13
    losses = np.array(found["first"] + row["losses"])
    assert losses.dtype == np.float64
    assert np.ptp(losses) > 0.1, "it trains"


def test_linen_and_nnx_are_the_same_function_of_the_same_tree(small):
    """So that what one of them trains, on a mesh or after a restart, the other does."""
    mesh = trainer.place(4, 2)
    with jax.enable_x64(True), jax.set_mesh(mesh):
        shapes = trainer.abstract(trainer.linen_params, mesh)
        where = jax.tree.map(lambda x: x.sharding, shapes)
        assert shapes == trainer.abstract(trainer.nnx_params, mesh)
        init = jax.jit(trainer.linen_params, out_shardings=where)
        made = init(jax.random.key(1)), trainer.batch(0)
        slope = jax.jit(jax.value_and_grad(trainer.loss_of), static_argnums=2)
        linen, nnx = (
            slope(*made, trainer.MODELS[kind][1]) for kind in ("linen", "nnx")
        )
    assert float(linen[0]) > 5
    assert_close(jax.tree.map(np.asarray, nnx), jax.tree.map(np.asarray, linen), 64)


def cells():
    kept = json.loads((ROOT / "notebooks" / "06_sharded.ipynb").read_text())
    code = (cell for cell in kept["cells"] if cell["cell_type"] == "code")
    return ["".join(cell["source"]) for cell in code]


def test_the_notebook_has_the_code_of_the_trainer():
    """Each function and class of it that has the same name, word for word."""
    script = Path(trainer.__file__).read_text()
    assert len(script.splitlines()) < 200
    blocks = [
        block.strip()
        for cell in cells()
        for block in re.split(r"\n\n\n", cell)
        if re.match(r"(@|def |class )", block)
    ]
    missing = [block for block in blocks if f"{block}\n" not in script]
    assert missing == []
    assert len(blocks) >= 10
