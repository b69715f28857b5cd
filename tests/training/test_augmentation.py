from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision_functional

from balpoe.config import AugmentationConfig, RandAugmentConfig, TrainingConfig
from balpoe.data.splits import ImageSet, Normalisation
from balpoe.errors import DataError
from balpoe.training.augmentation.pixel_source import Normaliser, PixelSource, apply_operations
from balpoe.training.augmentation.resized_crop import resized_boxes
from balpoe.training.draws import Draws, EpochDraws

PIXELS = Normalisation((0.0, 0.0, 0.0), (1 / 255,) * 3)  # the network's input is the pixel itself


def random_images(count: int, height: int, width: int) -> ImageSet:
    generator = np.random.default_rng(0)
    pixels = generator.integers(1, 256, (count, height, width, 3), dtype=np.uint8)
    return ImageSet(torch.from_numpy(pixels), torch.zeros(count, dtype=torch.int64))


def one_step(
    order: list[int], top: list[int], left: list[int], flip: list[bool], angle: list[float]
) -> Draws:
    return Draws(
        order_sb=torch.tensor([order]),
        partner_sb=torch.tensor([order]),
        top_sb=torch.tensor([top]),
        left_sb=torch.tensor([left]),
        box_sb4=torch.empty(1, len(order), 0),
        flip_sb=torch.tensor([flip]),
        angle_sb=torch.tensor([angle]),
        operation_sbl=torch.empty(1, len(order), 0, dtype=torch.int32),
        magnitude_sbl=torch.empty(1, len(order), 0),
        mixing_s=torch.ones(1),
    )


def torchvision_pipeline(
    image_hwd: Tensor, padding: int, top: int, left: int, flip: bool, angle: float
) -> Tensor:
    """The loop people write: PIL images through torchvision's functional transforms."""
    image = Image.fromarray(image_hwd.numpy())
    height, width, _ = image_hwd.shape
    image = torchvision_functional.pad(image, [padding], fill=0)
    image = torchvision_functional.crop(image, top, left, height, width)
    if flip:
        image = torchvision_functional.hflip(image)
    image = torchvision_functional.rotate(image, angle, InterpolationMode.NEAREST, fill=0)
    return torch.from_numpy(np.asarray(image).copy())


@settings(max_examples=30, deadline=None)
@given(data=st.data(), height=st.integers(4, 33), width=st.integers(4, 33))
def test_crop_and_flip_equal_torchvision_exactly(
    data: st.DataObject, height: int, width: int
) -> None:
    padding = data.draw(st.integers(0, 4))
    offsets = st.lists(st.integers(0, 2 * padding), min_size=3, max_size=3)
    top, left = data.draw(offsets), data.draw(offsets)
    flip = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    images = random_images(5, height, width)
    order = [4, 0, 4]
    source = PixelSource(
        images, PIXELS, AugmentationConfig(crop_padding=padding, flip=True), torch.device("cpu")
    )
    batch = source.batch(one_step(order, top, left, flip, [0.0] * 3)).permute(0, 2, 3, 1)
    for position, index in enumerate(order):
        expected = torchvision_pipeline(
            images.images_nhwd[index], padding, top[position], left[position], flip[position], 0.0
        )
        assert torch.equal(batch[position].round().to(torch.uint8), expected)


def test_rotation_differs_from_torchvision_in_under_half_a_percent_of_pixels() -> None:
    images = random_images(200, 32, 32)
    generator = np.random.default_rng(1)
    angles = generator.uniform(-15, 15, 200).astype(np.float32).tolist()
    flips = (generator.random(200) < 0.5).tolist()
    tops, lefts = generator.integers(0, 9, (2, 200)).tolist()
    source = PixelSource(
        images,
        PIXELS,
        AugmentationConfig(crop_padding=4, flip=True, rotation_degrees=15),
        torch.device("cpu"),
    )
    batch = source.batch(one_step(list(range(200)), tops, lefts, flips, angles))
    ours = batch.permute(0, 2, 3, 1).round().to(torch.uint8)
    theirs = torch.stack(
        [
            torchvision_pipeline(images.images_nhwd[i], 4, tops[i], lefts[i], flips[i], angles[i])
            for i in range(200)
        ]
    )
    differing = (ours != theirs).any(dim=-1).double().mean()
    assert differing < 0.005


def test_pixels_from_outside_are_black_before_normalisation() -> None:
    images = random_images(1, 8, 8)
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    source = PixelSource(
        images, normalisation, AugmentationConfig(crop_padding=2), torch.device("cpu")
    )
    batch = source.batch(one_step([0], [0], [0], [False], [0.0]))
    expected = -torch.tensor(normalisation.mean) / torch.tensor(normalisation.std)
    assert torch.allclose(batch[0, :, :2, :].permute(1, 2, 0), expected.expand(2, 8, 3))


def test_normalisation_equals_torchvision() -> None:
    images = random_images(4, 6, 5).images_nhwd
    normalisation = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    ours = Normaliser(normalisation, torch.device("cpu"))(images)
    scaled = images.permute(0, 3, 1, 2).float() / 255
    theirs = torchvision_functional.normalize(
        scaled, list(normalisation.mean), list(normalisation.std)
    )
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_batch_lies_in_memory_channels_last() -> None:
    source = PixelSource(random_images(2, 8, 8), PIXELS, AugmentationConfig(), torch.device("cpu"))
    batch = source.batch(one_step([0, 1], [0, 0], [0, 0], [False] * 2, [0.0] * 2))
    assert batch.is_contiguous(memory_format=torch.channels_last)


EVERY_POLICY = AugmentationConfig(
    resized_crop=24,
    flip=True,
    colour_jitter=0.4,
    auto_augment=True,
    rand_augment=RandAugmentConfig(operations=2),
)


def every_policy_drawn() -> Draws:
    """One step of `EVERY_POLICY` on six images of 32x32."""
    (drawn,) = EpochDraws(
        TrainingConfig(batch_size=6, augmentation=EVERY_POLICY),
        None,
        np.arange(6, dtype=np.int32),
        np.zeros(6, np.int64),
        height=32,
        width=32,
        seed=0,
        epoch=0,
    )
    return drawn


def test_a_batch_undergoes_what_was_drawn_for_its_images() -> None:
    images, flips = random_images(6, 32, 32), [True, False] * 3
    drawn = every_policy_drawn()
    drawn = replace(drawn, flip_sb=torch.tensor([flips]))
    batch = PixelSource(images, PIXELS, EVERY_POLICY, torch.device("cpu")).batch(drawn)
    assert batch.shape == (6, 3, 24, 24)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    crops = resized_boxes(
        images.images_nhwd[drawn.order_sb[0]], drawn.box_sb4[0], 24, torch.tensor(flips)
    )
    expected = apply_operations(
        crops, drawn.operation_sbl[0], drawn.magnitude_sbl[0], EVERY_POLICY.all_policies()
    )
    assert torch.equal(batch.permute(0, 2, 3, 1).round().to(torch.uint8), expected)


def test_no_flip_is_taken_where_none_is_configured() -> None:
    images = random_images(2, 8, 8)
    augmentation = AugmentationConfig(resized_crop=8)
    drawn = one_step([0, 1], [0, 0], [0, 0], [True, True], [0.0, 0.0])
    whole = torch.tensor([[[0.0, 0.0, 8.0, 8.0]] * 2])
    source = PixelSource(images, PIXELS, augmentation, torch.device("cpu"))
    batch = source.batch(replace(drawn, box_sb4=whole)).permute(0, 2, 3, 1)
    assert torch.equal(batch.round().to(torch.uint8), images.images_nhwd)


def test_augmentation_looks_at_the_values_of_no_tensor() -> None:
    """Fake tensors have no values: a host sync or a data-dependent shape raises."""
    drawn = every_policy_drawn()
    source = PixelSource(random_images(6, 32, 32), PIXELS, EVERY_POLICY, torch.device("cpu"))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = Draws(*(mode.from_tensor(tensor) for tensor in drawn.tensors()))
        assert source.batch(fake).shape == (6, 3, 24, 24)


def test_colours_of_images_without_colours_cannot_be_changed() -> None:
    pixels = torch.zeros(2, 8, 8, 4, dtype=torch.uint8)
    images = ImageSet(pixels, torch.zeros(2, dtype=torch.int64))
    four = Normalisation((0.5,) * 4, (0.5,) * 4)
    with pytest.raises(DataError, match="these have 4: switch colour_jitter"):
        PixelSource(images, four, AugmentationConfig(auto_augment=True), torch.device("cpu"))
