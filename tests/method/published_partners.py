"""How UniMix draws partners: numbers of METHODS_TO_COMPARE.md section 2."""

from __future__ import annotations

COUNTS = (100, 50, 20, 5)
"""The training images of each class."""

BATCH_LABELS = (0, 0, 0, 1, 1, 2, 3)
"""The labels of the one batch in which partners are drawn."""

CLASSES_BY_TAU = [
    (-1.0, (0.035714, 0.071429, 0.178571, 0.714286)),
    (0.0, (0.25, 0.25, 0.25, 0.25)),
    (0.5, (0.420534, 0.297363, 0.188069, 0.094034)),
    (1.0, (0.571429, 0.285714, 0.114286, 0.028571)),
]
"""τ and the probability of each class, of partners from the whole set."""

IMAGES_BY_T = [
    (-0.5, (*[0.079766] * 3, *[0.112807] * 2, 0.178363, 0.356725)),
    (-0.1, (*[0.130421] * 3, *[0.139782] * 2, 0.153196, 0.175975)),
    (0.0, (1 / 7,) * 7),
]
"""The released t = τ − 1 and the probability of each image of the batch."""
