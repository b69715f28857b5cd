from __future__ import annotations

import hashlib
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from balpoe.config import Configuration
from balpoe.config.loss import LOSSES
from balpoe.data.splits import DataDescription, FinalSplits, ImageSet
from balpoe.evaluation.class_results import ClassResults, ResultsByPrior, as_plain
from balpoe.evaluation.temperature import Temperatures
from balpoe.training.final_training import FinalTraining, train_final
from balpoe.training.model_card import model_card, write_model_card
from balpoe.training.model_directory import Calibration, TrainedModel, load_model
from balpoe.training.model_files import CARD, MANIFEST, METRICS, MODEL
from balpoe.training.stored_results import read_results

CARRIED = Calibration(Temperatures(1.25, (0.5, 2.0)), "carried over from 18 images of trial 7")


def train_seed(
    configuration: Configuration, splits: FinalSplits, path: Path, seed: int
) -> TrainedModel:
    return train_final(
        FinalTraining(
            replace(configuration, training=replace(configuration.training, epochs=1)),
            seed=seed,
            path=path,
            balpoe_version="1.2.3",
            calibration=CARRIED,
        ),
        splits,
        torch.device("cpu"),
        lambda result: None,
    )


@pytest.fixture
def splits(train: ImageSet, validation: ImageSet, description: DataDescription) -> FinalSplits:
    named = replace(description, class_names=("cat", "dog | hound", "鳥"))
    return FinalSplits(train, validation, named)


def rows(card: str) -> list[list[str]]:
    """The cells of all tables' rows."""
    lines = [line for line in card.splitlines() if line.startswith("| ")]
    return [re.split(r" (?<!\\)\| ", line.removeprefix("| ").removesuffix(" |")) for line in lines]


def test_every_model_directory_has_a_card_of_its_data_experts_metrics_and_limits(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    train_seed(configuration, splits, tmp_path / "model", 4)
    card = (tmp_path / "model" / CARD).read_text()
    cells = rows(card)
    assert ["cat", "30", "63.83%"] in cells
    assert [r"dog \| hound", "12", "25.53%"] in cells
    assert ["0", "1", "0.5"] in cells
    assert ["1", "-1", "2"] in cells
    final = json.loads((tmp_path / "model" / METRICS).read_text())["final"]
    assert ["accuracy", f"{final['test/accuracy']:.4f}", "–"] in cells
    assert ["ece", f"{final['test/ece']:.4f}", "–"] in cells
    for text in (
        "# model",
        "seed 4",
        "imbalance ratio 6; many/medium/few classes: 0/1/2",
        "47 training images, 8x8 grey",
        "The mean λ is 0: without a target prior the probabilities stand for equal",
        "1.25 for the ensemble, carried over from 18 images of trial 7",
        "n = 1 seed(s)",
        "2 class(es) had fewer than 20 training images",
    ):
        assert text in card


@pytest.mark.parametrize(
    ("loss", "class_lambdas", "shown", "sentences"),
    [
        (
            "class_balanced",
            None,
            "–",
            (
                "2 expert(s) of a product of experts with the loss class_balanced",
                "class frequencies from 33.",
            ),
        ),
        (
            "logit_adjustment",
            ((1.0, 0.0, -1.0), (-1.0, 0.0, 1.0)),
            "per class",
            ("(BalPoE", "Without a target prior the probabilities stand for equal class"),
        ),
    ],
)
def test_the_card_names_no_lambda_where_experts_have_no_single_one(
    configuration: Configuration,
    splits: FinalSplits,
    tmp_path: Path,
    loss: str,
    class_lambdas: tuple[tuple[float, ...], ...] | None,
    shown: str,
    sentences: tuple[str, ...],
) -> None:
    chosen = replace(
        configuration,
        loss=LOSSES[loss](),
        experts=replace(configuration.experts, lambdas=None, class_lambdas=class_lambdas),
    )
    train_seed(chosen, splits, tmp_path / "model", 4)
    card = (tmp_path / "model" / CARD).read_text()
    assert ["0", shown, "0.5"] in rows(card)
    assert "mean λ" not in card
    for sentence in sentences:
        assert sentence in card
    stored = read_results(tmp_path / "model")
    assert stored.lambdas is None
    assert stored.shown_lambdas == (shown, shown)
    assert stored.summary is not None
    assert [expert.lam for expert in stored.summary.experts] == [None, None]
    target_c = load_model(tmp_path / "model").provenance.priors.of_product().tolist()
    assert stored.summary.ensemble.target_prior_c == pytest.approx(target_c, rel=1e-6)


def test_the_card_of_several_seeds_has_their_mean_and_sd(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    models = [train_seed(configuration, splits, tmp_path / f"seed_{s}", s) for s in (1, 2, 3)]
    write_model_card(tmp_path, models)
    card = (tmp_path / CARD).read_text()
    assert f"# {tmp_path.name}" in card
    assert "seed 1, 2, 3" in card
    assert "n = 3 seed(s)" in card
    assert "the spread over seeds is not known well" not in card
    values = [model.metrics["final"]["test/nll"] for model in models]
    mean, sd = statistics.fmean(values), statistics.stdev(values)
    assert ["nll", f"{mean:.4f}", f"{sd:.4f}"] in rows(card)
    values = [model.metrics["final"]["test_forward_5_known_prior/accuracy"] for model in models]
    (shift,) = (cells for cells in rows(card) if cells[0] == "forward 5")
    assert shift[6] == f"{statistics.fmean(values):.4f} ({statistics.stdev(values):.4f})"


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (7, "47 training images, 8x8 grey, 7 of them from the set's own validation split\n"),
        (0, "47 training images, 8x8 grey; the set's own validation split was not used\n"),
        (None, "47 training images, 8x8 grey\n"),
    ],
)
def test_the_card_states_whether_the_set_s_own_validation_split_was_used(
    configuration: Configuration,
    splits: FinalSplits,
    tmp_path: Path,
    images: int | None,
    text: str,
) -> None:
    model = train_seed(configuration, replace(splits, own_validation=images), tmp_path / "model", 0)
    assert model.provenance.own_validation == images
    assert text in (tmp_path / "model" / CARD).read_text()


def test_the_card_has_images_and_both_priors_of_every_shift(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    model = train_seed(configuration, splits, tmp_path / "model", 0)
    numbers = model.metrics["distributions"]
    final = model.metrics["final"]
    assert len(numbers) == 11
    card = (tmp_path / "model" / CARD).read_text()
    weighted = [name.replace("_", " ") for name, row in numbers.items() if row["weighted"]]
    assert weighted
    assert "is cut where every class keeps an image; otherwise all images are weighted" in card
    assert f"has no images. Weighted: {', '.join(weighted)}.\n" in card
    for row in numbers.values():  # as in models of earlier versions
        del row["weighted"]
    write_model_card(tmp_path, [model])
    assert "has no images.\n" in (tmp_path / CARD).read_text()
    cells = {row[0].replace(" ", "_"): row for row in rows((tmp_path / "model" / CARD).read_text())}
    for name in numbers.keys() - {"test"}:
        assert cells[name] == [
            name.replace("_", " "),
            f"{numbers[name]['images']:,}",
            f"{numbers[name]['effective_images']:,.0f}",
            *(
                f"{final[f'test_{name}{known}/{metric}']:.4f} (–)"
                for known in ("", "_known_prior")
                for metric in ("accuracy", "ece", "ece_floor")
            ),
        ]


def test_the_card_has_dashes_where_a_class_has_no_test_images(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    kept = splits.test.labels_n != 2
    assert isinstance(splits.test, ImageSet)
    test = ImageSet(splits.test.images_nhwd[kept], splits.test.labels_n[kept])
    train_seed(configuration, replace(splits, test=test), tmp_path / "model", 0)
    cells = {row[0]: row for row in rows((tmp_path / "model" / CARD).read_text())}
    assert cells["forward 5"][-6:] == ["–"] * 6
    assert "–" not in cells["accuracy"][1]


def test_long_lists_of_classes_are_cut_to_head_and_tail(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    model = train_seed(configuration, splits, tmp_path / "model", 0)
    many = replace(
        model.provenance.description,
        class_names=tuple(f"class {y}" for y in range(1000)),
        class_counts=tuple(range(1000, 0, -1)),
    )
    confusion = {(y, y): 2 for y in range(1000)} | {(y, 999): 1 for y in range(999)}
    results = as_plain(ResultsByPrior(ClassResults(1000, confusion), None), many.class_names)
    large = replace(
        model,
        provenance=replace(model.provenance, description=many),
        metrics={**model.metrics, "per_class": results},
    )
    card = model_card("large", [large])
    names = [cells[0] for cells in rows(card) if cells[0].startswith("class ")]
    assert names == 3 * [f"class {y}" for y in [*range(10), *range(990, 1000)]]


def test_the_card_has_the_results_of_each_class_and_both_confusion_matrices(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    models = [train_seed(configuration, splits, tmp_path / f"seed_{s}", s) for s in (1, 2)]
    card = model_card("birds", models)
    results = [model.metrics["per_class"] for model in models]
    cells = rows(card[card.index("## Classes") :])
    images_c = torch.bincount(splits.test.labels_n).tolist()
    for y, name in enumerate(("cat", r"dog \| hound", "鳥")):
        shares = [
            [of[prior][y][share] for of in results]
            for prior in ("prior_unknown", "prior_known")
            for share in ("recall", "precision")
        ]
        means = [[value for value in values if value is not None] for values in shares]
        shown = [f"{statistics.fmean(values):.4f}" if values else "–" for values in means]
        assert [name, str(images_c[y]), *shown] in cells
        for prior in ("prior_unknown", "prior_known"):
            row = [
                sum(of[prior][y]["predicted_as"].get(other, 0) for of in results)
                for other in splits.description.class_names
            ]
            assert [name, *map(str, row)] in cells
            assert sum(row) == 2 * images_c[y]
    assert card.count("Confusion matrix with the class frequencies") == 2


def test_a_model_from_before_there_were_results_of_classes_has_a_card_without_them(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    model = train_seed(configuration, splits, tmp_path / "model", 0)
    before = {name: model.metrics[name] for name in ("epochs", "final")}
    card = model_card("old", [replace(model, metrics=before)])
    assert "## Classes" not in card
    assert not any(cells[0] == "forward 5" for cells in rows(card))
    assert "`balpoe evaluate` measures long-tailed shifts" in card


def test_the_card_of_seeds_of_two_versions_has_the_metrics_that_all_have(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    model = train_seed(configuration, splits, tmp_path / "seed_1", 1)
    final = model.metrics["final"]
    earlier = {name: final[name] for name in final if "balanced_ece" not in name}
    before = replace(model, metrics={**model.metrics, "final": earlier})
    for models in ((model, before), (before, model)):
        names = [row[0] for row in rows(model_card("two", models))]
        assert "ece" in names
        assert "balanced_ece" not in names


def test_a_card_may_be_edited_or_removed_without_touching_the_model(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    train_seed(configuration, splits, path, 0)
    before = (path / CARD).read_text()
    (path / CARD).write_text(before + "\nSeen to fail at night.\n")
    assert load_model(path).provenance.calibration == CARRIED
    train_seed(configuration, splits, path, 0)
    assert (path / CARD).read_text().endswith("Seen to fail at night.\n")
    (path / CARD).unlink()
    train_seed(configuration, splits, path, 0)
    assert (path / CARD).read_text() == before


def test_a_model_from_before_there_were_temperatures_is_read(
    configuration: Configuration, splits: FinalSplits, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    train_seed(configuration, splits, path, 0)
    plain = json.loads((path / MODEL).read_text())
    del plain["calibration"]
    (path / MODEL).write_text(json.dumps(plain))
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["sha256"][MODEL] = hashlib.sha256((path / MODEL).read_bytes()).hexdigest()
    (path / MANIFEST).write_text(json.dumps(manifest))
    calibration = load_model(path).provenance.calibration
    assert calibration.temperatures is None
    assert calibration.origin == "the model was saved by a version of balpoe that kept none"
