"""Records the trajectories of torch.optim that the tests compare with.

    python tests/trajectories/record_torch.py        # torch 2.13.0, CPU, float64

writes, beside this file, `inputs.npz` with the start and the gradients of each leaf,
which all runs share, and one `<run>.npz` for each entry of RUNS with the parameters
after each step. `tests.trajectories.load` reads them.

The gradients do not depend on the parameters, so a reader replays them. At the steps
from ZERO_FROM to ZERO_TO they are exactly zero, and `matrix[0, 0]` never has another:
a zero gradient is met with and without a state. torch's Muon computes in bfloat16, so
its runs are good to about 1e-2 only; all others are float64 throughout.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
LEAVES = {"scalar": (), "vector": (3,), "matrix": (3, 2), "wide": (2, 5)}
MATRICES = ("matrix", "wide")  # "wide" is for the optimizers that see a matrix
STEPS = 60
ZERO_FROM, ZERO_TO = 14, 18

# name: (optimizer, options, kind of learning-rate schedule if there is one)
RUNS = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd_momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    "sgd_dampening": (
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    ),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad_options": (
        "Adagrad",
        {
            "lr": 0.1,
            "lr_decay": 0.05,
            "initial_accumulator_value": 0.1,
            "eps": 1e-3,
            "weight_decay": 0.05,
        },
    ),
    "rmsprop": ("RMSprop", {"lr": 0.01, "alpha": 0.99, "eps": 1e-8}),
    "rmsprop_momentum": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.05},
    ),
    "rmsprop_centered": (
        "RMSprop",
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "centered": True, "momentum": 0.5},
    ),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_scheduled": ("Adam", {"lr": 0.02, "betas": (0.8, 0.99)}, "cosine"),
    "adam_l2": (
        "Adam",
        {"lr": 0.01, "betas": (0.85, 0.98), "eps": 1e-4, "weight_decay": 0.1},
    ),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "betas": (0.9, 0.9), "amsgrad": True}),
    "adam_amsgrad_l2": (
        "Adam",
        {"lr": 0.01, "betas": (0.8, 0.95), "amsgrad": True, "weight_decay": 0.1},
    ),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw_scheduled": ("AdamW", {"lr": 0.02, "weight_decay": 0.1}, "cosine"),
    "adamw_amsgrad": (
        "AdamW",
        {"lr": 0.01, "betas": (0.9, 0.9), "weight_decay": 0.2, "amsgrad": True},
    ),
    "radam": ("RAdam", {"lr": 0.02}),
    "radam_quick": ("RAdam", {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.05}),
    "radam_decoupled": (
        "RAdam",
        {
            "lr": 0.02,
            "betas": (0.9, 0.99),
            "weight_decay": 0.1,
            "decoupled_weight_decay": True,
        },
    ),
    "nadam": ("NAdam", {"lr": 0.01}),
    "nadam_l2": (
        "NAdam",
        {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1, "momentum_decay": 0.02},
    ),
    "nadam_decoupled": (
        "NAdam",
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
    ),
    "adamax": ("Adamax", {"lr": 0.01}),
    "adamax_l2": (
        "Adamax",
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adadelta": ("Adadelta", {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "adadelta_l2": (
        "Adadelta",
        {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1},
    ),
    "rprop": ("Rprop", {"lr": 0.01}),
    "rprop_options": (
        "Rprop",
        {"lr": 0.02, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.05)},
    ),
    "adafactor": ("Adafactor", {"lr": 0.01}),
    "adafactor_options": (
        "Adafactor",
        {
            "lr": 0.05,
            "beta2_decay": -0.5,
            "eps": (1e-10, 1e-2),
            "d": 2.0,
            "weight_decay": 0.1,
        },
    ),
    "muon": ("Muon", {"lr": 0.02}),
    "muon_plain": (
        "Muon",
        {"lr": 0.02, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    ),
    "muon_rms": ("Muon", {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"}),
}


def rate(kind: str | None, base: float, k: int) -> float:
    """The learning rate at step `k`, or `base` where there is no schedule."""
    if kind == "cosine":
        return base * (0.1 + 0.9 * (1 + math.cos(math.pi * k / STEPS)) / 2)
    return base


def gradients(shape: tuple[int, ...], generator) -> np.ndarray:
    """Gradients of many sizes and both signs, some of them exactly zero."""
    sizes = 10.0 ** generator.uniform(-3, 1, size=shape)
    g = sizes * (0.4 + generator.standard_normal((STEPS, *shape)))
    g[ZERO_FROM:ZERO_TO] = 0.0
    if len(shape) == 2:
        g[:, 0, 0] = 0.0
    return g


def inputs() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The start of each leaf, and its gradients `(STEPS, *shape)`."""
    generator = np.random.default_rng(2013)
    start = {leaf: generator.standard_normal(s) for leaf, s in LEAVES.items()}
    return start, {leaf: gradients(s, generator) for leaf, s in LEAVES.items()}


def leaves_of(optimizer: str) -> list[str]:
    """Muon takes matrices only; "wide" is for the two that see a matrix as one."""
    if optimizer == "Muon":
        return list(MATRICES)
    return [leaf for leaf in LEAVES if leaf != "wide" or optimizer == "Adafactor"]


def record(name: str, optimizer: str, options: dict, kind: str | None = None) -> None:
    """Runs one optimizer over the gradients and writes its file."""
    start, g = inputs()
    parameters = {
        leaf: torch.tensor(start[leaf], dtype=torch.float64, requires_grad=True)
        for leaf in leaves_of(optimizer)
    }
    build = getattr(torch.optim, optimizer)
    tx = build(list(parameters.values()), **options)
    thetas: dict[str, list[np.ndarray]] = {leaf: [] for leaf in parameters}
    rates = [rate(kind, options["lr"], k) for k in range(STEPS)]
    for k in range(STEPS):
        for leaf, p in parameters.items():
            p.grad = torch.tensor(g[leaf][k], dtype=torch.float64)
        for group in tx.param_groups:
            group["lr"] = rates[k]
        tx.step()
        for leaf, p in parameters.items():
            thetas[leaf].append(p.detach().numpy().copy())
    about = {
        "optimizer": optimizer,
        "options": options,
        "defaults": {
            key: value
            for key, value in tx.defaults.items()
            if isinstance(value, (int, float, str, bool, tuple, type(None)))
        },
        "rates": rates if kind else None,
        "torch": torch.__version__,
    }
    arrays = {leaf: np.stack(path) for leaf, path in thetas.items()}
    save(name, about, arrays)


def save(name: str, about: dict, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays and, under "about", what they are as JSON."""
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    print(f"{path.name:<24}{path.stat().st_size:>7} bytes")


def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    start, g = inputs()
    arrays = {f"{leaf}.theta": value for leaf, value in start.items()}
    arrays |= {f"{leaf}.gradients": value for leaf, value in g.items()}
    save("inputs", {"numpy": np.__version__, "seed": 2013}, arrays)
    for name, run in RUNS.items():
        record(name, *run)


if __name__ == "__main__":
    main()
