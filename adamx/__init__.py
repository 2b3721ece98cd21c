"""Adam and its variants for JAX, made of parts that are Optax transformations.

- `adamx.<name>`: the optimizers, and `adamx.scale_by_<name>`, their directions without
  learning rate and weight decay;
- `adamx.parts`: the rules that they are made of;
- `adamx.optimizers`: the rules that only one optimizer has;
- `adamx.storage`: how the state is kept, in 8 bits for example.
"""

from typing import TYPE_CHECKING

from . import (
    optimizers as optimizers,
    parts as parts,
    storage as storage,
)
from .engine.chain import Chain as Chain, chain as chain
from .engine.hyperparams import (
    Hyper as Hyper,
    ScalarOrSchedule as ScalarOrSchedule,
    hyper as hyper,
    schedule as schedule,
)
from .engine.rule import Rule as Rule
from .engine.state import Context as Context, Slot as Slot, State as State
from .errors import AdamxError as AdamxError, AdamxTypeError as AdamxTypeError
from .gradients import (
    gauss_newton_bartlett_estimate as gauss_newton_bartlett_estimate,
    hutchinson_estimate as hutchinson_estimate,
    sharpness_aware as sharpness_aware,
)
from .later import loader as _loader
from .numerics.row_sparse import RowSparse as RowSparse
from .observation import Observed as _Observed  # noqa: F401  known to `jax.export`
from .optimizers import *  # noqa: F403  every optimizer, listed there
from .parts.masked import Masked as Masked
from .parts.parameter_averages import eval_params as eval_params
from .storage.low_precision_params import (
    master_params as master_params,
    split_master as split_master,
    stochastic_rounding as stochastic_rounding,
)
from .storage.store import store as store
from .wrappers.accumulate import accumulate as accumulate
from .wrappers.cautious import cautious as cautious, grams as grams
from .wrappers.current_hyperparams import current_hyperparams as current_hyperparams
from .wrappers.fused import fused as fused
from .wrappers.graft import graft as graft
from .wrappers.groups import groups as groups
from .wrappers.in_shard_map import in_shard_map as in_shard_map
from .wrappers.offload import offload as offload
from .wrappers.stacked import stacked as stacked
from .wrappers.step import step as step
from .wrappers.tunable import (
    hyperparams as hyperparams,
    replace_hyperparams as replace_hyperparams,
    tunable as tunable,
)
from .wrappers.zero1 import zero1 as zero1

if TYPE_CHECKING:
    from . import plotting as plotting, sparse as sparse, testing as testing
    from .descriptions.config import from_config as from_config, to_config as to_config
    from .descriptions.describe import describe as describe
    from .descriptions.difference import diff as diff
    from .descriptions.references import cite as cite
    from .descriptions.registry import (
        create as create,
        list_optimizers as list_optimizers,
    )
    from .interop.restoring import restore as restore
    from .interop.state_slots import slots as slots
    from .observation.observing import observe as observe
    from .observation.reading import (
        first_nonfinite as first_nonfinite,
        metrics as metrics,
    )
    from .storage.matrix_plan import matrix_plan as matrix_plan
    from .storage.packing import packing as packing
    from .storage.plan import memory_plan as memory_plan
    from .storage.state_sharding import (
        abstract_state as abstract_state,
        state_sharding as state_sharding,
    )
    from .sweeps.range_test import find_rate as find_rate
    from .sweeps.sweep import sweep as sweep

__version__ = "0.1.0.dev0"

# Loaded when they are first used: `import adamx` does not read them. The value is the
# module that has the name, or is it.
_LATER = {
    "abstract_state": "storage.state_sharding",
    "cite": "descriptions.references",
    "create": "descriptions.registry",
    "describe": "descriptions.describe",
    "diff": "descriptions.difference",
    "find_rate": "sweeps.range_test",
    "first_nonfinite": "observation.reading",
    "from_config": "descriptions.config",
    "list_optimizers": "descriptions.registry",
    "matrix_plan": "storage.matrix_plan",
    "memory_plan": "storage.plan",
    "metrics": "observation.reading",
    "observe": "observation.observing",
    "packing": "storage.packing",
    "plotting": "plotting",
    "restore": "interop.restoring",
    "slots": "interop.state_slots",
    "sparse": "sparse",
    "state_sharding": "storage.state_sharding",
    "sweep": "sweeps.sweep",
    "testing": "testing",
    "to_config": "descriptions.config",
}

# These are importable, but not part of what users see.
_FOLDERS = {
    "descriptions",
    "engine",
    "errors",
    "gradients",
    "html",
    "later",
    "interop",
    "native",
    "numerics",
    "observation",
    "sweeps",
    "wrappers",
    "TYPE_CHECKING",
}
__all__ = [n for n in globals() if not n.startswith("_") and n not in _FOLDERS]
__all__ += _LATER


if not TYPE_CHECKING:  # a type checker would take every name for one of these
    __getattr__ = _loader(__name__, _LATER)


def __dir__() -> list[str]:
    return [*__all__, "__version__", "__doc__", "__all__", "__name__", "__path__"]
