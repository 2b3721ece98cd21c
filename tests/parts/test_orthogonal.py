"""Orthogonalisation: iterations against an SVD, stacks, spreading, precision."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P

import adamx
from adamx.numerics.matrices import HIGHEST
from adamx.parts import (
    ExactPolar,
    MatrixAxes,
    NewtonSchulz,
    Orthogonalize,
    cans,
    classic_quintic,
    deepseek_v4,
    gram_newton_schulz,
    muon_quintic,
    polar_express,
)
from tests.papers.polynomials import polar_express as best_polynomials
from tests.support.meshes import NEEDS_DEVICES

CONDITIONS = 10.0 ** np.arange(7)

# iteration: (the least singular value of its docstring, the farthest from 1)
BOUNDS = {
    muon_quintic(5): (0.0015, 0.33),
    classic_quintic(10): (0.01, 0.001),
    deepseek_v4(): (0.0001, 0.002),
    polar_express(5): (0.001, 0.2),
    polar_express(8): (0.001, 0.00001),
    cans(8): (0.001, 0.14),
    gram_newton_schulz(polar_express(5)): (0.001, 0.2),
    ExactPolar(): (1e-6, 1e-12),
}


def with_condition(condition, m=12, n=20, seed=0):
    """A matrix with singular values from 1 to 1 / condition, and its polar factor."""
    random = np.random.default_rng(seed)
    u = np.linalg.qr(random.standard_normal((m, m)))[0]
    v = np.linalg.qr(random.standard_normal((n, m)))[0]
    s = np.geomspace(1, 1 / condition, m)
    return (u * s) @ v.T, u @ v.T


@functools.cache
def stack():
    return np.stack([with_condition(c)[0] for c in CONDITIONS])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("iteration", BOUNDS, ids=repr)
def test_singular_values_are_as_near_to_one_as_the_docstring_says(iteration):
    """By a float64 SVD; the singular vectors are kept."""
    least, far = BOUNDS[iteration]
    o = np.asarray(iteration.orthogonalize(jnp.asarray(stack()), 0.0, HIGHEST))
    for x, y in zip(stack(), o, strict=True):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        factor = getattr(iteration, "safety", 1.0) * np.sqrt(np.sum(s**2))
        inside = s / (1.0 if isinstance(iteration, ExactPolar) else factor) >= least
        mapped = u.T @ y @ vt.T
        assert np.abs(np.diag(mapped)[inside] - 1).max(initial=0) <= far
        np.testing.assert_allclose(mapped, np.diag(np.diag(mapped)), atol=1e-10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("iteration", [i for i in BOUNDS if hasattr(i, "coefficients")])
def test_an_iteration_is_its_polynomials_of_the_singular_values(iteration):
    """s ← a s + b s³ + c s⁵ in NumPy, to rounding; Gram's on X Xᵀ to its root."""
    x = stack()[2]
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / (iteration.safety * np.sqrt(np.sum(s**2)))
    for a, b, c in iteration.coefficients:
        s = a * s + b * s**3 + c * s**5
    o = iteration.orthogonalize(jnp.asarray(x[None]), 0.0, HIGHEST)[0]
    np.testing.assert_allclose(o, (u * s) @ vt, rtol=0, atol=1e-10)


def test_the_polar_express_rows_are_the_best_polynomials():
    """To the printed digits, those that Remez finds for [0.001, 1]."""
    rows = np.array(polar_express(7).coefficients) * 1.01 ** np.array([1, 3, 5])
    np.testing.assert_allclose(rows, list(best_polynomials(7)), rtol=1e-5)


def test_the_cans_rows_are_the_best_cubics():
    """p(l) = p(r) = 1 - ε and its maximum is 1 + ε: alternation."""
    left, right = 1e-3, 1.0
    for a, b, c in cans(8).coefficients:
        x = np.linspace(left, right, 100_001)
        p = a * x + b * x**3
        far = p.max() - 1
        assert c == 0
        np.testing.assert_allclose([1 - p[0], 1 - p[-1]], far, rtol=1e-6)
        left, right = 1 - far, 1 + far


# ---- stacks --------------------------------------------------------------------------


def tree(shapes):
    random = np.random.default_rng(1)
    return {k: jnp.asarray(random.standard_normal(s)) for k, s in shapes.items()}


SHAPES = {
    "a": (8, 6),
    "b": (6, 8),  # the same, transposed
    "c": (8, 6),
    "d": (5, 5),
    "stack": (3, 8, 6),
    "bias": (4,),
}
AXES = {"stack": MatrixAxes(1, 2, 0)}


def products(program):
    return sum(" dot(" in line or "$matmul" in line for line in program.splitlines())


def test_twelve_matrices_of_one_shape_take_the_products_of_one():
    """At most 20 products in the compiled program: three, in a loop."""
    params = {f"w{i}": jnp.ones((128, 128)) for i in range(12)}
    tx = adamx.muon(0.02)
    program = jax.jit(tx.update).lower(params, tx.init(params), params).compile()
    assert 3 <= products(program.as_text()) <= 20


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("make", [adamx.muon, adamx.adamuon])
def test_a_tree_is_updated_as_its_leaves_one_by_one(make):
    tx, params = make(0.02, axes=AXES), tree(SHAPES)
    together = jax.jit(tx.update)(params, tx.init(params), params)[0]
    for name, p in params.items():
        slices = {f"{name}": p}
        if name == "stack":
            for i, q in enumerate(p):
                one = make(0.02).init({"w": q})
                u = make(0.02).update({"w": q}, one, {"w": q})[0]["w"]
                np.testing.assert_allclose(together[name][i], u, rtol=0, atol=1e-14)
            continue
        alone = tx.update(slices, tx.init(slices), slices)[0][name]
        np.testing.assert_allclose(together[name], alone, rtol=0, atol=1e-14)


@pytest.mark.usefixtures("x64")
def test_a_rule_alone_masked_and_stored_does_the_same():
    """Without a chain there are no stacks; `store` keeps them, `stacked` too."""
    params = tree({"a": (8, 6), "b": (6, 8)})
    tx = adamx.muon(0.02)
    expected = tx.update(params, tx.init(params), params)[0]
    stored = adamx.store(tx, momentum=adamx.storage.Cast(jnp.float32))
    assert len(stored.passes) == 2
    got = stored.update(params, stored.init(params), params)[0]
    jax.tree.map(np.testing.assert_array_equal, got, expected)
    whole = {"w": jnp.stack([params["a"], params["b"].T])}
    deep = adamx.stacked(adamx.muon(0.02, muon_mask="w"), "w")
    u = deep.update(whole, deep.init(whole), whole)[0]["w"]
    np.testing.assert_allclose(u[0], expected["a"], rtol=0, atol=1e-14)
    o = Orthogonalize()
    grouped = adamx.chain(o).update(params, adamx.chain(o).init(params))[0]
    around = adamx.parts.Grams(o)
    alone = around.update(params, around.init(params))[0]
    for name in params:
        np.testing.assert_allclose(abs(alone[name]), abs(grouped[name]), atol=1e-14)


@NEEDS_DEVICES
@pytest.mark.parametrize("mode", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("count", [8, 12])
def test_spread_stacks_are_iterated_without_communication(count, mode):
    """12 matrices are filled up to 16. No collective stands in the loop's body."""
    mesh = jax.make_mesh((8,), ("d",), axis_types=(mode,))
    params = {
        f"w{i}": x for i, x in enumerate(np.eye(16, dtype="f")[None] + stacked(count))
    }
    spread = adamx.muon(0.02, spread=NamedSharding(mesh, P("d")))
    params = jax.device_put(params, NamedSharding(mesh, P()))
    step = jax.jit(spread.update).lower(params, spread.init(params), params).compile()
    bodies = loops(step.as_text())
    of_a_device = f"f32[{-(-count // 8)},16,16]"
    assert any(of_a_device in body and "dot_general" in body for body in bodies)
    for body in bodies:
        for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
            assert word not in body
    plain = adamx.muon(0.02)
    expected = plain.update(params, plain.init(params), params)[0]
    got = step(params, spread.init(params), params)[0]
    for name in params:
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=1e-6)
    said = str(adamx.matrix_plan(spread, params))
    filled = ", filled up with zeros to 16 for the devices" if count == 12 else ""
    assert said.endswith(f"Stacks: {count} of 16 × 16{filled}.")


def over(kind, *spec):
    mesh = jax.make_mesh((4, 2), ("d", "m"), axis_types=(kind, kind))
    return NamedSharding(mesh, P(*spec))


def inside_shard_map():
    spread = over(AxisType.Auto, "d")
    tx, params = adamx.muon(0.1, spread=spread), {"w": jnp.ones((4, 4))}
    jax.shard_map(
        lambda p: tx.update(p, tx.init(p), p)[0],
        mesh=spread.mesh,
        in_specs=P(),
        out_specs=P(),
    )(params)


NO_SPREADS = {
    r"muon: `spread` must be over axes that are Auto or Explicit, got 'd'": lambda: (
        adamx.muon(0.1, spread=over(AxisType.Manual, "d"))
    ),
    r"adamuon: `spread` must be a NamedSharding whose first axis": lambda: (
        adamx.adamuon(0.1, spread=over(AxisType.Auto, None, "d"))
    ),
    r"muon: `spread` must shard the first axis only, that of the m.*'m'": lambda: (
        adamx.muon(0.1, spread=over(AxisType.Auto, "d", "m"))
    ),
    r"x of .* is not found in mesh": lambda: over(AxisType.Auto, "x"),  # JAX's own
    r"`spread` must not be over an axis of the shard_map around": inside_shard_map,
}


@NEEDS_DEVICES
@pytest.mark.parametrize("sentence", NO_SPREADS)
def test_a_spread_over_what_is_no_axis_for_stacks_is_refused(sentence):
    with pytest.raises(ValueError, match=sentence):
        NO_SPREADS[sentence]()


def stacked(count):
    return np.random.default_rng(2).standard_normal((count, 16, 16)).astype("f") / 9


def loops(program):
    """Return the bodies of the while loops of a compiled program, as text."""
    bodies, names = [], set()
    for line in program.splitlines():
        if " while(" in line:
            names.add(line.split("body=")[1].split(",")[0].strip("% "))
    for block in program.split("\n\n"):
        if any(block.lstrip().startswith((f"%{n} ", f"{n} ")) for n in names):
            bodies.append(block)
    return bodies


# ---- precision -----------------------------------------------------------------------


def jaxprs(jaxpr):
    yield jaxpr
    for eqn in jaxpr.eqns:
        for value in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from jaxprs(inner)


def equations(tx, params, *primitives):
    """Return the equations of one step that have one of these primitives."""
    traced = jax.make_jaxpr(tx.update)(params, tx.init(params), params)
    return [
        eqn
        for jaxpr in jaxprs(traced.jaxpr)
        for eqn in jaxpr.eqns
        if eqn.primitive.name in primitives
    ]


MATRIX = {
    "muon": adamx.muon,
    "adamuon": adamx.adamuon,
    "gram": functools.partial(
        adamx.muon, iteration=gram_newton_schulz(polar_express(5))
    ),
    "exact": functools.partial(adamx.muon, iteration=ExactPolar()),
    "aol": functools.partial(adamx.muon, preconditioning="aol"),
    "schatten": functools.partial(
        adamx.muon, preconditioning="schatten", adaptive=True
    ),
    "soap": functools.partial(adamx.soap, sort=True, block_size=3),
    "kl_soap": adamx.kl_soap,
    "psgd_kron": adamx.psgd_kron,
    "shampoo": functools.partial(adamx.shampoo, precondition_frequency=2),
    "galore": functools.partial(adamx.galore, rank=2),
    "fira": functools.partial(adamx.fira, rank=2),
    "apollo": functools.partial(adamx.apollo, rank=2),
    "apollo_mini": adamx.apollo_mini,
    "dion": adamx.dion,
    "dion2": adamx.dion2,
    "normuon": adamx.normuon,
    "scion": adamx.scion,
    "muonh": adamx.muonh,
    "muown": adamx.muown,
    "splus": adamx.splus,
}
HIGH = jax.lax.Precision.HIGH


@pytest.mark.parametrize("name", MATRIX)
def test_every_product_has_the_precision_that_is_declared(name):
    """Full float32 unless another one is given; a dtype is that of the operands."""
    params = {"w": jnp.ones((4, 6))}
    wanted = {None: (HIGHEST, "float32"), "high": (HIGH, "float32")}
    wanted[jnp.bfloat16] = wanted["bfloat16"] = (HIGHEST, "bfloat16")
    for given, (precision, dtype) in wanted.items():
        keywords = {} if given is None else {"precision": given}
        tx = MATRIX[name](0.02, **keywords)
        found = equations(tx, params, "dot_general")
        assert {e.params["precision"] for e in found} == {(precision, precision)}
        assert {str(v.aval.dtype) for e in found for v in e.invars} == {dtype}
        assert {str(e.outvars[0].aval.dtype) for e in found} == {"float32"}


FACTORS = ("eigh", "qr", "geqrf", "householder_product", "svd", "triangular_solve")
DECOMPOSED = (
    "soap",
    "splus",
    "kl_soap",
    "shampoo",
    "psgd_kron",
    "galore",
    "dion",
    "exact",
)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_matrices_of_bfloat16_are_decomposed_in_float32(name):
    """Also where the products are of bfloat16: decompositions take no precision."""
    tx = MATRIX[name](0.02, precision=jnp.bfloat16)
    found = equations(tx, {"w": jnp.ones((4, 6), jnp.bfloat16)}, *FACTORS)
    assert found
    assert {str(v.aval.dtype) for e in found for v in e.invars} == {"float32"}


# ---- bad input -----------------------------------------------------------------------

REFUSED = {
    r"muon: `coefficients` must have at most `ns_steps` rows, got 6": lambda: (
        adamx.muon(0.1, ((3, -3, 1),) * 6)
    ),
    r"muon: `coefficients` must be rows": lambda: adamx.muon(0.1, ((3, -3),)),
    r"NewtonSchulz: `coefficients` must be finite": lambda: NewtonSchulz(
        ((3, np.inf, 1),)
    ),
    r"NewtonSchulz: `start` must be one of frobenius, .* got 'l2'": lambda: (
        NewtonSchulz(((3, -3, 1),), "l2")
    ),
    r"muon: `iteration` must come without `coefficients`": lambda: adamx.muon(
        0.1, ns_steps=3, iteration=cans(8)
    ),
    r"`iteration` must be an iteration, got 5": lambda: adamx.muon(0.1, iteration=5),
    r"muon: `precision` must be a jax.lax.Precision, its .* got 'fast'": lambda: (
        adamx.muon(0.1, precision="fast")
    ),
    r"soap: `precision` must be .* a dtype of operands, got the class int8": lambda: (
        adamx.soap(0.1, precision=jnp.int8)
    ),
    r"dion: `precision` must be .*, got None. Pass 'highest', 'high'": lambda: (
        adamx.dion(0.1, precision=None)
    ),
    r"`spread` must be a NamedSharding": lambda: adamx.muon(0.1, spread="data"),
    r"cans: `lower` must be in \(0, 1\], got 2": lambda: cans(8, 2.0),
    r"polar_express: `steps` must be a whole number, at least 1, got 0": lambda: (
        polar_express(0)
    ),
    r"gram_newton_schulz: `iteration` must be a NewtonSchulz": lambda: (
        gram_newton_schulz(ExactPolar())
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_bad_arguments_are_refused(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSED[sentence]()
