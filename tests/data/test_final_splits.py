"""Final training uses every labelled image outside the test set; test images can be looked up."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from balpoe.config import identifying, to_plain
from balpoe.config.data import FittedImages
from balpoe.data import FinalSplits, load_final_splits, load_search_splits
from balpoe.data.command_line_source import SourceOptions, open_source
from balpoe.data.preparation import Preparation, prepare_split
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.image_list import ImageList
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.splits import Images

Tree = Callable[..., Path]
COUNTS = {"train": (9, 5), "val": (2, 3), "test": (2, 2)}
RETINA = Path(__file__).parents[3] / "shared" / "data" / "retinamnist"


@pytest.fixture
def root(tree: Tree) -> Path:
    """Write two classes with a validation split; every image has a grey level of its own."""
    grey = iter(range(1, 256, 5))
    files: dict[str, NDArray[np.uint8]] = {}
    for split, (cats, dogs) in COUNTS.items():
        for name, count in (("cat", cats), ("dog", dogs)):
            for n in range(count):
                files[f"{split}/{name}/{n}.png"] = np.full((8, 8, 3), next(grey), np.uint8)
    return tree(files)


def folder(root: Path) -> ImageFolder:
    return ImageFolder(root=str(root), image_size=8)


def image_list(root: Path) -> ImageList:
    for split in COUNTS:
        paths = sorted((root / split).rglob("*.png"))
        lines = [f"{path.relative_to(root)} {int(path.parent.name == 'dog')}\n" for path in paths]
        (root.parent / f"{split}.txt").write_text("".join(lines))
    train, validation, test = (str(root.parent / f"{split}.txt") for split in COUNTS)
    return ImageList(root=str(root), train=train, validation=validation, test=test, image_size=8)


def parquet(root: Path) -> ParquetImages:
    source = open_source([root], SourceOptions())
    for split, images in source.splits.items():
        path = root.parent / f"{split}.parquet"
        prepare_split(images, source.class_names, path, Preparation(size=8), threads=2)
    train, validation, test = (
        str(root.parent / f"{split}.parquet") for split in ("train", "validation", "test")
    )
    return ParquetImages(train=train, validation=validation, test=test, image_size=8)


SOURCES = pytest.mark.parametrize("source", [folder, image_list, parquet])


def greys(images: Images) -> list[int]:
    return images.images_nhwd[:, 0, 0, 0].tolist()


@SOURCES
def test_the_validation_split_of_a_set_is_trained_on_and_the_prior_recounted(
    root: Path, source: Callable[[Path], FittedImages]
) -> None:
    settings = source(root)
    searched, final = load_search_splits(settings), load_final_splits(settings)
    assert searched.description.class_counts == (9, 5)
    assert final.description.class_counts == (11, 8)
    assert greys(final.train) == greys(searched.train) + greys(searched.validation)
    assert final.train.labels_n.tolist() == [0] * 9 + [1] * 5 + [0] * 2 + [1] * 3
    assert final.own_validation == 5
    assert not set(greys(final.train)) & set(greys(final.test))
    streamed = load_final_splits(replace(settings, in_memory_limit=1e-9))
    assert streamed.description == final.description
    assert streamed.own_validation == 5


@SOURCES
def test_it_is_left_out_where_the_configuration_says_so_and_from_a_cut(
    root: Path, source: Callable[[Path], FittedImages]
) -> None:
    settings = source(root)
    searched = load_search_splits(settings)
    alone = load_final_splits(replace(settings, final_uses_validation=False))
    cut = load_final_splits(replace(settings, imbalance_ratio=3))
    assert greys(alone.train) == greys(searched.train)
    assert alone.own_validation == cut.own_validation == 0
    assert cut.description.class_counts == (9, 3)


def test_all_1200_labelled_images_of_retinamnist_are_trained_on() -> None:
    files = {split: str(RETINA / f"{split}.parquet") for split in ("train", "val", "test")}
    if not all(Path(path).exists() for path in files.values()):
        pytest.skip(f"{RETINA} is not there")
    settings = ParquetImages(train=files["train"], validation=files["val"], test=files["test"])
    final = load_final_splits(settings)
    assert len(load_search_splits(settings).train) == 1080
    assert len(final.train) == sum(final.description.class_counts) == 1200
    assert final.own_validation == 120
    alone = load_final_splits(replace(settings, final_uses_validation=False))
    assert (len(alone.train), alone.own_validation) == (1080, 0)


def test_configurations_are_written_and_identified_as_before_while_it_is_the_default() -> None:
    settings = ImageFolder(root="birds")
    assert "final_uses_validation" not in to_plain(settings) | identifying(settings)
    without = replace(settings, final_uses_validation=False)
    assert to_plain(without)["final_uses_validation"] is False


@pytest.mark.parametrize(
    ("settings", "fingerprint"),
    [
        (DigitsLT(), "6850a25ea6acd1869828"),
        (
            GaussianLT(head_count=50, test_per_class=10),
            "80c7557f7254785f98d9",
        ),
    ],
)
def test_cut_sets_have_the_final_data_of_versions_before(
    settings: DigitsLT | GaussianLT, fingerprint: str
) -> None:
    final = load_final_splits(settings)
    assert final.own_validation is None
    assert final.description.fingerprint.startswith(fingerprint)


def test_a_folder_without_a_validation_split_has_the_final_data_of_versions_before(
    tree: Tree,
) -> None:
    levels = {f"{name}/{n}.png": 20 * n + 7 for name in ("cat", "dog") for n in range(6)}
    root = tree({name: np.full((8, 8, 3), grey, np.uint8) for name, grey in levels.items()})
    final = load_final_splits(folder(root))
    assert final.own_validation is None
    assert final.description.fingerprint.startswith("e9086301bfbd31c85feb")


def located(final: FinalSplits) -> list[tuple[int, str | None]]:
    assert final.test_locations is not None
    rows = final.test_locations.rows_n.tolist()
    return list(zip(rows, final.test_locations.paths(0, 10**9), strict=True))


@SOURCES
def test_every_test_image_can_be_looked_up_by_its_path(
    root: Path, source: Callable[[Path], FittedImages]
) -> None:
    settings = source(root)
    for limit in (2.0, 1e-9):
        final = load_final_splits(replace(settings, in_memory_limit=limit))
        found = located(final)
        assert [row for row, _ in found] == [0, 1, 2, 3]
        for (_, path), grey in zip(found, greys(final.test), strict=True):
            assert path is not None
            assert np.asarray(Image.open(path)).flat[0] == grey


def test_a_row_of_a_parquet_file_without_paths_is_looked_up_by_its_number(root: Path) -> None:
    settings = parquet(root)
    table = pq.read_table(settings.test)
    images = [{"bytes": image["bytes"]} for image in table["image"].to_pylist()]
    images[1]["bytes"] = b"no image"
    pq.write_table(table.set_column(0, "image", [images]), settings.test)
    final = load_final_splits(replace(settings, unreadable="skip"))
    assert located(final) == [(0, None), (2, None), (3, None)]
    for (row, _), grey in zip(located(final), greys(final.test), strict=True):
        assert np.asarray(Image.open(io.BytesIO(images[row]["bytes"]))).flat[0] == grey


def test_a_scanned_digit_is_looked_up_by_its_row_in_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    final = load_final_splits(DigitsLT())
    rows = [row for row, path in located(final) if path is None]
    assert len(rows) == 400
    assert load_digits().target[rows].tolist() == final.test.labels_n.tolist()
    grey = np.rint(load_digits().images[rows] * (255 / 16)).astype(np.uint8)
    assert torch.equal(final.test.images_nhwd, torch.from_numpy(grey[..., np.newaxis]))


def test_prepared_files_keep_the_paths_of_a_source_that_is_prepared_again(root: Path) -> None:
    first = parquet(root)
    again = root.parent / "again.parquet"
    source = open_source([Path(first.train), Path(first.test)], SourceOptions())
    prepare_split(source.splits["test"], source.class_names, again, Preparation(size=8), threads=2)
    paths = [image["path"] for image in pq.read_table(again)["image"].to_pylist()]
    assert paths == [str(path) for path in sorted((root / "test").rglob("*.png"))]
