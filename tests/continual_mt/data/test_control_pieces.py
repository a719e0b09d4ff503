from __future__ import annotations

from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import Tokenizer


def test_pieces_are_added_at_the_end_and_text_is_encoded_as_before(django_tokenizers: dict[str, Tokenizer]) -> None:
    before = django_tokenizers["de"]
    after = with_control_pieces(before, [">>fr<<", ">>en<<", ">>fr<<"])
    assert after.pieces == [*before.pieces, ">>fr<<", ">>en<<"]
    assert (after.number(">>fr<<"), after.number(">>it<<")) == (before.size, None)
    for text in ("Bitte geben Sie eine Zahl ein.", ">>fr<< Wert", "日本"):
        assert after.encode(text) == before.encode(text)
        assert after.decode(after.encode(text)) == before.decode(before.encode(text))
    assert with_control_pieces(after, [">>en<<"]) is after
