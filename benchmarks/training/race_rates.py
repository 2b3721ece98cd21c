"""The default learning rates of `adamx race`: the best of a grid, for each optimizer.

    python -m benchmarks.training.race_rates                        # all
    python -m benchmarks.training.race_rates --optimizers adam,sgd  # some

Trains every optimizer at 1e-4, 3e-4, …, 1 on the digits with the mlp, with the race's
own defaults (500 steps, 5 seeds), and prints the training loss averaged over the seeds
and the last fifth of the run, so that a rate at which the loss leaps does not win. A
rate at which a seed diverges is out.
"""

import argparse

import numpy as np

from adamx.race import data, models, optimizers, training

GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=models.MODELS, default="mlp")
    parser.add_argument("--optimizers", default=",".join(optimizers.OPTIMIZERS))
    args = parser.parse_args()
    model = models.MODELS[args.model]
    digits = data.load("digits")
    settings = training.Settings(steps=500, seeds=5, seed=0, batch=64)
    course = training.Course(model(digits.shape, digits.classes), digits, settings)
    print("".join(f"{rate:>9g}" for rate in GRID).rjust(9 * (len(GRID) + 1)))
    for name in optimizers.chosen(args.optimizers):
        entry = optimizers.OPTIMIZERS[name]
        losses = []
        for rate in GRID:
            run = training.train(name, rate, entry.factory(rate), course)
            last = run.train_loss[:, -training.POINTS // 5 :].mean()
            losses.append(float(last) if run.finished.all() else np.inf)
        best = GRID[int(np.argmin(losses))]
        verdict = "the default" if best == entry.learning_rate else "NOT the default"
        cells = "".join(f"{loss:>9.5f}" for loss in losses)
        print(f"{name:<9}{cells}  best: {best:g}, {verdict}", flush=True)


if __name__ == "__main__":
    main()
