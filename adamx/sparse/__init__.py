"""Row-sparse gradients: tables of which a step reads and writes some rows only.

`value_and_grad` and `lookup` make them, every element-wise optimizer takes them, and
`apply_updates` or `adamx.step` adds the updates to the parameters. As it is, an
optimizer does nothing with the other rows; `per_row` counts the steps of each row, and
`catch_up` makes up for those that a row has missed.
"""

from .applying import apply_updates as apply_updates
from .catching_up import catch_up as catch_up, made_up as made_up
from .lookups import lookup as lookup, value_and_grad as value_and_grad
from .row_counts import per_row as per_row
