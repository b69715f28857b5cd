"""What needs a CUDA device: `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    RandAugmentConfig,
    Sharing,
)
from balpoe.config.loss import Loss
from balpoe.config.mixing import MIXERS
from balpoe.config.second_stage import SECOND_STAGES
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.splits import DataDescription, Images, ImageSet
from balpoe.training.augmentation.colour_operations import blend, look_up
from balpoe.training.augmentation.operations import Operation
from balpoe.training.draws import Draws, Mixing
from balpoe.training.optimisation import Optimisation
from balpoe.training.policies.cutout import Cutout
from balpoe.training.precision import float32_kernels
from balpoe.training.training import Training
from tests.method.losses.every_loss import described, every_loss, suited_to

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def trained(
    configuration: Configuration,
    train: Images,
    validation: ImageSet,
    description: DataDescription,
    device: str,
) -> Training:
    training = Training(
        configuration,
        train=train,
        description=description,
        validation=validation,
        seed=0,
        device=torch.device(device),
    )
    assert len(list(training.fit())) == configuration.epochs
    return training


@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
def test_captured_steps_train_like_steps_taken_one_by_one(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    sharing: Sharing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configuration = replace(configuration, experts=ExpertsConfig(count=2, sharing=sharing))
    captured = trained(configuration, train, validation, description, "cuda")

    def one_by_one(
        self: Optimisation,
        draws: Sequence[Draws],
        mixing: Mixing | None,
        bring: Callable[[], None],
    ) -> None:
        mixer = None if mixing is None else mixing.mixer
        for index in range(draws[0].steps):
            bring()
            self._stepper.step(draws, torch.tensor([index], device="cuda"), mixer)

    monkeypatch.setattr(Optimisation, "_run_block", one_by_one)
    eager = trained(configuration, train, validation, description, "cuda")
    for ours, theirs in zip(captured.history, eager.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=1e-3)


@pytest.mark.parametrize("name", list(MIXERS.entries))
def test_the_steps_of_each_mixer_are_captured_and_train_like_those_of_the_cpu(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    name: str,
) -> None:
    configuration = replace(
        configuration,
        mixing=MIXERS[name](),
        mixup=MixupConfig(alpha=0.8, until=0.5),
        training=replace(configuration.training, class_sampling="progressive"),
    )
    gpu = trained(configuration, train, validation, description, "cuda")
    kinds = {kind.mixes for kind in gpu._optimisation._captured}
    assert kinds == ({True, False} if configuration.mixes else {False})
    cpu = trained(configuration, train, validation, description, "cpu")
    for ours, theirs in zip(gpu.history, cpu.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=0.05)
    again = trained(configuration, train, validation, description, "cuda")
    assert torch.equal(again.predict(validation), gpu.predict(validation))


@pytest.mark.parametrize("sharing", ["shared", "independent"])
def test_captured_steps_on_a_stream_train_like_those_in_memory(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    streamed: Callable[[ImageSet], StreamedImages],
    sharing: Sharing,
) -> None:
    configuration = replace(configuration, experts=ExpertsConfig(count=2, sharing=sharing))
    in_memory, on_stream = (
        trained(configuration, images, validation, description, "cuda")
        for images in (train, streamed(train))
    )
    for ours, theirs in zip(on_stream.history, in_memory.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=1e-3)


@pytest.mark.parametrize(
    "augmentation",
    [
        AugmentationConfig(
            crop_padding=1, flip=True, auto_augment=True, policies=(Cutout(length=4),)
        ),
        AugmentationConfig(
            resized_crop=7,
            flip=True,
            colour_jitter=0.4,
            rand_augment=RandAugmentConfig(operations=2),
        ),
    ],
    ids=["AutoAugment and cutout", "RandAugment on resized crops"],
)
def test_steps_with_policies_and_in_parts_are_captured(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    augmentation: AugmentationConfig,
) -> None:
    training = replace(configuration.training, augmentation=augmentation, accumulate=2)
    configuration = replace(configuration, training=training)
    gpu = trained(configuration, train, validation, description, "cuda")
    cpu = trained(configuration, train, validation, description, "cpu")
    for ours, theirs in zip(gpu.history, cpu.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_operations_give_the_same_bytes_on_a_gpu(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 24, 20, channels), dtype=torch.uint8, generator=generator)
    operation_b = torch.arange(64, dtype=torch.int32) % len(Operation)
    magnitude_b = 0.3 + torch.rand(64, generator=generator)
    for form in (blend, look_up):
        on_gpu = form(images.cuda(), operation_b.cuda(), magnitude_b.cuda()).cpu()
        assert torch.equal(on_gpu, form(images, operation_b, magnitude_b))


def test_a_gpu_trains_like_the_cpu(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> None:
    gpu = trained(configuration, train, validation, description, "cuda")
    cpu = trained(configuration, train, validation, description, "cpu")
    for ours, theirs in zip(gpu.history, cpu.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=0.05)


def test_bfloat16_trains_and_predicts_in_float32(
    learn: Callable[..., Training], validation: ImageSet
) -> None:
    training = learn(0, device="cuda", precision="bfloat16")
    assert training.predict(validation).dtype == torch.float32
    assert training.history[-1].metrics["val/accuracy"] > 0.6


@pytest.mark.parametrize("operation", ["convolution", "product"])
def test_float32_is_exact_and_tf32_is_not(operation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(8, 64, 32, 32, generator=generator)
    weights = torch.randn(64, 64, 3, 3, generator=generator)

    def computed(device: str, dtype: torch.dtype) -> torch.Tensor:
        inputs, kernel = images.to(device, dtype), weights.to(device, dtype)
        if operation == "convolution":
            return torch.nn.functional.conv2d(inputs, kernel).double().cpu()
        return (inputs.flatten(1) @ inputs.flatten(1).T).double().cpu()

    exact = computed("cpu", torch.float64)
    errors = {}
    for precision in ("float32", "tf32"):
        with float32_kernels(precision, torch.device("cuda")):
            errors[precision] = float((computed("cuda", torch.float32) - exact).abs().max())
    scale = float(exact.abs().max())
    assert errors["float32"] < 1e-5 * scale
    assert errors["tf32"] > 10 * errors["float32"]


def test_two_trainings_in_float32_are_equal(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> None:
    first, second = (
        trained(configuration, train, validation, description, "cuda") for _ in range(2)
    )
    assert [epoch.metrics["train/loss"] for epoch in first.history] == [
        epoch.metrics["train/loss"] for epoch in second.history
    ]
    assert torch.equal(first.predict(validation), second.predict(validation))


def test_predictions_in_float32_are_those_of_the_cpu(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> None:
    chosen = replace(configuration.training, precision="bfloat16")
    gpu = trained(replace(configuration, training=chosen), train, validation, description, "cuda")
    on_gpu = gpu.predict(validation, "float32").mean(dim=1).softmax(dim=1)
    gpu.experts.to("cpu")
    gpu._device = torch.device("cpu")
    on_cpu = gpu.predict(validation, "float32").mean(dim=1).softmax(dim=1)
    assert float((on_gpu - on_cpu).abs().max()) < 1e-5


@pytest.mark.parametrize("loss", list(every_loss()), ids=described)
def test_the_steps_of_each_loss_are_captured_and_train_like_those_of_the_cpu(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    loss: Loss,
) -> None:
    configuration = suited_to(loss, configuration)
    gpu = trained(configuration, train, validation, description, "cuda")
    assert gpu._optimisation._captured
    cpu = trained(configuration, train, validation, description, "cpu")
    for ours, theirs in zip(gpu.history, cpu.history, strict=True):
        assert ours.metrics["train/loss"] == pytest.approx(theirs.metrics["train/loss"], rel=0.05)
    again = trained(configuration, train, validation, description, "cuda")
    assert torch.equal(again.predict(validation), gpu.predict(validation))


@pytest.mark.parametrize("name", ["crt", "lws", "mislas"])
def test_the_captured_steps_of_a_second_stage_train_like_those_on_the_cpu(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
    name: str,
) -> None:
    model = replace(configuration.model, classifier="linear")
    configuration = replace(
        configuration,
        model=model,
        training=replace(configuration.training, epochs=1),
        second_stage=SECOND_STAGES[name](),
    )
    on_gpu = trained(configuration, train, validation, description, "cuda")
    on_cpu = trained(configuration, train, validation, description, "cpu")
    theirs = on_cpu.experts.state_dict()
    for layer, tensor in on_gpu.experts.state_dict().items():
        torch.testing.assert_close(tensor.cpu(), theirs[layer], atol=2e-2, rtol=2e-2)
    alone = trained(
        replace(configuration, second_stage=SECOND_STAGES["none"]()),
        train,
        validation,
        description,
        "cuda",
    )
    after = on_gpu.experts.state_dict()
    frozen = {
        layer: tensor
        for layer, tensor in alone.experts.state_dict().items()
        if ".classifier." not in layer
    }
    assert all(torch.equal(tensor, after[layer]) for layer, tensor in frozen.items())
