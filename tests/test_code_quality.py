"""The linter, the type checker and the import contracts, as part of the test command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import balpoe

REPOSITORY = Path(__file__).parent.parent

CHECKS = {
    "ruff finds no fault": ["ruff", "check", "."],
    "ruff would format nothing": ["ruff", "format", "--check", "."],
    "mypy is content in strict mode": ["mypy"],
    "imports go down the layers": ["lint-imports", "--no-cache"],
}


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS.keys())
def test_the_code_is_clean(command: list[str]) -> None:
    executable = str(Path(sys.executable).parent / command[0])
    checked = subprocess.run(
        [executable, *command[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_public_function_is_there() -> None:
    for name in balpoe.__all__:
        assert callable(getattr(balpoe, name))


def test_importing_balpoe_loads_no_heavy_library() -> None:
    heavy = {"torch", "ray", "mlflow", "optuna"}
    code = f"import sys, balpoe; print(sorted({heavy!r} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
