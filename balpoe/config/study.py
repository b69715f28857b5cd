"""The specification of a study: base configuration, search space, objectives and budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from balpoe.config.assignment import condition_problems, with_conditions
from balpoe.config.bounds import Bounded, Bounds, NotEmpty, Rule, Seed
from balpoe.config.budget import BudgetConfig, RaceConfig, ResourcesConfig
from balpoe.config.combinations import impossible_combinations
from balpoe.config.configuration import Configuration
from balpoe.config.constraints import ConstrainedName, Constraint
from balpoe.config.data import FittedImages
from balpoe.config.early_stopping import HalvingConfig
from balpoe.config.fields import Choice, entry_settings
from balpoe.config.final_recipe import FinalConfig
from balpoe.config.known_points import (
    LAMBDAS,
    KnownPoints,
    default_points,
    known_points,
    point_problems,
)
from balpoe.config.loss import LOSSES, Loss, idle_biases
from balpoe.config.metrics import (
    COST_METRICS,
    RANGES,
    class_of,
    is_objective,
    objective_names,
    shifted_metrics,
    validation_metrics,
)
from balpoe.config.mixing import MIXERS, idle_mixer
from balpoe.config.parameters import field_value, with_parameters
from balpoe.config.published_points import PAPERS
from balpoe.config.sampler import DEFAULT_SAMPLER, SAMPLERS, SamplerConfig
from balpoe.config.search_space import CategoricalParameter, Parameter, misfits
from balpoe.config.wording import listed, must_be, unknown
from balpoe.errors import FieldProblem, InvalidFields, dotted

Direction = Literal["maximize", "minimize"]
SECOND_STAGE: Final = "second_stage."


@dataclass(frozen=True, slots=True)
class StudyName(Rule):
    """A name that is safe as a directory, on a command line and in a URL."""

    def problem(self, value: Any) -> str | None:
        """Return a message if `value` is no such name, else None."""
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", value):
            return None
        return must_be("1 to 100 letters, digits, '-' and '_', the first a letter or digit", value)


@dataclass(frozen=True, slots=True)
class ObjectiveName(Rule):
    """The name of a metric on the validation split; a search never reads the test set."""

    def problem(self, value: Any) -> str | None:
        """Return a message if `value` is no such name, else None."""
        if is_objective(value):
            return None
        if value.startswith("test/"):
            return "must be a val/ metric: a search never sees the test set"
        listed = (*validation_metrics(), *RANGES)
        return unknown("metric", value, objective_names(), listed=listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec(Bounded):
    """One study; `search` replaces fields of `base`, named by dotted path.

    `known_points` are tried first, by default those of `balpoe.config.published_points`. After the
    search, the trials on the front and close to it are trained with further seeds, up to
    `repeats` seeds each. `early_stopping` prunes trials before their last epoch, except known
    points. Trials that violate one of the `constraints` are not on the front. The sampler starts
    with the trials of the studies in `warm_start`, which do not count as trials of this study.
    """

    name: Annotated[str, StudyName()]
    question: str = ""
    base: Configuration
    search: Annotated[dict[str, Parameter], NotEmpty("field to search")]
    objectives: Annotated[
        dict[Annotated[str, ObjectiveName()], Direction], NotEmpty("metric with its direction")
    ]
    budget: BudgetConfig
    sampler: SamplerConfig = field(default_factory=lambda: SAMPLERS[DEFAULT_SAMPLER]())
    seed: Seed = 0
    warm_start: tuple[Annotated[str, StudyName()], ...] = ()
    known_points: dict[str, dict[str, Choice]] = field(default_factory=default_points)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    repeats: Annotated[int, Bounds(at_least=1, at_most=1000)] = 1
    race: RaceConfig = field(default_factory=RaceConfig)
    final: FinalConfig = field(default_factory=FinalConfig)
    early_stopping: HalvingConfig | None = None
    constraints: dict[Annotated[str, ConstrainedName()], Constraint] = field(default_factory=dict)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Find parameters that misfit their field, have no effect, or are invalid with the base."""
        misfitting = [
            problem
            for path, parameter in self.search.items()
            for problem in misfits(path, parameter)
        ]
        misfitting += condition_problems(self.search)
        if misfitting:
            yield from misfitting
        else:
            yield from self._idle_parameters()
            yield from self._idle_biases()
            yield from self._idle_mixers()
            misplaced = list(self._settings_of_other_entries())
            impossible = misplaced or list(self._impossible_values())
            yield from impossible or impossible_combinations(self.search, self.base)
            for reason in self.sampler.refusals(self.search, self.base, list(self.objectives)):
                yield FieldProblem("sampler", reason, ("name",))
            if self.early_stopping is not None:
                yield from self.early_stopping.misfits(
                    self.base.training, self.search, self.objectives
                )
            yield from self._idle_warm_start()
            yield from self._impossible_points()
            yield from self._impossible_recipe()
            yield from self._uncounted_hours()
            yield from self._missing_costs()

    @property
    def points(self) -> KnownPoints:
        """The known points that are tried first; they count towards the budget."""
        return known_points(self.known_points, self.search, self.base, self.sampler)

    @property
    def recalls(self) -> tuple[str, ...]:
        """The classes whose recall is an objective or constrained."""
        names = (class_of(metric) for metric in (*self.objectives, *self.constraints))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which trials are compared; empty without early stopping.

        Where second stages differ, trials are compared within the first one.
        """
        halving = self.early_stopping
        if halving is None:
            return ()
        second_stages_differ = any(path.startswith(SECOND_STAGE) for path in self.search)
        return halving.rungs((self.base.training if second_stages_differ else self.base).epochs)

    def epochs_of(self, parameters: Mapping[str, Choice]) -> int:
        """Return the epochs of a trial with these parameters."""
        return with_parameters(self.base, parameters).epochs

    def has_own_epochs(self, parameters: Mapping[str, Choice]) -> bool:
        """Whether a trial may have other epochs than those in which trials are compared."""
        fixed = (path for path in parameters if path not in self.search)
        own_second_stage = any(path.startswith(SECOND_STAGE) for path in fixed)
        return "training.epochs" in parameters or own_second_stage

    @property
    def constraints_at_rungs(self) -> dict[str, Constraint]:
        """The constraints that apply at rungs; shifted metrics exist only after the last epoch."""
        return {
            metric: constraint
            for metric, constraint in self.constraints.items()
            if metric not in shifted_metrics()
        }

    def _idle_warm_start(self) -> Iterator[FieldProblem]:
        """Refuse this study itself, repeated names, and samplers that cannot use other studies."""
        for index, name in enumerate(self.warm_start):
            if name == self.name:
                yield FieldProblem("warm_start", "a study cannot begin from itself", (index,))
            elif name in self.warm_start[:index]:
                yield FieldProblem("warm_start", f"{name} comes twice", (index,))
        if self.warm_start and not self.sampler.learns_from_others:
            message = f"{self.sampler.name} learns nothing from other studies: use tpe or gp"
            yield FieldProblem("warm_start", message)

    def _impossible_points(self) -> Iterator[FieldProblem]:
        """Refuse points that cannot be tried, except published ones, which are left out."""
        given = {
            name: assignment
            for name, assignment in self.known_points.items()
            if PAPERS.get(name) != assignment
        }
        for name, assignment in given.items():
            unsafe = StudyName().problem(name)
            if unsafe is not None:
                yield FieldProblem("known_points", unsafe, (name,))
            for path, message in point_problems(assignment, self.search, self.base, self.sampler):
                within = (name,) if path is None else (name, path)
                yield FieldProblem("known_points", message, within)

    def _impossible_recipe(self) -> Iterator[FieldProblem]:
        """Refuse replacements that are invalid, or that override a searched field."""
        try:
            self.final.applied_to(self.base)
        except InvalidFields as error:
            for problem in error.problems:
                name = dotted(problem.path).removeprefix("training.")
                given = name in self.final.training
                message = problem.message if given else f"{name} {problem.message}"
                yield FieldProblem("final", message, ("training", name) if given else ("training",))
        if not self.final.use_validation and not isinstance(self.base.data, FittedImages):
            message = f"{self.base.data.name} has no validation split of its own: leave it out"
            yield FieldProblem("final", message, ("use_validation",))
        for name in self.final.training:
            if f"training.{name}" in self.search:
                message = "is searched: the final training would undo what the search found"
                yield FieldProblem("final", message, ("training", name))

    def _missing_costs(self) -> Iterator[FieldProblem]:
        """Refuse expected costs where the study has no costs."""
        for section in ("objectives", "constraints"):
            for name in getattr(self, section):
                if name in COST_METRICS and self.base.cost is None:
                    yield FieldProblem(section, "needs costs: add cost: FILE.csv", (name,))

    def _uncounted_hours(self) -> Iterator[FieldProblem]:
        """Refuse a budget of device hours where the shares of GPUs are not known in advance."""
        if self.resources.share_gpus and self.budget.device_hours is not None:
            message = "would count whole GPUs where trials share them; give wall_hours or trials"
            yield FieldProblem("budget", message, ("device_hours",))

    def _idle_parameters(self) -> Iterator[FieldProblem]:
        experts = self.base.experts
        if experts.listed_biases is not None:
            idle, reason = ("spread", "centre"), f"experts.{experts.listed_biases} says it all"
        elif experts.count == 1 and "experts.count" not in self.search:
            idle, reason = ("spread", "sharing"), "there is one expert"
        else:
            return
        for path in (f"experts.{name}" for name in idle):
            if path in self.search:
                yield FieldProblem("search", f"changes nothing: {reason}", (path,))

    def _idle_biases(self) -> Iterator[FieldProblem]:
        """Refuse biases λ of experts beside losses that have none."""
        losses: Mapping[str, type[Loss]] = LOSSES.entries
        used = [name for name in self._entries_of("loss.name") if losses[name].uses_lambdas]
        given = self.base.experts.listed_biases
        if not used and given is not None:
            message = idle_biases(self._entries_of("loss.name"))
            yield FieldProblem("experts", message, (given,))
        for path in (path for path in self.search if path in LAMBDAS):
            beside = self._entries_with(path, "loss.name")
            idle = [name for name in beside if name not in used]
            if idle and len(idle) < len(beside):
                hint = f"add when: {{loss.name: {{one_of: [{', '.join(used)}]}}}}"
                message = f"changes nothing with {listed(idle)}: {hint}"
                yield FieldProblem("search", message, (path,))
            elif idle:
                yield FieldProblem("search", idle_biases(idle), (path,))

    def _idle_mixers(self) -> Iterator[FieldProblem]:
        """Refuse mixers without strength, and a searched strength without a mixer."""
        base, chosen = self.base, self.search.get("mixing.name")
        if "mixup.alpha" in self.search:
            if chosen is None and not base.mixing.mixes:
                message = f"changes nothing: mixing is {base.mixing.name}"
                yield FieldProblem("search", message, ("mixup.alpha",))
            return
        mixers, field, within = [base.mixing], "mixing", "name"
        if isinstance(chosen, CategoricalParameter):
            mixers = [MIXERS[str(name)]() for name in chosen.choices]
            field, within = "search", "mixing.name"
        reasons = (idle_mixer(mixer, base.mixup.alpha) for mixer in mixers)
        reason = next(filter(None, reasons), None)
        if reason is not None:
            yield FieldProblem(field, reason, (within,))

    def _settings_of_other_entries(self) -> Iterator[FieldProblem]:
        """Refuse settings that an entry lacks with which they would be searched."""
        for path in self.search:
            has = entry_settings(path)
            lacking = [name for name in self._entries_beside(path) if not has[name]]
            if lacking:
                having = [name for name in has if has[name]]
                proposed = [name for name in self._entries_of(_chooser(path)) if name in having]
                hint = f"choose {listed(having)} by {_chooser(path)}"
                if proposed:
                    hint = f"add when: {{{_chooser(path)}: {{one_of: [{', '.join(proposed)}]}}}}"
                message = f"is no setting of {listed(lacking)}: {hint}"
                yield FieldProblem("search", message, (path,))

    def _entries_of(self, chooser: str) -> list[str]:
        """Return the entries that trials choose by the field at `chooser`."""
        chosen = self.search.get(chooser)
        if isinstance(chosen, CategoricalParameter):
            return [str(name) for name in chosen.choices]
        return [str(field_value(self.base, chooser))]

    def _entries_beside(self, path: str) -> list[str]:
        """Return the entries with which a setting is searched; none for an ordinary field."""
        return self._entries_with(path, _chooser(path)) if entry_settings(path) else []

    def _entries_with(self, path: str, chooser: str) -> list[str]:
        """Return the entries of the field at `chooser` with which the one at `path` is searched."""
        condition = self.search[path].when.get(chooser)
        names = self._entries_of(chooser)
        return [name for name in names if condition is None or condition.holds(name)]

    def _impossible_values(self) -> Iterator[FieldProblem]:
        """Find values that fit their field, but are invalid together with the base."""
        for path, parameter in self.search.items():
            beside = [{_chooser(path): name} for name in self._entries_beside(path)] or [{}]
            for within, value in parameter.extremes.items():
                for entry in beside:
                    values = with_conditions(self.search, {**entry, path: value})
                    assert values is not None
                    try:
                        with_parameters(self.base, values)
                    except InvalidFields as error:
                        reasons = (f"{dotted(item.path)} {item.message}" for item in error.problems)
                        message = f"with {value}, {', '.join(reasons)}"
                        yield FieldProblem("search", message, (path, *within))
                        break


def _chooser(path: str) -> str:
    """Return the path of the `name` beside a setting of an entry."""
    return path.rpartition(".")[0] + ".name"
