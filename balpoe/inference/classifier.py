"""A trained model with the interface of a scikit-learn classifier.

N images, H height, W width, D channels, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from balpoe.config.wording import did_you_mean, shown
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.splits import ImageSet
from balpoe.errors import DataError
from balpoe.evaluation.input_checks import refuse_non_finite_logits
from balpoe.evaluation.post_hoc import Scaling, Scorer
from balpoe.evaluation.prior_estimation import HeldOut, PriorEstimate, estimate_prior, thinning
from balpoe.inference.pixel_batches import Images, image_batches
from balpoe.inference.target_prior import TargetPrior, is_estimate, known_prior
from balpoe.method.calibration_bins import refuse_impossible_labels
from balpoe.method.decisions import decisions
from balpoe.method.priors import adjust_to_prior, class_prior
from balpoe.training.model_directory import Provenance, TrainedModel


@dataclass(frozen=True, eq=False, slots=True)
class ExpertPredictions:
    """The logits of each expert, `logits_nec` float32 [N, E, C], and its bias λ.

    `lambdas` is None if the loss uses no λ, or one for each class.
    """

    logits_nec: NDArray[np.float32]
    lambdas: tuple[float, ...] | None

    @property
    def probabilities_nec(self) -> NDArray[np.float32]:
        """The softmax of the logits: probabilities for each expert's own target prior."""
        return _softmax(torch.from_numpy(self.logits_nec)).numpy()


class Classifier:
    """Predicts classes and their probabilities for chosen class frequencies.

    Images are uint8 arrays or tensors [N, H, W, D] or [H, W, D] (red, green, blue or grey),
    Pillow images, paths of image files, or lists of single ones; other sizes and colours are
    converted as in training. Files are read batch by batch.

    Attributes:
        classes_: The names of the classes in the order of the probabilities.
        shape: The shape of the images that the network takes.
    """

    def __init__(
        self, model: TrainedModel, device: torch.device, scorer: Scorer | None = None
    ) -> None:
        self._model = model
        self._device = device
        self._scorer = scorer or Scorer(tuple(range(model.provenance.expert_count)))
        description = model.provenance.description
        self.classes_: NDArray[np.str_] = np.array(description.class_names)
        self.shape = ImageShape(description.height, description.width, description.channels)

    @property
    def provenance(self) -> Provenance:
        """The origin of the model: configuration, data, λs, seed."""
        return self._model.provenance

    @property
    def trained_prior_c(self) -> Tensor:
        """The prior of the product of experts: float64 [C], P_λ̄ for λ (Theorem 1)."""
        return self.provenance.priors.of_product(self._scorer.experts)

    def with_temperatures(self, scaling: Scaling) -> Classifier:
        """Return the model with its stored temperatures, for the ensemble or for each expert.

        `balpoe evaluate --post-hoc` and `balpoe.evaluate(model, post_hoc=True)` mark the choice
        that validation makes; the test set is no basis for it.

        Raises:
            DataError: the model has none; the message gives the reason.
        """
        calibration = self.provenance.calibration
        if scaling != "none" and calibration.temperatures is None:
            raise DataError(f"temperature {scaling}: there are none, {calibration.origin}")
        return Classifier(self._model, self._device, replace(self._scorer, scaling=scaling))

    def with_experts(self, *experts: int) -> Classifier:
        """Return the product of only these experts, counted from 0, with their own prior.

        `balpoe evaluate --post-hoc` and `balpoe.evaluate(model, post_hoc=True)` mark the subset
        that validation chooses.

        Raises:
            DataError: no expert is given, or one is given twice or does not exist.
        """
        count = self.provenance.expert_count
        if not experts or len(set(experts)) < len(experts) or not set(experts) <= set(range(count)):
            raise DataError(
                f"experts: must be different numbers from 0 to {count - 1}, got "
                f"{', '.join(map(str, experts)) or 'none'}"
            )
        return Classifier(self._model, self._device, replace(self._scorer, experts=experts))

    def predict_proba(
        self, images: Images, target_prior: TargetPrior | None = None
    ) -> NDArray[np.float32]:
        """Return the probabilities of the classes: float32 [N, C].

        Args:
            images: The images.
            target_prior: The class frequencies of the images: `"train"`, `"uniform"`,
                probabilities or counts (in the order of `classes_`, or by name), or `"estimate"`,
                estimated from these images (see `estimate_prior`). None is the prior of the
                product of experts, `trained_prior_c`, which is uniform if their λs have the mean 0.

        Raises:
            DataError: an image cannot be used, or the prior is not one of these classes or cannot
                be estimated.
            NonFiniteError: the network returns NaN or infinity.
        """
        prior_c = self.known_prior(target_prior)
        if is_estimate(target_prior):
            self.refuse_without_held_out()  # before the images are read
        product_nc = self._product(images)
        if is_estimate(target_prior):
            prior_c = self.estimate(product_nc).prior_c
        return self.probabilities(product_nc, prior_c).numpy()

    def predict(self, images: Images, target_prior: TargetPrior | None = None) -> NDArray[np.str_]:
        """Return the name of the class to predict for each image: [N].

        It is the most probable class, or the class of least expected cost if the model has costs.
        """
        winners_n = self._decisions(images, target_prior)
        names: NDArray[np.str_] = self.classes_[winners_n]
        return names

    def score(
        self,
        images: Images,
        labels: Sequence[str] | Sequence[int] | NDArray[Any],
        target_prior: TargetPrior | None = None,
    ) -> float:
        """Return the accuracy of `predict`; labels are class names or indices, [N] or [N, 1].

        With costs it is not that of the most probable class: `predict` minimises the expected cost.

        Raises:
            DataError: a label is not a class, or the number of labels is not that of images.
        """
        indices_n = self._indices(labels)
        winners_n = self._decisions(images, target_prior)
        if len(indices_n) != len(winners_n):
            raise DataError(
                f"labels: must be {len(winners_n)}, one per image, got {len(indices_n)}"
            )
        return float((winners_n == indices_n).mean())

    def experts(self, images: Images) -> ExpertPredictions:
        """Return the logits and probabilities of every expert, without temperatures."""
        logits_nec = torch.cat(list(self.logits(images))).numpy()
        return ExpertPredictions(logits_nec, self.provenance.lambdas)

    def estimate_prior(self, images: Images) -> PriorEstimate:
        """Estimate the class frequencies of unlabelled images.

        The estimate is the training prior unless the images support other frequencies.

        Raises:
            DataError: the model has no predictions for held-out images.
        """
        self.refuse_without_held_out()
        return self.estimate(self._product(images))

    def refuse_without_held_out(self) -> None:
        """Raise `DataError` if the model has no predictions for held-out images."""
        if not self._model.has_held_out_predictions:
            raise DataError(
                "target_prior: cannot be estimated: the model has no predictions for labelled "
                "images outside its training images; give the class frequencies, or train it again "
                "with data.final_uses_validation: false if the set has a validation split"
            )

    def held_out(self) -> HeldOut:
        """The logits of the product for labelled images that the model was not trained on.

        Raises:
            DataError: the model has none.
        """
        self.refuse_without_held_out()
        predictions = self._model.held_out_predictions()
        assert predictions is not None
        logits_nc = self.product(torch.from_numpy(predictions.logits_nec))
        return HeldOut(logits_nc, torch.from_numpy(predictions.labels_n.copy()))

    def logits(self, images: Images) -> Iterator[Tensor]:
        """The logits of every expert, in batches: float32 [B, E, C] on the CPU."""
        for batch in image_batches(images, self.shape):
            unlabelled = ImageSet(batch, torch.zeros(len(batch), dtype=torch.int64))
            logits_bec = self._model.predict(unlabelled, self._device)
            refuse_non_finite_logits(logits_bec)
            yield logits_bec

    def known_prior(self, target: TargetPrior | None) -> Tensor | None:
        """The class frequencies [C] of `target`; None for None and `"estimate"`.

        Raises:
            DataError: `target` is not a prior of these classes.
        """
        if target is None or is_estimate(target):
            return None
        return known_prior(target, self.provenance.description)

    def probabilities(self, product_nc: Tensor, known_prior_c: Tensor | None) -> Tensor:
        """Probabilities float32 [N, C] of the product's logits, for a known prior [C] if given."""
        if known_prior_c is not None:
            product_nc = adjust_to_prior(
                product_nc.double(),
                trained_prior_c=self.trained_prior_c,
                test_prior_c=known_prior_c,
            )
        return _softmax(product_nc)

    def product(self, logits_bec: Tensor) -> Tensor:
        """The logits [B, C] of the product of the chosen experts, with the chosen temperatures."""
        provenance = self.provenance
        temperatures = provenance.calibration.temperatures
        return self._scorer.logits(logits_bec, temperatures, provenance.priors)

    def estimate(self, product_nc: Tensor) -> PriorEstimate:
        """Estimate the class frequencies of images from their logits of the product [N, C]."""
        classes = len(self.classes_)
        return estimate_prior(
            product_nc[:: thinning(len(product_nc), classes)],
            self.held_out(),
            trained_prior_c=self.trained_prior_c,
            class_prior_c=class_prior(self.provenance.description.class_counts),
        )

    def _decisions(self, images: Images, target_prior: TargetPrior | None) -> NDArray[np.int64]:
        probabilities_nc = torch.from_numpy(self.predict_proba(images, target_prior))
        return decisions(probabilities_nc, self.provenance.cost_cc).numpy()

    def _product(self, images: Images) -> Tensor:
        return torch.cat([self.product(logits_bec) for logits_bec in self.logits(images)])

    def _indices(self, labels: Sequence[str] | Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        given = _one_per_image(labels)
        if given.dtype.kind in "iu":
            refuse_impossible_labels(torch.from_numpy(given.astype(np.int64)), len(self.classes_))
            return given.astype(np.int64)
        place_of = {name: y for y, name in enumerate(self.classes_.tolist())}
        try:
            return np.array([place_of[label] for label in given.tolist()], dtype=np.int64)
        except KeyError as error:
            [label] = error.args
            raise DataError(
                f"labels: {shown(label)} is not a class of the model"
                f"{did_you_mean(str(label), list(place_of))}"
            ) from error


def _one_per_image(labels: Sequence[str] | Sequence[int] | NDArray[Any]) -> NDArray[Any]:
    """The labels as [N]; comparing a column [N, 1] would broadcast it over all images."""
    try:
        given = np.asarray(labels)
    except ValueError as error:
        raise DataError(f"labels: must be one per image, of the shape [N] ({error})") from error
    if given.ndim == 2 and given.shape[1] == 1:
        return given[:, 0]
    if given.ndim != 1:
        raise DataError(
            f"labels: must be one per image, of the shape [N] or [N, 1], got the shape "
            f"{given.shape}"
        )
    return given


def _softmax(logits: Tensor) -> Tensor:
    """The softmax, computed in float64, as float32."""
    return logits.double().softmax(dim=-1).float()
