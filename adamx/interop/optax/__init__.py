"""Every name of Optax; the optimizers that adamx has too are made of adamx's parts.

    import adamx.interop.optax as optax

    tx = optax.adamw(1e-3, weight_decay=0.1)
    state = tx.init(params)                     # the state of Optax: state[0].mu
    print(optax.implemented_by(tx))

An optimizer, a `scale_by_` function or a member of `contrib` that adamx has too takes
the arguments of Optax and keeps the state of Optax, in class, shapes and dtypes; a
checkpoint can go from one to the other. `implemented_by` says what computes the
updates. All other names are Optax's own objects.

What differs on purpose is in `docs/switching.md`.
"""

import sys
from typing import TYPE_CHECKING, Any

import optax as _optax

from ..builders import implemented_by as implemented_by
from ..to_optax import to_optax_state as to_optax_state
from . import contrib as contrib
from .aliases import (
    adabelief as adabelief,
    adadelta as adadelta,
    adafactor as adafactor,
    adagrad as adagrad,
    adam as adam,
    adamax as adamax,
    adamaxw as adamaxw,
    adamw as adamw,
    adan as adan,
    amsgrad as amsgrad,
    lamb as lamb,
    lars as lars,
    lion as lion,
    nadam as nadam,
    nadamw as nadamw,
    novograd as novograd,
    radam as radam,
    rmsprop as rmsprop,
    rprop as rprop,
    sgd as sgd,
    signum as signum,
    sm3 as sm3,
    yogi as yogi,
)
from .directions import (
    scale_by_adadelta as scale_by_adadelta,
    scale_by_adam as scale_by_adam,
    scale_by_adamax as scale_by_adamax,
    scale_by_adan as scale_by_adan,
    scale_by_amsgrad as scale_by_amsgrad,
    scale_by_belief as scale_by_belief,
    scale_by_factored_rms as scale_by_factored_rms,
    scale_by_lion as scale_by_lion,
    scale_by_novograd as scale_by_novograd,
    scale_by_param_block_rms as scale_by_param_block_rms,
    scale_by_radam as scale_by_radam,
    scale_by_rms as scale_by_rms,
    scale_by_rprop as scale_by_rprop,
    scale_by_rss as scale_by_rss,
    scale_by_sign as scale_by_sign,
    scale_by_sm3 as scale_by_sm3,
    scale_by_stddev as scale_by_stddev,
    scale_by_trust_ratio as scale_by_trust_ratio,
    scale_by_yogi as scale_by_yogi,
)

if TYPE_CHECKING:
    from optax import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]


def __getattr__(name: str) -> Any:
    """Return Optax's own object for a name that is not made of adamx's parts."""
    if name.startswith("__"):  # not the paths and loaders of Optax's module
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_optax, name)


def __dir__() -> list[str]:
    own = {name for name in globals() if not name.startswith("_")}
    return sorted(own | {name for name in dir(_optax) if not name.startswith("__")})


for _name, _module in list(sys.modules.items()):
    # `import adamx.interop.optax.losses` finds Optax's own
    if _name.startswith("optax.") and "._" not in _name:
        sys.modules.setdefault(f"adamx.interop.{_name}", _module)
