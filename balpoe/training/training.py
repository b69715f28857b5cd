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
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from balpoe.config import Configuration, Precision, identifying
from balpoe.config.entry_packages import entry_packages
from balpoe.data.splits import DataDescription, Images
from balpoe.errors import NonFiniteError
from balpoe.method.long_tailed_counts import is_balanced
from balpoe.models.pretrained import weights_identity
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.costs import cost_tensor
from balpoe.training.epoch import EpochResult
from balpoe.training.loss_context import configured_lambdas
from balpoe.training.memory import peak_memory_mib
from balpoe.training.optimisation import Optimisation
from balpoe.training.prediction import EvaluationInput, predict
from balpoe.training.schedule import learning_rates
from balpoe.training.validation_metrics import shift_scalars, validation_scalars

CHECKPOINT_SECONDS = 60.0


class Training:
    """Train the experts of `configuration` on `train`, and evaluate them on `validation`.

    The constructor loads the newest intact checkpoint in `checkpoints`. `recalls` are the classes
    whose recall on the validation images is measured.

    Raises:
        CorruptFile: the checkpoints belong to another training.
        DataError: a class has no training images, or the costs are not those of the classes.
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
        checkpoints: CheckpointDirectory | None = None,
        recalls: Sequence[str] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._configuration = configuration
        self._description = description
        self._validation = validation
        self._device = device
        self._checkpoints = checkpoints
        self._recalls = recalls
        self._cost_cc = cost_tensor(configuration.cost, description.class_names)
        self._now = now
        self._identity = training_identity(configuration, description, seed)
        self.lambdas = configured_lambdas(configuration)
        self._optimisation = Optimisation(
            configuration, train, description, seed=seed, device=device
        )
        self.experts = self._optimisation.experts
        self.history: tuple[EpochResult, ...] = ()
        self._saved_epoch, self._saved_at = 0, time.monotonic()
        self._within_epoch = False
        self._continue()

    def fit(self) -> Iterator[EpochResult]:
        """Train to the last epoch and yield the result of each epoch trained by this object.

        Raises:
            NonFiniteError: the loss of an epoch is not finite; it is neither saved nor yielded.
            StorageError: a checkpoint cannot be written.
        """
        rates = learning_rates(self._configuration.training)
        for epoch in range(len(self.history), len(rates)):
            result = self._run_epoch(epoch, rates[epoch])
            self.history += (result,)
            last = epoch + 1 == len(rates)
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
        training = self._configuration.training
        evaluation_input = EvaluationInput(
            self._description.normalisation, training.augmentation.resized_crop, self._device
        )
        return predict(self.experts, images, evaluation_input, precision or training.precision)

    def _continue(self) -> None:
        if self._checkpoints is None:
            return
        validation = self._validation
        checkpoint = self._checkpoints.newest(
            self._identity,
            is_balanced=validation is not None and is_balanced(validation.labels_n.cpu().numpy()),
        )
        if checkpoint is not None:
            self._optimisation.load(checkpoint.tensors)
            self.history = checkpoint.history
            self._saved_epoch = len(self.history)

    def _run_epoch(self, epoch: int, learning_rate: float) -> EpochResult:
        self._within_epoch = True
        started = time.perf_counter()
        loss_e = self._optimisation.run_epoch(epoch, learning_rate)
        seconds = time.perf_counter() - started
        if not all(map(math.isfinite, loss_e)):
            raise NonFiniteError(
                f"training.learning_rate: the loss of epoch {epoch + 1} is not finite at "
                f"{learning_rate:g}; choose a smaller learning rate or a longer warm-up"
            )
        metrics = {
            "train/loss": math.fsum(loss_e) / len(loss_e),
            "train/learning_rate": learning_rate,
            "epoch_seconds": seconds,
            "peak_memory_mib": peak_memory_mib(self._device),
            **self._evaluate(epoch),
        }
        self._within_epoch = False
        return EpochResult(epoch + 1, self._now(), metrics)

    def _evaluate(self, epoch: int) -> dict[str, float]:
        training = self._configuration.training
        last = epoch + 1 == training.epochs
        if self._validation is None or not (last or (epoch + 1) % training.evaluate_every == 0):
            return {}
        logits_nec = self.predict(self._validation)
        evaluated = (logits_nec, self._validation, self._description, self.lambdas)
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
