"""Records SPlus, Muown, and the options of distributed Shampoo and of SOAP.

    pip install torch==2.13.0
    pip install jax==0.10.2 optax==0.2.4 flax==0.12.8 chex==0.1.92    # for SPlus
    python tests/trajectories/record_bases.py FOLDER [RUN ...]   # CPU, float64

FOLDER has the repositories of REPOSITORIES at these commits, each under its own name,
without its owner's. Otherwise as `record_matrices.py`.

- All are the papers' authors' code. Casts to bfloat16 and float32 are copies in
  float64, and `torch.compile` does nothing.
- SPlus is recorded in both of its forms, for torch and for Optax. The points at which
  they evaluate the model after the last step are in the file, with `.average` after the
  name of the leaf. The second calls `jax.tree_map`, which is `jax.tree.map` now.
- Distributed Shampoo keeps the rate in float32, so the rate is a power of 2. `graft` is
  (β₂, ε) of its AdamPreconditionerConfig.
- Muown takes the leaf `fused`, of three times as many rows as columns, for a query, a
  key and a value. SOAP's leaf `kernel` has three axes, of which the first two are
  merged in `soap_merged`.
- SOAP's bases of the first gradient are in the file, with `.left` and `.right` after
  the name of the leaf: of a gradient without full rank they are any.
"""

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
from record_matrices import module
from record_packages import LEAVES, float64_for, record
from record_repositories import MATRICES, shampoo, simple

# name of the repository: (its owner, the commit)
REPOSITORIES = {
    "splus": ("kvfrans", "d96bd16bc6"),
    "muown": ("kcc-lion", "3bd0c054ea"),
    "optimizers": ("facebookresearch", "f606606611"),
    "SOAP": ("nikhilvyas", "a1e553530f"),
}


def fresh(folder: Path, name: str):
    """A module of which another folder has one with the same name."""
    sys.modules.pop(name, None)
    return module(folder, name)


class Averaged:
    """SPlus of torch, whose average of the parameters is in `drawn`."""

    def __init__(self, code, named, **options):
        self.named, self.tx = named, code.SPlus(list(named.values()), **options)
        self.step, self.state = self.tx.step, self.tx.state
        self.param_groups = self.tx.param_groups

    @property
    def drawn(self):
        self.tx.eval()
        points = {f"{k}.average": p.detach().numpy() for k, p in self.named.items()}
        kept = {k: x.copy() for k, x in points.items()}
        self.tx.train()
        return kept


class OfOptax:
    """SPlus of Optax, on parameters of torch."""

    def __init__(self, code, named, lr, **options):
        self.code, self.named = code, named
        self.tx = code.splus(lr, **options)
        self.kept = self.tx.init(self.arrays(lambda p: p.detach()))
        group = {"params": list(named.values()), "optax": True, **options}
        self.param_groups, self.state = [group], {p: {} for p in named.values()}

    def arrays(self, of):
        return {leaf: jnp.asarray(of(p).numpy()) for leaf, p in self.named.items()}

    def step(self):
        thetas = self.arrays(lambda p: p.detach())
        updates, self.kept = self.tx.update(
            self.arrays(lambda p: p.grad), self.kept, thetas
        )
        for leaf, p in self.named.items():
            p.data += torch.tensor(np.asarray(updates[leaf]))

    @property
    def drawn(self):
        points = self.code.splus_get_eval_params(self.kept[0])
        return {f"{leaf}.average": np.asarray(x) for leaf, x in points.items()}


def splus(root: Path):
    """SPlus of torch, and of Optax."""
    jax.config.update("jax_enable_x64", True)
    jax.tree_map = jax.tree.map
    of_torch, of_optax = (
        fresh(root / "splus" / kind, "splus") for kind in ("torch", "optax")
    )
    return (
        lambda named, **options: Averaged(of_torch, named, **options),
        lambda named, **options: OfOptax(of_optax, named, **options),
    )


def grafted(root: Path):
    """Distributed Shampoo, with the length of Adam's step if `graft` is given."""
    build = shampoo(root)
    distributed = sys.modules["distributed_shampoo"]

    def with_length(named, graft=None, **options):
        length = None
        if graft is not None:
            b2, eps = graft
            length = distributed.AdamPreconditionerConfig(beta2=b2, epsilon=eps)
        return build(named, grafting_config=length, **options)

    return with_length


def soap(root: Path):
    """SOAP, with its first bases in `drawn`."""
    code = module(root / "SOAP", "soap")

    def build(named, **options):
        tx = code.SOAP(list(named.values()), **options)
        drawn = {}

        def step():
            tx.step()
            for leaf, p in named.items():
                for side, q in zip(("left", "right"), tx.state[p]["Q"], strict=False):
                    if len(q):
                        drawn.setdefault(f"{leaf}.{side}", q.numpy().copy())

        return SimpleNamespace(
            step=step, param_groups=tx.param_groups, state=tx.state, drawn=drawn
        )

    return build


def runs(root: Path) -> dict:
    """name: (repository, leaves, zeros, options, build)."""
    of_torch, of_optax = splus(root)
    muown = simple(module(root / "muown" / "optim", "muown").Muown)
    of_shampoo, of_soap = grafted(root), soap(root)
    of_tensors = simple(module(root / "SOAP", "soap").SOAP)
    exact = {"lr": 2.0**-7, "betas": (0.0, 0.95), "epsilon": 2.0**-7}
    return {
        "splus": (
            "splus",
            ["vector", "matrix", "square"],
            True,
            {
                "lr": 0.1,
                "b2": 0.99,
                "ema_rate": 0.9,
                "inverse_every": 4,
                "weight_decay": 0.0,
            },
            of_torch,
        ),
        "splus_options": (
            "splus",
            ["vector", "wide"],
            False,
            {
                "lr": 0.2,
                "b1": 0.8,
                "b2": 0.9,
                "ema_rate": 0.8,
                "inverse_every": 3,
                "weight_decay": 0.1,
                "max_dim": 4,
                "nonstandard_constant": 0.05,
            },
            of_torch,
        ),
        "splus_optax": (
            "splus",
            ["vector", "matrix"],
            False,
            {
                "lr": 0.2,
                "b1": 0.8,
                "b2": 0.9,
                "ema_rate": 0.8,
                "inverse_every": 5,
                "weight_decay": 0.1,
                "nonstandard_constant": 0.05,
                "verbose": False,
            },
            of_optax,
        ),
        "muown": ("muown", MATRICES, True, {"lr": 0.01}, muown),
        "muown_options": (
            "muown",
            MATRICES,
            False,
            {
                "lr": 0.02,
                "momentum": 0.8,
                "nesterov": False,
                "betas": (0.8, 0.99),
                "weight_decay": 0.1,
                "adam_eps": 1e-4,
            },
            muown,
        ),
        "muown_fused": (
            "muown",
            ["fused"],
            False,
            {"lr": 0.02, "weight_decay": 0.1},
            muown,
        ),
        "shampoo_blocks": (
            "optimizers",
            list(LEAVES),
            True,
            exact
            | {
                "max_preconditioner_dim": 2,
                "precondition_frequency": 3,
                "start_preconditioning_step": 5,
            },
            of_shampoo,
        ),
        "shampoo_grafted": (
            "optimizers",
            ["vector", "matrix", "wide"],
            True,
            exact
            | {
                "precondition_frequency": 4,
                "weight_decay": 0.1,
                "graft": (0.9, 1e-4),
            },
            of_shampoo,
        ),
        "shampoo_grafted_blocks": (
            "optimizers",
            ["wide"],
            False,
            exact | {"max_preconditioner_dim": 3, "graft": (0.99, 1e-8)},
            of_shampoo,
        ),
        "soap_options": (
            "SOAP",
            ["vector", "matrix", "wide"],
            True,
            {
                "lr": 0.02,
                "betas": (0.9, 0.95),
                "shampoo_beta": 0.8,
                "eps": 1e-4,
                "weight_decay": 0.1,
                "precondition_frequency": 3,
                "precondition_1d": True,
                "correct_bias": False,
            },
            of_soap,
        ),
        "soap_normalized": (
            "SOAP",
            ["matrix", "wide"],
            False,
            {
                "lr": 0.02,
                "weight_decay": 0.0,
                "precondition_frequency": 4,
                "max_precond_dim": 4,
                "normalize_grads": True,
            },
            of_soap,
        ),
        "soap_tensor": (
            "SOAP",
            ["kernel"],
            True,
            {"lr": 0.02, "weight_decay": 0.1, "precondition_frequency": 3},
            of_tensors,
        ),
        "soap_merged": (
            "SOAP",
            ["kernel"],
            False,
            {
                "lr": 0.02,
                "weight_decay": 0.0,
                "precondition_frequency": 4,
                "max_precond_dim": 5,
                "merge_dims": True,
            },
            of_tensors,
        ),
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
