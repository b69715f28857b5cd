"""One optimisation step, the same on CPU and GPU.

A learner is a network that is trained on batches of its own: the whole ensemble where experts
share layers, and each expert by itself where they share nothing. A step gathers, augments and
mixes the batch of every learner, adds up their gradients and updates all weights at once. It never
waits for the device and its shapes depend on the batch size alone, so that it can be captured
as a CUDA graph.

S steps, B batch, E experts of a learner, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from balpoe.losses import expert_losses
from balpoe.mixing import mix_images
from balpoe.training.augmentation import PixelSource
from balpoe.training.draws import Draws


class Learner:
    """A network, its experts' logit adjustments, and the running sum of their losses."""

    def __init__(self, network: nn.Module, adjustments_ec: Tensor) -> None:
        self.network = network
        self._adjustments_ec = adjustments_ec
        self.loss_sum_e = torch.zeros(len(adjustments_ec), device=adjustments_ec.device)

    def loss(self, source: PixelSource, labels_n: Tensor, draws: Draws, *, mix: bool) -> Tensor:
        """The mean loss of this learner's experts on one batch (`draws` with S = 1)."""
        images = source.batch(draws)
        labels_b = labels_n.index_select(0, draws.order_sb[0])
        partner_labels_b, xi = None, None
        if mix:
            xi = draws.xi_s[0]
            images = mix_images(images, images.index_select(0, draws.partner_sb[0]), xi)
            partner_labels_b = labels_b.index_select(0, draws.partner_sb[0])
        losses_e = expert_losses(
            self.network(images),
            self._adjustments_ec,
            labels_b,
            partner_labels_b=partner_labels_b,
            xi=xi,
        )
        self.loss_sum_e += losses_e.detach() * draws.batch_size
        return losses_e.mean()


class Stepper:
    """Updates all learners' weights, one step at a time."""

    def __init__(
        self,
        learners: Sequence[Learner],
        optimiser: torch.optim.SGD,
        source: PixelSource,
        labels_n: Tensor,
        *,
        mix: bool,
        autocast_dtype: torch.dtype,
    ) -> None:
        self._learners = learners
        self._optimiser = optimiser
        self._source = source
        self._labels_n = labels_n
        self._mix = mix
        self._autocast_dtype = autocast_dtype

    def step(self, draws: Sequence[Draws], index: Tensor) -> None:
        """Take the step that `index` (int64 [1]) names in each learner's `draws`."""
        self._optimiser.zero_grad(set_to_none=True)
        for learner, drawn in zip(self._learners, draws, strict=True):
            with self._autocast():
                loss = learner.loss(self._source, self._labels_n, drawn.step(index), mix=self._mix)
            # one learner at a time: the activations of the next never lie beside these
            loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def _autocast(self) -> torch.autocast:
        enabled = self._autocast_dtype != torch.float32
        return torch.autocast(
            self._labels_n.device.type, dtype=self._autocast_dtype, enabled=enabled
        )
