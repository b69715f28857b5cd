"""The validation predictions of a search trial for its final models, and temperatures from them.

A final training has no validation split, and the test set is reserved for the final evaluation:
choices after the training are made on the stored validation logits of the trial.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from balpoe.config import Configuration
from balpoe.config.data import FittedImages
from balpoe.data import load_search_splits
from balpoe.errors import (
    ConfigurationError,
    CorruptFile,
    DataError,
    InvalidFields,
    StorageError,
    UserError,
)
from balpoe.evaluation.temperature import fit_temperatures
from balpoe.exporting.export_files import provenance_file, read_exported_trial
from balpoe.files import configuration_from_plain
from balpoe.launch.tracking import study_exported_from
from balpoe.study.object_store.study_files import study_files
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import TrialResult, read_result
from balpoe.training.loss_context import expert_priors
from balpoe.training.model_directory import OUTSIDE_A_STUDY, Calibration
from balpoe.training.predictions_file import read_predictions
from balpoe.training.search_validation import SearchValidation, ValidationFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FromSearch:
    """What the search trial of a configuration passes on to its final models.

    `validation` is None where `calibration` has no temperatures, for the reason that it states.
    """

    calibration: Calibration
    validation: ValidationFile | None = None


NOTHING = FromSearch(OUTSIDE_A_STUDY)


def passed_on_by_search(configuration_file: Path, configuration: Configuration) -> FromSearch:
    """Return predictions and temperatures for models of `configuration`, or the reason for none.

    There are none if the file is no export or was changed after its export, or if files of the
    trial are missing. A training never fails because of that.
    """
    study = study_exported_from(configuration_file)
    if study is None:
        return NOTHING
    place = str(provenance_file(configuration_file))
    try:
        trial = read_exported_trial(configuration_file)
    except CorruptFile as error:
        logger.warning("%s: no temperatures from the search: %s", configuration_file, error)
        return _none("the provenance of the export cannot be read")
    try:
        exported = configuration_from_plain(trial.final_configuration, place)
        searched = configuration_from_plain(trial.searched_configuration, place)
        if _with_final_data_of(exported, configuration) != configuration:
            return _none("the configuration was changed after its export")
        return _of_trial(study, trial.trial, searched, configuration)
    except (UserError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: no temperatures from the search: %r", configuration_file, error)
        return _none(f"{_problem_of(error)} (trial {trial.trial} of {study.path.name})")


def _with_final_data_of(exported: Configuration, configuration: Configuration) -> Configuration:
    """Return `exported` with the final training images of `configuration`.

    They do not matter for the trial, and versions before left the set's own validation split out.
    """
    data, wanted = exported.data, configuration.data
    if not isinstance(data, FittedImages) or not isinstance(wanted, FittedImages):
        return exported
    chosen = replace(data, final_uses_validation=wanted.final_uses_validation)
    return replace(exported, data=chosen)


def _of_trial(
    study: StudyDirectory, number: int, searched: Configuration, final: Configuration
) -> FromSearch:
    if searched.experts != final.experts:
        return _none("the final recipe has other experts than the search")
    name = study.path.name
    # the copy of a study on an object store lacks predictions until they are downloaded
    trial = study_files(study).refresh_trial(TrialIdentity(name, number))
    result, predictions = read_result(trial), read_predictions(trial.predictions)
    class_counts = result.class_counts or _recount(result, searched)
    if class_counts is None:
        return _none(f"the data are not those of trial {number} of {name} any more")
    priors = expert_priors(searched, class_counts)
    if not priors.equals(expert_priors(final, class_counts)):
        return _none("the final recipe aims at other class priors than the search")
    temperatures = fit_temperatures(
        torch.from_numpy(predictions.logits_nec),
        torch.from_numpy(predictions.labels_n.copy()),
        priors=priors,
    )
    images = len(predictions.labels_n)
    origin = f"carried over from {images} validation images of trial {number} of {name}"
    digest = result.files[trial.predictions.name]
    validation = ValidationFile(
        trial.predictions, digest, SearchValidation(class_counts, result.precision)
    )
    return FromSearch(Calibration(temperatures, origin), validation)


def _problem_of(error: Exception) -> str:
    """Return a fixed text: models keep it, and messages of errors name paths of this machine."""
    if isinstance(error, CorruptFile):
        return "a file of the trial is missing, damaged or changed"
    if isinstance(error, StorageError | OSError):
        return "a file of the trial or of its data cannot be read"
    if isinstance(error, ConfigurationError | InvalidFields):
        return "the configuration of the trial is not valid any more"
    if isinstance(error, DataError):
        return "the data of the trial cannot be used"
    return "the files of the trial cannot be used"


def _none(reason: str) -> FromSearch:
    return FromSearch(Calibration(None, reason))


def _recount(result: TrialResult, searched: Configuration) -> tuple[int, ...] | None:
    """Return the class counts for a result without them, or None if the data have changed."""
    description = load_search_splits(searched.data).description
    if description.fingerprint != result.data_fingerprint:
        return None
    return description.class_counts
