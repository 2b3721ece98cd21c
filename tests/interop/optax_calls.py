"""Calls of Optax that `adamx.interop.optax` makes of adamx's parts, as tests run them.

`CALLS` is a row for each call: the name in Optax, keywords, and by how much its updates
may differ in float64 and float32. Wider bounds have their reason in `WIDER`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

RATE = 1e-2
DOUBLE, SINGLE = 1e-12, 1e-6

WIDER = {
    "adafactor": "Optax computes the decay 1 - t^-0.8 in float32 under x64 too",
    "scale_by_factored_rms": "Optax computes the decay in float32 under x64 too",
    "contrib.muon": "Newton-Schulz makes the roundings of float32 larger",
    "contrib.scale_by_muon": "Newton-Schulz makes the roundings of float32 larger",
    "contrib.schedule_free_sgd": "the update is the difference of two parameters",
    "contrib.schedule_free_adamw": "the update is the difference of two parameters",
    "contrib.dog": "the distance is a difference of parameters, rounded to float32",
    "contrib.dowg": "the distance is a difference of parameters, rounded to float32",
    "contrib.schedule_free": "the update is the difference of two parameters",
}


def falling(count):
    return RATE / (1.0 + 0.1 * count)


def matrices(params):
    return jax.tree.map(lambda p: p.ndim == 2, params)


class Call(NamedTuple):
    name: str
    keywords: dict[str, Any]
    double: float = DOUBLE
    single: float = SINGLE

    def made(self, of):
        """The transformation that a module makes of this call."""
        function = functools.reduce(getattr, self.name.split("."), of)
        keywords = dict(self.keywords)
        if "base_optimizer" in keywords:
            name, given = keywords["base_optimizer"]
            keywords["base_optimizer"] = getattr(of, name)(**given)
        return function(**keywords)

    def __str__(self):
        shown = [
            f"{n}={getattr(x, '__name__', x)}".replace("\n", "")
            for n, x in self.keywords.items()
            if n != "learning_rate" or callable(x)
        ]
        return f"{self.name}({', '.join(shown)})"


def _rated(name, double=DOUBLE, single=SINGLE, **keywords):
    return Call(name, {"learning_rate": RATE, **keywords}, double, single)


PLAIN = "adam nadam adamw nadamw adabelief amsgrad adamax adamaxw radam novograd yogi "
PLAIN += "adagrad lion sgd signum rmsprop adadelta lamb lars"
BARE = "adam amsgrad adamax belief lion radam yogi rms stddev rss adadelta novograd "
BARE += "sm3 sign trust_ratio param_block_rms"

CALLS = [
    *(_rated(name) for name in PLAIN.split()),
    *(Call(name, {"learning_rate": falling}) for name in PLAIN.split()),
    *(Call(f"scale_by_{name}", {}) for name in BARE.split()),
    _rated("adam", b1=0.8, b2=0.9, eps=1e-3, eps_root=1e-4, nesterov=True),
    _rated("adamw", weight_decay=0.1, mask=matrices),
    _rated("adamw", weight_decay=falling),
    _rated("adamw", weight_decay=0.1, mask={"0": True, "1": False, "2": True}),
    _rated("nadamw", eps_root=1e-3),
    _rated("amsgrad", bias_correction_mu=False, bias_correction_nu=False),
    _rated("adabelief", nesterov=True, eps_root=1e-3),
    _rated("radam", nesterov=True, threshold=4.5),
    _rated("sgd", momentum=0.9, nesterov=True),
    _rated("sgd", momentum=0.0),
    _rated("rmsprop", centered=True, momentum=0.9, initial_scale=0.1),
    _rated("rmsprop", eps_in_sqrt=False, bias_correction=True, momentum=0.9),
    _rated("adagrad", initial_accumulator_value=0.0, eps=1e-3),
    _rated("adadelta", weight_decay=0.1, weight_decay_mask=matrices),
    Call("adadelta", {}),
    _rated("lamb", weight_decay=0.1, mask=matrices, eps_root=1e-4),
    _rated("lars", weight_decay=0.1, weight_decay_mask=False, trust_ratio_mask=False),
    _rated("lars", weight_decay=0.1, trust_ratio_mask=matrices, nesterov=True),
    _rated("novograd", weight_decay=0.1, eps_root=1e-4),
    _rated("sm3"),
    _rated("adafactor", 1e-6),
    _rated("adafactor", 1e-6, min_dim_size_to_factor=2),
    _rated("adafactor", 1e-6, min_dim_size_to_factor=2, momentum=0.9),
    _rated("adafactor", 1e-6, weight_decay_rate=1e-2, weight_decay_mask=matrices),
    _rated("adafactor", 1e-6, factored=False, clipping_threshold=None),
    Call("adafactor", {"multiply_by_parameter_scale": False}, 1e-6),
    Call("scale_by_factored_rms", {"min_dim_size_to_factor": 2}, 1e-6),
    Call("scale_by_yogi", {"initial_accumulator_value": 0.1, "eps_root": 1e-3}),
    Call("scale_by_rms", {"bias_correction": True, "initial_scale": 0.5}),
    Call("scale_by_stddev", {"eps_in_sqrt": False}),
    _rated("contrib.ademamix"),
    _rated("contrib.ademamix", b3=lambda k: 0.9 + 0.01 * k, alpha=lambda k: 0.2 * k),
    _rated("contrib.ademamix", weight_decay=0.1, mask=matrices, eps_root=1e-4),
    Call("contrib.scale_by_ademamix", {}),
    _rated("contrib.simplified_ademamix", alpha=2.0),
    Call("contrib.scale_by_simplified_ademamix", {}),
    _rated("contrib.adopt"),
    _rated("contrib.adopt", use_clipping=False, b2=0.99),
    Call("contrib.scale_by_adopt", {"clip_value_fn": lambda k: 1.0 + k}),
    Call("contrib.prodigy", {}, 1e-10),
    Call("contrib.prodigy", {"weight_decay": 0.1, "safeguard_warmup": True}, 1e-10),
    Call("contrib.dadapt_adamw", {"weight_decay": 0.1}),
    Call("contrib.dog", {"weight_decay": 0.1, "mask": matrices}, DOUBLE, 3e-2),
    Call("contrib.dog", {}, DOUBLE, 3e-2),
    Call("contrib.dowg", {}, DOUBLE, 1e-5),
    Call("contrib.dowg", {"init_estim_sq_dist": 1e-2}, DOUBLE, 1e-5),
    _rated("contrib.muon", 1e-11, 2e-5),
    _rated("contrib.muon", 1e-11, 2e-5, weight_decay=0.1, adam_learning_rate=1e-3),
    _rated("contrib.muon", 1e-11, 2e-5, nesterov=False, consistent_rms=0.2),
    _rated("contrib.schedule_free_sgd", 1e-11, 2e-5),
    _rated("contrib.schedule_free_sgd", 1e-11, 2e-5, warmup_steps=5, weight_decay=0.1),
    _rated("contrib.schedule_free_adamw", 1e-11, 2e-4, warmup_steps=5),
    Call(
        "contrib.schedule_free",
        {
            "base_optimizer": ("adam", {"learning_rate": RATE, "b1": 0.0}),
            "learning_rate": falling,
        },
        1e-11,
        2e-4,
    ),
]

DEPARTING = [_rated("adan"), Call("scale_by_adan", {}), _rated("rprop")]
DEPARTING += [Call("scale_by_rprop", {"learning_rate": RATE})]
"""Optax is wrong there: the page and the docstrings say how."""

SHAPES = {"0": (4, 3), "1": (3, 5), "2": (5,)}


def data(dtype, steps, seed=0):
    """Parameters, and gradients of changing sizes."""
    random = np.random.default_rng(seed)
    params = {n: jnp.asarray(random.normal(size=s), dtype) for n, s in SHAPES.items()}
    sizes = 10 ** random.uniform(-1, 1, size=steps)
    grads = [
        {n: jnp.asarray(k * random.normal(size=s), dtype) for n, s in SHAPES.items()}
        for k in sizes
    ]
    return params, grads


def run(tx, params, grads, state=None):
    """The updates of each step, the last state and the last parameters."""
    state = tx.init(params) if state is None else state
    step, updates = jax.jit(tx.update), []
    for g in grads:
        u, state = step(g, state, params)
        params = optax.apply_updates(params, u)
        updates.append(u)
    return updates, state, params


def apart(ours, theirs):
    """The largest difference of an element, relative to its largest update."""

    def rows(updates):
        return np.stack(
            [
                np.concatenate([np.float64(x).ravel() for x in jax.tree.leaves(u)])
                for u in updates
            ]
        )

    a, b = rows(ours), rows(theirs)
    largest = np.abs(b).max(0)
    return float((np.abs(a - b).max(0) / np.where(largest > 0, largest, 1)).max())


def form(tree):
    """The structure of a state, and the shapes and dtypes of its arrays."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(x.shape, x.dtype) for x in leaves]
