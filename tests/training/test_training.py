from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ModelConfig,
    RandAugmentConfig,
    Sharing,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, ImageSet, Normalisation
from balpoe.errors import NonFiniteError
from balpoe.training.augmentation.resized_crop import CentreCrop
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.learner import Stepper
from balpoe.training.loss_context import configured_lambdas
from balpoe.training.streams import network_seed
from balpoe.training.training import Training, training_identity

CPU = torch.device("cpu")
NONE = AugmentationConfig()
Start = Callable[..., Training]


@pytest.fixture
def start(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> Start:
    """Start a training, with everything as in the fixtures unless given."""

    def start_training(
        configuration: Configuration = configuration,
        *,
        seed: int = 0,
        observed: bool = True,
        checkpoints: Path | None = None,
    ) -> Training:
        return Training(
            configuration,
            train=train,
            description=description,
            validation=validation if observed else None,
            seed=seed,
            device=CPU,
            checkpoints=CheckpointDirectory(checkpoints) if checkpoints else None,
        )

    return start_training


def weights_of(training: Training) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in training.experts.state_dict().items()}


def assert_same_bits(ours: Training, theirs: Training) -> None:
    their_weights = weights_of(theirs)
    assert all(
        torch.equal(tensor, their_weights[name]) for name, tensor in weights_of(ours).items()
    )


def finish(training: Training) -> Training:
    assert len(list(training.fit())) > 0
    return training


@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
def test_the_same_seed_gives_the_same_bits(
    start: Start, configuration: Configuration, sharing: Sharing
) -> None:
    configuration = replace(configuration, experts=ExpertsConfig(count=2, sharing=sharing))
    first, second = finish(start(configuration)), finish(start(configuration))
    assert_same_bits(first, second)
    assert [epoch.metrics["val/nll"] for epoch in first.history] == [
        epoch.metrics["val/nll"] for epoch in second.history
    ]


def test_another_seed_gives_another_model(start: Start) -> None:
    first, second = finish(start(seed=0)), finish(start(seed=1))
    weight = "networks.0.shared.stem.conv.weight"
    assert not torch.equal(weights_of(first)[weight], weights_of(second)[weight])


def test_the_global_random_state_is_neither_read_nor_advanced(start: Start) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = finish(start())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_same_bits(first, finish(start()))


@pytest.mark.parametrize("evaluate_every", [1, 3])
def test_training_does_not_depend_on_whether_it_is_evaluated(
    start: Start, configuration: Configuration, evaluate_every: int
) -> None:
    training = replace(configuration.training, evaluate_every=evaluate_every)
    observed = finish(start(replace(configuration, training=training)))
    assert_same_bits(observed, finish(start(observed=False)))


def test_pretrained_weights_that_moved_are_the_same_training_and_changed_ones_are_not(
    configuration: Configuration, description: DataDescription, tmp_path: Path
) -> None:
    def identity(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        model = ModelConfig(backbone="imagenet_resnet50", pretrained=str(tmp_path / name))
        return training_identity(replace(configuration, model=model), description, 0)

    assert identity("a.pth", b"weights") == identity("b.pth", b"weights")
    assert identity("a.pth", b"others") != identity("b.pth", b"weights")


def test_the_last_epoch_is_always_evaluated(start: Start, configuration: Configuration) -> None:
    training = replace(configuration.training, evaluate_every=3)
    history = finish(start(replace(configuration, training=training))).history
    evaluated = [epoch.epoch for epoch in history if "val/accuracy" in epoch.metrics]
    assert evaluated == [3, 4]


def test_the_number_of_weights_is_told_with_every_evaluation(start: Start) -> None:
    training = finish(start())
    weights = sum(each.numel() for each in dict(training.experts.named_parameters()).values())
    assert [result.metrics["parameters"] for result in training.history] == [weights] * 4


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_a_resumed_training_gives_the_bits_of_an_uninterrupted_one(
    start: Start, tmp_path: Path, interrupted_after: int
) -> None:
    interrupted = start(checkpoints=tmp_path)
    for result in interrupted.fit():
        if result.epoch == interrupted_after:
            interrupted.save_checkpoint()
            break
    resumed = start(checkpoints=tmp_path)
    assert [epoch.epoch for epoch in resumed.history] == list(range(1, interrupted_after + 1))
    finish(resumed)
    uninterrupted = finish(start())
    assert_same_bits(resumed, uninterrupted)
    assert [epoch.metrics["train/loss"] for epoch in resumed.history] == [
        epoch.metrics["train/loss"] for epoch in uninterrupted.history
    ]


def test_a_finished_training_has_nothing_left_to_do(start: Start, tmp_path: Path) -> None:
    finished = finish(start(checkpoints=tmp_path))
    again = start(checkpoints=tmp_path)
    assert list(again.fit()) == []
    assert again.history == finished.history
    assert_same_bits(again, finished)


def test_an_independent_expert_equals_the_same_network_trained_alone(
    start: Start, configuration: Configuration
) -> None:
    together = replace(configuration, experts=ExpertsConfig(count=3, sharing="independent"))
    ensemble = finish(start(together, seed=7))
    for expert, lam in enumerate(configured_lambdas(together)):
        alone = replace(configuration, experts=ExpertsConfig(count=1, centre=lam))
        single = finish(start(alone, seed=network_seed(7, expert)))
        own = ensemble.experts.networks[expert].state_dict()
        for name, tensor in single.experts.networks[0].state_dict().items():
            assert torch.equal(tensor, own[name])


def test_ten_images_can_be_learnt_by_heart(
    configuration: Configuration, describe: Callable[[tuple[int, ...]], DataDescription]
) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (10, 8, 8, 1), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 5, (10,), generator=generator).sort().values
    labels[:5] = torch.arange(5)  # noise with arbitrary labels: nothing but memory helps
    images = ImageSet(pixels, labels)
    counts = tuple(torch.bincount(labels, minlength=5).tolist())
    plain = replace(configuration.training, epochs=80, batch_size=10, warmup=0.0)
    training = Training(
        replace(
            configuration,
            mixup=MixupConfig(alpha=0.0),
            training=replace(plain, augmentation=type(plain.augmentation)()),
        ),
        train=images,
        description=describe(counts),
        seed=0,
        device=CPU,
    )
    finish(training)
    predicted = training.predict(images).mean(dim=1).argmax(dim=-1)
    assert torch.equal(predicted, labels)
    assert training.history[-1].metrics["train/loss"] < 0.05


def test_training_on_learnable_images_beats_chance_by_far(learn: Callable[..., Training]) -> None:
    histories = [learn(seed).history for seed in (0, 1)]
    for history in histories:
        assert history[-1].metrics["train/loss"] < history[0].metrics["train/loss"] / 2
    assert fmean(history[-1].metrics["val/accuracy"] for history in histories) > 0.8


def test_a_loss_that_is_not_finite_is_refused_and_not_saved(
    start: Start, configuration: Configuration, tmp_path: Path
) -> None:
    wild = replace(
        configuration,
        model=replace(configuration.model, classifier="linear"),
        training=replace(configuration.training, learning_rate=1e18, warmup=0.0),
    )
    training = start(wild, checkpoints=tmp_path, seed=3)
    with pytest.raises(NonFiniteError, match=r"training.learning_rate: the loss of epoch \d"):
        finish(training)
    training.save_checkpoint()
    assert list(tmp_path.iterdir()) == []


def test_an_epoch_that_was_broken_off_is_not_saved(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = start(checkpoints=tmp_path)
    epochs = training.fit()
    next(epochs)
    step = Stepper.step

    def interrupt(stepper: Stepper, *arguments: Any, **options: Any) -> None:
        step(stepper, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Stepper, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(epochs)
    training.save_checkpoint()
    assert list(tmp_path.iterdir()) == []


def test_fused_sgd_on_channels_last_weights_is_plain_sgd(start: Start) -> None:
    """The fused kernel walks raw memory: it must not mix up the layouts of weight and gradient."""
    weight = torch.randn(8, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    inputs = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    results = []
    for fused, layout in ((True, torch.channels_last), (False, torch.contiguous_format)):
        parameter = torch.nn.Parameter(weight.clone().to(memory_format=layout))
        optimiser = torch.optim.SGD(
            [parameter], lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=fused
        )
        for _ in range(3):
            optimiser.zero_grad()
            torch.nn.functional.conv2d(inputs, parameter).square().sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        results.append(parameter.detach())
    assert torch.allclose(results[0], results[1], rtol=1e-4)


def test_fields_added_to_the_configuration_leave_older_trainings_their_identity() -> None:
    described = DataDescription(
        class_names=("0", "1"),
        class_counts=(3, 2),
        height=8,
        width=8,
        channels=1,
        normalisation=Normalisation((0.5,), (0.25,)),
        fingerprint="noise",
    )
    released = "68767d1e9ba06d32ba1fce6018c0c3e1e577af1960ec86141f8dd0f3e201ea6e"
    assert training_identity(Configuration(data=DigitsLT()), described, 0) == released
    owning_one = Configuration(data=DigitsLT(), experts=ExpertsConfig(owned_stages=1))
    assert training_identity(owning_one, described, 0) != released


@pytest.mark.parametrize(
    "augmentation",
    [
        AugmentationConfig(crop_padding=1, flip=True, auto_augment=True),
        AugmentationConfig(
            resized_crop=6,
            flip=True,
            colour_jitter=0.4,
            rand_augment=RandAugmentConfig(operations=2),
        ),
    ],
    ids=["AutoAugment", "RandAugment on resized crops"],
)
def test_a_training_with_policies_resumes_to_the_same_bits(
    start: Start, configuration: Configuration, tmp_path: Path, augmentation: AugmentationConfig
) -> None:
    training = replace(configuration.training, augmentation=augmentation, epochs=3)
    configuration = replace(configuration, training=training)
    whole = start(configuration)
    plain = start(replace(configuration, training=replace(training, augmentation=NONE)))
    losses = [result.metrics["train/loss"] for result in whole.fit()]
    assert losses != [result.metrics["train/loss"] for result in plain.fit()]

    interrupted = start(configuration, checkpoints=tmp_path)
    next(interrupted.fit())
    interrupted.save_checkpoint()
    resumed = start(configuration, checkpoints=tmp_path)
    assert [result.metrics["train/loss"] for result in resumed.fit()] == losses[1:]
    ours, theirs = whole.experts.state_dict(), resumed.experts.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_networks_trained_on_resized_crops_see_the_middle_in_evaluation(
    start: Start, configuration: Configuration, validation: ImageSet
) -> None:
    augmentation = AugmentationConfig(resized_crop=7)  # of 8 pixels, as 224 of 256
    cropping = start(
        replace(configuration, training=replace(configuration.training, augmentation=augmentation))
    )
    middle = ImageSet(CentreCrop(7)(validation.images_nhwd), validation.labels_n)
    assert middle.images_nhwd.shape[1:3] == (7, 7)
    assert torch.equal(cropping.predict(validation), start().predict(middle))
    assert not torch.equal(cropping.predict(validation), start().predict(validation))


def test_a_training_takes_its_batches_in_as_many_parts_as_configured(
    start: Start, configuration: Configuration
) -> None:
    training = start(
        replace(configuration, training=replace(configuration.training, accumulate=4, epochs=1))
    )
    sizes: list[int] = []
    (network,) = training.experts.networks
    network.get_submodule("shared").register_forward_hook(
        lambda *seen: sizes.append(len(seen[2])) if training.experts.training else None
    )
    (result,) = training.fit()
    # 47 images: two batches of 16 and one of 15
    assert sizes == [4] * 11 + [3]
    assert math.isfinite(result.metrics["train/loss"])
