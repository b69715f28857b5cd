"""Fixtures that write small image files, and real data sets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

REAL_IMAGES = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def cifar10() -> tuple[str, str]:
    """Return the training and the test file of CIFAR-10."""
    paths = tuple(REAL_IMAGES / f"cifar10_jpeg_{split}.parquet" for split in ("train", "test"))
    for path in paths:
        if not path.exists():
            pytest.skip(f"{path} is not there")
    return str(paths[0]), str(paths[1])


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., str]:
    """Write images (arrays, or bytes as they are) and labels in the Hugging Face convention."""

    def write(
        name: str,
        images: Sequence[NDArray[np.generic] | bytes | None],
        labels: Sequence[int | float | None],
        *,
        columns: tuple[str, str] = ("image", "label"),
        class_names: Sequence[str] | None = None,
        metadata: bytes | None = None,
        row_group_size: int = 7,
        compression: str = "zstd",
    ) -> str:
        encoded = [png(image) if isinstance(image, np.ndarray) else image for image in images]
        table = pa.table(
            {
                columns[0]: [{"bytes": content, "path": None} for content in encoded],
                columns[1]: labels,
            },
            schema=pa.schema(
                {
                    columns[0]: pa.struct({"bytes": pa.binary(), "path": pa.string()}),
                    columns[1]: pa.array(labels).type,
                }
            ),
        )
        if class_names is not None:
            feature = {"names": list(class_names), "_type": "ClassLabel"}
            metadata = json.dumps({"info": {"features": {columns[1]: feature}}}).encode()
        if metadata is not None:
            table = table.replace_schema_metadata({b"huggingface": metadata})
        path = tmp_path / f"{name}.parquet"
        pq.write_table(
            table,
            path,
            row_group_size=row_group_size,
            compression=compression,
            write_page_checksum=True,
        )
        return str(path)

    return write


@pytest.fixture
def numbered_images() -> Callable[..., list[NDArray[np.uint8]]]:
    """Return images of noise whose first pixel is their row."""

    def make(count: int, channels: int = 3) -> list[NDArray[np.uint8]]:
        noise = np.random.default_rng(count).integers(256, size=(count, 6, 4, channels))
        noise[:, 0, 0, 0] = np.arange(count)
        return list(noise.astype(np.uint8))

    return make


def png(image: NDArray[np.generic]) -> bytes:
    """Return a lossless encoding of an image."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Write files (arrays as PNG, bytes as they are) below a folder, by their names."""

    def write(files: Mapping[str, NDArray[np.uint8] | bytes], folder: str = "tree") -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(content) if isinstance(content, np.ndarray) else content)
        return root

    return write
