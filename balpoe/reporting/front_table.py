"""The result of a study: its Pareto front as a table, and the commands that follow."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import inf
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from balpoe.config import StudySpec
from balpoe.exporting.export_files import (
    configuration_file,
    exported_configurations,
    known_point_file,
)
from balpoe.reporting.formatting import (
    FLOOR_NOTE,
    NO_VALUE,
    bare_number,
    label,
    label_and_number,
    label_with_unit,
    mean_and_sd,
    number_with_unit,
    parameter_value,
    signed_number,
    trial_name,
)
from balpoe.reporting.study_progress import trial_states
from balpoe.reporting.table_style import Cell, CellTable, number_cell, table_of, text_cell
from balpoe.study.search.planned_trials import tried_points
from balpoe.study.selection.candidates import (
    Candidate,
    candidates,
    is_feasible,
    objectives_over_seeds,
)
from balpoe.study.selection.comparison import Comparisons, Difference, compact_letter_display
from balpoe.study.selection.front import ACCURACY
from balpoe.study.selection.moderated_test import FEWEST_FRESH_SEEDS
from balpoe.study.selection.selection_effect import selection_effect
from balpoe.study.trials.record import TrialRecord

_ALIKE = (
    "alike: trials with a common letter were not shown to differ on the seeds after the first "
    "(paired t, at most about 5 % wrong in all), –: not tested"
)

_GAIN = (
    "gain: paired over the n seeds after the first that both trials have; its interval excludes 0 "
    "where it was shown (at most about 5 % wrong in all); half an interval is the smallest gain "
    "that could have been shown"
)

_MOST_PARAMETER_COLUMNS = 6  # more leave no room for their names in 80 columns
_WIDTH, _CONTINUED = 80, " \\\n      "


def front_report(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    *,
    exports: Path,
    validation_counts: Sequence[int] | None = None,
    floors: Mapping[int, Mapping[str, float]] | None = None,
) -> RenderableType:
    """Return the front as a table, followed by the next commands.

    Args:
        spec: The study.
        front: Its Pareto front, the best trial first.
        records: All its trials and their repeats.
        exports: The directory to which `balpoe export` writes the configurations of this study.
        validation_counts: The validation images of each class, for the expected effect of the
            selection; None if they are not known.
        floors: The floors of calibration errors by trial number and objective, on the first seed;
            None if they are not known.
    """
    if not front:
        has_complete = any(record.state == "COMPLETE" for record in records)
        reason = (
            "Every COMPLETE trial breaks a constraint" if has_complete else "No trial is COMPLETE"
        )
        return Text(f"{_outcome(spec, records)}\n{reason}: there is nothing to export.")
    tables = front_tables(spec, front, records, validation_counts=validation_counts, floors=floors)
    return Group(
        *(part for table in tables for part in (table, Text())),
        *(Text(note, style="dim") for note in failure_notes(spec, records)),
        _next_steps(spec, front, records, exports),
    )


def front_tables(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    *,
    validation_counts: Sequence[int] | None = None,
    floors: Mapping[int, Mapping[str, float]] | None = None,
) -> Iterator[CellTable]:
    """Yield the table of a front of at least one trial, then its gain over the known points.

    The arguments are those of `front_report`.
    """
    known = candidates(records)
    compared = Comparisons(known, spec.repeats)
    best = front[0].identity.number
    effects = _selection_effects(spec, known, validation_counts)
    points = tried_points(spec, records)
    has_points = any(record.objectives for record in points.values())
    remark = "" if has_points else effects
    if _has_floors(spec, floors or {}):
        remark += f"\n{FLOOR_NOTE} on the first seed"
    yield _front_table(spec, front, records, compared, remark, floors or {})
    if has_points:
        rows = (
            cells
            for name, record in points.items()
            for cells in _gain_rows(spec, name, record, best, records, compared, floors or {})
        )
        yield table_of(
            f"Gain of trial {best} over the known points",
            rows,
            f"{_GAIN}{effects}",
            dense=_has_floors(spec, floors or {}),  # the floors need the room of the padding
        )


def failure_notes(spec: StudySpec, records: Sequence[TrialRecord]) -> list[str]:
    """Return a sentence for each repeat that failed, and for each known point that was not run."""
    notes = [
        f"{trial_name(record.identity)} failed, no further seed of it was trained: {record.failure}"
        for record in records
        if record.identity.repeat and record.state == "FAIL"
    ]
    notes += [
        f"known point {name} was not tried: {reason}"
        for name, reason in spec.points.left_out.items()
    ]
    return notes


def _front_table(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    records: Sequence[TrialRecord],
    compared: Comparisons,
    remark: str,
    floors: Mapping[int, Mapping[str, float]],
) -> CellTable:
    known = {candidate.number: candidate for candidate in candidates(records)}
    several = [known[record.identity.number] for record in front] if len(front) > 1 else []
    letters = compact_letter_display(several, compared)
    name = "Pareto front" if len(spec.objectives) > 1 else "Best trial"
    caption = "objectives on the validation split; n: seeds of the trial"
    if several and ACCURACY not in spec.objectives:
        caption = f"ordered by balanced accuracy; {caption}"
    if letters:
        numbers = [candidate.number for candidate in several]
        caption = f"{caption}; {_ALIKE}{_smallest(compared, numbers)}"
    elif several:
        caption = f"{caption}; differences: not tested, {_too_few(spec)}"
    return table_of(
        f"{name} of {_outcome(spec, records)}",
        (_front_cells(spec, record, records, letters, floors) for record in front),
        f"{caption}{remark}",
    )


def _too_few(spec: StudySpec) -> str:
    """Why no difference between trials of the front could be tested."""
    fewest = FEWEST_FRESH_SEEDS + 1
    return "too few seeds" if spec.repeats >= fewest else f"which needs repeats: {fewest} or more"


def _smallest(compared: Comparisons, front: Sequence[int]) -> str:
    """`; smallest difference that could have been shown: accuracy 1.9 %`."""
    found: dict[str, float] = {}
    for one, other in combinations(front, 2):
        for metric, difference in compared.between(one, other).differences.items():
            if difference.smallest is not None:
                found[metric] = min(difference.smallest, found.get(metric, inf))
    listed = ", ".join(label_and_number(metric, value) for metric, value in found.items())
    return f"; smallest difference that could have been shown: {listed}"


def _front_cells(
    spec: StudySpec,
    record: TrialRecord,
    records: Sequence[TrialRecord],
    letters: Mapping[int, str],
    floors: Mapping[int, Mapping[str, float]],
) -> Iterator[Cell]:
    """The cells of one trial; each `yield` is a column of the table."""
    number = record.identity.number
    objectives = objectives_over_seeds(records, number)
    yield text_cell("trial", str(number), justify="right", style="bold")
    yield from parameter_cells(spec, record)
    for metric in spec.objectives:
        text = mean_and_sd(metric, objectives[metric])
        yield number_cell(label_with_unit(metric), text, style="green")
        if any(metric in of_trial for of_trial in floors.values()):
            floor = floors.get(number, {}).get(metric)
            yield number_cell("floor", NO_VALUE if floor is None else bare_number(metric, floor))
    yield number_cell("n", str(max(seeds.n for seeds in objectives.values())))
    if letters:
        yield text_cell("alike", letters.get(number, "–"))


def parameter_cells(spec: StudySpec, record: TrialRecord) -> Iterator[Cell]:
    """A cell for each searched parameter, or one for all that the trial has if they are many."""
    if len(spec.search) > _MOST_PARAMETER_COLUMNS:
        yield text_cell("parameters", ", ".join(_named_values(spec, record)))
        return
    for path in spec.search:
        yield number_cell(path.replace(".", " "), parameter_value(record.parameters.get(path)))


def _named_values(spec: StudySpec, record: TrialRecord) -> Iterator[str]:
    """`loss focal`, `loss.gamma 1.5` for each searched parameter that the trial has."""
    for path in spec.search:
        if path in record.parameters:
            yield f"{path.removesuffix('.name')} {parameter_value(record.parameters[path])}"


def _gain_rows(
    spec: StudySpec,
    name: str,
    record: TrialRecord,
    best: int,
    records: Sequence[TrialRecord],
    compared: Comparisons,
    floors: Mapping[int, Mapping[str, float]],
) -> Iterator[Iterator[Cell]]:
    """The rows of one known point: for each objective the gain of the trial `best` over it."""
    own = objectives_over_seeds(records, record.identity.number)
    other = record.identity.number
    comparison = None if other == best else compared.between(best, other)
    for place, (metric, direction) in enumerate(spec.objectives.items()):
        difference = None
        if comparison is not None and comparison.n:
            difference = comparison.differences[metric]
            if direction == "minimize":
                difference = difference.reversed
        verdict = f"trial {best} itself"
        if metric not in own:
            verdict = record.state.lower()
        elif record.violations:
            verdict = "infeasible: not tested"
        elif other != best:
            verdict = "one seed: not tested" if difference is None else _verdict(difference)
        value = mean_and_sd(metric, own[metric]) if metric in own else NO_VALUE
        floor = floors.get(other, {}).get(metric)
        if floor is not None:
            value = f"{value} ({bare_number(metric, floor)})"
        yield _gain_cells(
            name if place == 0 else "",
            metric,
            "value (floor)" if _has_floors(spec, floors) else "value",
            value,
            difference,
            comparison.n if comparison else 0,
            verdict,
        )


def _has_floors(spec: StudySpec, floors: Mapping[int, Mapping[str, float]]) -> bool:
    return any(metric in of_trial for of_trial in floors.values() for metric in spec.objectives)


def _gain_cells(
    name: str,
    metric: str,
    head: str,
    value: str,
    difference: Difference | None,
    n: int,
    verdict: str,
) -> Iterator[Cell]:
    """The cells of a known point and an objective; `difference` is positive where it is a gain."""
    gain = interval = NO_VALUE
    if difference is not None and difference.mean is not None:
        gain = signed_number(metric, difference.mean)
        if difference.interval is not None:
            low, high = (signed_number(metric, bound) for bound in difference.interval)
            interval = f"{low}..{high}"
    yield text_cell("known point", name, style="bold", no_wrap=True)
    yield text_cell("objective", label_with_unit(metric))
    yield number_cell(head, value, style="green")
    yield number_cell("gain", gain)
    yield number_cell("interval", interval)
    yield number_cell("n", str(n))
    yield text_cell("verdict", verdict)


def _verdict(gain: Difference) -> str:
    """`better`, `worse`, `not separable` or `not tested`."""
    if gain.verdict != "separable":
        return gain.verdict
    return "better" if gain.mean is not None and gain.mean > 0 else "worse"


def _selection_effects(
    spec: StudySpec, known: Sequence[Candidate], counts: Sequence[int] | None
) -> str:
    """How far the best of as many equal configurations would lie above one, by objective."""
    listed = []
    for metric in spec.objectives:
        effect = selection_effect(known, metric, counts)
        if effect is not None:
            source = "spread of the seeds"
            if effect.images is not None:
                source = f"{effect.images:.0f} images"
            amount = f"{bare_number(metric, effect.mean)} ± {number_with_unit(metric, effect.sd)}"
            listed.append(f"{label(metric)} {amount} ({source})")
    if not listed:
        return ""
    return (
        f". On the first seed, the best of {len(known)} equal configurations would be ahead of one "
        f"of them by: {', '.join(listed)}"
    )


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


def _next_steps(
    spec: StudySpec, front: Sequence[TrialRecord], records: Sequence[TrialRecord], exports: Path
) -> Text:
    """Return the commands that train the best beside the known points and compare them."""
    best = front[0].identity.number
    seeds = ",".join(map(str, spec.final.seeds))
    models = shlex.quote(str(exports.parent.parent / "models" / spec.name))
    files = {best: configuration_file(exports, rank=1, trial=best)}
    for name, record in tried_points(spec, records).items():
        number = record.identity.number
        if is_feasible(record) and number not in files:
            files[number] = known_point_file(exports, name=name, trial=number)
    if len(files) == 1:
        return Text.assemble(
            "Next: train the best on all training data, then measure it on the test set.\n",
            (_command("export", spec.name, "--top 1"), "bold"),
            (_command("train", shlex.quote(str(files[best])), f"--seeds {seeds}"), "bold"),
            (_command("evaluate", f"{models}_rank_1_*").rstrip(), "bold"),
        )
    trained = [f"{shlex.quote(str(exports))}/*.yaml"]
    if set(exported_configurations(exports)) - set(files.values()):  # of earlier exports
        trained = [shlex.quote(str(file)) for file in files.values()]
    return Text.assemble(
        "Next: train the best and the known points, and compare them on the test set.\n",
        (_command("export", spec.name, "--top 1", "--known-points"), "bold"),
        (_command("train", *trained, f"--seeds {seeds}"), "bold"),
        (_command("evaluate", f"{models}_rank_1_*", f"{models}_known_*").rstrip(), "bold"),
    )


def _command(verb: str, *arguments: str) -> str:
    """Return a command; a long one on several lines that a shell joins."""
    words = (f"  balpoe {verb}", *arguments)
    line = " ".join(words)
    return f"{line if len(line) <= _WIDTH else _CONTINUED.join(words)}\n"
