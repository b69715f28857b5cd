"""The state of a training in progress: networks, momentum and the running losses.

S steps, B batch, E experts, C classes, N images.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from balpoe.config import Configuration
from balpoe.data.splits import DataDescription, Images
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.models.pretrained import load_pretrained
from balpoe.training.capture import CapturedSteps
from balpoe.training.draws import Draws, EpochDraws, Mixing
from balpoe.training.image_feed import image_feed
from balpoe.training.learner import Learner, Stepper
from balpoe.training.loss_context import class_weights, loss_context
from balpoe.training.orders import epoch_order, partner_order
from balpoe.training.precision import autocast_dtype, float32_kernels
from balpoe.training.schedule import epoch_at, progress
from balpoe.training.stages import Stage, trained_weights
from balpoe.training.streams import (
    Purpose,
    network_seed,
    partner_seed,
    random_stream,
    weight_generator,
)


class _StepKind(NamedTuple):
    """Steps that are captured apart from those of other kinds."""

    batch_size: int
    mixes: bool


class Optimisation:
    """Run whole epochs of SGD on an ensemble of experts, those of one stage of a training.

    `experts` are on `device`, in channels-last format; weights that the stage does not train are
    frozen.

    Raises:
        UserError: the mixer mixes a layer that the experts do not share.
    """

    def __init__(
        self,
        stage: Stage,
        experts: ExpertEnsemble,
        images: Images,
        description: DataDescription,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        configuration = stage.configuration
        self._stage = stage
        self._configuration = configuration
        self._labels_n = images.compact_labels_n.numpy()
        self._description = description
        self._seed = seed
        self._device = device
        self.experts = experts
        training = configuration.training
        context = loss_context(configuration, description.class_counts, device)
        self._criterion = configuration.loss.criterion(context)
        self._class_weights = class_weights(configuration, context)
        # of several networks, each has one expert
        self._learners = [
            Learner(network, self._criterion, number, self._class_weights)
            for number, network in enumerate(self.experts.networks)
        ]
        self._mixing = _mixing(configuration, description.class_counts)
        if self._mixing is not None:
            shared = [name for name, _ in self.experts.networks[0].shared.named_children()]
            self._mixing.mixer.require_layers(shared)
        groups = trained_weights(stage.second, experts)
        self._rate_factors = [group.rate_factor for group in groups]
        self._learning_rates = [torch.zeros((), device=device) for _ in groups]
        self._optimiser = torch.optim.SGD(
            [
                {"params": list(group.weights), "lr": rate}
                for group, rate in zip(groups, self._learning_rates, strict=True)
            ],
            lr=self._learning_rates[0],
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
            streams=len(self._learners) * (2 if self._pairs_with_whole_set else 1),
            batch_size=min(training.batch_size, len(images)),
            device=device,
        )
        self._stepper = Stepper(
            self._learners,
            self._optimiser,
            self._feed.sources,
            images.compact_labels_n.to(device),
            torch.tensor(description.class_counts, dtype=torch.float32, device=device),
            autocast_dtype=autocast_dtype(training.precision, device),
            accumulate=training.accumulate,
        )
        self._captured: dict[_StepKind, CapturedSteps] = {}

    def run_epoch(self, epoch: int, learning_rate: float) -> tuple[float, ...]:
        """Train for one epoch (from 0, of the whole training).

        Returns:
            The mean loss of each expert over the images of the epoch; the only values that are
            read from the device.
        """
        second = self._stage.second
        self.experts.train(second is None or second.shift_batch_norm)
        for rate, factor in zip(self._learning_rates, self._rate_factors, strict=True):
            rate.fill_(factor * learning_rate)
        within_stage = epoch - self._stage.first_epoch
        self._criterion.start_epoch(within_stage)
        if self._class_weights is not None:
            self._class_weights.start_epoch(within_stage)
        for learner in self._learners:
            learner.loss_sum_e.zero_()
        training = self._configuration.training
        mixes = within_stage < epoch_at(self._configuration.mixup.until, training)
        mixing = self._mixing if mixes else None
        drawn = [
            draws
            for network in range(len(self._learners))
            for draws in self._draws(epoch, network, mixing)
        ]
        with (
            float32_kernels(self._configuration.training.precision, self._device),
            self._feed.epoch([draws.order_n for draws in drawn]) as load_images,
        ):
            for blocks in zip(*drawn, strict=True):
                draws = [block.to(self._device) for block in blocks]
                self._run_block(draws, mixing, load_images)
        loss_e = torch.cat([learner.loss_sum_e for learner in self._learners])
        loss_e /= len(self._labels_n)
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
            if not parameter.requires_grad:
                continue
            momenta[f"momentum.{name}"] = torch.zeros_like(parameter.detach())
            self._optimiser.state[parameter]["momentum_buffer"] = momenta[f"momentum.{name}"]
        return momenta if self._configuration.training.momentum else {}

    @property
    def _pairs_with_whole_set(self) -> bool:
        partners = None if self._mixing is None else self._mixing.partners
        return partners is not None and partners.whole_set

    def _draws(self, epoch: int, network: int, mixing: Mixing | None) -> list[EpochDraws]:
        """Return the draws of an epoch for a network, and those of partners from the whole set."""
        training = self._configuration.training
        drawn = functools.partial(
            EpochDraws,
            training,
            labels_n=self._labels_n,
            height=self._description.height,
            width=self._description.width,
            epoch=epoch,
        )
        seed = network_seed(self._seed, network)
        order_n = epoch_order(
            self._labels_n,
            training.class_sampling,
            progress(epoch - self._stage.first_epoch, training),
            random_stream(seed, Purpose.ORDER, epoch),
        )
        draws = [drawn(mixing, order_n, seed=seed)]
        if self._mixing is not None and self._mixing.partners and self._pairs_with_whole_set:
            stream = random_stream(seed, Purpose.PARTNERS, epoch)
            order_n = partner_order(self._labels_n, self._mixing.partners, stream)
            draws.append(drawn(None, order_n, seed=partner_seed(seed)))
        return draws

    def _run_block(
        self, draws: Sequence[Draws], mixing: Mixing | None, load_images: Callable[[], None]
    ) -> None:
        """Take steps of one batch size: replayed on a GPU, one by one on the CPU.

        The first block of a batch size has the most steps.
        """
        step = functools.partial(self._stepper.step, mixer=mixing.mixer if mixing else None)
        if self._device.type != "cuda":
            for index in range(draws[0].steps):
                load_images()
                step(draws, torch.tensor([index]))
            return
        kind = _StepKind(draws[0].batch_size, mixes=mixing is not None)
        if kind not in self._captured:
            sums = [learner.loss_sum_e for learner in self._learners]
            state = [*self.tensors().values(), *sums]
            self._captured[kind] = CapturedSteps(step, draws, state)
        self._captured[kind].run(draws, load_images)


def _mixing(configuration: Configuration, class_counts: Sequence[int]) -> Mixing | None:
    if not configuration.mixes:
        return None
    mixer = configuration.mixing
    return Mixing(mixer, configuration.mixup.alpha, mixer.partner_sampling(class_counts))


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
