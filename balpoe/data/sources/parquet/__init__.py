"""Images in Parquet files in the Hugging Face convention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.data import DATA_SOURCES, FittedImages, LongTailed
from balpoe.data import IMAGE_COLUMN, LABEL_COLUMN
from balpoe.errors import FieldProblem

"""The default columns of Parquet files."""


@DATA_SOURCES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetImages(FittedImages):
    """Images in Parquet files in the Hugging Face convention.

    `train`, `test` and the optional `validation` are paths. Without an `image_size` all images
    must have the size and the channels of the first one.
    """

    reader: ClassVar[str] = "balpoe.data.sources.parquet.images:ParquetSource"
    path_fields: ClassVar[tuple[str, ...]] = ("train", "test", "validation")

    name: Literal["parquet"] = "parquet"
    train: str
    test: str
    validation: str | None = None
    image_column: str = IMAGE_COLUMN
    label_column: str = LABEL_COLUMN

    def further_problems(self) -> Iterator[FieldProblem]:
        """Allow `channels` only with an `image_size`: otherwise the first image decides."""
        yield from LongTailed.further_problems(self)
        if self.channels is not None and self.image_size is None:
            message = "is only used with image_size: give image_size too, or leave it out"
            yield FieldProblem("channels", message)
