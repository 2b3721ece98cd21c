"""Measures the optimizer's share of a whole training step: see its module `command`.

The command is imported when it is asked for, so that the process of torch, which is a
module of this package, stays free of JAX.
"""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.training.step_share import command

    return command.main(argv)
