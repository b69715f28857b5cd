"""Files, folders and Parquet files of images: all found, in order, and read a batch at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.errors import DataError, UserError
from balpoe.inference.input_images import InputImages, LocatedImages
from balpoe.inference.prediction_file import prediction_writer
from balpoe.training.prediction import PREDICTION_BATCH

SHAPE = ImageShape(8, 10, 3)
Pixels = NDArray[np.uint8]


def png(image: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path, encoded: Sequence[bytes | None], *, row_group_size: int = 7, column: str = "image"
) -> Path:
    structs = [{"bytes": one, "path": None} for one in encoded]
    type_ = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pa.table({column: pa.array(structs, type_), "other": list(range(len(structs)))})
    pq.write_table(table, path, row_group_size=row_group_size, write_page_checksum=True)
    return path


def sources_of(*paths: Path, **options: Any) -> InputImages:
    return InputImages(paths, **{"image_column": "image", **options})


def everything(sources: InputImages, **options: Any) -> LocatedImages:
    batches = list(sources.batches(SHAPE, **options))
    return LocatedImages(
        tuple(path for batch in batches for path in batch.paths),
        tuple(row for batch in batches for row in batch.rows),
        torch.cat([batch.images_bhwd for batch in batches]),
    )


@pytest.fixture
def tree(tmp_path: Path, images_nhwd: Pixels) -> Path:
    """Images at two depths, in names of several scripts, with stray files."""
    root = tmp_path / "tree"
    for name, i in {"b/2.png": 1, "a/ä b.PNG": 0, "b/10.png": 2, "鳥.bmp": 3}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(images_nhwd[i]))
    for stray in ("notes.txt", "b/.DS_Store", "b/._2.png", ".git/x.png"):
        (root / stray).parent.mkdir(parents=True, exist_ok=True)
        (root / stray).write_bytes(b"stray")
    return root


def test_a_folder_is_searched_to_the_bottom_in_the_order_of_names(
    tree: Path, images_nhwd: Pixels
) -> None:
    sources = sources_of(tree)
    assert (sources.images, sources.ignored) == (4, 3)
    found = everything(sources)
    assert [Path(path).relative_to(tree).as_posix() for path in found.paths] == [
        "鳥.bmp",
        "a/ä b.PNG",
        "b/10.png",
        "b/2.png",
    ]
    assert found.rows == (None,) * 4
    np.testing.assert_array_equal(found.images_bhwd.numpy(), images_nhwd[[3, 0, 2, 1]])


@pytest.mark.parametrize("row_group_size", [1, 7, 100])
def test_every_row_of_a_parquet_file_comes_with_its_number(
    tmp_path: Path, images_nhwd: Pixels, row_group_size: int
) -> None:
    encoded = [png(image) for image in images_nhwd]
    file = write_parquet(tmp_path / "images.parquet", encoded, row_group_size=row_group_size)
    sources = sources_of(file)
    assert (sources.images, sources.ignored) == (30, 0)
    found = everything(sources)
    assert found.paths == (str(file),) * 30
    assert found.rows == tuple(range(30))
    np.testing.assert_array_equal(found.images_bhwd.numpy(), images_nhwd)


def test_folders_files_and_parquet_files_come_together_in_batches(
    tree: Path, tmp_path: Path, images_nhwd: Pixels
) -> None:
    encoded = [png(images_nhwd[i % 30]) for i in range(PREDICTION_BATCH + 10)]
    write_parquet(tree / "c.parquet", encoded)
    oddly_named = tmp_path / "image_without_suffix"
    oddly_named.write_bytes(png(images_nhwd[5]))
    sources = sources_of(oddly_named, tree)
    sizes = [len(batch.paths) for batch in sources.batches(SHAPE)]
    assert sizes == [PREDICTION_BATCH, 15]
    assert sources.images == sum(sizes)


def test_earlier_predictions_that_are_replaced_are_no_source(tree: Path) -> None:
    out = tree / "predictions.parquet"
    with prediction_writer(out, ("cat", "dog"), experts=0, about={}):
        pass
    found = sources_of(tree, without=out)
    assert (found.images, found.ignored) == (4, 3)
    with pytest.raises(DataError, match=r"predictions\.parquet: no column 'image'"):
        sources_of(tree)


@pytest.mark.parametrize("name", ["mine.parquet", "labels.parquet", "b/2.png", "notes.txt"])
def test_a_file_among_the_images_that_is_no_earlier_predictions_is_never_replaced(
    tree: Path, images_nhwd: Pixels, name: str
) -> None:
    write_parquet(tree / "mine.parquet", [png(images_nhwd[0])])
    if name == "labels.parquet":
        pq.write_table(pa.table({"label": [0]}), tree / "labels.parquet")
    with pytest.raises(UserError, match=rf"{name}: is among the images .* file with --out$"):
        sources_of(tree, without=tree / name)


def test_an_input_is_not_replaced_under_another_name_either(
    tree: Path, tmp_path: Path, images_nhwd: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_parquet(tmp_path / "mine.parquet", [png(images_nhwd[0])])
    (tmp_path / "link.parquet").symlink_to(file)
    monkeypatch.chdir(tmp_path)
    for given, out in [
        (file, Path("mine.parquet")),
        (tmp_path / "link.parquet", file),
        (tree / "b/2.png", tree / "a/../b/2.png"),
    ]:
        with pytest.raises(UserError, match="would be overwritten: name another file"):
            sources_of(given, without=out)


def test_results_do_not_depend_on_the_number_of_threads(
    tmp_path: Path, images_nhwd: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_parquet(tmp_path / "images.parquet", [png(image) for image in images_nhwd])
    one = everything(sources_of(file))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    several = everything(sources_of(file))
    assert several.rows == one.rows
    assert torch.equal(several.images_bhwd, one.images_bhwd)


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_can_be(
    tmp_path: Path, images_nhwd: Pixels
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(png(images_nhwd[0]))
    (path,) = everything(sources_of(tmp_path)).paths
    assert pa.array([path]).type == pa.string()
    assert path.startswith(str(tmp_path / "caf"))


def test_links_are_followed_but_not_in_circles(
    tree: Path, tmp_path: Path, images_nhwd: Pixels
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.png").write_bytes(png(images_nhwd[7]))
    (tree / "link").symlink_to(tmp_path / "elsewhere")
    assert sources_of(tree).images == 5
    (tree / "a/circle").symlink_to(tree)
    with pytest.raises(DataError, match=r"a/circle: links to a folder that contains it"):
        sources_of(tree)


def test_an_unreadable_image_is_refused_with_its_place_or_left_out_on_request(
    tree: Path, tmp_path: Path, images_nhwd: Pixels
) -> None:
    whole = png(images_nhwd[0])
    (tree / "a/truncated.png").write_bytes(whole[: len(whole) // 2])
    file = write_parquet(tmp_path / "rows.parquet", [whole, b"no image", whole])
    with pytest.raises(DataError, match=r"a/truncated\.png: the image cannot be decoded"):
        everything(sources_of(tree))
    os.mkfifo(tree / "a/waiting.png")
    with pytest.raises(DataError, match=r"rows\.parquet, row 1: the image cannot be decoded"):
        everything(sources_of(file))
    errors: list[DataError] = []
    found = everything(sources_of(tree, file), on_unreadable=errors.append)
    assert len(found.paths) == 6
    assert found.rows[-2:] == (0, 2)
    assert len(errors) == 3


def _missing(tmp_path: Path) -> Path:
    return tmp_path / "nowhere"


def _empty_folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/notes.txt").write_text("")
    return tmp_path / "folder"


def _other_column(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "a.parquet", [b""], column="picture")


def _column_of_numbers(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"image": [1, 2]}), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def _no_parquet(tmp_path: Path) -> Path:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 or not")
    return tmp_path / "a.parquet"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, r"nowhere: no such file or folder"),
        (_empty_folder, r"folder: no images found \(1 other files\)"),
        (_other_column, r"a\.parquet: no column 'image' among picture, other: name it with"),
        (_column_of_numbers, r"a\.parquet: column 'image' is int64, not struct<bytes"),
        (_no_parquet, r"a\.parquet: damaged, or not a Parquet file"),
    ],
)
def test_what_holds_no_images_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        sources_of(make(tmp_path))


def test_rows_without_bytes_and_flipped_bits_are_refused(
    tmp_path: Path, images_nhwd: Pixels
) -> None:
    file = write_parquet(tmp_path / "a.parquet", [png(images_nhwd[0]), None])
    with pytest.raises(DataError, match=r"a\.parquet, row 1: image\.bytes is null: embed"):
        everything(sources_of(file))
    noise = np.random.default_rng(0).bytes(50_000)
    damaged = write_parquet(tmp_path / "b.parquet", [noise])
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=r"b\.parquet: damaged"):
        everything(sources_of(damaged))
