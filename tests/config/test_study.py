from __future__ import annotations

from dataclasses import replace

import pytest

from balpoe.config import (
    BudgetConfig,
    CategoricalParameter,
    Configuration,
    Constraint,
    CostMatrix,
    ExpertsConfig,
    FinalConfig,
    FloatParameter,
    IntParameter,
    Parameter,
    ResourcesConfig,
    StudySpec,
    TrainingConfig,
    metric_table,
    to_plain,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.folder import ImageFolder
from balpoe.errors import InvalidFields

OTHER_BACKBONES = (
    "resnet<depth>_narrow, resnet<depth>_bbn (from depth 14), imagenet_resnet10, "
    "imagenet_resnet50, imagenet_resnext50_32x4d, imagenet_resnet10_narrow, "
    "imagenet_resnet50_narrow or imagenet_resnext50_32x4d_narrow"
)

BASE = Configuration(data=DigitsLT())


def study(search: dict[str, Parameter], base: Configuration = BASE) -> StudySpec:
    return StudySpec(
        name="s",
        base=base,
        search=search,
        objectives={"val/accuracy": "maximize"},
        budget=BudgetConfig(trials=1),
    )


def test_a_recipe_may_leave_out_a_validation_split_only_where_there_may_be_one() -> None:
    spec = study({"mixup.alpha": FloatParameter(low=0.0, high=1.0)})
    recipe = FinalConfig(use_validation=False)
    with pytest.raises(
        InvalidFields,
        match=r"final\.use_validation: digits_lt has no validation split of its own: leave it out",
    ):
        replace(spec, final=recipe)
    birds = replace(BASE, data=ImageFolder(root="birds"))
    final = replace(spec, base=birds, final=recipe).final.applied_to(birds)
    assert final == replace(birds, data=ImageFolder(root="birds", final_uses_validation=False))
    assert "use_validation" not in to_plain(FinalConfig())


def problems(search: dict[str, Parameter], base: Configuration = BASE) -> list[str]:
    with pytest.raises(InvalidFields) as caught:
        study(search, base)
    return str(caught.value).splitlines()


SOUND: dict[str, Parameter] = {"experts.count": IntParameter(low=1, high=7)}


def test_a_metric_of_the_test_set_is_refused_as_an_objective() -> None:
    expected = "objectives.test/ece: must be a val/ metric: a search never sees the test set"
    with pytest.raises(InvalidFields, match=expected):
        replace(study(SOUND), objectives={"test/ece": "minimize"})


def test_every_metric_of_the_validation_split_can_be_an_objective() -> None:
    plain = [f"val/{name}" for name, metric in metric_table().items() if metric.on_validation]
    assert len(plain) == len(metric_table()) - 4  # floors
    of_class = "val/class/кеа, red/green/recall"
    chosen = [*plain, "val/forward_10/accuracy", "val/backward_50_known_prior/ece", of_class]
    sound = study(SOUND)
    costs = CostMatrix(classes=("a", "b"), rows=((0.0, 1.0), (1.0, 0.0)))
    costly = replace(sound, base=replace(sound.base, cost=costs))
    of_all = replace(costly, objectives=dict.fromkeys(chosen, "minimize"))
    assert list(of_all.objectives) == chosen
    assert of_all.recalls == ("кеа, red/green",)


def test_expected_costs_need_costs() -> None:
    needs = r"\.val/expected_cost: needs costs: add cost: FILE\.csv"
    with pytest.raises(InvalidFields, match=f"objectives{needs}"):
        replace(study(SOUND), objectives={"val/expected_cost": "minimize"})
    with pytest.raises(InvalidFields, match=f"constraints{needs}"):
        replace(study(SOUND), constraints={"val/expected_cost": Constraint(at_most=1.0)})


@pytest.mark.parametrize("name", ["val/class//recall", "val/class/a", "val/class/a/precision"])
def test_a_class_has_a_name_and_a_recall(name: str) -> None:
    with pytest.raises(InvalidFields, match="unknown metric"):
        replace(study(SOUND), objectives={name: "maximize"})


def test_a_study_needs_a_search_space_and_an_objective() -> None:
    with pytest.raises(InvalidFields) as caught:
        replace(study(SOUND), search={}, objectives={})
    assert str(caught.value).splitlines() == [
        "StudySpec.search: must name at least one field to search",
        "StudySpec.objectives: must name at least one metric with its direction",
    ]


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "ä", "x" * 101, ".", "a\n"])
def test_a_name_that_is_unsafe_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(InvalidFields, match=r"StudySpec\.name: must be 1 to 100 letters, digits"):
        replace(study(SOUND), name=name)


def test_a_range_must_hold_something() -> None:
    with pytest.raises(InvalidFields, match=r"high: must be at least low \(2\), got 1"):
        IntParameter(low=2, high=1)
    with pytest.raises(InvalidFields, match="low: must be above 0 on a logarithmic scale"):
        FloatParameter(low=0.0, high=1.0, log=True)
    assert IntParameter(low=2, high=2).low == 2


def test_choices_must_be_some_and_differ() -> None:
    with pytest.raises(InvalidFields, match="choices: must name at least one choice"):
        CategoricalParameter(choices=())
    with pytest.raises(InvalidFields, match=r"choices: must differ, got \[1, 1\]"):
        CategoricalParameter(choices=(1, 1))


@pytest.mark.parametrize(
    ("path", "parameter", "message"),
    [
        (
            "experts.cont",
            IntParameter(low=1, high=2),
            "search.experts.cont: unknown field; did you mean experts.count?",
        ),
        (
            "experts.count",
            FloatParameter(low=1.0, high=2.0),
            "search.experts.count.type: must be int or categorical (experts.count is an integer),"
            " got float",
        ),
        (
            "mixup.alpha",
            IntParameter(low=0, high=1),
            "search.mixup.alpha.type: must be float or categorical (mixup.alpha is a number),"
            " got int",
        ),
        (
            "experts.sharing",
            IntParameter(low=0, high=1),
            "search.experts.sharing.type: must be categorical (experts.sharing is text), got int",
        ),
        (
            "training.nesterov",
            IntParameter(low=0, high=1),
            "search.training.nesterov.type: must be categorical"
            " (training.nesterov is true or false), got int",
        ),
        (
            "experts.count",
            IntParameter(low=0, high=2),
            "search.experts.count.low: must be at least 1, got 0",
        ),
        (
            "training.momentum",
            FloatParameter(low=0.5, high=1.5),
            "search.training.momentum.high: must be at most 1, got 1.5",
        ),
        (
            "model.backbone",
            CategoricalParameter(choices=("resnet8", "resnet9")),
            "search.model.backbone.choices[1]: must be resnet8, resnet14, resnet20, resnet32"
            f' or another depth 6n+2, {OTHER_BACKBONES}, got "resnet9"',
        ),
        (
            "data.noise",
            FloatParameter(low=1.0, high=2.0),
            "search.data.noise: cannot be searched: trials on different data cannot be compared",
        ),
    ],
)
def test_a_parameter_that_does_not_fit_its_field_is_refused(
    path: str, parameter: Parameter, message: str
) -> None:
    assert problems({path: parameter}) == [f"StudySpec.{message}"]


def test_the_misfits_of_all_parameters_are_reported_at_once() -> None:
    found = problems(
        {
            "experts.count": IntParameter(low=-1, high=0),
            "mixup.alpha": CategoricalParameter(choices=(0.1, "much")),
        }
    )
    assert found == [
        "StudySpec.search.experts.count.low: must be at least 1, got -1",
        "StudySpec.search.experts.count.high: must be at least 1, got 0",
        'StudySpec.search.mixup.alpha.choices[1]: must be a number, got "much"',
    ]


def test_values_that_the_base_rules_out_are_found_before_a_trial_is() -> None:
    base = replace(BASE, experts=ExpertsConfig(count=3, lambdas=(1.0, 0.0, -1.0)))
    assert problems({"experts.count": IntParameter(low=1, high=3)}, base) == [
        "StudySpec.search.experts.count.low: with 1, lambdas must be as many as count (1), got 3"
    ]
    assert problems({"training.momentum": FloatParameter(low=0.0, high=0.9)}) == [
        "StudySpec.search.training.momentum.low:"
        " with 0.0, nesterov needs a momentum above 0: set nesterov: false"
    ]
    base = replace(BASE, training=TrainingConfig(nesterov=False))
    study({"training.momentum": FloatParameter(low=0.0, high=0.9)}, base)


def test_a_search_that_changes_nothing_is_refused() -> None:
    spread = {"experts.spread": FloatParameter(low=0.0, high=1.0)}
    given = replace(BASE, experts=ExpertsConfig(count=2, lambdas=(1.0, -1.0)))
    assert problems(dict(spread), given) == [
        "StudySpec.search.experts.spread: changes nothing: experts.lambdas says it all"
    ]
    by_class = replace(BASE, experts=ExpertsConfig(count=2, class_lambdas=((1.0,), (-1.0,))))
    assert problems(dict(spread), by_class) == [
        "StudySpec.search.experts.spread: changes nothing: experts.class_lambdas says it all"
    ]
    single = replace(BASE, experts=ExpertsConfig(count=1))
    assert problems(dict(spread), single) == [
        "StudySpec.search.experts.spread: changes nothing: there is one expert"
    ]
    study({**SOUND, **spread}, single)


def test_device_hours_are_refused_where_trials_share_gpus() -> None:
    with pytest.raises(InvalidFields, match=r"budget\.device_hours: would count whole GPUs"):
        replace(
            study(SOUND),
            budget=BudgetConfig(trials=1, device_hours=2.0),
            resources=ResourcesConfig(gpus_per_trial=1, share_gpus=True),
        )
