"""The training images of a step: gathered from memory, augmented and normalised.

The default geometry is torchvision's RandomCrop(H, padding), RandomHorizontalFlip and
RandomRotation(nearest, fill 0), in this order. Each only moves pixels: the source of every pixel
of the result is computed backwards through the three, and the batch is read once. Pixels from
outside an image are black (0) before normalisation, as in torchvision. The alternative is a
resized crop with a flip. The operations of the augmentation policies follow either.

N images, B batch, H height, W width, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from balpoe.config import AugmentationConfig
from balpoe.config.augmentation import Policy
from balpoe.data.splits import ImageSet, Normalisation
from balpoe.errors import DataError
from balpoe.training.augmentation.colour_operations import blend, look_up
from balpoe.training.augmentation.geometric_operations import move
from balpoe.training.augmentation.operations import BLENDS, GEOMETRIC, TABLES
from balpoe.training.augmentation.resized_crop import resized_boxes
from balpoe.training.draws import Draws

_KERNELS = ((GEOMETRIC, move), (BLENDS, blend), (TABLES, look_up))


class ImageGatherer(Protocol):
    """A source of the images of a step."""

    def batch(self, draws: Draws) -> Tensor:
        """Return the augmented, normalised images of one step (`draws` with S = 1).

        They are float32 [B, D, H, W] in channels-last memory format.
        """


class PixelSource:
    """The images of a training set on the device of the training.

    Raises:
        DataError: augmentation policies need 1 or 3 channels.
    """

    def __init__(
        self,
        images: ImageSet,
        normalisation: Normalisation,
        augmentation: AugmentationConfig,
        device: torch.device,
    ) -> None:
        self._height, self._width, channels = images.shape_hwd
        self._augmentation = augmentation
        self._images_nhwd = images.images_nhwd.contiguous().to(device)
        self._rows_h1 = torch.arange(self._height, device=device)[:, None]
        self._columns_w = torch.arange(self._width, device=device)
        self._policies = augmentation.all_policies()
        _require_colours(self._policies, channels)
        self._normalise = Normaliser(normalisation, device)

    def batch(self, draws: Draws) -> Tensor:
        """Return the images of one step, as described in `ImageGatherer`."""
        side = self._augmentation.resized_crop
        cut_bhwd = self._resized(draws, side) if side else self._moved(draws)
        operation_bl, magnitude_bl = draws.operation_sbl[0], draws.magnitude_sbl[0]
        return self._normalise(
            apply_operations(cut_bhwd, operation_bl, magnitude_bl, self._policies)
        )

    def _resized(self, draws: Draws, side: int) -> Tensor:
        images_bhwd = self._images_nhwd.index_select(0, draws.order_sb[0])
        flip_b = draws.flip_sb[0] & self._augmentation.flip
        return resized_boxes(images_bhwd, draws.box_sb4[0], side, flip_b)

    def _moved(self, draws: Draws) -> Tensor:
        place_bhw, inside = self._origins(draws)
        pixels = self._images_nhwd.view(-1, self._images_nhwd.shape[3])
        moved = pixels.index_select(0, place_bhw.view(-1)).view(*place_bhw.shape, -1)
        return moved.masked_fill_(~inside[..., None], 0)

    def _origins(self, draws: Draws) -> tuple[Tensor, Tensor]:
        """Return the source of each pixel of the batch.

        Returns:
            The index in the pixels of all images, int64 [B, H, W], and whether the source is
            inside the image: bool [B, H, W], or [] if all are.
        """
        order_b11, top_b11, left_b11, flip_b11, angle_b11 = (
            tensor[0, :, None, None]
            for tensor in (
                draws.order_sb,
                draws.top_sb,
                draws.left_sb,
                draws.flip_sb,
                draws.angle_sb,
            )
        )
        rows, columns = self._rows_h1, self._columns_w
        inside = torch.ones((), dtype=torch.bool, device=rows.device)
        if self._augmentation.rotation_degrees:
            rows, columns = self._rotate(angle_b11)
            inside = self._within(rows, columns)
        if self._augmentation.flip:
            columns = torch.where(flip_b11, self._width - 1 - columns, columns)
        if self._augmentation.crop_padding:
            rows = rows + top_b11 - self._augmentation.crop_padding
            columns = columns + left_b11 - self._augmentation.crop_padding
            inside = inside & self._within(rows, columns)
        place_bhw = (order_b11 * self._height + rows) * self._width + columns
        return torch.where(inside, place_bhw, 0), inside

    def _rotate(self, angle_b11: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns before a counter-clockwise rotation about the centre."""
        radians = torch.deg2rad(angle_b11)
        cosine, sine = torch.cos(radians), torch.sin(radians)
        y = self._rows_h1 + 0.5 - self._height / 2
        x = self._columns_w + 0.5 - self._width / 2
        columns = torch.floor(cosine * x - sine * y + self._width / 2)
        rows = torch.floor(sine * x + cosine * y + self._height / 2)
        return rows.long(), columns.long()

    def _within(self, rows: Tensor, columns: Tensor) -> Tensor:
        vertically = (rows >= 0) & (rows < self._height)
        return vertically & (columns >= 0) & (columns < self._width)


def apply_operations(
    pixels_bhwd: Tensor, operation_bl: Tensor, magnitude_bl: Tensor, policies: Sequence[Policy]
) -> Tensor:
    """Return the images after the operations of the policies: uint8 [B, H, W, D].

    Kernels without an operation that is possible at a place are skipped there.
    """
    place = 0
    for policy in policies:
        kernels = (*_KERNELS, *policy.kernels())
        for possible in policy.possible:
            for operations, kernel in kernels:
                if operations & possible:
                    chosen = operation_bl[:, place], magnitude_bl[:, place]
                    pixels_bhwd = kernel(pixels_bhwd, *chosen)
            place += 1
    return pixels_bhwd


class Normaliser:
    """Turn uint8 pixels into the input of networks: (pixel/255 − mean)/std per channel."""

    def __init__(self, normalisation: Normalisation, device: torch.device) -> None:
        mean = torch.tensor(normalisation.mean, dtype=torch.float32, device=device)
        std = torch.tensor(normalisation.std, dtype=torch.float32, device=device)
        self._scale_d = 1 / (255 * std)
        self._shift_d = -mean / std

    def __call__(self, pixels_bhwd: Tensor) -> Tensor:
        """uint8 [B, H, W, D] → float32 [B, D, H, W], channels-last in memory."""
        images_bhwd = torch.addcmul(self._shift_d, pixels_bhwd.float(), self._scale_d)
        return images_bhwd.permute(0, 3, 1, 2)


def _require_colours(policies: Sequence[Policy], channels: int) -> None:
    if policies and channels not in (1, 3):
        raise DataError(
            f"training.augmentation: colours can be changed in images with 1 or 3 channels, these "
            f"have {channels}: switch colour_jitter, auto_augment, rand_augment and policies off"
        )
