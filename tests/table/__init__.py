"""The table of optimizers: how each is called, its variants, and its mutants.

One file for each file of adamx/optimizers, under the same name. A file has `ROWS`, and
may have `MUTANTS`, wrong optimizers that the oracle check must catch, and `COMPOSED`,
published forms that are a part exchanged. Nothing in here is arithmetic.
"""

import importlib
import pkgutil

NO_OPTIMIZER = {"cases", "exemptions", "hyperparameters", "row"}
FILES = {
    name: importlib.import_module(f"{__name__}.{name}")
    for name in sorted(found.name for found in pkgutil.iter_modules(__path__))
    if name not in NO_OPTIMIZER
}
OPTIMIZERS = tuple(row for file in FILES.values() for row in file.ROWS)


def _every(name):
    """The entries of that dict in all files, whose keys must differ."""
    found = [
        item for file in FILES.values() for item in vars(file).get(name, {}).items()
    ]
    assert len(dict(found)) == len(found), f"two of {name} have one key"
    return dict(found)


def first_mutants():
    """One mutant of each file, for the small grid."""
    return [
        next(iter(file.MUTANTS)) for file in FILES.values() if "MUTANTS" in vars(file)
    ]


MUTANTS = _every("MUTANTS")
COMPOSED = _every("COMPOSED")
