"""What tables refuse, and settings of entries in a search."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Condition,
    Configuration,
    FloatParameter,
    StudySpec,
    entry_tables,
    with_parameters,
)
from balpoe.config.bounds import Fraction
from balpoe.config.entry_tables import Entry, Table, import_entries
from balpoe.config.fields import searchable_fields
from balpoe.config.loss import LOSSES, Criterion, Loss, LossContext
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields, UserError
from balpoe.method.losses.focal import Focal


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing(Entry):
    name: str


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> Table[Thing]:
    """A table of its own, which no other test sees."""
    monkeypatch.setattr(entry_tables, "_TABLES", dict(entry_tables._TABLES))
    return Table(Thing, package="balpoe.method.mixers", group="balpoe.test_things")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poly(Loss):
    name: Literal["poly"] = "poly"
    gamma: Fraction = 0.5

    def criterion(self, context: LossContext) -> Criterion:
        raise NotImplementedError


@pytest.fixture
def poly() -> Iterator[None]:
    """One more loss, whose setting gamma has other bounds than that of the focal loss."""
    LOSSES.add(Poly)
    yield
    del LOSSES._entries["poly"]


def study(when: Condition | None, choices: tuple[str, ...] = ("logit_adjustment", "focal")) -> None:
    StudySpec(
        name="s",
        base=Configuration(data=DigitsLT()),
        search={
            "loss.name": CategoricalParameter(choices=choices),
            "loss.gamma": FloatParameter(
                low=0.5, high=2.0, when={} if when is None else {"loss.name": when}
            ),
        },
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=1),
    )


def test_a_class_whose_decorators_are_in_the_wrong_order_is_refused(things: Table[Thing]) -> None:
    class Bare(Thing):
        name: Literal["bare"] = "bare"

    with pytest.raises(TypeError, match="needs a default for `name`; `add` stands above"):
        things.add(Bare)


def test_a_setting_without_a_default_is_refused(things: Table[Thing]) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Demanding(Thing):
        name: Literal["demanding"] = "demanding"
        tau: float

    with pytest.raises(TypeError, match="needs a default for `tau`"):
        things.add(Demanding)


def test_two_classes_of_one_name_are_refused_and_one_may_come_twice(things: Table[Thing]) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class One(Thing):
        name: Literal["one"] = "one"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Other(Thing):
        name: Literal["one"] = "one"

    things.add(One)
    things.add(One)
    with pytest.raises(ValueError, match="two entries are called one"):
        things.add(Other)


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = importlib.metadata.EntryPoint("broken", "no_such_package.focal", "balpoe.test_broken")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
    with pytest.raises(UserError, match=r"no_such_package\.focal .*repair or uninstall"):
        import_entries("balpoe.method.mixers", group="balpoe.test_broken")


@pytest.mark.usefixtures("poly")
def test_a_setting_is_searched_only_with_the_entries_that_have_it() -> None:
    study(Condition(one_of=("focal",)))
    study(None, choices=("focal",))
    with pytest.raises(InvalidFields, match=r"with 2\.0, gamma must be at most 1, got 2\.0"):
        study(None, choices=("focal", "poly"))
    with pytest.raises(InvalidFields, match=r"is no setting of logit_adjustment: add when: "):
        study(None)
    with pytest.raises(InvalidFields, match="is no setting of logit_adjustment"):
        study(Condition(one_of=("focal", "logit_adjustment")))


@pytest.mark.usefixtures("poly")
def test_settings_of_one_name_obey_the_rules_of_the_chosen_entry() -> None:
    base = Configuration(data=DigitsLT())
    assert searchable_fields()["loss.gamma"].kind is float
    focal = with_parameters(base, {"loss.name": "focal", "loss.gamma": 2.0})
    assert focal == replace(base, loss=Focal(gamma=2.0))
    with pytest.raises(InvalidFields, match=r"gamma: must be at most 1, got 2\.0"):
        with_parameters(base, {"loss.name": "poly", "loss.gamma": 2.0})
    with pytest.raises(InvalidFields, match="gamma: is no setting of logit_adjustment"):
        with_parameters(base, {"loss.gamma": 2.0})
