from __future__ import annotations

import pytest

from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.sentence_form import Part, SentenceForm
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, SideTokens, Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair

TAGS = ("de", "en", "fr")
LANGUAGES = ParentLanguages(*(tuple(ParentSide(tag, tag, f">>{tag}<<") for tag in TAGS) for _ in range(2)))
PAIR = Pair("de", "fr")


@pytest.fixture(scope="module")
def table(django_tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    return with_control_pieces(django_tokenizers["en"], [f">>{tag}<<" for tag in TAGS])


@pytest.mark.parametrize(
    ("encoder", "decoder", "source", "target"),
    [
        (("text", "end"), ("start", "text", "end"), ((), ()), (None, ())),
        (
            ("source language", "text", "end"),
            ("start", "target language", "text", "end"),
            (("de",), ()),
            (None, ("fr",)),
        ),
        (("text", "end", "source language"), ("target language", "text", "end"), ((), ("de",)), ("fr", ())),
        (("target language", "text", "end"), ("start", "text", "end"), (("fr",), ()), (None, ())),
    ],
)
def test_where_tokens_stand(
    table: Tokenizer,
    encoder: tuple[Part, ...],
    decoder: tuple[Part, ...],
    source: tuple[tuple[str, ...], tuple[str, ...]],
    target: tuple[str | None, tuple[str, ...]],
) -> None:
    form = SentenceForm(encoder, decoder)

    def ids(tags: tuple[str, ...]) -> tuple[int, ...]:
        numbers = [table.number(f">>{tag}<<") for tag in tags]
        return tuple(number for number in numbers if number is not None)

    before, after = map(ids, source)
    found = form.source_tokenizer(LANGUAGES, PAIR, table, own=True)
    assert found.side_tokens == SideTokens(before, after)
    start, ahead = target
    expected = SideTokens(ids(ahead), (), None if start is None else ids((start,))[0])
    assert form.target_tokenizer(LANGUAGES, PAIR, table).side_tokens == expected
    assert SentenceForm.from_json(form.to_json()) == form


def test_a_new_source_language_has_no_token_and_names_the_target(table: Tokenizer) -> None:
    own = SentenceForm(("source language", "text", "end"))
    assert own.source_tokenizer(LANGUAGES, Pair("pt", "fr"), table, own=False).side_tokens == NO_SIDE_TOKENS
    of_target = SentenceForm(("target language", "text", "end"))
    found = of_target.source_tokenizer(LANGUAGES, Pair("pt", "fr"), table, own=False)
    assert [found.pieces[number] for number in found.side_tokens.before] == [">>fr<<"]
    assert of_target.source_tokenizer(LANGUAGES, Pair("de", "pt"), table, own=True).side_tokens == NO_SIDE_TOKENS


def test_a_table_without_the_token_is_refused(django_tokenizers: dict[str, Tokenizer]) -> None:
    form = SentenceForm(("target language", "text", "end"))
    with pytest.raises(CorruptionError, match="has no piece '>>fr<<', the token of the language fr"):
        form.source_tokenizer(LANGUAGES, PAIR, django_tokenizers["de"], own=False)


@pytest.mark.parametrize(
    "values",
    [
        {"encoder_input": ["end", "text"]},
        {"encoder_input": ["text", "end", "verse"]},
        {"encoder_input": ["start", "text", "end"]},
        {"decoder_input": ["text", "end"]},
        {"decoder_input": ["start", "text", "end", "target language"]},
        {"decoder_input": ["start", "start", "text", "end"]},
    ],
)
def test_orders_that_no_model_has_are_refused(values: dict[str, list[str]]) -> None:
    with pytest.raises(CorruptionError, match="unknown form of sentences"):
        SentenceForm.from_json({**SentenceForm().to_json(), **values})


@pytest.mark.parametrize("values", [{"start": "0"}, {"start": True}, {"banned": [1.5]}])
def test_ids_are_whole_numbers(values: dict[str, object]) -> None:
    with pytest.raises(CorruptionError, match="expected ids"):
        SentenceForm.from_json({**SentenceForm().to_json(), **values})


@pytest.mark.parametrize("values", [{"banned": 7}, {"encoder_input": None}])
def test_malformed_forms_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(CorruptionError, match="the form of sentences is malformed"):
        SentenceForm.from_json({**SentenceForm().to_json(), **values})
