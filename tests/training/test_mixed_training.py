"""Trainings with each mixer, with sampled classes and with deferred class weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ReweightingConfig,
    Sharing,
)
from balpoe.config.configuration import ClassSampling
from balpoe.config.loss import Criterion
from balpoe.config.mixing import MIXERS, Mixed, Mixer, Pairs, PartnerSampling
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.splits import DataDescription, Images, ImageSet
from balpoe.errors import UserError
from balpoe.method.mixers.manifold_mixup import ManifoldMixup
from balpoe.method.mixers.none import NoMixing
from balpoe.training.augmentation.pixel_source import PixelSource
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.learner import Batch, Learner, Stepper
from balpoe.training.optimisation import Optimisation, initial_experts
from balpoe.training.stages import Stage
from balpoe.training.training import Training

CPU = torch.device("cpu")
RATE = 0.05
every_mixer = pytest.mark.parametrize("name", list(MIXERS.entries))
Optimise = Callable[..., Optimisation]


@pytest.fixture
def optimise(
    configuration: Configuration, train: ImageSet, description: DataDescription
) -> Optimise:
    """Begin a training whose epochs the test runs itself."""

    def begin(
        *, images: Images = train, description: DataDescription = description, **sections: Any
    ) -> Optimisation:
        chosen = replace(configuration, **sections)
        experts = initial_experts(chosen, description, 5)
        return Optimisation(Stage(chosen), experts, images, description, seed=5, device=CPU)

    return begin


def state_of(optimisation: Optimisation) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in optimisation.tensors().items()}


def same_bits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def after(optimisation: Optimisation, *epochs: int) -> dict[str, Tensor]:
    for epoch in epochs:
        optimisation.run_epoch(epoch, RATE)
    return state_of(optimisation)


def continued(
    optimisation: Optimisation, state: Mapping[str, Tensor], *epochs: int
) -> dict[str, Tensor]:
    optimisation.load(state)
    return after(optimisation, *epochs)


def assert_resumes_with_the_same_bits(
    configuration: Configuration, train: ImageSet, description: DataDescription, path: Path
) -> None:
    def start(checkpoints: Path | None) -> Training:
        return Training(
            configuration,
            train=train,
            description=description,
            seed=1,
            device=CPU,
            checkpoints=CheckpointDirectory(checkpoints) if checkpoints else None,
        )

    interrupted = start(path)
    next(interrupted.fit())
    interrupted.save_checkpoint()
    resumed, whole = start(path), start(None)
    assert len(resumed.history) == 1
    for training in (resumed, whole):
        list(training.fit())
    assert same_bits(resumed.experts.state_dict(), whole.experts.state_dict())
    assert [result.metrics["train/loss"] for result in resumed.history] == [
        result.metrics["train/loss"] for result in whole.history
    ]


@every_mixer
def test_a_training_with_each_mixer_resumes_with_the_same_bits(
    name: str,
    configuration: Configuration,
    train: ImageSet,
    description: DataDescription,
    tmp_path: Path,
) -> None:
    mixed = replace(
        configuration,
        mixing=MIXERS[name](),
        mixup=MixupConfig(alpha=0.8, until=0.75),
        training=replace(configuration.training, class_sampling="progressive"),
    )
    assert_resumes_with_the_same_bits(mixed, train, description, tmp_path)


@every_mixer
def test_mixing_changes_a_training_and_its_end_leaves_one_without_mixing(
    name: str, optimise: Optimise
) -> None:
    mixing = MIXERS[name]()
    begun = optimise(mixing=mixing, mixup=MixupConfig(alpha=0.8, until=0.5))
    half = after(begun, 0, 1)
    plain = MixupConfig(alpha=0.0)
    assert same_bits(half, after(optimise(mixup=plain), 0, 1)) == (not mixing.mixes)
    assert same_bits(after(begun, 2, 3), continued(optimise(mixup=plain), half, 2, 3))
    still_mixing = optimise(mixing=mixing, mixup=MixupConfig(alpha=0.8))
    assert same_bits(state_of(begun), continued(still_mixing, half, 2, 3)) == (not mixing.mixes)


def test_no_mixing_draws_and_gathers_nothing(
    optimise: Optimise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    for method in ("draw", "mix", "partner_sampling"):
        monkeypatch.setattr(NoMixing, method, refuse)
    monkeypatch.setattr(Batch, "of", refuse)
    mixes = optimise(mixing=NoMixing(), mixup=MixupConfig(alpha=0.8))
    assert len(mixes._feed.sources) == 1
    after(mixes, 0)


@pytest.mark.parametrize("sharing", ["shared", "independent"])
@pytest.mark.parametrize("name", ["unimix", "cmo"])
def test_partners_from_the_whole_set_are_the_same_in_memory_and_on_a_stream(
    name: str,
    sharing: Sharing,
    optimise: Optimise,
    train: ImageSet,
    streamed: Callable[..., StreamedImages],
) -> None:
    chosen: dict[str, Any] = {
        "mixing": MIXERS[name](),
        "mixup": MixupConfig(alpha=0.8, until=0.5),
        "experts": ExpertsConfig(count=2, sharing=sharing),
    }
    in_memory, on_stream = optimise(**chosen), optimise(images=streamed(train), **chosen)
    assert len(on_stream._feed.sources) == (2 if sharing == "shared" else 4)
    assert same_bits(after(in_memory, 0, 1, 2), after(on_stream, 0, 1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Mixer):
    """Mixes nothing; the test sees its arguments."""

    seen: ClassVar[list[tuple[Tensor, Tensor, Pairs]]] = []

    name: Literal["observed"] = "observed"
    whole_set: bool = True

    def draw(
        self, alpha: float, steps: int, batch_size: int, generator: np.random.Generator
    ) -> Tensor:
        return torch.ones(steps)

    def mix(
        self, images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor, pairs: Pairs
    ) -> Mixed:
        self.seen.append((images_bdhw, partner_images_bdhw, pairs))
        return Mixed(images_bdhw, drawn)

    def partner_sampling(self, class_counts: Any) -> PartnerSampling:
        weights = tuple(float(y == 2) for y in range(len(class_counts)))
        return PartnerSampling(weights, whole_set=self.whole_set)


@pytest.mark.parametrize("whole_set", [True, False])
def test_a_mixer_sees_the_labels_of_its_pairs_and_their_images(
    whole_set: bool, optimise: Optimise, configuration: Configuration, describe: Any
) -> None:
    counts = (20, 20, 20)
    labels_n = torch.arange(3).repeat_interleave(20)
    pixels = (labels_n * 100).to(torch.uint8)[:, None, None, None].expand(-1, 8, 8, 1)
    Observed.seen.clear()
    optimisation = optimise(
        images=ImageSet(pixels.contiguous(), labels_n),
        description=describe(counts),
        mixing=Observed(whole_set=whole_set),
        mixup=MixupConfig(alpha=1.0),
        training=replace(configuration.training, batch_size=32, augmentation=AugmentationConfig()),
    )
    optimisation.run_epoch(0, RATE)
    assert [len(images) for images, _, _ in Observed.seen] == [32, 28]
    for images, partners, pairs in Observed.seen:
        for seen, labels_b in ((images, pairs.labels_b), (partners, pairs.partner_labels_b)):
            assert seen.is_contiguous(memory_format=torch.channels_last)
            expected = (labels_b * 100 / 255 - 0.5) / 0.25
            assert_close(seen.mean(dim=(1, 2, 3)), expected, rtol=0, atol=1e-5)
        assert (pairs.partner_labels_b == 2).all()
        assert pairs.class_counts_c.tolist() == list(counts)


def test_partners_from_the_whole_set_are_augmented_by_draws_of_their_own(
    optimise: Optimise, monkeypatch: pytest.MonkeyPatch
) -> None:
    flips: list[Tensor] = []
    batch = PixelSource.batch

    def remember(self: PixelSource, draws: Any) -> Tensor:
        flips.append(draws.flip_sb)
        return batch(self, draws)

    monkeypatch.setattr(PixelSource, "batch", remember)
    after(optimise(mixing=MIXERS["unimix"](), mixup=MixupConfig(alpha=0.8)), 0)
    own, partners = torch.cat(flips[::2], dim=1), torch.cat(flips[1::2], dim=1)
    assert own.shape == partners.shape == (1, 47)
    assert 0 < (own != partners).sum() < 47


@pytest.mark.parametrize("sampling", ["class_balanced", "square_root", "progressive"])
def test_classes_of_a_training_are_sampled(
    sampling: ClassSampling,
    configuration: Configuration,
    optimise: Optimise,
    train: ImageSet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels: list[Tensor] = []
    mixed = Learner.add_gradients

    def remember(self: Learner, batch: Batch, *arguments: Any, **options: Any) -> None:
        labels.append(batch.labels_b)
        mixed(self, batch, *arguments, **options)

    monkeypatch.setattr(Learner, "add_gradients", remember)
    training = replace(configuration.training, class_sampling=sampling)
    optimisation = optimise(training=training, mixup=MixupConfig())
    shares = []
    for epoch in range(training.epochs):
        labels.clear()
        optimisation.run_epoch(epoch, RATE)
        visited = torch.cat(labels)
        assert len(visited) == len(train)
        shares.append((visited.bincount(minlength=3) / len(train)).tolist())
    prior = np.array((30, 12, 5)) / 47
    root = np.sqrt(prior) / np.sqrt(prior).sum()
    last = {"class_balanced": 1 / 3, "square_root": root[2], "progressive": 1 / 3}[sampling]
    first = prior[2] if sampling == "progressive" else last
    deviation = np.sqrt(0.25 / 47)
    assert shares[0][2] == pytest.approx(first, abs=4 * deviation)
    assert shares[-1][2] == pytest.approx(last, abs=4 * deviation)


def test_class_weights_begin_at_their_epoch(optimise: Optimise) -> None:
    weights = ReweightingConfig(beta=0.9, start=0.5)
    deferred = optimise(reweighting=weights)
    half = after(deferred, 0, 1)
    never = optimise(reweighting=replace(weights, start=1.0))
    assert same_bits(half, after(never, 0, 1))
    end = after(deferred, 2, 3)
    assert not same_bits(end, after(never, 2, 3))
    always = optimise(reweighting=replace(weights, start=0.0))
    assert same_bits(end, continued(always, half, 2, 3))


def test_class_weights_resume_with_the_same_bits(
    configuration: Configuration, train: ImageSet, description: DataDescription, tmp_path: Path
) -> None:
    weighted = replace(configuration, reweighting=ReweightingConfig(beta=0.9, start=0.5))
    assert_resumes_with_the_same_bits(weighted, train, description, tmp_path)


def test_a_layer_to_mix_that_the_experts_do_not_share_is_refused(optimise: Optimise) -> None:
    mixing, strong = ManifoldMixup(layers=("input", "stage2")), MixupConfig(alpha=1.0)
    with pytest.raises(UserError, match=r"mixing\.layers: the experts do not share stage2"):
        optimise(mixing=mixing, mixup=strong)
    optimise(mixing=mixing, mixup=strong, experts=ExpertsConfig(count=2, owned_stages=1))


class SquaredError(Criterion):
    """Any loss of single images."""

    def per_image(self, expert: int, logits_bc: Tensor, labels_b: Tensor) -> Tensor:
        return (logits_bc - labels_b[:, None]).square().mean(dim=1) * (expert + 1)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_gradients_of_mixed_activations_are_those_of_layers_in_a_row(
    layer: int, configuration: Configuration, description: DataDescription
) -> None:
    first, second = (initial_experts(configuration, description, 3) for _ in range(2))
    network, other = (each.networks[0] for each in (first, second))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 1, 8, 8, generator=generator)
    labels_b, partner_b = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([3, 4, 0, 1, 2])
    drawn = torch.ones(3)
    drawn[layer] = 0.3
    mixer = ManifoldMixup(layers=("input", "stem", "stage1"))
    pairs = Pairs(labels_b, labels_b[partner_b], torch.ones(3))
    mixed = mixer.mix(images, images[partner_b], drawn, pairs)

    def mix(number: int, activations: Tensor) -> Tensor:
        return mixer.mix_activations(number, activations, partner_b, drawn)

    batch = Batch(mixed.images_bdhw, labels_b, labels_b[partner_b], mixed.xi, mix)
    Learner(network, SquaredError()).add_gradients(batch, torch.float32)

    activations = images
    for number, module in enumerate([torch.nn.Identity(), *other.shared.children()]):
        activations = module(activations)
        if number == layer:
            activations = 0.3 * activations + 0.7 * activations[partner_b]
    losses = []
    for e, expert in enumerate(other.experts):
        logits_bc = expert(activations)
        own_b, partner = (
            SquaredError().per_image(e, logits_bc, y_b) for y_b in (labels_b, labels_b[partner_b])
        )
        losses.append((0.3 * own_b + 0.7 * partner).mean())
    loss = torch.stack(losses).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for found, expected in zip(network.parameters(), other.parameters(), strict=True):
        assert found.grad is not None
        assert expected.grad is not None
        atol = 1e-5 * float(expected.grad.abs().max()) + 1e-5
        assert_close(found.grad, expected.grad, rtol=0, atol=atol)


def test_every_step_of_every_mixer_takes_its_row_of_the_draws(
    optimise: Optimise, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Tensor] = []
    mixed = Stepper._mixed

    def remember(self: Stepper, batch: Batch, partners: Batch, draws: Any, mixer: Mixer) -> Batch:
        rows.append(draws.mixing_s[0])
        return mixed(self, batch, partners, draws, mixer)

    monkeypatch.setattr(Stepper, "_mixed", remember)
    unimix = MIXERS["unimix"]()
    optimisation = optimise(mixing=unimix, mixup=MixupConfig(alpha=0.8))
    after(optimisation, 0)
    assert [row.shape for row in rows] == [(16,)] * 3
    assert len({float(row[0]) for row in rows}) == 3
