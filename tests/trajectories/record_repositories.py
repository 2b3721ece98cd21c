"""Records optimizers of authors whose code is a repository and not a package.

    python tests/trajectories/record_repositories.py FOLDER   # torch 2.13.0, float64

FOLDER has the repositories of REPOSITORIES at these commits, each under its own name,
without its owner's. Writes one `packages/<run>.npz` for each entry of `runs`, with the
inputs of `record_packages.py`, in float64: where a code casts to float32 or bfloat16,
the cast is a copy in float64.

- LaProp, RAdam, MARS, AdaMuon, SOAP, AdaHessian: the papers' authors' code.
- Distributed Shampoo: the code of arXiv:2309.06497, without its momentum and grafting.
  It keeps the rate in float32, so the rate is a power of 2.
- AdaMuon needs a GPU and a process group; here both are stood in for by one process on
  a CPU. Its matrices are recorded one by one, as it copies them by their size.
- AdaHessian differentiates twice. Its gradients are those of the function
  Σ h θ² / 2 + c θ, with c the gradients of the other runs and h = 0.3 cos(c), so that
  its estimate z (H z) is h whatever z.
"""

import contextlib
import importlib
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import record_packages
from record_packages import LEAVES, STEPS, float64_for, record, stored_inputs

# name of the repository: (its owner, the commit)
REPOSITORIES = {
    "LaProp-Optimizer": ("Z-T-WANG", "a419916505"),
    "RAdam": ("LiyuanLucasLiu", "d9fd30a337"),
    "MARS": ("AGI-Arena", "4831e28eba"),
    "AdaMuon": ("Chongjie-Si", "369f0b3bd9"),
    "SOAP": ("nikhilvyas", "a1e553530f"),
    "adahessian": ("amirgholami", "85ebc00ce8"),
    "optimizers": ("facebookresearch", "f606606611"),
}
MATRICES = [leaf for leaf, shape in LEAVES.items() if len(shape) == 2]
EVERYTHING = list(LEAVES)


def module(folder: Path, name: str):
    """A module from a folder that is not installed."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def simple(cls):
    return lambda named, **options: cls(list(named.values()), **options)


def shampoo(root: Path):
    """Distributed Shampoo without momentum, grafting and merging of axes."""
    distributed = module(root / "optimizers", "distributed_shampoo")

    def build(named, **options):
        kinds = dict.fromkeys(
            ("factor_matrix_dtype", "inv_factor_matrix_dtype"), torch.float64
        )
        return distributed.DistributedShampoo(
            list(named.values()),
            preconditioner_config=distributed.RootInvShampooPreconditionerConfig(
                **kinds
            ),
            distributed_config=distributed.SingleDeviceDistributedConfig(
                target_parameter_dimensionality=float("inf")
            ),
            **options,
        )

    return build


class OneProcess:
    """What `torch.distributed` gathers with a single process."""

    @staticmethod
    def all_gather_into_tensor(gathered, own, async_op):
        gathered.copy_(own.view_as(gathered))
        return OneProcess

    @staticmethod
    def wait():
        pass


def adamuon(root: Path):
    code = module(root / "AdaMuon" / "gpt2" / "models" / "optimizers", "adamuon")
    code.dist = OneProcess
    empty = torch.empty

    def build(named, **options):
        torch.empty = lambda *shape, **_: empty(*shape, dtype=torch.float64)
        try:
            return code.AdaMuon(list(named.values()), rank=0, world_size=1, **options)
        finally:
            torch.empty = empty

    return build


def runs(root: Path) -> dict:
    """name: (repository, leaves, zeros, options, build)."""
    laprop = simple(module(root / "LaProp-Optimizer", "laprop").LaProp)
    radam = simple(module(root / "RAdam" / "radam", "radam").RAdam)
    mars = simple(module(root / "MARS" / "MARS" / "optimizers", "mars").MARS)
    soap = simple(module(root / "SOAP", "soap").SOAP)
    of_adamuon, of_shampoo = adamuon(root), shampoo(root)
    return {
        "laprop": ("LaProp-Optimizer", EVERYTHING, True, {"lr": 0.01}, laprop),
        "laprop_options": (
            "LaProp-Optimizer",
            EVERYTHING,
            False,
            {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.01},
            laprop,
        ),
        "radam_skip": ("RAdam", EVERYTHING, True, {"lr": 0.01}, radam),
        "radam_degenerate": (
            "RAdam",
            EVERYTHING,
            False,
            {
                "lr": 0.02,
                "betas": (0.8, 0.99),
                "eps": 1e-4,
                "weight_decay": 0.1,
                "degenerated_to_sgd": True,
            },
            radam,
        ),
        "mars": ("MARS", EVERYTHING, True, {"lr": 0.01}, mars),
        "mars_options": (
            "MARS",
            EVERYTHING,
            False,
            {
                "lr": 0.02,
                "betas": (0.8, 0.95),
                "eps": 1e-4,
                "weight_decay": 0.1,
                "gamma": 0.1,
                "lr_1d": 0.004,
                "betas_1d": (0.7, 0.9),
                "weight_decay_1d": 0.2,
            },
            mars,
        ),
        "mars_everywhere": (
            "MARS",
            EVERYTHING,
            False,
            {"lr": 0.01, "weight_decay": 0.1, "optimize_1d": True},
            mars,
        ),
        "soap": ("SOAP", ["vector", "square"], True, {"lr": 0.01}, soap),
        "adamuon": ("AdaMuon", ["square"], False, {"lr": 0.02}, of_adamuon),
        "adamuon_options": (
            "AdaMuon",
            ["matrix"],
            True,
            {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.8, "nesterov": False},
            of_adamuon,
        ),
        "shampoo": (
            "optimizers",
            EVERYTHING,
            True,
            {
                "lr": 2.0**-7,
                "betas": (0.0, 0.95),
                "epsilon": 2.0**-7,
            },  # exact in float32
            of_shampoo,
        ),
    }


def record_adahessian(root: Path, commit: str) -> None:
    """AdaHessian on a function whose Hessian is diagonal."""
    code = module(root / "adahessian" / "instruction", "adahessian")
    start, g = stored_inputs()
    on_cpu = torch.randint_like
    for name, options in {
        "adahessian": {},
        "adahessian_options": {
            "lr": 0.05,
            "betas": (0.8, 0.95),
            "eps": 1e-2,
            "weight_decay": 0.1,
            "hessian_power": 0.5,
        },
    }.items():
        named = {k: torch.tensor(v, requires_grad=True) for k, v in start.items()}
        tx = code.Adahessian(list(named.values()), **options)
        arrays = {leaf: [] for leaf in named}
        for k in range(STEPS):
            tx.zero_grad()
            total = torch.zeros(())
            for leaf, p in named.items():
                c = torch.tensor(g[leaf][k])
                total = total + (0.3 * torch.cos(c) * p * p / 2 + c * p).sum()
            total.backward(create_graph=True)
            torch.randint_like = lambda x, high, device: on_cpu(x, high=high)
            tx.step()
            torch.randint_like = on_cpu
            for leaf, p in named.items():
                arrays[leaf].append(p.detach().numpy().copy())
                p.grad = None
        about = {
            "package": "adahessian",
            "version": commit,
            "torch": torch.__version__,
            "zeros": False,
            "options": {"lr": 0.15} | options,
            "groups": {k: record_packages.settings(tx, p) for k, p in named.items()},
        }
        stacked = {leaf: np.stack(path) for leaf, path in arrays.items()}
        record_packages.save(name, about, stacked)


def main() -> None:
    root = Path(sys.argv[1])
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        for cast in ("bfloat16", "float"):
            stack.enter_context(float64_for(cast))
        for name, run in runs(root).items():
            record(name, *run, version=REPOSITORIES[run[0]][1])
        record_adahessian(root, REPOSITORIES["adahessian"][1])


if __name__ == "__main__":
    main()
