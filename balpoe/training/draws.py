"""All the randomness of one epoch of one network, drawn before the epoch begins.

S steps, B batch, L operations in a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from balpoe.config import AugmentationConfig, TrainingConfig
from balpoe.mixing import draw_xi
from balpoe.training.configured_policies import configured_policies
from balpoe.training.policies import draw_operations
from balpoe.training.resized_crop import draw_boxes
from balpoe.training.streams import Purpose, random_stream


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """The draws for S steps of equal batch size.

    `order_sb` are indices into the training set, `partner_sb` indices into the batch,
    `top_sb` and `left_sb` where the crop begins in the padded image, `box_sb4` the top, left,
    height and width of a resized crop (none without: [S, B, 0]), `flip_sb` booleans,
    `angle_sb` counter-clockwise degrees, `operation_sbl` and `magnitude_sbl` the operations of
    the augmentation policies, `xi_s` the share of the image in the mixture.
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
    xi_s: Tensor

    @property
    def steps(self) -> int:
        """S."""
        return self.order_sb.shape[0]

    @property
    def batch_size(self) -> int:
        """B."""
        return self.order_sb.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def to(self, device: torch.device) -> Draws:
        """The same draws on `device`."""
        return Draws(*(tensor.to(device) for tensor in self.tensors()))

    def step(self, index: Tensor) -> Draws:
        """The draws of the step that `index` (int64 [1]) names, as S = 1."""
        return Draws(*(tensor.index_select(0, index) for tensor in self.tensors()))


def draw_epoch(
    training: TrainingConfig,
    alpha: float,
    images: int,
    *,
    height: int,
    width: int,
    seed: int,
    epoch: int,
) -> tuple[Draws, ...]:
    """Draw one epoch over `images` images: the full batches, then the last partial one.

    `height` and `width` are those of the images in pixels.
    """
    streams = {purpose: random_stream(seed, purpose, epoch) for purpose in Purpose}
    drawn = _draw_images(training.augmentation, images, height, width, streams)
    steps = -(-images // training.batch_size)
    xi_s = draw_xi(alpha, steps, streams[Purpose.MIXING])
    full = images // training.batch_size * training.batch_size
    return tuple(
        _cut_batches(drawn, part, batch_size, xi_s[part.start // training.batch_size :], streams)
        for part, batch_size in (
            (range(full), training.batch_size),
            (range(full, images), images - full),
        )
        if part
    )


def _draw_images(
    augmentation: AugmentationConfig,
    images: int,
    height: int,
    width: int,
    streams: Mapping[Purpose, np.random.Generator],
) -> dict[str, npt.NDArray[np.generic]]:
    """What is drawn for each of the N images, in the order in which they are visited."""
    offsets_2n = streams[Purpose.CROP].integers(2 * augmentation.crop_padding + 1, size=(2, images))
    limit = augmentation.rotation_degrees
    boxed = images if augmentation.resized_crop else 0
    boxes_n4 = draw_boxes(boxed, height, width, streams[Purpose.RESIZED_CROP])
    operations = draw_operations(configured_policies(augmentation), images, streams)
    return {
        "order_sb": streams[Purpose.ORDER].permutation(images),
        "top_sb": offsets_2n[0],
        "left_sb": offsets_2n[1],
        "box_sb4": boxes_n4.reshape(images, -1),
        "flip_sb": streams[Purpose.FLIP].random(images) < 0.5,
        "angle_sb": streams[Purpose.ROTATION].uniform(-limit, limit, images).astype(np.float32),
        "operation_sbl": operations.operation_nl,
        "magnitude_sbl": operations.magnitude_nl,
    }


def _cut_batches(
    drawn: Mapping[str, npt.NDArray[np.generic]],
    part: range,
    batch_size: int,
    xi_s: Tensor,
    streams: Mapping[Purpose, np.random.Generator],
) -> Draws:
    """The draws of the images in `part` as rows of `batch_size`, with a pairing for each row."""
    steps = len(part) // batch_size
    identity_sb = np.tile(np.arange(batch_size), (steps, 1))
    pairing_sb = streams[Purpose.PAIRING].permuted(identity_sb, axis=1)
    return Draws(
        **{
            name: torch.from_numpy(
                array[part.start : part.stop].reshape(steps, batch_size, *array.shape[1:])
            )
            for name, array in drawn.items()
        },
        partner_sb=torch.from_numpy(pairing_sb),
        xi_s=xi_s[:steps],
    )
