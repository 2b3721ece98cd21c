"""Bytes per parameter on the tree of GPT-2 small, counted from the arrays' shapes."""

import math
from typing import Any

import jax
import jax.numpy as jnp

import adamx
from adamx.storage import Blockwise
from benchmarks.cost.memory.forms import BY_NAME, Form

BARS = {"float32": 8.0, "bfloat16": 4.0, "8 bits": 2.08, "4 bits": 1.08}
WHOLE = 7.1  # weight, residual, both moments and gradient
KEPT = 5.1  # without the gradient
LEAF = 2.3  # of a leaf of 4,096 elements or more, both moments at 8 bits
SHAPES = ((512, 10), (65536, 1), (3, 3, 64, 128))


def gpt2(dtype: Any = jnp.float32) -> dict[str, Any]:
    """The parameters of GPT-2 small (124,439,808), without their data.

    Radford et al., "Language models are unsupervised multitask learners", 2019.
    """

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype)

    def dense(n: int, m: int) -> dict[str, Any]:
        return {"kernel": array(n, m), "bias": array(m)}

    def norm() -> dict[str, Any]:
        return {"scale": array(768), "bias": array(768)}

    def block() -> dict[str, Any]:
        return {
            "ln_1": norm(),
            "attn": {"c_attn": dense(768, 2304), "c_proj": dense(768, 768)},
            "ln_2": norm(),
            "mlp": {"c_fc": dense(768, 3072), "c_proj": dense(3072, 768)},
        }

    return {
        "wte": array(50257, 768),
        "wpe": array(1024, 768),
        "h": [block() for _ in range(12)],
        "ln_f": norm(),
    }


def parameters(tree: Any) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


def row(form: Form) -> dict[str, Any]:
    params = gpt2(form.params)
    n = parameters(params)
    state = adamx.memory_plan(form.tx(), params).bytes / n
    weight = jnp.dtype(form.params).itemsize
    return {
        "form": form.name,
        "state": state,
        "weight": weight,
        "kept": state + weight,
        "with gradient": state + 2 * weight,
    }


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every bar with what was counted."""
    by_name = {r["form"]: r for r in rows}
    judged = [
        {"what": f"state, {name}", "limit": limit, "measured": by_name[name]["state"]}
        for name, limit in BARS.items()
    ]
    seven = by_name["7 bytes"]
    judged.append(
        {"what": "7 bytes, all", "limit": WHOLE, "measured": seven["with gradient"]}
    )
    judged.append({"what": "7 bytes, kept", "limit": KEPT, "measured": seven["kept"]})
    codec = Blockwise()
    for shape in SHAPES:
        p = jax.ShapeDtypeStruct(shape, jnp.float32)
        tx = adamx.store(adamx.scale_by_adam(), mu=codec, nu=codec)
        size = sum(r.bytes for r in adamx.memory_plan(tx, p).rows) / math.prod(shape)
        judged.append(
            {"what": f"leaf {shape}, 8 bits", "limit": LEAF, "measured": size}
        )
    for bar in judged:
        bar["met"] = bar["measured"] <= bar["limit"] + 1e-6
    return judged


def run() -> dict[str, Any]:
    rows = [row(form) for form in BY_NAME.values() if not form.control]
    return {"rows": rows, "bars": bars(rows)}
