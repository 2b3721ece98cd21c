"""Steps of torch.optim for `peers`: on the CPU, eager, `foreach` or `fused`."""

import torch

from benchmarks.cost.peers.worker import Arrays, Spec

RATE = 1e-3
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
    "adagrad": (torch.optim.Adagrad, {"eps": 0.0}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.9}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 1e-2}),
}
FUSED = {"sgd", "adagrad", "adam", "adamw"}


class Torch:
    def __init__(self, spec: Spec):
        self.spec, self.form = spec, spec.side.removeprefix("torch ")
        torch.set_num_threads(len(spec.cores))

    def missing(self) -> str | None:
        if self.spec.optimizer not in OPTIMIZERS:
            return f"torch.optim has no {self.spec.optimizer}"
        if self.form == "fused" and self.spec.optimizer not in FUSED:
            return f"torch.optim has no fused {self.spec.optimizer} on the CPU"
        if self.spec.storage != "float32":
            return "torch.optim keeps its state in the dtype of the parameters"
        return None

    def compile(self, repeats: int) -> None:
        return None

    def load(self, params: Arrays, grads: Arrays) -> None:
        self.names = list(params)
        self.leaves = [
            torch.nn.Parameter(torch.from_numpy(x).clone()) for x in params.values()
        ]
        self.turn(grads)
        kind, keywords = OPTIMIZERS[self.spec.optimizer]
        self.tx = kind(self.leaves, lr=RATE, **keywords, **{self.form: True})

    def turn(self, grads: Arrays) -> None:
        for leaf, g in zip(self.leaves, grads.values(), strict=True):
            leaf.grad = torch.from_numpy(g).clone()

    def step(self, n: int) -> None:
        for _ in range(n):
            self.tx.step()

    def params(self) -> Arrays:
        arrays = (leaf.detach().numpy() for leaf in self.leaves)
        return dict(zip(self.names, arrays, strict=True))

    def state_bytes(self) -> int:
        kept = [x for state in self.tx.state.values() for x in state.values()]
        return sum(x.numel() * x.element_size() for x in kept if torch.is_tensor(x))


def make(spec: Spec) -> Torch:
    return Torch(spec)
