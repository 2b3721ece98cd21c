"""`python -m benchmarks storage_training`: training with each storage on real data.

Five seeds at once under `vmap`. A seed has the same start and the same batches in
every form, so that what differs is the memory alone.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adamx.race.models import conv
from benchmarks.cost import memory
from benchmarks.cost.harness import options
from benchmarks.cost.memory.forms import FORMS, Form
from benchmarks.training import data, transformer

MEAN_OF = 25  # steps in a point of a curve
WARMUP = 50  # steps


@dataclasses.dataclass(frozen=True)
class Task:
    """`init(key)`, `loss(params, batch)`, `batch(key)`, and what to test with."""

    name: str
    init: Callable[[Any], Any]
    loss: Callable[[Any, Any], Any]
    batch: Callable[[Any], Any]
    test: Any
    steps: int
    rate: float


def fashion(steps: int = 500, size: int = 64) -> Task:
    """The race's convnet on Fashion-MNIST, batches of 64; 2,000 to test with."""
    x, y, x_test, y_test = data.fashion_mnist()
    model = conv((28, 28), 10)
    x, y = jnp.asarray(x), jnp.asarray(y)

    def loss(params: Any, batch: Any) -> Any:
        logits = model.apply(params, batch[0])
        labels = optax.softmax_cross_entropy_with_integer_labels(logits, batch[1])
        return labels.mean()

    def batch(key: Any) -> Any:
        chosen = jax.random.randint(key, (size,), 0, len(x))
        return x[chosen], y[chosen]

    test = jnp.asarray(x_test[:2000]), jnp.asarray(y_test[:2000])
    name = "Fashion-MNIST convnet"
    return Task(name, model.init, loss, batch, test, steps, 1e-3)


def plays(steps: int = 800, size: int = 16) -> Task:
    """A transformer of two layers over the characters of Shakespeare's plays."""
    text, alphabet = data.shakespeare()
    shape = transformer.Size(alphabet=len(alphabet))
    split = len(text) * 9 // 10
    train, rest = jnp.asarray(text[:split]), text[split:]
    window = shape.context + 1

    def batch(key: Any) -> Any:
        starts = jax.random.randint(key, (size, 1), 0, split - window)
        return train[starts + jnp.arange(window)]

    starts = np.linspace(0, len(rest) - window, 128).astype(int)[:, None]
    test = jnp.asarray(rest[starts + np.arange(window)])
    loss = functools.partial(transformer.loss, heads=shape.heads)
    init = functools.partial(transformer.init, size=shape)
    return Task("Shakespeare transformer", init, loss, batch, test, steps, 2e-3)


def train(task: Task, form: Form, seeds: int, chunk: int = 50) -> dict[str, Any]:
    """The training loss of each seed at each step, and its loss on the test."""
    tx = form.tx(optax.warmup_cosine_decay_schedule(0, task.rate, WARMUP, task.steps))
    keys = jax.random.split(jax.random.key(0), seeds)

    def start(key: Any) -> Any:
        params = jax.tree.map(lambda p: p.astype(form.params), task.init(key))
        return params, tx.init(params)

    def wide(params: Any) -> Any:
        return jax.tree.map(lambda p: p.astype(jnp.float32), params)

    def step(key: Any, carry: Any, k: Any) -> Any:
        params, state = carry
        batch = task.batch(jax.random.fold_in(key, k))
        loss, grads = jax.value_and_grad(lambda p: task.loss(wide(p), batch))(params)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    @functools.partial(jax.jit, donate_argnums=0)
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def several(carry: Any, key: Any, first: Any) -> Any:
        steps = first + jnp.arange(chunk)
        return jax.lax.scan(functools.partial(step, key), carry, steps)

    carry = jax.jit(jax.vmap(start))(keys)
    losses = []
    for first in range(0, task.steps, chunk):
        carry, loss = several(carry, keys, first)
        losses.append(np.asarray(loss))
    test = jax.vmap(lambda p, x: task.loss(wide(p), x), (0, None))
    tested = jax.jit(test)(carry[0], task.test)
    return {
        "form": form.name,
        "control": form.control,
        "losses": in_means(np.concatenate(losses, 1).mean(0)),
        "test": np.asarray(tested).round(5).tolist(),
    }


def in_means(losses: np.ndarray, of: int = MEAN_OF) -> list[float]:
    """The means of every 25 steps."""
    return losses[: len(losses) // of * of].reshape(-1, of).mean(1).round(4).tolist()


def judge(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row with its distance from float32, paired by seed, and the seed noise."""
    base = np.array(next(r["test"] for r in rows if r["form"] == "float32"))
    noise = float(base.std(ddof=1))
    for row in rows:
        off = np.array(row["test"]) - base
        row["off"] = round(float(off.mean()), 5)
        row["off_error"] = round(float(off.std(ddof=1) / np.sqrt(len(off))), 5)
        row["seed_noise"] = round(noise, 5)
        row["within"] = bool(abs(off.mean()) <= noise)
    return rows


def run(seeds: int, progress: Callable[[str], None], quick: bool = False) -> dict:
    results = {}
    for make in (fashion, plays):
        try:
            task = make(2 * WARMUP) if quick else make()
        except data.NoData as error:
            progress(str(error))
            continue
        rows = []
        for form in FORMS[:2] if quick else FORMS:
            rows.append(train(task, form, seeds))
            progress(f"{task.name}, {form.name}: {np.mean(rows[-1]['test']):.4f}")
        results[task.name] = judge(rows)
    return results


def draw(tasks: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """For each task the training losses, and the test losses less float32's."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        len(tasks), 2, figsize=(12, 4.5 * len(tasks)), squeeze=False
    )
    for (task, rows), (left, right) in zip(tasks.items(), axes, strict=True):
        for row in rows:
            steps = MEAN_OF * (1 + np.arange(len(row["losses"])))
            style = "--" if row["control"] else "-"
            left.plot(steps, row["losses"], style, lw=1.2, label=row["form"])
        left.set(title=task, xlabel="step", ylabel="training loss, mean of 25 steps")
        left.set_yscale("log")
        names = [r["form"] for r in rows][::-1]
        off = [r["off"] for r in rows][::-1]
        error = [r["off_error"] for r in rows][::-1]
        colours = ["C3" if r["control"] else "C0" for r in rows][::-1]
        noise = rows[0]["seed_noise"]
        right.axvspan(-noise, noise, color="C2", alpha=0.25)
        right.barh(names, off, xerr=error, color=colours)
        right.set_xscale("symlog", linthresh=2 * noise, linscale=2)
        right.set_xlabel("test loss less float32's; green: the noise of seeds")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(argv: Sequence[str]) -> int:
    parser = memory.parser("storage_training", __doc__.splitlines()[0])
    parser.add_argument("--seeds", type=options.positive, default=5)
    given = parser.parse_args(argv)
    path = memory.destination(given)
    found = run(given.seeds, options.progress, given.quick)
    if not found:
        return 1
    memory.keep("parity", found, path)
    if path:
        draw(found, path.with_name("memory_parity.png"))
        print(f"Written to {path}, with a picture beside it.")
    return 0
