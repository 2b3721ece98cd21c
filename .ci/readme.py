"""Print command N (1, 2, …) of README.md: its one-line `sh` blocks, in order."""

import re
import sys
from pathlib import Path

readme = Path(__file__).resolve().parent.parent / "README.md"
commands = re.findall(r"^```sh\n(.*)\n```$", readme.read_text(), flags=re.MULTILINE)
if len(commands) != 2:
    raise SystemExit(f"readme: README.md must have two commands, got {commands}.")
print(commands[int(sys.argv[1]) - 1])
