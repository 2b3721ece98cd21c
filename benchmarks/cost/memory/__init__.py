"""`python -m benchmarks memory`: bytes, staleness, speed and training of each storage.

Parts: `sizes` (bytes per parameter on GPT-2 small's tree), `combine` (optimizers ×
codecs), `staleness` (does the second moment follow gradients that shrink), `speed`
(step time and temporary bytes beside Optax), `parity` (training on Fashion-MNIST and
Shakespeare, fetched once). Each is written into the JSON as soon as it is there.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost.harness import options

PARTS = ("sizes", "combine", "staleness", "speed", "parity")


def part(name: str, given: argparse.Namespace) -> Any:
    """The figures of one part; only what it needs is imported."""
    if name == "sizes":
        from benchmarks.cost.memory import sizes

        return sizes.run()
    if name == "combine":
        from benchmarks.cost.memory import combine

        return combine.table()
    if name == "staleness":
        from benchmarks.training import storage_staleness as staleness

        return staleness.table()
    if name == "speed":
        from benchmarks.cost.memory import speed

        found = speed.run(given.quick, given.repeats, options.progress)
        return {"settings": found, "bars": speed.bars(found)}
    from benchmarks.training import storage_training as parity

    return parity.run(given.seeds, options.progress, given.quick)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks memory", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--parts",
        type=options.some_of({name: name for name in PARTS}),
        default=list(PARTS),
        help=f"which, separated by commas: {', '.join(PARTS)} (default: all)",
    )
    parser.add_argument("--seeds", type=options.positive, default=5, help="of parity")
    parser.add_argument("--repeats", type=options.positive, default=15, help="of speed")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small trees, few steps: shows that it runs; writes nothing unless asked",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="PATH",
        help="where the results go (default: benchmarks/results/memory.json)",
    )
    given = parser.parse_args(argv)
    path = given.json
    if path is None and not given.quick:
        path = options.RESULTS / "memory.json"
    results = json.loads(path.read_text()) if path and path.exists() else {}
    for name in given.parts:
        results[name] = part(name, given)
        print(_report()(name, results[name]), flush=True)
        if path:
            path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if path:
        from benchmarks.cost.memory import pictures

        for picture in pictures.draw(results, path.parent):
            print(f"Drawn: {picture}")
        print(f"Written to {path}.")
    return 0


def _report() -> Callable[[str, Any], str]:
    from benchmarks.cost.memory import report

    return report.of
