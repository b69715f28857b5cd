"""The model card: a description of a trained model for readers of its directory.

It is Markdown, made from the contents of the model directory. No code reads it, and the manifest
leaves it out: notes may be added without the model counting as changed. `models` differ in their
seed alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from balpoe.atomic_write import write_text_atomically
from balpoe.config import metric_table, shift_metrics
from balpoe.config.second_stage import CHOSEN
from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS, WHOLE_TEST
from balpoe.config.shown_biases import loss_name
from balpoe.evaluation.class_results import ClassResults, ResultsByPrior, from_plain
from balpoe.method.long_tailed_counts import shot_groups
from balpoe.method.priors import class_prior, mean_lambda, target_prior
from balpoe.training.model_directory import Provenance, TrainedModel
from balpoe.training.model_files import CARD, seed_directory

_CLASSES_SHOWN = 20
_NUMBERS = ("images", "effective_images")


def write_model_card(path: Path, models: Sequence[TrainedModel]) -> None:
    """Write the card of a model directory, or of the seeds below a directory.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text_atomically(path / CARD, model_card(path.resolve().name, models))


def model_card(name: str, models: Sequence[TrainedModel]) -> str:
    """Return the card as Markdown."""
    provenance = models[0].provenance
    sections = (
        _introduction(name, models),
        _use(models),
        _data(provenance),
        _experts(provenance),
        _metrics(models),
        _classes(models),
        _costs(provenance),
        _limits(models),
    )
    texts = ("\n".join(section) for section in sections)
    return "\n\n".join(text for text in texts if text) + "\n"


def _introduction(name: str, models: Sequence[TrainedModel]) -> Iterator[str]:
    provenance = models[0].provenance
    model, experts = provenance.configuration["model"], provenance.configuration["experts"]
    seeds = ", ".join(str(one.provenance.seed) for one in models)
    yield f"# {name}"
    yield ""
    product = "a balanced product of calibrated experts (BalPoE, Aimar et al., CVPR 2023)"
    loss = loss_name(provenance.configuration)
    if loss != "logit_adjustment":
        product = f"a product of experts with the loss {loss}"
    yield (
        f"{provenance.expert_count} expert(s) of {product} for "
        f"{len(provenance.description.class_names)} classes: "
        f"{model['backbone']}, {experts['sharing']} layers, {model['classifier']} classifier. "
        f"Trained for {provenance.configuration['training']['epochs']} epochs"
        f"{_second_stage(models)} by balpoe {provenance.balpoe_version}, seed {seeds}."
    )


def _second_stage(models: Sequence[TrainedModel]) -> str:
    """Name the second stage, with its settings and what it chose for each seed."""
    settings = dict(models[0].provenance.configuration.get("second_stage", {}))
    if not settings:
        return ""
    name = settings.pop("name")
    given = [f"{key}: {value}" for key, value in settings.items() if value is not None]
    last = [model.metrics["epochs"][-1]["metrics"] for model in models]
    chosen = [
        f"{metric.removeprefix(CHOSEN)}: {', '.join(str(metrics[metric]) for metrics in last)}"
        for metric in last[0]
        if metric.startswith(CHOSEN) and settings.get(metric.removeprefix(CHOSEN)) is None
    ]
    return f" and the second stage {name} ({'; '.join((*given, *chosen))})"


def _use(models: Sequence[TrainedModel]) -> Iterator[str]:
    seed = models[0].provenance.seed
    directory = Path() if len(models) == 1 else seed_directory(Path(), seed)
    yield "## Use"
    yield ""
    yield "```python"
    yield "import balpoe"
    yield ""
    yield f'model = balpoe.load("{directory}")  # the path of this directory'
    yield 'model.predict_proba(["image.jpg"], target_prior="uniform")'
    yield "```"


def _data(provenance: Provenance) -> Iterator[str]:
    data = provenance.description
    counts = data.class_counts
    colour = "grey" if data.channels == 1 else "colour"
    groups = shot_groups(counts)
    shots = "/".join(str(len(groups.get(group, ()))) for group in ("many", "medium", "few"))
    yield "## Data"
    yield ""
    yield f"- source: {provenance.configuration['data']['name']}, fingerprint `{data.fingerprint}`"
    yield (
        f"- {sum(counts):,} training images, {data.height}x{data.width} {colour}"
        f"{_own_validation(provenance)}"
    )
    yield f"- imbalance ratio {max(counts) / min(counts):.4g}; many/medium/few classes: {shots}"
    yield ""
    order = _shown_classes(counts)
    if len(order) < len(counts):
        yield _which_classes(counts)
        yield ""
    total = sum(counts)
    rows = ((data.class_names[y], f"{counts[y]:,}", f"{counts[y] / total:.2%}") for y in order)
    yield from _table(("class", "images", "prior"), rows)


def _shown_classes(counts: Sequence[int]) -> list[int]:
    """Return the classes from head to tail; of many classes, the largest and the smallest."""
    order = sorted(range(len(counts)), key=lambda y: -counts[y])
    half = _CLASSES_SHOWN // 2
    return order if len(order) <= _CLASSES_SHOWN else order[:half] + order[-half:]


def _which_classes(counts: Sequence[int]) -> str:
    half = _CLASSES_SHOWN // 2
    return f"The {half} largest and the {half} smallest of {len(counts)} classes:"


def _own_validation(provenance: Provenance) -> str:
    if provenance.own_validation is None:
        return ""
    if provenance.own_validation == 0:
        return "; the set's own validation split was not used"
    return f", {provenance.own_validation:,} of them from the set's own validation split"


def _experts(provenance: Provenance) -> Iterator[str]:
    shown, fitted = provenance.shown_lambdas, provenance.calibration.temperatures
    yield "## Experts and priors"
    yield ""
    temperatures = [f"{value:.3g}" for value in fitted.experts] if fitted else ["–"] * len(shown)
    rows = ((str(e), lam, temperatures[e]) for e, lam in enumerate(shown))
    yield from _table(("expert", "λ", "temperature"), rows)
    yield ""
    yield _product_prior(provenance)
    ensemble = f"{fitted.ensemble:.3g} for the ensemble, " if fitted else "none, "
    yield f"Temperatures (not applied by themselves): {ensemble}{provenance.calibration.origin}."


def _product_prior(provenance: Provenance) -> str:
    """Return the sentence about the prior of the product of experts."""
    priors, start = provenance.priors, "Without"
    frequencies = "equal class frequencies"
    if provenance.lambdas is not None:
        start = f"The mean λ is {mean_lambda(provenance.lambdas):.3g}: without"
    if not priors.is_uniform():
        frequencies = _frequencies(provenance)
    return f"{start} a target prior the probabilities stand for {frequencies}."


def _frequencies(provenance: Provenance) -> str:
    """Return the prior of the product as text; class sampling and weights change that of λ."""
    prior_c = provenance.priors.of_product()
    if provenance.lambdas is not None:
        mean = mean_lambda(provenance.lambdas)
        of_lambda_c = target_prior(class_prior(provenance.description.class_counts), mean)
        if torch.allclose(prior_c, of_lambda_c):
            return f"frequencies ∝ prior^{mean:.3g}"
    return f"class frequencies from {float(prior_c.max()):.2%} to {float(prior_c.min()):.2%}"


def _metrics(models: Sequence[TrainedModel]) -> Iterator[str]:
    # seeds of earlier versions have fewer metrics
    common = set[str].intersection(*(set(model.metrics["final"]) for model in models))
    finals = [{name: model.metrics["final"][name] for name in common} for model in models]
    names = [name for name in metric_table() if f"{WHOLE_TEST}/{name}" in finals[0]]
    yield "## Metrics"
    yield ""
    yield (
        f"On the test set, read once after the training; n = {len(finals)} seed(s), sd is the "
        "sample standard deviation. Accuracies and calibration errors are fractions, NLL and KL "
        "nats. An ECE floor is what perfectly calibrated predictions with the same confidences "
        "would show: the mean over drawn labels, and its standard deviation."
    )
    yield ""
    rows = ((name, *_mean_and_sd(finals, f"{WHOLE_TEST}/{name}")) for name in names)
    yield from _table(("metric", "mean", "sd"), rows)
    yield from _shifts(finals, models[0].metrics.get("distributions", {}))


def _shifts(
    finals: Sequence[dict[str, float]], numbers: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    """Yield the table of the shifted test sets; a sentence for a model of an earlier version.

    Earlier versions cut every test set: the cuts of an unbalanced one may lack classes.
    """
    shifts = [shift.name for shift in SHIFTS if shift.name in numbers]
    if not shifts:
        yield ""
        yield "`balpoe evaluate` measures long-tailed shifts: an older version saved this model."
        return
    yield ""
    yield (
        "On long-tailed shifts of it, mean (sd), without and with the class frequencies known. A "
        "balanced test set is cut where every class keeps an image; otherwise all images are "
        "weighted by class, and effective images are (Σw)²/Σw² of the weights w. A dash: a class "
        f"has no images.{_weighted_shifts(numbers)}"
    )
    yield ""
    labels = [metric_table()[name].label for name in _shift_columns()]
    heads = ("images", "effective", *labels, *(f"{label}, known" for label in labels))
    rows = (_shift_row(finals, name, numbers.get(name, {})) for name in shifts)
    yield from _table(("shift", *heads), rows)


def _weighted_shifts(numbers: Mapping[str, Mapping[str, float]]) -> str:
    """Return ` Weighted: forward 50.`; earlier versions did not store it."""
    names = [name.replace("_", " ") for name, row in numbers.items() if row.get("weighted")]
    return f" Weighted: {', '.join(names)}." if names else ""


def _shift_columns() -> Iterator[str]:
    """Yield the metrics of the shifted test sets, each with its floor behind it."""
    for name in shift_metrics():
        yield name
        floor = metric_table()[name].floor
        if floor is not None:
            yield floor


def _shift_row(
    finals: Sequence[dict[str, float]], name: str, numbers: Mapping[str, float]
) -> tuple[str, ...]:
    keys = (
        f"{WHOLE_TEST}_{name}{known}/{metric}"
        for known in ("", KNOWN_PRIOR)
        for metric in _shift_columns()
    )
    cells = (
        "{} ({})".format(*_mean_and_sd(finals, key)) if key in finals[0] else "–" for key in keys
    )
    images = [f"{numbers[key]:,.0f}" if key in numbers else "–" for key in _NUMBERS]
    return (name.replace("_", " "), *images, *cells)


def _classes(models: Sequence[TrainedModel]) -> Iterator[str]:
    """Yield the results of each class; nothing if a model was saved before they were stored."""
    if any("per_class" not in model.metrics for model in models):
        return
    data = models[0].provenance.description
    found = [from_plain(model.metrics["per_class"]) for model in models]
    order = _shown_classes(data.class_counts)
    yield "## Classes"
    yield ""
    yield (
        "Recall (the accuracy on the images of a class) and precision on the test set, means over "
        "the seeds, without and with the class frequencies known. A dash: there are no images, or "
        "no predictions."
    )
    yield ""
    if len(order) < len(data.class_counts):
        yield _which_classes(data.class_counts)
        yield ""
    heads = ("class", "images", "recall", "precision", "recall, known", "precision, known")
    rows = (
        (data.class_names[y], f"{found[0].unknown.images_c[y]:,}", *_class_shares(found, y))
        for y in order
    )
    yield from _table(heads, rows)
    known = [seed.known for seed in found if seed.known is not None]
    for prior, results in (("unknown", [seed.unknown for seed in found]), ("known", known)):
        if results:
            yield ""
            yield from _confusion(prior, results, data.class_names, order)


def _class_shares(found: Sequence[ResultsByPrior], y: int) -> Iterator[str]:
    for by_seed in ([seed.unknown for seed in found], [seed.known for seed in found]):
        for name in ("recall_c", "precision_c"):
            shares = [getattr(results, name)[y] for results in by_seed if results is not None]
            values = [share for share in shares if share is not None]
            yield f"{statistics.fmean(values):.4f}" if values else "–"


def _confusion(
    prior: str, seeds: Sequence[ClassResults], names: Sequence[str], order: Sequence[int]
) -> Iterator[str]:
    """Yield the confusion matrix of the classes in `order`, summed over the seeds."""
    others = "" if len(order) == len(names) else "; images of and as other classes are left out"
    yield (
        f"Confusion matrix with the class frequencies {prior}: images by class (rows) and "
        f"predicted class (columns), summed over the seeds{others}."
    )
    yield ""
    rows = (
        (names[y], *(str(sum(seed.confusion.get((y, p), 0) for seed in seeds)) for p in order))
        for y in order
    )
    yield from _table(("", *(names[y] for y in order)), rows)


def _costs(provenance: Provenance) -> Iterator[str]:
    """Yield the costs of decisions; nothing for a model without any."""
    if provenance.cost_cc is None:
        return
    data = provenance.description
    order = _shown_classes(data.class_counts)
    others = "" if len(order) == len(data.class_counts) else " " + _which_classes(data.class_counts)
    yield "## Costs"
    yield ""
    yield (
        "`predict` decides for the class of least expected cost under the assumed class "
        "frequencies; recall, precision and confusions are those of the most probable class. Costs "
        f"by class (rows) and predicted class (columns).{others}"
    )
    yield ""
    cost_cc = provenance.cost_cc.tolist()
    rows = ((data.class_names[y], *(f"{cost_cc[y][p]:g}" for p in order)) for y in order)
    yield from _table(("", *(data.class_names[y] for y in order)), rows)


def _limits(models: Sequence[TrainedModel]) -> Iterator[str]:
    data = models[0].provenance.description
    few = len(shot_groups(data.class_counts).get("few", ()))
    yield "## Limits"
    yield ""
    yield (
        f"- Every image is scaled without stretching and cut around its centre to "
        f"{data.height}x{data.width}: what lies outside the cut is not seen."
    )
    yield (
        "- It always answers with one of its classes; an image of none of them gets a confident "
        "answer too."
    )
    yield (
        "- Where class frequencies differ from those above, give `target_prior`. An estimate "
        "needs labelled images outside the training; where the predicted images do not support "
        "other frequencies, it stays at those of the training set."
    )
    yield "- Accuracy and calibration were measured on images like those of the test set only."
    if few:
        yield f"- {few} class(es) had fewer than 20 training images: expect most errors there."
    if len(models) < 3:
        yield f"- n = {len(models)}: the spread over seeds is not known well."


def _mean_and_sd(finals: Sequence[dict[str, float]], key: str) -> tuple[str, str]:
    values = [final[key] for final in finals]
    sd = f"{statistics.stdev(values):.4f}" if len(values) > 1 else "–"
    return f"{statistics.fmean(values):.4f}", sd


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---"] * len(heads))
    yield from map(_row, rows)


def _row(cells: Sequence[str]) -> str:
    texts = (" ".join(cell.replace("|", r"\|").split()) for cell in cells)
    return f"| {' | '.join(texts)} |"
