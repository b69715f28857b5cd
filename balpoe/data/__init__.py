"""Labelled images in memory: sources, long-tailed splits and what a model must know of them."""

from balpoe.data.loading import load_final_splits, load_search_splits, with_absolute_paths
from balpoe.data.splits import (
    DataDescription,
    FinalSplits,
    ImageSet,
    Normalisation,
    SearchSplits,
)

__all__ = [
    "DataDescription",
    "FinalSplits",
    "ImageSet",
    "Normalisation",
    "SearchSplits",
    "load_final_splits",
    "load_search_splits",
    "with_absolute_paths",
]
