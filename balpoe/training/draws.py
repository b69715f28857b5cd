"""All random draws of one epoch of one network, made before the steps that need them.

N images, S steps, B batch, L operations in a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from balpoe.config import AugmentationConfig, TrainingConfig
from balpoe.config.augmentation import DrawnOperations, Policy
from balpoe.config.mixing import Mixer, PartnerSampling
from balpoe.errors import StorageError
from balpoe.training.augmentation.resized_crop import draw_boxes
from balpoe.training.orders import Labels, Order, partners_within
from balpoe.training.streams import Purpose, policy_streams, random_stream

_IMAGES_AT_ONCE = 2**16  # part of what a seed means


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """The draws for S steps of equal batch size.

    `order_sb` are indices into the training set, `partner_sb` indices into the batch,
    `top_sb` and `left_sb` the corner of the crop in the padded image, `box_sb4` the top, left,
    height and width of a resized crop ([S, B, 0] without), `flip_sb` booleans, `angle_sb`
    counter-clockwise degrees, `operation_sbl` and `magnitude_sbl` the operations of the
    augmentation policies, `mixing_s` ([S, ...]) the draws of the mixer (zeros without one).
    """

    order_sb: Tensor
    partner_sb: Tensor
    top_sb: Tensor
    left_sb: Tensor
    box_sb4: Tensor
    flip_sb: Tensor
    angle_sb: Tensor
    operation_sbl: Tensor
    magnitude_sbl: Tensor
    mixing_s: Tensor

    @property
    def steps(self) -> int:
        """S."""
        return self.order_sb.shape[0]

    @property
    def batch_size(self) -> int:
        """B."""
        return self.order_sb.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def to(self, device: torch.device) -> Draws:
        """Return the same draws on `device`."""
        return Draws(*(tensor.to(device) for tensor in self.tensors()))

    def step(self, index: Tensor) -> Draws:
        """Return the draws of the step `index` (int64 [1]), with S = 1."""
        return Draws(*(tensor.index_select(0, index) for tensor in self.tensors()))


@dataclass(frozen=True, slots=True)
class Mixing:
    """A mixer, its strength α > 0, and how it draws partners; None for a permutation of a batch."""

    mixer: Mixer
    alpha: float
    partners: PartnerSampling | None = None


class EpochDraws:
    """The draws of one epoch that visits images of `height` times `width` pixels in `order_n`.

    Iterating yields the full batches, in one block or several, then the last partial one. They
    are drawn during the iteration, 65,536 images at a time. Only the order of all images is kept
    (int32 [N]): in memory, or on disk where there are more images than that. `labels_n` are those
    of the training set; partners may be drawn by them. Without `mixing`, images are not mixed.

    Raises:
        StorageError: there is no space in the directory for temporary files.
    """

    def __init__(
        self,
        training: TrainingConfig,
        mixing: Mixing | None,
        order_n: Order,
        labels_n: Labels,
        *,
        height: int,
        width: int,
        seed: int,
        epoch: int,
    ) -> None:
        self._training = training
        self._mixing = mixing
        self._labels_n = labels_n
        self._height, self._width = height, width
        self._seed, self._epoch = seed, epoch
        self.order_n = order_n if len(order_n) <= _IMAGES_AT_ONCE else _on_disk(order_n)

    def __iter__(self) -> Iterator[Draws]:
        batch_size, images = self._training.batch_size, len(self.order_n)
        streams = {purpose: random_stream(self._seed, purpose, self._epoch) for purpose in Purpose}
        policies = self._training.augmentation.all_policies()
        of_policies = policy_streams(self._seed, [each.name for each in policies], self._epoch)
        steps = -(-images // batch_size)
        mixing_s = self._mixing_draws(steps, streams[Purpose.MIXING])
        at_once = max(1, _IMAGES_AT_ONCE // batch_size) * batch_size
        for start in range(0, images, at_once):
            order_n = self.order_n[start : start + at_once]
            drawn = _draw_images(
                self._training.augmentation, order_n, self._height, self._width, streams
            )
            operations = draw_operations(policies, len(order_n), of_policies)
            drawn["operation_sbl"] = operations.operation_nl
            drawn["magnitude_sbl"] = operations.magnitude_nl
            full = len(order_n) // batch_size * batch_size
            for part, size in (
                (range(full), batch_size),
                (range(full, len(order_n)), len(order_n) - full),
            ):
                if part:
                    first = (start + part.start) // batch_size
                    partner_sb = self._partners(order_n[part.start : part.stop], size, streams)
                    yield _cut_batches(drawn, part, size, mixing_s[first:], partner_sb)

    def _mixing_draws(self, steps: int, generator: np.random.Generator) -> Tensor:
        if self._mixing is None:
            return torch.zeros(steps)
        batch_size = self._training.batch_size
        return self._mixing.mixer.draw(self._mixing.alpha, steps, batch_size, generator)

    def _partners(
        self, order_n: Order, batch_size: int, streams: Mapping[Purpose, np.random.Generator]
    ) -> npt.NDArray[np.int64]:
        """Return the place in its batch of the partner of each image: int64 [S, B]."""
        sampling = None if self._mixing is None else self._mixing.partners
        order_sb = order_n.reshape(-1, batch_size)
        if sampling is not None and not sampling.whole_set:
            return partners_within(self._labels_n[order_sb], sampling, streams[Purpose.PARTNERS])
        identity_sb = np.tile(np.arange(batch_size), (len(order_sb), 1))
        return streams[Purpose.PAIRING].permuted(identity_sb, axis=1)


def _draw_images(
    augmentation: AugmentationConfig,
    order_n: Order,
    height: int,
    width: int,
    streams: Mapping[Purpose, np.random.Generator],
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the draws for each of the next images, by field, in the order of the visits."""
    images = len(order_n)
    offsets_2n = streams[Purpose.CROP].integers(2 * augmentation.crop_padding + 1, size=(2, images))
    limit = augmentation.rotation_degrees
    boxed = images if augmentation.resized_crop else 0
    boxes_n4 = draw_boxes(boxed, height, width, streams[Purpose.RESIZED_CROP])
    return {
        "order_sb": order_n.astype(np.int64),
        "top_sb": offsets_2n[0],
        "left_sb": offsets_2n[1],
        "box_sb4": boxes_n4.reshape(images, -1),
        "flip_sb": streams[Purpose.FLIP].random(images) < 0.5,
        "angle_sb": streams[Purpose.ROTATION].uniform(-limit, limit, images).astype(np.float32),
    }


def draw_operations(
    policies: Sequence[Policy], images: int, streams: Sequence[np.random.Generator]
) -> DrawnOperations:
    """Return the operations of all policies, in their order; L = 0 if there are none."""
    drawn = [policy.draw(images, stream) for policy, stream in zip(policies, streams, strict=True)]
    none = DrawnOperations(np.empty((images, 0), np.int32), np.empty((images, 0), np.float32))
    return DrawnOperations(
        np.concatenate([each.operation_nl for each in (none, *drawn)], axis=1),
        np.concatenate([each.magnitude_nl for each in (none, *drawn)], axis=1),
    )


def _cut_batches(
    drawn: Mapping[str, npt.NDArray[np.generic]],
    part: range,
    batch_size: int,
    mixing_s: Tensor,
    partner_sb: npt.NDArray[np.int64],
) -> Draws:
    """Return the draws of the images in `part`, as rows of `batch_size`."""
    steps = len(part) // batch_size
    return Draws(
        **{
            name: torch.from_numpy(
                array[part.start : part.stop].reshape(steps, batch_size, *array.shape[1:])
            )
            for name, array in drawn.items()
        },
        partner_sb=torch.from_numpy(partner_sb),
        mixing_s=mixing_s[:steps],
    )


def _on_disk(order_n: Order) -> Order:
    """Return the same order, memory-mapped from a temporary file without a name."""
    try:
        with tempfile.TemporaryFile() as file:
            order_n.tofile(file)
            file.flush()
            return np.memmap(file, order_n.dtype, "r").view(np.ndarray)
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: the order of an epoch cannot be written ({error}): free "
            f"some space, or set TMPDIR to a directory that has it"
        ) from error
