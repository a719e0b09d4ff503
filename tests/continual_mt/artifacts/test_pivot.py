from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from continual_mt.artifacts.pivot import Pivot
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.errors import IncompatibleError
from continual_mt.languages import Pair

PT, DE = ModuleKey("iberia/pt-en:1", "a" * 64), ModuleKey("germanic/en-de:1", "b" * 64)
FIRST = Recipe("supervised", Pair("pt", "en"), "iberia", "f" * 64, PT, PT)
SECOND = Recipe("supervised", Pair("en", "de"), "germanic", "e" * 64, None, DE, DE)
PIVOT = Pivot(FIRST, SECOND)


def test_the_digest_is_over_the_digests_of_the_legs() -> None:
    contents = json.dumps(["pivot", FIRST.digest, SECOND.digest])
    assert PIVOT.digest == hashlib.sha256(contents.encode()).hexdigest()
    renamed = replace(FIRST, parent="p", source=ModuleKey("p/pt-en:7", PT.digest))
    assert Pivot(renamed, SECOND).digest == PIVOT.digest
    assert Pivot(replace(FIRST, source=None), SECOND).digest != PIVOT.digest


def test_golden_digest() -> None:
    """It must never change: users note a digest to get the same model again years later."""
    assert PIVOT.digest == "a3607e9ceffc2b78a084278600de1793d719d3d2dada3223a2670111c1b88eea"


def test_pair_parts_text_and_json() -> None:
    assert (PIVOT.kind, PIVOT.pair, PIVOT.language) == ("pivot", Pair("pt", "de"), "en")
    assert (PIVOT.legs, FIRST.legs) == ((FIRST, SECOND), (FIRST,))
    assert PIVOT.modules == (PT, DE)
    assert str(PIVOT) == f"pivot pt-de through en: {FIRST}; then {SECOND}"
    assert PIVOT.to_json() == {
        "kind": "pivot",
        "pair": "pt-de",
        "models": 2,
        "legs": [FIRST.to_json(), SECOND.to_json()],
        "digest": PIVOT.digest,
    }


def test_a_module_of_both_legs_is_listed_once() -> None:
    key = ModuleKey("p/es-de:1", "a" * 64)
    into = Recipe("supervised", Pair("es", "de"), "p", "f" * 64, None, key, key)
    out = Recipe("zero-shot", Pair("de", "pt"), "p", "f" * 64, ModuleKey("p/de-en:1", "c" * 64), key, key)
    assert [one.name for one in Pivot(into, out).modules] == ["p/es-de:1", "p/de-en:1"]


def test_legs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(IncompatibleError) as apart:
        Pivot(FIRST, replace(SECOND, pair=Pair("fr", "de")))
    assert str(apart.value) == (
        "the legs pt-en and fr-de do not meet: the first translates into en, the second from fr; expected a second leg "
        "from en"
    )
    with pytest.raises(IncompatibleError) as back:
        Pivot(FIRST, replace(SECOND, pair=Pair("en", "pt")))
    assert str(back.value) == (
        "the legs pt-en and en-pt end in pt, where they begin; expected a second leg into another language"
    )
    with pytest.raises(IncompatibleError) as nested:
        Pivot(PIVOT, replace(SECOND, pair=Pair("de", "fr")))  # type: ignore[arg-type]
    assert str(nested.value) == f"{PIVOT}: is a pivot; expected a recipe of one model as the leg of a pivot"
