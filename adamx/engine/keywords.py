"""Errors for keywords of Optax and torch that have another name in adamx."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax

from .. import errors
from .injection import plain, signature_with

P = ParamSpec("P")


T = TypeVar("T")


_DTYPE = (
    "Moments are kept in float32, or float64 for float64 parameters, whatever the "
    "dtype of the gradients"
)


_SPELLED = {
    "mu_dtype": _DTYPE,
    "nu_dtype": _DTYPE,
    "accumulator_dtype": _DTYPE,
    "eps_root": "Pass eps=EpsInsideRoot(eps_root, eps)",
    "eps_in_sqrt": "Pass eps=EpsInsideRoot(eps) for an eps inside the root",
    "initial_accumulator_value": "Pass initial_accumulator=",
    "initial_scale": "Averages start at 0",
    "bias_correction": "Wrap the moment in Debiased(...) to correct it",
    "nesterov": "Nesterov's form of Adam is another optimizer: nadam, nadamw",
    "weight_decay_mask": "Pass mask=",
    "weight_decay": "Put WeightDecay(...) into the chain, first for L2 regularisation, "
    "or before LearningRate for decoupled decay",
    "mask": "Only optimizers with a weight decay have a mask; wrap a part in "
    "Masked(...)",
    "lr": "Pass learning_rate=",
    "betas": "Pass b1= and b2=",
}


# Messages for one optimizer.
_SPELLED_BY = {
    ("rmsprop", "nesterov"): "Put Momentum(momentum, nesterov=True) between "
    "scale_by_rmsprop() and LearningRate(...)",
}


def instead_of(keyword: str, member: str) -> str:
    """Return what to use instead of a keyword that `member` lacks, "" if unknown."""
    return _SPELLED_BY.get((member, keyword)) or _SPELLED.get(keyword, "")


def _is_static(parameter: inspect.Parameter) -> bool:
    """Return whether an argument must be static, so that it cannot be an array."""
    is_number = parameter.annotation in (int, float, int | None, float | None)
    return is_number or "Callable" in str(parameter.annotation)


def checked_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Raise helpful errors for keywords of Optax and torch that a function lacks.

    Also for arrays passed as static arguments, which `optax.inject_hyperparams` is told
    of by the signature.
    """
    known = inspect.signature(function).parameters
    static = [name for name, p in known.items() if _is_static(p)]
    masks = [name for name in known if name.endswith("mask") or name == "normalized"]

    @functools.wraps(function)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                how = instead_of(name, function.__name__)
                how = how or errors.suggest(name, known)
                raise errors.AdamxTypeError(
                    f"{function.__name__}: its keywords must be {sorted(known)}, got "
                    f"`{name}`. {how}{'' if how[-1] in '.?' else '.'}"
                )
        given = dict(zip(known, args, strict=False)) | kwargs
        for name in static:
            if isinstance(given.get(name), jax.Array):
                raise errors.AdamxTypeError(
                    f"{function.__name__}: `{name}` must be known when the program is "
                    f"built, got an array. Inside optax.inject_hyperparams say so: "
                    f"static_args={(*static, *masks)}."
                )
        call: Any = function
        return call(*map(plain, args), **{n: plain(x) for n, x in kwargs.items()})

    explained.__dict__[_OPTIMIZER] = True
    explained.__dict__["__signature__"] = signature_with(function, (*static, *masks))
    return explained


_OPTIMIZER = "adamx_optimizer"


def is_optimizer(made: object) -> bool:
    """Return whether `made` is an optimizer or a `scale_by_` function."""
    return _OPTIMIZER in getattr(made, "__dict__", {})
