from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from balpoe.config import SAMPLERS, Configuration, Constraint, FloatParameter, to_plain
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.errors import ConfigurationError, UserError
from balpoe.files import configuration_from_plain, load_configuration, load_study
from balpoe.files.restricted_yaml import MOST_BYTES

STUDY = """\
name: s
data: {name: digits_lt}
search:
  mixup.alpha: {type: float, low: 0, high: 1}
objectives: {val/accuracy: maximize}
budget: {trials: 2}
"""

SOURCES = "cifar100_lt, cifar10_lt, digits_lt, folder, gaussian_lt, image_list or parquet"
OTHER_BACKBONES = (
    "resnet<depth>_narrow, resnet<depth>_bbn (from depth 14), imagenet_resnet10, "
    "imagenet_resnet50, imagenet_resnext50_32x4d, imagenet_resnet10_narrow, "
    "imagenet_resnet50_narrow or imagenet_resnext50_32x4d_narrow"
)

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes x.yaml into the current directory, so that messages begin with its bare name."""
    monkeypatch.chdir(tmp_path)

    def written(content: str | bytes) -> Path:
        path = Path("x.yaml")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return written


def problems(load: Callable[[Path], object], path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert isinstance(caught.value, UserError)
    return str(caught.value).splitlines()


def test_absent_keys_take_their_defaults(write: Write) -> None:
    path = write("data: {name: gaussian_lt}\nexperts: {count: 5}\n")
    configuration = load_configuration(path)
    assert configuration.data == GaussianLT()
    assert configuration.experts.count == 5
    assert configuration.training == Configuration(data=DigitsLT()).training


def test_integers_serve_as_numbers_and_lists_as_tuples(write: Write) -> None:
    path = write(
        "data: {name: digits_lt, imbalance_ratio: 20}\nexperts: {count: 2, lambdas: [1, -1]}\n"
    )
    configuration = load_configuration(path)
    assert isinstance(configuration.data, DigitsLT)
    assert isinstance(configuration.data.imbalance_ratio, float)
    assert configuration.experts.lambdas == (1.0, -1.0)


def test_a_study_has_the_keys_of_its_base_beside_its_own(write: Write) -> None:
    study = load_study(write(STUDY + "training: {epochs: 7}\nseed: 3\n"))
    assert study.base.training.epochs == 7
    assert study.seed == 3
    assert study.search == {"mixup.alpha": FloatParameter(low=0.0, high=1.0)}


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(write: Write) -> None:
    path = write(b"\xef\xbb\xbf" + STUDY.replace("\n", "\r\n").encode())
    assert load_study(path).name == "s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("experts: {count: 0}", "experts.count: must be at least 1, got 0"),
        ("experts: {count: 2.0}", "experts.count: must be an integer, got 2.0"),
        ("experts: {count: true}", "experts.count: must be an integer, got true"),
        ("experts: {count: '3'}", 'experts.count: must be an integer, got "3"'),
        ("experts: {count: 017}", 'experts.count: must be an integer, got "017"'),
        ("experts: {count: null}", "experts.count: must be an integer, got null"),
        ("experts: {spread: much}", 'experts.spread: must be a number, got "much"'),
        ("experts: {spread: true}", "experts.spread: must be a number, got true"),
        ("experts: {spread: .inf}", "experts.spread: must be a finite number, got inf"),
        ("experts: {spread: .nan}", "experts.spread: must be a finite number, got nan"),
        ("experts: {spread: 1e999}", "experts.spread: must be a finite number, got inf"),
        ("experts: {lambdas: 1}", "experts.lambdas: must be a list, got 1"),
        (
            "experts: {lambdas: [1, .inf, 0]}",
            "experts.lambdas[1]: must be a finite number, got inf",
        ),
        ("experts: {lambdas: [1, 0]}", "experts.lambdas: must be as many as count (3), got 2"),
        (
            "experts: {sharing: share}",
            'experts.sharing: must be shared, independent or linear, got "share";'
            " did you mean shared?",
        ),
        ("experts: {sharing: 1}", "experts.sharing: must be shared, independent or linear, got 1"),
        ("experts: [1]", "experts: must be keys with values, got [1]"),
        ("experts:", "experts: must be keys with values, got null"),
        ("experts: {cont: 3}", "experts.cont: unknown key; did you mean count?"),
        (
            "mixup: {zzz: 3}",
            "mixup.zzz: unknown key; known are alpha, until",
        ),
        ("epochs: 3", "epochs: unknown key; did you mean training.epochs?"),
        ("training: {nesterov: yes}", 'training.nesterov: must be true or false, got "yes"'),
        (
            "training: {momentum: 0}",
            "training.nesterov: needs a momentum above 0: set nesterov: false",
        ),
        (
            "training: {augmentation: {crop_padding: -1}}",
            "training.augmentation.crop_padding: must be at least 0, got -1",
        ),
        (
            "model: {backbone: resnet9}",
            "model.backbone: must be resnet8, resnet14, resnet20, resnet32"
            f' or another depth 6n+2, {OTHER_BACKBONES}, got "resnet9"',
        ),
        ("model: {backbone: 8}", "model.backbone: must be text, got 8: put it in quotes"),
        (
            "model: {backbone: " + "x" * 100 + "}",
            "model.backbone: must be resnet8, resnet14, resnet20, resnet32"
            f" or another depth 6n+2, {OTHER_BACKBONES},"
            f' got "{"x" * 59}…',
        ),
    ],
)
def test_a_problem_is_named_with_file_line_field_and_value(
    write: Write, text: str, message: str
) -> None:
    path = write(f"data: {{name: digits_lt}}\n# a comment\n{text}\n")
    assert problems(load_configuration, path) == [f"x.yaml:3 {message}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{name: digit_lt}",
            f'data.name: must be {SOURCES}, got "digit_lt";'
            " did you mean digits_lt?",
        ),
        ("{name: 3}", f"data.name: must be {SOURCES}, got 3"),
        ("{name: []}", f"data.name: must be {SOURCES}, got []"),
        ("{}", f"data.name: must be given: {SOURCES}"),
        ("digits_lt", 'data: must be keys with values, got "digits_lt"'),
        ("{name: digits_lt, noise: 3}",
         "data.noise: is a setting of gaussian_lt alone; known are name, "
         "imbalance_ratio, head_count, subset_seed"),
        ("{name: digits_lt, head_count: 0}", "data.head_count: must be at least 1, got 0"),
        ("{name: gaussian_lt, nois: 3}", "data.nois: unknown key; did you mean noise?"),
        ("{name: parquet, train: a}", "data.test: must be given"),
        (
            "{name: parquet, train: a, test: b, mean: [0.5]}",
            "data.std: must have as many numbers as mean, got null",
        ),
    ],
)  # fmt: skip
def test_the_source_of_data_decides_which_keys_it_has(
    write: Write, text: str, message: str
) -> None:
    assert problems(load_configuration, write(f"\ndata: {text}\n")) == [f"x.yaml:2 {message}"]


def test_a_missing_key_is_named_at_the_line_of_the_section_that_lacks_it(write: Write) -> None:
    path = write("# a comment\nmodel: {}\n\ndata:\n  name: parquet\n  train: a\n")
    assert problems(load_configuration, path) == ["x.yaml:4 data.test: must be given"]
    assert problems(load_configuration, write("model: {}\n")) == ["x.yaml:1 data: must be given"]


def test_every_problem_of_a_study_is_reported_in_one_go_in_the_order_of_lines(
    write: Write,
) -> None:
    path = write("""\
name: a study
data: {name: digits_lt, imbalance_ratio: 0}
experts:
  count: 0
  spred: 2.0
training:
  epochs: 20.5
  epochs: 20
search:
  experts.count: {type: int, low: 0, high: 7}
  expert.spread: {type: float, low: 0.0, high: 2.0}
  experts.sharing: {type: categorical, choices: [shared, [], independant]}
  mixup.alpha: {type: flat, low: 0.0, high: 1.0}
  training.momentum: {low: 0.0, high: 1.0}
  training.learning_rate: {type: float, low: 1e-1, high: 1e-4}
  training.epochs: {type: float, low: 1, high: 2}
  data.noise: {type: float, low: 1, high: 2}
objectives: {val/accuracy: maximise, val/eca: minimize, test/ece: minimize}
bugdet: {trials: 12}
""")
    assert problems(load_study, path) == [
        "x.yaml:1 name: must be 1 to 100 letters, digits, '-' and '_', the first a letter or digit,"
        ' got "a study"',
        "x.yaml:1 budget: must be given",
        "x.yaml:2 data.imbalance_ratio: must be at least 1, got 0.0",
        "x.yaml:4 experts.count: must be at least 1, got 0",
        "x.yaml:5 experts.spred: unknown key; did you mean spread?",
        "x.yaml:7 training.epochs: is given again in line 8: keep one",
        "x.yaml:7 training.epochs: must be an integer, got 20.5",
        "x.yaml:10 search.experts.count.low: must be at least 1, got 0",
        "x.yaml:11 search.expert.spread: unknown field; did you mean experts.spread?",
        "x.yaml:12 search.experts.sharing.choices[1]:"
        " must be true or false, an integer, a number or text, got []",
        'x.yaml:13 search.mixup.alpha.type: must be int, float or categorical, got "flat";'
        " did you mean float?",
        "x.yaml:14 search.training.momentum.type: must be given: int, float or categorical",
        "x.yaml:15 search.training.learning_rate.high: must be at least low (0.1), got 0.0001",
        "x.yaml:16 search.training.epochs.type: must be int or categorical"
        " (training.epochs is an integer), got float",
        "x.yaml:17 search.data.noise: cannot be searched:"
        " trials on different data cannot be compared",
        'x.yaml:18 objectives.val/accuracy: must be maximize or minimize, got "maximise";'
        " did you mean maximize?",
        "x.yaml:18 objectives.val/eca: unknown metric; did you mean val/ece?",
        "x.yaml:18 objectives.test/ece: must be a val/ metric: a search never sees the test set",
        "x.yaml:19 bugdet: unknown key; did you mean budget?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  mixup.alpha: {type: float, low: 0, high: 1}", "  {}",
         "x.yaml:3 search: must name at least one field to search"),
        ("  mixup.alpha: {type: float, low: 0, high: 1}", "  - a",
         'x.yaml:3 search: must be keys with values, got ["a"]'),
        ("mixup.alpha: {", "mixup.alpha: 3 # {",
         "x.yaml:4 search.mixup.alpha: must be keys with values, got 3"),
        ("{val/accuracy: maximize}", "{}",
         "x.yaml:5 objectives: must name at least one metric with its direction"),
        ("val/accuracy: maximize", "'[key]': [1]",
         "x.yaml:5 objectives.[key]: unknown metric; known are val/accuracy, "
         "val/top_5_accuracy, val/balanced_accuracy, val/macro_f1, val/accuracy_many, "
         "val/accuracy_medium, val/accuracy_few, val/nll, val/balanced_nll, val/confidence, "
         "val/ece, val/balanced_ece, val/mce, val/balanced_mce, "
         "val/kl_to_target_prior, val/kl_to_target_prior_matched, val/expected_cost, "
         "val/balanced_expected_cost, val/forward_2/accuracy and its like, "
         "val/class/<name>/recall\n"
         "x.yaml:5 objectives.[key]: must be maximize or minimize, got [1]"),
        ("budget: {trials: 2}", "budget: {}",
         "x.yaml:6 budget.trials: must be given, or wall_hours, or device_hours"),
        ("budget: {trials: 2}", "budget: {trials: 2, wall_hours: 0}",
         "x.yaml:6 budget.wall_hours: must be above 0, got 0.0"),
        ("high: 1}", "high: 1, when: {experts.count: {at_least: 2}}}",
         "x.yaml:4 search.mixup.alpha.when.experts.count: unknown searched field; "
         "this is the only parameter"),
        ("high: 1}", "high: 1, when: {experts.count: {from: 2}}}",
         "x.yaml:4 search.mixup.alpha.when.experts.count.from: unknown key; known are one_of, "
         "at_least, at_most"),
        ("high: 1}", "high: 1, when: 3}",
         "x.yaml:4 search.mixup.alpha.when: must be keys with values, got 3"),
        ("name: s", "name: s\nsampler: tp",
         "x.yaml:2 sampler.name: must be gp, grid, nsgaii, random or tpe, got \"tp\"; "
         "did you mean tpe?"),
        ("name: s", "name: s\nsampler: grid",
         "x.yaml:2 sampler.name: grid cannot take mixup.alpha, a range of numbers: "
         "give choices (type: categorical)"),
        ("name: s", "name: s\nsampler:\n  name: tpe\n  seed: -1",
         "x.yaml:4 sampler.seed: must be at least 0, got -1"),
        ("name: s", "name: s\nknown_points:\n  a: {}\n  b c: {}\n  d: {experts.cont: 2}",
         "x.yaml:4 known_points.b c: must be 1 to 100 letters, digits, '-' and '_', the first "
         "a letter or digit, got \"b c\"\n"
         "x.yaml:5 known_points.d.experts.cont: unknown field; did you mean experts.count?"),
        ("name: s", "name: s\nfinal:\n  seeds: [1, 1]",
         "x.yaml:3 final.seeds: must differ, got [1, 1]"),
        ("name: s", "name: s\nfinal:\n  training:\n    epochs: 0\n    schedul: cosine",
         "x.yaml:4 final.training.epochs: must be at least 1, got 0\n"
         "x.yaml:5 final.training.schedul: unknown field; did you mean training.schedule?"),
        ("name: s", "name: s\nfinal: {training: {momentum: 0}}",
         "x.yaml:2 final.training: nesterov needs a momentum above 0: set nesterov: false"),
        ("name: s", "name: s\nrepeats: 0", "x.yaml:2 repeats: must be at least 1, got 0"),
        ("name: s", "name: 2024", "x.yaml:1 name: must be text, got 2024: put it in quotes"),
        ("name: s", "name: s\nbase: {}", "x.yaml:2 base: unknown key; known are name, question, "
         "data, model, experts, mixup, training, loss, mixing, reweighting, second_stage, cost, "
         "search, objectives, budget, sampler, seed, warm_start, known_points, resources, "
         "repeats, race, final, early_stopping, constraints"),
    ],
)  # fmt: skip
def test_a_study_keeps_the_paths_of_its_file(
    write: Write, old: str, new: str, message: str
) -> None:
    assert old in STUDY
    assert problems(load_study, write(STUDY.replace(old, new))) == message.splitlines()


def test_a_sampler_may_be_named_alone(write: Write) -> None:
    alone = load_study(write(STUDY + "sampler: random\n")).sampler
    section = load_study(write(STUDY + "sampler: {name: random, seed: null}\n")).sampler
    assert alone == section == SAMPLERS["random"]()
    assert load_study(write(STUDY + "sampler: {seed: 3}\n")).sampler == SAMPLERS["tpe"](seed=3)


def test_what_the_search_found_is_not_undone_by_the_final_training(write: Write) -> None:
    text = STUDY.replace("mixup.alpha", "training.decay") + "final: {training: {decay: 0.2}}\n"
    assert problems(load_study, write(text.replace("low: 0,", "low: 0.1,"))) == [
        "x.yaml:7 final.training.decay: is searched: "
        "the final training would undo what the search found"
    ]


def test_a_study_is_no_configuration(write: Write) -> None:
    found = problems(load_configuration, write(STUDY))
    assert [line.split(":")[1] for line in found] == [
        "1 name",
        "3 search",
        "5 objectives",
        "6 budget",
    ]


def test_a_file_that_cannot_be_read_is_one_message(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert problems(load_study, missing) == [
        f"{missing}: cannot be read: No such file or directory"
    ]
    assert problems(load_study, tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert problems(load_study, Path("a\0b")) == ["a\0b: cannot be read: embedded null byte"]


def test_a_file_that_is_not_text_is_one_message(write: Write) -> None:
    path = write(b"name: s\nquestion: \xff\n")
    assert problems(load_study, path) == ["x.yaml:2: must be UTF-8 text, got the byte 0xFF"]


def test_a_file_beyond_the_cap_is_not_even_parsed(write: Write) -> None:
    path = write("a" * (MOST_BYTES + 1))
    assert problems(load_study, path) == ["x.yaml: must be at most 1048576 bytes (1 MiB)"]


@given(
    content=st.binary(max_size=200)
    | st.tuples(
        st.integers(0, len(STUDY)), st.integers(0, 20), st.text("{}[]:,-#&*!|>'\"%@`?~ \n\ta0.e")
    ).map(lambda cut: (STUDY[: cut[0]] + cut[2] + STUDY[cut[0] + cut[1] :]).encode())
)
@example(b"? {a: b}\n")
@example(b"%YAML 3.0\n---\na: 1\n")
@example(b"? |\n  " + b"k" * 2000 + b"\n: 1\n")
def test_whatever_a_file_holds_it_loads_or_is_refused_with_a_message(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigurationError):
        load_study(path)


def test_plain_data_is_validated_like_a_file_but_without_lines() -> None:
    plain = to_plain(Configuration(data=DigitsLT()))
    assert configuration_from_plain(plain, "m/configuration.json") == Configuration(data=DigitsLT())
    plain["experts"]["count"] = 10**400
    plain["training"]["decay"] = float("nan")
    with pytest.raises(ConfigurationError) as caught:
        configuration_from_plain(plain, "m/configuration.json")
    count, decay = str(caught.value).splitlines()
    assert count.startswith(
        "m/configuration.json experts.count: must be at most 1000000000, got 10"
    )
    assert decay == "m/configuration.json training.decay: must be a finite number, got nan"
    with pytest.raises(ConfigurationError, match=r"^m: must be keys with values, got \[\]$"):
        configuration_from_plain([], "m")


def test_constraints_and_early_stopping_are_sections_whose_problems_have_lines(
    write: Write,
) -> None:
    content = """\
early_stopping: {grace_epochs: 10}
constraints:
  val/accuracy_few: {at_least: 0.2}
  parameters: {at_most: 1e6}
"""
    study = load_study(write(STUDY + content))
    assert study.rungs == (10, 30, 90)
    assert study.constraints == {
        "val/accuracy_few": Constraint(at_least=0.2),
        "parameters": Constraint(at_most=1e6),
    }
    wrong = """\
early_stopping: {name: hyperband, grace_epochs: 200}
constraints:
  val/accuracy_fw: {at_least: 0.2}
  parameters: {below: 1e6}
  epoch_seconds: {}
"""
    assert problems(load_study, write(STUDY + wrong)) == [
        'x.yaml:7 early_stopping.name: must be halving, got "hyperband"',
        "x.yaml:9 constraints.val/accuracy_fw: unknown metric; did you mean val/accuracy_few?",
        "x.yaml:10 constraints.parameters.below: unknown key; known are at_least, at_most",
        "x.yaml:11 constraints.epoch_seconds.at_least: must be given, or at_most",
    ]
