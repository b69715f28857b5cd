"""The installation of the Dockerfile, resolved but not installed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "cluster" / "Dockerfile"
UV = shutil.which("uv")
UNREACHABLE = ("error sending request", "Failed to fetch", "Could not connect")


def instructions() -> list[tuple[str, str]]:
    """The name and the rest of every instruction."""
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def test_the_base_image_is_an_argument() -> None:
    (first, base), (second, used) = instructions()[:2]
    assert (first, second) == ("ARG", "FROM")
    assert base.startswith("BASE=")
    assert used == "${BASE}"


def test_what_is_copied_is_what_the_build_of_the_package_needs(tmp_path: Path) -> None:
    for name, rest in instructions():
        if name == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                assert (REPOSITORY / source).exists()
    copied = " ".join(rest for name, rest in instructions() if name == "COPY").split()
    project = (REPOSITORY / "pyproject.toml").read_text()
    for needed in re.findall(r'^(?:readme|license-files) = \[?"(.+?)"', project, re.MULTILINE):
        assert needed in copied


def test_the_container_is_not_root_and_ray_asks_for_tokens() -> None:
    users = [rest for name, rest in instructions() if name in {"USER", "RUN"}]
    assert users[0] == "root"  # for any user of the base image
    assert users[-1] == "balpoe"
    assert any("RAY_AUTH_MODE=token" in rest for name, rest in instructions() if name == "ENV")


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_the_installation_resolves() -> None:
    (run,) = (rest for name, rest in instructions() if name == "RUN" and "uv pip" in rest)
    command = shlex.split(run.split("&&")[1])
    assert command[:3] == ["uv", "pip", "install"]
    command.remove("--system")  # the image's Python: here that of the tests
    resolved = subprocess.run(
        [*command, "--dry-run", "--reinstall", "--python", sys.executable],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if resolved.returncode != 0 and any(sign in resolved.stderr for sign in UNREACHABLE):
        pytest.skip(f"no package registry: {resolved.stderr}")
    assert resolved.returncode == 0, resolved.stderr
    for wanted in ("balpoe", "ray", "torch", "mlflow", "psycopg"):
        assert re.search(rf"^ [+~] {wanted}(==| @ )", resolved.stderr, re.MULTILINE), (
            resolved.stderr
        )
