"""The residual layers against plain formulas, and the memory format they keep."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from balpoe.models.backbones.cifar_resnet.layers import BasicBlock, stage, stem
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
    block = BasicBlock(inputs, outputs, stride).eval()
    x = images(2, inputs, height, width)

    residual = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    shortcut = torch.zeros_like(residual)
    first = (outputs - inputs) // 2
    shortcut[:, first : first + inputs] = x[:, :, ::stride, ::stride]

    torch.testing.assert_close(block(x), torch.relu(residual + shortcut))


def test_a_block_leaves_its_input_as_it_was() -> None:
    x = images(2, 4, 6, 6)
    before = x.clone()
    BasicBlock(4, 8, stride=2)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("depth", "blocks"), [(8, 1), (14, 2), (20, 3), (32, 5), (110, 18)])
def test_a_network_of_depth_6n_plus_2_has_n_blocks_per_stage(depth: int, blocks: int) -> None:
    with torch.device("meta"):
        assert [len(stage(number, depth)) for number in (1, 2, 3)] == [blocks] * 3


def test_pooling_is_the_float32_mean_over_all_pixels() -> None:
    x = images(3, 5, 4, 7).bfloat16()
    pooled = GlobalAveragePool()(x)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(pooled, x.double().mean(dim=(2, 3)).float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("height", "width", "channels"), [(32, 32, 3), (33, 17, 3), (28, 28, 1)])
def test_activations_and_their_gradients_stay_channels_last(
    height: int, width: int, channels: int, dtype: torch.dtype
) -> None:
    layers = (stem(channels), *(stage(number, 14) for number in (1, 2, 3)), GlobalAveragePool())
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    strayed: list[str] = []
    checked: list[str] = []

    def check(name: str, tensor: Tensor) -> None:
        checked.append(name)
        if not tensor.is_contiguous(memory_format=torch.channels_last):
            strayed.append(f"{name}: {tuple(tensor.shape)} {tensor.stride()}")

    def watch(module: nn.Module, _: object, output: Any) -> None:
        name = type(module).__name__
        check(name, output)
        output.register_hook(lambda gradient: check(f"gradient of {name}", gradient))

    for module in network.modules():
        if isinstance(module, BasicBlock | nn.Conv2d):
            module.register_forward_hook(watch)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        features = network(images(2, channels, height, width))
    features.square().sum().backward()

    assert strayed == []
    assert len(checked) == 2 * (13 + 6)  # 13 convolutions and 6 blocks, forward and backward
