"""`python -m benchmarks import`: how long `import adamx` takes beyond JAX and Optax.

Each sample is a new process that has imported jax and optax, with adamx's bytecode
cached as an installation has it. `CPU` is the processor time of the process, which
neighbours on the machine stretch less than the clock. `and a step` is `adamx.adamw`
made and its `init` and `update` traced once, the modules that it loads included.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks.cost.harness import options, report

PATH = options.RESULTS / "import.json"
BAR = 0.15
CHILD = """
import json, sys, time
import jax, jax.numpy as jnp, optax
before, wall, cpu = len(sys.modules), time.perf_counter(), time.process_time()
import adamx
found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
found["modules"] = len(sys.modules) - before
tx, like = adamx.adamw(1e-3), jax.ShapeDtypeStruct((2, 2), jnp.float32)
jax.eval_shape(lambda p: tx.update(p, tx.init(p), p), like)
found["cpu and a step"] = time.process_time() - cpu
print(json.dumps(found))
"""


def measured(repeats: int) -> dict[str, Any]:
    """Quartiles of the seconds, and the modules; a first sample fills the cache."""
    with tempfile.TemporaryDirectory() as cache:
        env = os.environ | {"PYTHONPYCACHEPREFIX": cache, "JAX_PLATFORMS": "cpu"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        call = [sys.executable, "-c", CHILD]
        samples = [
            json.loads(subprocess.check_output(call, env=env, text=True))
            for _ in range(repeats + 1)
        ][1:]
    found: dict[str, Any] = {"modules": samples[0]["modules"]}
    for name in ("wall", "cpu", "cpu and a step"):
        found[name] = statistics.quantiles([s[name] for s in samples], n=4)
    return found


def said(found: dict[str, Any]) -> str:
    """The result in one sentence."""
    (_, wall, _), (low, cpu, high) = found["wall"], found["cpu"]
    verdict = "met" if cpu <= BAR else "missed"
    return (
        f"`import adamx` after jax and optax: {cpu:.3f} s of the processor (quartiles "
        f"{low:.3f} and {high:.3f}), {wall:.3f} s on the clock, {found['modules']} "
        f"modules; the bar of {BAR} s is {verdict}. With a first traced step of AdamW "
        f"{found['cpu and a step'][1]:.3f} s."
    )


def markdown() -> str:
    return said(json.loads(PATH.read_text()))


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks import", description=__doc__)
    parser.add_argument("--repeats", type=options.positive, default=20)
    parser.add_argument("--json", type=Path, default=PATH, help=f"default: {PATH.name}")
    given = parser.parse_args(argv)
    found = measured(given.repeats)
    kept = found | {"environment": report.environment(jax.devices("cpu")[0])}
    given.json.write_text(json.dumps(kept, indent=1) + "\n")
    print(said(found))
    return 0
