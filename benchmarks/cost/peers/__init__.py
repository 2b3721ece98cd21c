"""adamx, Optax and torch.optim side by side: see `benchmarks.cost.peers.command`.

This file imports nothing: the workers import it too, and their memory is measured.
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.cost.peers import command

    return command.main(argv)
