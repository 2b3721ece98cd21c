"""The command line: `python -m benchmarks <name> [options]`.

A benchmark is a module with `main(argv) -> exit code`; its row below is all that the
command line knows of it, and only the one asked for is imported.
"""

import importlib
import sys
from collections.abc import Sequence

BENCHMARKS = {
    "step": ("cost.step", "trace, compile, step and eager time beside Optax"),
    "device": ("cost.device", "the same on an accelerator, and its parity to the CPU"),
    "accelerator": (
        "cost.accelerator",
        "AdamW in each storage and Muon on an accelerator, beside Optax and torch",
    ),
    "family": (
        "cost.all_optimizers",
        "trace, compile and step time of every optimizer, beside optax.adam",
    ),
    "peers": (
        "cost.peers",
        "adamx, Optax and torch.optim on the CPU, each in its own process",
    ),
    "compiled": (
        "cost.compiled",
        "kernels, bytes and temporaries of compiled steps: CPU, H100, TPU v5e",
    ),
    "fused": (
        "cost.fused",
        "AdamW in one pass over memory on a CPU, beside XLA's loops and Optax",
    ),
    "matrices": (
        "cost.matrices",
        "Muon's products, kernels, memory and time beside Optax; errors by precision",
    ),
    "accumulate": (
        "cost.accumulation",
        "micro-steps of adamx.accumulate beside optax.MultiSteps",
    ),
    "packing": (
        "cost.packing",
        "a training step on many small leaves, with adamx.packing and without",
    ),
    "observe": ("cost.observing", "what adamx.observe adds to a step"),
    "import": ("cost.importing", "how long `import adamx` takes"),
    "sweep": (
        "cost.sweeping",
        "64 rates × 3 seeds of the digits perceptron beside the loop over jitted runs",
    ),
    "rows": (
        "cost.rows",
        "a step on some rows of a table, beside dense Optax and torch's SparseAdam",
    ),
    "memory": ("cost.memory", "bytes, codecs and speed of each storage"),
    "matrix_training": (
        "training.matrix_training",
        "matrix optimizers on a language model, each at its best rate and decay",
    ),
    "parity": (
        "cost.accelerator.parity",
        "every optimizer on an accelerator and on the CPU",
    ),
    "race_rates": (
        "training.race_rates",
        "the learning rates that the race starts from: the best of a grid",
    ),
    "storage_staleness": (
        "training.storage_staleness",
        "whether a second moment in each storage follows gradients that shrink",
    ),
    "storage_training": (
        "training.storage_training",
        "training with each storage on real data, beside float32",
    ),
    "share": (
        "training.step_share",
        "how much of a whole training step is the optimizer",
    ),
    "sharded": (
        "training.sharded",
        "a decoder on meshes of 8 devices, beside the same on one",
    ),
    "processes": (
        "training.processes",
        "a run over several processes that are killed and start again",
    ),
    "paper": (
        "training.paper",
        "the experiments of Kingma & Ba 2014, and the claims made for Adam",
    ),
    "failure_modes": (
        "training.failure_modes",
        "small tasks that break optimizers, as a pass/fail map",
    ),
}
"""Each command: its module in benchmarks/, and what it does."""


def usage() -> str:
    width = max(map(len, BENCHMARKS))
    rows = "\n".join(
        f"  {name:<{width}}  {what}" for name, (_, what) in BENCHMARKS.items()
    )
    return f"usage: python -m benchmarks <name> [options]\n\n{rows}"


def main(argv: Sequence[str]) -> int:
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name not in BENCHMARKS:
        print(
            f"benchmarks: the name must be one of {', '.join(BENCHMARKS)}, got {name}.",
            file=sys.stderr,
        )
        return 2
    module = importlib.import_module(f"benchmarks.{BENCHMARKS[name][0]}")
    return module.main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
