"""QK-clip: query and key weights scaled down where an attention logit is too large.

The optimizer does not see the logits: the largest of each head, of the forward pass
whose gradient is used, is an extra argument of `update`.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import errors
from ..engine.hyperparams import POSITIVE, UNIT, Hyper, hyper, option
from ..engine.masks import Mask, as_mask
from ..engine.paths import leaves_by_path
from ..engine.rule import Rule
from ..engine.state import Context, Slots

_CALL = (
    'Pass max_logits={"layers/0/attention": array of shape (heads,), ...}, by the part '
    "of the path that the query and the key of a layer share."
)


class QueriesAndKeys(Mask):
    """Select query and key weights, and tell which of the two and under which path."""

    queries: Any
    keys: Any

    def labels(self, tree: Any) -> list[Any]:
        nothing = [False] * len(leaves_by_path(tree))
        both = zip(
            leaves_by_path(tree),
            self.queries.resolve(tree),
            nothing if self.keys is None else self.keys.resolve(tree),
            strict=True,
        )
        return [_label(path, query, key) for (path, _), query, key in both]

    def resolve(self, tree: Any) -> list[bool]:
        return [label is not None for label in self.labels(tree)]


def _label(path: str, query: bool, key: bool) -> tuple[str, str] | None:
    if query and key:
        raise errors.AdamxError(
            f"QKClip: a leaf must be a query or a key, got {path!r}, which both masks "
            f"select. Give queries= and keys= patterns that exclude each other."
        )
    return ("queries" if query else "keys", path) if query or key else None


class QKClip(Rule):
    """Scale query and key weights so that no attention logit exceeds τ, after the rate.

        γ = τ / max(S, τ),    W_q ← γ^a (W_q + u),    W_k ← γ^(1 - a) (W_k + u)

    for each head, S its largest logit: `chain(muon(0.02), QKClip())` is MuonClip. A
    logit is a product of the two, so the largest becomes γ S ≤ τ for the same inputs
    and for the weights of which S was measured; the step u itself may raise it again.

    Pass `max_logits=` to every `update`: a dict, or tree, whose entries are S of shape
    (heads,) by the path of the layer, the beginning of the paths of its query and key:
    `{"layers/0/attention": s}` for `layers/0/attention/query/kernel`. Scanned layers
    (layers, ...) take S of shape (layers, heads). It is the largest logit as the
    softmax gets it, over the whole batch and all devices.

    Biases are scaled with their kernels, if the masks select them. Grouped-query
    attention, where several queries share a key: `QKClip(keys=None, alpha=1.0)`.
    Multi-head latent attention (Kimi K2): a `QKClip` for the two parts of each head,
    and `QKClip(r"q_rotary", None, alpha=1.0)` for the queries of the shared key.

    Args:
        queries: the query weights: a path regex, a predicate of path and leaf, a tree
            of bools, or a callable on the parameters.
        keys: the key weights, likewise; None for none, with `alpha=1.0`.
        tau: τ > 0; 100 is that of Kimi K2.
        alpha: a in [0, 1], the share of the queries.
        heads: None for leaves (..., heads, head_dim), as in Flax; the number of heads
            for leaves whose last axis is heads·head_dim.

    State: none.

    Raises:
        ValueError: a pattern that is in no path, a layer without an entry or with
            several, a number of heads that is not that of the leaf.
        TypeError: `max_logits` missing, or no dict.

    Reference: Kimi Team, "Kimi K2: open agentic intelligence", 2025, section 2.1,
    Algorithm 1, arXiv:2507.20534.
    """

    takes = "step"
    whole_extra = frozenset({"max_logits"})

    queries: Any = r"(^|/)query/"
    keys: Any = r"(^|/)key/"
    tau: Hyper = hyper(100.0, allowed=POSITIVE)
    alpha: Hyper = hyper(0.5, allowed=UNIT.but("It is the share of the queries."))
    heads: int | None = option(None, least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("queries", "keys"):
            mask = as_mask("QKClip", getattr(self, name))
            object.__setattr__(self, name, mask)
        if self.queries is None:
            raise errors.AdamxError(
                "QKClip: `queries` must say which leaves are queries, got None. Pass "
                'for example r"(^|/)query/".'
            )
        alone = type(self.alpha) in (int, float) and self.alpha == 1.0
        if self.keys is None and not alone:
            raise errors.AdamxError(
                f"QKClip: `alpha` must be 1.0 where no keys are scaled, got "
                f"{errors.shown(self.alpha)} and keys=None. Pass alpha=1.0, or the "
                f"keys."
            )

    @property
    def _roles(self) -> QueriesAndKeys:
        return QueriesAndKeys(self.queries, self.keys)

    def _masks(self) -> tuple[Mask, ...]:
        return (self._roles,)

    def needs(self) -> frozenset[str]:
        return super().needs() | {"param", "max_logits"}

    def apply(
        self, update: Float[Array, "..."], slots: Slots, ctx: Context
    ) -> tuple[Float[Array, "..."], Slots]:
        label = ctx.label(self._roles)
        if label is None:
            return update, slots
        role, path = label
        logits = _of_layer(ctx.extra["max_logits"], path)
        shape = self._by_head(update.shape, jnp.shape(logits), path)
        largest = jnp.asarray(logits, update.dtype)
        gamma = self.tau / jnp.maximum(largest, self.tau)
        factor = gamma ** (self.alpha if role == "queries" else 1 - self.alpha)
        layers, heads = largest.shape[:-1], largest.shape[-1]
        ones = (1,) * (len(shape) - len(layers) - 2)
        factor = factor.reshape(*layers, *ones, heads, 1)
        param, step = ctx.param.reshape(shape), update.reshape(shape)
        return (step + (factor - 1) * (param + step)).reshape(update.shape), slots

    def _by_head(self, shape: tuple, logits: tuple, path: str) -> tuple[int, ...]:
        """Return the shape of a leaf as (..., heads, head_dim), or raise an error."""
        by_head = shape
        if self.heads is not None and shape and shape[-1] % self.heads == 0:
            by_head = (*shape[:-1], self.heads, shape[-1] // self.heads)
        elif self.heads is not None or len(shape) < 2:
            raise errors.AdamxError(
                f"QKClip: the last axis of a query or key must be heads·head_dim with "
                f"`heads` given, and the last two (heads, head_dim) without, got shape "
                f"{shape} at `{path}` and heads={self.heads}. Correct heads=, or the "
                f"patterns."
            )
        layers = len(logits) - 1
        fits = layers >= 0 and logits == (*by_head[:layers], by_head[-2])
        if not fits or layers > len(by_head) - 2:
            raise errors.AdamxError(
                f"QKClip: `max_logits` must have one number for each head, got shape "
                f"{logits} for the {by_head[-2]} heads of `{path}`, of shape {shape}. "
                f"Pass (heads,), or (layers, heads) for stacked layers; where the last "
                f"axis is heads·head_dim, say heads=."
            )
        return by_head


def _of_layer(given: Any, path: str) -> Any:
    """Return the entry of a tree whose path is the beginning of the path of a leaf."""
    entries = dict(leaves_by_path(given))
    if "" in entries:
        raise errors.type_error(
            "QKClip",
            "`max_logits` must be a dict of arrays by the path of the layer",
            errors.shown(given),
            _CALL,
        )
    found = [e for e in entries if path == e or path.startswith(f"{e}/")]
    if len(found) != 1:
        raise errors.AdamxError(
            f"QKClip: `max_logits` must have one entry for the layer of `{path}`, got "
            f"{errors.listed(found or list(entries)) if entries else 'none'}. {_CALL}"
        )
    return entries[found[0]]
