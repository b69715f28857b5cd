"""UniMix: mixup towards rare classes (Xu et al., NeurIPS 2021, eq. 6, 7 and 9 to 11).

S steps, B batch, C classes, D channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from balpoe.config.bounds import Bounds
from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs, PartnerSampling
from balpoe.method.mixers.mixup import combined, draw_xi

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class UniMix(Mixer):
    """Mixup with ξ of each pair moved by r = π_j/(π_i + π_j), and partners of rare classes.

    Partners come from the `whole_set`, with class probabilities in proportion to π^τ (eq. 9):
    τ = 1 draws images uniformly, 0 classes uniformly, −1 classes in inverse proportion. In the
    released code they come from the `batch`: there an image is drawn in proportion to n^(τ − 1),
    which the code calls its t. t = −0.5 (CIFAR-10) and −0.1 (CIFAR-100) are τ = 0.5 and 0.9.
    """

    name: Literal["unimix"] = "unimix"
    partners: Literal["whole_set", "batch"] = "whole_set"
    tau: Annotated[float, Bounds(at_least=-10, at_most=10)] = -1.0

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw ξ of each image, float32 [S, B]."""
        return draw_xi(alpha, (steps, batch_size), generator)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Return the combinations by ξ* = ξ + r, less 1 where that is above 1 (eq. 6)."""
        own_b = pairs.class_counts_c[pairs.labels_b]
        partner_b = pairs.class_counts_c[pairs.partner_labels_b]
        moved_b = drawn[: len(images_bdhw)] + partner_b / (own_b + partner_b)
        xi_b = moved_b - (moved_b > 1).to(moved_b.dtype)
        return Mixed(combined(images_bdhw, partner_images_bdhw, xi_b), xi_b)

    def partner_sampling(self, class_counts: Sequence[int]) -> PartnerSampling:
        """Return n^(τ − 1) for an image of each class."""
        weights = tuple(n ** (self.tau - 1) for n in class_counts)
        return PartnerSampling(weights, whole_set=self.partners == "whole_set")
