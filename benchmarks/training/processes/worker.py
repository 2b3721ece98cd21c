"""One process of a training run over several; `command` starts it with a `Plan`.

A small model of bytes, AdamW with both moments in 8 bits, the state in pieces (ZeRO-1),
and gradients summed over two micro-batches. A process begins from the last checkpoint
of the folder, if there is one. At the end it prints where it began, and a digest of
every bit of the parameters and the state.
"""

import functools
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import adamx
from adamx.storage import Blockwise
from benchmarks.training.data import shipped

CONTEXT, WIDTH, BATCH = 8, 32, 32
SHAPES = {"embed": (256, WIDTH), "mix": (CONTEXT * WIDTH, 2 * WIDTH), "bias": (256,)}
SHAPES["out"] = (2 * WIDTH, 256)


class Plan(NamedTuple):
    """What a process is told.

    Attributes:
        folder: of the checkpoints and of the result.
        port: of the coordinator on 127.0.0.1.
        rank: the number of this process.
        processes: how many there are.
        steps: the micro-batches to train for, from the first one of all.
        every: the micro-batches between two checkpoints.
        kill: the micro-batch after which this process sends itself SIGKILL, while that
            is computed and a checkpoint, if it is time for one, is written.
    """

    folder: str
    port: int
    rank: int
    processes: int
    steps: int
    every: int
    kill: int | None = None


def optimizer(mesh: Mesh) -> Any:
    codec = Blockwise(min_size=0, shards=1)
    tx = adamx.store(adamx.adamw(1e-2), mu=codec, nu=codec)
    return adamx.accumulate(adamx.zero1(tx, "data", mesh=mesh), 2)


def start() -> dict[str, Any]:
    """The first parameters, from NumPy, so that every process has the same."""
    normal = np.random.default_rng(0).standard_normal
    return {name: normal(shape) / shape[0] ** 0.5 for name, shape in SHAPES.items()}


def batch(k: int, text: np.ndarray) -> np.ndarray:
    """The bytes of micro-batch `k`, whatever the number of devices."""
    starts = np.random.default_rng(k).integers(0, len(text) - CONTEXT, BATCH)
    return text[starts[:, None] + np.arange(CONTEXT + 1)].astype(np.int32)


def loss(params: dict[str, Any], tokens: Any) -> Any:
    """The mean cross-entropy, in nats, of the byte after eight others."""
    h = params["embed"][tokens[:, :-1]].reshape(len(tokens), -1)
    logits = jnp.tanh(h @ params["mix"]) @ params["out"] + params["bias"]
    logp = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logp, tokens[:, -1:], -1).mean()


def train(
    folder: Path,
    mesh: Mesh,
    steps: int,
    every: int,
    after: Callable[[int], None] = lambda k: None,
) -> tuple[int, Any]:
    """Go on from the last checkpoint, if any; return where it was, and the end."""
    text = np.frombuffer(shipped.plays()[0].encode(), np.uint8)
    tx = optimizer(mesh)
    whole, rows = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))

    def place(x: np.ndarray, where: NamedSharding) -> Any:
        return jax.make_array_from_callback(x.shape, where, lambda part: x[part])

    @jax.jit
    def step(params: Any, state: Any, tokens: Any) -> Any:
        return adamx.step(tx, params, jax.grad(loss)(params, tokens), state)

    params = {name: place(x, whole) for name, x in start().items()}
    how = ocp.CheckpointManagerOptions(save_interval_steps=every, max_to_keep=2)
    with ocp.CheckpointManager(folder.absolute(), options=how) as manager:
        begun = manager.latest_step() or 0
        if begun:
            target = {"params": params, "state": adamx.abstract_state(tx, params)}
            kept = manager.restore(begun, args=ocp.args.StandardRestore(target))
            params, state = kept["params"], kept["state"]
        else:
            state = jax.jit(tx.init)(params)
        for k in range(begun, steps):
            params, state = step(params, state, place(batch(k, text), rows))
            kept = {"params": params, "state": state}
            manager.save(k + 1, args=ocp.args.StandardSave(kept))
            after(k + 1)
    return begun, (params, state)


def main(argv: list[str]) -> int:
    plan = Plan(**json.loads(argv[0]))
    address = f"127.0.0.1:{plan.port}"
    jax.distributed.initialize(
        address, plan.processes, plan.rank, initialization_timeout=120
    )

    def after(k: int) -> None:
        if k == plan.kill:
            os.kill(os.getpid(), signal.SIGKILL)

    mesh = Mesh(np.array(jax.devices()), ("data",))
    folder = Path(plan.folder)
    begun, made = train(folder / "checkpoints", mesh, plan.steps, plan.every, after)
    gathered = functools.partial(multihost_utils.process_allgather, tiled=True)
    leaves = [np.asarray(gathered(x)) for x in jax.tree.leaves(made)]
    digest = hashlib.sha256(b"".join(x.tobytes() for x in leaves)).hexdigest()
    if plan.rank == 0:
        np.savez(folder / "end.npz", *leaves)
    print(json.dumps({"begun": begun, "digest": digest}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
