"""How the functions of adamx take their arguments.

A keyword or a place that Optax's function of the same name has, and this one lacks, is
accepted with the value at which it changes nothing; any other keyword is an error that
says what to write. The errors of parts are told as errors of the function.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import jax.numpy as jnp
import numpy as np
import optax

from .. import errors
from . import options
from .injection import plain, signature_with
from .spellings import RENAMED, instead_of
from .value import is_array, noted

P = ParamSpec("P")


T = TypeVar("T")


NEUTRAL = {"eps_root": 0.0, "mu_dtype": None, "nesterov": False}
"""Keywords of Optax that every function accepts with this value."""

FLOAT32 = np.dtype("float32")


def counterpart(name: str) -> tuple[str, Callable[..., Any]] | None:
    """Return Optax's function of this name and where it is, None if it has none."""
    for where, namespace in (("", optax), ("contrib.", optax.contrib)):
        if callable(getattr(namespace, name, None)):
            return f"{where}{name}", getattr(namespace, name)
    return None


def _is_neutral(keyword: str, value: Any, default: Any) -> bool:
    """Return whether a value of a keyword that is lacking changes nothing."""
    if _is_dtype(keyword):
        return value is None or _is_float32(value)
    if value is default:
        return True
    plain = isinstance(value, bool | int | float | str | np.number | np.bool_)
    return plain and isinstance(default, bool | int | float | str) and value == default


def _is_dtype(keyword: str) -> bool:
    return "dtype" in keyword


def _is_float32(value: Any) -> bool:
    try:
        return jnp.dtype(value) == FLOAT32
    except TypeError:
        return False


class Arguments:
    """The arguments of one function, and those of its counterpart in Optax."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__name__
        self.known = inspect.signature(function).parameters
        by_place = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
        self.places = [n for n, p in self.known.items() if p.kind in by_place]
        found = counterpart(self.name)
        self.in_optax = found[0] if found else ""
        self.theirs: Mapping[str, inspect.Parameter] = (
            inspect.signature(found[1]).parameters if found else {}
        )
        self.their_places = [n for n, p in self.theirs.items() if p.kind in by_place]
        self.static = [n for n, p in self.known.items() if _is_static(p)]
        self.masks = [n for n in self.known if n.endswith("mask") or n == "normalized"]

    def bound(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return all arguments by the function's own keywords."""
        args = tuple(map(plain, args))
        kwargs = {name: plain(value) for name, value in kwargs.items()}
        given = dict(zip(self.places, args, strict=False))
        for name, value in zip(
            self.their_places[len(self.places) :],
            args[len(self.places) :],
            strict=False,
        ):
            own = name if name in self.known else RENAMED.get(name, name)
            if own in self.known:
                given[own] = value
            else:
                self.let_pass(name, value)
        most = max(len(self.places), len(self.their_places))
        if len(args) > most:
            raise errors.AdamxTypeError(
                f"{self.name}: at most {most} arguments must be given by place, got "
                f"{len(args)}. Pass the others by keyword."
            )
        for name, value in kwargs.items():
            if name in given:
                raise errors.AdamxTypeError(
                    f"{self.name}: `{name}` must be given once, got it by place and by "
                    f"keyword. Leave one of them out."
                )
            if name in self.known:
                given[name] = value
            else:
                self.let_pass(name, value)
        # in Optax a mask of True selects every leaf, which here is None
        every = [n for n in self.masks if given.get(n) is True]
        return given | {n: None for n in every if self.known[n].default is None}

    def let_pass(self, name: str, value: Any) -> None:
        """Raise an error unless a keyword is Optax's and changes nothing."""
        if name in self.theirs or name in NEUTRAL:
            default = NEUTRAL.get(name)
            if name in self.theirs:
                default = self.theirs[name].default
            if _is_neutral(name, value, default):
                return
            if RENAMED.get(name) in self.known:
                self._refuse(name)
            instead = instead_of(name, self.name, self.known)
            raise errors.AdamxTypeError(
                f"{self.name}: `{name}` must be {_said(name, default)}, got "
                f"{errors.shown(value)}. {self._with_optax(instead, name)}"
            )
        self._refuse(name)

    def _refuse(self, name: str) -> None:
        instead = instead_of(name, self.name, self.known)
        if not instead:
            near = errors.suggest(name, self.known)
            instead = near if near.startswith("Did") else f"It has {self._listed()}."
        raise errors.AdamxTypeError(
            f"{self.name}: a keyword must be one that it has, got `{name}`. "
            f"{_sentence(instead)}"
        )

    def _with_optax(self, instead: str, name: str) -> str:
        if not self.in_optax:
            return _sentence(instead)
        call = f"adamx.interop.optax.{self.in_optax}({name}=...)"
        return f"{instead}, or call {call}." if instead else f"Call {call}."

    def _listed(self) -> str:
        return errors.shorten(", ".join(map(repr, self.known)))

    def check(self, given: dict[str, Any]) -> None:
        """Check what needs no range, and bring options into their usual types."""
        for name, value in given.items():
            annotation = self.known[name].annotation
            if name in self.static and is_array(value):
                raise errors.AdamxTypeError(
                    f"{self.name}: `{name}` must be known when the program is built, "
                    f"got an array. Inside optax.inject_hyperparams say so: "
                    f"static_args={(*self.static, *self.masks)}."
                )
            if name == "tx":
                self._check_transformation(value)
            elif not _is_one_number(annotation):
                at = self.name, name, annotation, options.ANY
                given[name] = options.checked(*at, value)
            elif type(value) in (tuple, list):
                self._refuse_several(name, value)

    def _check_transformation(self, value: Any) -> None:
        if isinstance(value, type) or not (hasattr(value, "init")):
            raise errors.type_error(
                self.name,
                "`tx` must be a gradient transformation",
                errors.shown(value),
                "Pass an optimizer with its rate, such as adamx.adam(1e-3).",
            )

    def _refuse_several(self, name: str, value: Any) -> None:
        """Raise an error for a tuple in the place of one number, such as betas."""
        names = self.places[self.places.index(name) :] if name in self.places else []
        remedy = f"Pass one number: {name}=..."
        if name.startswith("b") and len(names) >= len(value) > 1:
            each = zip(names, value, strict=False)
            remedy = "Pass " + ", ".join(f"{n}={errors.shown(x)}" for n, x in each)
        raise errors.type_error(
            self.name,
            f"`{name}` must be a real number, a floating array or a schedule",
            f"a {type(value).__name__}",
            f"{remedy}.",
        )


def _said(name: str, default: Any) -> str:
    if _is_dtype(name):
        return "None or float32"
    if default is inspect.Parameter.empty:
        return "left out"
    return errors.shown(default)


def _sentence(text: str) -> str:
    return text if text[-1:] in ".?" else f"{text}."


def _is_one_number(annotation: Any) -> bool:
    return "scalar or schedule" in str(annotation)


def _is_static(parameter: inspect.Parameter) -> bool:
    """Return whether an argument must be static, so that it cannot be an array."""
    known = int in options.kinds(parameter.annotation) or parameter.annotation in (
        float,
        float | None,
    )
    return known or "Callable" in str(parameter.annotation)


def checked_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Check how a function is called, and tell its parts' errors in its own words."""
    read = functools.cache(lambda: Arguments(function))  # at the first call

    @functools.wraps(function)
    def explained(*args: P.args, **kwargs: P.kwargs) -> T:
        arguments = read()
        given = arguments.bound(args, kwargs)
        arguments.check(given)
        call: Any = function
        try:
            return noted(call(**given), arguments.name)
        except errors.AdamxError as error:
            told = errors.in_terms_of(error, arguments.name, arguments.known, given)
            if told is error:
                raise
            raise told from None

    explained.__dict__[_OPTIMIZER] = True
    explained.__dict__["__signature__"] = signature_with(
        function, lambda: (*read().static, *read().masks)
    )
    return explained


_OPTIMIZER = "adamx_optimizer"


def is_optimizer(made: object) -> bool:
    """Return whether `made` is an optimizer or a `scale_by_` function."""
    return _OPTIMIZER in getattr(made, "__dict__", {})
