"""The end of a study: its Pareto front as a table, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from balpoe.config import Direction, StudySpec
from balpoe.reporting.formatting import label_with_unit, mean_and_sd, parameter_value, signed_number
from balpoe.reporting.study_panel import trial_name
from balpoe.reporting.table_style import add_number_column, plain_table
from balpoe.study.search.planned_trials import gain, tried_points
from balpoe.study.selection.candidates import (
    Candidate,
    OverSeeds,
    candidates,
    objectives_over_seeds,
)
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
    """The front as a table, and the commands that follow.

    Args:
        spec: The study.
        front: Its Pareto front, the best first.
        records: All its trials, repeats with further seeds included.
        exports: Where `balpoe export` writes the configurations of this study.
    """
    if not front:
        return Text(
            f"{_outcome(spec, records)}\n{_why_nothing(records)}: there is nothing to export."
        )
    parts: list[RenderableType] = [_front_table(spec, front, records), Text()]
    known = tried_points(spec, records)
    if any(record.objectives for record in known.values()):
        parts += [_known_table(spec, front[0], known, records), Text()]
    parts += [
        Text(
            f"{trial_name(r.identity.number, r.identity.repeat)} failed, no further seed of it "
            f"was trained: {r.failure}",
            style="dim",
        )
        for r in records
        if r.identity.repeat and r.state == "FAIL"
    ]
    parts += [
        Text(f"known point {name} was not tried: {reason}", style="dim")
        for name, reason in spec.points.left_out.items()
    ]
    return Group(*parts, _next_steps(spec, front, exports))


def _front_table(
    spec: StudySpec, front: Sequence[TrialRecord], records: Sequence[TrialRecord]
) -> Table:
    name = "Pareto front" if len(spec.objectives) > 1 else "Best trial"
    several = _candidates(front, records) if len(front) > 1 else []
    letters = compact_letter_display(several, spec.seed)
    caption = "objectives on the validation split; n: seeds of the trial"
    table = plain_table(
        f"{name} of {_outcome(spec, records)}", f"{caption}; {_ALIKE}" if letters else caption
    )
    table.add_column("trial", justify="right", style="bold")
    for path in spec.search:
        add_number_column(table, path.replace(".", " "))
    for metric in spec.objectives:
        add_number_column(table, label_with_unit(metric), style="green")
    add_number_column(table, "n")
    if letters:
        table.add_column("alike")
    for record in front:
        objectives = objectives_over_seeds(records, record.identity.number)
        table.add_row(
            str(record.identity.number),
            *(parameter_value(record.parameters.get(path)) for path in spec.search),
            *(mean_and_sd(metric, objectives[metric]) for metric in spec.objectives),
            str(max(seeds.n for seeds in objectives.values())),
            *([letters.get(record.identity.number, "–")] if letters else []),
        )
    return table


def _candidates(front: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> list[Candidate]:
    """Those of the front, in its order."""
    known = {candidate.number: candidate for candidate in candidates(records)}
    return [known[record.identity.number] for record in front]


def _known_table(
    spec: StudySpec,
    best: TrialRecord,
    known: Mapping[str, TrialRecord],
    records: Sequence[TrialRecord],
) -> Table:
    """The known points, and by how much the best of the front is better than each."""
    number = best.identity.number
    table = plain_table(
        f"Gain of trial {number} over the known points",
        "positive gain: better; n: seeds of the known point",
    )
    table.add_column("known point", style="bold")
    table.add_column("trial", justify="right")
    for metric in spec.objectives:
        add_number_column(table, label_with_unit(metric), style="green")
        add_number_column(table, "gain")
    add_number_column(table, "n")
    reached = objectives_over_seeds(records, number)
    for name, record in known.items():
        own = objectives_over_seeds(records, record.identity.number)
        cells = (
            (mean_and_sd(metric, own[metric]), _gain(metric, direction, reached, own))
            if metric in own
            else ("–", "–")
            for metric, direction in spec.objectives.items()
        )
        number_of_seeds = max((seeds.n for seeds in own.values()), default=0)
        figures = (cell for pair in cells for cell in pair)
        called = f"{name} (infeasible)" if record.violations else name
        table.add_row(called, str(record.identity.number), *figures, str(number_of_seeds))
    return table


def _gain(
    metric: str,
    direction: Direction,
    reached: Mapping[str, OverSeeds],
    own: Mapping[str, OverSeeds],
) -> str:
    return signed_number(metric, gain(reached[metric].mean, own[metric].mean, direction))


def _outcome(spec: StudySpec, records: Sequence[TrialRecord]) -> str:
    """`digits_lt: 12 trials, 1 failed`."""
    states = [record.state for record in records if record.identity.repeat == 0]
    trials = "1 trial" if len(states) == 1 else f"{len(states)} trials"
    infeasible = sum(bool(record.violations) for record in records)
    counts = {
        "infeasible": infeasible,
        "pruned": states.count("PRUNED"),
        "failed": states.count("FAIL"),
    }
    exceptions = "".join(f", {n} {state}" for state, n in counts.items() if n)
    return f"{spec.name}: {trials}{exceptions}"


def _why_nothing(records: Sequence[TrialRecord]) -> str:
    if any(record.state == "COMPLETE" for record in records):
        return "Every COMPLETE trial breaks a constraint"
    return "No trial is COMPLETE"


def _next_steps(spec: StudySpec, front: Sequence[TrialRecord], exports: Path) -> Text:
    seeds = ",".join(map(str, spec.final.seeds))
    best = exports / f"rank_1_trial_{front[0].identity.number:04d}.yaml"
    return Text.assemble(
        "Next: train the best on all training data, then measure it on the test set.\n",
        (f"  balpoe export {spec.name} --top 1\n", "bold"),
        (f"  balpoe train {best} --seeds {seeds}", "bold"),
    )
