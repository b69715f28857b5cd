"""Pretrained weights: from files and names, into every expert, and never unnoticed wrong."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import ResNet50_Weights, resnet50

from balpoe.config import ExpertsConfig, ModelConfig, Sharing
from balpoe.errors import InvalidFields, UserError
from balpoe.models.backbones.imagenet_resnet import ImagenetResnet
from balpoe.models.experts import ExpertEnsemble, build_experts
from balpoe.models.pretrained import load_pretrained, pretrained_name, weights_identity

NAME = "imagenet_resnet50"


def ensemble(sharing: Sharing = "shared", channels: int = 3) -> ExpertEnsemble:
    return build_experts(
        ModelConfig(backbone=NAME),
        ExpertsConfig(count=2, sharing=sharing),
        channels=channels,
        classes=10,
        generators=[
            torch.Generator().manual_seed(seed)
            for seed in range(2 if sharing == "independent" else 1)
        ],
    )


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """A network of torchvision's whose statistics are not those of a new one either."""
    torch.manual_seed(0)
    network = resnet50()
    state: dict[str, Tensor] = network.state_dict()
    for name, tensor in state.items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    return state


@pytest.fixture
def file(tmp_path: Path, weights: dict[str, Tensor]) -> Path:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(weights, path)
    return path


def loaded(experts: ExpertEnsemble, weights: Path | str) -> ExpertEnsemble:
    load_pretrained(experts, NAME, str(weights))
    return experts


def assert_pretrained(experts: ExpertEnsemble, weights: dict[str, Tensor]) -> None:
    unused = set(weights)
    for name, tensor in experts.state_dict().items():
        theirs = pretrained_name(ImagenetResnet(), name)
        assert (theirs is None) == (".classifier." in name)
        if theirs is not None:
            assert torch.equal(tensor, weights[theirs]), name
            unused.discard(theirs)
    assert unused == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
def test_every_layer_below_the_classifiers_is_taken_from_the_file(
    sharing: Sharing, file: Path, weights: dict[str, Tensor]
) -> None:
    assert_pretrained(loaded(ensemble(sharing), file), weights)


def test_a_state_dict_of_torch_save_gives_the_same(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(weights, path)
    assert_pretrained(loaded(ensemble(), path), weights)


def test_classifiers_are_drawn_as_without_pretrained_weights(file: Path) -> None:
    drawn, pretrained = ensemble().state_dict(), loaded(ensemble(), file).state_dict()
    classifiers = [name for name in drawn if ".classifier." in name]
    assert len(classifiers) == 2
    assert all(torch.equal(drawn[name], pretrained[name]) for name in classifiers)


def test_a_name_takes_the_weights_from_the_cache_of_torch_hub(
    tmp_path: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "hub" / "checkpoints" / Path(ResNet50_Weights.IMAGENET1K_V2.url).name
    cached.parent.mkdir(parents=True)
    torch.save(weights, cached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert_pretrained(loaded(ensemble(), "IMAGENET1K_V2"), weights)


def test_weights_that_cannot_be_downloaded_are_reported_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"IMAGENET1K_V1 .*no route to host.*give its path"):
        loaded(ensemble(), "IMAGENET1K_V1")


class Attack:
    """Creates a file where it is unpickled by a reader that runs code."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._path),)


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    path, target = tmp_path / "weights.pth", tmp_path / "owned"
    torch.save({"conv1.weight": Attack(target)}, path)
    with pytest.raises(UserError, match="cannot be read"):
        loaded(ensemble(), path)
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("content", [None, b"", b"no weights at all"])
def test_a_missing_or_damaged_file_is_named(
    tmp_path: Path, suffix: str, content: bytes | None
) -> None:
    path = tmp_path / f"weights{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"model\.pretrained: .*weights\{suffix}"):
        loaded(ensemble(), path)


def test_a_file_that_holds_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"epoch": 3}, path)
    with pytest.raises(UserError, match="holds no state dict"):
        loaded(ensemble(), path)


def test_weights_of_another_network_are_refused(
    tmp_path: Path, weights: dict[str, Tensor], file: Path
) -> None:
    with pytest.raises(UserError, match=r"'conv1.weight' of the shape \[64, 3, 7, 7\]"):
        loaded(ensemble(channels=1), file)
    prefixed = tmp_path / "prefixed.safetensors"
    safetensors.torch.save_file({f"module.{k}": t for k, t in weights.items()}, prefixed)
    with pytest.raises(UserError, match=r"no weights 'conv1.weight'"):
        loaded(ensemble(), prefixed)


@pytest.mark.parametrize(
    ("backbone", "pretrained", "message"),
    [
        ("resnet32", "IMAGENET1K_V2", "imagenet_resnet50 or imagenet_resnext50_32x4d"),
        (NAME, "IMAGENET1K_V3", "IMAGENET1K_V1 or IMAGENET1K_V2, or a file"),
        ("imagenet_resnet10", "IMAGENET1K_V2", "is for imagenet_resnet50 or imagenet_resnext50"),
        ("imagenet_resnet50_narrow", "IMAGENET1K_V1", "is for imagenet_resnet50 or imagenet_resne"),
        ("imagenet_resnet51", None, "imagenet_resnet10, imagenet_resnet50"),
    ],
)
def test_what_cannot_be_pretrained_is_refused_by_the_configuration(
    backbone: str, pretrained: str | None, message: str
) -> None:
    with pytest.raises(InvalidFields, match=message):
        ModelConfig(backbone=backbone, pretrained=pretrained)


def test_a_file_of_weights_is_taken_for_a_network_without_published_ones() -> None:
    assert ModelConfig(backbone="imagenet_resnet10", pretrained="w.pth").pretrained == "w.pth"


def test_weights_are_known_by_their_content_wherever_they_lie(tmp_path: Path) -> None:
    here, moved, other = (tmp_path / name for name in ("a.pth", "b.pth", "c.pth"))
    here.write_bytes(b"weights")
    moved.write_bytes(b"weights")
    other.write_bytes(b"Weights")
    assert weights_identity(str(here)) == weights_identity(str(moved))
    assert weights_identity(str(here)) == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert weights_identity(str(here)) != weights_identity(str(other))
    assert weights_identity("IMAGENET1K_V2") == "IMAGENET1K_V2"
    with pytest.raises(UserError, match=r"gone\.pth: no such file"):
        weights_identity(str(tmp_path / "gone.pth"))
