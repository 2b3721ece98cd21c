"""Chains of rules and other Optax transformations, with one state.

Neighbouring rules run together as one rule sequence on each leaf. A transformation that
is not a rule is given the whole tree, in the dtype of the arithmetic (float32, or
float64): nothing is rounded to the dtype of the gradients between the parts.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from .. import errors, html
from . import hyperparams, tree
from .chain_checks import check_order
from .rule import Rule
from .state import Context, Slot, Slots, State
from .transformation import Transformation, is_transformation
from .value import Value, made_by, noted, restored


class RuleSequence(Rule):
    """Run several rules one after another on each leaf."""

    rules: tuple[Rule, ...]

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.rules))})"

    def _in_order(self) -> Iterator[tuple[Rule, frozenset]]:
        for rule in self.rules:
            yield from rule._in_order()

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        for rule in self.rules:
            update, slots = rule.apply(update, slots, ctx)
        return update, slots

    def _links(self) -> Iterator[Rule]:
        """Yield the rules between those that have stacks, as sequences."""
        gathered: list[Rule] = []
        for link in (link for rule in self.rules for link in rule._links()):
            if link._has_stacks() and gathered:
                yield _joined(gathered)
                gathered = []
            gathered.append(link)
        yield _joined(gathered)

    def _has_stacks(self) -> bool:
        return self.rules[0]._has_stacks()

    def matrices(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> Float[Array, "k m n"] | None:
        return self.rules[0].matrices(update, slots, ctx)

    def together(self, stack: Float[Array, "k m n"]) -> Float[Array, "k m n"]:
        return self.rules[0].together(stack)

    def _sum_axis_name(self) -> Any:
        return self.rules[0]._sum_axis_name()

    def partial_sums(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> dict[str, Array]:
        return self.rules[0].partial_sums(
            update, slots, ctx
        )  # only the first may have the scope "tree"

    def from_sums(
        self, totals: dict[str, Array], known: dict[str, Array]
    ) -> dict[str, Array]:
        return self.rules[0].from_sums(totals, known)


def _joined(rules: list[Rule]) -> Rule:
    return rules[0] if len(rules) == 1 else RuleSequence(tuple(rules))


class External(Value):
    """A transformation that is not a rule, and the name of its state in the chain."""

    name: str
    tx: Any

    def __repr__(self) -> str:
        return f"({self.name!r}, {self.tx!r})"

    @property
    def wide(self) -> optax.GradientTransformationExtraArgs:
        return optax.with_extra_args_support(self.tx)

    @property
    def is_foreign(self) -> bool:
        """Whether it is of another library, so that nothing is known of it."""
        return not isinstance(self.tx, Transformation)

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        if isinstance(self.tx, Transformation):
            yield from self.tx._in_order()
        else:
            yield None, frozenset()


def contents(parts: Sequence[Any]) -> list[Any]:
    """Return parts of a chain, with what an external part runs in its place."""
    return [part.tx if isinstance(part, External) else part for part in parts]


class Chain(Transformation):
    """Apply parts in order, with one state and one count: what `chain` returns."""

    parts: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _numbered(self.parts))
        for part in self.parts[:-1]:
            if isinstance(part, Rule) and part._has_place("last"):
                raise errors.AdamxError(
                    f"chain: a part that rounds the new parameter must be last, "
                    f"got {part!r} before {self.parts[-1]!r}. Put it at the end."
                )
        check_order(self.parts)
        RuleSequence(
            tuple(p for p in self.parts if isinstance(p, Rule))
        ).slots()  # raises if two parts use one name

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.parts))})"

    def _repr_html_(self) -> str:
        rows = [(str(i), *_shown(part)) for i, part in enumerate(self.parts, 1)]
        called = next(iter(made_by(self)), "chain")
        head = ("", "part", "written as", "keeps")
        made = html.table(head, rows, code=(2,), caption=f"`{called}`")
        return f"<div>{made}</div>"

    @property
    def rule(self) -> Rule:
        """The chain as one rule, if only its first rule may have the scope "tree"."""
        rules = [part for part in self.parts if isinstance(part, Rule)]
        wide = (rule._widest_scope() == "tree" for rule in rules[1:])
        if rules and len(rules) == len(self.parts) and not any(wide):
            return _joined(rules)
        raise errors.type_error(
            "chain",
            "only a chain of rules is a rule, and only its first may sum over the tree",
            repr(self),
            "Use optax.masked and the like for transformations of whole trees.",
        )

    @functools.cached_property
    def passes(self) -> list[RuleSequence | External]:
        """The parts, neighbouring rules joined.

        A rule of the scope "tree", and one with stacks, begins a new sequence.
        """
        passes: list[RuleSequence | External] = []
        for part in self.parts:
            if isinstance(part, External):
                passes.append(part)
                continue
            for link in part._links():
                last = passes[-1] if passes else None
                begins = link._widest_scope() == "tree" or link._has_stacks()
                if isinstance(last, RuleSequence) and not begins:
                    passes[-1] = RuleSequence((*last.rules, link))
                else:
                    passes.append(RuleSequence((link,)))
        return passes

    def _in_order(self) -> Iterator[tuple[Any, frozenset]]:
        for part in self.parts:
            yield from part._in_order()

    def slots(self) -> dict[str, Slot]:
        """Return the slots of all rules of the chain."""
        slots: dict[str, Slot] = {}
        for part in self.passes:
            slots |= {} if isinstance(part, External) else part.slots()
        return slots

    def _is_eager(self, state: Any) -> bool:
        return tree.is_count_known(state)

    def _at(self, state: State) -> Any:
        rules = (p if isinstance(p, External) else p._at(state) for p in self.parts)
        return restored(Chain, {"parts": tuple(rules)})

    def _init(self, params: Any) -> State:
        slots: dict[str, Any] = {}
        inner: dict[str, Any] = {}
        for part in self.passes:
            if isinstance(part, External):
                wide = tree.widen(params)
                begun = part.tx.init(wide)
                if part.is_foreign:  # ours says where it is
                    begun = tree.laid_out_as(begun, wide)
                inner[part.name] = begun
            else:
                slots |= tree.start(part, params)
        return State(jnp.zeros((), jnp.int32), slots, inner)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State]:
        return self._run(updates, state, params, extra)

    def _has_one_pass(self) -> bool:
        return bool(self.passes) and isinstance(self.passes[-1], RuleSequence)

    def _in_one_pass(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, State] | None:
        if not self._has_one_pass():
            return None
        last: Any = self.passes[-1]
        if self._is_eager(state) and not last._is_fused():
            return None  # `update` is compiled once
        return self._run(updates, state, params, extra, applied=True)

    def _run(
        self, updates: Any, state: Any, params: Any, extra: dict, applied: bool = False
    ) -> tuple[Any, State]:
        slots, inner = tree.slots_of(state), dict(state.inner)
        count = optax.safe_increment(state.count)
        dtypes = tree.dtypes_of(updates, params)
        last = len(self.passes) - 1
        for i, part in enumerate(self.passes):
            if isinstance(part, External):
                wide = tree.widen(params)
                updates, inner[part.name] = part.wide.update(
                    tree.widen(updates), inner[part.name], wide, **extra
                )
                updates = tree.narrow(updates, dtypes) if i == last else updates
                continue
            now = hyperparams.at(part, state.count)
            step = tree.Step(
                params, count, extra, dtypes, i == last, applied and i == last
            )
            updates, slots = tree.run_rule(now, updates, slots, step)
        return updates, State(count, slots, inner)


def chain(*parts: Any) -> Chain:
    """Combine several parts into one transformation, applied in order.

    The parts are rules, other chains, or any Optax transformations. Neighbouring rules
    run together on each leaf, in float32 from the first part to the last. Any other
    transformation is external: it is given the whole tree, in float32 too, and its
    state is in `state.inner` under its name: that of the function that made it, or the
    one given with it.

        chain(optax.add_noise(...), Ema(0.9), LearningRate(1e-3))
        chain(("warm", optax.trace(0.9)), ("cold", optax.trace(0.5)))

    The second external one of a name is `<name>_2`, as in `state.inner["trace_2"]`.

    The rules of a chain may be a part of an optimizer: without a learning rate it
    returns a direction of ascent, for `optax.chain`. What is known of the rules is
    checked here: one learning rate, on the right side of each of them.

    A chain is equal to another one, and is not traced again by `jax.jit`, if its
    external parts are the same objects: `optax.scale(0.5)` makes other functions at
    each call, so keep the transformation if a chain is built in every step.

    Raises:
        TypeError: a part is not a gradient transformation.
        ValueError: two parts use one slot name; two learning rates; a decay or a
            direction after the rate; what needs a finished step (an average of the
            parameters, `IndependentWeightDecay`) on a direction, before the rate.
    """
    flat: list[Any] = []
    names: list[str] = []
    for part in parts:
        names += made_by(part) if isinstance(part, Chain) else ()
        if isinstance(part, Chain):
            flat.extend(part.parts)
        elif isinstance(part, RuleSequence):
            flat.extend(part.rules)
        elif isinstance(part, Rule):
            flat.append(part)
        elif is_transformation(part):
            flat.append(External(_name_of(part), part))
        elif _is_named(part):
            flat.append(External(*part))
        else:
            raise errors.type_error(
                "chain",
                "every part must be a rule or a gradient transformation",
                errors.shown(part),
                _instead(part),
            )
    return noted(Chain(tuple(flat)), *names)


def _shown(part: Any) -> tuple[str, str, str]:
    """Return what a part is, the expression that builds it, and what it keeps."""
    if isinstance(part, External):
        keeps = f"inner[{part.name!r}]"
        return f"{part.name}, of another library", repr(part.tx), keeps
    return type(part).__name__, repr(part), ", ".join(part.slots())


def _numbered(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the parts with different names: `trace`, `trace_2`."""
    taken = {part.name for part in parts if isinstance(part, External)}
    seen, numbered = set(), []
    for part in parts:
        if isinstance(part, External) and part.name in seen:
            numbers = (f"{part.name}_{i}" for i in itertools.count(2))
            name = next(n for n in numbers if n not in taken)
            taken.add(name)
            part = External(name, part.tx)
        if isinstance(part, External):
            seen.add(part.name)
        numbered.append(part)
    return tuple(numbered)


def _instead(part: Any) -> str:
    """Say what to pass in place of what is no part of a chain."""
    if type(part) in (list, tuple):
        return "Pass its elements: chain(*parts)."
    module = str(getattr(part, "__module__", "")).split(".")[0]
    if isinstance(part, type) or (callable(part) and module in ("adamx", "optax")):
        return f"Call it: {errors.show_callable(part)}(...)."
    if callable(part):
        return "For a function of the updates use optax.stateless."
    return "Pass for example adamx.scale_by_adam(), or an optimizer."


def _is_named(x: Any) -> bool:
    return (
        type(x) is tuple
        and len(x) == 2
        and isinstance(x[0], str)
        and is_transformation(x[1])
    )


def _name_of(tx: Any) -> str:
    """Return `scale_by_trust_ratio` for `scale_by_trust_ratio.<locals>.update_fn`."""
    if isinstance(tx, Transformation):
        return type(tx).__name__.lower()
    made_by = getattr(tx.update, "__qualname__", type(tx).__name__).split(".")[0]
    return made_by
