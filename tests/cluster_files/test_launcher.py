"""The file of Ray's cluster launcher, checked by Ray's own schema and preparation, offline."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

REPOSITORY = Path(__file__).parents[2]
LAUNCHER = REPOSITORY / "cluster" / "launcher.yaml"
OWN, CLOUD = "local", "aws"


def launcher(provider: str) -> dict[str, Any]:
    """The launcher with the block of `provider` in use, as described in its comments."""
    own, cloud = re.findall(r"^# >>> .*\n((?s:.*?))^# <<<\n", LAUNCHER.read_text(), re.MULTILINE)
    text = LAUNCHER.read_text()
    if provider == CLOUD:
        assert all(line.startswith("# ") for line in cloud.splitlines())
        text = text.replace(own, "").replace(cloud, re.sub("^# ", "", cloud, flags=re.MULTILINE))
    config: dict[str, Any] = yaml.safe_load(text)
    assert config["provider"]["type"] == provider
    return config


@pytest.fixture(params=[OWN, CLOUD])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The launcher for each provider."""
    return launcher(request.param)


def test_ray_accepts_the_launcher(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)
    validate_config(prepared)
    workers = [
        kind["max_workers"]
        for name, kind in prepared["available_node_types"].items()
        if config["provider"]["type"] == OWN or name != prepared["head_node_type"]
    ]
    assert sum(workers) >= 1


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(Exception, match="setup_comands"):
        validate_config(prepare_config(launcher(OWN) | {"setup_comands": []}))


def test_every_node_starts_ray_with_tokens(config: dict[str, Any]) -> None:
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("chmod 600 ~/.ray/auth_token" in command for command in config["setup_commands"])
    for kind in ("head", "worker"):
        (start,) = (
            command for command in config[f"{kind}_start_ray_commands"] if "ray start" in command
        )
        assert start.index("environment.sh") < start.index("ray start")


def test_the_dashboard_is_reached_through_ssh_only() -> None:
    assert any("--dashboard-host=127.0.0.1" in c for c in launcher(OWN)["head_start_ray_commands"])


def test_commands_of_the_launcher_are_sound_shell(config: dict[str, Any]) -> None:
    commands = [
        command for key, value in config.items() if key.endswith("commands") for command in value
    ]
    script = "\n".join(f"({command})" for command in commands)
    checked = subprocess.run(
        # ~/.profile gets $PATH unexpanded, on purpose; environment.sh is checked by itself
        ["shellcheck", "--shell=bash", "--exclude=SC2016,SC1090", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_ray_starts_where_fewer_files_may_be_open(kind: str, tmp_path: Path) -> None:
    (start,) = (c for c in launcher(OWN)[f"{kind}_start_ray_commands"] if "ray start" in c)
    mounted = tmp_path / "balpoe/cluster/environment.sh"
    mounted.parent.mkdir(parents=True)
    shutil.copy(LAUNCHER.parent / "environment.sh", mounted)
    ray = tmp_path / "balpoe-env/bin/ray"
    ray.parent.mkdir(parents=True)
    ray.write_text("#!/bin/bash\nulimit -n\n")
    ray.chmod(0o755)
    started = subprocess.run(
        ["bash", "-c", f"ulimit -Sn 256 && ulimit -Hn 512 && {start}"],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RAY_HEAD_IP": "10.0.0.1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout == "512\n"


def test_the_nodes_of_aws_have_an_image_and_only_the_head_may_start_others() -> None:
    kinds = launcher(CLOUD)["available_node_types"]
    images = {kind["node_config"]["ImageId"] for kind in kinds.values()}
    assert images == {"ami-FILL-IN"}
    profiles = [kind["node_config"]["IamInstanceProfile"]["Name"] for kind in kinds.values()]
    assert len(set(profiles)) == len(profiles)


def test_what_is_mounted_is_what_the_installation_needs() -> None:
    config = launcher(OWN)
    mounts = {
        there.removeprefix("~/balpoe/"): here
        for there, here in config["file_mounts"].items()
        if there.startswith("~/balpoe")
    }
    assert all(there == here for there, here in mounts.items())
    assert not {".", "runs", ".venv", "data"} & set(mounts.values())
    for path in mounts:
        assert (REPOSITORY / path).exists()
    copied = re.findall(
        r"^COPY (.*) \S+$", (LAUNCHER.parent / "Dockerfile").read_text(), re.MULTILINE
    )
    assert {*mounts} == {*" ".join(copied).split(), "cluster"}
    commands = "\n".join(config["setup_commands"] + config["head_start_ray_commands"])
    for path in re.findall(r"~/balpoe/([\w./]+)", commands):
        assert path.split("/")[0] in mounts


def test_the_readmes_constraints_fix_the_versions_and_name_no_registry(tmp_path: Path) -> None:
    if shutil.which("uv") is None or not (REPOSITORY / "uv.lock").exists():
        pytest.skip("needs uv and the uv.lock that it made here")
    readme = (LAUNCHER.parent / "README.md").read_text()
    (command,) = re.findall(r"^uv export (?:.*\\\n)*.*$", readme, re.MULTILINE)
    (tmp_path / "cluster").mkdir()
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    subprocess.run(f"{command} --frozen --offline", shell=True, cwd=tmp_path, check=True)
    constraints = "cluster/constraints.txt"
    text = (tmp_path / constraints).read_text()
    for library in ("torch", "torchvision", "numpy", "pillow", "ray", "psycopg"):
        assert re.search(rf"^{library}==\d", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert all(re.match(r"[\w.\[\],-]+==[\w.+!]+( ;|$)", line) for line in lines)
    assert "://" not in text
    assert any(
        f"--constraints ~/balpoe/{constraints}" in c for c in launcher(OWN)["setup_commands"]
    )
    ignored = subprocess.run(
        ["git", "check-ignore", "-q", constraints], cwd=REPOSITORY, check=False
    )
    assert ignored.returncode == 0


def test_what_rsync_leaves_out_is_no_part_of_the_package() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "balpoe", "cluster"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    folders = {part for path in tracked.stdout.split() for part in Path(path).parts}
    unanchored = {pattern for pattern in launcher(OWN)["rsync_exclude"] if "/" not in pattern}
    assert not unanchored & folders
