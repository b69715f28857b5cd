"""Decisions of a model by the costs that its configuration holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import balpoe
from balpoe.config import CostMatrix
from balpoe.errors import DataError
from balpoe.inference import Classifier, TargetPrior
from balpoe.inference.prediction_file import METADATA
from balpoe.training.model_directory import load_model
from tests.inference.conftest import CLASSES, SaveModel

# in another order than the classes of the model; missing a bird (鳥) is dear
COSTS = CostMatrix(
    classes=("鳥", "cat", "Übermut", "dog"),
    rows=((0, 30, 30, 30), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)),
)


@pytest.fixture(scope="module")
def path(save_model_of: SaveModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model_of(tmp_path_factory.mktemp("costly") / "model", cost=COSTS)


def by_hand(probabilities_nc: NDArray[np.float32]) -> list[str]:
    """The class of least expected cost of each image."""
    names = []
    for p in probabilities_nc.astype(float):
        p_of = dict(zip(CLASSES, p, strict=True))
        expected = {
            predicted: sum(
                p_of[true] * row[j] for true, row in zip(COSTS.classes, COSTS.rows, strict=True)
            )
            for j, predicted in enumerate(COSTS.classes)
        }
        names.append(min(CLASSES, key=lambda name: expected[name]))
    return names


def test_the_costs_of_a_model_are_computed_once(path: Path) -> None:
    provenance = load_model(path).provenance
    assert provenance.cost_cc is not None
    assert provenance.cost_cc is provenance.cost_cc


@pytest.mark.parametrize("prior", [None, "train", [1, 1, 1, 60]])
def test_predict_decides_by_costs_under_the_assumed_prior(
    path: Path, images_nhwd: NDArray[np.uint8], prior: TargetPrior | None
) -> None:
    classifier = Classifier(load_model(path), torch.device("cpu"))
    probabilities_nc = classifier.predict_proba(images_nhwd, prior)
    predicted = classifier.predict(images_nhwd, prior).tolist()
    assert predicted == by_hand(probabilities_nc)
    most_probable = [CLASSES[y] for y in probabilities_nc.argmax(axis=1)]
    assert predicted != most_probable or prior == [1, 1, 1, 60]
    assert classifier.score(images_nhwd, most_probable, prior) == pytest.approx(
        np.mean([a == b for a, b in zip(predicted, most_probable, strict=True)])
    )


def test_the_file_of_predictions_holds_decisions_and_costs(
    path: Path, images_nhwd: NDArray[np.uint8], tmp_path: Path
) -> None:
    for i, image in enumerate(images_nhwd):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    report = balpoe.predict(path, [tmp_path], prior="train", out=tmp_path / "out.parquet")
    table = pq.read_table(report.out).to_pydict()
    probabilities_nc = np.array(table["probabilities"], dtype=np.float32)
    assert table["predicted"] == by_hand(probabilities_nc)
    indices = [CLASSES.index(name) for name in table["predicted"]]
    assert table["probability"] == probabilities_nc[np.arange(len(indices)), indices].tolist()
    about = json.loads(pq.read_schema(report.out).metadata[METADATA])
    assert about["cost"] == [list(row) for row in COSTS.in_order(CLASSES)]


def test_costs_of_other_classes_are_refused_by_name() -> None:
    costs = CostMatrix(classes=("cat", "dgo"), rows=((0, 1), (1, 0)))
    messages = [message for _, message in costs.mismatches(("cat", "dog"))]
    assert messages == [
        '"dgo" is no class of the data; did you mean dog?',
        'the class "dog" has no costs: add its row and its column',
    ]
    from balpoe.training.costs import cost_tensor, refuse_other_classes

    with pytest.raises(DataError, match='cost: "dgo" is no class'):
        cost_tensor(costs, ("cat", "dog"))
    more = r"^a\.yaml cost: (\S+ is no class.*; ){2}the class \"0\" has no costs.*; and 9 more$"
    with pytest.raises(DataError, match=more):
        refuse_other_classes(costs, tuple("0123456789"), "a.yaml cost")
