"""The forms of AdamW's memory that are compared, each with what it is for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

import adamx
from adamx.storage import Blockwise, Cast, Companded

RATE = 1e-3
HALF = Cast(jnp.bfloat16, "stochastic")


class Form(NamedTuple):
    """A way to keep AdamW: its moments, the parameters' dtype, and the last part."""

    name: str
    moments: Any  # one codec for both, or None for float32
    params: Any = jnp.float32
    last: Callable[[], Any] | None = None
    control: bool = False  # rounded to nearest, as other libraries do

    def tx(self, rate: Any = RATE) -> Any:
        tx = adamx.adamw(rate, weight_decay=1e-2)
        if self.moments is not None:
            tx = adamx.store(tx, mu=self.moments, nu=self.moments)
        return adamx.chain(tx, self.last()) if self.last else tx


FORMS = (
    Form("float32", None),
    Form("bfloat16", HALF),
    Form("8 bits", Blockwise()),
    Form("8 bits, dither", Blockwise(rounding="dither")),
    Form("4 bits", Blockwise(4)),
    Form("bfloat16 weights, 16 more bits", None, jnp.bfloat16, adamx.split_master),
    Form("7 bytes", Blockwise(), jnp.bfloat16, lambda: adamx.split_master(8)),
    Form("bfloat16 weights, stochastic", None, jnp.bfloat16, adamx.stochastic_rounding),
    Form("bfloat16, to nearest", Cast(jnp.bfloat16), control=True),
    Form(
        "8 bits companded, to nearest",
        Blockwise(code=Companded(), rounding="nearest", floor=False),
        control=True,
    ),
    Form("bfloat16 weights, to nearest", None, jnp.bfloat16, control=True),
)
BY_NAME = {form.name: form for form in FORMS}
