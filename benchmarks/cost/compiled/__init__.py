"""What a step compiles to on a CPU, an H100 and a TPU v5e, without any of them."""

from collections.abc import Sequence

from benchmarks.cost.compiled import command, row


def main(argv: Sequence[str]) -> int:
    row.prepare()
    return command.main(argv)
