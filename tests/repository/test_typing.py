"""What a type checker says of code that uses adamx."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CONSUMER = Path(__file__).with_name("typed_consumer.py")


def errors_of(text, folder):
    """What pyright, strict, finds wrong in a file."""
    pytest.importorskip("pyright", reason="pyright is in the lint group only")
    (folder / "consumer.py").write_text(text)
    # optax has no py.typed file: that is said once of each import, whatever the code
    settings = {"typeCheckingMode": "strict", "reportMissingTypeStubs": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = ["-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "."]
    ran = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True
    )
    found = json.loads(ran.stdout)["generalDiagnostics"]
    return [one["message"] for one in found if one["severity"] == "error"]


def test_a_consumer_is_clean_under_strict_pyright(tmp_path):
    assert errors_of(CONSUMER.read_text(), tmp_path) == []


def test_a_string_is_no_learning_rate(tmp_path):
    (error,) = errors_of('import adamx\n\nadamx.adamw("abc")\n', tmp_path)
    assert "learning_rate" in error
    assert "ScalarOrSchedule" in error
