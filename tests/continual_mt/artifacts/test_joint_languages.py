from __future__ import annotations

from continual_mt.artifacts.joint_languages import JOINT_FORM, joint_languages, language_token
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer import SideTokens
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.languages import Pair


def test_the_languages_are_those_of_the_pairs() -> None:
    languages = joint_languages([Pair("es", "en"), Pair("pt_BR", "en"), Pair("es", "pt_BR")])
    assert str(languages) == "{es, pt_BR}-{en, pt_BR}"
    assert languages.count == 3
    tokens = {side.tag: side.token for end in ENDS for side in languages.sides(end)}
    # Stored with every such parent: it never changes.
    assert tokens == {"en": "<language en>", "es": "<language es>", "pt_BR": "<language pt_BR>"}


def test_languages_with_their_own_vocabularies_have_no_token() -> None:
    languages = joint_languages([Pair("es", "en"), Pair("es", "pt_BR")], "own")
    assert str(languages) == "es-{en, pt_BR}"
    assert {side.token for end in ENDS for side in languages.sides(end)} == {None}


def test_a_text_never_has_a_language_token() -> None:
    """Also where the text that the vocabulary was learned from spells it."""
    token = language_token("en")
    sentences = [f"{token} a b c {token}"] * 50
    table = with_control_pieces(train_tokenizer(lambda: sentences, 30), [token])
    number = table.size - 1
    assert table.number(token) == number
    assert number not in table.encode(sentences[0])
    sides = joint_languages([Pair("de", "en"), Pair("en", "de")])
    table = with_control_pieces(table, [language_token("de")])
    source = JOINT_FORM.source_tokenizer(sides, Pair("en", "de"), table, own=True)
    target = JOINT_FORM.target_tokenizer(sides, Pair("en", "de"), table)
    assert (source.side_tokens, target.side_tokens) == (SideTokens((number,)), SideTokens((number + 1,)))
    assert target.before_target == (table.start, number + 1)
