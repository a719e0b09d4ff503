from __future__ import annotations

import pytest

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.initialisation.lexicon_weights import check_words_occur, lexicon_evidence


def test_an_entry_is_spread_over_the_pieces_of_both_words(django_tokenizers: dict[str, Tokenizer]) -> None:
    new, own = django_tokenizers["pt"], django_tokenizers["es"]
    lexicon = Lexicon("words.tsv", {"utilizador": ("usuario", "usuarios")})
    evidence = lexicon_evidence(lexicon, new, own)
    pieces = new.encode("utilizador")
    assert set(evidence.row_numbers().tolist()) == set(pieces)
    columns, values = evidence.row(pieces[0])
    assert set(columns.tolist()) == {*own.encode("usuario"), *own.encode("usuarios")}
    assert values.sum() == pytest.approx(1)


def test_a_lexicon_that_does_not_fit_is_refused(django_tokenizers: dict[str, Tokenizer]) -> None:
    new, own = django_tokenizers["pt"], django_tokenizers["es"]
    with pytest.raises(CorpusError, match=r"^words.tsv: none of its 1 words can be encoded with both vocabularies"):
        lexicon_evidence(Lexicon("words.tsv", {"漢字": ("字",)}), new, own)
    lexicon = Lexicon("words.tsv", {"utilizador": ("usuario",)})
    check_words_occur(lexicon, ["Outro texto.", "Um utilizador."])
    with pytest.raises(CorpusError, match=r"^words.tsv: none of its 1 words occurs in the text of the new language"):
        check_words_occur(lexicon, ["Outro texto."])
