"""Adding row-sparse updates to parameters."""

from typing import Any

import jax

from ..engine.leaves import applied
from ..engine.row_updates import is_rows


def apply_updates(params: Any, updates: Any) -> Any:
    """Return `params + updates`, as `optax.apply_updates`, for row-sparse updates too.

    The result is in the dtypes of the parameters; a leaf without an update remains. In
    a jitted step whose parameters are donated, the rows are added in place.

    Args:
        params: the parameters.
        updates: what `update` returned.
    """

    def one(u: Any, p: Any) -> Any:
        return p if u is None else applied(p, u)

    def is_leaf(x: Any) -> bool:
        return x is None or is_rows(x)

    return jax.tree.map(one, updates, params, is_leaf=is_leaf)
