"""The oracle of each recorded matrix optimizer, and its keywords, from their options.

`record_packages.py`, `record_repositories.py`, `record_matrices.py` and
`record_bases.py` recorded them. A form takes the options of a leaf, the leaf, and what
the file has, and gives the oracle with the keywords that make it the released code:
measured, to 7e-15. Where those are not the paper's:

- AdaMuon's code has Nesterov's term inside the sign, and ε in |Ô| + ε; its two classes,
  for GPT-2 and for Megatron, are one method.
- NorMuon's code looks ahead (Nesterov) and keeps the length of O; it adds 1e-10 to it.
- Dion's code runs on Xᵀ where a matrix has fewer rows than columns.
- Dion2's code iterates by the polynomials of Polar Express, on M / (1.02 ‖M‖ + ε).
- Scion's code adds 1e-8 to an RMS.
- SOAP's and KL-SOAP's codes decay after the step; KL-SOAP's has no bias correction, and
  for three axes takes eigenvalues of this step where the paper has those before it.
- SPlus's code for torch decays after the step; it averages θ between the two, the code
  for Optax before both.
- Muown's code sums the momentum in place of averaging it, so its ε is 1 - β times that.
- Distributed Shampoo grafts block by block.
- SNOO's code makes its first outer step after the first inner one.
"""

import functools

import numpy as np

from tests import papers

BEGIN = "start_preconditioning_step"
ROOT = float(np.sqrt(np.finfo(np.float32).eps))
"""The damping of PSGD Kron, which its code takes in float32."""


def muon(group, leaf, run):
    scale = group["adjust_lr_fn"]
    return papers.muon, {
        "beta": group["momentum"],
        "nesterov": group["nesterov"],
        "weight_decay": group["weight_decay"],
        "consistent_rms": 0.2 if scale == "match_rms_adamw" else None,
        "least": 0.0 if scale == "spectral_unclamped" else 1.0,
        "eps": 0.0,  # max(|X|, ε), and no |X| here is as small
    }


def normuon(group, leaf, run):
    return papers.normuon, {
        "beta": group["momentum"],
        "b2": group["beta2"],
        "weight_decay": group["weight_decay"],
        "eps": 1e-10,
        "eps_length": 1e-10,
        "released": True,
    }


def adamuon(group, leaf, run):
    eps = group["eps"] if "eps" in group else group["adamw_eps"]
    return papers.adamuon, {
        "beta": group["momentum"],
        "eps": eps,
        "eps_rms": eps,
        "weight_decay": group["weight_decay"],
        "nesterov": group["nesterov"],
    }


def dion(group, leaf, run):
    """Dion, and Dion2 of the same repository."""
    if "fraction" in group:
        return papers.dion2, {
            "mu": group["ef_decay"],
            "fraction": group["fraction"],
            "eps": group["epsilon"],
            "weight_decay": group["weight_decay"],
            "coefficients": group["coefficients"],
            "safety": 1.02,
        }
    rows, columns = run[leaf].shape[1:]
    return papers.dion, {
        "start": run[f"{leaf}.drawn"],
        "mu": group["mu"],
        "eps": group["epsilon"],
        "weight_decay": group["weight_decay"],
        "transposed": rows < columns,
    }


def scion(group, leaf, run):
    return papers.scion, {
        "beta": 1 - group["momentum"],
        "weight_decay": 0.0 if group["unconstrained"] else 1.0,
        "radius": group["scale"],
        "output_radius": group["scale"],
        "output": group["norm"] == "Sign",
        "eps_rms": 1e-8,
    }


def soap(group, leaf, run):
    b1, b2 = group["betas"]
    beta, drawn = group["shampoo_beta"], (f"{leaf}.left", f"{leaf}.right")
    oracle, most = papers.soap, group["max_precond_dim"]
    if group["merge_dims"]:
        oracle = functools.partial(papers.soap_merged, max_dim=most)
    return oracle, {
        "b1": b1,
        "b2": b2,
        "shampoo_beta": None if beta < 0 else beta,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "precondition_frequency": group["precondition_frequency"],
        "bias_correction": group["correct_bias"],
        "precondition_1d": group["precondition_1d"],
        "normalize_grads": group["normalize_grads"],
        "bases": [run.get(side) for side in drawn] if f"{leaf}.left" in run else None,
        "released": True,
    }


def kl_soap(group, leaf, run):
    b1, b2 = group["betas"]
    beta = group["shampoo_beta"]
    return papers.kl_soap, {
        "b1": b1,
        "b2": b2,
        "shampoo_beta": None if beta < 0 else beta,
        "eps": group["eps"],
        "weight_decay": group["weight_decay"],
        "precondition_frequency": group["precondition_frequency"],
        "init_factor": run["about"]["options"].get("init_factor", 0.1),
        "bias_correction": False,
        "decay_after": True,
        "in_turn": run[leaf].ndim == 4,  # the steps, and three axes
    }


def shampoo(group, leaf, run):
    words, b2 = {}, group["betas"][1]
    blocks = group["max_preconditioner_dim"] < max(run[leaf].shape[1:])
    if blocks:
        words["block_size"] = group["max_preconditioner_dim"]
    frequency, start = (group[k] for k in ("precondition_frequency", BEGIN))
    grafted = run["about"]["options"].get("graft")
    if grafted is None:
        words |= {"precondition_frequency": frequency, BEGIN: start}
        words |= {"eps": group["epsilon"], "b2": b2, "bias_correction": True}
        return papers.shampoo_in_blocks if blocks else papers.shampoo, words
    words |= {
        "b2": grafted[0],
        "eps": grafted[1],
        "weight_decay": group["weight_decay"],
    }
    words |= {"b2_shampoo": b2, "eps_shampoo": group["epsilon"]}
    words |= {"interval": frequency, "start": start}
    if blocks:
        return papers.adam_on_shampoo_in_blocks, words
    return papers.adam_on_shampoo, words


def splus(group, leaf, run):
    of_torch = "optax" not in group
    return papers.splus, {
        "b1": group["b1"],
        "b2": group["b2"],
        "weight_decay": group["weight_decay"],
        "ema_decay": group["ema_rate"],
        "nonstandard_constant": group.get("nonstandard_constant", 0.001),
        "inverse_every": group["inverse_every"],
        "max_dim": group.get("max_dim"),
        "decays_after": of_torch,
    }


def muown(group, leaf, run):
    b1, b2 = group["betas"]
    return papers.muown, {
        "beta": group["momentum"],
        "nesterov": group["nesterov"],
        "b1": b1,
        "b2": b2,
        "adam_eps": group["adam_eps"],
        "weight_decay": group["weight_decay"],
        "ns_steps": group["ns_steps"],
        "parts": 3 if leaf == "fused" else 1,
        "released": True,
    }


def psgd_kron(group, leaf, run):
    """With "one_diag" the longer side has a diagonal factor, of equal ones the last."""
    probes, shape = run[f"{leaf}.drawn"], run[leaf].shape[1:]
    p = group.get("preconditioner_update_probability", 1.0)  # of the first 500 steps
    fits = [i for i in range(len(run[leaf])) if fitted(i, p)]
    longest = max(range(len(shape)), key=lambda i: (shape[i], i))
    return papers.psgd_kron, {
        "probe": lambda k, _: probes[fits.index(k)],
        "b1": group.get("b1", 0.9),
        "preconditioner_lr": group.get("preconditioner_lr", 0.1),
        "preconditioner_update_probability": p,
        "start": group.get("preconditioner_init_scale", 1.0),
        "diagonal": (longest,) if "memory_save_mode" in group else (),
        "weight_decay": group.get("weight_decay", 0.0),
        "damping": ROOT,
    }


def fitted(k, p):
    """Whether the factors are fitted at step `k`: in every ceil(1 / p)-th step."""
    return (k + 1) % int(np.ceil(1 / p)) == 0


def speedrun(group, leaf, run):
    """SNOO around Adam, MuonH, AdamH: scripts of the NanoGPT speedrun."""
    if "outer_lr" in group:
        b1, b2 = group["betas"]
        return lambda *given, **words: papers.snoo_adam(*given, **words)[0], {
            "b1": b1,
            "b2": b2,
            "eps": group["eps"],
            "sync_period": group["k"],
            "outer_learning_rate": group["outer_lr"],
            "outer_momentum": group["momentum"],
            "released": group["begin"] == 0,
        }
    if "mu" in group:
        return papers.muonh, {
            "beta": group["mu"],
            "coefficients": (2, -1.5, 0.5),
            "ns_steps": 12,
            "eps": 1e-7,
        }
    b1, b2 = group["betas"]
    return papers.adamh, {"b1": b1, "b2": b2, "eps": group["eps"]}


# the name of the package or repository: the form
ORACLES = {
    "torch": muon,
    "pytorch": muon,
    "NorMuon": normuon,
    "AdaMuon": adamuon,
    "dion": dion,
    "scion": scion,
    "SOAP": soap,
    "KL-Methods": kl_soap,
    "optimizers": shampoo,
    "splus": splus,
    "muown": muown,
    "psgd_jax": psgd_kron,
    "modded-nanogpt": speedrun,
}
