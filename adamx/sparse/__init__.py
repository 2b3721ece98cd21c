"""Row-sparse gradients: tables of which a step reads and writes some rows only.

`value_and_grad` and `lookup` make them, every element-wise optimizer takes them, and
`apply_updates` or `adamx.step` adds the updates to the parameters.
"""

from .applying import apply_updates as apply_updates
from .lookups import lookup as lookup, value_and_grad as value_and_grad
