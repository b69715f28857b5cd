"""How much each searched parameter decides each objective, from the COMPLETE trials of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.trial import TrialState, create_trial

from balpoe.config import StudySpec
from balpoe.study.search.warm_start import distribution_of
from balpoe.study.trials.record import TrialRecord

FEWEST_TRIALS: Final = 8
"""Below, a forest of a few points tells parameters apart at random."""

_SEED: Final = 0
_TREES: Final = 32  # the time is in proportion; 64 change no share of 100 trials by 0.03


@dataclass(frozen=True, slots=True)
class Importance:
    """The importance of the searched parameters for one objective.

    Attributes:
        objective: The metric.
        trials: The number of trials that it rests on.
        shares: The share of the explained variance by parameter, the largest first; they sum to 1.
            Parameters that some of the trials lack are left out.
        reason: Why there are no shares, or None.
    """

    objective: str
    trials: int
    shares: Mapping[str, float]
    reason: str | None = None


def importances(spec: StudySpec, records: Sequence[TrialRecord]) -> tuple[Importance, ...]:
    """Return the importance for each objective by functional analysis of variance.

    A random forest is fitted to the trials, and its variance over the search space is split among
    the parameters (fANOVA; Hutter, Hoos and Leyton-Brown 2014, ICML). Repeats are left out, since
    they share their parameters. PED-ANOVA (Watanabe et al. 2023) is faster, but measures what
    distinguishes the best tenth, which studies of tens of trials have too few of.
    """
    usable = [
        record
        for record in records
        if record.identity.repeat == 0 and record.objectives and _is_inside(spec, record)
    ]
    return tuple(_importance(spec, usable, objective) for objective in spec.objectives)


def _importance(spec: StudySpec, usable: Sequence[TrialRecord], objective: str) -> Importance:
    values = [record.objectives[objective] for record in usable if record.objectives is not None]
    reason = None
    if len(usable) < FEWEST_TRIALS:
        reason = f"needs {FEWEST_TRIALS} COMPLETE trials, there are {len(usable)}"
    elif len(set(values)) == 1:
        reason = "all trials have the same value"
    if reason is not None:
        return Importance(objective, len(usable), {}, reason)
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage())
    for record, value in zip(usable, values, strict=True):
        params = dict(record.parameters)
        distributions = {path: distribution_of(spec.search[path]) for path in params}
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE, params=params, distributions=distributions, value=value
            )
        )
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances  # takes 1 s

    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=_SEED)
    shares = get_param_importances(study, evaluator=evaluator)
    if not shares:
        return Importance(objective, len(usable), {}, "no parameter is in all trials and varies")
    return Importance(objective, len(usable), {path: float(s) for path, s in shares.items()})


def _is_inside(spec: StudySpec, record: TrialRecord) -> bool:
    """Whether the parameters are in the search space, which known points may leave."""
    return all(
        path in spec.search and spec.search[path].admits(value)
        for path, value in record.parameters.items()
    )
