from __future__ import annotations

import pytest

from continual_mt.artifacts.stored.optional_pieces import check_start, required
from continual_mt.errors import CorruptionError

START = {"types": {"lexical": 2}, "frequent": [{"piece": "a", "origin": "lexical", "nearest": ["b"]}]}


def test_required_pieces_are_all_but_the_optional_ones() -> None:
    pieces = {"module.json": "1", "source.model": "2", "initialisation.json": "3", "word_translations.safetensors": "4"}
    assert required(pieces) == {"module.json": "1", "source.model": "2"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"types": None}, "invalid types"),
        ({"types": {"lexical": "2"}}, "invalid types"),
        ({"frequent": {}}, "invalid frequent"),
        ({"frequent": [{"piece": "a", "origin": "lexical", "nearest": [1]}]}, "invalid frequent"),
        ({"frequent": ["a"]}, "invalid frequent"),
        ({"word_translations": 1}, "invalid word_translations"),
    ],
)
def test_a_damaged_start_is_refused(change: dict[str, object], problem: str) -> None:
    check_start(START)
    check_start({**START, "word_translations": "0" * 64})
    with pytest.raises(CorruptionError, match=f"^initialisation.json: {problem}; expected "):
        check_start({**START, **change})
