from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from balpoe.errors import DataError
from balpoe.inference import Classifier
from balpoe.inference.target_prior import known_prior


@pytest.fixture
def prior_of(classifier: Classifier) -> Callable[[Any], torch.Tensor]:
    return lambda target: known_prior(target, classifier.provenance.description)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("train", [60 / 91, 20 / 91, 8 / 91, 3 / 91]),
        ("uniform", [0.25] * 4),
        ([0.5, 0.25, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0]),
        ([5, 2, 2, 1], [0.5, 0.2, 0.2, 0.1]),
        ([1.0, 0, 0, 0], [1.0, 0, 0, 0]),
        (np.array([5, 2, 2, 1]), [0.5, 0.2, 0.2, 0.1]),
        (np.array([0.1, 0.2, 0.3, 0.4], np.float32), [0.1, 0.2, 0.3, 0.4]),
        (torch.tensor([1, 1, 1, 1]), [0.25] * 4),
        ({"鳥": 1, "cat": 5, "dog": 2, "Übermut": 2}, [0.5, 0.2, 0.2, 0.1]),
    ],
)
def test_every_form_becomes_frequencies(
    prior_of: Callable[[Any], torch.Tensor], target: Any, expected: list[float]
) -> None:
    prior_c = prior_of(target)
    assert prior_c.dtype == torch.float64
    assert_close(prior_c, torch.tensor(expected, dtype=torch.float64), rtol=1e-7, atol=0)
    assert float(prior_c.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (5, "must be train, uniform, estimate or numbers for the 4 classes, got 5$"),
        (dict.fromkeys(("cat", "dog", "Übermut", "鳥"), "many"), r'4 classes, got {"cat": "many"'),
        (["a", "b", "c", "d"], r'numbers for the 4 classes, got \["a", "b"'),
        ([1, None, 1, 1], r"4 classes, got \[1, null, 1, 1\]"),
        ([[1], [1], [1], [1]], r"4 classes, got \[\[1\]"),
        ([10**400, 1, 1, 1], r"numbers for the 4 classes, got"),
        ("balanced", r'must be train, uniform, estimate or numbers for the 4 classes, got "bal'),
        ([0.5, 0.5], "must be 4 numbers, one per class, got 2"),
        ([0.5, 0.5, 0.5, 0.5], "sums to 2: must be probabilities, which sum to 1, or counts"),
        ([0, 0, 0, 0], "sums to 0"),
        ([1, 2, -1, 4], "class 2 has -1: must be finite and at least 0"),
        ([0.5, float("nan"), 0.5, 0], "class 1 has nan: must be finite"),
        ({"cat": 1, "dgo": 1}, '"dgo" is not a class of the model; did you mean dog'),
        ({"cat": 1, "dog": 1}, r"2 of 4 classes are missing \(the first is \"Übermut\"\)"),
    ],
)
def test_what_is_no_prior_of_these_classes_is_refused(
    prior_of: Callable[[Any], torch.Tensor], target: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prior_of(target)
