"""Installed packages with entries of their own, in the identity of trainings and of software."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from balpoe.config import Configuration, ExpertsConfig
from balpoe.config.entry_packages import entry_packages
from balpoe.config.entry_tables import _TABLES
from balpoe.config.loss import LOSSES
from balpoe.config.metrics import metric_table
from balpoe.data.splits import DataDescription, ImageSet
from balpoe.errors import CorruptFile
from balpoe.study.execution.software import differences_text, software
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.training import Training, training_identity

LOSS = """
from dataclasses import dataclass
from typing import Literal

from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext


@LOSSES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class {settings}(Loss):
    name: Literal["{settings}"] = "{settings}"

    def criterion(self, context: LossContext) -> Criterion:
        return LOSSES["logit_adjustment"]().criterion(context)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package, or another version of it, whose modules have a loss each."""
    monkeypatch.syspath_prepend(tmp_path)
    added: list[tuple[str, str]] = []

    def installed(
        distribution: str,
        version: str,
        modules: dict[str, str],
        *,
        points: str,
        group: str = "balpoe.losses",
    ) -> None:
        for module, settings in modules.items():
            path = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(LOSS.format(settings=settings))
            added.append((module, settings))
        for old in tmp_path.glob(f"{distribution}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        metadata = tmp_path / f"{distribution}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        )
        (metadata / "entry_points.txt").write_text(f"[{group}]\nx = {points}\n")
        importlib.invalidate_caches()
        for module in modules:
            importlib.import_module(module)

    LOSSES.count()  # what is there without these packages
    yield installed
    for module, settings in added:
        LOSSES._entries.pop(settings, None)
        sys.modules.pop(module, None)
        sys.modules.pop(module.partition(".")[0], None)


def test_built_in_entries_are_of_no_package(configuration: Configuration) -> None:
    assert entry_packages(configuration) == {}


def test_a_version_joins_the_identity_of_what_uses_the_package_and_of_nothing_else(
    configuration: Configuration, description: DataDescription, install: Install
) -> None:
    def identity(configuration: Configuration) -> str:
        return training_identity(configuration, description, 0)

    before = identity(configuration)
    install("my-losses", "1.0", {"my_losses.first": "first"}, points="my_losses.first")
    mine = replace(configuration, loss=LOSSES["first"]())
    assert entry_packages(mine) == {"my-losses": "1.0"}
    old = identity(mine)
    install("my-losses", "1.1", {}, points="my_losses.first")
    assert entry_packages(mine) == {"my-losses": "1.1"}
    assert len({before, old, identity(mine)}) == 3
    assert identity(configuration) == before
    install("my-losses", "1.0", {}, points="my_losses.first")
    assert identity(mine) == old


def test_an_entry_is_of_the_package_with_the_nearest_entry_point(
    configuration: Configuration, install: Install
) -> None:
    install("one", "1", {"shared_space.one.loss": "of_one"}, points="shared_space.one.plugin")
    install("two", "2", {"shared_space.two": "of_two"}, points="shared_space.two")
    install("other", "3", {"lone_module": "of_none"}, points="of_two", group="another.group")
    for loss, expected in (("of_one", {"one": "1"}), ("of_two", {"two": "2"}), ("of_none", {})):
        found = entry_packages(replace(configuration, loss=LOSSES[loss]()))
        assert found == expected


def test_a_checkpoint_of_another_version_is_not_continued(
    configuration: Configuration,
    train: ImageSet,
    description: DataDescription,
    install: Install,
    tmp_path: Path,
) -> None:
    def start() -> Training:
        return Training(
            replace(configuration, loss=LOSSES["first"](), experts=ExpertsConfig(count=1)),
            train=train,
            description=description,
            seed=0,
            device=torch.device("cpu"),
            checkpoints=CheckpointDirectory(tmp_path / "checkpoints"),
        )

    install("my-losses", "1.0", {"my_losses.first": "first"}, points="my_losses.first")
    training = start()
    next(training.fit())
    training.save_checkpoint()
    assert start().saved_epochs == 1
    install("my-losses", "1.1", {}, points="my_losses.first")
    with pytest.raises(CorruptFile, match="version of a package with its entries; remove"):
        start()
    install("my-losses", "1.0", {}, points="my_losses.first")
    assert start().saved_epochs == 1


def test_nodes_must_have_the_same_version_of_every_package_with_entries(install: Install) -> None:
    without = software()
    install("my-metrics", "1.0+a", {}, points="my_metrics", group="balpoe.metrics")
    ours = software()
    install("my-metrics", "1.0+b", {}, points="my_metrics", group="balpoe.metrics")
    theirs = software()
    assert {**ours, "my-metrics": "1.0+b"} == theirs == {**without, "my-metrics": "1.0+b"}
    assert differences_text(ours, ours, decisive=True) is None
    for here, there, told in (
        (ours, theirs, "my-metrics is 1.0+b, the driver's 1.0+a"),
        (ours, without, "my-metrics is not installed, the driver's 1.0+a"),
        (without, theirs, "my-metrics is 1.0+b, the driver's not installed"),
    ):
        assert str(differences_text(here, there, decisive=True)).startswith(told)
        assert differences_text(here, there, decisive=False) is None


def test_all_groups_of_entry_points_are_named_alike() -> None:
    metric_table()
    groups = {table.group for table in _TABLES.values()}
    assert all(group.startswith("balpoe.") for group in groups)
