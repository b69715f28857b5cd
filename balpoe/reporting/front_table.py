"""The result of a study: its Pareto front as a table, and the commands that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from balpoe.config import StudySpec
from balpoe.exporting.export_files import configuration_file
from balpoe.reporting.formatting import (
    label_with_unit,
    mean_and_sd,
    parameter_value,
    signed_number,
    trial_name,
)
from balpoe.reporting.study_progress import trial_states
from balpoe.reporting.table_style import Cell, number_cell, table_of, text_cell
from balpoe.study.search.planned_trials import gain, tried_points
from balpoe.study.selection.candidates import candidates, objectives_over_seeds
from balpoe.study.selection.comparison import compact_letter_display
from balpoe.study.trials.record import TrialRecord

_ALIKE = (
    "alike: trials with a common letter are not separable (95 % bootstrap interval of the paired "
    "difference), –: fewer than 3 seeds"
)


def front_report(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    *,
    exports: Path,
) -> RenderableType:
    """Return the front as a table, followed by the next commands.

    Args:
        spec: The study.
        front: Its Pareto front, the best trial first.
        records: All its trials and their repeats.
        exports: The directory to which `balpoe export` writes the configurations of this study.
    """
    if not front:
        has_complete = any(record.state == "COMPLETE" for record in records)
        reason = (
            "Every COMPLETE trial breaks a constraint" if has_complete else "No trial is COMPLETE"
        )
        return Text(f"{_outcome(spec, records)}\n{reason}: there is nothing to export.")
    parts: list[RenderableType] = [_front_table(spec, front, records), Text()]
    known = tried_points(spec, records)
    if any(record.objectives for record in known.values()):
        best = front[0].identity.number
        table = table_of(
            f"Gain of trial {best} over the known points",
            (_known_cells(spec, name, record, best, records) for name, record in known.items()),
            "positive gain: better; n: seeds of the known point",
        )
        parts += [table, Text()]
    notes = [
        f"{trial_name(record.identity)} failed, no further seed of it was trained: {record.failure}"
        for record in records
        if record.identity.repeat and record.state == "FAIL"
    ]
    notes += [
        f"known point {name} was not tried: {reason}"
        for name, reason in spec.points.left_out.items()
    ]
    return Group(
        *parts, *(Text(note, style="dim") for note in notes), _next_steps(spec, front, exports)
    )


def _front_table(
    spec: StudySpec, front: Sequence[TrialRecord], records: Sequence[TrialRecord]
) -> Table:
    known = {candidate.number: candidate for candidate in candidates(records)}
    several = [known[record.identity.number] for record in front] if len(front) > 1 else []
    letters = compact_letter_display(several, spec.seed)
    name = "Pareto front" if len(spec.objectives) > 1 else "Best trial"
    caption = "objectives on the validation split; n: seeds of the trial"
    return table_of(
        f"{name} of {_outcome(spec, records)}",
        (_front_cells(spec, record, records, letters) for record in front),
        f"{caption}; {_ALIKE}" if letters else caption,
    )


def _front_cells(
    spec: StudySpec,
    record: TrialRecord,
    records: Sequence[TrialRecord],
    letters: Mapping[int, str],
) -> Iterator[Cell]:
    """The cells of one trial; each `yield` is a column of the table."""
    number = record.identity.number
    objectives = objectives_over_seeds(records, number)
    yield text_cell("trial", str(number), justify="right", style="bold")
    yield from parameter_cells(spec, record)
    for metric in spec.objectives:
        text = mean_and_sd(metric, objectives[metric])
        yield number_cell(label_with_unit(metric), text, style="green")
    yield number_cell("n", str(max(seeds.n for seeds in objectives.values())))
    if letters:
        yield text_cell("alike", letters.get(number, "–"))


def parameter_cells(spec: StudySpec, record: TrialRecord) -> Iterator[Cell]:
    """A cell for each searched parameter."""
    for path in spec.search:
        yield number_cell(path.replace(".", " "), parameter_value(record.parameters.get(path)))


def _known_cells(
    spec: StudySpec, name: str, record: TrialRecord, best: int, records: Sequence[TrialRecord]
) -> Iterator[Cell]:
    """The cells of one known point, with the gain of the trial `best` over it."""
    reached = objectives_over_seeds(records, best)
    own = objectives_over_seeds(records, record.identity.number)
    yield text_cell(
        "known point", f"{name} (infeasible)" if record.violations else name, style="bold"
    )
    yield text_cell("trial", str(record.identity.number), justify="right")
    for metric, direction in spec.objectives.items():
        value = over = "–"
        if metric in own:
            value = mean_and_sd(metric, own[metric])
            difference = gain(reached[metric].mean, own[metric].mean, direction)
            over = signed_number(metric, difference)
        yield number_cell(label_with_unit(metric), value, style="green")
        yield number_cell("gain", over)
    yield number_cell("n", str(max((seeds.n for seeds in own.values()), default=0)))


def _outcome(spec: StudySpec, records: Sequence[TrialRecord]) -> str:
    """`digits_lt: 12 trials, 1 failed`."""
    states = trial_states(records)
    count = sum(states.values())
    exceptions = {
        "infeasible": sum(bool(record.violations) for record in records),
        "pruned": states["PRUNED"],
        "failed": states["FAIL"],
    }
    listed = "".join(f", {n} {state}" for state, n in exceptions.items() if n)
    return f"{spec.name}: {count} trial{'' if count == 1 else 's'}{listed}"


def _next_steps(spec: StudySpec, front: Sequence[TrialRecord], exports: Path) -> Text:
    seeds = ",".join(map(str, spec.final.seeds))
    best = configuration_file(exports, rank=1, trial=front[0].identity.number)
    return Text.assemble(
        "Next: train the best on all training data, then measure it on the test set.\n",
        (f"  balpoe export {spec.name} --top 1\n", "bold"),
        (f"  balpoe train {best} --seeds {seeds}", "bold"),
    )
