"""One optimisation step, the same on CPU and GPU.

A learner is a network with batches of its own: the whole ensemble if experts share layers, or
one independent expert. A step gathers, augments and mixes the batch of every learner, adds up
their gradients and updates all weights at once. It never synchronises with the device and its
shapes depend on the batch size alone, so that a CUDA graph can capture it.

The loss is a mean over experts, so that the backward pass of each expert to the shared
activations can precede the forward pass of the next: memory holds the activations of one expert.
(A loss that depends on the logits of all experts holds those of all.) It is a mean over images,
too, so that a batch can be split into parts.

S steps, B batch, E experts of a learner, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from balpoe.config.loss import ClassWeights, Criterion, JointCriterion, Targets
from balpoe.config.mixing import Mixer, Pairs
from balpoe.models.experts import ExpertNetwork
from balpoe.training.augmentation.pixel_source import ImageGatherer
from balpoe.training.draws import Draws


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """The input of a learner in one step.

    `images_bdhw` are float32 and mixed already. `xi` is the share of `labels_b`: one for the
    batch ([]) or one per image ([B]). Without mixing `partner_labels_b` and `xi` are None.
    `mix_activations` mixes the output of a shared layer, by its number from 1.
    """

    images_bdhw: Tensor
    labels_b: Tensor
    partner_labels_b: Tensor | None = None
    xi: Tensor | None = None
    mix_activations: Callable[[int, Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.labels_b)

    def of(self, places_b: Tensor) -> Batch:
        """Return the images at these places in the batch (unmixed)."""
        # `index_select` would give images that are not channels-last
        return Batch(self.images_bdhw[places_b], self.labels_b[places_b])

    def parts(self, count: int) -> Iterator[Batch]:
        """Yield `count` parts of nearly equal size, or one per image if there are fewer images."""
        if count == 1:
            yield self
            return
        assert self.mix_activations is None  # partners would be in another part
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

    def __init__(
        self,
        network: ExpertNetwork,
        criterion: Criterion,
        first_expert: int = 0,
        class_weights: ClassWeights | None = None,
    ) -> None:
        self._network = network
        self._criterion = criterion
        self._first_expert = first_expert
        self._class_weights = class_weights
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
        targets = Targets(batch.labels_b, batch.partner_labels_b, batch.xi, self._class_weights)
        if isinstance(self._criterion, JointCriterion):
            with autocast:
                shared = self._shared(batch)
                logits_bec = torch.stack([expert(shared) for expert in self._network.experts], 1)
                loss_e = self._criterion.means(logits_bec, targets)
            loss = loss_e.mean() * share
            loss.backward()  # type: ignore[no-untyped-call]
            self.loss_sum_e += loss_e.detach() * len(batch)
            return
        with autocast:
            shared = self._shared(batch)
        # without gradients of frozen layers, the classifiers' passes begin at their features
        activations = shared.detach().requires_grad_(shared.requires_grad)
        for e, expert in enumerate(self._network.experts):
            with autocast:
                number = self._first_expert + e
                loss = self._criterion.mean(number, expert(activations), targets)
            (loss / (len(self._network.experts) / share)).backward()  # type: ignore[no-untyped-call]
            self.loss_sum_e[e : e + 1] += loss.detach() * len(batch)
        if shared.requires_grad:
            shared.backward(activations.grad)  # type: ignore[no-untyped-call]

    def _shared(self, batch: Batch) -> Tensor:
        """Return the activations that enter the experts."""
        if batch.mix_activations is None:
            shared: Tensor = self._network.shared(batch.images_bdhw)
            return shared
        activations = batch.images_bdhw
        for number, layer in enumerate(self._network.shared, start=1):
            activations = batch.mix_activations(number, layer(activations))
        return activations


class Stepper:
    """Update the weights of all learners, one step at a time.

    There is one source per learner, or two in a row if the partners of its images come
    from the whole set. `labels_n` are of any integer type, `class_counts_c` float32.
    """

    def __init__(
        self,
        learners: Sequence[Learner],
        optimiser: torch.optim.SGD,
        sources: Sequence[ImageGatherer],
        labels_n: Tensor,
        class_counts_c: Tensor,
        *,
        autocast_dtype: torch.dtype,
        accumulate: int,
    ) -> None:
        self._learners = learners
        self._optimiser = optimiser
        self._sources = sources
        self._labels_n = labels_n
        self._class_counts_c = class_counts_c
        self._autocast_dtype = autocast_dtype
        self._accumulate = accumulate

    def step(self, draws: Sequence[Draws], index: Tensor, mixer: Mixer | None = None) -> None:
        """Take the step `index` (int64 [1]) of the draws of each source; mix with a `mixer`."""
        self._optimiser.zero_grad(set_to_none=True)
        sources = [
            (source, drawn.step(index)) for source, drawn in zip(self._sources, draws, strict=True)
        ]
        per_learner = len(sources) // len(self._learners)
        for number, learner in enumerate(self._learners):
            own, *partners = sources[number * per_learner : (number + 1) * per_learner]
            batch = self._batch(*own)
            if mixer is not None:
                drawn = own[1]
                paired = self._batch(*partners[0]) if partners else batch.of(drawn.partner_sb[0])
                batch = self._mixed(batch, paired, drawn, mixer)
            learner.add_gradients(batch, self._autocast_dtype, accumulate=self._accumulate)
        self._optimiser.step()

    def _batch(self, source: ImageGatherer, draws: Draws) -> Batch:
        """Return the images and labels of one step (`draws` with S = 1)."""
        labels_b = self._labels_n.index_select(0, draws.order_sb[0]).long()
        return Batch(source.batch(draws), labels_b)

    def _mixed(self, batch: Batch, partners: Batch, draws: Draws, mixer: Mixer) -> Batch:
        pairs = Pairs(batch.labels_b, partners.labels_b, self._class_counts_c)
        drawn = draws.mixing_s[0]
        mixed = mixer.mix(batch.images_bdhw, partners.images_bdhw, drawn, pairs)
        mix_activations = None
        if mixer.mixes_activations:
            mix_activations = partial(
                mixer.mix_activations, partner_b=draws.partner_sb[0], drawn=drawn
            )
        return Batch(
            mixed.images_bdhw, batch.labels_b, partners.labels_b, mixed.xi, mix_activations
        )
