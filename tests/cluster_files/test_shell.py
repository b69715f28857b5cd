"""The shell scripts of `cluster/`, checked by shellcheck."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "cluster"
SCRIPTS = ("environment.sh", "slurm/balpoe.sbatch", "mlflow/serve.sh")


def test_every_script_is_checked() -> None:
    shell = {
        str(path.relative_to(CLUSTER))
        for path in CLUSTER.rglob("*")
        if path.suffix in {".sh", ".sbatch"} or (path.is_file() and path.read_bytes()[:2] == b"#!")
    }
    assert shell == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_no_fault(script: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--external-sources", "--enable=require-double-brackets", script],
        cwd=CLUSTER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_slurm_reads_all_of_its_directives() -> None:
    """Slurm stops at the first line that is neither a comment nor empty."""
    lines = (CLUSTER / "slurm" / "balpoe.sbatch").read_text().splitlines()
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [n for n, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert directives
    assert max(directives) < first_command
