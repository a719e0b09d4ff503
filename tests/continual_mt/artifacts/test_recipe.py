from __future__ import annotations

from dataclasses import replace

from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.languages import Pair

PT, DE = ModuleKey("es-en/pt-en:1", "a" * 64), ModuleKey("es-en/es-de:1", "b" * 64)
ORIGINAL = Recipe("original", Pair("es", "en"), "es-en", "f" * 64)
ZERO_SHOT = Recipe("zero-shot", Pair("pt", "de"), "es-en", "f" * 64, PT, DE, DE)


def test_the_digest_depends_on_contents() -> None:
    renamed = replace(ZERO_SHOT, kind="supervised", parent="p", source=ModuleKey("p/pt-en:7", PT.digest))
    assert renamed.digest == ZERO_SHOT.digest
    others = [ORIGINAL, replace(ZERO_SHOT, target=None), replace(ZERO_SHOT, cross_attention=PT)]
    others += [replace(ZERO_SHOT, source=DE, cross_attention=PT), replace(ORIGINAL, fingerprint="e" * 64)]
    assert len({recipe.digest for recipe in [ZERO_SHOT, *others]}) == 6


def test_golden_digests() -> None:
    """They must never change: users note a digest to get the same model again years later."""
    assert ORIGINAL.digest == "94385d0b941804f5911da0d4fc5480ff4ce0bde73f6213bc262de77787b89ae6"
    assert ZERO_SHOT.digest == "1fdaac98f5d3e2f65fdd2919134f93fa774a8e4f60cdd945df4a1cae6746b296"


def test_text_modules_and_json() -> None:
    assert str(ZERO_SHOT) == "zero-shot pt-de: source es-en/pt-en:1, xattn es-en/es-de:1, target es-en/es-de:1"
    assert ZERO_SHOT.modules == (PT, DE)
    assert ZERO_SHOT.to_json() == {
        "kind": "zero-shot",
        "pair": "pt-de",
        "parent": "es-en",
        "source": PT.name,
        "cross_attention": DE.name,
        "target": DE.name,
        "digest": ZERO_SHOT.digest,
    }
    assert str(ORIGINAL) == "original es-en: source es-en, xattn es-en, target es-en"
    assert ORIGINAL.modules == ()
