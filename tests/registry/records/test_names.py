from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.errors import SpecError, UnknownNameError
from continual_mt.languages import Pair
from registry.records.names import AliasName, ModuleName, check_parent_name, unknown


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("de-en", ModuleName(None, Pair("de", "en"), None)),
        ("de-en:3", ModuleName(None, Pair("de", "en"), 3)),
        ("base/de-en", ModuleName("base", Pair("de", "en"), None)),
        ("fr-en.v2/pt_BR-en:12", ModuleName("fr-en.v2", Pair("pt_BR", "en"), 12)),
    ],
)
def test_module_names_are_taken_apart(text: str, name: ModuleName) -> None:
    assert ModuleName.parse(text) == name


@pytest.mark.parametrize(
    "text", ["", "de", "/de-en", "de-en:", "de-en:0", "de-en:x", "de-en:-1", "de-en:1:2", "de-en-fr"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError, match=r"is not the name of a module; write de-en for the version that is run"):
        ModuleName.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("xx-yy:1", "no language has the tag 'xx'"), ("base/de-de", "a language is never paired with itself")],
)
def test_a_pair_that_is_none_is_said_to_be_none(text: str, reason: str) -> None:
    with pytest.raises(UnknownNameError, match=f"'{text}' is the name of no module: .*{reason}"):
        ModuleName.parse(text)
    with pytest.raises(UnknownNameError, match=f"is the name of no module: .*{reason}"):
        AliasName.parse(f"{text.partition(':')[0]}@champion")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_gives_another_error(text: str) -> None:
    with suppress(UnknownNameError):
        ModuleName.parse(text)


@pytest.mark.parametrize("name", ["base", "fr-en", "opus.mt_2", "_x", "9", "a" * 64])
def test_parent_names(name: str) -> None:
    check_parent_name(name)


@pytest.mark.parametrize(
    "name", ["", ".hidden", "-x", "a/b", "a:b", "..", "a b", "é", "a\n", "a" * 65, "a" * 10_000_000]
)
def test_other_parent_names_are_refused_in_few_words(name: str) -> None:
    with pytest.raises(SpecError, match=r"it has to be 1 to 64 letters, digits, '_', '\.' or '-'") as caught:
        check_parent_name(name)
    assert len(str(caught.value)) < 400


def test_an_unknown_name_lists_what_there_is() -> None:
    assert str(unknown("parent", "bose", ["other", "base"])) == (
        "unknown parent 'bose' (did you mean base?); expected one of: base, other"
    )
    assert str(unknown("parent", "zzz", ["base"])) == "unknown parent 'zzz'; expected one of: base"
    assert len(str(unknown("parent", "b" * 10_000_000, ["base"]))) < 200
    assert str(unknown("parent", "base", [])) == "unknown parent 'base': none is registered yet"
    assert str(unknown("module", "zzz", [f"m{n:02}" for n in range(25)])).endswith("m19 and 5 more")
