"""Numbers as text: metrics with label and unit, lengths of time, bytes, parameters."""

from __future__ import annotations

from typing import Final

from balpoe.config import Choice
from balpoe.config.metrics import metric_entry
from balpoe.study.selection.candidates import OverSeeds
from balpoe.study.trials.record import TrialIdentity

NO_VALUE: Final = "–"
"""The text of a number that does not exist."""

FLOOR_NOTE: Final = "floor: mean ECE of perfectly calibrated predictions"


def is_fraction(metric: str) -> bool:
    """Whether a metric such as `val/ece` is a fraction, shown in percent."""
    return metric_entry(metric).is_fraction


def label(metric: str) -> str:
    """The name of a metric on screen: `ECE` for `val/ece`."""
    return metric_entry(metric).label


def label_with_unit(metric: str, *, short: bool = False) -> str:
    """The head of a column: `accuracy %`, in short `acc. %`."""
    name = metric_entry(metric).short_label if short else label(metric)
    return f"{name} %" if is_fraction(metric) else name


def scaled(metric: str, value: float) -> float:
    """A value in the unit of `label_with_unit`: percent for a fraction."""
    return 100 * value if is_fraction(metric) else value


def bare_number(metric: str, value: float) -> str:
    """A value without its unit: `93.3` for an accuracy of 0.933, `0.273` for a divergence."""
    return f"{100 * value:.1f}" if is_fraction(metric) else f"{value:.3f}"


def signed_number(metric: str, value: float) -> str:
    """A difference without its unit: `+6.3`, `-0.120`."""
    number = bare_number(metric, value)
    return number if number.startswith("-") else f"+{number}"


def number_with_unit(metric: str, value: float) -> str:
    """A value with its unit: `93.3 %`."""
    number = bare_number(metric, value)
    return f"{number} %" if is_fraction(metric) else number


def label_and_number(metric: str, value: float) -> str:
    """A value with its label and unit: `accuracy 93.3 %`."""
    return f"{label(metric)} {number_with_unit(metric, value)}"


def mean_and_sd(metric: str, seeds: OverSeeds, separator: str = " ") -> str:
    """`93.3 ±0.4`, or the value alone if there is one seed."""
    mean = bare_number(metric, seeds.mean)
    return mean if seeds.sd is None else f"{mean}{separator}±{bare_number(metric, seeds.sd)}"


def parameter_value(value: Choice | None) -> str:
    """A parameter in three significant digits; a dash if the trial does not have it."""
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """A length of time: `0:07`, `12:40`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def byte_size(count: int) -> str:
    """A number of bytes: `3 kB`, `12 MB`, `1.4 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"


def figures_of_seeds(n: int) -> str:
    """What `mean_and_sd` shows: `n = 1 seed`, `mean ± sd, n = 3 seeds`."""
    return f"n = {n} seed" if n == 1 else f"mean ± sd, n = {n} seeds"


def trial_name(identity: TrialIdentity) -> str:
    """`trial 7`, and `trial 7 repeat 2` for a repeat with a further seed."""
    name = f"trial {identity.number}"
    return f"{name} repeat {identity.repeat}" if identity.repeat else name
