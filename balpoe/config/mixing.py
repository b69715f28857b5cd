"""The table of mixers: how pairs of training images are mixed, and their labels with them.

S steps, B batch, C classes, D channels, H height, W width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from balpoe.config.entry_tables import Entry, Table
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from balpoe.config.configuration import Configuration


@dataclass(frozen=True, slots=True)
class PartnerSampling:
    """How the partner of each image is drawn, with replacement.

    An image of class y is drawn with a probability proportional to `weights[y]`: among the images
    of the batch, or, with `whole_set`, among all training images. Partners from the whole set are
    augmented by draws of their own.
    """

    weights: tuple[float, ...]
    whole_set: bool


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """The labels of a batch and of its partners, int64 [B].

    `class_counts_c` are the training images of each class, float32 [C].
    """

    labels_b: Tensor
    partner_labels_b: Tensor
    class_counts_c: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Mixed:
    """Mixed images, and the share ξ of the first labels: one for the batch ([]), or [B]."""

    images_bdhw: Tensor
    xi: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer(Entry, ABC):
    """The settings of a mixer except its strength, which is `mixup.alpha`; abstract.

    A mixer with `mixes_activations` mixes the input of further layers, too. Without `mixes`, a
    training neither draws nor mixes, whatever the strength is.
    """

    name: str
    mixes: ClassVar[bool] = True
    mixes_activations: ClassVar[bool] = False

    @abstractmethod
    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        """Draw all random numbers of an epoch, on the CPU, with S = `steps` as first dimension.

        `alpha` is above 0. The batch of the last step may have fewer than `batch_size` images.
        """

    @abstractmethod
    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        """Mix a batch with its partners, on their device.

        `drawn` is the row of `draw` for this step. No value may be read on the host and no shape
        may depend on a value, so that a CUDA graph can capture the step. The mixed images have
        the shape and memory format of `images_bdhw`.
        """

    def mix_activations(
        self, layer: int, activations: Tensor, partner_b: Tensor, drawn: Tensor
    ) -> Tensor:
        """Mix the output of a layer that all experts share, for the same pairs as the images.

        Called for the layers from 1 (the stem) on if `mixes_activations`. `partner_b` are the
        places of the partners in the batch.
        """
        raise NotImplementedError

    def require_layers(self, shared: Sequence[str]) -> None:
        """Check that the experts share the layers to mix; `shared` are stem, stage1 and so on.

        Raises:
            UserError: they do not share one of them.
        """
        return

    def partner_sampling(self, class_counts: Sequence[int]) -> PartnerSampling | None:
        """Return how partners are drawn; None pairs each batch by a permutation of itself.

        Whether they come from the whole set does not depend on `class_counts`.
        """
        return None

    @property
    def pairs_with_whole_set(self) -> bool:
        """Whether partners come from the whole training set, not from the batch."""
        sampling = self.partner_sampling((1,))
        return sampling is not None and sampling.whole_set

    def problems(self, configuration: Configuration) -> Iterator[FieldProblem]:
        """Yield what else in a configuration does not go with this mixer; none by default."""
        return iter(())


MIXERS = Table(
    Mixer,  # type: ignore[type-abstract]
    package="balpoe.method.mixers",
    group="balpoe.mixers",
)

DEFAULT_MIXER: Final = "mixup"


def idle_mixer(mixer: Mixer, alpha: float) -> str | None:
    """Return why a mixer has no effect, and the fix; None if it has one or is the default."""
    if alpha > 0 or not mixer.mixes or mixer.name == DEFAULT_MIXER:
        return None
    return (
        f"{mixer.name} mixes nothing with mixup.alpha 0: set mixup: {{alpha: 1}}, search "
        f"mixup.alpha, or choose none"
    )
