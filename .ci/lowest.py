"""Print the lowest versions that pyproject.toml allows, as a pip constraints file.

Every requirement that a user can install is a name with one lower bound; anything else
stops here, so that no bound goes untested.
"""

import re
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
for requirement in sum(
    project["optional-dependencies"].values(), project["dependencies"]
):
    bound = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if bound is None:
        raise SystemExit(
            f"lowest: a requirement must read NAME>=VERSION, got {requirement!r}."
        )
    print("{}=={}".format(*bound.groups()))
