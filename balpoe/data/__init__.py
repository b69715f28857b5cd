"""Labelled images: sources, long-tailed splits and what a model must know of them.

Each name is imported when it is first used: the processes that decode images import modules of
this package too, and would otherwise all load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from balpoe.data.loading import (
        load_final_splits,
        load_search_splits,
        load_test_images,
        with_absolute_paths,
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
    "DataDescription",
    "FinalSplits",
    "ImageSet",
    "Images",
    "Normalisation",
    "SearchSplits",
    "load_final_splits",
    "load_search_splits",
    "load_test_images",
    "with_absolute_paths",
]

_LOADING = {
    "load_final_splits",
    "load_search_splits",
    "load_test_images",
    "with_absolute_paths",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'balpoe.data' has no attribute {name!r}")
    home = "balpoe.data.loading" if name in _LOADING else "balpoe.data.splits"
    return getattr(importlib.import_module(home), name)
