"""Whatever a name, a tag or a note is made of, it is taken as it is or refused in few words."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continual_mt.errors import MisuseError, SpecError, UnknownNameError
from registry import Registry
from registry.records.names import is_alias

LONG = "a" * 10_000_000
NASTY = [
    "",
    " ",
    "..",
    "../x",
    "a/../b",
    "base/..",
    "/",
    "a/b/c",
    "\x00",
    "de-en\x00:1",
    "a\nb",
    "\ud800",
    "a\x1b[2J",
    LONG,
]
# Text near what is allowed finds more than any text does.
NEAR = st.text(st.sampled_from("abden01:@/.-_ \n\x00\ud800é") | st.characters(), max_size=40)
ON_ONE_REGISTRY = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def verbs(registry: Registry) -> list[Callable[[str], object]]:
    return [
        registry.catalog.find,
        registry.parent,
        registry.module,
        registry.annotations.lineage,
        registry.annotations.delete,
        registry.annotations.restore,
        registry.annotations.alias_history,
        registry.annotations.remove_alias,
        registry.recipe_catalog.recipe_of,
        lambda text: registry.annotations.set_alias(text, 1),
        lambda text: registry.annotations.set_alias("de-en@x", text),
        lambda text: registry.recipe_catalog.recipe(text, "en"),
        lambda text: registry.recipe_catalog.recipe("de", "en", kind=text),
        lambda text: registry.recipe_catalog.recipe("de", "en", modules=[text]),
    ]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: f"{text[:8]!r}")
def test_names_of_nothing_are_refused_in_few_words(filled: Registry, text: str) -> None:
    for verb in verbs(filled):
        with pytest.raises(MisuseError) as caught:
            verb(text)
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()


@ON_ONE_REGISTRY
@given(text=NEAR)
def test_no_name_gives_another_error(filled: Registry, text: str) -> None:
    for verb in verbs(filled)[:4]:
        with suppress(MisuseError):
            verb(text)


@ON_ONE_REGISTRY
@given(text=NEAR)
def test_aliases_are_set_or_refused(filled: Registry, text: str) -> None:
    if is_alias(text) and text != "latest":
        assert filled.annotations.set_alias(f"de-en@{text}", 1).alias == text
        assert filled.module(f"de-en@{text}").version == 1
    else:
        with pytest.raises(UnknownNameError):
            filled.annotations.set_alias(f"de-en@{text}", 1)


@ON_ONE_REGISTRY
@given(tag=NEAR, note=NEAR, who=NEAR)
def test_tags_and_notes_are_kept_as_they_are_or_refused(filled: Registry, tag: str, note: str, who: str) -> None:
    try:
        filled.annotations.tag("base", tag)
    except SpecError:
        pass
    else:
        assert tag in filled.annotations.of(filled.parent()).tags
        assert filled.annotations.search(f"tag={tag}").total == 1
    try:
        filled.annotations.note("base", note, who=who)
    except SpecError:
        pass
    else:
        kept = filled.annotations.of(filled.parent()).notes[-1]
        assert (kept.text, kept.who) == (note, who)


@pytest.mark.parametrize("text", [*NASTY, "-x", "a b", "é"])
def test_other_tags_are_refused(filled: Registry, text: str) -> None:
    with pytest.raises(SpecError, match="it has to be 1 to 64 letters") as caught:
        filled.annotations.tag("base", text)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["", " \n", "\x00", "a\x1b[2J", "\ud800", "a\r", "x" * 10_001])
def test_other_notes_and_authors_are_refused(filled: Registry, text: str) -> None:
    with pytest.raises(SpecError, match="it has to be 1 to 10,000 characters; of control characters only tabs"):
        filled.annotations.note("base", text)
    with pytest.raises(SpecError, match="it has to be 1 to 200 characters in one line"):
        filled.annotations.note("base", "text", who=text)


def test_latest_is_no_alias(filled: Registry) -> None:
    with pytest.raises(UnknownNameError, match="'latest' cannot be an alias; name the newest version by its number"):
        filled.annotations.set_alias("de-en@latest", 1)
    with pytest.raises(UnknownNameError, match="'de-en:1' is not the name of an alias; write de-en@champion"):
        filled.annotations.set_alias("de-en:1", 1)


def test_somebody_without_a_name_is_known_by_number(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 7_654_321)  # whom no password file knows
    filled.annotations.note("base", "text")
    assert filled.annotations.of(filled.parent()).notes[0].who == f"7654321@{socket.gethostname()}"
