"""Starts a worker of `peers` and asks it: the parent's end."""

import dataclasses
import json

from benchmarks.cost.harness.subprocesses import Process
from benchmarks.cost.peers.worker import Spec


class Worker(Process):
    """A process that measures one side; `missing` says why it does not."""

    def __init__(self, spec: Spec):
        self.spec = spec
        threads = str(len(spec.cores))
        super().__init__(
            f"{spec.side} ({spec.optimizer}, {spec.storage})",
            "benchmarks.cost.peers.worker",
            json.dumps(dataclasses.asdict(spec)),
            env={"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": threads, "NPROC": threads},
        )
        self.missing: str | None = None

    def hello(self) -> list[float] | None:
        """Wait until it is up: how far its parameters went in ten steps."""
        answer = self.answer()
        self.missing = answer.get("missing")
        return answer.get("moved")
