"""Pages that show studies and models, several of a kind side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from balpoe.reporting.formatting import NO_VALUE, duration, label_with_unit, mean_and_sd
from balpoe.reporting.report.model_sections import ReportedModel, model_sections
from balpoe.reporting.report.page import Page, Prose, Section
from balpoe.reporting.report.study_sections import ReportedStudy, study_sections, utc
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.study.selection.candidates import metrics_over_seeds


def study_page(studies: Sequence[ReportedStudy], models: Sequence[ReportedModel] = ()) -> Page:
    """Return the page of studies and models, a comparison before several of a kind."""
    titles = [
        *_title("Study", "Studies", [study.spec.name for study in studies]),
        *_title("Model", "Models", [model.name for model in models]),
    ]
    now = utc(min([*(study.now for study in studies), *(model.now for model in models)]))
    running = [study.spec.name for study in studies if study.driver]
    state = f"; still running: {', '.join(running)}" if running else ""
    return Page(
        title=", ".join(titles),
        subtitle=f"As of {now} UTC{state}. Made by balpoe from stored files alone.",
        sections=(*_sections(studies), *model_sections(models)),
    )


def _title(one: str, several: str, names: Sequence[str]) -> list[str]:
    return [f"{one if len(names) == 1 else several} {', '.join(names)}"] if names else []


def _sections(studies: Sequence[ReportedStudy]) -> Iterator[Section]:
    if len(studies) == 1:
        yield from study_sections(studies[0])
    if len(studies) < 2:
        return
    yield Section("Side by side", (Prose((_data(studies),)), table_of("", _rows(studies), _BEST)))
    for study in studies:
        for section in study_sections(study):
            yield replace(section, heading=f"{study.spec.name}: {section.heading}")


_BEST = (
    "the best trial of each study by its mean balanced validation accuracy, mean ± sd over its n "
    "seeds; it was chosen for these values, and studies are not tested against each other"
)


def _data(studies: Sequence[ReportedStudy]) -> str:
    fingerprints = {study.data_fingerprint for study in studies if study.data_fingerprint}
    if len(fingerprints) > 1:
        return "The studies are on different data or splits: their values cannot be compared."
    return "The studies are on the same data and splits."


def _rows(studies: Sequence[ReportedStudy]) -> Iterator[Iterator[Cell]]:
    metrics = list(dict.fromkeys(name for study in studies for name in study.spec.objectives))
    for study in studies:
        yield _cells(study, metrics)


def _cells(study: ReportedStudy, metrics: Sequence[str]) -> Iterator[Cell]:
    best = study.front[0] if study.front else None
    found = {} if best is None else metrics_over_seeds(study.records, best.identity.number)
    yield text_cell("study", study.spec.name)
    yield text_cell("data", (study.data_fingerprint or NO_VALUE)[:12])
    yield number_cell("trials", str(len(study.trials)))
    yield number_cell("best trial", NO_VALUE if best is None else str(best.identity.number))
    for metric in metrics:
        value = found.get(metric)
        text = NO_VALUE if value is None else mean_and_sd(metric, value)
        yield number_cell(label_with_unit(metric), text)
    yield number_cell("n", str(max((value.n for value in found.values()), default=0)))
    yield number_cell("device time", duration(study.spent.device_seconds))
