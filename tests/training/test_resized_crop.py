"""Resized crops against torchvision on tensors and on PIL images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, RandomResizedCrop, Resize
from torchvision.transforms import functional as torchvision_functional

from balpoe.training.augmentation.resized_crop import CentreCrop, draw_boxes, resized_boxes


def photographs(count: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Noise of several scales, from smooth to harsh."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.zeros(count, channels, height, width)
    for cells in (3, 12, 60):
        noise = torch.rand(count, channels, cells, cells, generator=generator)
        pictures += torch.nn.functional.interpolate(noise, (height, width), mode="bilinear")
    return (pictures / 3 * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def boxes(count: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(draw_boxes(count, height, width, np.random.default_rng(0)))


def torchvision_crops(
    images: Tensor, box_b4: Tensor, side: int, flips: Tensor, *, pil: bool
) -> Tensor:
    crops = []
    for image_hwd, box, flip in zip(images, box_b4.long().tolist(), flips.tolist(), strict=True):
        image = image_hwd.permute(2, 0, 1)
        given = Image.fromarray(image_hwd.numpy()) if pil else image
        crop = torchvision_functional.resized_crop(
            given, *box, [side, side], InterpolationMode.BILINEAR, antialias=True
        )
        crop = torchvision_functional.hflip(crop) if flip else crop
        crops.append(torch.from_numpy(np.asarray(crop).copy()) if pil else crop.permute(1, 2, 0))
    return torch.stack(crops)


@pytest.mark.parametrize("pil", [False, True])
@pytest.mark.parametrize(("height", "width", "side"), [(256, 256, 224), (64, 90, 48), (40, 40, 64)])
def test_a_resized_box_is_within_one_level_of_torchvisions(
    height: int, width: int, side: int, pil: bool
) -> None:
    images, box_b4 = photographs(16, height, width), boxes(16, height, width)
    flips = torch.arange(16) % 2 == 0
    ours = resized_boxes(images, box_b4, side, flips).short()
    theirs = torchvision_crops(images, box_b4, side, flips, pil=pil).short()
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).double().mean() < (0.2 if pil else 0.001)


def test_a_box_of_the_resized_size_is_cut_out_exactly() -> None:
    images = photographs(2, 30, 20)
    box_b4 = torch.tensor([[3.0, 5.0, 12.0, 12.0], [18.0, 0.0, 12.0, 12.0]])
    cut = resized_boxes(images, box_b4, 12, torch.tensor([False, True]))
    assert torch.equal(cut[0], images[0, 3:15, 5:17])
    assert torch.equal(cut[1], images[1, 18:30, 0:12].flip(1))


@pytest.mark.parametrize(("height", "width"), [(256, 256), (200, 300), (300, 40)])
def test_boxes_are_chosen_as_by_torchvision(height: int, width: int) -> None:
    count = 4000
    ours = draw_boxes(count, height, width, np.random.default_rng(1))
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    theirs = np.array(
        [
            RandomResizedCrop.get_params(image, scale=[0.08, 1.0], ratio=[3 / 4, 4 / 3])
            for _ in range(count)
        ]
    )
    assert (ours == ours.round()).all()
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    for column in range(4):
        mine, other = np.sort(ours[:, column]), np.sort(theirs[:, column])
        levels = np.unique(np.concatenate([mine, other]))
        ecdfs = [np.searchsorted(values, levels, side="right") / count for values in (mine, other)]
        # Kolmogorov-Smirnov: a difference of 0.043 has p = 0.001 for two samples of 4000
        assert abs(ecdfs[0] - ecdfs[1]).max() < 0.043


def test_the_middle_of_images_of_the_stored_size_is_cut_out_exactly() -> None:
    images = photographs(2, 256, 256)
    assert torch.equal(CentreCrop(224)(images), images[:, 16:240, 16:240])


@pytest.mark.parametrize(
    ("height", "width", "side"), [(256, 300, 224), (320, 280, 224), (64, 64, 48), (50, 41, 64)]
)
def test_the_middle_of_other_images_is_within_one_level_of_torchvisions(
    height: int, width: int, side: int
) -> None:
    images = photographs(4, height, width)
    pipeline = Compose([Resize(round(side * 256 / 224), antialias=True), CenterCrop(side)])
    theirs = pipeline(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).short()
    ours = CentreCrop(side)(images).short()
    assert (ours - theirs).abs().max() <= 1
    assert (ours != theirs).double().mean() < 0.001


def test_grey_images_are_resized_too() -> None:
    images = photographs(3, 20, 30, channels=1)
    crops = resized_boxes(images, boxes(3, 20, 30), 16, torch.zeros(3, dtype=torch.bool))
    assert crops.shape == (3, 16, 16, 1)
    theirs = torchvision_crops(
        images.expand(-1, -1, -1, 3), boxes(3, 20, 30), 16, torch.zeros(3), pil=False
    )
    assert (crops.short() - theirs.short()).abs().max() <= 1


def test_resizing_looks_at_no_values() -> None:
    with FakeTensorMode():
        images = torch.empty(4, 20, 20, 3, dtype=torch.uint8)
        crops = resized_boxes(images, torch.empty(4, 4), 16, torch.empty(4, dtype=torch.bool))
        assert crops.shape == (4, 16, 16, 3)
