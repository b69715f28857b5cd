"""Loading of the splits of any data source."""

from __future__ import annotations

from balpoe.config import DataSource, load_object
from balpoe.data.source import Source
from balpoe.data.splits import FinalSplits, Images, SearchSplits


def source_of(settings: DataSource) -> Source:
    """Construct the reading part of a source."""
    source = load_object(settings.reader)(settings)
    assert isinstance(source, Source)
    return source


def load_search_splits(settings: DataSource) -> SearchSplits:
    """Return training and validation images for a search, without reading test images.

    Raises:
        DataError: The images or labels cannot be used; the message names the place and the fix.
        StorageError: A file cannot be read.
    """
    return source_of(settings).search_splits()


def load_final_splits(settings: DataSource) -> FinalSplits:
    """Return the whole training set that the source defines, and the test set.

    Raises:
        DataError: The images or labels cannot be used; the message names the place and the fix.
        StorageError: A file cannot be read.
    """
    return source_of(settings).final_splits()


def load_validation_images(settings: DataSource) -> Images:
    """Return the validation images of a search; sources of encoded images decode no others.

    Raises:
        NoValidationImages: The source has none.
        DataError: The images or labels cannot be used; the message names the place and the fix.
        StorageError: A file cannot be read.
    """
    return source_of(settings).validation_images()


def load_test_images(settings: DataSource) -> Images:
    """Return the test set; sources of encoded images leave training images undecoded.

    Raises:
        DataError: The images or labels cannot be used; the message names the place and the fix.
        StorageError: A file cannot be read.
    """
    return source_of(settings).test_images()
