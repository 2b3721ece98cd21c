"""Parameter groups: an optimizer for each group of leaves, or none for frozen ones.

Every leaf is in exactly one group, and its optimizer runs on it alone. The groups have
one state and one count: a slot that several groups have, such as `mu`, is one tree.
"""

from typing import Any

from .. import errors
from ..engine.chain import Chain, chain
from ..engine.hyperparams import ScalarOrSchedule
from ..engine.masks import Mask, as_mask
from ..engine.rule import Rule, as_rule
from ..engine.transformation import Transformation, is_transformation
from ..engine.value import show
from ..parts.clipping import ClipByGlobalNorm
from .grouped import Groups, Rest


def groups(groups: Any, clip: ScalarOrSchedule | Any = None) -> Groups:
    """Give each group of leaves its own optimizer, or none: those are frozen.

        groups(
            [
                (r"embed", adamw(1e-4)),
                (r"backbone", None),
                (..., muon(0.02)),
            ],
            clip=1.0,
        )

    Every leaf must be in exactly one group; `...` has the leaves that no other group
    has. A leaf is updated by the optimizer of its group, as if there were no others:
    what an optimizer sums over the tree, it sums over its group. Optimizing groups
    with optimizers of scope "element" or "tensor" equals running each alone.

    Frozen leaves get an update of zeros, which `optax.apply_updates` adds without a
    change of any bit, have nothing in the state, and need no gradient: where the
    gradients are computed under the same `jax.jit`, XLA leaves those out.
    (`Masked(adamw(1e-3), mask)` does not freeze the other leaves: it returns their
    gradients unchanged, and `apply_updates` then *adds the gradient*.)

    Args:
        groups: a list of pairs of leaves and an optimizer. The leaves are a path regex
            (`re.search` on `a/b/c`), a predicate of path and leaf, a callable on the
            parameters, a tree of bools, or `...` for the rest. The optimizer is any
            gradient transformation, or None to freeze the leaves.
        clip: the largest global norm of the gradients of all leaves that are not
            frozen, taken before the groups; or another rule, such as
            `ClipByGlobalNorm(1.0, axis_name="data")`.

    State: the slots of all groups and one count. A slot that several have, stored
    alike, is one tree under its name, so that a state of one optimizer for all leaves
    is that of groups of it. What cannot be one tree (another codec, numbers of the
    whole group such as Prodigy's `d`) has the number of the group before its name:
    `group2_d`. States of external transformations are in `state.inner`, likewise.

    Raises:
        ValueError: no group; two groups with the same pattern; a bad `clip`; at `init`
            and `update`, a leaf that is in two groups or in none, and a pattern that
            is in no path.
        TypeError: a group is no pair of leaves and a gradient transformation.
    """
    pairs = list(groups) if _is_plain(groups) else None
    if not pairs:
        raise errors.type_error(
            "groups",
            "`groups` must be a list of pairs of leaves and an optimizer",
            errors.shown(groups),
            "Pass for example [('bias', adamw(1e-3)), (..., muon(0.02))].",
        )
    kept = [_checked(pair) for pair in pairs]
    given = [mask for mask, _ in kept if mask is not None]
    twice = [mask for i, mask in enumerate(given) if mask in given[:i]]
    if twice or len(given) < len(kept) - 1:
        raise errors.AdamxError(
            f"groups: every group must have leaves of its own, got "
            f"{show(twice[0]) if twice else '...'} twice. Merge the two groups."
        )
    rest = Rest(tuple(given))
    made = tuple((rest if mask is None else mask, tx) for mask, tx in kept)
    return Groups(made, _clip(clip))


def _is_plain(x: Any) -> bool:
    """Return whether `x` is a list or a tuple, but no transformation, which is one."""
    return type(x) in (list, tuple)


def _checked(pair: Any) -> tuple[Mask | None, Chain | None]:
    """Return a group's mask, None for the rest, and its optimizer as a chain."""
    if not (_is_plain(pair) and len(pair) == 2):
        raise errors.type_error(
            "groups",
            "a group must be a pair of leaves and an optimizer",
            errors.shown(pair),
            "Write (pattern, tx), or (pattern, None) for frozen leaves.",
        )
    which, tx = pair
    mask = None if which is ... else as_mask("groups", which)
    if mask is None and which is not ...:
        raise errors.AdamxError(
            f"groups: a group must say which leaves it has, got {which!r}. Pass `...` "
            f"for the leaves that no other group has."
        )
    if tx is None:
        return mask, None
    if not is_transformation(tx):
        raise errors.type_error(
            "groups",
            f"the group {'...' if mask is None else show(mask)} must have a gradient "
            f"transformation, or None",
            errors.shown(tx),
            "Pass for example adamw(1e-3), or None to freeze the leaves.",
        )
    return mask, chain(tx)


def _clip(clip: Any) -> Rule | None:
    if clip is None:
        return None
    if isinstance(clip, Transformation):
        rule = as_rule("groups", "clip", clip)
    else:
        try:
            rule = ClipByGlobalNorm(clip)
        except errors.AdamxError as error:
            raise errors.in_terms_of(
                error, "groups", ["clip"], {"clip": clip}
            ) from None
    if rule._has_place("step") or rule._has_place("last"):
        raise errors.AdamxError(
            f"groups: `clip` must take and return gradients, got {rule!r}, which has a "
            f"learning rate. Put it into the groups."
        )
    return rule
