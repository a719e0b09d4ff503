from __future__ import annotations

from collections.abc import Callable

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.errors import InputError
from continual_mt.inference.assembly import assemble
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from continual_mt.languages import Pair
from continual_mt.model.scopes import Scope

MakeModule = Callable[..., Module]


@pytest.fixture(scope="module")
def models(parent: Parent, make_module: MakeModule) -> dict[str, PairModel]:
    """Pairs that share a source side, a target side, a body, a half (+), or (es-de!, of scope scratch) nothing."""
    scopes: dict[str, Scope] = {"!": "scratch", "+": "half"}
    modules = {
        name: make_module(name[:5], scope=scopes.get(name[5:], "xattn"))
        for name in ("pt-en", "de-en", "es-de", "es-pt", "es-de!", "de-en+", "es-pt+")
    }
    keys = {name: ModuleKey(name, module.digest) for name, module in modules.items()}

    def make(pair: str, kind: RecipeKind, source: str | None, middle: str | None, target: str | None) -> PairModel:
        parts = [None if name is None else keys[name] for name in (source, middle, target)]
        return assemble(Recipe(kind, Pair.parse(pair), "base", parent.fingerprint, *parts), parent, modules)

    return {
        "es-en": make("es-en", "original", None, None, None),
        "pt-en": make("pt-en", "supervised", "pt-en", "pt-en", None),
        "de-en": make("de-en", "supervised", "de-en", "de-en", None),
        "es-de": make("es-de", "supervised", None, "es-de", "es-de"),
        "es-pt": make("es-pt", "supervised", None, "es-pt", "es-pt"),
        "pt-de": make("pt-de", "zero-shot", "pt-en", "es-de", "es-de"),
        "de-en+": make("de-en", "supervised", "de-en+", None, None),
        "de-pt": make("de-pt", "zero-shot", "de-en+", "es-pt", "es-pt"),
        "de-pt+": make("de-pt", "zero-shot", "de-en+", "es-pt+", "es-pt+"),
        "es-de!": make("es-de", "supervised", "es-de!", "es-de!", "es-de!"),
    }


@pytest.fixture(scope="module")
def requests(models: dict[str, PairModel], django_catalogs: dict[str, list[str]]) -> list[Request]:
    """Sentences of all pairs, alternating. Some have several target languages, some are blank, some are too long."""
    found = []
    for number in range(12):
        for model in models.values():
            found.append(Request(model, django_catalogs[model.pair.source][number]))
        found.append(Request(models["es-de"], "" if number % 2 else "una palabra " * 40))
    return found


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("batch_tokens", [200, 4096])
def test_mixed_batches_equal_separate_translation(requests: list[Request], beam: int, batch_tokens: int) -> None:
    found = translate_mixed(requests, beam=beam, batch_tokens=batch_tokens)
    expected = [model.translate([sentence], beam=beam)[0] for model, sentence in requests]
    assert found == expected
    assert len(set(found)) > len(found) // 2


def test_a_source_is_encoded_once_for_all_languages(
    models: dict[str, PairModel], django_catalogs: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    kind = type(models["es-en"].transformer)
    encode = kind.encode_embedded

    def counting(self, states, layout):  # type: ignore[no-untyped-def]
        encoded.append(len(layout.lengths))
        return encode(self, states, layout)

    monkeypatch.setattr(kind, "encode_embedded", counting)
    sentences = django_catalogs["es"][:5]
    translate_mixed([Request(models[pair], text) for pair in ("es-en", "es-de", "es-pt") for text in sentences], beam=1)
    assert encoded == [5]


def test_a_beam_may_be_larger_than_a_vocabulary(models: dict[str, PairModel]) -> None:
    """The vocabulary of en has 300 types, that of pt 330."""
    requests = [Request(models["es-en"], "uno"), Request(models["es-pt"], "uno")]
    found = translate_mixed(requests, beam=310, batch_tokens=100_000)
    assert found == [model.translate([text], beam=310)[0] for model, text in requests]


def test_no_requests() -> None:
    assert translate_mixed([]) == []


def test_invalid_requests_are_refused(models: dict[str, PairModel]) -> None:
    requests = [Request(models["es-en"], "uno"), Request(models["pt-en"], "um\ndois")]
    with pytest.raises(InputError, match="sentence 2: contains a line break"):
        translate_mixed(requests)
    with pytest.raises(InputError, match=r"^beam: is 0; expected a whole number of at least 1"):
        translate_mixed(requests, beam=0)
