"""An operation of JAX that is a plain function wherever nothing better is known."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def plain_primitive(
    name: str, plain: Callable[..., list], out_avals: Callable[..., list]
) -> Primitive:
    """Return a primitive that computes `plain(*operands, **settings)`, compiled.

    Under `vmap` and in derivatives it is the plain function; so it is on a platform
    for which no other lowering is registered.

    Args:
        name: of the primitive.
        plain: the function of arrays, and of settings that are hashable.
        out_avals: what it returns, from the settings.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.lru_cache(maxsize=512)
    def compiled(**settings: Any) -> Any:
        return jax.jit(functools.partial(primitive.bind, **settings))

    def computed(*operands: Any, **settings: Any) -> list:
        return compiled(**settings)(*operands)

    def batched(operands: Any, axes: Any, **settings: Any) -> Any:
        mapped = jax.vmap(functools.partial(plain, **settings), in_axes=tuple(axes))
        results = mapped(*operands)
        return results, [0] * len(results)

    def derived(operands: Any, tangents: Any, **settings: Any) -> Any:
        known = tuple(ad.instantiate_zeros(t) for t in tangents)
        return jax.jvp(functools.partial(plain, **settings), tuple(operands), known)

    primitive.def_impl(computed)
    primitive.def_abstract_eval(lambda *avals, **settings: out_avals(**settings))
    batching.primitive_batchers[primitive] = batched
    ad.primitive_jvps[primitive] = derived
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=True))
    return primitive
