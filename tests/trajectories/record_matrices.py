"""Records the matrix optimizers of authors whose code is a repository.

    pip install torch==2.13.0
    pip install jax==0.10.2 optax==0.2.4 flax==0.12.8 chex==0.1.92    # for psgd_jax
    python tests/trajectories/record_matrices.py FOLDER [RUN ...]   # CPU, float64

FOLDER has the repositories of REPOSITORIES at these commits, each under its own name,
without its owner's. Writes one `packages/<run>.npz` for each entry of `runs`, or for
those that are named, with the inputs of `record_packages.py`.

- All are the papers' authors' code, but for `torch.optim.Muon`, the newer version's
  file `torch/optim/_muon.py`.
- Where a code casts to bfloat16 or float32, the cast is a copy in float64, so that what
  is compared is the formula. `torch.compile` does nothing.
- AdaMuon for Megatron needs a GPU and process groups, MuonH a process group; one
  process on a CPU stands in for both. AdaMuon is run in its distributed mode, on flat
  parameters: in the other it never stores the second moment.
- Dion2's polynomials are among the options of the file, as "coefficients".
- Dion draws the first Q, PSGD Kron the probes V of each step: they are in the file,
  with `.drawn` after the name of the leaf. PSGD Kron balances its factors at random, in
  float32; here it does not, which changes rounding only.
- SNOO, MuonH and AdamH are classes of training scripts, of which the rest is not run.
  SNOO makes its first outer step after the first inner one; the run `snoo` begins its
  count at 1, so that the outer steps are after every k steps, as in the paper.
"""

import ast
import contextlib
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from one_process import OneProcess, module, uncompiled
from record_packages import LEAVES, float64_for, record
from record_repositories import MATRICES, simple

# name of the repository: (its owner, the commit)
REPOSITORIES = {
    "pytorch": ("pytorch", "v2.14.1"),
    "NorMuon": ("zichongli5", "d45c9a4280"),
    "AdaMuon": ("Chongjie-Si", "369f0b3bd9"),
    "dion": ("microsoft", "0a059a4542"),
    "scion": ("LIONS-EPFL", "f58a393e01"),
    "KL-Methods": ("yorkerlin", "a02e622155"),
    "psgd_jax": ("evanatyourservice", "be95524463"),
    "modded-nanogpt": ("KellerJordan", "f411b3d346"),
}
RECORDS = "modded-nanogpt/records"
SCRIPTS = {
    "Snoo": f"{RECORDS}/track_2_medium/2025-09-16_Snoo/"
    "000_01db7a67-f715-4114-a7b5-6bfe23bac1b1.txt",
    "MuonH": f"{RECORDS}/track_3_optimization/results/20260430_muonh/"
    "train_gpt_simple_muonh.py",
    "AdamH": f"{RECORDS}/track_3_optimization/results/20260430_adamh/"
    "7533dd87-107f-4a4f-8229-acbec0fb00ac.txt",
}


def script(root: Path, name: str):
    """A class of a training script or of its log, with the functions above it."""
    text = (root / SCRIPTS[name]).read_text().split("\n" + "=" * 100)[0]
    nodes = [
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    last = [node.name for node in nodes].index(name)
    tree = ast.Module(nodes[: last + 1], type_ignores=[])
    kinds = {"torch": torch, "nn": torch.nn, "Tensor": torch.Tensor, "Path": Path}
    spaces = kinds | {"dist": OneProcess}
    with uncompiled():
        exec(compile(tree, name, "exec"), spaces)
    return spaces[name]


def newer_muon(root: Path):
    """Muon of a newer torch, from its file."""
    spec = importlib.util.spec_from_file_location(
        "torch.optim._newer_muon", root / "pytorch" / "torch" / "optim" / "_muon.py"
    )
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    return simple(code.Muon)


class Flat:
    """Megatron's AdaMuon, which holds a flat piece of each parameter."""

    def __init__(self, code, named, **options):
        self.flat = {
            p: torch.nn.Parameter(p.data.view(-1)) for p in named.values()
        }  # the same memory
        group = {"params": list(self.flat.values()), "use_muon": True}
        self.tx = code.Muon([group], adamuon=True, **options)
        self.param_groups = [{**self.tx.param_groups[0], "params": list(self.flat)}]
        self.state = {p: {} for p in self.flat}
        ends = np.cumsum([p.numel() for p in self.flat])
        metas = {
            own: code.MuonDistMeta(0, 0, p.shape, (int(end) - p.numel(), int(end)), -1)
            for (p, own), end in zip(self.flat.items(), ends, strict=True)
        }
        self.tx.enable_distributed_mode([[(int(ends[-1]), 0)]], None, None, metas)

    def step(self):
        for p, own in self.flat.items():
            own.grad = p.grad.view(-1)
        with torch.no_grad():
            self.tx.step()


def megatron(root: Path):
    code = module(root / "AdaMuon" / "megatron" / "core" / "optimizer", "muon")
    return lambda named, **options: Flat(code, named, **options)


def dion(root: Path):
    """Dion, with the first Q of each matrix in `drawn`."""
    code = module(root / "dion", "dion.dion_reference")

    def build(named, **options):
        torch.manual_seed(2504)
        tx = code.Dion(list(named.values()), **options)
        tx.drawn = {}
        for leaf, p in named.items():
            share = tx.param_groups[0]["rank_fraction"]
            tx._init_opt_state_dion(p, tx.state[p], share, 1)
            tx.drawn[f"{leaf}.drawn"] = tx.state[p]["Q"].numpy().copy()
        return tx

    return build


def dion2(root: Path):
    """Dion2 on one process, with its polynomials under "coefficients"."""
    code = module(root / "dion", "dion.dion2")
    for name in ("megabatch_base", "opt_utils", "polar_express", "scalar_opts"):
        module(root / "dion", f"dion.{name}")
    rows = sys.modules["dion.polar_express"]._POLAR_EXPRESS_COEFFS

    def build(named, **options):
        tx = code.Dion2(list(named.values()), **options)
        tx.param_groups[0]["coefficients"] = tuple(rows)
        return tx

    return build


class Kron:
    """PSGD Kron of JAX, on parameters of torch, with the probes in `drawn`."""

    def __init__(self, code, named, **options):
        self.named = named
        self.tx = code.kron(options.pop("lr"), **options)
        self.kept = self.tx.init(self.arrays(lambda p: p.detach()))
        self.param_groups = [{"params": list(named.values()), **options}]
        self.state = {p: {} for p in named.values()}
        self.drawn = {f"{leaf}.drawn": [] for leaf in named}

    def arrays(self, of):
        return {leaf: jnp.asarray(of(p).numpy()) for leaf, p in self.named.items()}

    def keep(self, v):
        """Called with each probe; no two leaves have one shape."""
        leaf = next(k for k, p in self.named.items() if p.shape == v.shape)
        self.drawn[f"{leaf}.drawn"].append(np.asarray(v))

    def step(self):
        normal, uniform = jax.random.normal, jax.random.uniform

        def seen(key, shape, dtype):
            v = normal(key, shape, dtype)
            jax.debug.callback(self.keep, v)
            return v

        jax.random.normal, jax.random.uniform = seen, lambda key: jnp.ones(())
        try:
            thetas = self.arrays(lambda p: p.detach())
            given = self.arrays(lambda p: p.grad)
            updates, self.kept = self.tx.update(given, self.kept, thetas)
            jax.effects_barrier()
        finally:
            jax.random.normal, jax.random.uniform = normal, uniform
        for leaf, p in self.named.items():
            p.data += torch.tensor(np.asarray(updates[leaf]))


def kron(root: Path):
    jax.config.update("jax_enable_x64", True)
    code = module(root / "psgd_jax", "psgd_jax.kron")
    return lambda named, **options: Kron(code, named, **options)


def kl_soap(root: Path):
    """KL-Methods, whose default is KL-Shampoo, in float64."""
    code = module(root / "KL-Methods", "optim.kl_opt")
    soap = {"using_klsoap": True, "cast_dtype": torch.float64}
    return lambda named, **options: code.KLOpt(list(named.values()), **options, **soap)


def snoo(root: Path, begin: int):
    """Snoo around Adam; `begin` is its count of steps at the start."""
    outer = script(root, "Snoo")

    def build(named, lr, betas, eps, outer_lr, momentum, k):
        parameters = list(named.values())
        inner = torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps)
        group = inner.param_groups[0]
        model = SimpleNamespace(parameters=lambda: parameters)
        around = outer(model, outer_lr, momentum, k)
        around.current_step = begin

        def step():
            inner.step()
            around.step()

        own = {"outer_lr": outer_lr, "momentum": momentum, "k": k, "begin": begin}
        return SimpleNamespace(step=step, param_groups=[group | own], state=inner.state)

    return build


def as_parameters(cls):
    """A class that wants its list to be of `torch.nn.Parameter`."""

    def build(named, **options):
        for p in named.values():
            p.__class__ = torch.nn.Parameter
        return cls(list(named.values()), **options)

    return build


def runs(root: Path) -> dict:
    """name: (repository, leaves, zeros, options, build)."""
    normuon = simple(module(root / "NorMuon", "normuon").SingleDeviceNorMuon)
    scion = simple(module(root / "scion", "scion").Scion)
    kl = kl_soap(root)
    of_dion, of_dion2, of_kron = dion(root), dion2(root), kron(root)
    muonh, adamh = (as_parameters(script(root, name)) for name in ("MuonH", "AdamH"))
    inner = {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-8}
    return {
        "muon_unclamped": (
            "pytorch",
            MATRICES,
            True,
            {"lr": 0.02, "adjust_lr_fn": "spectral_unclamped"},
            newer_muon(root),
        ),
        "normuon": ("NorMuon", MATRICES, True, {"lr": 0.02}, normuon),
        "normuon_options": (
            "NorMuon",
            MATRICES,
            False,
            {"lr": 0.01, "weight_decay": 0.1, "momentum": 0.8, "beta2": 0.9},
            normuon,
        ),
        "adamuon_megatron": ("AdaMuon", MATRICES, True, {"lr": 0.02}, megatron(root)),
        "dion": ("dion", MATRICES, True, {"lr": 0.01, "qr_method": "qr"}, of_dion),
        "dion_low_rank": (
            "dion",
            MATRICES,
            False,
            {
                "lr": 0.02,
                "mu": 0.8,
                "weight_decay": 0.1,
                "rank_fraction": 0.5,
                "qr_method": "qr",
            },
            of_dion,
        ),
        "dion2": ("dion", MATRICES, True, {"lr": 0.01, "fraction": 0.5}, of_dion2),
        "dion2_options": (
            "dion",
            MATRICES,
            False,
            {
                "lr": 0.02,
                "fraction": 0.3,
                "ef_decay": 0.8,
                "weight_decay": 0.1,
                "epsilon": 1e-3,
            },
            of_dion2,
        ),
        "scion": ("scion", list(LEAVES), True, {"lr": 2**-6, "momentum": 0.1}, scion),
        "scion_sign": (
            "scion",
            MATRICES,
            False,
            {
                "lr": 2**-6,
                "momentum": 0.5,
                "norm": "Sign",
                "scale": 3.0,
                "unconstrained": True,
            },
            scion,
        ),
        "kl_soap": (
            "KL-Methods",
            ["matrix", "square"],
            True,
            {"lr": 0.01, "weight_decay": 0.0},
            kl,
        ),
        "kl_soap_options": (
            "KL-Methods",
            ["matrix", "square"],
            False,
            {
                "lr": 0.02,
                "betas": (0.8, 0.95),
                "shampoo_beta": 0.9,
                "eps": 1e-4,
                "weight_decay": 0.1,
                "precondition_frequency": 3,
                "init_factor": 1.0,
            },
            kl,
        ),
        "kl_soap_tensor": (
            "KL-Methods",
            ["kernel"],
            True,
            {"lr": 0.02, "weight_decay": 0.0, "precondition_frequency": 3},
            kl,
        ),
        "psgd_kron": ("psgd_jax", list(LEAVES), True, {"lr": 0.01}, of_kron),
        "psgd_kron_options": (
            "psgd_jax",
            MATRICES,
            False,
            {
                "lr": 0.02,
                "b1": 0.8,
                "weight_decay": 0.1,
                "preconditioner_update_probability": 0.4,
                "memory_save_mode": "one_diag",
                "preconditioner_lr": 0.2,
                "preconditioner_init_scale": 0.5,
            },
            of_kron,
        ),
        "snoo": (
            "modded-nanogpt",
            ["vector", "matrix"],
            True,
            {**inner, "k": 4, "momentum": 0.37, "outer_lr": 0.68},
            snoo(root, 1),
        ),
        "snoo_released": (
            "modded-nanogpt",
            ["vector", "matrix"],
            False,
            {**inner, "k": 5, "momentum": 0.9, "outer_lr": 0.7},
            snoo(root, 0),
        ),
        "muonh": ("modded-nanogpt", MATRICES, False, {"lr": 0.018}, muonh),
        "adamh": ("modded-nanogpt", MATRICES, True, {"lr": 0.018}, adamh),
    }


def main() -> None:
    root, wanted = Path(sys.argv[1]), sys.argv[2:]
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        for cast in ("bfloat16", "float"):
            stack.enter_context(float64_for(cast))
        for name, run in runs(root).items():
            if name in (wanted or [name]):
                record(name, *run, version=REPOSITORIES[run[0]][1])


if __name__ == "__main__":
    main()
