"""One training from its first epoch, or its newest checkpoint, to its last.

`fit` yields the result of each epoch; the caller reports it. On the CPU the same configuration,
data, seed and thread count give the same bits, also after an interruption, and whether or not
epochs are evaluated.

E experts, C classes.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from balpoe.config import Configuration, Precision, identifying
from balpoe.config.entry_packages import entry_packages
from balpoe.data.splits import DataDescription, Images
from balpoe.errors import DataError, NonFiniteError
from balpoe.method.long_tailed_counts import is_balanced
from balpoe.models.pretrained import weights_identity
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.costs import cost_tensor
from balpoe.training.epoch import EpochResult
from balpoe.training.loss_context import expert_priors
from balpoe.training.memory import peak_memory_mib
from balpoe.training.optimisation import Optimisation, initial_experts
from balpoe.training.prediction import EvaluationInput, predict
from balpoe.training.stages import Stage, prepare, stages_of
from balpoe.training.validation_metrics import shift_scalars, validation_scalars

CHECKPOINT_SECONDS = 60.0


class Training:
    """Train the experts of `configuration` on `train`, and evaluate them on `validation`.

    The constructor loads the newest intact checkpoint in `checkpoints`. `recalls` are the classes
    whose recall on the validation images is measured. A second stage chooses its settings on the
    images of `selection`, by default those of `validation`.

    Raises:
        CorruptFile: the checkpoints belong to another training.
        DataError: a class has no training images, the costs are not those of the classes, or the
            second stage has no images to choose on.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        train: Images,
        description: DataDescription,
        seed: int,
        device: torch.device,
        validation: Images | None = None,
        selection: Images | None = None,
        checkpoints: CheckpointDirectory | None = None,
        recalls: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.configuration = configuration
        self._train = train
        self._description = description
        self._seed = seed
        self._validation = validation
        self._selection = validation if selection is None else selection
        self._refuse_no_selection()
        self._device = device
        self._checkpoints = checkpoints
        self._recalls = recalls
        self._cost_cc = cost_tensor(configuration.cost, description.class_names)
        self._now = now
        self._identity = training_identity(configuration, description, seed)
        self.priors = expert_priors(configuration, description.class_counts)
        self._stages = stages_of(configuration)
        self.experts = initial_experts(configuration, description, seed).to(
            device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )
        self.history: tuple[EpochResult, ...] = ()
        self._saved_epoch, self._saved_at = 0, time.monotonic()
        self._within_epoch = False
        self._is_prepared = False
        self._continue()

    def fit(self) -> Iterator[EpochResult]:
        """Train to the last epoch and yield the result of each epoch trained by this object.

        Raises:
            NonFiniteError: the loss of an epoch is not finite; it is neither saved nor yielded.
            StorageError: a checkpoint cannot be written.
        """
        epochs = self.configuration.epochs
        for epoch in range(len(self.history), epochs):
            result = self._run_epoch(epoch)
            self.history += (result,)
            last = epoch + 1 == epochs
            if last or time.monotonic() - self._saved_at >= CHECKPOINT_SECONDS:
                self.save_checkpoint()
            yield result

    @property
    def saved_epochs(self) -> int:
        """The number of epochs in the newest checkpoint; 0 without a checkpoint."""
        return self._saved_epoch

    def save_checkpoint(self) -> None:
        """Save the state after the last finished epoch, unless it is saved already.

        Nothing is saved after an exception or a signal within an epoch, because its steps have
        changed the state: the previous checkpoint stays the newest.
        """
        saved = self._saved_epoch == len(self.history)
        if self._checkpoints is None or saved or self._within_epoch:
            return
        tensors = self._optimisation.tensors()
        self._checkpoints.save(Checkpoint(self._identity, self.history, tensors))
        self._saved_epoch, self._saved_at = len(self.history), time.monotonic()

    def predict(self, images: Images, precision: Precision | None = None) -> Tensor:
        """Return the logits of every expert for `images`: float32 [N, E, C] on the CPU.

        They are computed in `precision`, by default that of the training.
        """
        training = self.configuration.training
        evaluation_input = EvaluationInput(
            self._description.normalisation, training.augmentation.resized_crop, self._device
        )
        return predict(self.experts, images, evaluation_input, precision or training.precision)

    def begin_after_first_stage(
        self, weights: Mapping[str, Tensor], history: Sequence[EpochResult]
    ) -> None:
        """Replace the first stage by that of a model, with its weights and epochs."""
        assert not self.history
        self.experts.load(weights)
        self.history = tuple(history)
        if len(self.history) == self.configuration.epochs:
            *before, last = self.history
            metrics = {**last.metrics, **self._apply_untrained_stage()}
            self.history = (*before, replace(last, metrics=metrics))

    def _refuse_no_selection(self) -> None:
        second = self.configuration.second_stage
        if self._selection is None and second.chooses(self.configuration):
            raise DataError(
                f"second_stage: {second.name} chooses on labelled images outside the training, and "
                f"there are none: give {second.chosen_setting}, or leave such images out with "
                f"data.final_uses_validation: false"
            )

    def _continue(self) -> None:
        """Load the newest checkpoint, and begin the stage that it, or the training, is in."""
        checkpoint = None
        if self._checkpoints is not None:
            validation = self._validation
            checkpoint = self._checkpoints.newest(
                self._identity,
                is_balanced=validation is not None
                and is_balanced(validation.labels_n.cpu().numpy()),
            )
        if checkpoint is None:
            self._begin(self._stages[0])
            return
        self.history = checkpoint.history
        self._saved_epoch = len(self.history)
        stage = self._stages[-1] if self._saved_epoch > self._stages[0].end else self._stages[0]
        self._begin(stage)
        self._optimisation.load(checkpoint.tensors)

    def _begin(self, stage: Stage) -> None:
        if stage.second is not None:
            prepare(stage.second, self.experts, self._seed)
            self._is_prepared = True
        self._stage = stage
        self._optimisation = Optimisation(
            stage,
            self.experts,
            self._train,
            self._description,
            seed=self._seed,
            device=self._device,
        )

    def _run_epoch(self, epoch: int) -> EpochResult:
        self._within_epoch = True
        if epoch == self._stage.end:
            del self._optimisation  # which may hold all images on the device
            self._begin(self._stages[-1])
        learning_rate = self._stage.learning_rate(epoch)
        started = time.perf_counter()
        loss_e = self._optimisation.run_epoch(epoch, learning_rate)
        seconds = time.perf_counter() - started
        if not all(map(math.isfinite, loss_e)):
            section = "training" if self._stage.second is None else "second_stage"
            raise NonFiniteError(
                f"{section}.learning_rate: the loss of epoch {epoch + 1} is not finite at "
                f"{learning_rate:g}; choose a smaller learning rate or a longer warm-up"
            )
        last = epoch + 1 == self.configuration.epochs
        metrics = {
            "train/loss": math.fsum(loss_e) / len(loss_e),
            "train/learning_rate": learning_rate,
            "epoch_seconds": seconds,
            "peak_memory_mib": peak_memory_mib(self._device),
            **(self._apply_untrained_stage() if last else {}),
            **self._evaluate(epoch),
        }
        self._within_epoch = False
        return EpochResult(epoch + 1, self._now(), metrics)

    def _apply_untrained_stage(self) -> Mapping[str, float]:
        """Change the classifiers at the end as a second stage without epochs does.

        Returns:
            What the stage chose, as metrics.
        """
        second = self.configuration.second_stage
        if self._is_prepared:
            return {}
        if second.chooses(self.configuration):
            assert self._selection is not None
            logits_nec = self.predict(self._selection)
            second = second.chosen(self.experts.classifiers, logits_nec, self._selection.labels_n)
        prepare(second, self.experts, self._seed)
        self._is_prepared = True
        return second.choices()

    def _evaluate(self, epoch: int) -> dict[str, float]:
        training = self.configuration.training
        last = epoch + 1 == self.configuration.epochs
        if self._validation is None or not (last or (epoch + 1) % training.evaluate_every == 0):
            return {}
        logits_nec = self.predict(self._validation)
        priors = self.priors
        if not self._is_prepared:
            priors = expert_priors(self._stage.configuration, self._description.class_counts)
        evaluated = (logits_nec, self._validation, self._description, priors)
        weights = sum(parameter.numel() for parameter in self.experts.parameters())
        scalars = validation_scalars(*evaluated, cost_cc=self._cost_cc, recalls=self._recalls)
        scalars["parameters"] = float(weights)
        # the forty shifted metrics are needed for the last epoch, the result of a trial, only
        return scalars | shift_scalars(*evaluated) if last else scalars


def training_identity(configuration: Configuration, description: DataDescription, seed: int) -> str:
    """Return the sha256 of everything that determines the course of a training.

    Raises:
        UserError: the file of pretrained weights cannot be read.
    """
    # data and weights are identified by their content, not by their path
    decisive = identifying(configuration) | {"data": description.fingerprint, "seed": seed}
    if configuration.model.pretrained is not None:
        decisive["model"]["pretrained"] = weights_identity(configuration.model.pretrained)
    packages = entry_packages(configuration)
    if packages:
        decisive["packages"] = packages
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
