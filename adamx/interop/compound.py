"""Counterparts of what Optax makes of several transformations: groups, wrappers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

from ..engine.rule import Rule
from ..engine.transformation import Transformation
from .counterpart import Call, Counterpart, why_not_real


class Groups(NamedTuple):
    """What a builder returns for groups of leaves: links or a counterpart by label.

    `labels` is a function of a tree that returns the label of each leaf.
    """

    by_label: tuple[tuple[str, Any], ...]
    labels: Callable[[Any], Any]

    def complete(self, call: Call) -> "Partition":
        """Return the transformation in the place of a call."""

        def one(links: Any) -> Any:
            whole = isinstance(links, Counterpart)
            return links if whole else Counterpart(call, links, True)

        groups = tuple((label, one(links)) for label, links in self.by_label)
        return Partition(call, groups, self.labels)


class Around(NamedTuple):
    """What a builder returns for a rule that follows a given transformation."""

    base: Any
    rule: Rule

    def complete(self, call: Call) -> "Averaged":
        """Return the transformation in the place of a call."""
        return Averaged(call, self.base, Counterpart(call, (self.rule,)))


class Compound(Transformation):
    """A call of Optax whose state is Optax's, computed by other transformations."""

    call: Call

    def __repr__(self) -> str:
        return repr(self.call)

    def _check_call(self, updates: Any, state: Any, params: Any) -> None:
        """Let every state pass: it is one of Optax."""

    def _init(self, params: Any) -> Any:
        return self.call.made().init(params)

    def _update(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        if self.reason(updates):
            return self.call.made().update(updates, state, params, **extra)
        return self._run(updates, state, params, extra)

    def _run(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        raise NotImplementedError

    def reason(self, updates: Any) -> str:
        """Return why Optax computes these updates; "" if adamx does."""
        return why_not_real(updates)


class Partition(Compound):
    """Groups of leaves, each with its own counterpart."""

    groups: tuple[tuple[str, Counterpart], ...]
    labels: Callable[[Any], Any]

    def _run(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        tx = optax.partition(dict(self.groups), self.labels)
        return tx.update(updates, state, params, **extra)


class Averaged(Compound):
    """A base transformation, and a rule that makes the step from its update."""

    base: Any
    last: Counterpart

    def _run(
        self, updates: Any, state: Any, params: Any, extra: dict[str, Any]
    ) -> tuple[Any, Any]:
        base = optax.with_extra_args_support(self.base)
        inner = state.base_optimizer_state
        updates, inner = base.update(updates, inner, params, **extra)
        updates, state = self.last._update(updates, state, params, {})
        return updates, state._replace(base_optimizer_state=inner)
