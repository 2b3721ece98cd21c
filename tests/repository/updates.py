"""Write down the updates of every optimizer, to compare two commits bit for bit.

    python -m tests.repository.updates record FILE
    python -m tests.repository.updates compare FILE

Every form in the table of optimizers (`tests/table`) takes six steps on three leaves,
in float32 and in bfloat16, in a jitted program. FILE keeps one hash of all updates and
one of the last state's arrays for each form. Only files that were written on the same
machine with the same jax can be compared: other processors round otherwise.
"""

import hashlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS = 6


def _every_case():
    try:
        from tests.table.cases import OPTIMIZERS, Case
    except ImportError:  # before the table had a folder of its own
        from tests.members import ALIASES as OPTIMIZERS, Case
    for row in OPTIMIZERS:
        for variant in row.variants:
            yield Case(row, variant)


def _tree(seed, dtype):
    normal = np.random.default_rng(seed).standard_normal
    tree = {
        "dense": {"kernel": normal((16, 24)), "bias": normal(24)},
        "blocks": [normal((4, 3, 8))],
    }
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def _digest(trees):
    found = hashlib.sha256()
    for x in jax.tree.leaves(trees):
        found.update(np.asarray(x).tobytes())
    return found.hexdigest()[:16]


def hashes(case, dtype):
    """The hash of all updates, and that of the last state."""
    tx, params = case.tx, _tree(0, dtype)
    state, updates = tx.init(params), []
    update = jax.jit(tx.update)
    for step in range(STEPS):
        u, state = update(_tree(100 + step, dtype), state, params)
        params = optax.apply_updates(params, u)
        updates.append(u)
    return [_digest(updates), _digest(state)]


def record():
    """Those of every form, by name and dtype."""
    return {
        f"{case} {dtype}": hashes(case, dtype)
        for case in _every_case()
        for dtype in ("float32", "bfloat16")
    }


def main(what, file):
    found = record()
    if what == "record":
        Path(file).write_text(json.dumps(found, indent=1) + "\n")
        print(f"{len(found)} forms written to {file}")
        return 0
    before = json.loads(Path(file).read_text())
    for name in sorted(before.keys() | found.keys()):
        if before.get(name) != found.get(name):
            print(name, before.get(name), found.get(name))
    changed = sum(before[n] != found[n] for n in before.keys() & found.keys())
    print(
        f"{len(before)} forms before, {len(found)} now; {changed} have other bits, "
        f"{len(before.keys() ^ found.keys())} stand on one side only"
    )
    return int(changed > 0 or before.keys() != found.keys())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
