from __future__ import annotations

from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.training.checkpoint import Progress
from ray_jobs.execution.ending import Ending

SETTINGS = TrainingSettings(updates=2000, patience=3)


def ending(settings: TrainingSettings = SETTINGS, **progress: int) -> Ending:
    return Ending(Progress(best_score=20.25, finished=True, **progress), settings)


def test_patience_ended_it() -> None:
    ended = ending(update=1000, best_update=700, validations_without_gain=3)
    assert ended.lines() == [
        "ended after 1,000 updates, since the score no longer rose; "
        "the best development score, BLEU 20.2, is that of update 700"
    ]
    assert ended.to_json() == {"updates": 1000, "at_limit": False, "best_update": 700, "development_bleu": 20.25}


def test_the_limit_ended_it_while_the_score_was_rising() -> None:
    ended = ending(update=2000, best_update=2000)
    assert ended.at_limit
    assert ended.lines() == [
        "ended at its limit of 2,000 updates; the best development score, BLEU 20.2, is that of update 2,000: "
        "it was still rising, so more updates (training.updates) may give a better model"
    ]


def test_the_limit_ended_it_after_the_best_score() -> None:
    (line,) = ending(update=2000, best_update=1900, validations_without_gain=1).lines()
    assert line.endswith("is that of update 1,900")


def test_a_single_score_does_not_rise() -> None:
    few = TrainingSettings(updates=200, validate_every=200)
    (line,) = ending(few, update=200, best_update=200).lines()
    assert line.endswith("is that of update 200")
    (line,) = ending(TrainingSettings(updates=201, validate_every=200), update=201, best_update=201).lines()
    assert "it was still rising" in line


def test_without_patience_the_limit_always_ends_it() -> None:
    assert ending(TrainingSettings(patience=0), update=4000, validations_without_gain=9).at_limit


def test_a_training_without_updates_has_nothing_to_report() -> None:
    assert Ending(Progress(finished=True), TrainingSettings(updates=0)).lines() == []
