from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from balpoe.config import AugmentationConfig, RandAugmentConfig, TrainingConfig
from balpoe.config.mixing import PartnerSampling
from balpoe.method.mixers.mixup import Mixup
from balpoe.method.mixers.unimix import UniMix
from balpoe.training.draws import Draws, EpochDraws, Mixing
from balpoe.training.orders import epoch_order
from balpoe.training.streams import Purpose, network_seed, random_stream

TRAINING = TrainingConfig(
    batch_size=32, augmentation=AugmentationConfig(crop_padding=4, flip=True, rotation_degrees=15)
)


PERMUTED = Mixing(Mixup(), 0.4)


def draw(
    training: TrainingConfig = TRAINING, *, seed: int = 0, epoch: int = 0
) -> tuple[Draws, ...]:
    return tuple(epoch_draws(training, 100, seed=seed, epoch=epoch))


def epoch_draws(
    training: TrainingConfig,
    images: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    mixing: Mixing | None = PERMUTED,
) -> EpochDraws:
    labels_n = np.arange(images) % 4
    order_n = epoch_order(labels_n, "image", 0.0, random_stream(seed, Purpose.ORDER, epoch))
    return EpochDraws(
        training, mixing, order_n, labels_n, height=32, width=32, seed=seed, epoch=epoch
    )


def test_an_epoch_visits_every_image_once_and_keeps_the_partial_batch() -> None:
    blocks = draw()
    assert [block.order_sb.shape for block in blocks] == [(3, 32), (1, 4)]
    visited = torch.cat([block.order_sb.flatten() for block in blocks])
    assert visited.sort().values.tolist() == list(range(100))


def test_each_batch_is_paired_by_a_permutation_of_itself() -> None:
    for block in draw():
        for partners in block.partner_sb:
            assert partners.sort().values.tolist() == list(range(block.batch_size))


def test_draws_stay_in_their_ranges() -> None:
    for block in draw():
        assert block.top_sb.min() >= 0
        assert block.top_sb.max() <= 8
        assert block.angle_sb.abs().max() <= 15
        assert ((block.mixing_s >= 0) & (block.mixing_s <= 1)).all()


def test_crops_flips_and_angles_have_the_intended_distribution() -> None:
    blocks = epoch_draws(TRAINING, 20_000, seed=3)
    tops = torch.cat([block.top_sb.flatten() for block in blocks]).bincount(minlength=9)
    assert (tops / 20_000 - 1 / 9).abs().max() < 0.01
    flips = torch.cat([block.flip_sb.flatten() for block in blocks]).double().mean()
    assert abs(float(flips) - 0.5) < 0.02
    angles = torch.cat([block.angle_sb.flatten() for block in blocks]).double()
    assert abs(float(angles.var()) - 15**2 / 3) < 2


def test_the_same_seed_and_epoch_draw_the_same() -> None:
    for ours, again in zip(draw(seed=1), draw(seed=1), strict=True):
        assert all(map(torch.equal, ours.tensors(), again.tensors()))


def test_seeds_and_epochs_draw_differently() -> None:
    first = draw()[0].order_sb
    assert not torch.equal(first, draw(seed=1)[0].order_sb)
    assert not torch.equal(first, draw(epoch=1)[0].order_sb)


def test_one_augmentation_leaves_the_draws_of_the_others_alone() -> None:
    without_rotation = replace(
        TRAINING, augmentation=replace(TRAINING.augmentation, rotation_degrees=0.0)
    )
    for ours, theirs in zip(draw(), draw(without_rotation), strict=True):
        assert torch.equal(ours.order_sb, theirs.order_sb)
        assert torch.equal(ours.left_sb, theirs.left_sb)
        assert torch.equal(ours.mixing_s, theirs.mixing_s)
        assert theirs.angle_sb.abs().max() == 0


def test_policies_and_resized_crops_leave_the_draws_of_the_others_alone() -> None:
    augmentation = replace(
        TRAINING.augmentation,
        crop_padding=0,
        rotation_degrees=0.0,
        resized_crop=24,
        colour_jitter=0.4,
        auto_augment=True,
        rand_augment=RandAugmentConfig(operations=2),
    )
    for ours, theirs in zip(
        draw(), draw(replace(TRAINING, augmentation=augmentation)), strict=True
    ):
        assert torch.equal(ours.order_sb, theirs.order_sb)
        assert torch.equal(ours.flip_sb, theirs.flip_sb)
        assert torch.equal(ours.mixing_s, theirs.mixing_s)
        assert ours.operation_sbl.shape == (*ours.order_sb.shape, 0)
        assert ours.box_sb4.shape == (*ours.order_sb.shape, 0)
        assert theirs.operation_sbl.shape == (*ours.order_sb.shape, 3 + 2 + 2)
        assert theirs.box_sb4.shape == (*ours.order_sb.shape, 4)


def test_network_seeds_differ_and_the_first_is_the_ensembles_own() -> None:
    seeds = [network_seed(seed, network) for seed in range(50) for network in range(7)]
    assert seeds[0::7] == list(range(50))
    assert len(np.unique(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_an_epoch_of_many_images_is_drawn_in_blocks_and_visits_them_in_the_same_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = draw()
    monkeypatch.setattr("balpoe.training.draws._IMAGES_AT_ONCE", 70)
    drawn = epoch_draws(TRAINING, 100)
    blocks = tuple(drawn)
    assert [block.order_sb.shape for block in blocks] == [(2, 32), (1, 32), (1, 4)]
    assert drawn.order_n.tolist() == flattened(blocks, "order_sb")
    for name in ("order_sb", "flip_sb", "angle_sb", "partner_sb"):  # drawn one after the other
        assert flattened(blocks, name) == flattened(whole, name)
    assert torch.equal(
        torch.cat([block.mixing_s for block in blocks]),
        torch.cat([block.mixing_s for block in whole]),
    )
    tops = flattened(blocks, "top_sb")
    assert set(tops) <= set(range(9))
    assert tops != flattened(whole, "top_sb")
    for ours, again in zip(blocks, drawn, strict=True):
        assert all(map(torch.equal, ours.tensors(), again.tensors()))


def flattened(blocks: tuple[Draws, ...], name: str) -> list[float]:
    return [value for block in blocks for value in getattr(block, name).flatten().tolist()]


BY_CLASS = Mixing(UniMix(partners="batch"), 0.8, PartnerSampling((0.0, 1.0, 0.0, 3.0), False))


def test_partners_by_class_are_drawn_within_their_batch() -> None:
    blocks = tuple(epoch_draws(TRAINING, 4000, mixing=BY_CLASS))
    assert [block.partner_sb.shape for block in blocks] == [(125, 32)]
    assert [block.mixing_s.shape for block in blocks] == [(125, 32)]
    for order_b, partner_b in zip(blocks[0].order_sb, blocks[0].partner_sb, strict=True):
        assert set((order_b[partner_b] % 4).tolist()) <= {1, 3}
    labels = (blocks[0].order_sb.gather(1, blocks[0].partner_sb) % 4).flatten()
    assert float((labels == 3).double().mean()) == pytest.approx(0.75, abs=0.03)


def test_partners_by_class_leave_the_other_draws_alone() -> None:
    for ours, theirs in zip(draw(), epoch_draws(TRAINING, 100, mixing=BY_CLASS), strict=True):
        for name in ("order_sb", "top_sb", "flip_sb", "angle_sb"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))
        assert not torch.equal(ours.partner_sb, theirs.partner_sb)


def test_without_mixing_the_images_of_an_epoch_are_the_same() -> None:
    for ours, theirs in zip(draw(), epoch_draws(TRAINING, 100, mixing=None), strict=True):
        assert (theirs.mixing_s == 0).all()
        for name in ("order_sb", "partner_sb", "top_sb", "flip_sb", "angle_sb"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_partners_by_class_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tuple(epoch_draws(TRAINING, 100, mixing=BY_CLASS))
    monkeypatch.setattr("balpoe.training.draws._IMAGES_AT_ONCE", 70)
    blocks = tuple(epoch_draws(TRAINING, 100, mixing=BY_CLASS))
    assert len(blocks) > len(whole)
    for name in ("order_sb", "partner_sb"):
        assert flattened(blocks, name) == flattened(whole, name)
    assert torch.equal(
        torch.cat([block.mixing_s for block in blocks]),
        torch.cat([block.mixing_s for block in whole]),
    )
