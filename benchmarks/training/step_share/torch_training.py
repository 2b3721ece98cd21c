"""Times training steps of torch in a process of its own, for `share`.

`torch_training FILE HEADS`, run as a module, has parameters and one batch from the file
(`param/…` and `batch/…` of an .npz) and answers with the loss and the norm of the
gradient there. Then it answers each `[optimizer, steps]` with the seconds of a step.
Without heads the model is the perceptron. Eager, with as many threads as cores.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.cost.harness.clocks import Clocks, timed
from benchmarks.cost.harness.subprocesses import asked
from benchmarks.training.step_share import torch_models

RATE = 1e-3
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "torch: AdamW, foreach": lambda p: torch.optim.AdamW(p, RATE, foreach=True),
    "torch: AdamW, fused": lambda p: torch.optim.AdamW(p, RATE, fused=True),
}


def part(arrays: Any, prefix: str) -> dict[str, np.ndarray]:
    names = (name for name in arrays.files if name.startswith(prefix))
    return {name.removeprefix(prefix): arrays[name] for name in names}


class Training:
    """The model, its batch, and every optimizer with parameters of its own."""

    def __init__(self, arrays: Any, heads: int):
        self.arrays, self.heads = part(arrays, "param/"), heads
        batch = part(arrays, "batch/")
        self.batch = tuple(torch.from_numpy(batch[str(i)]) for i in range(len(batch)))
        self.kept: dict[str, tuple[torch_models.Params, Any]] = {}

    def loss(self, params: torch_models.Params) -> torch.Tensor:
        if self.heads:
            return torch_models.transformer(params, self.batch, self.heads)
        return torch_models.perceptron(params, self.batch)

    def start(self) -> dict[str, float]:
        params = torch_models.parameters(self.arrays)
        loss = self.loss(params)
        loss.backward()
        squares = sum(float((p.grad.double() ** 2).sum()) for p in params.values())
        return {"loss": loss.item(), "norm": squares**0.5}

    def walk(self, name: str, steps: int) -> None:
        if name not in self.kept:
            params = torch_models.parameters(self.arrays)
            make = OPTIMIZERS.get(name)
            self.kept[name] = params, make and make(list(params.values()))
        params, optimizer = self.kept[name]
        for _ in range(steps):
            for p in params.values():
                p.grad = None
            self.loss(params).backward()
            if optimizer is not None:
                optimizer.step()


def main(argv: list[str]) -> int:
    path, heads = argv
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with asked() as (ask, say), np.load(path) as arrays:
        training = Training(arrays, int(heads))
        say(training.start())
        while (question := ask()) is not None:
            name, steps = question
            seconds, _ = timed(Clocks(), training.walk, name, steps)
            say({"wall": seconds.wall / steps})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
