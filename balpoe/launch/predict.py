"""The verb `predict`: a trained model on files, folders and Parquet files of any size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from balpoe.atomic_write import ensure_writable, refuse_directory
from balpoe.errors import DataError
from balpoe.evaluation.post_hoc import Scaling
from balpoe.evaluation.prior_estimation import PriorEstimate
from balpoe.inference import Classifier, TargetPrior
from balpoe.inference.input_images import InputImages
from balpoe.inference.prediction_file import ScoredImages, prediction_writer
from balpoe.inference.stored_logits import StoredLogits
from balpoe.inference.target_prior import is_estimate
from balpoe.launch import PREDICTIONS
from balpoe.launch.load import load
from balpoe.reporting.prediction_display import PredictionProgress


@dataclass(frozen=True, eq=False, slots=True)
class PredictionReport:
    """What `predict` did.

    `predicted_counts` [C] are the images for which each class is the most probable, `prior_c`
    the class frequencies that the probabilities stand for, `estimate` how they were estimated
    where they were. `ignored` files were no images, `unreadable` are the errors of the images
    that were skipped.
    """

    out: Path
    images: int
    ignored: int
    unreadable: tuple[str, ...]
    class_names: tuple[str, ...]
    predicted_counts: tuple[int, ...]
    prior_c: Tensor
    estimate: PriorEstimate | None
    seconds: float


def predict(
    model: Path | str,
    images: Sequence[Path | str],
    *,
    prior: TargetPrior | None = None,
    temperature: Scaling = "none",
    out: Path | str = PREDICTIONS,
    logits: bool = False,
    image_column: str | None = None,
    skip_unreadable: bool = False,
    device: str | None = None,
    on_progress: Callable[[PredictionProgress], None] = lambda progress: None,
) -> PredictionReport:
    """Predict all images that the paths hold, and write the Parquet file `out`.

    Memory is bounded however many there are. With the prior `"estimate"` the logits wait beside
    `out` for the last image: (E + 1)·C·4 bytes of disk an image, for E experts and C classes.

    Args:
        model: A model directory.
        images: Image files, Parquet files, and folders of both.
        prior: The class frequencies that the probabilities are to stand for; None as trained.
        temperature: Which of the model's carried temperatures to apply: `none`, that of the
            `ensemble`, or those of the `experts`.
        out: The file to write; where it is in a folder of images it may replace only earlier
            predictions.
        logits: Whether to write every expert's logits too.
        image_column: The column of the Parquet files; None: that of the training data.
        skip_unreadable: Leave out images that cannot be decoded, instead of refusing them.
        device: Where to compute; None: a GPU where there is one.
        on_progress: Called after every batch.

    Raises:
        UserError: the model, an image, the prior or the output is at fault; the message says how.
    """
    started, out = time.monotonic(), Path(out)
    refuse_directory(out)
    classifier = load(model, device=device).with_temperatures(temperature)
    prior_c = classifier.known_prior(prior)
    column = image_column or _trained_column(classifier)
    sources = InputImages([Path(path) for path in images], image_column=column, without=out)
    directory = out.absolute().parent
    ensure_writable(directory)
    tally = _Tally(len(classifier.classes_))
    scored = _scored(classifier, sources, tally, on_progress, skip_unreadable=skip_unreadable)
    estimate = None
    with tempfile.TemporaryDirectory(prefix=".predictions_", dir=directory) as scratch:
        if is_estimate(prior):
            stored = StoredLogits(
                scored,
                Path(scratch),
                product=classifier.product,
                trained_prior_c=classifier.trained_prior_c,
            )
            tally.refuse_nothing()
            estimate = stored.estimate_prior()
            prior_c, scored = estimate.prior_c, stored.batches()
        stands_for_c = classifier.trained_prior_c if prior_c is None else prior_c
        about = {
            "lambdas": classifier.provenance.lambdas,
            "model": classifier.provenance.identity,
            "prior": stands_for_c.tolist(),
        }
        _write(classifier, scored, tally, prior_c, out, about=about, with_logits=logits)
    return PredictionReport(
        out=out,
        images=tally.images,
        ignored=sources.ignored,
        unreadable=tuple(tally.unreadable),
        class_names=tuple(classifier.classes_.tolist()),
        predicted_counts=tuple(tally.predicted_c.tolist()),
        prior_c=stands_for_c,
        estimate=estimate,
        seconds=time.monotonic() - started,
    )


@dataclass(eq=False, slots=True)
class _Tally:
    """What has gone by."""

    classes: int
    images: int = 0
    unreadable: list[str] = field(default_factory=list)
    predicted_c: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.predicted_c = torch.zeros(self.classes, dtype=torch.int64)

    def skip(self, error: DataError) -> None:
        self.unreadable.append(str(error))

    def refuse_nothing(self) -> None:
        """Raise `DataError` where all images were skipped."""
        if self.images == 0:
            raise DataError(
                f"none of {len(self.unreadable)} images can be read; the first: "
                f"{self.unreadable[0]}"
            )


def _scored(
    classifier: Classifier,
    sources: InputImages,
    tally: _Tally,
    on_progress: Callable[[PredictionProgress], None],
    *,
    skip_unreadable: bool,
) -> Iterator[ScoredImages]:
    began = time.monotonic()
    on_unreadable = tally.skip if skip_unreadable else None
    for batch in sources.batches(classifier.shape, on_unreadable=on_unreadable):
        (logits_bec,) = classifier.logits(batch.images_bhwd)
        tally.images += len(logits_bec)
        yield ScoredImages(batch.paths, batch.rows, logits_bec)
        done = tally.images + len(tally.unreadable)
        on_progress(PredictionProgress(done, sources.images, time.monotonic() - began))


def _write(
    classifier: Classifier,
    scored: Iterator[ScoredImages],
    tally: _Tally,
    prior_c: Tensor | None,
    out: Path,
    *,
    about: Mapping[str, Any],
    with_logits: bool,
) -> None:
    experts = len(classifier.provenance.lambdas) if with_logits else 0
    class_names = classifier.classes_.tolist()
    with prediction_writer(out, class_names, experts=experts, about=about) as writer:
        for batch in scored:
            product_bc = classifier.product(batch.logits_bec)
            probabilities_bc = classifier.probabilities(product_bc, prior_c)
            winners_b = writer.write(batch, probabilities_bc)
            tally.predicted_c += torch.bincount(winners_b, minlength=tally.classes)
        tally.refuse_nothing()


def _trained_column(classifier: Classifier) -> str:
    column: str = classifier.provenance.configuration["data"].get("image_column", "image")
    return column
