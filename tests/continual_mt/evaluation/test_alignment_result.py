import pytest

from continual_mt.evaluation.alignment_result import Precision


def test_json() -> None:
    precision = Precision("word", "csls", 2, 7, 0.5, 1.0)
    as_json = {
        "unit": "word",
        "method": "csls",
        "precision_at_1": 0.5,
        "precision_at_5": 1.0,
        "queries": 2,
        "candidates": 7,
    }
    assert precision.to_json() == as_json
    assert Precision.from_json(as_json) == precision
    with pytest.raises(ValueError, match=r"validation error for Precision\nunit\n"):
        Precision.from_json({**as_json, "unit": "letter"})
