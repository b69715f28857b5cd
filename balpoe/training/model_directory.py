"""Directories of trained models: weights, their description, and a manifest with checksums.

    weights.safetensors   the network's state, by the names of its layers
    model.json            configuration, classes, prior, λs, normalisation, seed, fingerprint
    metrics.json          the results of every epoch and of the final evaluation
    manifest.json         the sha256 of the other files, written last
    README.md             the model card

and, except for models of earlier versions,

    test_predictions.parquet         the predictions for the test images
    test_summary.json                their summary, which figures and reports show
    validation_predictions.parquet   those of the search trial for its validation images; only in
                                     models of exported configurations
    held_out_predictions.parquet     those of the model for the validation images that its training
                                     leaves out, if there are any

Nothing is unpickled, and no file is parsed before its sha256 is checked. The card is never read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import torch
from torch import Tensor

from balpoe.atomic_write import create_directory, write_bytes_atomically
from balpoe.config import CostMatrix, ExpertsConfig, ModelConfig
from balpoe.config.shown_biases import shown_lambdas
from balpoe.data.splits import DataDescription, Images
from balpoe.evaluation.temperature import Temperatures
from balpoe.json_record import as_record, parsed
from balpoe.method.priors import ExpertPriors
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.parquet_tables import sha256_of
from balpoe.training.costs import cost_tensor
from balpoe.training.epoch import EpochResult
from balpoe.training.loss_context import LossSettings, expert_priors, stored_settings
from balpoe.training.model_files import (
    FORMAT,
    HELD_OUT_PREDICTIONS,
    HINT,
    MANIFEST,
    METRICS,
    MODEL,
    TEST_PREDICTIONS,
    VALIDATION_PREDICTIONS,
    WEIGHTS,
    changed,
    checked_contents,
    read_manifest,
)
from balpoe.training.precision import INFERENCE
from balpoe.training.prediction import EvaluationInput, predict
from balpoe.training.predictions_file import Predictions, read_predictions
from balpoe.training.search_validation import SearchValidation, ValidationPredictions


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperatures that are stored with a model.

    `origin` states the data that they were fitted on, or why there are none.
    """

    temperatures: Temperatures | None
    origin: str


OUTSIDE_A_STUDY = Calibration(None, "the model was trained outside of a study")
NOT_KEPT: Final = "the model was saved by a version of balpoe that kept none"


@dataclass(frozen=True, eq=False)
class Provenance:
    """The origin of a model.

    `configuration` is the whole configuration as plain data, `identity` the sha256 of it
    with the fingerprint of the data and the seed, `lambdas` the λ of each expert, None if its loss
    uses none or one for each class. `description` is that of the training images: their class
    counts give the priors. `test_fingerprint` is that of the test images, or None in
    models that were saved before it was stored. `search_validation` describes the validation
    predictions of the search trial; None in models without them, for the reason in
    `calibration.origin`. `own_validation` is the number of training images that are the set's own
    validation split, 0 if that split is not used; None for a set without one, and in models that
    were saved before it was stored.
    """

    configuration: Mapping[str, Any]
    identity: str
    seed: int
    lambdas: tuple[float, ...] | None
    description: DataDescription
    balpoe_version: str
    calibration: Calibration = OUTSIDE_A_STUDY
    test_fingerprint: str | None = None
    search_validation: SearchValidation | None = None
    own_validation: int | None = None

    @cached_property
    def settings(self) -> LossSettings:
        """The settings that the loss depends on.

        Raises:
            UserError: no installed package defines the loss or the second stage.
        """
        return stored_settings(self.configuration)

    @property
    def expert_count(self) -> int:
        """The number of experts."""
        count: int = self.configuration["experts"]["count"]
        return count

    @property
    def shown_lambdas(self) -> tuple[str, ...]:
        """The λ of each expert as text."""
        return shown_lambdas(self.lambdas, self.configuration)

    @cached_property
    def priors(self) -> ExpertPriors:
        """The priors that the experts aim at.

        Raises:
            UserError: no installed package defines the loss or the second stage.
        """
        return self.priors_of(self.description.class_counts)

    def priors_of(self, class_counts: Sequence[int]) -> ExpertPriors:
        """Return the priors for other training images, such as those of the search trial."""
        return expert_priors(self.settings, class_counts)

    @cached_property
    def cost_cc(self) -> Tensor | None:
        """The costs of decisions by true and predicted class, float64 [C, C], if there are any."""
        plain = self.configuration.get("cost")
        if plain is None:
            return None
        rows = tuple(tuple(row) for row in plain["rows"])
        cost = CostMatrix(classes=tuple(plain["classes"]), rows=rows)
        return cost_tensor(cost, self.description.class_names)


@dataclass(frozen=True, eq=False, slots=True)
class TrainedModel:
    """Trained experts, ready to predict.

    `directory` is the model directory, `sha256` are the checksums of its files by name.
    """

    experts: ExpertEnsemble
    provenance: Provenance
    metrics: Mapping[str, Any]
    directory: Path
    sha256: Mapping[str, str]

    def predict(self, images: Images, device: torch.device) -> Tensor:
        """Return the logits of every expert for `images`, computed in float32: [N, E, C], CPU."""
        return predict(self.experts.to(device), images, self.evaluation_input(device), INFERENCE)

    def evaluation_input(self, device: torch.device) -> EvaluationInput:
        """Return the function from images, in the shape of the description, to network input."""
        augmentation = self.provenance.configuration["training"]["augmentation"]
        resized_crop = augmentation.get("resized_crop", 0)  # missing in models of older versions
        normalisation = self.provenance.description.normalisation
        return EvaluationInput(normalisation, resized_crop, device)

    def validation_predictions(self) -> ValidationPredictions | None:
        """Read the validation predictions of the search trial; None for a model without them.

        Raises:
            CorruptFile: the file is damaged, changed or missing.
        """
        about = self.provenance.search_validation
        if about is None:
            return None
        predictions = read_predictions(self._checked_file(VALIDATION_PREDICTIONS))
        return ValidationPredictions(
            predictions.logits_nec,
            predictions.labels_n,
            about.class_counts,
            self.provenance.priors_of(about.class_counts),
            about.precision,
            self.provenance.calibration.origin,
        )

    @property
    def has_held_out_predictions(self) -> bool:
        """Whether `held_out_predictions` is not None; reads no file."""
        return HELD_OUT_PREDICTIONS in self.sha256

    def held_out_predictions(self) -> Predictions | None:
        """Read the model's own predictions for validation images outside its training images.

        None for a model that was trained on all of them, or by an earlier version.

        Raises:
            CorruptFile: the file is damaged, changed or missing.
        """
        if not self.has_held_out_predictions:
            return None
        return read_predictions(self._checked_file(HELD_OUT_PREDICTIONS))

    def test_predictions(self) -> Path | None:
        """Return the checked file of `training.test_predictions`; None for a model without it.

        Raises:
            CorruptFile: the file is damaged, changed or missing.
        """
        return self._checked_file(TEST_PREDICTIONS) if TEST_PREDICTIONS in self.sha256 else None

    def _checked_file(self, name: str) -> Path:
        """Return the path of a file whose content is the one in the manifest."""
        path = self.directory / name
        if sha256_of(path) != self.sha256.get(name):
            raise changed(path)
        return path


def save_model(
    path: Path,
    experts: ExpertEnsemble,
    provenance: Provenance,
    *,
    history: Sequence[EpochResult],
    final_metrics: Mapping[str, float],
    final_details: Mapping[str, Any] | None = None,
    written: Sequence[str] = (),
) -> None:
    """Write a model directory; it counts as one once the manifest, the last file, is written.

    `final_details` are further results of the final evaluation, as plain data by name. `written`
    are the names of further files of the model, which exist in `path` already.

    Raises:
        StorageError: the directory cannot be written.
    """
    weights = {name: tensor.cpu().contiguous() for name, tensor in experts.state_dict().items()}
    metrics = {
        "epochs": [asdict(result) for result in history],
        "final": dict(final_metrics),
        **(final_details or {}),
    }
    contents = {
        WEIGHTS: safetensors.torch.save(weights),
        MODEL: _json({"format": FORMAT, **asdict(provenance)}),
        METRICS: _json(metrics),
    }
    create_directory(path)
    for name, content in contents.items():
        write_bytes_atomically(path / name, content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    digests |= {name: sha256_of(path / name) for name in written}
    write_bytes_atomically(path / MANIFEST, _json({"format": FORMAT, "sha256": digests}))


def load_model(path: Path) -> TrainedModel:
    """Read a model directory after checking that no file in it was changed.

    Raises:
        StorageError: there is no model at `path`.
        CorruptFile: a file is damaged, changed or missing, or of another format.
    """
    manifest = read_manifest(path)
    contents = checked_contents(path, manifest, (WEIGHTS, MODEL, METRICS))
    provenance = _provenance(path / MODEL, json.loads(contents[MODEL]))
    experts = _untrained(provenance)
    experts.load(safetensors.torch.load(contents[WEIGHTS]))
    metrics = json.loads(contents[METRICS])
    return TrainedModel(experts, provenance, metrics, path, manifest.sha256)


def _provenance(path: Path, content: dict[str, Any]) -> Provenance:
    content.pop("format", None)  # the manifest has it too
    not_kept = asdict(Calibration(None, NOT_KEPT))
    return as_record(path, {"calibration": not_kept, **content}, Provenance, HINT)


def _untrained(provenance: Provenance) -> ExpertEnsemble:
    experts = parsed(provenance.configuration["experts"], ExpertsConfig)
    networks = experts.count if experts.sharing == "independent" else 1
    return build_experts(
        ModelConfig(**provenance.configuration["model"]),
        experts,
        channels=provenance.description.channels,
        classes=len(provenance.description.class_names),
        generators=[torch.Generator() for _ in range(networks)],
    )


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
