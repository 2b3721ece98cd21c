"""Print the lowest versions that pyproject.toml allows, as a pip constraints file.

Every requirement that a user can install is a name with one lower bound; anything else
stops here, so that no bound goes untested.
"""

import re
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
lowest: dict[str, str] = {}
for requirement in sum(
    project["optional-dependencies"].values(), project["dependencies"]
):
    bound = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if bound is None:
        raise SystemExit(
            f"lowest: a requirement must read NAME>=VERSION, got {requirement!r}."
        )
    name, version = bound.groups()
    if lowest.setdefault(name, version) != version:
        raise SystemExit(
            f"lowest: {name} has two bounds, {lowest[name]} and {version}; give it one."
        )
print("\n".join(f"{name}=={version}" for name, version in lowest.items()))
