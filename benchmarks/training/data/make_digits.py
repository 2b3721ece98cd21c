"""Makes `adamx/race/digits.npz` from scikit-learn, or checks that it is equal to it.

    python -m benchmarks.training.data.make_digits            # compare
    python -m benchmarks.training.data.make_digits --write    # make both files anew

The pictures are scikit-learn's `load_digits`: 1,797 pictures of 8 × 8, values 0 to 16.
The file in the repository was made with scikit-learn 1.9.1.
"""

import argparse
import importlib.metadata
import pathlib
import sys

import numpy as np
import sklearn
from sklearn.datasets import load_digits

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "adamx" / "race"
FILE, LICENCE = FOLDER / "digits.npz", FOLDER / "LICENSE-digits"
LARGEST = 100_000  # bytes

ORIGIN = """\
digits.npz holds the hand-written digits that scikit-learn {version} ships (its
`load_digits`), stored as small integers. They are a copy of the test set of "Optical
Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository, 1998. scikit-learn distributes them under the licence below.

"""


def from_sklearn() -> dict[str, np.ndarray]:
    digits = load_digits()
    x, y = digits.images.astype(np.uint8), digits.target.astype(np.uint8)
    assert np.array_equal(x, digits.images), "a picture has values that are no integers"
    return {"x": x, "y": y}


def licence() -> str:
    """What scikit-learn says of itself, without what it bundles in binary form."""
    files = importlib.metadata.files("scikit-learn") or []
    (copying,) = (f for f in files if f.name == "COPYING")
    text = copying.read_text().split("\n----")[0].strip()
    return ORIGIN.format(version=sklearn.__version__) + text + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make the files anew")
    wanted = from_sklearn()
    if parser.parse_args().write:
        np.savez_compressed(FILE, **wanted)
        LICENCE.write_text(licence())
    size = FILE.stat().st_size
    with np.load(FILE) as kept:
        equal = set(kept.files) == set(wanted) and all(
            np.array_equal(kept[k], wanted[k]) and kept[k].dtype == wanted[k].dtype
            for k in wanted
        )
    verdict = "equal to" if equal else "DIFFERENT from"
    print(f"{FILE.name}: {size:,} bytes, {verdict} scikit-learn {sklearn.__version__}")
    return 0 if equal and size < LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
