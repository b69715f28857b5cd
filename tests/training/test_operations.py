"""Every operation of the augmentation policies against torchvision."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision_functional

from balpoe.training.augmentation.colour_operations import blend, look_up
from balpoe.training.augmentation.geometric_operations import move
from balpoe.training.augmentation.operations import BLENDS, GEOMETRIC, TABLES, Operation

Oracle = Callable[[Tensor, float], Tensor]


def by_factor(adjust: Oracle) -> Oracle:
    return lambda image, excess: adjust(image, 1 + excess)


COLOUR_ORACLES: dict[Operation, Oracle] = {
    Operation.BRIGHTNESS: by_factor(torchvision_functional.adjust_brightness),
    Operation.COLOUR: by_factor(torchvision_functional.adjust_saturation),
    Operation.CONTRAST: by_factor(torchvision_functional.adjust_contrast),
    Operation.SHARPNESS: by_factor(torchvision_functional.adjust_sharpness),
    Operation.POSTERISE: lambda image, bits: torchvision_functional.posterize(image, int(bits)),
    Operation.SOLARISE: torchvision_functional.solarize,
    Operation.AUTO_CONTRAST: lambda image, _: torchvision_functional.autocontrast(image),
    Operation.EQUALISE: lambda image, _: torchvision_functional.equalize(image),
    Operation.INVERT: lambda image, _: torchvision_functional.invert(image),
}

RANGES: dict[Operation, tuple[float, float]] = {
    Operation.SHEAR_X: (-0.3, 0.3),
    Operation.SHEAR_Y: (-0.3, 0.3),
    Operation.TRANSLATE_X: (-0.45, 0.45),
    Operation.TRANSLATE_Y: (-0.45, 0.45),
    Operation.ROTATE: (-30, 30),
    Operation.BRIGHTNESS: (-1, 1),
    Operation.COLOUR: (-1, 1),
    Operation.CONTRAST: (-1, 1),
    Operation.SHARPNESS: (-1, 1),
    Operation.POSTERISE: (0, 8),
    Operation.SOLARISE: (0, 255),
    Operation.SOLARISE_ADD: (0, 110),
    Operation.AUTO_CONTRAST: (0, 0),
    Operation.EQUALISE: (0, 0),
    Operation.INVERT: (0, 0),
}


def image_like(kind: str, height: int, width: int, channels: int, seed: int) -> Tensor:
    """Pixels [H, W, D] of several statistics: those of photographs are narrow and smooth."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(height, width, channels, generator=generator)
    if kind == "flat":
        return torch.full((height, width, channels), int(255 * noise[0, 0, 0]), dtype=torch.uint8)
    if kind == "narrow":
        return (90 + 40 * noise).to(torch.uint8)
    if kind == "two levels":
        return torch.where(noise < 0.3, 7, 250).to(torch.uint8)
    return (255 * noise).round().to(torch.uint8)


def oracle(operation: Operation, image_hwd: Tensor, magnitude: float) -> Tensor:
    result: Tensor = COLOUR_ORACLES[operation](image_hwd.permute(2, 0, 1), magnitude)
    return result.permute(1, 2, 0)


def applied(images: Tensor, operations: list[Operation], magnitudes: Tensor) -> Tensor:
    """All three forms in turn: each leaves the operations of the others alone."""
    operation_b = torch.tensor([int(operation) for operation in operations], dtype=torch.int32)
    for form in (move, blend, look_up):
        images = form(images, operation_b, magnitudes)
    return images


@settings(max_examples=60, deadline=None)
@given(
    kinds=st.lists(
        st.sampled_from(["noise", "flat", "narrow", "two levels"]), min_size=1, max_size=4
    ),
    height=st.integers(1, 34),
    width=st.integers(1, 34),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_colours_change_as_in_torchvision_to_the_last_bit(
    kinds: list[str], height: int, width: int, channels: int, seed: int, data: st.DataObject
) -> None:
    images = torch.stack(
        [
            image_like(kind, height, width, channels, seed + position)
            for position, kind in enumerate(kinds)
        ]
    )
    operations = [data.draw(st.sampled_from(sorted(COLOUR_ORACLES))) for _ in kinds]
    magnitudes = torch.tensor(
        [data.draw(st.floats(*RANGES[operation], width=32)) for operation in operations]
    )
    changed = applied(images, operations, magnitudes)
    for position, operation in enumerate(operations):
        expected = oracle(operation, images[position], float(magnitudes[position]))
        assert torch.equal(changed[position], expected), operation.name


@pytest.mark.parametrize("operation", sorted(COLOUR_ORACLES))
def test_large_images_change_as_in_torchvision(operation: Operation) -> None:
    low, high = RANGES[operation]
    images = torch.stack(
        [image_like(kind, 224, 224, 3, 5) for kind in ("noise", "narrow", "two levels")]
    )
    magnitudes = torch.linspace(low, high, 5)[1:4]
    changed = applied(images, [operation] * 3, magnitudes)
    for position in range(3):
        expected = oracle(operation, images[position], float(magnitudes[position]))
        assert torch.equal(changed[position], expected)


def test_solarise_add_lifts_the_levels_below_128_only() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)
    added = applied(levels, [Operation.SOLARISE_ADD], torch.tensor([90.7])).flatten().tolist()
    assert added == [min(255, level + 90) for level in range(128)] + list(range(128, 256))


def torchvision_moved(operation: Operation, image_hwd: Tensor, magnitude: float) -> Tensor:
    """The calls that torchvision's AutoAugment makes."""
    image, (height, width, _) = image_hwd.permute(2, 0, 1), image_hwd.shape
    nearest = InterpolationMode.NEAREST
    degrees = math.degrees(math.atan(magnitude))
    if operation is Operation.ROTATE:
        moved = torchvision_functional.rotate(image, magnitude, nearest, fill=[0.0])
    elif operation in (Operation.SHEAR_X, Operation.SHEAR_Y):
        shear = [degrees, 0.0] if operation is Operation.SHEAR_X else [0.0, degrees]
        moved = torchvision_functional.affine(
            image, 0.0, [0, 0], 1.0, shear, nearest, fill=[0.0], center=[0, 0]
        )
    else:
        x = int(magnitude * width) if operation is Operation.TRANSLATE_X else 0
        y = int(magnitude * height) if operation is Operation.TRANSLATE_Y else 0
        moved = torchvision_functional.affine(
            image, 0.0, [x, y], 1.0, [0.0, 0.0], nearest, fill=[0.0]
        )
    result: Tensor = moved.permute(1, 2, 0)
    return result


@pytest.mark.parametrize("operation", sorted(GEOMETRIC))
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 17)])
def test_pixels_move_as_in_torchvision(operation: Operation, height: int, width: int) -> None:
    low, high = RANGES[operation]
    images = torch.stack([image_like("noise", height, width, 3, seed) for seed in range(60)])
    magnitudes = torch.linspace(low, high, 60)
    moved = applied(images, [operation] * 60, magnitudes)
    expected = torch.stack(
        [
            torchvision_moved(operation, image, float(magnitude))
            for image, magnitude in zip(images, magnitudes, strict=True)
        ]
    )
    differing = (moved != expected).any(dim=3).double().mean().item()
    translated = operation in (Operation.TRANSLATE_X, Operation.TRANSLATE_Y)
    assert differing == 0 if translated else differing < 0.001


def test_what_moves_in_from_outside_is_black() -> None:
    white = torch.full((1, 8, 8, 3), 255, dtype=torch.uint8)
    moved = applied(white, [Operation.TRANSLATE_X], torch.tensor([0.25]))
    assert moved[0, :, :2].eq(0).all()
    assert moved[0, :, 2:].eq(255).all()


def test_the_forms_divide_the_operations_among_themselves() -> None:
    assert {Operation.IDENTITY, *GEOMETRIC, *BLENDS, *TABLES} == set(Operation)
    assert len(GEOMETRIC) + len(BLENDS) + len(TABLES) == len(Operation) - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_without_an_operation_keeps_every_bit(channels: int) -> None:
    images = torch.stack([image_like("noise", 9, 7, channels, seed) for seed in range(4)])
    magnitudes = torch.tensor([0.0, 0.5, -3.0, 200.0])
    assert torch.equal(applied(images, [Operation.IDENTITY] * 4, magnitudes), images)


def test_an_image_does_not_depend_on_what_lies_beside_it_in_the_batch() -> None:
    operations = sorted(Operation)
    images = torch.stack([image_like("narrow", 12, 10, 3, seed) for seed in operations])
    magnitudes = torch.tensor([sum(RANGES.get(o, (0, 0))) / 2 + 0.1 for o in operations])
    together = applied(images, operations, magnitudes)
    alone = [
        applied(images[i : i + 1], [operation], magnitudes[i : i + 1])
        for i, operation in enumerate(operations)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_no_operation_looks_at_the_values_of_tensors() -> None:
    """Fake tensors have no values: a host sync or a data-dependent shape raises."""
    with FakeTensorMode():
        images = torch.empty(5, 16, 12, 3, dtype=torch.uint8)
        operation_b = torch.empty(5, dtype=torch.int32)
        magnitude_b = torch.empty(5)
        for form in (move, blend, look_up):
            changed = form(images, operation_b, magnitude_b)
            assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
