"""Labelled images: sources, long-tailed splits and their description.

Names are imported on first use, so that the processes that decode images do not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balpoe.data.loading import (
        load_final_splits,
        load_search_splits,
        load_test_images,
    )
    from balpoe.data.splits import (
        DataDescription,
        FinalSplits,
        Images,
        ImageSet,
        Normalisation,
        SearchSplits,
    )

__all__ = [
    "IMAGE_COLUMN",
    "LABEL_COLUMN",
    "DataDescription",
    "FinalSplits",
    "ImageSet",
    "Images",
    "Normalisation",
    "SearchSplits",
    "load_final_splits",
    "load_search_splits",
    "load_test_images",
]

IMAGE_COLUMN, LABEL_COLUMN = "image", "label"
"""The default columns of Parquet files, as the Hugging Face convention has them."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'balpoe.data' has no attribute {name!r}")
    module = "loading" if name.startswith("load_") else "splits"
    return getattr(importlib.import_module(f"balpoe.data.{module}"), name)
