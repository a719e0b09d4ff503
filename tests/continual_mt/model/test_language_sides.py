from __future__ import annotations

import pytest

from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.language_sides import of_pair, part_of, stored_names, with_language, without_language

SMALL = Architecture(width=8, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=12, positions="learned")


def test_the_names_of_sides_have_their_language() -> None:
    """They are stored: they never change."""
    names = stored_names(SMALL, ["pt_BR", "es"], ["en"])
    assert [name for name in names if name.startswith(("source", "target"))] == [
        "source.es.embedding",
        "source.es.positions",
        "source.pt_BR.embedding",
        "source.pt_BR.positions",
        "target.en.embedding",
        "target.en.positions",
        "target.en.bias",
    ]
    body = [name for name in parameter_names(SMALL) if not name.startswith(("source", "target"))]
    assert [name for name in names if not name.startswith(("source", "target"))] == body


@pytest.mark.parametrize("language", ["es", "zh_Hant", "ca_valencia", "norm", "bias"])
def test_a_name_with_its_language_is_read_back(language: str) -> None:
    for name in ("source.embedding", "source.norm.weight", "target.bias"):
        stored = with_language(name, language)
        assert without_language(stored) == name
        assert part_of(stored) == f"{name.split('.')[0]}.{language}"
    assert without_language("encoder.0.norm.weight") == "encoder.0.norm.weight"
    assert part_of("cross_attention.0.query.weight") == "cross_attention"


def test_a_pair_has_the_body_and_the_two_sides() -> None:
    values = {name: name for name in stored_names(SMALL, ["es", "en"], ["en", "pt_BR"])}
    found = of_pair(values, Pair("es", "pt_BR"))
    assert set(found) == set(parameter_names(SMALL))
    assert found["source.embedding"] == "source.es.embedding"
    assert found["target.bias"] == "target.pt_BR.bias"
    assert found["encoder.0.feed_forward.inner.weight"] == "encoder.0.feed_forward.inner.weight"


def test_a_side_that_is_missing_is_left_out() -> None:
    values = {name: name for name in stored_names(SMALL, ["es"], ["en"])}
    assert "source.embedding" not in of_pair(values, Pair("de", "en"))
    assert of_pair(values, Pair("de", "en"))["target.bias"] == "target.en.bias"


def test_a_tensor_of_no_group_is_refused() -> None:
    with pytest.raises(CorruptionError, match=r"parameter 'other\.es\.embedding': unknown group"):
        part_of("other.es.embedding")
