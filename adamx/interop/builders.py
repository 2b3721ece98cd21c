"""Building the counterpart of a function of Optax: signature, arguments, exceptions."""

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, cast

import optax

from .. import errors
from ..engine.chain import Chain
from ..engine.masks import as_mask
from ..engine.rule import Rule, as_rule
from ..engine.transformation import Transformation
from ..parts.tree_axes import as_axes
from .counterpart import Call, Counterpart, is_same

P = ParamSpec("P")


class Own(optax.GradientTransformationExtraArgs):
    """Optax's own transformation, and why it is not made of adamx's parts."""

    reason: str


def own(tx: Any, reason: str) -> Own:
    """Return a transformation of Optax with a reason."""
    made = Own(*optax.with_extra_args_support(tx))
    made.reason = reason
    return made


def implemented_by(made: Any, params: Any = None) -> str:
    """Return what computes the updates of a transformation or function of `optax` here.

    Args:
        made: a transformation, or a function that makes one.
        params: the parameters; given, leaves that adamx has no parts for are seen too.

    Returns:
        "adamx", or "optax: " and the reason.
    """
    if callable(made):
        built = hasattr(made, "built_of_adamx")
        return "adamx" if built else "optax: adamx has no optimizer of this name."
    if isinstance(made, Own):
        return f"optax: {made.reason}"
    if not isinstance(made, Transformation):
        return "optax: it is Optax's own transformation."
    why = "" if params is None else getattr(made, "reason", lambda p: "")(params)
    return f"optax: {why}" if why else "adamx"


class Unbuilt(Exception):
    """Raised by a builder that has no parts for its arguments; says why."""


def rule_of(tx: Any) -> Rule:
    """Return the one rule of a counterpart; raise `Unbuilt` for Optax's own."""
    if isinstance(tx, Own):
        raise Unbuilt(tx.reason)
    return tx.parts[0]


def counterpart(
    of: Callable[P, Any], *, chained: bool = False, unfit: Any = None
) -> Callable[[Callable[..., Any]], Callable[P, optax.GradientTransformationExtraArgs]]:
    """Decorate a builder: what makes the parts from the arguments of Optax's `of`.

    The result has the signature and the defaults of the installed Optax. The builder
    gets every argument by keyword. It returns a rule, or a tuple of one for each link
    of Optax's chain, or a transformation that is complete; or it raises `Unbuilt`.

    Args:
        of: the function of Optax.
        chained: whether the state is a tuple with one state for each link.
        unfit: a function of the updates: why Optax must compute them, or "".
    """
    signature, theirs = inspect.signature(of), cast("Callable[..., Any]", of)

    def decorate(build: Callable[..., Any]) -> Any:
        knows = inspect.signature(build).parameters
        name = build.__name__
        takes_all = any(p.kind is p.VAR_KEYWORD for p in knows.values())

        def made(*args: Any, **kwargs: Any) -> Any:
            given = _bound(name, signature, args, kwargs)
            for word in () if takes_all else given.keys() - knows.keys():
                if not is_same(given[word], signature.parameters[word].default):
                    return own(
                        theirs(**given), f"{name}: adamx does not know `{word}`."
                    )
            try:
                heard = given if takes_all else {word: given[word] for word in knows}
                parts: Any = build(**heard)
                if isinstance(parts, optax.GradientTransformation):
                    if not isinstance(parts, Rule | Chain):
                        return parts
                    parts = (parts,)
                call = Call(name, of, tuple((n, _kept(n, x)) for n, x in given.items()))
                if not _can_hash(call):
                    why = "an argument cannot be compared, such as a tree of labels"
                    raise Unbuilt(f"{name}: {why}.")
                if hasattr(parts, "complete"):
                    return parts.complete(call)
                rules = tuple(as_rule(name, "a part", part) for part in parts)
            except (Unbuilt, errors.AdamxError) as error:
                return own(theirs(**given), str(error))
            return Counterpart(call, rules, chained, unfit)

        made.__name__ = made.__qualname__ = name
        made.__module__ = build.__module__
        made.__doc__ = build.__doc__
        # the signature of Optax, for whoever inspects the function
        made.__dict__ |= {"__wrapped__": of, "built_of_adamx": True}
        return made

    return decorate


def _bound(
    name: str, signature: inspect.Signature, args: tuple, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return every argument by name; an error for a call that does not fit."""
    known = signature.parameters
    over = [word for word in kwargs if word not in known]
    if over:
        raise errors.AdamxTypeError(
            f"{name}: its keywords must be those of Optax, {list(known)}, got "
            f"`{over[0]}`. {errors.suggest(over[0], known)}"
        )
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise errors.AdamxTypeError(
            f"{name}: its arguments must be those of Optax, {list(known)}, got a call "
            f"with {error}. Pass them by keyword."
        ) from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _can_hash(call: Call) -> bool:
    try:
        hash(call)
    except TypeError:
        return False
    return True


def _kept(name: str, value: Any) -> Any:
    """Return an argument in a form that can be compared."""
    if name.endswith("mask") and not isinstance(value, bool):
        return as_mask(name, value)
    if name.endswith("dimension_numbers") and not callable(value):
        return value if value is None else as_axes(name, value)
    return _tuples(value) if isinstance(value, list) else value


def _tuples(x: Any) -> Any:
    return tuple(map(_tuples, x)) if isinstance(x, list | tuple) else x
