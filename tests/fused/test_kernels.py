"""Kernels in interpret mode return the bits of the plain step."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractDevice, AbstractMesh

import adamx
from adamx.engine.leaf_parts import in_parts
from adamx.kernels import gpu, tpu
from adamx.kernels.scalars import packed_as
from adamx.storage import Blockwise, DynamicMap
from tests.fused.test_leaf_parts import CASES, SMALL, adamw, after_two_steps, same

H100 = AbstractMesh(
    (), (), abstract_device=AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
)


class Rounded(adamx.Rule):
    """A rule with an operation that Triton does not have."""

    def apply(self, update, slots, ctx):
        return jnp.round(update), slots


KERNELS = {"gpu": gpu, "tpu": tpu}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize(
    ("case", "shape"), [("8 and 4 bits", (40, 301)), ("split", (37, 300))]
)
def test_kernels_return_the_bits_of_the_plain_step(case, shape, kernel):
    tx, _, dtype = CASES[case]
    rule, form, (before, *given), (update, kept) = after_two_steps(tx, shape, dtype)
    x = given[-1]
    parts = in_parts(rule, form, before, *given)
    assert not isinstance(parts, str), parts
    numbers = parts.numbers(rule, *given)
    made = kernel.prepared(parts, packed_as(numbers, parts.words))
    assert not isinstance(made, str), made

    @jax.jit
    def run(arrays, numbers):
        return made.run(arrays, made.packing.pack(numbers), interpret=True)

    joined, new = parts.joined(run(parts.arrays(before, x), numbers), before, x)
    same(joined, update)
    jax.tree.map(same, new, kept)


@pytest.mark.parametrize(
    ("tx", "shape", "on_gpu", "on_tpu"),
    [
        (adamw(mu=SMALL(), nu=SMALL(4)), (8, 128), "", ""),
        (adamx.lion(1e-3), (8, 128), "", ""),
        (adamw(), (4, 256), "", "it has 4 rows, and a TPU computes 8 at once"),
        (adamw(), (8, 100), "", "its rows of 100 elements do not fill 128 lanes"),
        (adamw(), (8, 12, 128), "", "is not kept in rows of 128, 32 together"),
        (adamw(nu=SMALL(block=96)), (8, 96), "no power of two", "fit 128 lanes"),
        (adamw(nu=SMALL(code=DynamicMap())), (8, 128), "no tables", "no tables"),
        (adamw(nu=Blockwise()), (8, 128), "fewer than 4,096", "fewer than 4,096"),
        (Rounded(), (8, 128), "a kernel for cuda has no `round`", ""),
    ],
)
def test_the_plan_says_which_leaf_has_a_kernel(tx, shape, on_gpu, on_tpu):
    plan = adamx.memory_plan(adamx.fused(tx), {"w": jnp.zeros(shape)})
    (row,) = plan.leaves
    for why, said in ((on_gpu, row.on_gpu), (on_tpu, row.on_tpu)):
        assert (why and why in said) or said == "in one kernel"


def step(tx):
    return lambda params, state, grads: adamx.step(tx, params, grads, state)


@pytest.fixture(scope="module")
def stepped():
    """A fused optimizer, its arguments, and what it returns on a CPU."""
    tx = adamx.fused(adamw(mu=SMALL(), nu=SMALL(4)))
    params = {"w": jnp.ones((64, 256)), "b": jnp.ones((64,))}
    given = params, tx.init(params), params
    return tx, given, jax.jit(step(tx))(*given)


def kernels_of(text):
    return text.count("@tpu_custom_call(") + text.count("@__gpu$xla.gpu.triton(")


@pytest.mark.parametrize("platform", ["tpu", "cuda", "cpu", "rocm"])
def test_each_platform_has_its_own_program(platform, stepped):
    tx, given, _ = stepped
    with jax.sharding.use_abstract_mesh(H100):
        traced = jax.jit(step(tx), donate_argnums=(0, 1)).trace(*given)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
    # the bias has no 8 rows
    assert kernels_of(text) == {"tpu": 1, "cuda": 2}.get(platform, 0)


def test_one_artifact_has_the_programs_of_all_platforms(stepped):
    """On a TPU a kernel; on others XLA's program, as Triton's is not portable."""
    tx, given, known = stepped
    export = jax.export.export(jax.jit(step(tx)), platforms=["cpu", "tpu", "cuda"])
    exported = export(*given)
    text = exported.mlir_module()
    assert (text.count("tpu_custom_call"), text.count("triton")) == (1, 0)
    jax.tree.map(same, exported.call(*given), known)


def test_under_vmap_and_on_several_devices_there_is_no_kernel(stepped):
    tx, given, _ = stepped
    many = jax.tree.map(lambda x: jnp.stack([x, x]), given)
    mapped = jax.jit(jax.vmap(step(tx))).trace(*many)
    assert kernels_of(mapped.lower(lowering_platforms=("tpu",)).as_text()) == 0
    mesh = jax.make_mesh((8,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))

    def divided(x):
        spec = jax.P("x") if x.ndim and x.shape[0] % 8 == 0 else jax.P()
        placed = jax.NamedSharding(mesh, spec)
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placed)

    split = jax.jit(step(tx)).trace(*jax.tree.map(divided, given))
    assert kernels_of(split.lower(lowering_platforms=("tpu",)).as_text()) == 0
