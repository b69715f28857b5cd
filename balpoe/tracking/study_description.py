"""What the page of a study says in MLflow, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from balpoe.config import Choice, StudySpec
from balpoe.study.selection.candidates import objectives_over_seeds
from balpoe.study.trials.record import TrialRecord


def study_description(
    spec: StudySpec,
    *,
    command: str,
    front: Sequence[TrialRecord] = (),
    records: Sequence[TrialRecord] = (),
) -> str:
    """The question, the command that continues the study, and its front once there is one.

    Args:
        spec: The study.
        command: `balpoe run` with the study's file.
        front: The Pareto front, the best first.
        records: All trials, repeats with further seeds included, whose means are shown.
    """
    objectives = ", ".join(f"{goal} `{name}`" for name, goal in spec.objectives.items())
    paragraphs = [
        spec.question,
        f"{spec.budget.in_words} that {objectives}. Start or continue: `{command}`",
        "\n".join(_table(spec, front, records)) if front else "",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _table(
    spec: StudySpec, front: Sequence[TrialRecord], records: Sequence[TrialRecord]
) -> Iterator[str]:
    heads = ["trial", *spec.search, *spec.objectives, "seeds"]
    yield _row(heads)
    yield _row(["---:"] * len(heads))
    for record in front:
        parameters = (record.parameters.get(path, "–") for path in spec.search)
        over_seeds = objectives_over_seeds(records, record.identity.number)
        means = (over_seeds[name].mean for name in spec.objectives)
        seeds = max(objective.n for objective in over_seeds.values())
        cells = [*map(_cell, parameters), *map(_cell, means), str(seeds)]
        yield _row([str(record.identity.number), *cells])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Choice) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
