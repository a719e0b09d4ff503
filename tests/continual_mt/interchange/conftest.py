"""Small models to export, of any architecture and tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.model_card import CorpusUse, Part, Provenance, ScoreEntry
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.transformer import Transformer
from tests.continual_mt.conftest import lively_tensors
from tests.continual_mt.interchange.many_languages import Tokenizers, tokenizers_of_pairs
from tests.markers import deselect_unless_named

MakeModel = Callable[..., PairModel]

BASE = Architecture(width=16, heads=2, encoder_layers=2, decoder_layers=1, feed_forward=24, maximum_positions=48)
PRE = replace(BASE, norm="pre", final_norm=True)

RECIPE = Recipe("original", Pair("es", "de"), "base", "f" * 64)
PROVENANCE = Provenance(
    RECIPE,
    "1.2.3",
    (Part("base", "f" * 64, "parent es-de", ("replayed it: base/pt-de:1",)),),
    (CorpusUse("base", "train", "one | two", "es-de", 1200, "CC-BY-4.0", "c" * 64),),
    (ScoreEntry("test", "bleu", 30.04, 5, 1012, "nrefs:1|case:mixed"),),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselect_unless_named("every_export", config, items)


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """An untrained model es-de of an architecture, with a tokenizer a side."""

    def make(architecture: Architecture, source: Tokenizer, target: Tokenizer) -> PairModel:
        sizes = {"source": source.size, "target": target.size}
        tensors = lively_tensors(architecture, parameter_names(architecture), sizes, seed=4)
        tensors["target.bias"] = torch.randn(target.size, generator=torch.Generator().manual_seed(5)) / 4
        transformer = Transformer.pointing_at(architecture, tensors)
        return PairModel(RECIPE.pair, transformer, LanguageSide("es", source), LanguageSide("de", target), RECIPE)

    return make


@pytest.fixture(scope="session")
def pairs_with_tokens(
    django_catalogs: dict[str, list[str]],
    django_tokenizers: dict[str, Tokenizer],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Tokenizers]:
    """The tokenizers of pairs of parents of many languages, by family (many_languages.py)."""
    return tokenizers_of_pairs(django_catalogs, django_tokenizers, tmp_path_factory.mktemp("vocabularies"))
