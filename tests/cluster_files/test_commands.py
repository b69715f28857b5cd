"""Every command that `cluster/` quotes exists, with the options that it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from ray.scripts.scripts import cli as ray

from balpoe.cli.main import cli as balpoe
from balpoe.study.storage.postgres_address import VARIABLE as STORAGE

CLUSTER = Path(__file__).parents[2] / "cluster"
PROGRAMS: dict[str, click.Command] = {"balpoe": balpoe, "ray": ray}
_COMMAND = re.compile(rf"(?<![\w.-])(?:{'|'.join(PROGRAMS)}) [a-z][^`\n&;|#>)]*")
_IN_MARKDOWN = re.compile(r"```sh\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_IN_A_COMMENT = re.compile(r"^# {3}(.*)|`([^`\n]+)`", re.MULTILINE)
_JOINED_LINES = re.compile(r"\\\n\s*|(?<=[^\n])\n {4}(?=--)")  # of shell, and folded ones of YAML


def code_of(path: Path) -> str:
    """The commands that the file quotes or runs."""
    text = path.read_text()
    if path.suffix == ".md":
        return "\n".join("".join(found) for found in _IN_MARKDOWN.findall(text))
    comments = "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return "\n".join(["".join(found) for found in _IN_A_COMMENT.findall(comments)] + [code])


def quoted() -> Iterator[tuple[str, str]]:
    """The file and the text of each command."""
    for path in CLUSTER.rglob("*"):
        if path.suffix in {".md", ".yaml", ".sh", ".sbatch"}:
            for found in _COMMAND.findall(_JOINED_LINES.sub(" ", code_of(path))):
                outer, _, inner = found.strip().partition(" -- ")
                yield from ((path.name, text) for text in (outer, inner) if text)


COMMANDS = sorted(set(quoted()))


def test_the_commands_are_found() -> None:
    found = {tuple(text.split()[:2]) for _, text in COMMANDS}
    assert found >= {("balpoe", "run"), ("balpoe", "submit"), ("balpoe", "stop"), ("ray", "start")}
    assert found >= {("ray", "symmetric-run"), ("ray", "up"), ("ray", "dashboard")}


@pytest.mark.parametrize(("file", "text"), COMMANDS)
def test_a_quoted_command_exists_with_its_options(file: str, text: str) -> None:
    program, *words = shlex.split(text)
    command = PROGRAMS[program]
    while isinstance(command, click.Group):
        assert words, f"{file}: {text}: names no command"
        name = words.pop(0)
        assert name in command.commands, f"{file}: {text}: there is no {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    if command.context_settings.get("ignore_unknown_options"):  # `ray symmetric-run` starts Ray
        assert isinstance(ray, click.Group)
        known |= {option for parameter in ray.commands["start"].params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{file}: {text}: there is no {word}"


def test_the_settings_of_all_nodes_are_those_that_commands_read() -> None:
    environment = (CLUSTER / "environment.sh").read_text()
    assert isinstance(balpoe, click.Group)
    read = {p.envvar for command in balpoe.commands.values() for p in command.params}
    assert "BALPOE_RUNS" in read
    for variable in ("BALPOE_RUNS", STORAGE):
        assert f"export {variable}=" in environment
