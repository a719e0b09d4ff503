from __future__ import annotations

import pytest
from pydantic import ValidationError

from continual_mt.config.hyperparameters import TrainingSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"updates": -1},
        {"batch_tokens": 63},
        {"accumulate": 0},
        {"learning_rate": 0},
        {"learning_rate": 1.1},
        {"learning_rate": float("nan")},
        {"learning_rates": {"body": 0.1}},
        {"learning_rates": {"encoder": -0.1}},
        {"warmup": -1},
        {"label_smoothing": 1},
        {"dropout": 1},
        {"dropout": -0.1},
        {"clip": 0},
        {"clip": float("inf")},
        {"validate_every": 0},
        {"patience": -1},
        {"development_sentences": 0},
        {"precision": "float16"},
        {"development_tokenization": "spm"},
        {"unknown": 1},
    ],
)
def test_what_is_out_of_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as raised:
        TrainingSettings.model_validate(changes)
    assert raised.value.errors()[0]["loc"][0] == next(iter(changes))


def test_settings_make_the_round_trip_and_do_not_change() -> None:
    settings = TrainingSettings(learning_rates={"encoder": 1e-4}, precision="bfloat16")
    assert TrainingSettings.model_validate_json(settings.model_dump_json()) == settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.updates = 3
