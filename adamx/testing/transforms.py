"""`check_transform`: the laws of any gradient transformation, one after another."""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import jax

from .. import errors
from ..engine.transformation import Transformation, is_transformation
from . import laws
from .examples import Example, drawn, smallest
from .laws import Law, Subject

LAWS: Mapping[str, Law] = {
    "init_of_shapes": Law(
        "give in `init` for shapes without values what it gives for arrays",
        laws.init_of_shapes,
        "Compute only with shapes and dtypes in `init`, or with jnp functions.",
        traced=True,
    ),
    "updates_are_like_gradients": Law(
        "return updates with the structure and shapes of the gradients, in the wider "
        "dtype of gradient and parameter",
        laws.updates_are_like_gradients,
        "Cast the updates back.",
        traced=True,
    ),
    "state_keeps_its_form": Law(
        "return a state with the structure, shapes and dtypes of the one it was given",
        laws.state_keeps_its_form,
        "lax.scan and jax.jit need one form: cast what `update` puts into the state.",
        traced=True,
    ),
    "halves_keep_their_form": Law(
        "keep the forms of updates and state in bfloat16 too",
        laws.form_is_kept,
        "A float32 moment of a bfloat16 parameter must be float32 in `init` already.",
        traced=True,
        dtypes=(("bfloat16", "bfloat16"), ("bfloat16", "float32")),
    ),
    "strict_promotion": Law(
        "run where JAX promotes no dtype and no rank implicitly",
        laws.strict_promotion,
        "Use `astype`, and give arrays that are combined the same number of axes.",
        traced=True,
        dtypes=(("float32", "float32"), ("bfloat16", "bfloat16")),
    ),
    "empty_tree": Law(
        "take a tree without leaves",
        laws.empty_tree,
        "A sum over no leaf is 0, not an error.",
    ),
    "leaf_without_elements": Law(
        "take a leaf without elements, and give no NaN",
        laws.leaf_without_elements,
        "The mean of nothing is 0 / 0: use the sum, or skip such leaves.",
    ),
    "holes_stay_holes": Law(
        "leave None and optax.MaskedNode as they are, and update the others alike",
        laws.holes_stay_holes,
        "jax.tree.map sees None as a node: map with is_leaf where that matters.",
    ),
    "jit_is_eager": Law(
        "compute under jax.jit what it computes without",
        laws.jit_is_eager,
        "No Python branch may depend on numbers, and none on whether they are traced.",
    ),
    "scan_is_the_loop": Law(
        "compute in jax.lax.scan what it computes in a loop",
        laws.scan_is_the_loop,
        "The state must hold everything that changes.",
    ),
    "vmap_is_the_loop": Law(
        "compute under jax.vmap what it computes for each alone",
        laws.vmap_is_the_loop,
        "Reduce over named axes of a leaf, not over what may be a batch.",
    ),
    "no_tracer_leaks": Law(
        "keep no tracer outside its state",
        laws.no_tracer_leaks,
        "Put into the state what one step passes to the next.",
    ),
    "same_again": Law(
        "give the same for the same arguments, bit for bit",
        laws.same_again,
        "Put counters and keys of random numbers into the state.",
    ),
    "numpy_leaves": Law(
        "take arrays of NumPy as those of JAX",
        laws.numpy_leaves,
        "Use functions of jnp rather than methods that NumPy's arrays do not have.",
    ),
    "state_owns_its_memory": Law(
        "share no memory between the first state and the parameters, nor inside it",
        laws.state_owns_its_memory,
        "Copy with jnp.array: a shared buffer cannot be donated to jax.jit.",
    ),
    "counters_saturate": Law(
        "stop counting at the largest int32",
        laws.counters_saturate,
        "Use optax.safe_increment.",
    ),
    "finite_at_zero": Law(
        "stay finite where all gradients are 0, also at parameters of 0",
        laws.finite_at_zero,
        "Add an epsilon, or divide only where the divisor is not 0.",
    ),
    "derivative_is_the_difference_quotient": Law(
        "have the derivative by its gradients that the difference quotient shows",
        laws.derivative_is_the_difference_quotient,
        "Look for stop_gradient, rounding, custom rules and integer arithmetic.",
    ),
    "derivative_at_zero_is_finite": Law(
        "have a finite derivative where all gradients are 0",
        laws.derivative_at_zero_is_finite,
        "The derivative of sqrt at 0 is infinite: add an epsilon inside, or use "
        "jnp.where twice.",
    ),
}
"""The laws by name."""


def check_transform(
    tx: Any,
    *,
    params: Any = None,
    extra: Any = None,
    exempt: Collection[str] = (),
    examples: int = 4,
    seed: int = 0,
    ulps: float = 16.0,
) -> None:
    """Raise an error if a gradient transformation breaks one of the laws `LAWS`.

        check_transform(optax.chain(my_scaling(), optax.scale(-1e-3)))

    Args:
        tx: the transformation, of Optax, adamx or yourself.
        params: parameters, or their shapes, in the place of the trees that are drawn:
            for a transformation that needs names or shapes of its own.
        extra: the extra arguments of `update`: a dict, or a function of the parameters
            and the gradients that returns one.
        exempt: the names of laws that its mathematics does not have.
        examples: how many random trees the laws that only trace are checked on; the
            others have one tree.
        seed: of the trees and numbers. They are the same in each run.
        ulps: how many units of the last place of the largest number of a leaf two
            programs may differ.

    Raises:
        ValueError: a law does not hold. The message says which, for what smallest
            example, and the usual cause.
        TypeError: `tx` is not a gradient transformation.
    """
    subject = _subject("check_transform", tx, exempt, extra, ulps)
    laws = {name: law for name, law in LAWS.items() if name not in exempt}
    raise_broken("check_transform", laws, subject, examples_of(params, examples, seed))


def broken_laws(
    tx: Any,
    *,
    params: Any = None,
    extra: Any = None,
    examples: int = 4,
    seed: int = 0,
    ulps: float = 16.0,
) -> dict[str, str]:
    """Return what is wrong by the name of each law that does not hold.

    Args: as in `check_transform`.

    Raises:
        TypeError: `tx` is not a gradient transformation.
    """
    subject = _subject("broken_laws", tx, (), extra, ulps)
    drawn_once = examples_of(params, examples, seed)
    found = {name: broken(law, subject, drawn_once) for name, law in LAWS.items()}
    return {name: told for name, told in found.items() if told is not None}


def _subject(
    where: str, tx: Any, exempt: Collection[str], extra: Any, ulps: float
) -> Subject:
    check_exempt(where, exempt, LAWS)
    if not is_transformation(tx):
        raise errors.type_error(
            where,
            "`tx` must be a gradient transformation",
            errors.shown(tx),
            "Pass what has init and update, such as optax.adam(1e-3).",
        )
    return Subject(tx, extra, ulps)


def check_exempt(where: str, exempt: Collection[str], known: Collection[str]) -> None:
    """Raise an error for an exemption that names no law."""
    unknown = sorted(set(exempt) - set(known))
    if isinstance(exempt, str) or unknown:
        name = exempt if isinstance(exempt, str) else unknown[0]
        raise errors.AdamxError(
            f"{where}: `exempt` must be a list of names of laws, got {exempt!r}. "
            f"{errors.suggest(name, known)}"
        )


def examples_of(params: Any, number: int, seed: int) -> list[Example]:
    """Return the tree that all laws are checked on, and those for tracing."""
    if params is not None:
        return [Example(seed=seed, given=params)]
    return [Example(seed=seed), *drawn(number, seed)]


def broken(law: Law, subject: Subject, examples: list[Example]) -> str | None:
    """Return what breaks a law, for the smallest example found; None if nothing."""

    def fails(example: Example) -> str | None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return law.check(subject, example)
        except (jax.errors.JaxRuntimeError, MemoryError):
            raise
        except Exception as error:
            text = errors.shorten(str(error).split("\n")[0], 200)
            return f"{type(error).__name__}: {text}"

    for example in examples if law.traced else examples[:1]:
        for dtypes in law.dtypes:
            if fails(example.of(*dtypes)) is not None:
                tries = 30 if law.traced else 12  # each of them compiles
                least, told = smallest(example.of(*dtypes), fails, tries)
                return f"{told}, for {least}"
    return None


def raise_broken(
    where: str, laws: Mapping[str, Law], subject: Subject, examples: list[Example]
) -> None:
    """Raise an error for the first of the laws that is broken."""
    tx = subject.tx
    shown = repr(tx) if isinstance(tx, Transformation) else errors.shown(tx)
    for name, law in laws.items():
        told = broken(law, subject, examples)
        if told is not None:
            raise errors.AdamxError(
                f"{where}: {errors.shorten(shown)} must {law.must} (law `{name}`), got "
                f"{told}. {law.remedy}"
            )
