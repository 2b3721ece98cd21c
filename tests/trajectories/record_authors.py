"""Records optimizers from the packages of their authors, and two that are widely used.

    python tests/trajectories/record_authors.py   # torch 2.13.0, CPU, float64

    torch-adopt 0.1.0, prodigyopt 1.1.2, dadaptation 3.2, dog-optimizer 1.0.3 and
    grams-pytorch 0.0.2 are the authors'; lion-pytorch 0.2.5 and adam-atan2-pytorch
    0.4.1 are not, and are what people use.

writes one `quadratic/<run>.npz` for each of RUNS, with the parameters after each step;
`record_schedule_free.py` comes first and writes `quadratic/inputs.npz`.
"""

import importlib
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import quadratic

# name: (distribution, module, class, options, is the rate a cosine)
RUNS = {
    "lion": ("lion-pytorch", "lion_pytorch", "Lion", {"lr": 0.01}, False),
    "lion_options": (
        "lion-pytorch",
        "lion_pytorch",
        "Lion",
        {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.2},
        True,
    ),
    "adopt": ("torch-adopt", "adopt", "ADOPT", {"lr": 0.05}, False),
    "adopt_options": (
        "torch-adopt",
        "adopt",
        "ADOPT",
        {
            "lr": 0.05,
            "betas": (0.8, 0.99),
            "eps": 1e-3,
            "weight_decay": 0.2,
            "decouple": True,
        },
        True,
    ),
    "adopt_unclipped": (
        "torch-adopt",
        "adopt",
        "ADOPT",
        {"lr": 0.02, "betas": (0.9, 0.95), "clip_lambda": None},
        False,
    ),
    "adopt_l2": (
        "torch-adopt",
        "adopt",
        "ADOPT",
        {"lr": 0.05, "betas": (0.9, 0.9), "weight_decay": 0.1},
        False,
    ),
    "prodigy": ("prodigyopt", "prodigyopt", "ProdigyDirection", {}, False),
    "prodigy_options": (
        "prodigyopt",
        "prodigyopt",
        "ProdigyDirection",
        {
            "betas": (0.8, 0.99),
            "eps": 1e-4,
            "weight_decay": 0.1,
            "d0": 1e-3,
            "d_coef": 0.7,
            "use_bias_correction": True,
            "safeguard_warmup": True,
            "growth_rate": 1.1,
        },
        True,
    ),
    "prodigy_beta3": (
        "prodigyopt",
        "prodigyopt",
        "ProdigyDirection",
        {"beta3": 0.9, "d0": 1e-4, "use_bias_correction": True},
        True,
    ),
    "d_adapt_adam": ("dadaptation", "dadaptation", "DAdaptDirection", {}, False),
    "d_adapt_adam_options": (
        "dadaptation",
        "dadaptation",
        "DAdaptDirection",
        {
            "betas": (0.8, 0.99),
            "eps": 1e-4,
            "weight_decay": 0.1,
            "decouple": True,
            "d0": 1e-3,
            "use_bias_correction": True,
            "growth_rate": 1.2,
        },
        True,
    ),
    "dog": ("dog-optimizer", "dog", "DoG", {}, False),
    "dog_options": (
        "dog-optimizer",
        "dog",
        "DoG",
        {"reps_rel": 1e-2, "weight_decay": 0.1, "eps": 1e-2},
        False,
    ),
    "grams": (
        "grams-pytorch",
        "grams",
        "Grams",
        {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.1},
        True,
    ),
    "adam_atan2": ("adam-atan2-pytorch", "adam_atan2_pytorch", "AdamAtan2", {}, False),
    "adam_atan2_options": (
        "adam-atan2-pytorch",
        "adam_atan2_pytorch",
        "AdamAtan2",
        {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.2, "a": 1.5, "b": 0.7},
        True,
    ),
}


def record(name: str, package: str, module: str, kind: str, options, falling) -> None:
    problem = quadratic.problem()
    ps = [
        torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in problem.theta
    ]
    tx = getattr(importlib.import_module(module), kind)(ps, **options)
    base = tx.param_groups[0]["lr"]
    rates = [quadratic.cosine(base, k) for k in range(quadratic.STEPS)]
    thetas: list[list[np.ndarray]] = [[] for _ in ps]
    for k in range(quadratic.STEPS):
        if falling:
            tx.param_groups[0]["lr"] = rates[k]
        gradients = problem.gradient(k, [p.detach().numpy() for p in ps])
        for p, g in zip(ps, gradients, strict=True):
            p.grad = torch.tensor(g, dtype=torch.float64)
        tx.step()
        for i, p in enumerate(ps):
            thetas[i].append(p.detach().numpy().copy())
    about = {
        "package": f"{package} {importlib.metadata.version(package)}",
        "class": kind,
        "options": options,
        "rates": rates if falling else None,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    quadratic.save(name, about, {"theta": [np.stack(path) for path in thetas]})


def main() -> None:
    torch.set_num_threads(1)
    for name, run in RUNS.items():
        record(name, *run)


if __name__ == "__main__":
    main()
