"""The table of data sources, and the settings that several of them share.

A study file chooses a source by its `name`; the other fields are the settings of that source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from balpoe.config.bounds import Bounds, Count, Positive, Ratio, Real, Seed
from balpoe.config.entry_tables import Entry, Table
from balpoe.config.plain_data import ADDED_SECTION
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem

ImageSize = Annotated[int, Bounds(at_least=5, at_most=1024)]
"""Below 5 pixels, the last stage of the networks has one pixel: too few for batch statistics."""

Channels = Literal[1, 3]
Unreadable = Literal["refuse", "skip"]
AnySource = TypeVar("AnySource", bound="DataSource")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(Entry):
    """The settings of a source of labelled images; abstract.

    `reader` is the import string of a `balpoe.data.source.Source`, which is constructed with the
    settings. `path_fields` are the fields that hold paths of files or folders, or None. With
    `is_fetched`, `Source.fetch` is called before a study starts.
    """

    reader: ClassVar[str]
    path_fields: ClassVar[tuple[str, ...]] = ()
    is_fetched: ClassVar[bool] = False

    name: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The files and folders that the source reads."""
        values = (getattr(self, name) for name in self.path_fields)
        return tuple(path for path in values if path is not None)

    @property
    def may_download(self) -> bool:
        """Whether fetching may download files, which takes minutes."""
        return False

    def with_absolute_paths(self: AnySource) -> AnySource:
        """Return the same source with absolute paths, valid in any working directory."""
        given: dict[str, Any] = {name: getattr(self, name) or None for name in self.path_fields}
        return replace(self, **{n: p and str(Path(p).resolve()) for n, p in given.items()})


DATA_SOURCES = Table(
    DataSource, package="balpoe.data.sources", group="balpoe.data_sources", may_require=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongTailed(DataSource):
    """Settings of a set that can be cut to a long tail; abstract.

    With an `imbalance_ratio` the training images are cut to a long tail whose first class has
    `head_count` images (by default all of them). Without a ratio the class counts of the set are
    used as they are. `mean` and `std` (per channel, of pixels scaled to 0..1) are measured on the
    training images unless they are given.
    """

    imbalance_ratio: Ratio | None = None
    head_count: Count | None = None
    validation_per_class: Count | None = None
    mean: tuple[Real, ...] | None = None
    std: tuple[Positive, ...] | None = None
    subset_seed: Seed = 0

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require as many means as standard deviations, and a head count only with a cut."""
        if self.head_count is not None and self.imbalance_ratio is None:
            message = "is only used with imbalance_ratio: give imbalance_ratio too, or leave it out"
            yield FieldProblem("head_count", message)
        if len(self.mean or ()) != len(self.std or ()):
            yield FieldProblem("std", f"must have as many numbers as mean, got {shown(self.std)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedImages(LongTailed):
    """Settings of a set whose images are decoded from files; abstract.

    Images of other sizes are scaled until they cover a square of `image_size` pixels and cropped
    around their centre; they are never stretched (`balpoe.data.decoding.image_decoding.fit_image`).
    `channels` are 3 (grey images become colour) or 1 (colour images become grey). With
    `unreadable: skip`, images that cannot be decoded are left out and counted. If the decoded
    images need more than `in_memory_limit` GiB, each batch is decoded when it is needed.

    Without an `imbalance_ratio`, final training uses every labelled image outside the test set.
    With `final_uses_validation: false` it leaves out the set's own validation split.
    """

    image_size: ImageSize | None = None
    channels: Channels | None = None
    unreadable: Unreadable = "refuse"
    in_memory_limit: Positive = 2.0
    final_uses_validation: bool = field(default=True, metadata=ADDED_SECTION)
