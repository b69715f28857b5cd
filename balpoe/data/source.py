"""The reading part of a data source."""

from __future__ import annotations

from abc import ABC, abstractmethod

from balpoe.data.splits import FinalSplits, Images, SearchSplits


class Source(ABC):
    """Reads the images of a source; constructed with its settings.

    All methods raise `DataError` if the images or labels cannot be used, with the place and the
    fix, and `StorageError` if a file cannot be read.
    """

    @abstractmethod
    def search_splits(self) -> SearchSplits:
        """Return training and validation images for a search, without reading test images."""

    @abstractmethod
    def final_splits(self) -> FinalSplits:
        """Return the whole training set that the source defines, and the test set."""

    def validation_images(self) -> Images:
        """Return the validation images of a search.

        Raises:
            NoValidationImages: The source has none.
        """
        return self.search_splits().validation

    def test_images(self) -> Images:
        """Return the test set."""
        return self.final_splits().test

    def fetch(self) -> None:  # noqa: B027 - most sources have nothing to fetch
        """Download missing files if the settings allow it."""
