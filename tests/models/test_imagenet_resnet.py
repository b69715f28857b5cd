"""The networks for ImageNet against torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet50, resnext50_32x4d
from torchvision.models import resnet as torchvision_resnet

from balpoe.config import ExpertsConfig, ModelConfig, Sharing
from balpoe.models.backbones.imagenet_resnet import ARCHITECTURES, ImagenetResnet
from balpoe.models.backbones.imagenet_resnet.layers import Bottleneck, ProjectingBlock, stage
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.models.pretrained import pretrained_name

IMAGENET_BACKBONES = ImagenetResnet.names


def resnet10() -> Any:
    return ResNet(torchvision_resnet.BasicBlock, [1, 1, 1, 1])


def narrow(wide: Callable[[], Any]) -> Callable[[], Any]:
    """torchvision's network with other last stages, made by its own method."""

    def made() -> Any:
        network = wide()
        blocks = [len(network.layer3), len(network.layer4)]
        kind = type(network.layer3[0])
        network.inplanes = 128 * kind.expansion
        network.layer3 = network._make_layer(kind, 192, blocks[0], stride=2)
        network.layer4 = network._make_layer(kind, 384, blocks[1], stride=2)
        network.fc = nn.Linear(384 * kind.expansion, 1000)
        return network

    return made


ORACLES: dict[str, Callable[[], Any]] = {
    "imagenet_resnet10": resnet10,
    "imagenet_resnet50": resnet50,
    "imagenet_resnext50_32x4d": resnext50_32x4d,
    "imagenet_resnet10_narrow": narrow(resnet10),
    "imagenet_resnet50_narrow": narrow(resnet50),
    "imagenet_resnext50_32x4d_narrow": narrow(resnext50_32x4d),
}


def ensemble(
    name: str,
    count: int,
    *,
    sharing: Sharing = "shared",
    owned_stages: int = 2,
    classes: int = 1000,
) -> ExpertEnsemble:
    return build_experts(
        ModelConfig(backbone=name, classifier="linear"),
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


def test_every_backbone_of_the_configuration_is_compared_with_an_oracle() -> None:
    assert set(ORACLES) == set(IMAGENET_BACKBONES)


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
def test_a_single_expert_has_the_parameters_of_torchvisions_network(name: str) -> None:
    with torch.device("meta"):
        assert parameters(ensemble(name, 1)) == parameters(ORACLES[name]())


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
@pytest.mark.parametrize("owned_stages", [1, 2, 3])
def test_three_experts_add_the_parameters_of_what_each_owns_twice(
    name: str, owned_stages: int
) -> None:
    with torch.device("meta"):
        whole = ORACLES[name]()
        stages = [whole.layer2, whole.layer3, whole.layer4]
    owned = sum(map(parameters, stages[3 - owned_stages :])) + parameters(whole.fc)
    network = ensemble(name, 3, owned_stages=owned_stages)
    assert parameters(network) == parameters(whole) + 2 * owned


@pytest.mark.parametrize(
    ("count", "owned_stages", "millions"), [(1, 2, 25.56), (3, 2, 73.78), (3, 1, 59.58)]
)
def test_resnet50_has_the_published_millions_of_parameters(
    count: int, owned_stages: int, millions: float
) -> None:
    network = ensemble("imagenet_resnet50", count, owned_stages=owned_stages)
    assert round(parameters(network) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("imagenet_resnet10_narrow", 1, 3_343_040),
        ("imagenet_resnet10_narrow", 3, 9_401_792),
        ("imagenet_resnet50_narrow", 1, 15_522_368),
        ("imagenet_resnet50_narrow", 3, 43_677_248),
        ("imagenet_resnext50_32x4d_narrow", 1, 15_237_952),
        ("imagenet_resnext50_32x4d_narrow", 3, 42_889_024),
    ],
)
def test_narrow_networks_have_the_parameters_of_sades_released_code(
    name: str, count: int, expected: int
) -> None:
    biases = 1000 * count  # of the linear classifiers here; SADE's are cosine classifiers
    assert parameters(ensemble(name, count)) == expected + biases


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
def test_with_the_weights_of_torchvision_every_expert_is_torchvisions_network(name: str) -> None:
    torch.manual_seed(0)
    oracle = ORACLES[name]().eval()
    network = ensemble(name, 2).eval()
    weights = oracle.state_dict()
    with torch.no_grad():
        for own, tensor in network.state_dict().items():
            theirs = pretrained_name(ImagenetResnet(), own) or f"fc.{own.rpartition('.')[2]}"
            tensor.copy_(weights[theirs])
        images = torch.randn(2, 3, 65, 48, generator=torch.Generator().manual_seed(1))
        expected_bc = oracle(images)
        logits_bec = network(images.to(memory_format=torch.channels_last))
    scale = float(expected_bc.abs().max())
    for expert in range(2):
        torch.testing.assert_close(logits_bec[:, expert] / scale, expected_bc / scale)


@pytest.mark.parametrize("name", IMAGENET_BACKBONES)
def test_convolutions_start_kaiming_normal_by_fan_out(name: str) -> None:
    network = ensemble(name, 1, classes=10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 50_000:
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.02)


def test_an_independent_expert_is_the_network_built_alone_bit_for_bit() -> None:
    together = ensemble("imagenet_resnet50", 2, sharing="independent", classes=10)
    alone = ensemble("imagenet_resnet50", 1, classes=10)
    theirs = alone.networks[0].state_dict()
    assert all(
        torch.equal(tensor, theirs[name])
        for name, tensor in together.networks[0].state_dict().items()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "expected"), [("imagenet_resnet50", 16), ("imagenet_resnet10_narrow", 4)]
)
def test_activations_and_their_gradients_stay_channels_last(
    name: str, expected: int, dtype: torch.dtype
) -> None:
    layers = ImagenetResnet().layers(name, 3)
    factories = (layers.stem, *layers.stages, layers.pool)
    network = nn.Sequential(*(factory() for factory in factories)).to(
        memory_format=torch.channels_last
    )
    strayed: list[str] = []
    blocks = 0

    def check(name: str, tensor: Tensor) -> None:
        if not tensor.is_contiguous(memory_format=torch.channels_last):
            strayed.append(f"{name}: {tuple(tensor.shape)} {tensor.stride()}")

    def watch(module: nn.Module, _: object, output: Any) -> None:
        nonlocal blocks
        blocks += isinstance(module, ProjectingBlock | Bottleneck)
        check(type(module).__name__, output)
        output.register_hook(lambda gradient: check(f"gradient of {type(module)}", gradient))

    for module in network.modules():
        if isinstance(module, ProjectingBlock | Bottleneck | nn.Conv2d):
            module.register_forward_hook(watch)
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        features = network(images)
    features.square().sum().backward()
    assert strayed == []
    assert blocks == expected


@pytest.mark.parametrize("name", ["imagenet_resnet50", "imagenet_resnet10"])
def test_a_block_leaves_its_input_as_it_was(name: str) -> None:
    x = torch.randn(2, 64, 6, 6, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    stage(1, ARCHITECTURES[name])(x)
    assert torch.equal(x, before)
