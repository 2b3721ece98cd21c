"""Two processes of two devices each, which are killed and begin again.

Slow for what it is, about 5 s a start, of which there are four; `python -m benchmarks
processes` kills 20 times. Every wait has an end, after which all processes are killed.
"""

import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from benchmarks.training.processes import command, worker
from tests.support.meshes import NEEDS_DEVICES

STEPS, EVERY, KILLS = 10, 3, 2


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A run that nobody disturbs, and what its two processes said."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, command.launch(folder, STEPS, EVERY)


def test_a_run_that_is_killed_twice_ends_with_the_same_bits(reference, tmp_path):
    """With ZeRO-1, moments in 8 bits and half an accumulation, from Orbax."""
    (one, other) = reference[1]
    assert one == other, "the processes of one run agree"
    killed, ended = command.disturbed(tmp_path, STEPS, EVERY, KILLS, seed=10)
    assert len(killed) == KILLS
    last = max(kill["at"] for kill in killed)
    assert last >= EVERY, "there is a checkpoint to begin from"
    for process in ended:
        assert 0 < process["begun"] <= last
        assert process["digest"] == one["digest"]


@NEEDS_DEVICES
def test_two_devices_go_on_from_a_checkpoint_of_four(reference, tmp_path):
    """To rounding: in float64 no code of the state in 8 bits differs."""
    folder, _ = reference
    checkpoints = tmp_path / "checkpoints"
    shutil.copytree(folder / "checkpoints" / "6", checkpoints / "6")
    with jax.enable_x64(True):
        mesh = Mesh(np.array(jax.devices()[:2]), ("data",))
        begun, made = worker.train(checkpoints, mesh, STEPS, EVERY)
        off = command.differences(jax.tree.leaves(made), command.leaves(folder))
    assert begun == 6
    assert off["codes_differ"] == 0
    assert off["off"] < 1e-13


def test_a_process_that_fails_is_an_error_with_what_it_said(tmp_path):
    def child(code):
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)

    failed = child("raise SystemExit(3)")
    with (tmp_path / "log").open("w+") as log, failed:
        log.write("out of memory")
        with pytest.raises(
            RuntimeError, match=r"(?s)end with \{0: 0\}, got \[3\].*memory"
        ):
            command.await_all([failed], {0: 0}, [log])
    killed = child("import time; time.sleep(60)")
    with killed:
        os.kill(killed.pid, signal.SIGKILL)
        command.await_all([killed], {0: -signal.SIGKILL}, [])
