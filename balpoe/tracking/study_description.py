"""The description of a study in MLflow, in Markdown."""

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
    """Return the front if there is one, the question, and the command that continues the study.

    Args:
        spec: The study.
        command: `balpoe run` with the study's file.
        front: The Pareto front, the best first.
        records: All trials and their repeats; the table shows means over the repeats.
    """
    objectives = ", ".join(f"{goal} `{name}`" for name, goal in spec.objectives.items())
    paragraphs = [
        # first, because MLflow shows 8,000 characters
        "\n".join(_table(spec, front, records)) if front else "",
        spec.question,
        f"{spec.budget.in_words} that {objectives}. Start or continue: `{command}`",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _table(
    spec: StudySpec, front: Sequence[TrialRecord], records: Sequence[TrialRecord]
) -> Iterator[str]:
    header = ["trial", *spec.search, *spec.objectives, "seeds"]
    yield _row(header)
    yield _row(["---:"] * len(header))
    for record in front:
        parameters = (record.parameters.get(path, "–") for path in spec.search)
        over_seeds = objectives_over_seeds(records, record.identity.number)
        means = (over_seeds[name].mean for name in spec.objectives)
        seeds = max(objective.n for objective in over_seeds.values())
        yield _row([record.identity.number, *parameters, *means, seeds])


def _row(cells: Sequence[Choice]) -> str:
    shown = (f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f"| {' | '.join(shown)} |"
