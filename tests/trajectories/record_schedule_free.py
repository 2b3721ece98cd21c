"""Records the authors' own Schedule-Free optimizers, package `schedulefree`.

    python tests/trajectories/record_schedule_free.py   # torch 2.13.0, CPU, float64
                                                        # schedulefree 1.4.1
writes `quadratic/inputs.npz` and one `quadratic/schedule_free_<run>.npz` for each of
RUNS: after each step y, where the model is trained, and x, where it is evaluated.

The package keeps x only in its reference classes; of the others x is what their
`eval()` would have set, x = y + (1 - 1/β1)(z - y), computed without setting it.

The package's wrapper cannot start torch's optimizers that have a state: it writes in
the dictionary by which they see that they are new. Here Adam's state is made before,
the zeros that torch.optim.Adam itself would have made.
"""

import sys
from pathlib import Path

import numpy as np
import schedulefree
import torch

sys.path.insert(0, str(Path(__file__).parent))
import quadratic

VERSION = "1.4.1"
COSINE = {"cosine": True}

# name: (class, options, our own options)
RUNS = {
    "sgd": ("SGDScheduleFreeReference", {"lr": 0.1}),
    "sgd_options": (
        "SGDScheduleFreeReference",
        {
            "lr": 0.15,
            "momentum": 0.8,
            "weight_decay": 0.05,
            "warmup_steps": 20,
            "r": 1.0,
            "weight_lr_power": 1.0,
        },
    ),
    "adamw": ("AdamWScheduleFreeReference", {}),
    "adamw_warm": (
        "AdamWScheduleFreeReference",
        {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 20},
    ),
    "adamw_options": (
        "AdamWScheduleFreeReference",
        {
            "lr": 0.02,
            "betas": (0.95, 0.9),
            "eps": 1e-4,
            "weight_decay": 0.2,
            "warmup_steps": 7,
            "r": 0.75,
            "weight_lr_power": 1.0,
        },
    ),
    "adamw_decay_at_z": (
        "AdamWScheduleFreeReference",
        {"lr": 0.05, "weight_decay": 0.2, "decay_at_z": True},
    ),
    "adamw_cosine": (
        "AdamWScheduleFreeReference",
        {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 10},
        COSINE,
    ),
    "adamw_fused": (
        "AdamWScheduleFree",
        {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 20, "foreach": False},
    ),
    "adamw_paper": (
        "AdamWScheduleFreePaper",
        {"lr": 0.05, "weight_decay": 0.1, "warmup_steps": 20, "foreach": False},
    ),
    "radam": ("RAdamScheduleFree", {"lr": 0.05, "foreach": False}),
    "radam_options": (
        "RAdamScheduleFree",
        {"lr": 0.05, "betas": (0.8, 0.99), "weight_decay": 0.1, "foreach": False},
    ),
    "radam_loud": (
        "RAdamScheduleFree",
        {
            "lr": 0.02,
            "betas": (0.9, 0.99),
            "silent_sgd_phase": False,
            "foreach": False,
        },
    ),
    "wrapped_adam": (
        "ScheduleFreeWrapperReference",
        {"momentum": 0.9, "weight_decay_at_y": 0.1},
        {"base": {"lr": 0.05, "betas": (0.5, 0.99)}},
    ),
}


def evaluated(tx, p) -> np.ndarray:
    """x, from the state of a reference or from y and z."""
    group, state = tx.param_groups[0], tx.state[p]
    if "x" in state:
        return state["x"].numpy().copy()
    y, z = p.detach(), state["z"]
    return torch.lerp(y, z, 1 - 1 / group["betas"][0]).numpy().copy()


def record(name: str, kind: str, options: dict, own: dict | None = None) -> None:
    own = own or {}
    problem = quadratic.problem()
    ps = [
        torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in problem.theta
    ]
    build = getattr(schedulefree, kind)
    if "base" in own:
        adam = torch.optim.Adam(ps, **own["base"])
        for p in ps:
            zeros = {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            adam.state[p] = {"step": torch.tensor(0.0), **zeros}
        tx = build(adam, **options)
    else:
        tx = build(ps, **options)
    tx.train()
    base = tx.param_groups[0]["lr"]
    rates = [quadratic.cosine(base, k) for k in range(quadratic.STEPS)]
    ys: list[list[np.ndarray]] = [[] for _ in ps]
    xs: list[list[np.ndarray]] = [[] for _ in ps]
    for k in range(quadratic.STEPS):
        if "cosine" in own:
            tx.param_groups[0]["lr"] = rates[k]
        gradients = problem.gradient(k, [p.detach().numpy() for p in ps])
        for p, g in zip(ps, gradients, strict=True):
            p.grad = torch.tensor(g, dtype=torch.float64)
        tx.step()
        for i, p in enumerate(ps):
            ys[i].append(p.detach().numpy().copy())
            xs[i].append(evaluated(tx, p))
    about = {
        "package": f"schedulefree {VERSION}",
        "class": kind,
        "options": options,
        "base": own.get("base"),
        "rates": rates if "cosine" in own else None,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    paths = {"y": [np.stack(y) for y in ys], "x": [np.stack(x) for x in xs]}
    quadratic.save(f"schedule_free_{name}", about, paths)


def main() -> None:
    torch.set_num_threads(1)
    quadratic.save("inputs", {"seed": 2405}, quadratic.make()._asdict())
    for name, run in RUNS.items():
        record(name, *run)


if __name__ == "__main__":
    main()
