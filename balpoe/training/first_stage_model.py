"""The model whose training is the first stage of another training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from balpoe.config import Configuration, to_plain
from balpoe.config.plain_data import leaves
from balpoe.config.wording import shown
from balpoe.data.splits import DataDescription
from balpoe.errors import StorageError, UserError
from balpoe.training.model_directory import Provenance, TrainedModel, load_model
from balpoe.training.model_files import model_directories
from balpoe.training.stages import first_stage
from balpoe.training.training import training_identity

OPTION: Final = "--first-stage"
_MISSING: Final = "missing"
_MOST_NAMED: Final = 3


def first_stage_model(
    path: Path, configuration: Configuration, description: DataDescription, seed: int
) -> TrainedModel:
    """Return the model that is the first stage of a training, after checking that it is.

    `path` is the model or the directory of the models of several seeds.

    Raises:
        UserError: the configuration has no second stage, or there is no such model with this seed,
            data and configuration.
        CorruptFile: a file of the model is damaged.
    """
    if configuration.second_stage.name == "none":
        raise UserError(
            f"{OPTION}: the configuration has no second stage: add a line such as second_stage: crt"
        )
    models = {model.provenance.seed: model for model in map(load_model, model_directories(path))}
    if not models:
        raise StorageError(f"{OPTION}: {path} holds no finished model: name its directory")
    if seed not in models:
        raise UserError(
            f"{OPTION}: {path} has the model of seed {', '.join(map(str, sorted(models)))}, not of "
            f"{seed}: set --seeds"
        )
    model = models[seed]
    wanted = first_stage(configuration)
    if model.provenance.identity != training_identity(wanted, description, seed):
        reasons = _reasons(model.provenance, wanted, description)
        raise UserError(
            f"{OPTION}: {model.directory} is no first stage of this training: {reasons}"
        )
    return model


def _reasons(theirs: Provenance, wanted: Configuration, description: DataDescription) -> str:
    if theirs.description.fingerprint != description.fingerprint:
        return "its training images are others: use the data section of its configuration"
    if "second_stage" in theirs.configuration:
        name = theirs.configuration["second_stage"]["name"]
        return f"it has a second stage itself ({name}): name the model before that"
    differences = list(_differences(theirs.configuration, to_plain(wanted)))
    more = len(differences) - _MOST_NAMED
    listed = "; ".join(differences[:_MOST_NAMED]) or "its pretrained weights are others"
    return f"{listed}{f'; and {more} more' if more > 0 else ''}: use its values here"


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that differ, except those of the data, which may have moved."""
    their_leaves = {path: value for path, value in leaves(theirs) if not path.startswith("data.")}
    our_leaves = {path: value for path, value in leaves(ours) if not path.startswith("data.")}
    for path in dict.fromkeys((*their_leaves, *our_leaves)):
        their, our = (each.get(path, _MISSING) for each in (their_leaves, our_leaves))
        if their != our:
            yield f"{path} is {_shown(their)} there, {_shown(our)} here"


def _shown(value: Any) -> str:
    return _MISSING if value is _MISSING else shown(value)
