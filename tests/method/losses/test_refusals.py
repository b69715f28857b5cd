"""What does not go with a loss is refused with file, line, value and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.errors import ConfigurationError
from balpoe.files import load_configuration, load_study

REFUSED = [
    (
        "model: {classifier: linear}\nloss: {name: ldam}",
        "x.yaml:2 model.classifier: must be cosine with the loss ldam, whose margins are "
        "differences of cosines, got linear",
    ),
    (
        "loss: {name: ride}\nmodel:\n  classifier: linear",
        "x.yaml:4 model.classifier: must be cosine with the loss ride, whose margins are "
        "differences of cosines, got linear",
    ),
    (
        "loss: {name: ride}\nexperts:\n  count: 1",
        "x.yaml:4 experts.count: must be at least 2 with the loss ride, which moves experts "
        "apart, got 1",
    ),
    (
        "loss: {name: ride}\nexperts:\n  count: 3\n  sharing: independent",
        "x.yaml:5 experts.sharing: must be shared or linear with the loss ride, which compares "
        "experts on the same images, got independent",
    ),
    (
        "loss: {name: sade}\nexperts:\n  count: 4",
        "x.yaml:4 experts.count: must be 3 with the loss sade, which has a term for each, got 4",
    ),
    (
        "loss: {name: lade}\nmixup:\n  alpha: 0.4",
        "x.yaml:4 mixup.alpha: must be 0 with the loss lade, which needs the images of each "
        "class, and mixed images have two, got 0.4; or set mixing: none",
    ),
    (
        "loss: {name: lade}\ntraining:\n  accumulate: 2",
        "x.yaml:4 training.accumulate: must be 1 with the loss lade, which is no mean over "
        "images, got 2",
    ),
    (
        "loss: {name: class_balanced}\nreweighting:\n  start: 0.5\n  beta: 0.99",
        "x.yaml:5 reweighting.beta: must be 0 with the loss class_balanced, which has class "
        "weights of its own, got 0.99: leave reweighting out",
    ),
    (
        "loss: {name: class_balanced_focal}\nreweighting: {beta: 0.99, normalisation: images}",
        "x.yaml:3 reweighting.beta: must be 0 with the loss class_balanced_focal, which has class "
        "weights of its own, got 0.99: leave reweighting out",
    ),
    (
        "training: {accumulate: 2}\nloss:\n  name: class_balanced\n  normalisation: batch",
        "x.yaml:5 loss.normalisation: batch needs the weights of whole batches: set "
        "training.accumulate: 1, or images here",
    ),
    (
        "loss: {name: focal, beta: 0.9}",
        "x.yaml:2 loss.beta: is a setting of class_balanced or class_balanced_focal alone; known "
        "are name, gamma",
    ),
    (
        "loss: {name: class_balanced, beta: 1}",
        "x.yaml:2 loss.beta: must be at most 0.9999999, got 1.0",
    ),
    (
        "loss: {name: class_balanced_focal, form: sigmod}",
        'x.yaml:2 loss.form: must be softmax, weighted or sigmoid, got "sigmod"; did you mean '
        "sigmoid?",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_configuration_is_refused_at_the_line_of_what_does_not_go_with_its_loss(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(f"data: {{name: digits_lt}}\n{text}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(Path("x.yaml"))
    assert str(caught.value) == message


STUDY = """\
name: s
data: {name: digits_lt}
search:
  loss.name: {type: categorical, choices: [cross_entropy, focal, class_balanced]}
%s
objectives: {val/accuracy: maximize}
budget: {trials: 2}
"""


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            "  loss.gamma: {type: float, low: 0, high: 2}",
            "x.yaml:5 search.loss.gamma: is no setting of cross_entropy or class_balanced: add "
            "when: {loss.name: {one_of: [focal]}}",
        ),
        (
            "  mixup.alpha: {type: float, low: 0, high: 1}\n"
            "  loss.beta: {type: float, low: 0, high: 0.99, when: {loss.name: {one_of: [focal]}}}",
            "x.yaml:6 search.loss.beta: is no setting of focal: add when: "
            "{loss.name: {one_of: [class_balanced]}}",
        ),
        (
            "  loss.tau: {type: float, low: 0, high: 2}",
            "x.yaml:5 search.loss.tau: is no setting of cross_entropy, focal or class_balanced: "
            "choose sade by loss.name",
        ),
    ],
)
def test_a_searched_setting_of_another_loss_is_refused_at_its_line(
    parameter: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(STUDY % parameter)
    with pytest.raises(ConfigurationError) as caught:
        load_study(Path("x.yaml"))
    assert str(caught.value) == message


def test_settings_of_several_losses_are_searched_under_their_conditions(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        STUDY
        % "  loss.gamma: {type: float, low: 0, high: 2, when: {loss.name: {one_of: [focal]}}}\n"
        "  loss.beta: {type: float, low: 0.9, high: 0.9999, "
        "when: {loss.name: {one_of: [class_balanced]}}}"
    )
    assert set(load_study(path).search) == {"loss.name", "loss.gamma", "loss.beta"}
