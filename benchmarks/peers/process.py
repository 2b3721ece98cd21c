"""The parent's end of a worker."""

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.options import ROOT
from benchmarks.peers.worker import Spec


class Worker:
    """A process that measures one side; `missing` says why it does not."""

    def __init__(self, spec: Spec):
        self.spec = spec
        threads = str(len(spec.cores))
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.peers.worker"),
                json.dumps(dataclasses.asdict(spec)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": threads, "NPROC": threads},
        )
        self.missing: str | None = None

    def hello(self) -> list[float] | None:
        """Wait until it is up: how far its parameters went in ten steps."""
        answer = self.answer()
        self.missing = answer.get("missing")
        return answer.get("moved")

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"peers: the process of {self.spec.side} ({self.spec.member}, "
                f"{self.spec.storage}) ended with {self.process.wait()}."
            )
        return json.loads(line)

    def ask(self, *question: Any) -> dict[str, Any]:
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self.answer()

    def end(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
