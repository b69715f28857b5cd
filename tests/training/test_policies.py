"""AutoAugment, RandAugment, colour jitter and cutout: what is drawn, and that images undergo it."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import AutoAugment as TorchvisionAutoAugment
from torchvision.transforms import AutoAugmentPolicy

from balpoe.config import AugmentationConfig, RandAugmentConfig
from balpoe.config.augmentation import DrawnOperations, Kernel, Operations, Policy
from balpoe.training.augmentation.colour_operations import blend
from balpoe.training.augmentation.operations import GEOMETRIC, Operation
from balpoe.training.augmentation.pixel_source import apply_operations
from balpoe.training.draws import draw_operations
from balpoe.training.policies.auto_augment import SUB_POLICIES, AutoAugment, magnitude
from balpoe.training.policies.colour_jitter import JITTERED, ColourJitter
from balpoe.training.policies.cutout import CUTOUT, Cutout
from balpoe.training.policies.rand_augment import MAGNITUDES, RandAugment
from balpoe.training.streams import policy_streams, random_stream

TORCHVISION_NAMES = {
    "ShearX": Operation.SHEAR_X,
    "ShearY": Operation.SHEAR_Y,
    "TranslateX": Operation.TRANSLATE_X,
    "TranslateY": Operation.TRANSLATE_Y,
    "Rotate": Operation.ROTATE,
    "Brightness": Operation.BRIGHTNESS,
    "Color": Operation.COLOUR,
    "Contrast": Operation.CONTRAST,
    "Sharpness": Operation.SHARPNESS,
    "Posterize": Operation.POSTERISE,
    "Solarize": Operation.SOLARISE,
    "AutoContrast": Operation.AUTO_CONTRAST,
    "Equalize": Operation.EQUALISE,
    "Invert": Operation.INVERT,
}
MANY = 200_000
RELEASED = RandAugment(operations=2, magnitude=10, magnitude_sd=0.5, probability=0.5)


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_sub_policies_are_torchvisions() -> None:
    theirs = TorchvisionAutoAugment(AutoAugmentPolicy.CIFAR10).policies
    assert [
        tuple((TORCHVISION_NAMES[name], chance, step or 0) for name, chance, step in pair)
        for pair in theirs
    ] == list(SUB_POLICIES)


@pytest.mark.parametrize("name", sorted(TORCHVISION_NAMES.keys() - {"ShearX"}))
@pytest.mark.parametrize("step", range(10))
def test_a_step_means_what_it_means_in_torchvision(name: str, step: int) -> None:
    pixels = 32
    space = TorchvisionAutoAugment(AutoAugmentPolicy.CIFAR10)._augmentation_space(
        10, (pixels, pixels)
    )
    theirs, signed = space[name]
    operation = TORCHVISION_NAMES[name]
    for sign in (-1, 1):
        expected = float(theirs[step] if theirs.ndim else theirs) * (sign if signed else 1)
        unit = pixels if name.startswith("Translate") else 1
        assert unit * magnitude(operation, step, sign) == pytest.approx(expected, rel=1e-6)


class GivenAutoAugment(TorchvisionAutoAugment):  # type: ignore[misc]  # it has no types
    """torchvision's AutoAugment with a given pair of operations, both of which happen."""

    def __init__(self, pair: int, positive: tuple[bool, ...]) -> None:
        super().__init__(AutoAugmentPolicy.CIFAR10, fill=[0.0] * 3)
        self._given = pair, torch.zeros(2), torch.tensor(positive, dtype=torch.int64)

    def get_params(self, _: int) -> tuple[int, Tensor, Tensor]:
        return self._given


@pytest.mark.parametrize("pair", range(len(SUB_POLICIES)))
def test_images_undergo_a_pair_of_operations_as_in_torchvision(pair: int) -> None:
    images = torch.randint(
        20, 230, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(pair)
    )
    directions = list(itertools.product((False, True), repeat=2))
    operation_bl = torch.tensor([[int(step[0]) for step in SUB_POLICIES[pair]]] * 4)
    magnitude_bl = torch.tensor(
        [
            [
                magnitude(operation, step, 1 if positive else -1)
                for (operation, _, step), positive in zip(SUB_POLICIES[pair], signs, strict=True)
            ]
            for signs in directions
        ]
    )
    changed = apply_operations(images, operation_bl, magnitude_bl, [AutoAugment()])
    expected = torch.stack(
        [
            GivenAutoAugment(pair, signs)(image.permute(2, 0, 1)).permute(1, 2, 0)
            for image, signs in zip(images, directions, strict=True)
        ]
    )
    assert torch.equal(changed, expected)


def test_auto_augment_chooses_each_pair_as_often_and_its_operations_as_likely_as_given() -> None:
    drawn = AutoAugment().draw(MANY, generator())
    counts = Counter(map(tuple, drawn.operation_nl.tolist()))
    expected: defaultdict[tuple[int, int], float] = defaultdict(float)
    for (first, p, _), (second, q, _) in SUB_POLICIES:
        for happens in itertools.product((True, False), repeat=2):
            pair = (int(first) if happens[0] else 0, int(second) if happens[1] else 0)
            expected[pair] += (p if happens[0] else 1 - p) * (q if happens[1] else 1 - q) / 25
    for pair in expected.keys() | counts.keys():
        share = expected[pair]
        sd = (share * (1 - share) / MANY) ** 0.5
        assert abs(counts[pair] / MANY - share) <= 5 * sd, pair


def test_auto_augment_moves_and_blends_either_way_equally_often() -> None:
    drawn = AutoAugment().draw(MANY, generator())
    moved = drawn.operation_nl == Operation.TRANSLATE_Y
    assert (drawn.magnitude_nl[moved] > 0).mean() == pytest.approx(0.5, abs=0.01)
    brightened = drawn.operation_nl == Operation.BRIGHTNESS
    assert (drawn.magnitude_nl[brightened] > 0).mean() == pytest.approx(0.5, abs=0.02)


def test_rand_augment_chooses_every_operation_equally_often_and_half_of_them_happen() -> None:
    drawn = RELEASED.draw(MANY, generator())
    assert drawn.operation_nl.shape == (MANY, 2)
    shares = np.bincount(drawn.operation_nl.ravel(), minlength=len(Operation)) / (2 * MANY)
    assert shares[Operation.IDENTITY] == pytest.approx(0.5, abs=0.005)
    assert shares[1:] == pytest.approx(0.5 / 15, abs=0.002)
    first, second = (drawn.operation_nl == Operation.IDENTITY).T
    assert (first & second).mean() == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(
    ("operation", "at_least", "at_most"),
    [
        (Operation.ROTATE, 20, 30),
        (Operation.POSTERISE, 3, 4),
        (Operation.SOLARISE, 200, 256),
        (Operation.SOLARISE_ADD, 85, 110),
        (Operation.COLOUR, 0.5, 0.9),
        (Operation.SHEAR_X, 0.2, 0.3),
        (Operation.TRANSLATE_Y, 0.35, 0.45),
    ],
)
def test_magnitudes_of_rand_augment_vary_around_the_given_one(
    operation: Operation, at_least: float, at_most: float
) -> None:
    drawn = RELEASED.draw(MANY, generator())
    sizes = drawn.magnitude_nl[drawn.operation_nl == operation]
    if operation in GEOMETRIC:
        assert (sizes > 0).mean() == pytest.approx(0.5, abs=0.02)
        sizes = abs(sizes)
    assert at_least <= sizes.min() < sizes.max() == np.float32(at_most)
    # half of the levels are drawn above 10 and cut to it
    assert (sizes == np.float32(at_most)).mean() == pytest.approx(0.5, abs=0.02)


def test_without_spread_every_magnitude_is_the_given_one() -> None:
    policy = RandAugment(operations=1, magnitude=5, magnitude_sd=0, probability=1)
    drawn = policy.draw(3000, generator())
    for operation, of_level in MAGNITUDES.items():
        sizes = abs(drawn.magnitude_nl[drawn.operation_nl == operation])
        assert np.unique(sizes).tolist() == [abs(np.float32(of_level(np.array(5.0))))]


def test_colour_jitter_draws_all_orders_and_factors_equally_often() -> None:
    drawn = ColourJitter(strength=0.4).draw(60_000, generator())
    orders = Counter(map(tuple, drawn.operation_nl.tolist()))
    assert set(orders) == set(itertools.permutations(map(int, JITTERED)))
    assert all(abs(count / 60_000 - 1 / 6) < 0.01 for count in orders.values())
    assert drawn.magnitude_nl.min() == pytest.approx(-0.4, abs=0.001)
    assert drawn.magnitude_nl.max() == pytest.approx(0.4, abs=0.001)
    assert drawn.magnitude_nl.var() == pytest.approx(0.8**2 / 12, rel=0.02)


def cut(images: Tensor, policy: Cutout, drawn: DrawnOperations) -> Tensor:
    operations = torch.from_numpy(drawn.operation_nl), torch.from_numpy(drawn.magnitude_nl)
    return apply_operations(images, *operations, [policy])


@pytest.mark.parametrize("length", [2, 5, 16, 40])
def test_cutout_blackens_the_square_of_the_released_code_around_every_pixel(length: int) -> None:
    height, width = 8, 16
    pixels = height * width
    images = torch.full((pixels, height, width, 3), 7, dtype=torch.uint8)
    place_n1 = np.arange(pixels)[:, None] * (2**24 // pixels)  # one draw for each pixel
    drawn = DrawnOperations(np.full((pixels, 1), CUTOUT, np.int32), place_n1.astype(np.float32))
    expected = np.full((pixels, height, width, 3), 7, np.uint8)
    for image, (y, x) in enumerate(itertools.product(range(height), range(width))):
        first_row, last_row = np.clip([y - length // 2, y + length // 2], 0, height)
        first_column, last_column = np.clip([x - length // 2, x + length // 2], 0, width)
        expected[image, first_row:last_row, first_column:last_column] = 0
    assert np.array_equal(cut(images, Cutout(length=length), drawn).numpy(), expected)
    assert (images == 7).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (7, 5)])
def test_cutout_chooses_every_pixel_as_the_centre_equally_often(height: int, width: int) -> None:
    many = 200 * height * width
    drawn = Cutout().draw(many, generator())
    assert drawn.magnitude_nl.astype(np.int64).max() < 2**24
    images = torch.ones((many, height, width, 1), dtype=torch.uint8)
    # a hole of two pixels begins above and to the left of its centre
    black_hw = (cut(images, Cutout(length=2), drawn) == 0).sum(dim=(0, 3)).numpy()
    share = black_hw[:-1, :-1] * height * width / (4 * many)
    assert share == pytest.approx(1, abs=5 / (4 * 200) ** 0.5)
    assert black_hw[-1, -1] == pytest.approx(200, abs=5 * 200**0.5)


def test_cutout_makes_independent_holes_and_leaves_images_without_the_operation() -> None:
    images = torch.full((500, 32, 32, 3), 9, dtype=torch.uint8)
    policy = Cutout(holes=2, length=4)
    drawn = policy.draw(500, generator())
    assert abs(statistics.correlation(*drawn.magnitude_nl.T.tolist())) < 0.2
    drawn.operation_nl[0] = Operation.IDENTITY
    changed = cut(images, policy, drawn)
    assert torch.equal(changed[0], images[0])
    black_n = (changed == 0).all(dim=3).sum(dim=(1, 2))
    assert black_n.max() == 2 * 4 * 4
    assert black_n[1:].min() > 0


ALL_POLICIES: list[Policy] = [AutoAugment(), RELEASED, ColourJitter(strength=0.4), Cutout(holes=2)]


@pytest.mark.parametrize("policy", ALL_POLICIES, ids=lambda policy: type(policy).__name__)
def test_a_policy_draws_only_what_it_calls_possible(policy: Policy) -> None:
    drawn = policy.draw(20_000, generator())
    assert drawn.operation_nl.dtype == np.int32
    assert drawn.magnitude_nl.dtype == np.float32
    assert drawn.operation_nl.shape == drawn.magnitude_nl.shape == (20_000, len(policy.possible))
    for place, possible in enumerate(policy.possible):
        seen = set(drawn.operation_nl[:, place].tolist()) - {Operation.IDENTITY}
        assert seen == possible


@pytest.mark.parametrize("policy", ALL_POLICIES, ids=lambda policy: type(policy).__name__)
def test_a_policy_draws_the_same_from_the_same_stream(policy: Policy) -> None:
    first, again = policy.draw(50, generator()), policy.draw(50, generator())
    assert np.array_equal(first.operation_nl, again.operation_nl)
    assert np.array_equal(first.magnitude_nl, again.magnitude_nl)


def test_operations_are_applied_one_after_the_other_in_their_order() -> None:
    images = torch.randint(
        0, 256, (6, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    drawn = ColourJitter(strength=0.4).draw(6, generator())
    operation_bl = torch.from_numpy(drawn.operation_nl)
    magnitude_bl = torch.from_numpy(drawn.magnitude_nl)
    expected = images
    for place in range(3):
        expected = blend(expected, operation_bl[:, place], magnitude_bl[:, place])
    changed = apply_operations(images, operation_bl, magnitude_bl, [ColourJitter(strength=0.4)])
    assert torch.equal(changed, expected)
    assert not torch.equal(changed, images)


def test_policies_draw_side_by_side_from_streams_of_their_own() -> None:
    config = AugmentationConfig(
        colour_jitter=0.4, auto_augment=True, rand_augment=RandAugmentConfig(operations=2)
    )
    policies = config.all_policies()
    assert [type(policy) for policy in policies] == [ColourJitter, AutoAugment, RandAugment]
    assert policies[2] == RELEASED
    drawn = draw_operations(policies, 30, policy_streams(0, [each.name for each in policies], 0))
    assert drawn.operation_nl.shape == (30, 3 + 2 + 2)
    alone = AutoAugment().draw(30, *policy_streams(0, ["auto_augment"], 0))
    assert np.array_equal(drawn.operation_nl[:, 3:5], alone.operation_nl)
    assert np.array_equal(drawn.magnitude_nl[:, 3:5], alone.magnitude_nl)


def test_without_policies_nothing_is_drawn_and_nothing_changes() -> None:
    policies = AugmentationConfig().all_policies()
    drawn = draw_operations(policies, 4, [])
    assert drawn.operation_nl.shape == (4, 0)
    images = torch.zeros(4, 5, 5, 3, dtype=torch.uint8)
    empty = torch.from_numpy(drawn.operation_nl), torch.from_numpy(drawn.magnitude_nl)
    assert apply_operations(images, *empty, policies) is images


def test_policies_by_name_are_those_of_the_single_fields() -> None:
    fields = AugmentationConfig(
        colour_jitter=0.4, auto_augment=True, rand_augment=RandAugmentConfig(operations=2)
    )
    named = AugmentationConfig(policies=(ColourJitter(strength=0.4), AutoAugment(), RELEASED))
    assert named.all_policies() == fields.all_policies()


def test_a_stream_depends_on_the_name_and_the_occurrences_before() -> None:
    names = ["auto_augment", "mine", "auto_augment", "mine", "another"]
    drawn = [stream.random() for stream in policy_streams(0, names, 0)]
    assert len(set(drawn)) == len(names)
    assert drawn[0] == random_stream(0, 9, 0).random()
    assert [stream.random() for stream in policy_streams(0, names[1:2], 0)] == drawn[1:2]
    assert [stream.random() for stream in policy_streams(0, names[1:4], 0)] == [
        drawn[1], drawn[0], drawn[3],
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves(Policy):
    """A policy with an operation of its own, before one that it shares."""

    name: Literal["halves"] = "halves"

    @property
    def possible(self) -> tuple[Operations, ...]:
        return frozenset({100}), frozenset({Operation.INVERT})

    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        operation_n2 = np.array([[100, Operation.INVERT]] * images, np.int32)
        return DrawnOperations(operation_n2, np.full((images, 2), 2, np.float32))

    def kernels(self) -> tuple[tuple[Operations, Kernel], ...]:
        return ((frozenset({100}), self._divided),)

    def _divided(self, pixels_bhwd: Tensor, operation_b: Tensor, magnitude_b: Tensor) -> Tensor:
        divided = (pixels_bhwd / magnitude_b[:, None, None, None]).to(torch.uint8)
        return torch.where((operation_b == 100)[:, None, None, None], divided, pixels_bhwd)


def test_a_policy_may_bring_operations_of_its_own() -> None:
    images = torch.full((2, 4, 4, 3), 100, dtype=torch.uint8)
    drawn = Halves().draw(2, generator())
    operation_bl = torch.from_numpy(drawn.operation_nl)
    operation_bl[1, 0] = Operation.IDENTITY
    changed = apply_operations(
        images, operation_bl, torch.from_numpy(drawn.magnitude_nl), [Halves()]
    )
    assert (changed[0] == 255 - 50).all()
    assert (changed[1] == 255 - 100).all()
