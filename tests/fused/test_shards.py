"""Matrices that the compiler divides are computed shard by shard, on GPUs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax._src import dispatch
from jax._src.interpreters import mlir

import adamx
from adamx.kernels import gpu, lowering
from adamx.native.primitive import leaf_steps_p
from tests.fused.test_leaf_parts import SMALL, adamw, same


@pytest.fixture
def as_on_gpus(monkeypatch):
    """Make a CPU's programs as a GPU's are, with the kernels run by XLA."""
    ran, run = [], gpu.Kernel.run

    def interpreted(kernel, arrays, packed):
        ran.append(kernel.parts.shape)
        return run(kernel, arrays, packed, interpret=True)

    asking = dispatch.prim_requires_devices_during_lowering
    monkeypatch.setattr(dispatch, "prim_requires_devices_during_lowering", set(asking))
    lowering.ask_for_devices()
    monkeypatch.setattr(gpu.Kernel, "run", interpreted)
    monkeypatch.setattr(gpu, "unknown", str)
    before = mlir._platform_specific_lowerings["cpu"][leaf_steps_p]
    lower = functools.partial(lowering._lower, "cuda")
    mlir.register_lowering(leaf_steps_p, lower, platform="cpu")
    yield ran
    mlir._platform_specific_lowerings["cpu"][leaf_steps_p] = before
    jax.clear_caches()


def test_shards_have_the_bits_of_the_whole_without_communication(as_on_gpus):
    tx = adamx.fused(adamw(nu=SMALL(4, block=32)))
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.standard_normal((16, 256)), jnp.float32)}

    def step(params, state, grads):
        return adamx.step(tx, params, grads, state)

    plain = adamw(nu=SMALL(4, block=32))

    @jax.jit
    def known(params, state, grads):
        updates, state = plain.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    wanted = known(params, plain.init(params), params)
    mesh = jax.make_mesh(
        (2, 4), ("x", "y"), axis_types=(jax.sharding.AxisType.Auto,) * 2
    )
    for spec, shard in (
        (jax.P("x"), (8, 256)),
        (jax.P("x", "y"), (8, 64)),
    ):

        def divided(x, spec=spec):
            return jax.device_put(
                x, jax.NamedSharding(mesh, spec if x.ndim else jax.P())
            )

        given = jax.tree.map(divided, (params, tx.init(params), params))
        as_on_gpus.clear()
        program = jax.jit(step).lower(*given).compile()
        assert shard in as_on_gpus
        assert not any(f"all-{x}" in program.as_text() for x in ("gather", "reduce"))
        found = program(*given)
        jax.tree.map(same, found, wanted)
        assert found[0]["w"].sharding.spec == spec
