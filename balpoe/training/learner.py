"""One optimisation step, the same on CPU and GPU.

A learner is a network with batches of its own: the whole ensemble if experts share layers, or
one independent expert. A step gathers, augments and mixes the batch of every learner, adds up
their gradients and updates all weights at once. It never synchronises with the device and its
shapes depend on the batch size alone, so that a CUDA graph can capture it.

The loss is a mean over experts, so that the backward pass of each expert to the shared
activations can precede the forward pass of the next: memory holds the activations of one expert.
It is a mean over images, too, so that a batch can be split into parts.

S steps, B batch, E experts of a learner, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.config.loss import Criterion
from balpoe.config.mixing import Mixer
from balpoe.models.experts import ExpertNetwork
from balpoe.training.augmentation.pixel_source import ImageGatherer
from balpoe.training.draws import Draws


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The input of a learner in one step.

    `images_bdhw` are float32 and mixed already. `xi` is the share of `labels_b`: one for the
    batch ([]) or one per image ([B]). Without mixing `partner_labels_b` and `xi` are None.
    """

    images_bdhw: Tensor
    labels_b: Tensor
    partner_labels_b: Tensor | None = None
    xi: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels_b)

    def parts(self, count: int) -> Iterator[Batch]:
        """Yield `count` parts of nearly equal size, or one per image if there are fewer images."""
        count = min(count, len(self))
        images = self.images_bdhw.tensor_split(count)
        labels = self.labels_b.tensor_split(count)
        if self.partner_labels_b is None:
            yield from map(Batch, images, labels)
        else:
            partners = self.partner_labels_b.tensor_split(count)
            yield from map(Batch, images, labels, partners, self._split_xi(count))

    def _split_xi(self, count: int) -> Sequence[Tensor | None]:
        if self.xi is not None and self.xi.ndim:
            return self.xi.tensor_split(count)
        return [self.xi] * count


class Learner:
    """A network, the loss of its experts, and the running sum of their losses.

    `first_expert` is the number of the network's first expert in the ensemble.
    """

    def __init__(self, network: ExpertNetwork, criterion: Criterion, first_expert: int = 0) -> None:
        self._network = network
        self._criterion = criterion
        self._first_expert = first_expert
        device = next(network.parameters()).device
        self.loss_sum_e = torch.zeros(len(network.experts), device=device)

    def add_gradients(
        self, batch: Batch, autocast_dtype: torch.dtype, *, accumulate: int = 1
    ) -> None:
        """Add the gradients of the experts' mean loss on `batch`, in `accumulate` parts."""
        for part in batch.parts(accumulate):
            self._add_gradients(part, len(part) / len(batch), autocast_dtype)

    def _add_gradients(self, batch: Batch, share: float, autocast_dtype: torch.dtype) -> None:
        """Add `share` of the gradients of the experts' mean loss on `batch`."""
        device = batch.images_bdhw.device.type
        autocast = torch.autocast(device, autocast_dtype, autocast_dtype != torch.float32)
        with autocast:
            shared = self._network.shared(batch.images_bdhw)
        activations = shared.detach().requires_grad_()
        for e, expert in enumerate(self._network.experts):
            with autocast:
                loss = self._criterion.mean(
                    self._first_expert + e,
                    expert(activations),
                    batch.labels_b,
                    partner_labels_b=batch.partner_labels_b,
                    xi=batch.xi,
                )
            (loss / (len(self._network.experts) / share)).backward()  # type: ignore[no-untyped-call]
            self.loss_sum_e[e : e + 1] += loss.detach() * len(batch)
        shared.backward(activations.grad)


class Stepper:
    """Update the weights of all learners, one step at a time.

    There is one source per learner. `labels_n` are of any integer type. Without a `mixer`,
    images are not mixed.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        optimiser: torch.optim.SGD,
        sources: Sequence[ImageGatherer],
        labels_n: Tensor,
        *,
        mixer: Mixer | None,
        autocast_dtype: torch.dtype,
        accumulate: int,
    ) -> None:
        self._learners = learners
        self._optimiser = optimiser
        self._sources = sources
        self._labels_n = labels_n
        self._mixer = mixer
        self._autocast_dtype = autocast_dtype
        self._accumulate = accumulate

    def step(self, draws: Sequence[Draws], index: Tensor) -> None:
        """Take the step `index` (int64 [1]) of the draws of each learner."""
        self._optimiser.zero_grad(set_to_none=True)
        for learner, source, drawn in zip(self._learners, self._sources, draws, strict=True):
            batch = self._batch(source, drawn.step(index))
            learner.add_gradients(batch, self._autocast_dtype, accumulate=self._accumulate)
        self._optimiser.step()

    def _batch(self, source: ImageGatherer, draws: Draws) -> Batch:
        """Return the images and labels of one step (`draws` with S = 1)."""
        images_bdhw = source.batch(draws)
        labels_b = self._labels_n.index_select(0, draws.order_sb[0]).long()
        if self._mixer is None:
            return Batch(images_bdhw, labels_b)
        partner_b = draws.partner_sb[0]
        mixed_bdhw, xi = self._mixer.mix(
            images_bdhw, images_bdhw.index_select(0, partner_b), draws.mixing_s[0]
        )
        return Batch(mixed_bdhw, labels_b, labels_b.index_select(0, partner_b), xi)
