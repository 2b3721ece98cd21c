"""Nothing that is built starts a backend of JAX, so that it may be configured later.

`jax.distributed.initialize()`, for one, must come before the first array of a process.
"""

import subprocess
import sys
from pathlib import Path

from adamx import optimizers, parts, storage

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_that_is_built_starts_a_backend():
    """In a process of its own, since this one has arrays already."""
    command = [sys.executable, "-m", "tests.support.constructors"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    built = set(run.stdout.split())
    assert set(optimizers.__all__) <= built
    for namespace, name in (
        (parts, "FactoredSecondMoment"),
        (optimizers, "SoapDirection"),
        (storage, "Blockwise"),
    ):
        assert hasattr(namespace, name)
        assert name in built
