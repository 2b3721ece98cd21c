"""`python -m benchmarks device`: the step benchmark on an accelerator, and its parity.

Parity is the float32 difference of the same run on the accelerator and on the CPU, for
adamx and for the Optax counterpart, relative to each element's largest update.
"""

from collections.abc import Sequence

import jax

from benchmarks.cost.harness import compare, options, parity, report

STEPS = 50


def accelerator() -> jax.Device | None:
    """The first device that JAX would use, unless that is the CPU."""
    device = jax.devices()[0]
    return None if device.platform == "cpu" else device


def main(argv: Sequence[str]) -> int:
    parser = options.parser("device", "The step benchmark on an accelerator.")
    parser.add_argument(
        "--steps",
        type=options.positive,
        default=STEPS,
        help=f"steps of the parity run (default: {STEPS})",
    )
    given = parser.parse_args(argv)
    device = accelerator()
    if device is None:
        print("JAX finds no accelerator here, so there is nothing to measure.")
        return 0
    optimizers, trees, settings, path = options.chosen(given, "device")
    environment = report.environment(device)
    differences = {
        optimizer.name: {
            "adamx": parity.device_difference(optimizer.ours, device, given.steps),
            "optax": parity.device_difference(
                optimizer.counterpart, device, given.steps
            ),
        }
        for optimizer in optimizers
    }
    with jax.default_device(device):
        rows = report.kept(
            compare.run(optimizers, trees, settings, options.progress),
            path,
            trees,
            settings,
            environment=environment,
            steps=given.steps,
            parity=differences,
        )
    print(f"On {device.device_kind}. {report.table(rows, trees)}")
    print(f"\n{report.forms(rows)}\n\n{report.misses(rows)}\n")
    print(f"{device.platform} against CPU, float32, {given.steps} steps")
    head = ["optimizer", "adamx", "optax"]
    lines = [
        [k, f"{d['adamx']:.1e}", f"{d['optax']:.1e}"] for k, d in differences.items()
    ]
    print(report.aligned([head, *lines]))
    if path:
        print(f"Written to {path}.")
    return 0 if all(row.same for row in rows) else 1
