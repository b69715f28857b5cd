"""The state of a training in progress: networks, momentum and the running losses.

S steps, B batch, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from balpoe.config import Configuration
from balpoe.config.loss import LossContext
from balpoe.data.splits import DataDescription, Images
from balpoe.method.priors import class_prior
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.models.pretrained import load_pretrained
from balpoe.training.capture import CapturedSteps
from balpoe.training.draws import Draws, EpochDraws
from balpoe.training.image_feed import image_feed
from balpoe.training.learner import Learner, Stepper
from balpoe.training.precision import autocast_dtype, float32_kernels
from balpoe.training.streams import network_seed, weight_generator


class Optimisation:
    """Run whole epochs of SGD on an ensemble of experts."""

    def __init__(
        self,
        configuration: Configuration,
        lambdas: Sequence[float],
        images: Images,
        description: DataDescription,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self._configuration = configuration
        self._images = len(images)
        self._description = description
        self._seed = seed
        self._device = device
        self.experts = initial_experts(configuration, description, seed).to(
            device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]
        )
        training = configuration.training
        context = LossContext(
            class_counts=tuple(description.class_counts),
            prior_c=class_prior(description.class_counts),
            lambdas=tuple(lambdas),
            epochs=training.epochs,
            device=device,
        )
        self._criterion = configuration.loss.criterion(context)
        # of several networks, each has one expert
        self._learners = [
            Learner(network, self._criterion, first_expert=number)
            for number, network in enumerate(self.experts.networks)
        ]
        self._learning_rate = torch.zeros((), device=device)
        self._optimiser = torch.optim.SGD(
            self.experts.parameters(),
            lr=self._learning_rate,
            momentum=training.momentum,
            nesterov=training.nesterov,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self._momenta = self._start_momenta()
        self._feed = image_feed(
            images,
            description.normalisation,
            training.augmentation,
            learners=len(self._learners),
            batch_size=min(training.batch_size, len(images)),
            device=device,
        )
        self._stepper = Stepper(
            self._learners,
            self._optimiser,
            self._feed.sources,
            images.compact_labels_n.to(device),
            mixer=configuration.mixing if configuration.mixup.alpha > 0 else None,
            autocast_dtype=autocast_dtype(training.precision, device),
            accumulate=training.accumulate,
        )
        self._captured: dict[int, CapturedSteps] = {}

    def run_epoch(self, epoch: int, learning_rate: float) -> tuple[float, ...]:
        """Train for one epoch (from 0).

        Returns:
            The mean loss of each expert over the images of the epoch; the only values that are
            read from the device.
        """
        self.experts.train()
        self._learning_rate.fill_(learning_rate)
        self._criterion.start_epoch(epoch)
        for learner in self._learners:
            learner.loss_sum_e.zero_()
        drawn = [self._draw(epoch, network) for network in range(len(self._learners))]
        with (
            float32_kernels(self._configuration.training.precision, self._device),
            self._feed.epoch([draws.order_n for draws in drawn]) as load_images,
        ):
            for blocks in zip(*drawn, strict=True):
                self._run_block([block.to(self._device) for block in blocks], load_images)
        loss_e = torch.cat([learner.loss_sum_e for learner in self._learners]) / self._images
        return tuple(loss_e.tolist())

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the tensors of a checkpoint by name: weights, statistics and momenta."""
        return {**self.experts.state_dict(), **self._momenta}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the tensors of a checkpoint into the state."""
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def _start_momenta(self) -> dict[str, Tensor]:
        """Return zero momenta; they exist before the first step so that all steps are the same."""
        momenta = {}
        for name, parameter in self.experts.named_parameters():
            momenta[f"momentum.{name}"] = torch.zeros_like(parameter.detach())
            self._optimiser.state[parameter]["momentum_buffer"] = momenta[f"momentum.{name}"]
        return momenta if self._configuration.training.momentum else {}

    def _draw(self, epoch: int, network: int) -> EpochDraws:
        return EpochDraws(
            self._configuration.training,
            self._configuration.mixing,
            self._configuration.mixup.alpha,
            self._images,
            height=self._description.height,
            width=self._description.width,
            seed=network_seed(self._seed, network),
            epoch=epoch,
        )

    def _run_block(self, draws: Sequence[Draws], load_images: Callable[[], None]) -> None:
        """Take steps of one batch size: replayed on a GPU, one by one on the CPU.

        The first block of a batch size has the most steps.
        """
        if self._device.type != "cuda":
            for index in range(draws[0].steps):
                load_images()
                self._stepper.step(draws, torch.tensor([index]))
            return
        batch_size = draws[0].batch_size
        if batch_size not in self._captured:
            sums = [learner.loss_sum_e for learner in self._learners]
            state = [*self.tensors().values(), *sums]
            self._captured[batch_size] = CapturedSteps(self._stepper.step, draws, state)
        self._captured[batch_size].run(draws, load_images)


def initial_experts(
    configuration: Configuration, description: DataDescription, seed: int
) -> ExpertEnsemble:
    """Return the untrained ensemble, with weights drawn from `seed` or pretrained.

    Raises:
        UserError: the pretrained weights cannot be read or downloaded, or do not fit.
    """
    model = configuration.model
    independent = configuration.experts.sharing == "independent"
    networks = configuration.experts.count if independent else 1
    experts = build_experts(
        model,
        configuration.experts,
        channels=description.channels,
        classes=len(description.class_names),
        generators=[weight_generator(network_seed(seed, network)) for network in range(networks)],
    )
    if model.pretrained is not None:
        load_pretrained(experts, model.backbone, model.pretrained)
    return experts
