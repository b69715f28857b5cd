"""The command `predict`: apply a trained model to files, folders and Parquet files of any size.

B batch, E experts, C classes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from balpoe.atomic_write import ensure_writable, refuse_directory
from balpoe.data import IMAGE_COLUMN
from balpoe.errors import DataError
from balpoe.evaluation.post_hoc import Scaling
from balpoe.evaluation.prior_estimation import PriorEstimate
from balpoe.inference import Classifier, TargetPrior
from balpoe.inference.input_images import InputImages
from balpoe.inference.prediction_file import ScoredImages, prediction_writer
from balpoe.inference.stored_logits import StoredLogits
from balpoe.inference.target_prior import is_estimate
from balpoe.launch import PREDICTIONS
from balpoe.launch.load_model import load
from balpoe.reporting.prediction_display import PredictionProgress


@dataclass(frozen=True, eq=False, slots=True)
class PredictionReport:
    """A summary of written predictions.

    Attributes:
        out: The Parquet file.
        images: The number of predicted images.
        ignored: The number of files that are no images.
        unreadable: The error of each image that was skipped.
        class_names: The names of the classes.
        predicted_counts: For each class, the number of images that are predicted to be of it.
        prior_c: The class frequencies that the probabilities assume.
        estimate: The estimate of `prior_c`, if it was estimated.
        seconds: The duration.
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
    """Predict all images in the given paths, and write the Parquet file `out`.

    Memory does not grow with the number of images. With the prior `"estimate"` the logits of all
    images are stored in the directory of `out` until the end: E·C·4 bytes per image.

    Args:
        model: A model directory.
        images: Image files, Parquet files, and folders of both.
        prior: The class frequencies of the images; by default those the experts were trained for.
        temperature: The temperatures of the model to apply: `none`, that of the `ensemble`, or
            those of the `experts`; `balpoe.evaluate(model, post_hoc=True)` has the one that
            validation chooses.
        out: The file to write; in a folder of images it may only replace earlier predictions.
        logits: Whether to write the logits of every expert too.
        image_column: The column of the Parquet files; by default that of the training data.
        skip_unreadable: Skip images that cannot be decoded, instead of refusing them.
        device: The device; by default a GPU if there is one.
        on_progress: Called after every batch.

    Raises:
        UserError: the model, an image, the prior or the output is invalid, or the prior cannot be
            estimated.
    """
    started, out = time.monotonic(), Path(out)
    refuse_directory(out)
    classifier = load(model, device=device).with_temperatures(temperature)
    prior_c = classifier.known_prior(prior)
    if is_estimate(prior):
        classifier.refuse_without_held_out()  # before the images are read
    trained_on = classifier.provenance.configuration["data"]
    column = image_column or trained_on.get("image_column", IMAGE_COLUMN)
    sources = InputImages([Path(path) for path in images], image_column=column, without=out)
    directory = out.absolute().parent
    ensure_writable(directory)
    unreadable: list[str] = []
    scored = _score(classifier, sources, unreadable, on_progress, skip_unreadable=skip_unreadable)
    predicted_c = torch.zeros(len(classifier.classes_), dtype=torch.int64)
    estimate = None
    with tempfile.TemporaryDirectory(prefix=".predictions_", dir=directory) as scratch:
        if is_estimate(prior):
            stored = StoredLogits(scored, Path(scratch))
            estimate = classifier.estimate(stored.thinned_product(classifier.product))
            prior_c, scored = estimate.prior_c, stored.batches()
        assumed_prior_c = classifier.trained_prior_c if prior_c is None else prior_c
        about = {
            "lambdas": classifier.provenance.lambdas,
            "model": classifier.provenance.identity,
            "prior": assumed_prior_c.tolist(),
        }
        class_names = classifier.classes_.tolist()
        experts = classifier.provenance.expert_count if logits else 0
        cost_cc = classifier.provenance.cost_cc
        with prediction_writer(
            out, class_names, experts=experts, about=about, cost_cc=cost_cc
        ) as writer:
            for batch in scored:
                product_bc = classifier.product(batch.logits_bec)
                probabilities_bc = classifier.probabilities(product_bc, prior_c)
                winners_b = writer.write(batch, probabilities_bc)
                predicted_c += torch.bincount(winners_b, minlength=len(predicted_c))
    return PredictionReport(
        out=out,
        images=int(predicted_c.sum()),
        ignored=sources.ignored,
        unreadable=tuple(unreadable),
        class_names=tuple(class_names),
        predicted_counts=tuple(predicted_c.tolist()),
        prior_c=assumed_prior_c,
        estimate=estimate,
        seconds=time.monotonic() - started,
    )


def _score(
    classifier: Classifier,
    sources: InputImages,
    unreadable: list[str],
    on_progress: Callable[[PredictionProgress], None],
    *,
    skip_unreadable: bool,
) -> Iterator[ScoredImages]:
    """Yield the logits of every batch, and add the errors of skipped images to `unreadable`."""
    started, images = time.monotonic(), 0

    def skip(error: DataError) -> None:
        unreadable.append(str(error))

    for batch in sources.batches(classifier.shape, on_unreadable=skip if skip_unreadable else None):
        (logits_bec,) = classifier.logits(batch.images_bhwd)
        images += len(logits_bec)
        yield ScoredImages(batch.paths, batch.rows, logits_bec)
        done = images + len(unreadable)
        on_progress(PredictionProgress(done, sources.images, time.monotonic() - started))
    if images == 0:
        raise DataError(f"none of {len(unreadable)} images can be read; the first: {unreadable[0]}")
