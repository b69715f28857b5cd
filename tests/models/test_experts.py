"""Experts: their sizes, what they share, and where their first weights come from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, get_args

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from balpoe.config import ExpertsConfig, ModelConfig, Sharing
from balpoe.models.classifiers import CosineClassifier
from balpoe.models.experts import ExpertEnsemble, build_experts

SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


def experts(
    sharing: Sharing = "shared",
    count: int = 3,
    *,
    backbone: str = "resnet8",
    classifier: Literal["cosine", "linear"] = "cosine",
    channels: int = 3,
    classes: int = 10,
    owned_stages: int = 2,
    seeds: Sequence[int] | None = None,
) -> ExpertEnsemble:
    if seeds is None:
        seeds = range(count if sharing == "independent" else 1)
    return build_experts(
        ModelConfig(backbone=backbone, classifier=classifier),
        ExpertsConfig(count=count, sharing=sharing, owned_stages=owned_stages),
        channels=channels,
        classes=classes,
        generators=[torch.Generator().manual_seed(seed) for seed in seeds],
    )


def images(batch: int = 4, channels: int = 3, height: int = 16, width: int = 16) -> Tensor:
    shape = (batch, channels, height, width)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    return x.to(memory_format=torch.channels_last)


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def same_bits(first: nn.Module, second: nn.Module) -> bool:
    theirs = second.state_dict()
    mine = first.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize(
    ("sharing", "count", "classes", "expected"),
    [
        ("shared", 1, 10, 464_144),
        ("shared", 2, 10, 904_464),
        ("shared", 3, 10, 1_344_784),
        ("shared", 7, 10, 3_106_064),
        ("shared", 1, 100, 469_904),
        ("shared", 2, 100, 915_984),
        ("shared", 3, 100, 1_362_064),
        ("shared", 7, 100, 3_146_384),
        ("linear", 3, 100, 482_704),
        ("independent", 3, 100, 3 * 469_904),
    ],
)
def test_resnet32_has_the_published_number_of_parameters(
    sharing: Sharing, count: int, classes: int, expected: int
) -> None:
    assert (
        parameter_count(experts(sharing, count, backbone="resnet32", classes=classes)) == expected
    )


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_linear_classifier_adds_one_bias_per_class_and_expert(sharing: Sharing) -> None:
    cosine = parameter_count(experts(sharing, 3, classifier="cosine", classes=10))
    linear = parameter_count(experts(sharing, 3, classifier="linear", classes=10))
    assert linear - cosine == 3 * 10


@pytest.mark.parametrize(("count", "expected"), [(1, 68.9), (3, 158.5), (7, 337.9)])
def test_resnet32_needs_the_published_multiplications_per_cifar_image(
    count: int, expected: float
) -> None:
    ensemble = experts("shared", count, backbone="resnet32", classes=100).eval()
    multiplications = 0

    def add_up(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal multiplications
        if isinstance(module, nn.Conv2d):
            multiplications += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, CosineClassifier):
            multiplications += module.weight.numel()

    for module in ensemble.modules():
        module.register_forward_hook(add_up)
    with torch.no_grad():
        ensemble(images(1, 3, 32, 32))
    assert round(multiplications / 1e6, 1) == expected


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (28, 28, 1), (33, 17, 3)])
def test_images_of_any_size_and_channels_give_logits_for_every_expert_and_class(
    sharing: Sharing, height: int, width: int, channels: int
) -> None:
    ensemble = experts(sharing, 2, channels=channels, classes=5)
    logits_bec = ensemble(images(3, channels, height, width))
    assert logits_bec.shape == (3, 2, 5)
    assert logits_bec.dtype == torch.float32
    assert logits_bec.isfinite().all()


def reference_logits(weights: dict[str, Tensor], expert: int, x: Tensor) -> Tensor:
    """Evaluation-mode ResNet-8 with shared stage 1, written out from the names of its weights."""

    def convolve(name: str, number: str, x: Tensor, stride: int = 1) -> Tensor:
        y = functional.conv2d(x, weights[f"{name}.conv{number}.weight"], stride=stride, padding=1)
        norm = {
            key: weights[f"{name}.bn{number}.{key}"][:, None, None]
            for key in ("weight", "bias", "running_mean", "running_var")
        }
        y = (y - norm["running_mean"]) / (norm["running_var"] + 1e-5).sqrt()
        return y * norm["weight"] + norm["bias"]

    x = convolve("networks.0.shared.stem", "", x).relu()
    for name in ("shared.stage1.0", f"experts.{expert}.stage2.0", f"experts.{expert}.stage3.0"):
        block = f"networks.0.{name}"
        stride = 1 if "stage1" in name else 2
        residual = convolve(block, "2", convolve(block, "1", x, stride).relu())
        missing = residual.shape[1] - x.shape[1]
        zeros = x.new_zeros(len(x), missing // 2, *residual.shape[2:])
        x = (residual + torch.cat([zeros, x[:, :, ::stride, ::stride], zeros], dim=1)).relu()
    weight = weights[f"networks.0.experts.{expert}.classifier.weight"]
    features = x.mean(dim=(2, 3))
    return 30 * functional.cosine_similarity(features[:, None], weight[None], dim=2)


def test_saved_weights_mean_what_their_names_say() -> None:
    ensemble = experts("shared", 2)
    ensemble(images(8))  # move the running statistics off their start
    ensemble.eval()
    with torch.no_grad():
        logits_bec = ensemble(images())
    for expert in range(2):
        expected_bc = reference_logits(ensemble.state_dict(), expert, images())
        torch.testing.assert_close(logits_bec[:, expert], expected_bc, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("sharing", "owners"),
    [
        ("shared", {"stem": 1, "stage1": 1, "stage2": 3, "stage3": 3, "classifier": 3}),
        ("linear", {"stem": 1, "stage1": 1, "stage2": 1, "stage3": 1, "classifier": 3}),
        ("independent", {"stem": 3, "stage1": 3, "stage2": 3, "stage3": 3, "classifier": 3}),
    ],
)
def test_shared_layers_exist_once_and_owned_layers_once_per_expert(
    sharing: Sharing, owners: dict[str, int]
) -> None:
    names = list(experts(sharing, 3).state_dict())
    found = {
        layer: len({name.split(f".{layer}.")[0] for name in names if f".{layer}." in name})
        for layer in owners
    }
    assert found == owners


@pytest.mark.parametrize(
    ("sharing", "reached"),
    [
        ("shared", {"networks.0.shared", "networks.0.experts.1"}),
        ("linear", {"networks.0.shared", "networks.0.experts.1"}),
        ("independent", {"networks.1.shared", "networks.1.experts.0"}),
    ],
)
def test_the_loss_of_one_expert_reaches_its_own_and_the_shared_layers_only(
    sharing: Sharing, reached: set[str]
) -> None:
    ensemble = experts(sharing, 3)
    ensemble(images())[:, 1].square().sum().backward()
    touched = {
        name
        for name, parameter in ensemble.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.any())
    }
    owned = {n for n, _ in ensemble.named_parameters() if n.startswith(tuple(reached))}
    assert touched == owned


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("classifier", ["cosine", "linear"])
@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_loss_reaches_every_parameter(
    sharing: Sharing, classifier: Literal["cosine", "linear"], autocast: bool
) -> None:
    ensemble = experts(sharing, 2, classifier=classifier, classes=4)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        logits_bec = ensemble(images())
    assert logits_bec.dtype == torch.float32
    labels_be = torch.arange(4)[:, None].expand(4, 2)
    torch.autograd.backward(functional.cross_entropy(logits_bec.mT, labels_be))
    for name, parameter in ensemble.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_independent_experts_are_the_networks_built_alone_bit_for_bit() -> None:
    ensemble = experts("independent", 3, seeds=[11, 12, 13])
    together_bec = ensemble(images())
    for expert, seed in enumerate([11, 12, 13]):
        (alone,) = experts("shared", 1, seeds=[seed]).networks
        logits_bec = alone(images())
        logits_bec.square().sum().backward()
        together_bec[:, expert].square().sum().backward(retain_graph=True)
        assert torch.equal(together_bec[:, expert : expert + 1], logits_bec)
        assert same_bits(ensemble.networks[expert], alone)
        pairs = zip(ensemble.networks[expert].parameters(), alone.parameters(), strict=True)
        for mine, theirs in pairs:
            assert mine.grad is not None
            assert theirs.grad is not None
            assert torch.equal(mine.grad, theirs.grad)


def test_a_single_expert_is_the_same_function_however_it_shares() -> None:
    singles = [experts(sharing, 1) for sharing in SHARINGS]
    assert len({parameter_count(single) for single in singles}) == 1
    logits = [single(images()) for single in singles]
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])


def test_experts_of_one_network_start_from_different_weights() -> None:
    logits_bec = experts("shared", 2)(images())
    assert not torch.allclose(logits_bec[:, 0], logits_bec[:, 1], atol=0.1)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_weights_follow_the_generators_and_nothing_else(sharing: Sharing) -> None:
    seeds = [3, 4] if sharing == "independent" else [3]
    torch.manual_seed(0)
    first = experts(sharing, 2, seeds=seeds)
    torch.manual_seed(1)
    assert same_bits(first, experts(sharing, 2, seeds=seeds))
    assert not same_bits(first, experts(sharing, 2, seeds=[seed + 10 for seed in seeds]))


@pytest.mark.parametrize("sharing", SHARINGS)
def test_building_leaves_the_global_generators_where_they_were(sharing: Sharing) -> None:
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    experts(sharing, 2)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == python_state


def test_a_generator_too_few_or_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        experts("independent", 3, seeds=[0, 1])
    with pytest.raises(ValueError, match="longer"):
        experts("shared", 3, seeds=[0, 1])


def test_convolutions_start_kaiming_normal_by_fan_in() -> None:
    ensemble = experts("shared", 1, backbone="resnet32")
    large = [m for m in ensemble.modules() if isinstance(m, nn.Conv2d) and m.out_channels == 64]
    for module in large:
        deviation = (2 / (9 * module.in_channels)) ** 0.5
        assert module.weight.std().item() == pytest.approx(deviation, rel=0.02)
        assert abs(module.weight.mean().item()) < 0.03 * deviation


def test_all_weights_are_real_and_convolutions_channels_last() -> None:
    ensemble = experts("shared", 2)
    assert all(tensor.isfinite().all() for tensor in ensemble.state_dict().values())
    assert {tensor.device.type for tensor in ensemble.state_dict().values()} == {"cpu"}
    weights = [m.weight for m in ensemble.modules() if isinstance(m, nn.Conv2d)]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def test_evaluation_is_deterministic_and_scores_each_image_on_its_own() -> None:
    ensemble = experts("shared", 2)
    ensemble(images(8))
    ensemble.eval()
    before = {name: tensor.clone() for name, tensor in ensemble.state_dict().items()}
    with torch.no_grad():
        together_bec = ensemble(images(4))
        assert torch.equal(together_bec, ensemble(images(4)))
        alone_bec = torch.cat([ensemble(image[None]) for image in images(4)])
    torch.testing.assert_close(together_bec, alone_bec, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(tensor, before[n]) for n, tensor in ensemble.state_dict().items())


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_step_never_looks_at_the_values_of_tensors(sharing: Sharing) -> None:
    """Fake tensors have no values: a host sync or a data-dependent shape raises."""
    ensemble = experts(sharing, 2)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.autocast("cpu", torch.bfloat16):
        logits_bec = ensemble(torch.empty(4, 3, 16, 16))
        logits_bec.square().mean().backward()
    assert logits_bec.shape == (4, 2, 10)
