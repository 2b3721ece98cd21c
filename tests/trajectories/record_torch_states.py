"""Records runs of torch.optim that are saved in the middle and continued.

    python tests/trajectories/record_torch_states.py   # torch 2.13.0, CPU, float32
    python tests/trajectories/record_torch_states.py rprop sparse_adam   # these only

writes `torch_states/inputs.npz` with the start and the gradients of each parameter, and
one `torch_states/<run>.npz` for each entry of RUNS: the state_dict after SAVED steps
(`saved/<optimizer>/<number>/<key>`, the groups in "about") and after all (`last/...`),
and the parameters after each step from SAVED on. `tests.trajectories.saved_by_torch`
reads them.

The gradients do not depend on the parameters, so a reader replays them. torch's Muon
computes in bfloat16; in the runs of IN_FLOAT32 that cast does nothing. SparseAdam is
given the rows of `rows/<name>` of each gradient, as a sparse tensor.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent / "torch_states"
SHAPES = {
    "fc.weight": (3, 4),
    "fc.bias": (3,),
    "conv.weight": (2, 3, 2, 2),
    "embed.weight": (5, 4),
}
MORE = {  # the kernels of a Conv2d and a Conv1d, and a stack of matrices
    "wide.weight": (2, 3, 3, 4),
    "line.weight": (3, 2, 4),
    "stack.weight": (2, 3, 4),
}
STEPS, SAVED = 12, 6
ALL, MATRICES = list(SHAPES), ["fc.weight", "embed.weight"]
FEW = ["fc.weight", "fc.bias", "embed.weight"]
REST = ["fc.bias", "conv.weight"]
IN_FLOAT32 = ("muon", "muon_and_adamw", "muon_options")

# name: for each optimizer its class, and for each group its parameters and options
RUNS = {
    "sgd": [("SGD", [(ALL, {"lr": 0.05})])],
    "sgd_options": [
        ("SGD", [(ALL, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1})])
    ],
    "adam": [("Adam", [(ALL, {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1})])],
    "adam_amsgrad": [("Adam", [(ALL, {"betas": (0.9, 0.9), "amsgrad": True})])],
    "adamw": [
        (
            "AdamW",
            [
                (["fc.weight", "conv.weight"], {"lr": 0.01, "weight_decay": 0.1}),
                (["embed.weight"], {"lr": 0.002, "weight_decay": 0.0}),
                (["fc.bias"], {"lr": 0.01, "weight_decay": 0.0}),
            ],
        )
    ],
    "adamw_scheduled": [("AdamW", [(ALL, {"lr": 0.02})])],
    "nadam": [("NAdam", [(ALL, {"momentum_decay": 0.02, "weight_decay": 0.05})])],
    "nadam_groups": [
        (
            "NAdam",
            [(MATRICES, {"lr": 0.01}), (REST, {"lr": 0.003, "betas": (0.8, 0.9)})],
        )
    ],
    "radam": [("RAdam", [(ALL, {"lr": 0.02, "betas": (0.8, 0.9)})])],
    "adamax": [("Adamax", [(ALL, {"lr": 0.01})])],
    "rmsprop": [("RMSprop", [(ALL, {"lr": 0.01})])],
    "rmsprop_options": [
        ("RMSprop", [(ALL, {"alpha": 0.9, "momentum": 0.7, "centered": True})])
    ],
    "adagrad": [
        ("Adagrad", [(ALL, {"lr_decay": 0.05, "initial_accumulator_value": 0.1})])
    ],
    "adadelta": [("Adadelta", [(ALL, {"lr": 0.5})])],
    "adafactor": [("Adafactor", [(FEW, {"lr": 0.05, "weight_decay": 0.1})])],
    "adafactor_floors": [("Adafactor", [(FEW, {"lr": 0.5, "eps": (0.3, 1e-2)})])],
    "adafactor_convolutions": [
        (
            "Adafactor",
            [(["fc.weight", "fc.bias", *MORE], {"lr": 0.05, "weight_decay": 0.1})],
        )
    ],
    "rprop": [("Rprop", [(ALL, {"lr": 0.02})])],
    "rprop_options": [
        ("Rprop", [(ALL, {"etas": (0.4, 1.5), "step_sizes": (5e-3, 0.05)})])
    ],
    "sparse_adam": [("SparseAdam", [(["embed.weight"], {"lr": 0.02, "eps": 1e-3})])],
    "muon": [("Muon", [(MATRICES, {"lr": 0.02})])],
    "muon_options": [
        (
            "Muon",
            [(MATRICES, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"})],
        )
    ],
    "muon_bfloat16": [("Muon", [(MATRICES, {"lr": 0.02})])],
    "muon_and_adamw": [
        ("Muon", [(MATRICES, {"lr": 0.02})]),
        ("AdamW", [(REST, {"lr": 0.01})]),
    ],
}


def factor(step: int) -> float:
    """What the scheduler of `adamw_scheduled` multiplies the rate by."""
    return 1 / (1 + step)


def rows(step: int) -> list[int]:
    """The rows of the embedding that are looked up at a step, one of them twice."""
    return [step % 5, (3 * step + 1) % 5, step % 5]


def inputs() -> dict[str, np.ndarray]:
    return drawn(2026, SHAPES) | drawn(2027, MORE)


def drawn(seed: int, shapes: dict) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {f"{n}.theta": rng.standard_normal(s) for n, s in shapes.items()}
    for name, shape in shapes.items():
        sizes = 10.0 ** rng.uniform(-2, 1, size=shape)
        g = sizes * (0.4 + rng.standard_normal((STEPS, *shape)))
        arrays[f"{name}.gradients"] = g
    return {name: x.astype(np.float32) for name, x in arrays.items()}


def kept(which: str, kind: str, state_dict: dict) -> dict[str, np.ndarray]:
    return {
        f"{which}/{kind}/{number}/{key}": np.copy(getattr(x, "numpy", lambda x=x: x)())
        for number, state in state_dict["state"].items()
        for key, x in state.items()
        if x is not None
    }


def record(name: str, run: list, given: dict[str, np.ndarray]) -> None:
    """Takes all steps of one run and writes its file."""
    parameters, built = {}, {}
    for kind, groups in run:
        made = []
        for names, options in groups:
            for n in names:
                start = torch.tensor(given[f"{n}.theta"])
                parameters[n] = start.requires_grad_()
            made.append({"params": [(n, parameters[n]) for n in names], **options})
        # Adagrad begins with the value that its constructor is given, not its group
        defaults = groups[0][1] if len(groups) == 1 else {}
        built[kind] = getattr(torch.optim, kind)(made, **defaults)
    schedulers = []
    if name.endswith("scheduled"):
        schedulers = [
            torch.optim.lr_scheduler.LambdaLR(o, factor) for o in built.values()
        ]
    arrays, about, thetas = {}, {}, []
    for step in range(STEPS):
        for n, p in parameters.items():
            g = torch.tensor(given[f"{n}.gradients"][step])
            if "SparseAdam" in built:
                at = torch.tensor([rows(step)])
                g = torch.sparse_coo_tensor(
                    at, g[at[0]], g.shape, check_invariants=True
                )
            p.grad = g
        for optimizer in built.values():
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        if step + 1 in (SAVED, STEPS):
            which = "saved" if step + 1 == SAVED else "last"
            for kind, optimizer in built.items():
                state_dict = optimizer.state_dict()
                arrays |= kept(which, kind, state_dict)
                if which == "saved":
                    about[kind] = state_dict["param_groups"]
        if step + 1 >= SAVED:
            thetas.append({n: p.detach().numpy().copy() for n, p in parameters.items()})
    arrays |= {f"theta/{n}": np.stack([x[n] for x in thetas]) for n in parameters}
    if "SparseAdam" in built:
        arrays |= {
            f"rows/{n}": np.array([*map(rows, range(STEPS))]) for n in parameters
        }
    save(name, arrays | {"about": np.array(json.dumps(about))})


def save(name: str, arrays: dict[str, np.ndarray]) -> None:
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name:<24}{path.stat().st_size:>7} bytes")


def main() -> None:
    torch.set_num_threads(1)
    HERE.mkdir(exist_ok=True)
    given, cast = inputs(), torch.Tensor.bfloat16
    save("inputs", given)
    for name in sys.argv[1:] or RUNS:
        torch.Tensor.bfloat16 = (lambda x: x.clone()) if name in IN_FLOAT32 else cast
        record(name, RUNS[name], given)


if __name__ == "__main__":
    main()
