"""Records the trajectories of the authors' own packages for the per-tensor methods.

    pip install torch==2.13.0 transformers==4.46.3
    pip install --no-deps adamp==0.3.0 came-pytorch==0.1.3 adam-mini==1.1.1 \\
        galore-torch==1.0 apollo-torch==1.0.3 fira==1.0.2 torch-optimi==0.3.3 \\
        bitsandbytes                       # galore-torch and apollo-torch import it
    python tests/trajectories/record_packages.py               # CPU, float64

writes `packages/inputs.npz`, with the start and the gradients of each leaf, and one
`packages/<run>.npz` for each entry of `runs`, with the parameters after each step. The
gradients do not depend on the parameters, so a reader replays them; `zeros` runs have
steps with a zero gradient among them.

- All are the papers' authors' packages, but for `torch-optimi` (StableAdamW), which is
  by another hand, and `torch.optim.Muon`.
- torch's Muon iterates in bfloat16. For its runs `Tensor.bfloat16` is a copy in
  float64, so that what is compared is the formula.
- GaLore, APOLLO and Fira: the projections that were in use, (refreshes, m, r) for the
  leaf turned so that m <= n, are in the file. Their singular vectors are float32.
"""

import contextlib
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent / "packages"
LEAVES = {"vector": (5,), "matrix": (4, 3), "wide": (3, 5), "square": (4, 4)}
MORE = {"fused": (6, 2), "kernel": (2, 2, 5)}
"""Leaves that some runs have besides: a fused query, key and value, a tensor."""
STEPS = 30
ZEROS = (14, 15, 16)
GAP = 10


def inputs() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The start of each leaf, and its gradients `(STEPS, *shape)`."""
    start, g = {}, {}
    for seed, leaves in ((7, LEAVES), (8, MORE)):
        generator = np.random.default_rng(seed)
        start |= {leaf: generator.standard_normal(s) for leaf, s in leaves.items()}
        for leaf, shape in leaves.items():
            sizes = 10.0 ** generator.uniform(-2, 1, size=shape)
            g[leaf] = sizes * (0.3 + generator.standard_normal((STEPS, *shape)))
    return start, g


def stored_inputs() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What `inputs` returned when `packages/inputs.npz` was written."""
    with np.load(HERE / "inputs.npz") as file:
        kinds, leaves = ("theta", "gradients"), LEAVES | MORE
        start, g = ({leaf: file[f"{leaf}.{k}"] for leaf in leaves} for k in kinds)
    return start, g


@contextlib.contextmanager
def float64_for(name: str):
    """While it lasts, a cast of tensors such as `x.bfloat16()` copies x in float64."""
    kept = getattr(torch.Tensor, name)
    setattr(torch.Tensor, name, lambda x: x.detach().clone().double())
    try:
        yield
    finally:
        setattr(torch.Tensor, name, kept)


def adam_mini(named, vector="norm", **options):
    """Adam-mini, whose blocks go by the name of a parameter."""
    from adam_mini import Adam_mini

    roles = {
        "vector": vector,
        "matrix": "mlp.0",
        "wide": "other",
        "square": "q_proj",
    }
    return Adam_mini(
        [(roles[leaf], p) for leaf, p in named.items()],
        dim=4,
        n_heads=2,
        verbose=False,
        **options,
    )


def grouped(cls, named, group, options):
    """A low-rank method: matrices in the group that is projected."""
    matrices = [p for p in named.values() if p.ndim == 2]
    return cls([{"params": matrices, **group}], **options)


def runs() -> dict:
    """name: (package, leaves, zeros, options, build)."""
    from adamp import AdamP
    from apollo_torch import APOLLOAdamW
    from came_pytorch import CAME
    from fira import FiraAdamW
    from galore_torch import GaLoreAdamW
    from optimi import StableAdamW

    everything, matrices = list(LEAVES), [k for k, s in LEAVES.items() if len(s) == 2]
    quiet = {"no_deprecation_warning": True}

    def simple(cls):
        return lambda named, **options: cls(list(named.values()), **options)

    def low_rank(cls, group):
        return lambda named, **options: grouped(cls, named, group, options | quiet)

    def group(**more):
        return {"rank": 2, "update_proj_gap": GAP, "proj_type": "std", **more}

    random = {"proj": "random", "scale_type": "channel"}
    by_tensor = {"proj": "random", "scale_type": "tensor"}
    return {
        "adamp": ("adamp", everything, True, {"lr": 0.01, "delta": 1.0}, simple(AdamP)),
        "adamp_options": (
            "adamp",
            everything,
            False,
            {
                "lr": 0.02,
                "betas": (0.8, 0.99),
                "eps": 1e-4,
                "weight_decay": 0.1,
                "delta": 0.6,
                "wd_ratio": 0.2,
                "nesterov": True,
            },
            simple(AdamP),
        ),
        "came": ("came-pytorch", everything, True, {"lr": 0.01}, simple(CAME)),
        "came_options": (
            "came-pytorch",
            everything,
            False,
            {
                "lr": 0.02,
                "betas": (0.8, 0.9, 0.99),
                "eps": (1e-8, 1e-6),
                "clip_threshold": 0.5,
                "weight_decay": 0.1,
            },
            simple(CAME),
        ),
        "adam_mini": ("adam-mini", everything, True, {"lr": 0.01}, adam_mini),
        "adam_mini_options": (
            "adam-mini",
            everything,
            False,
            {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
            adam_mini,
        ),
        "adam_mini_bias": (
            "adam-mini",
            everything,
            True,
            {"lr": 0.01, "vector": "mlp.bias"},
            adam_mini,
        ),
        "stable_adamw": (
            "torch-optimi",
            everything,
            True,
            {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.1},
            simple(StableAdamW),
        ),
        "muon": ("torch", matrices, True, {"lr": 0.02}, simple(torch.optim.Muon)),
        "muon_plain": (
            "torch",
            matrices,
            False,
            {"lr": 0.02, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
            simple(torch.optim.Muon),
        ),
        "muon_rms": (
            "torch",
            matrices,
            True,
            {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"},
            simple(torch.optim.Muon),
        ),
        "galore": (
            "galore-torch",
            matrices,
            True,
            {"lr": 0.01, "weight_decay": 0.1},
            low_rank(GaLoreAdamW, group(scale=0.25)),
        ),
        "apollo": (
            "apollo-torch",
            matrices,
            False,
            {"lr": 0.01, "weight_decay": 0.1},
            low_rank(APOLLOAdamW, group(scale=2.0, **random)),
        ),
        "apollo_zeros": (
            "apollo-torch",
            matrices,
            True,
            {"lr": 0.01},
            low_rank(APOLLOAdamW, group(scale=1.0, **random)),
        ),
        "apollo_mini": (
            "apollo-torch",
            matrices,
            False,
            {"lr": 0.01},
            low_rank(APOLLOAdamW, group(rank=1, scale=128.0, **by_tensor)),
        ),
        "fira": (
            "fira",
            matrices,
            False,
            {"lr": 0.01, "weight_decay": 0.1},
            low_rank(FiraAdamW, group(alpha=1.0)),
        ),
        "fira_quarter": (
            "fira",
            matrices,
            True,
            {"lr": 0.01},
            low_rank(FiraAdamW, group(alpha=0.25)),
        ),
    }


def basis(tx, p) -> np.ndarray | None:
    """The projection of a parameter, (m, r) with m <= n, if it has one."""
    projector = tx.state[p].get("projector")
    if projector is None:
        return None
    matrix = projector.ortho_matrix.numpy().copy()
    return matrix.T if p.shape[0] >= p.shape[1] else matrix


def record(name, package, leaves, zeros, options, build, version=None) -> None:
    """Runs one optimizer over the gradients and writes its file.

    `version` is that of the package, if it is not installed under its name. What the
    optimizer has drawn at random is in its `drawn`, if it has one.
    """
    start, g = stored_inputs()
    named = {leaf: torch.tensor(start[leaf], requires_grad=True) for leaf in leaves}
    tx = build(named, **options)
    arrays = {leaf: [] for leaf in leaves}
    bases = {f"{leaf}.projections": [] for leaf in leaves}
    for k in range(STEPS):
        for leaf, p in named.items():
            still = zeros and k in ZEROS
            p.grad = torch.tensor(g[leaf][k] * (0.0 if still else 1.0))
        tx.step()
        for leaf, p in named.items():
            arrays[leaf].append(p.detach().numpy().copy())
            used = basis(tx, p)
            if used is not None and k % GAP == 0:
                bases[f"{leaf}.projections"].append(used)
    arrays = {key: np.stack(path) for key, path in (arrays | bases).items() if path}
    arrays |= {k: np.stack(v) for k, v in getattr(tx, "drawn", {}).items()}
    about = {
        "package": package,
        "version": version or importlib.metadata.version(package),
        "torch": torch.__version__,
        "zeros": zeros,
        "options": options,
        "groups": {leaf: settings(tx, p) for leaf, p in named.items()},
    }
    save(name, about, arrays)


def settings(tx, p) -> dict:
    """All options of one parameter, defaults too: packages change some by name."""
    group = next(g for g in tx.param_groups if any(q is p for q in g["params"]))
    plain = (int, float, str, bool, tuple, type(None))
    return {key: value for key, value in group.items() if isinstance(value, plain)}


def save(name: str, about: dict, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays and, under "about", what they are as JSON."""
    path = HERE / f"{name}.npz"
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    print(f"{path.name:<24}{path.stat().st_size:>7} bytes")


def main() -> None:
    """Writes all files, or those of the runs that are named on the command line."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    HERE.mkdir(exist_ok=True)
    start, g = inputs()
    arrays = {f"{leaf}.theta": value for leaf, value in start.items()}
    arrays |= {f"{leaf}.gradients": value for leaf, value in g.items()}
    if not sys.argv[1:]:
        save("inputs", {"seed": 7, "zeros": ZEROS, "gap": GAP}, arrays)
    with float64_for("bfloat16"):
        for name, run in runs().items():
            if name in (sys.argv[1:] or runs()):
                record(name, *run)


if __name__ == "__main__":
    main()
