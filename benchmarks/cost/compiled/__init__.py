"""What a step compiles to on a CPU, an H100 and a TPU v5e, without any of them."""

from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    from benchmarks.cost.compiled import targets

    targets.prepare()  # before JAX is imported

    from benchmarks.cost.compiled import command

    return command.main(argv)
