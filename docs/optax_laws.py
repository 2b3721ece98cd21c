"""Which laws of `adamx.testing` the optimizers of Optax break.

    python -m docs.optax_laws

writes `docs/optax_laws.csv`. `tests/testing/test_on_optimizers.py` compares it.
"""

import csv
from pathlib import Path

import jax.numpy as jnp
import optax
from optax import contrib

from adamx import testing

TABLE = Path(__file__).parent / "optax_laws.csv"
RATE = 0.01
ALIASES = (
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw",
    "adamw", "adan", "amsgrad", "fromage", "lamb", "lars", "lbfgs", "lion", "nadam",
    "nadamw", "noisy_sgd", "novograd", "optimistic_gradient_descent", "polyak_sgd",
    "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "sm3", "yogi",
)  # fmt: skip
CONTRIB = (
    "acprop", "ademamix", "cocob", "dadapt_adamw", "dog", "dowg", "madgrad", "momo",
    "momo_adam", "muon", "prodigy", "schedule_free_adamw", "schedule_free_sgd",
    "simplified_ademamix",
)  # fmt: skip
KEYWORDS = {
    "lbfgs": {"learning_rate": RATE, "linesearch": None},
    "noisy_sgd": {"learning_rate": RATE, "key": 0},
    "polyak_sgd": {},
    "dog": {},
    "dowg": {},
}
EXTRA = {name: {"value": 1.0} for name in ("polyak_sgd", "momo", "momo_adam")}
PARAMS = {"sm3": {"a": jnp.ones((2, 3))}}  # it takes no scalars


def built(name: str) -> optax.GradientTransformation:
    function = getattr(optax, name, None) or getattr(contrib, name)
    return function(**KEYWORDS.get(name, {"learning_rate": RATE}))


def broken(name: str) -> dict[str, str]:
    """Return what is wrong by the name of each law that an optimizer breaks."""
    given = {"extra": EXTRA.get(name), "params": PARAMS.get(name)}
    return testing.broken_laws(built(name), **given)


def recorded() -> dict[str, list[str]]:
    """Return the laws that each optimizer broke when the table was written."""
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["optimizer"]: row["laws broken"].split() for row in rows}


def main() -> None:
    """Write the table."""
    with TABLE.open("w", newline="") as file:
        write = csv.writer(file, lineterminator="\n")
        write.writerow(["optimizer", "laws broken"])
        for name in (*ALIASES, *CONTRIB):
            found = broken(name)
            write.writerow([name, " ".join(sorted(found))])
            print(name, *(f"\n    {law}: {told}" for law, told in found.items()))


if __name__ == "__main__":
    main()
