"""The optimizer's share of a step: of its own library's gradient, on the same function.

torch is not needed: what it would answer is stood in for.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.training.paper import characters, perceptron
from benchmarks.training.step_share import command as share, torch_side


def test_the_share_of_the_optimizer_is_beyond_the_gradient(capsys, monkeypatch):
    monkeypatch.setattr(torch_side, "missing", lambda: "torch is not installed")
    assert share.main(["--quick", "--repeats", "1", "--steps", "1"]) == 0
    said = capsys.readouterr().out
    for name in ("AdamW", "optax.adamw", share.ALONE):
        assert said.count(f"  {name}  ") == 2
    assert "Not measured: torch is not installed." in said
    row = {"model": "m, 8", "parameters": 1000, "optimizer": "SGD"}
    row |= {"seconds": [0.001, 0.002, 0.003], "share": [0.1, 0.25, 0.3]}
    cells = ("m, 8", "1,000", "SGD", "2.00 (1.00–3.00)", "25% (10% to 30%)")
    assert share.lines([row]) == [cells]


def test_each_is_beyond_the_gradient_of_its_own_library(monkeypatch):
    problem = characters.small()
    wall = {
        share.ALONE: 1.0,
        "AdamW": 4.0,
        torch_side.ALONE: 6.0,
        "torch: AdamW, fused": 8.0,
    }
    monkeypatch.setattr(torch_side, "missing", lambda: "not here")
    monkeypatch.setattr(
        share, "seconds", lambda *_: {k: np.array([x]) for k, x in wall.items()}
    )
    rows = share.measured(problem, 2, ["AdamW"], 1, 1)
    found = {row["optimizer"]: row["share"][1] for row in rows}
    assert found == {
        share.ALONE: 0.0,
        "AdamW": 0.75,
        torch_side.ALONE: 0.0,
        "torch: AdamW, fused": 0.25,
    }
    # What is alone has no share in the table.
    told = {line[2]: line[-1] for line in share.lines(rows)}
    assert told[share.ALONE] == told[torch_side.ALONE] == "–"


def test_leaves_are_called_by_their_path():
    x = jnp.arange(3.0)
    tree = {"blocks": [{"norm": {"scale": x}}], "embed": x}
    assert list(torch_side.flat(tree)) == ["blocks/0/norm/scale", "embed"]
    assert list(torch_side.flat([{"bias": x}])) == ["0/bias"]


@pytest.mark.parametrize("what", ["loss", "norm"])
def test_another_function_is_refused(what):
    x, y = np.ones((4, 2, 2), np.float32), np.array([1, 2, 3, 0])
    problem = perceptron.problem((x, y, x, y), "four", 3, 0, 4)
    params, batch = share.start(problem)
    loss, grads = jax.value_and_grad(problem.loss)(params, batch, jax.random.key(1))
    theirs = {"loss": float(loss), "norm": float(optax.tree.norm(grads))}
    torch_side.same(problem, params, batch, theirs)
    theirs[what] *= 1.001
    with pytest.raises(SystemExit, match=f"four in torch must be .* its {what} is"):
        torch_side.same(problem, params, batch, theirs)
