"""How figures are put into words: fractions as percent, times as clocks, parameters in short."""

from __future__ import annotations

from balpoe.config import Choice
from balpoe.study.selection.candidates import OverSeeds

_LABELS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "accuracy_many": "many",
    "accuracy_medium": "medium",
    "accuracy_few": "few",
    "nll": "NLL",
    "ece": "ECE",
    "mce": "MCE",
    "kl_to_target_prior": "KL to prior",
    "kl_to_target_prior_matched": "KL, matched",
}


def is_fraction(metric: str) -> bool:
    """Whether a metric is a fraction, shown in percent: accuracies and calibration errors."""
    name = _bare(metric)
    return "accuracy" in name or name in ("ece", "mce")


def label(metric: str) -> str:
    """What a metric is called on screen: `val/ece` is `ECE`."""
    return _LABELS.get(_bare(metric), _bare(metric))


def label_with_unit(metric: str) -> str:
    """The head of a column: `accuracy %`."""
    return f"{label(metric)} %" if is_fraction(metric) else label(metric)


def bare_number(metric: str, value: float) -> str:
    """A value without its unit: `93.3` for an accuracy of 0.933, `0.273` for a divergence."""
    return f"{100 * value:.1f}" if is_fraction(metric) else f"{value:.3f}"


def signed_number(metric: str, value: float) -> str:
    """A difference without its unit: `+6.3`, `-0.120`."""
    number = bare_number(metric, value)
    return number if number.startswith("-") else f"+{number}"


def number_with_unit(metric: str, value: float) -> str:
    """A value that stands alone: `93.3 %`."""
    number = bare_number(metric, value)
    return f"{number} %" if is_fraction(metric) else number


def mean_and_sd(metric: str, seeds: OverSeeds, separator: str = " ") -> str:
    """`93.3 ±0.4`, or the value alone where there is one seed."""
    mean = bare_number(metric, seeds.mean)
    return mean if seeds.sd is None else f"{mean}{separator}±{bare_number(metric, seeds.sd)}"


def parameter(value: Choice | None) -> str:
    """A parameter in three significant digits; a dash where the trial has none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    """A length of time: `0:07`, `12:40`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def seed_count(n: int) -> str:
    """`n = 1 seed`, `n = 3 seeds`."""
    return f"n = {n} seed" if n == 1 else f"n = {n} seeds"


def _bare(metric: str) -> str:
    return metric.rpartition("/")[2]
