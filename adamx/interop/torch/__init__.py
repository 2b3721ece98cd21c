"""The states of torch's optimizers in adamx, and back. torch is not imported.

    from adamx.interop.torch import linear, state_from_torch, transformation

    names = {"fc.weight": linear("fc/kernel"), "fc.bias": "fc/bias"}
    optimizers = {"AdamW": optimizer.state_dict()}
    tx = transformation(optimizers, params, names)
    state = state_from_torch(tx, optimizers, params, names)

- `params_from_torch`, `params_to_torch`: the weights of a model;
- `transformation`: what computes as the optimizers do, from their `param_groups`;
- `state_from_torch`, `state_to_torch`: their states;
- `with_names`: for a state_dict that numbers its parameters;
- `save_optimizers`, `load_optimizers`: state_dicts as safetensors.

The optimizers are SGD, Adam, AdamW, NAdam, RAdam, Adamax, RMSprop, Adagrad, Adadelta,
Adafactor, Muon, Rprop and SparseAdam of torch.optim.
"""

from .files import (
    load_optimizers as load_optimizers,
    save_optimizers as save_optimizers,
)
from .names import (
    Weight as Weight,
    conv as conv,
    linear as linear,
    params_from_torch as params_from_torch,
    params_to_torch as params_to_torch,
)
from .optimizers import transformation as transformation
from .param_groups import with_names as with_names
from .states import (
    state_from_torch as state_from_torch,
    state_to_torch as state_to_torch,
)
