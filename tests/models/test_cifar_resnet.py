"""The residual layers against plain formulas, and the memory format they keep."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d

from balpoe.config import ExpertsConfig, ModelConfig, Sharing
from balpoe.models.backbones.cifar_resnet import CifarArchitecture, CifarResnet, architecture
from balpoe.models.backbones.cifar_resnet.layers import DoubledBlock, PaddingBlock, stage
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.models.pooling import GlobalAveragePool


def images(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last)


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), channels=st.sampled_from([(4, 4), (4, 8)])
)
@settings(max_examples=20, deadline=None)
def test_a_block_is_relu_of_residual_plus_zero_padded_slice(
    height: int, width: int, channels: tuple[int, int]
) -> None:
    inputs, outputs = channels
    stride = outputs // inputs
    block = PaddingBlock(inputs, outputs, stride).eval()
    x = images(2, inputs, height, width)

    residual = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    shortcut = torch.zeros_like(residual)
    first = (outputs - inputs) // 2
    shortcut[:, first : first + inputs] = x[:, :, ::stride, ::stride]

    torch.testing.assert_close(block(x), torch.relu(residual + shortcut))


def test_a_block_leaves_its_input_as_it_was() -> None:
    x = images(2, 4, 6, 6)
    before = x.clone()
    PaddingBlock(4, 8, stride=2)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("depth", "blocks"), [(8, 1), (14, 2), (20, 3), (32, 5), (110, 18)])
def test_a_network_of_depth_6n_plus_2_has_n_blocks_per_stage(depth: int, blocks: int) -> None:
    with torch.device("meta"):
        for name in (f"resnet{depth}", f"resnet{depth}_narrow"):
            network = found(name)
            assert [len(stage(number, network)) for number in (1, 2, 3)] == [blocks] * 3


def found(name: str) -> CifarArchitecture:
    network = architecture(name)
    assert network is not None
    return network


def ensemble(
    name: str,
    count: int,
    *,
    classes: int = 100,
    classifier: Literal["cosine", "linear"] = "cosine",
    sharing: Sharing = "shared",
    owned_stages: int = 2,
) -> ExpertEnsemble:
    return build_experts(
        ModelConfig(backbone=name, classifier=classifier),
        ExpertsConfig(count=count, sharing=sharing, owned_stages=owned_stages),
        channels=3,
        classes=classes,
        generators=[
            torch.Generator().manual_seed(seed)
            for seed in range(count if sharing == "independent" else 1)
        ],
    )


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("count", "expected"), [(1, 277_168), (3, 783_856), (4, 1_037_200)])
def test_the_narrow_resnet32_has_the_parameters_of_sades_released_code(
    count: int, expected: int
) -> None:
    assert parameters(ensemble("resnet32_narrow", count)) == expected


def test_resnet32_bbn_has_the_parameters_of_lades_released_code() -> None:
    network = ensemble("resnet32_bbn", 1, classifier="linear")
    assert parameters(network) == 537_488 + 128 * 100 + 100


@pytest.mark.parametrize("name", ["resnet14_narrow", "resnet14_bbn"])
@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
@pytest.mark.parametrize("owned_stages", [1, 2, 3])
def test_experts_may_own_any_stages_of_a_variant(
    name: str, sharing: Sharing, owned_stages: int
) -> None:
    network = ensemble(name, 2, classes=5, sharing=sharing, owned_stages=owned_stages)
    logits_bec = network(images(3, 3, 17, 12))
    assert logits_bec.shape == (3, 2, 5)
    assert logits_bec.isfinite().all()


@pytest.mark.parametrize("name", ["resnet8_bbn", "resnet32_wide", "resnet33_narrow", "resnet_bbn"])
def test_a_variant_that_does_not_exist_has_no_architecture(name: str) -> None:
    assert architecture(name) is None
    assert not CifarResnet().has(name)


def normalised(weights: dict[str, Tensor], bn: str, x: Tensor) -> Tensor:
    scale = weights[f"{bn}.weight"] / (weights[f"{bn}.running_var"] + 1e-5).sqrt()
    shift = weights[f"{bn}.bias"] - weights[f"{bn}.running_mean"] * scale
    return x * scale[:, None, None] + shift[:, None, None]


def block(weights: dict[str, Tensor], name: str, x: Tensor, stride: int) -> Tensor:
    """A block in evaluation, written out from the names of its weights."""
    inner = conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
    inner = normalised(weights, f"{name}.bn1", inner).relu()
    inner = conv2d(inner, weights[f"{name}.conv2.weight"], padding=1)
    residual = normalised(weights, f"{name}.bn2", inner)
    missing = residual.shape[1] - x.shape[1]
    zeros = x.new_zeros(len(x), missing // 2, *residual.shape[2:])
    return (residual + torch.cat([zeros, x[:, :, ::stride, ::stride], zeros], dim=1)).relu()


def features(weights: dict[str, Tensor], x: Tensor, *, doubled: bool) -> Tensor:
    """The features of a variant of ResNet-14 with one expert, which owns stages 2 and 3."""
    stem = conv2d(x, weights["shared.stem.conv.weight"], padding=1)
    x = normalised(weights, "shared.stem.bn", stem).relu()
    for owner, number in (("shared", 1), ("experts.0", 2)):
        x = block(weights, f"{owner}.stage{number}.0", x, stride=number)
        x = block(weights, f"{owner}.stage{number}.1", x, stride=1)
    x = block(weights, "experts.0.stage3.0", x, stride=2)
    ends = [
        f"experts.0.stage3.1{branch}" for branch in ((".first", ".second") if doubled else ("",))
    ]
    return torch.cat([block(weights, end, x, stride=1).mean(dim=(2, 3)) for end in ends], dim=1)


@pytest.mark.parametrize(
    ("name", "widths"), [("resnet14_narrow", [16, 24, 48]), ("resnet14_bbn", [16, 32, 128])]
)
def test_a_variant_computes_what_its_weights_say(name: str, widths: list[int]) -> None:
    network = ensemble(name, 1, classes=5, classifier="linear").eval()
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:  # statistics and scales unlike those of a new network
            tensor.uniform_(0.5, 1.5, generator=generator)
    weights = {
        key.removeprefix("networks.0."): tensor.double()
        for key, tensor in network.state_dict().items()
    }
    x = images(2, 3, 9, 14)
    pooled = features(weights, x.double(), doubled=name.endswith("_bbn"))
    classifier = "experts.0.classifier"
    expected = pooled @ weights[f"{classifier}.weight"].T + weights[f"{classifier}.bias"]
    torch.testing.assert_close(network(x)[:, 0].double(), expected, rtol=1e-4, atol=1e-4)
    assert [
        len(weights["shared.stage1.1.bn2.bias"]),
        len(weights["experts.0.stage2.1.bn2.bias"]),
    ] == widths[:2]
    assert pooled.shape == (2, widths[2])


def test_pooling_is_the_float32_mean_over_all_pixels() -> None:
    x = images(3, 5, 4, 7).bfloat16()
    pooled = GlobalAveragePool()(x)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, x.double().mean(dim=(2, 3)).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "height", "width", "channels"),
    [
        ("resnet14", 32, 32, 3),
        ("resnet14", 33, 17, 3),
        ("resnet14", 28, 28, 1),
        ("resnet14_narrow", 32, 32, 3),
        ("resnet14_bbn", 32, 32, 3),
    ],
)
def test_activations_and_their_gradients_stay_channels_last(
    name: str, height: int, width: int, channels: int, dtype: torch.dtype
) -> None:
    backbone = CifarResnet().layers(name, channels)
    factories = (backbone.stem, *backbone.stages, backbone.pool)
    network = nn.Sequential(*(factory() for factory in factories))
    network = network.to(memory_format=torch.channels_last)
    # their gradients are halves of channels-last ones
    halves = {
        half
        for module in network.modules()
        if isinstance(module, DoubledBlock)
        for half in module.children()
    }
    strayed: list[str] = []
    checked: list[str] = []

    def check(name: str, tensor: Tensor) -> None:
        checked.append(name)
        if not tensor.is_contiguous(memory_format=torch.channels_last):
            strayed.append(f"{name}: {tuple(tensor.shape)} {tensor.stride()}")

    def watch(module: nn.Module, _: object, output: Any) -> None:
        name = type(module).__name__
        check(name, output)
        if module not in halves:
            output.register_hook(lambda gradient: check(f"gradient of {name}", gradient))

    blocks = (PaddingBlock, DoubledBlock, nn.Conv2d)
    watched = [module for module in network.modules() if isinstance(module, blocks)]
    for module in watched:
        module.register_forward_hook(watch)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        features = network(images(2, channels, height, width))
    features.square().sum().backward()

    assert strayed == []
    # 13 convolutions and 6 blocks; of one more block two convolutions, itself and the pair
    assert len(watched) == 13 + 6 + (4 if halves else 0)
    assert len(checked) == 2 * len(watched) - len(halves)
