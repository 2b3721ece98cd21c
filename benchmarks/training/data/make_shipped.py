"""Makes the folder `shipped` from the fetched data, or checks that it is equal.

    python -m benchmarks.training.data.make_shipped            # compare
    python -m benchmarks.training.data.make_shipped --write    # make the files anew

Fashion-MNIST is MIT (LICENSE-fashion-mnist beside it); Shakespeare's plays are public
domain. The pictures are the first ones of the training and of the test set.
"""

import argparse
import sys

import numpy as np

from benchmarks.training.data import fashion_mnist
from benchmarks.training.data.shipped import FOLDER
from benchmarks.training.data.texts import plays

PICTURES = 1000, 300
CHARACTERS = 100_000


def pictures() -> dict[str, np.ndarray]:
    x, y, x_test, y_test = fashion_mnist()
    train, test = PICTURES
    made = {"x": x[:train] * 255, "y": y[:train]}
    made |= {"x_test": x_test[:test] * 255, "y_test": y_test[:test]}
    return {name: array.round().astype(np.uint8) for name, array in made.items()}


def texts() -> dict[str, str]:
    found = plays()
    wanted = {"hamlet": "hamlet", "dream": "midsummer"}
    return {
        name: next(t for n, t in found.items() if part in n.lower())[:CHARACTERS]
        for name, part in wanted.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make the files anew")
    made, said = pictures(), texts()
    if parser.parse_args().write:
        FOLDER.mkdir(exist_ok=True)
        np.savez_compressed(FOLDER / "fashion.npz", **made)
        for name, text in said.items():
            (FOLDER / f"{name}.txt").write_text(text)
    with np.load(FOLDER / "fashion.npz") as kept:
        equal = all(np.array_equal(kept[name], made[name]) for name in made)
    equal &= all((FOLDER / f"{n}.txt").read_text() == text for n, text in said.items())
    print(f"{FOLDER}: {'equal to' if equal else 'DIFFERENT from'} what is fetched.")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
