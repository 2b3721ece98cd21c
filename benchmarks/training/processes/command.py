"""`python -m benchmarks processes`: SIGKILL, restart from the last checkpoint, compare.

Two processes of two devices each train with `jax.distributed` on 127.0.0.1. At a random
micro-batch one of them is killed, and then the other; both begin anew from the last
Orbax checkpoint, until the run is over. Every bit of its parameters and of its state
must be that of a run that nobody disturbed. A process with two devices goes on from a
checkpoint of the four, to the same end but for rounding.
"""

import argparse
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.cost.harness import options, report
from benchmarks.training.processes.worker import Plan

PATIENCE = 300
"""Seconds after which a process that does not end is an error."""
PROCESSES, DEVICES = 2, 2


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def launch(
    folder: Path,
    steps: int,
    every: int,
    *,
    kill: tuple[int, int] | None = None,
    processes: int = PROCESSES,
    devices: int = DEVICES,
    env: Mapping[str, str] = {},
) -> list[dict[str, Any]]:
    """What each process printed at its end; nothing if they were killed.

    `kill` is a rank and the micro-batch after which it is killed, the others next. No
    process is left when this returns or raises.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(str(folder), free_port(), 0, processes, steps, every)
    flags = f"--xla_force_host_platform_device_count={devices}"
    given = {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "XLA_FLAGS": flags}
    children, logs = [], []
    try:
        for rank in range(processes):
            own = plan._replace(rank=rank)
            if kill is not None and kill[0] == rank:
                own = own._replace(kill=kill[1])
            logs.append((folder / f"log_{rank}.txt").open("w+"))
            children.append(
                subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "benchmarks.training.processes.worker",
                        json.dumps(own._asdict()),
                    ],
                    stdout=subprocess.PIPE,
                    stderr=logs[-1],
                    text=True,
                    cwd=options.ROOT,
                    env={**os.environ, **given, **env},
                )
            )
        wanted = (
            {kill[0]: -signal.SIGKILL} if kill else dict.fromkeys(range(processes), 0)
        )
        await_all(children, wanted, logs)
        if kill:
            return []
        return [json.loads(c.stdout.read().splitlines()[-1]) for c in children]
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait(PATIENCE)
            child.stdout.close()
        for log in logs:
            log.close()


def await_all(children: list[Any], wanted: dict[int, int], logs: list[Any]) -> None:
    """Wait until the processes have ended as they should, or raise an error."""
    end = time.monotonic() + PATIENCE
    while True:
        codes = [child.poll() for child in children]
        if all(codes[rank] == code for rank, code in wanted.items()):
            return
        bad = [
            rank
            for rank, code in enumerate(codes)
            if code is not None and code != wanted.get(rank)
        ]
        # who was not to be killed may end by itself, when its peer has gone
        if any(rank in wanted for rank in bad) or time.monotonic() > end:
            for log in logs:
                log.seek(0)
            told = "\n".join(f"process {r}:\n{x.read()}" for r, x in enumerate(logs))
            raise RuntimeError(
                f"processes: each must end with {wanted}, got {codes}.\n{told}"
            )
        time.sleep(0.02)


def disturbed(
    folder: Path,
    steps: int,
    every: int,
    kills: int,
    seed: int,
    env: Mapping[str, str] = {},
) -> tuple[list[dict[str, int]], list[dict[str, Any]]]:
    """The kills of a run, and what its processes printed at the end.

    The processes and the micro-batches are random. A run begins at the last checkpoint,
    so that what was done after it is done again.
    """
    random, done = np.random.default_rng(seed), []
    ks = sorted(random.choice(np.arange(1, steps), kills, replace=False).tolist())
    for k in ks:
        rank = int(random.integers(PROCESSES))
        launch(folder, steps, every, kill=(rank, k), env=env)
        done.append({"rank": rank, "at": k})
    return done, launch(folder, steps, every, env=env)


def continued(
    folder: Path, steps: int, every: int, env: Mapping[str, str]
) -> dict[str, Any]:
    """How far two devices end from the run of `folder`, from a checkpoint of it."""
    last = sorted(int(p.name) for p in (folder / "checkpoints").iterdir())[-2]
    part = folder.with_name(f"{folder.name}_on_two")
    shutil.copytree(
        folder / "checkpoints" / str(last), part / "checkpoints" / str(last)
    )
    (ended,) = launch(part, steps, every, processes=1, env=env)
    assert ended["begun"] == last
    return {"from": last, **differences(leaves(part), leaves(folder))}


def differences(ours: Sequence[Any], theirs: Sequence[Any]) -> dict[str, Any]:
    """The largest difference, of the largest number of its leaf, and of the codes.

    Arithmetic is in float64, so that no code should differ.
    """
    pairs = list(zip(map(np.asarray, ours), map(np.asarray, theirs), strict=True))
    off = [
        np.abs(a - b).max() / np.abs(b).max()
        for a, b in pairs
        if b.dtype.kind == "f" and b.any()
    ]
    codes = [(a != b).sum() for a, b in pairs if b.dtype.itemsize == 1]
    return {"off": float(max(off)), "codes_differ": int(sum(codes))}


def leaves(folder: Path) -> list[np.ndarray]:
    """The parameters and the state at the end of a run."""
    with np.load(folder / "end.npz") as kept:
        return [kept[name] for name in kept]


def run(
    trials: int, kills: int, steps: int, every: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """An undisturbed run, the others with their kills, and one on two devices."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        env = {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
        reference = launch(folder / "reference", steps, every, env=env)
        want = {one["digest"] for one in reference}
        rows = []
        for seed in range(trials):
            here = folder / f"trial_{seed}"
            killed, ended = disturbed(here, steps, every, kills, seed, env)
            identical = {one["digest"] for one in ended} == want and len(want) == 1
            rows.append({"seed": seed, "kills": killed, "identical": identical})
            progress(f"run {seed}: killed {killed}, identical: {identical}")
        two = continued(folder / "reference", steps, every, env)
    done = [kill for row in rows for kill in row["kills"]]
    return {
        "steps": steps,
        "every": every,
        "kills": len(done),
        "while_saving": sum(kill["at"] % every == 0 for kill in done),
        "restarts": len(done),
        "identical": sum(row["identical"] for row in rows),
        "of": len(rows),
        "on_two_devices": two,
        "runs": rows,
    }


HEAD = ["kills", "while saving", "runs with every bit the same", "4 → 2 devices"]


def table(found: dict[str, Any]) -> list[list[str]]:
    two = found["on_two_devices"]
    return [
        HEAD,
        [
            str(found["kills"]),
            str(found["while_saving"]),
            f"{found['identical']} of {found['of']}",
            f"off {two['off']:.1e}, {two['codes_differ']} codes differ",
        ],
    ]


def markdown() -> str:
    """The table of the document."""
    found = json.loads((options.RESULTS / "processes.json").read_text())
    return report.markdown(table(found))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks processes", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--runs", type=options.positive, default=4)
    parser.add_argument("--kills", type=options.positive, default=5, help="in each run")
    parser.add_argument("--steps", type=options.positive, default=30)
    parser.add_argument("--every", type=options.positive, default=3)
    parser.add_argument("--json", type=Path, help="where to write it")
    given = parser.parse_args(argv)
    if given.kills >= given.steps:
        parser.error(f"--kills must be below --steps, got {given.kills}")
    sizes = given.runs, given.kills, given.steps, given.every
    found = run(*sizes, options.progress)
    print(report.aligned(table(found)))
    environment = report.environment(jax.devices("cpu")[0])
    orbax = importlib.metadata.version("orbax-checkpoint")
    kept = {"environment": environment | {"orbax": orbax}, **found}
    path = options.record(given.json, argv, "processes")
    if path:
        path.write_text(json.dumps(kept, indent=1) + "\n")
    return 0 if found["identical"] == found["of"] else 1
