"""Second stages in the engine: what they train, freeze, draw, choose and resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from balpoe.config import Configuration, ExpertsConfig, ModelConfig, ReweightingConfig, Sharing
from balpoe.config.loss import Targets
from balpoe.config.second_stage import SECOND_STAGES, SecondStage, TrainedStage
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.splits import DataDescription, ImageSet
from balpoe.errors import DataError
from balpoe.method.tau_normalisation import tau_normalised, tau_normalised_logits
from balpoe.method.tau_search import best_tau
from balpoe.models.classifiers import CosineClassifier, LinearClassifier, biases_and_norms
from balpoe.training.checkpoint import CheckpointDirectory
from balpoe.training.loss_context import expert_priors, loss_context
from balpoe.training.orders import epoch_order
from balpoe.training.prediction import EvaluationInput
from balpoe.training.second_stages.tau_norm import CHOSEN_TAU
from balpoe.training.stages import first_stage
from balpoe.training.streams import Purpose, classifier_generator, random_stream
from balpoe.training.training import Training, training_identity
from tests.host_reads import refuse_reads

CPU = torch.device("cpu")
CRT = SECOND_STAGES["crt"](epochs=3)
LWS = SECOND_STAGES["lws"](epochs=2)
MISLAS = SECOND_STAGES["mislas"](epochs=2, classifier_rate=0.3)
TAU_NORM = SECOND_STAGES["tau_norm"](tau=0.7)
CHOSEN = SECOND_STAGES["tau_norm"]()
LINEAR = ModelConfig(backbone="resnet8", classifier="linear")
Start = Callable[..., Training]
State = dict[str, Tensor]


@pytest.fixture
def start(
    configuration: Configuration,
    train: ImageSet,
    validation: ImageSet,
    description: DataDescription,
) -> Start:
    linear = replace(configuration, model=LINEAR)

    def start_training(
        second_stage: SecondStage,
        configuration: Configuration = linear,
        checkpoints: Path | None = None,
        seed: int = 0,
        observed: bool = True,
    ) -> Training:
        return Training(
            replace(configuration, second_stage=second_stage),
            train=train,
            description=description,
            validation=validation if observed else None,
            seed=seed,
            device=CPU,
            checkpoints=CheckpointDirectory(checkpoints) if checkpoints else None,
        )

    return start_training


def state_of(training: Training) -> State:
    return {name: tensor.clone() for name, tensor in training.experts.state_dict().items()}


def states(training: Training) -> list[State]:
    """The state after each epoch."""
    return [state_of(training) for _ in training.fit()]


def changed(before: State, after: State) -> set[str]:
    """The last parts of the names of tensors that differ in a bit, or are new."""
    return {
        name.rpartition(".")[2]
        for name in after
        if name not in before or not torch.equal(before[name], after[name])
    }


def in_classifiers(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if ".classifier." in name}


@pytest.mark.parametrize("sharing", ["shared", "linear", "independent"])
@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        (CRT, {"weight", "bias"}),
        (LWS, {"class_scales"}),
        (MISLAS, {"weight", "bias", "class_scales"}),
        (TAU_NORM, {"weight", "bias"}),
    ],
    ids=["crt", "lws", "mislas", "tau_norm"],
)
def test_features_and_batch_norm_statistics_keep_their_bits(
    start: Start,
    configuration: Configuration,
    stage: SecondStage,
    trained: set[str],
    sharing: Sharing,
) -> None:
    experts = ExpertsConfig(count=2, sharing=sharing)
    configuration = replace(configuration, model=LINEAR, experts=experts)
    [*_, before] = states(start(SECOND_STAGES["none"](), configuration))
    [*_, after] = states(start(stage, configuration))
    assert changed(before, after) == trained
    others = {name for name in before if ".classifier." not in name}
    assert any("running_mean" in name for name in others)
    assert all(torch.equal(before[name], after[name]) for name in others)
    of_classifiers = {name for name in after if name.rpartition(".")[2] in trained}
    assert changed(in_classifiers(before), in_classifiers(after)) == trained
    assert len([name for name in of_classifiers if ".classifier." in name]) == 2 * len(trained)


def test_with_shift_batch_norm_only_the_statistics_change_beside_the_classifiers(
    start: Start,
) -> None:
    [*_, before] = states(start(SECOND_STAGES["none"]()))
    [*_, after] = states(start(SECOND_STAGES["lws"](epochs=1, shift_batch_norm=True)))
    assert changed(before, after) == {
        "class_scales",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_the_first_stage_is_the_training_without_a_second_one(start: Start) -> None:
    alone, both = start(SECOND_STAGES["none"]()), start(CRT)
    before, after = states(alone), states(both)
    assert [result.epoch for result in both.history] == list(range(1, 8))
    for epoch in range(4):
        assert not changed(before[epoch], after[epoch])
    assert both.history[2].metrics["val/nll"] == alone.history[2].metrics["val/nll"]
    assert "val/forward_10/accuracy" not in both.history[3].metrics
    assert "val/forward_10/accuracy" in both.history[-1].metrics


@pytest.mark.parametrize("stage", [CRT, MISLAS, CHOSEN], ids=["crt", "mislas", "tau_norm"])
@pytest.mark.parametrize("broken_off_after", [2, 4, 5])
def test_a_training_resumed_in_either_stage_gives_the_bits_of_an_uninterrupted_one(
    start: Start, tmp_path: Path, stage: SecondStage, broken_off_after: int
) -> None:
    whole = start(stage)
    [*_, expected] = states(whole)
    first = start(stage, checkpoints=tmp_path)
    epochs = first.fit()
    for _ in range(min(broken_off_after, len(whole.history))):
        next(epochs)
    first.save_checkpoint()
    second = start(stage, checkpoints=tmp_path)
    assert len(second.history) == min(broken_off_after, len(whole.history))
    list(second.fit())
    resumed = state_of(second)
    assert expected.keys() == resumed.keys()
    assert not changed(expected, resumed)
    assert second.history[-1].metrics["val/nll"] == whole.history[-1].metrics["val/nll"]
    assert second.history[-1].metrics.get(CHOSEN_TAU) == whole.history[-1].metrics.get(CHOSEN_TAU)


def test_a_training_broken_off_in_the_first_epoch_of_the_second_stage_resumes_before_it(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [*_, expected] = states(start(LWS))
    broken = start(LWS, checkpoints=tmp_path)
    epochs = broken.fit()
    for _ in range(4):
        next(epochs)
    with monkeypatch.context() as patched:

        def interrupt(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        patched.setattr("balpoe.training.learner.Stepper.step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(epochs)
        broken.save_checkpoint()
    resumed = start(LWS, checkpoints=tmp_path)
    assert not changed(expected, states(resumed)[-1])


def test_crt_is_sgd_on_class_balanced_draws_of_frozen_features(
    start: Start,
    configuration: Configuration,
    train: ImageSet,
    description: DataDescription,
) -> None:
    """The oracle trains a matrix on stored features, with the rule of PyTorch's SGD by hand."""
    plain = replace(
        configuration,
        model=LINEAR,
        experts=ExpertsConfig(count=1, centre=-1.0),
        training=replace(
            configuration.training,
            augmentation=replace(
                configuration.training.augmentation,
                crop_padding=0,
                flip=False,
                rotation_degrees=0.0,
            ),
        ),
        reweighting=ReweightingConfig(beta=0.9),
    )
    stage = SECOND_STAGES["crt"](epochs=2, learning_rate=0.02, weight_decay=1e-3)
    alone = start(SECOND_STAGES["none"](), plain)
    states(alone)
    [*_, after] = states(start(stage, plain))
    network = alone.experts.networks[0]
    evaluation_input = EvaluationInput(description.normalisation, 0, CPU)
    alone.experts.eval()
    with torch.no_grad():
        [expert] = network.experts
        features_nk = network.shared(evaluation_input(train.images_nhwd))
        for layer in list(expert.children())[:-1]:
            features_nk = layer(features_nk)
    classifier = LinearClassifier(features_nk.shape[1], len(description.class_names))
    classifier.initialise(classifier_generator(0))
    weights = [classifier.weight.detach(), classifier.bias.detach()]
    momenta = [torch.zeros_like(weight) for weight in weights]
    labels = train.labels_n.numpy()
    for epoch in (4, 5):
        rate = 0.02 * (1 + np.cos(np.pi * (epoch - 4) / 2)) / 2
        order_n = epoch_order(labels, "class_balanced", 0.0, random_stream(0, Purpose.ORDER, epoch))
        for batch_b in torch.from_numpy(order_n).long().split(16):  # type: ignore[no-untyped-call]
            variables = [weight.clone().requires_grad_() for weight in weights]
            logits_bc = features_nk[batch_b] @ variables[0].T + variables[1]
            loss = functional.cross_entropy(logits_bc, train.labels_n[batch_b])
            for place, gradient in enumerate(torch.autograd.grad(loss, variables)):
                decayed = gradient + 1e-3 * weights[place]
                momenta[place] = 0.9 * momenta[place] + decayed
                weights[place] = weights[place] - rate * (decayed + 0.9 * momenta[place])
    name = "networks.0.experts.0.classifier"
    torch.testing.assert_close(after[f"{name}.weight"], weights[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after[f"{name}.bias"], weights[1], atol=1e-5, rtol=1e-4)


def test_lws_takes_the_steps_of_the_released_code() -> None:
    """Numbers of `models/TauNormClassifier.py` (facebookresearch/classifier-balancing)."""
    classifier = LinearClassifier(2, 4)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[3.0, 4], [1, 0], [0, 0.5], [0.6, 0.8]]))
        classifier.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    assert isinstance(LWS, TrainedStage)
    LWS.prepare([classifier], [torch.Generator()])
    [group] = LWS.trained_weights([classifier])
    [scales_c] = group.weights
    optimiser = torch.optim.SGD([scales_c], lr=0.2, momentum=0.9, weight_decay=5e-4)
    features_bk = torch.tensor([[1.0, 0.5], [-0.2, 0.4], [0.3, -1.0]])
    labels_b = torch.tensor([0, 3, 2])
    losses, steps = [], []
    for _ in range(2):
        loss = functional.cross_entropy(classifier(features_bk), labels_b)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
        steps.append(scales_c.detach().clone())
    assert losses == pytest.approx([0.946492, 0.941901], abs=1e-5)
    expected = [[0.983502, 0.999002, 0.982143, 1.018536], [0.953823, 0.997077, 0.948200, 1.053510]]
    torch.testing.assert_close(torch.stack(steps), torch.tensor(expected), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        classifier(features_bk).detach()[0],
        torch.tensor([4.864500, 0.797662, 0.521510, 1.053510]),
        atol=1e-5,
        rtol=0,
    )


def test_the_scales_of_a_cosine_classifier_multiply_its_logits() -> None:
    classifier = CosineClassifier(3, 2, scale=30.0)
    classifier.initialise(torch.Generator().manual_seed(0))
    features_bk = torch.tensor([[1.0, 2.0, -1.0]])
    before_bc = classifier(features_bk).detach()
    classifier.add_class_scales()
    torch.testing.assert_close(classifier(features_bk).detach(), before_bc, atol=0, rtol=0)
    assert classifier.class_scales is not None
    with torch.no_grad():
        classifier.class_scales.copy_(torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(
        classifier(features_bk).detach(), before_bc * torch.tensor([[0.5, 2.0]])
    )


def test_new_classifiers_depend_on_the_seed_alone(
    start: Start, configuration: Configuration
) -> None:
    stage = SECOND_STAGES["crt"](epochs=1, learning_rate=1e-12)
    linear = replace(configuration, model=LINEAR)
    longer = replace(linear, training=replace(linear.training, epochs=2))
    name = "networks.0.experts.1.classifier.weight"
    one, other = (states(start(stage, each))[-1][name] for each in (linear, longer))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
    assert not torch.allclose(one, states(start(stage, linear, seed=1))[-1][name], atol=1e-2)


def test_tau_is_chosen_on_the_validation_images_and_recorded(
    start: Start, validation: ImageSet
) -> None:
    alone, chosen = start(SECOND_STAGES["none"]()), start(CHOSEN)
    [*_, before], [*_, after] = states(alone), states(chosen)
    logits_nec = alone.predict(validation)
    statistics = biases_and_norms(alone.experts.classifiers)
    tau = best_tau(
        lambda tau: tau_normalised_logits(logits_nec, *statistics, tau).mean(dim=1),
        validation.labels_n,
    )
    assert chosen.history[-1].metrics[CHOSEN_TAU] == tau
    name = "networks.0.experts.0.classifier"
    expected = tau_normalised(before[f"{name}.weight"], tau)
    assert torch.equal(after[f"{name}.weight"], expected)
    assert not after[f"{name}.bias"].any()
    given = start(SECOND_STAGES["tau_norm"](tau=tau))
    assert not changed(after, states(given)[-1])
    assert CHOSEN.with_choices(chosen.history[-1].metrics) == SECOND_STAGES["tau_norm"](tau=tau)
    metrics = chosen.history[-1].metrics
    assert metrics["val/nll"] == given.history[-1].metrics["val/nll"]
    assert metrics["val/nll"] != alone.history[-1].metrics["val/nll"] or tau == 0


def test_tau_cannot_be_chosen_without_images(start: Start) -> None:
    with pytest.raises(DataError, match=r"second_stage: .*there are none: give second_stage.tau"):
        start(CHOSEN, observed=False)
    start(TAU_NORM, observed=False)


def test_tau_has_no_effect_on_a_cosine_classifier(
    start: Start, configuration: Configuration
) -> None:
    cosine = replace(configuration, model=ModelConfig(backbone="resnet8"))
    [*_, before] = states(start(SECOND_STAGES["none"](), cosine))
    for stage in (CHOSEN, TAU_NORM):
        [*_, after] = states(start(stage, cosine))
        assert not changed(before, after)
        [warning] = stage.warnings(cosine)
        assert "cosine" in warning
        assert "set model.classifier: linear" in warning
        assert not list(stage.warnings(replace(cosine, model=LINEAR)))


def log_priors(configuration: Configuration, class_counts: tuple[int, ...]) -> torch.Tensor:
    return expert_priors(configuration, class_counts).log_priors_ec


@pytest.mark.parametrize("stage", [CRT, LWS, MISLAS, TAU_NORM, CHOSEN])
def test_the_finished_scores_aim_at_equal_frequencies(
    configuration: Configuration, stage: SecondStage
) -> None:
    linear = replace(configuration, model=LINEAR)
    log_priors_ec = log_priors(replace(linear, second_stage=stage), (30, 12, 5))
    assert log_priors_ec.shape == (2, 3)
    assert log_priors_ec.softmax(dim=1).eq(1 / 3).all()
    before_ec = log_priors(first_stage(replace(linear, second_stage=stage)), (30, 12, 5))
    assert not before_ec.softmax(dim=1).eq(1 / 3).all()


def test_an_ineffective_tau_leaves_the_priors_of_the_first_stage(
    configuration: Configuration,
) -> None:
    linear = replace(configuration, model=LINEAR)
    cosine = replace(configuration, second_stage=TAU_NORM)
    zero = replace(linear, second_stage=SECOND_STAGES["tau_norm"](tau=0.0))
    for each in (cosine, zero):
        assert torch.equal(
            log_priors(each, (30, 12, 5)),
            log_priors(first_stage(each), (30, 12, 5)),
        )


def test_no_second_stage_is_the_identity_of_before(
    configuration: Configuration, description: DataDescription
) -> None:
    identities = {
        training_identity(replace(configuration, second_stage=stage), description, 0)
        for stage in (SECOND_STAGES["none"](), CRT, LWS, MISLAS, TAU_NORM, CHOSEN)
    }
    assert len(identities) == 6
    assert training_identity(configuration, description, 0) in identities


def test_mislas_takes_the_steps_of_the_released_code() -> None:
    """Numbers of `methods.py` and `train_stage2.py` (dvlab-research/MiSLAS)."""
    classifier = LinearClassifier(2, 4)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor([[3.0, 4], [1, 0], [0, 0.5], [0.6, 0.8]]))
        classifier.bias.copy_(torch.tensor([0.1, -0.2, 0.3, 0.0]))
    stage = SECOND_STAGES["mislas"](classifier_rate=0.5)
    assert isinstance(stage, TrainedStage)
    stage.prepare([classifier], [torch.Generator()])
    groups = stage.trained_weights([classifier])
    optimiser = torch.optim.SGD(
        [{"params": list(each.weights), "lr": 0.1 * each.rate_factor} for each in groups],
        momentum=0.9,
        weight_decay=stage.weight_decay,
    )
    described = replace(
        loss_context(Configuration(data=DigitsLT()), (100, 50, 20, 5), CPU),
        lambdas_ex=torch.zeros(1, 1),
    )
    criterion = stage.loss().criterion(described)
    features_bk = torch.tensor([[1.0, 0.5], [-0.2, 0.4], [0.3, -1.0]])
    labels_b = torch.tensor([0, 3, 2])
    losses = []
    for _ in range(2):
        loss = criterion.mean(0, classifier(features_bk), Targets(labels_b))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses == pytest.approx([1.415413, 1.363777], abs=1e-5)
    assert classifier.class_scales is not None
    torch.testing.assert_close(
        classifier.class_scales.detach(),
        torch.tensor([0.822403, 1.005936, 0.983392, 1.032638]),
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        classifier.bias.detach(),
        torch.tensor([0.068759, -0.218727, 0.319321, 0.031376]),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("stage", [CRT, LWS, MISLAS], ids=["crt", "lws", "mislas"])
def test_no_step_reads_a_value_on_the_host(start: Start, stage: SecondStage) -> None:
    """But for the index of the step, which the CPU gets as a tensor, too."""
    training = start(stage)
    epochs = training.fit()
    for _ in range(5):
        next(epochs)
    optimisation = training._optimisation
    [draws] = [next(iter(drawn)) for drawn in optimisation._draws(epoch=5, network=0, mixing=None)]
    before = state_of(training)
    optimisation.experts.eval()
    with refuse_reads():
        optimisation._stepper.step([draws], torch.tensor([0]))
    assert changed(before, state_of(training))
