"""Float64 oracles: one NumPy function for each published form of each member.

Every oracle is `name(theta, gradient, steps, *, <keywords>)` and returns the
parameters after each step, shape `(steps, *theta.shape)`.

- `theta`: one float64 array, one leaf (a list of arrays for a method that couples
  leaves, which then returns a list of stacked arrays).
- `gradient(k, theta)`: the gradient at step `k`, counted from 0, at that point.
- a keyword is a number or a function of `k`, the steps already taken.

They are written line for line from the papers' pseudo-code, in the papers' letters
and counting from `t = 1` as the papers do, and never from this library's code or from
Optax's. Three conventions are ours and hold in all of them:

- a decay that changes with the step is corrected with the sum of the weights that the
  average gives to the gradients, `w = b w + (1 - b)` from `w = 0`. That is `1 - Π b_i`,
  and `1 - b^t` for a constant decay, without its cancellation.
- `0 / 0` is 0: a zero gradient from a zero state moves nothing, whatever epsilon is.
- coupled (L2) weight decay is in the gradient: wrap it, `l2(gradient, weight_decay)`.
"""

from .adam_forms import (
    adam,
    adam_eps_hat,
    adam_eps_max,
    adam_eps_root,
    adam_l2,
    adamw,
    adamw_independent,
)
from .adaptive import (
    adagrad,
    adagrad_tf,
    rmsprop,
    rmsprop_tf,
)
from .blends import (
    adapnm,
    diffgrad,
    qhadam,
)
from .bounded import (
    adabound,
    adabound_paper,
    adamod,
    adamod_official,
)
from .clips import (
    spam,
)
from .compact import (
    adafactor as adafactor,
    adam_mini as adam_mini,
    came as came,
    sm3 as sm3,
)
from .corrected import (
    adamc,
    adamd,
)
from .delayed import (
    adashift,
    adashift_elementwise,
    avagrad,
    avagrad_official,
)
from .differences import (
    adan,
    adan_official,
    mars,
    mars_approximate,
)
from .directions import (
    adamw_cautious_decay,
    cautious_adamw,
    cautious_adamw_mean,
    cautious_adamw_paper,
    cautious_lion,
    grams_adamw,
)
from .form import (
    at,
    divide,
    l2,
    trajectory,
)
from .infinity_norm import (
    adamax,
    adamaxw,
)
from .layerwise import (  # whole tensors: test_tensor_against_authors.py has their laws
    adamp as adamp,
    lamb as lamb,
    lars as lars,
    lars_of_momentum as lars_of_momentum,
    novograd as novograd,
    stable_adamw as stable_adamw,
)
from .long_memory import (
    amsgrad,
    amsgrad_paper,
    amsgrad_torch,
    padam,
    padam_official,
)
from .low_rank import (
    apollo_mini_or_adam as apollo_mini_or_adam,
    apollo_or_adam as apollo_or_adam,
    fira_or_adam as fira_or_adam,
    galore_or_adam as galore_or_adam,
)
from .matrix import (
    adamuon_or_adam as adamuon_or_adam,
    muon_or_adam as muon_or_adam,
    shampoo_of_an_axis as shampoo_of_an_axis,
    soap as soap,
)
from .mixtures import (
    ademamix,
    simplified_ademamix,
)
from .momentum import (
    sgd,
)
from .nesterov import (
    nadam,
    nadam_torch,
    nadamw,
    nadamw_algoperf,
)
from .rectified import (
    radam,
    radam_torch,
)
from .reordered import (
    adopt,
    adopt_first_version,
    laprop,
    laprop_official,
)
from .signs import (
    adam_atan2,
    lion,
    signum,
)
from .stepsizes import (
    adadelta,
    rprop,
    rprop_minus,
    rprop_plus,
)
from .variances import (
    adabelief,
    adabelief_rectified,
    msvag,
    yogi,
    yogi_official,
    yogi_paper,
)

__all__ = [
    "adabelief",
    "adabelief_rectified",
    "adabound",
    "adabound_paper",
    "adadelta",
    "adagrad",
    "adagrad_tf",
    "adam",
    "adam_atan2",
    "adam_eps_hat",
    "adam_eps_max",
    "adam_eps_root",
    "adam_l2",
    "adamax",
    "adamaxw",
    "adamc",
    "adamd",
    "adamod",
    "adamod_official",
    "adamw",
    "adamw_cautious_decay",
    "adamw_independent",
    "adan",
    "adan_official",
    "adapnm",
    "adashift",
    "adashift_elementwise",
    "ademamix",
    "adopt",
    "adopt_first_version",
    "amsgrad",
    "amsgrad_paper",
    "amsgrad_torch",
    "at",
    "avagrad",
    "avagrad_official",
    "cautious_adamw",
    "cautious_adamw_mean",
    "cautious_adamw_paper",
    "cautious_lion",
    "diffgrad",
    "divide",
    "grams_adamw",
    "l2",
    "laprop",
    "laprop_official",
    "lion",
    "mars",
    "mars_approximate",
    "msvag",
    "nadam",
    "nadam_torch",
    "nadamw",
    "nadamw_algoperf",
    "padam",
    "padam_official",
    "qhadam",
    "radam",
    "radam_torch",
    "rmsprop",
    "rmsprop_tf",
    "rprop",
    "rprop_minus",
    "rprop_plus",
    "sgd",
    "signum",
    "simplified_ademamix",
    "spam",
    "trajectory",
    "yogi",
    "yogi_official",
    "yogi_paper",
]
