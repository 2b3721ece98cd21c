"""Traced functions as programs of single numbers, and these as JavaScript."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import adamx
from adamx.playground import javascript, twins
from adamx.playground.jaxprs import program
from adamx.playground.scalars import Program, inputs
from adamx.playground.surfaces import SURFACES
from tests.playground.evaluation import evaluated, is_close
from tests.table.cases import SMALL

SAMPLE = ["adam", "adafactor", "dadapt_adamw", "lookahead", "radam", "rprop"]
SAMPLE += ["sophia", "spam"]
STEPS = 60


def traced(function, *shapes, dtype=jnp.float64):
    """The finished program of a function of arrays of these shapes, and its tree."""
    given = [
        (jax.ShapeDtypeStruct(shape, dtype), [inputs("abc"[i], shape)])
        for i, shape in enumerate(shapes)
    ]
    made, found = program(function, *given)
    return made.finish(*(np.ravel(x) for x in jax.tree.leaves(found))), found


def everything(a, b):
    """Every primitive that has a translation, on vectors and a matrix."""
    count = (a * 10).astype(jnp.int32)
    both = jnp.stack([a, b])
    return [
        a + b - a * b / (1 + b * b),
        lax.rem(a, b),
        a**2 + a**-3 + jnp.abs(a) ** b + lax.square(b),
        lax.rsqrt(jnp.abs(a)) + jnp.sqrt(jnp.abs(b)),
        jnp.exp(a) + jnp.expm1(b) + jnp.log(jnp.abs(a)) + jnp.log1p(b * b),
        lax.logistic(a) + jnp.arctan2(a, b) + jnp.tanh(a),
        jnp.sin(a) + jnp.cos(b) + jnp.tan(a) + jnp.sign(b) - jnp.floor(a) + jnp.ceil(b),
        jnp.maximum(a, b) + jnp.minimum(-a, b),
        lax.div(count, jnp.int32(3)) + lax.rem(count, jnp.int32(4)),
        jnp.where((a < b) & (a != 0) | ~(b >= 1), a, b) + (a <= b) + (a == a) + (a > 2),
        jnp.isfinite(a / (a - a)),
        both.sum(0) + both.sum(),
        both.max(1),
        both.min() + both.T.reshape(-1)[1:4:2],
        jnp.any(both > 1, 0) | jnp.all(both > -3, 1),
        count.astype(bool) | (a > 5),
        jnp.concatenate([a, b]) * jnp.arange(4) + lax.iota(jnp.int32, 4),
        (a.astype(jnp.float32) * b.astype(jnp.float32)).astype(jnp.float64) * a,
    ]


@pytest.mark.usefixtures("x64")
def test_each_primitive_is_what_jax_computes():
    a, b = np.array([-1.7, 0.6]), np.array([2.3, -0.9])
    made, _ = traced(everything, (2,), (2,))
    wanted = [np.ravel(x) for x in jax.jit(everything)(a, b)]
    found = evaluated(made, a=a, b=b)
    for i, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert is_close(ours, theirs, 1e-13), (i, ours, theirs)
    javascript.function(made, ["a", "b"])  # each operation is known there


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lax.erf_inv, "got `erf_inv`"),
        (lambda a: lax.while_loop(lambda x: x[0] < 1, lambda x: x + 1, a), "`while`"),
        (
            lambda a: a.astype(jnp.bfloat16) + 1,
            "got `convert_element_type` on bfloat16",
        ),
        (lambda a: a.astype(jnp.int32) & 1, "got `and` on int32"),
        (jnp.sort, "got `sort`"),
    ],
)
def test_what_has_no_translation_is_named(function, what):
    with pytest.raises(adamx.AdamxError, match=f"primitives .* JavaScript, .*{what}"):
        traced(function, (2,), dtype=jnp.float32)


def test_a_program_has_each_operation_once_and_none_in_vain():
    made = Program()
    (a,) = inputs("a", (1,))
    made.emit("mul", a, 5.0)
    first, again = made.emit("add", a, 0.0), made.emit("add", a, 0.0)
    other = made.emit("add", a, -0.0)
    assert first == again != other
    made.finish([first], [other, True, -2.5])
    assert javascript.function(made, ["a"]) == (
        "(a) => {\n"
        "const v0 = a[0] + 0;\n"
        "const v1 = a[0] + (-0);\n"
        "return [[v0], [v1, true, (-2.5)]];\n"
        "}"
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", SAMPLE if SMALL else twins.names())
def test_a_twin_walks_as_adamx_does(name):
    """In float64, with the numbers of the start as constants on the other side."""
    twin = twins.twin(twins.built(name))
    loss = SURFACES["saddle"].loss
    slope = jax.grad(loss)
    curved = jax.jit(jax.hessian(loss))

    @jax.jit
    def followed(p):
        def step(carried, _):
            p, state = carried
            extra = {"hessian": jnp.diagonal(curved(p))}
            u, state = twin.transformation.update(slope(p), state, p, **extra)
            return (p + u, state), p + u

        begun = (p, twin.transformation.init(p))
        return lax.scan(step, begun, length=STEPS)[1]

    p = [-1.0, 1.5]
    wanted = np.asarray(followed(jnp.array(p)))
    h = list(twin.hyperparameters.values())
    (s,) = evaluated(twin.init, h=h, p=p)
    slope = jax.jit(slope)
    for point in wanted:
        at = jnp.array(p)
        g, d = np.asarray(slope(at)), np.diagonal(curved(at))
        u, s = evaluated(twin.step, h=h, g=g, d=d, s=s, p=p)
        p = [p[0] + u[0], p[1] + u[1]]
        # Sophia's clipped steps multiply a difference at each change of sign.
        assert is_close(p, point, 1e-6)


def test_slots_and_numbers_of_a_twin():
    twin = twins.twin(twins.built("adam"))
    assert twin.hyperparameters == {
        "b1": 0.9,
        "b2": 0.999,
        "eps": 1e-8,
        "learning_rate": twins.RATE,
    }
    assert [slot.name for slot in twin.slots] == ["mu", "nu"]
    (begun,) = evaluated(twin.init, h=[0.5, 0.75, 0.0, 1.0], p=[3.0, 4.0])
    _, state = evaluated(
        twin.step, h=[0.5, 0.75, 0.0, 1.0], g=[2.0, 4.0], d=[0, 0], s=begun, p=[3, 4]
    )
    kept = {slot.name: state[slot.place : slot.place + 2] for slot in twin.slots}
    assert kept == {"mu": [1.0, 2.0], "nu": [1.0, 4.0]}
