"""Temperatures for a final model, fitted on the search trial of its configuration.

They are fitted on the stored validation logits of the trial: a final training has no validation
split, and the test set is reserved for the final evaluation.
"""

from __future__ import annotations

from pathlib import Path

import torch

from balpoe.config import Configuration, ExpertsConfig
from balpoe.data import load_search_splits
from balpoe.errors import CorruptFile, UserError
from balpoe.evaluation.temperature import fit_temperatures
from balpoe.exporting.export_files import provenance_file, read_exported_trial
from balpoe.files import configuration_from_plain
from balpoe.launch.tracking import study_exported_from
from balpoe.method.priors import class_prior
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.predictions_file import read_predictions
from balpoe.study.trials.record import TrialIdentity
from balpoe.study.trials.result_file import TrialResult, read_result
from balpoe.training.model_directory import OUTSIDE_A_STUDY, Calibration
from balpoe.training.training import configured_lambdas


def calibration_from_search(configuration_file: Path, configuration: Configuration) -> Calibration:
    """Return the temperatures for models of `configuration`, or the reason why there are none.

    There are none if the file is no export or was changed after its export, or if files of the
    trial are missing. A training never fails because of that.
    """
    study = study_exported_from(configuration_file)
    if study is None:
        return OUTSIDE_A_STUDY
    place = str(provenance_file(configuration_file))
    try:
        trial = read_exported_trial(configuration_file)
    except CorruptFile:
        # a model carries this text, so it names no path of this machine
        return Calibration(None, "the provenance of the export cannot be read")
    try:
        exported = configuration_from_plain(trial.final_configuration, place)
        searched = configuration_from_plain(trial.searched_configuration, place)
        if exported != configuration:
            return Calibration(None, "the configuration was changed after its export")
        return _fit(study, trial.trial, searched, configuration.experts)
    except UserError as error:
        return Calibration(None, str(error).splitlines()[0])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Calibration(None, f"the trial of the export cannot be used ({error!r})")


def _fit(
    study: StudyDirectory, number: int, searched: Configuration, final: ExpertsConfig
) -> Calibration:
    if searched.experts != final:
        return Calibration(None, "the final recipe has other experts than the search")
    name = study.path.name
    trial = study.trial(TrialIdentity(name, number))
    result, predictions = read_result(trial), read_predictions(trial.predictions)
    class_counts = result.class_counts or _recount(result, searched)
    if class_counts is None:
        return Calibration(None, f"the data are not those of trial {number} of {name} any more")
    temperatures = fit_temperatures(
        torch.from_numpy(predictions.logits_nec),
        torch.from_numpy(predictions.labels_n.copy()),
        prior_c=class_prior(class_counts),
        lambdas=configured_lambdas(searched),
    )
    images = len(predictions.labels_n)
    return Calibration(
        temperatures, f"carried over from {images} validation images of trial {number} of {name}"
    )


def _recount(result: TrialResult, searched: Configuration) -> tuple[int, ...] | None:
    """Return the class counts for a result without them, or None if the data have changed."""
    description = load_search_splits(searched.data).description
    if description.fingerprint != result.data_fingerprint:
        return None
    return description.class_counts
