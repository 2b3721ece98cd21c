"""How far matrices end from their float64 values, by the precision of products.

Products are of float32, of TF32 and of bfloat16: operands are rounded to 23, 10 and 7
bits of mantissa, and the sums are float32. Decompositions are float32 in all three.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

import adamx
from adamx.numerics import matrices
from adamx.parts import iterations
from benchmarks.cost.harness import options

BITS = {"float32": 23, "TF32": 10, "bfloat16": 7}
CONDITIONS = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
ITERATIONS = (
    iterations.muon_quintic(5),
    iterations.classic_quintic(10),
    iterations.polar_express(5),
    iterations.polar_express(8),
    iterations.cans(8),
    iterations.deepseek_v4(),
    iterations.gram_newton_schulz(iterations.polar_express(5)),
)
RESULTS = options.RESULTS / "matrices.json"
HEAD = ("computed", "products", *(f"{c:.0e}" for c in CONDITIONS))


def rounded(bits: int) -> Any:
    """Round the operands of every product of matrices to so many bits."""

    def kept(x: Any) -> Any:
        return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=bits)

    def operands(precision: Any, *given: Any) -> tuple[tuple, dict]:
        return tuple(map(kept, given)), {"precision": matrices.HIGHEST}

    return mock.patch.object(matrices, "_operands", operands)


def matrix(condition: float, m: int = 32, n: int = 48) -> np.ndarray:
    """A matrix of random singular vectors, its singular values from 1 geometrically."""
    random = np.random.default_rng(0)
    u = np.linalg.qr(random.standard_normal((m, m)))[0]
    v = np.linalg.qr(random.standard_normal((n, m)))[0]
    return (u * np.geomspace(1, 1 / condition, m)) @ v.T


def relative(got: Any, exact: np.ndarray) -> float:
    difference = np.asarray(got, np.float64) - exact
    return float(np.linalg.norm(difference) / np.linalg.norm(exact))


def farthest(iteration: Any, x: np.ndarray) -> float:
    """The largest |s - 1| of the singular values that are at least 0.01 ‖X‖_F."""
    stack = jnp.asarray(x[None], jnp.float32)
    o = np.asarray(iteration.orthogonalize(stack, 0.0, None)[0], np.float64)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    ends = np.linalg.norm(u.T @ o, axis=1)
    return float(np.abs(ends - 1)[s >= 0.01 * np.linalg.norm(x)].max())


def root(x: np.ndarray) -> float:
    """The error of (X Xᵀ + 10⁻⁴ I)^(-1/4), Shampoo's root, relative to its norm."""
    y = jnp.asarray(x, jnp.float32)
    h = matrices.gram(y) + 1e-4 * jnp.eye(len(x), dtype=jnp.float32)
    got = matrices.symmetric_power.__wrapped__(h, -0.25)
    values, vectors = np.linalg.eigh(x @ x.T + 1e-4 * np.eye(len(x)))
    return relative(got, (vectors * values**-0.25) @ vectors.T)


def soap_slots(x: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """SOAP's slots after its first step (eigenvectors), then its second (QR).

    Both have the gradient X, and no average has a memory.
    """
    tx = adamx.scale_by_soap(0.0, 0.0, precondition_frequency=1, one_sided="left")
    g = jnp.asarray(x, jnp.float32)
    state = tx.init(g)
    for _ in range(2):
        _, state = tx.update(g, state)
        yield {n: np.asarray(s, np.float64) for n, s in state.slots.items()}


def orthogonality(step: int) -> Callable[[np.ndarray], float]:
    """‖Qᵀ Q - I‖_F / ‖I‖_F after the first or the second step."""

    def error(x: np.ndarray) -> float:
        q = list(soap_slots(x))[step]["left_basis"]
        return relative(q.T @ q, np.eye(len(q)))

    return error


def off_diagonal(x: np.ndarray) -> float:
    """What is off the diagonal of Qᵀ X Xᵀ Q after QR, relative to its norm."""
    q = list(soap_slots(x))[1]["left_basis"]
    seen = q.T @ x @ x.T @ q
    return relative(seen, np.diag(np.diag(seen)))


def rotated(x: np.ndarray) -> float:
    """The error of |Qᵀ X|, the root of V, with the Q that was kept."""
    first, second = soap_slots(x)
    return relative(np.sqrt(second["nu"]), np.abs(first["left_basis"].T @ x))


OF_TWO_SIDES = {
    "Shampoo's root": root,
    "SOAP's first basis: orthogonality": orthogonality(0),
    "SOAP's QR: orthogonality": orthogonality(1),
    "SOAP's QR: off the diagonal": off_diagonal,
    "SOAP's rotated gradient": rotated,
}


def errors() -> list[dict[str, Any]]:
    """A row for each computation and arithmetic: the error at each condition."""
    computed = {str(one): lambda x, one=one: farthest(one, x) for one in ITERATIONS}
    computed |= OF_TWO_SIDES
    rows = []
    for name, bits in BITS.items():
        jax.clear_caches()
        with rounded(bits):
            for of, error in computed.items():
                measured = [error(matrix(c)) for c in CONDITIONS]
                rows.append({"of": of, "products": name, "errors": measured})
    jax.clear_caches()
    return rows


def lines(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows as text."""
    return [
        (row["of"], row["products"], *(f"{e:.1e}" for e in row["errors"]))
        for row in rows
    ]


def table() -> list[tuple[str, ...]]:
    """The rows of the last run, the arithmetics of one computation together."""
    rows = json.loads(RESULTS.read_text())["errors"]
    names = list(dict.fromkeys(row["of"] for row in rows))
    return lines(sorted(rows, key=lambda row: names.index(row["of"])))
