"""How much of a whole training step the optimizer is: see `command` of this package.

The command is imported when it is asked for, so that the process of torch, which is a
module of this package, stays free of JAX.
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.training.step_share import command

    return command.main(argv)
