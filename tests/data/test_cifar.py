"""CIFAR from torchvision: file format, published cut, and errors."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.sources.cifar_lt import Cifar10LT, Cifar100LT
from balpoe.errors import DataError
from balpoe.method.long_tailed_counts import class_counts, cut_indices


def write_batch(path: Path, labels: list[int], key: str, seed: int) -> list[str]:
    """Write a file in Krizhevsky's format (planes of red, green, blue); return name and md5."""
    pixels = np.random.default_rng(seed).integers(256, size=(len(labels), 3072), dtype=np.uint8)
    content = pickle.dumps({"data": pixels, key: labels})
    path.write_bytes(content)
    return [path.name, hashlib.md5(content).hexdigest()]


def write_archive(
    root: Path, archive: type[CIFAR10], monkeypatch: pytest.MonkeyPatch, *, classes: int
) -> None:
    """Write a small archive, and set torchvision's checksums to those of its files."""
    folder = root / archive.base_folder
    folder.mkdir(parents=True)
    key, names_key = (
        ("fine_labels", "fine_label_names") if archive is CIFAR100 else ("labels", "label_names")
    )
    labels = [n % classes for n in range(30 * classes)]
    written = [
        [
            write_batch(folder / entry[0], labels[n :: len(table)], key, seed=n)
            for n, entry in enumerate(table)
        ]
        for table in (archive.train_list, archive.test_list)
    ]
    meta = pickle.dumps({names_key: [f"class {y}" for y in range(classes)]})
    (folder / archive.meta["filename"]).write_bytes(meta)
    table = archive.meta | {"md5": hashlib.md5(meta).hexdigest()}
    monkeypatch.setattr(archive, "train_list", written[0])
    monkeypatch.setattr(archive, "test_list", written[1])
    monkeypatch.setattr(archive, "meta", table)


@pytest.fixture
def ten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_archive(tmp_path, CIFAR10, monkeypatch, classes=10)
    return tmp_path


def test_final_training_has_the_images_that_the_released_code_chooses(ten: Path) -> None:
    splits = load_final_splits(Cifar10LT(root=str(ten), imbalance_ratio=10))
    original = CIFAR10(str(ten), train=True)
    counts = class_counts(30, 10, 10)
    # As in the released code: numpy's global legacy generator, seed 0, classes in order.
    state = np.random.RandomState(0)
    chosen = []
    for y, count in enumerate(counts):
        indices = np.where(np.array(original.targets) == y)[0]
        state.shuffle(indices)
        chosen += indices[:count].tolist()
    chosen.sort()
    assert splits.description.class_counts == counts
    assert splits.description.class_names == tuple(f"class {y}" for y in range(10))
    assert np.array_equal(splits.train.images_nhwd.numpy(), original.data[chosen])
    assert splits.train.labels_n.tolist() == [original.targets[row] for row in chosen]
    assert torch.bincount(splits.test.labels_n).tolist() == [30] * 10
    assert splits.description.normalisation.mean == (0.4914, 0.4822, 0.4465)


def test_a_search_caps_the_head_to_leave_validation_images(ten: Path) -> None:
    searched = load_search_splits(Cifar10LT(root=str(ten), imbalance_ratio=10))
    assert searched.description.class_counts == (27, *class_counts(30, 10, 10)[1:])
    assert torch.bincount(searched.validation.labels_n).tolist() == [3] * 10


def test_cifar_100_has_its_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(tmp_path, CIFAR100, monkeypatch, classes=100)
    splits = load_final_splits(Cifar100LT(root=str(tmp_path), imbalance_ratio=10))
    assert splits.description.class_counts == class_counts(30, 10, 100)
    assert len(splits.test) == 3000


@pytest.mark.parametrize(
    ("config", "classes", "head", "total"),
    [(Cifar10LT, 10, 5000, 12_406), (Cifar100LT, 100, 500, 10_847)],
)
def test_the_default_ratio_gives_the_published_totals(
    config: Any, classes: int, head: int, total: int
) -> None:
    counts = class_counts(head, config(root="").imbalance_ratio, classes)
    labels_n = np.tile(np.arange(classes), head)
    assert len(cut_indices(labels_n, counts, seed=0)) == sum(counts) == total


def test_missing_and_damaged_files_are_refused_with_the_cure(ten: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"elsewhere: CIFAR10 is missing, .*: set data\.download: true to"
    ):
        load_final_splits(Cifar10LT(root=str(tmp_path / "elsewhere")))
    batch = ten / CIFAR10.base_folder / CIFAR10.train_list[0][0]
    batch.write_bytes(batch.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match="CIFAR10 is missing, or fails its checksums"):
        load_final_splits(Cifar10LT(root=str(ten)))


def test_nothing_is_fetched_unless_asked_for_and_a_host_that_is_away_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = []

    def refuse(url: str, *_: object, **__: object) -> None:
        fetched.append(url)
        raise OSError("the network is away")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(DataError):
        load_search_splits(Cifar10LT(root=str(tmp_path)))
    assert fetched == []
    with pytest.raises(DataError, match="CIFAR10 cannot be downloaded: the network is away"):
        load_search_splits(Cifar10LT(root=str(tmp_path / "new"), download=True))
    assert fetched == [CIFAR10.url]
