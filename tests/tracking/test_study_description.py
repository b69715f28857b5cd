from __future__ import annotations

from collections.abc import Callable

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking import study_description

COMMAND = "balpoe run studies/digits_lt.yaml"


def test_a_new_study_states_its_question_and_how_to_continue(spec: StudySpec) -> None:
    assert study_description(spec, command=COMMAND) == (
        "Does mixup help?\n\n"
        "4 trials that maximize `val/accuracy`, minimize `val/ece`. "
        "Start or continue: `balpoe run studies/digits_lt.yaml`"
    )


def test_the_front_comes_first_as_a_table_of_parameters_and_means_over_seeds(
    spec: StudySpec, make_record: Callable[..., TrialRecord]
) -> None:
    front = [make_record(3, 1, "COMPLETE", accuracy=0.93333), make_record(1, 1, "COMPLETE")]
    further = make_record(1, 1, "COMPLETE", accuracy=0.8, repeat=1)
    records = [*front, further]
    description = study_description(spec, command=COMMAND, front=front, records=records)
    lines = description.splitlines()
    assert lines[:4] == [
        "| trial | mixup.alpha | val/accuracy | val/ece | seeds |",
        "| ---: | ---: | ---: | ---: | ---: |",
        "| 3 | 0.75 | 0.9333 | 0.05 | 1 |",
        "| 1 | 0.25 | 0.85 | 0.05 | 2 |",
    ]
