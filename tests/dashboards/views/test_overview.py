from __future__ import annotations

from continual_mt.data.tokenizer import Tokenizer
from dashboards.views.overview import Card, overview, short_location
from registry import Lineage, Registry
from tests.registry.conftest import MakeModule
from tests.registry.web import add_web


def cards_of(registry: Registry) -> dict[str, Card]:
    parent = registry.parent("base")
    return {card.name: card for card in overview(parent, registry.pairs("base"), registry.modules())}


def test_pairs_are_counted_by_kind(filled: Registry) -> None:
    found = cards_of(filled)
    assert found["languages"] == Card("languages", "4", "2 as source, 2 as target")
    assert found["trained pairs"] == Card("trained pairs", "3", kinds=(("original", 1), ("supervised", 2)))
    assert found["zero-shot pairs"] == Card("zero-shot pairs", "1", "1 with a score")
    assert found["modules"] == Card("modules", "2", "of 2 pairs")
    assert "pivot pairs" not in found


def test_bridges_and_pivots_are_counted(
    filled: Registry, make_module: MakeModule, lineage: Lineage, tokenizers: dict[str, Tokenizer]
) -> None:
    add_web(filled, make_module, lineage, tokenizers)
    found = cards_of(filled)
    assert found["trained pairs"].kinds == (("original", 1), ("supervised", 5), ("bridge", 2))
    assert found["pivot pairs"] == Card("pivot pairs", "2", "through 2 models each")
    assert found["modules"] == Card("modules", "8", "of 7 pairs")


def test_saved_is_the_difference_to_full_copies(filled: Registry) -> None:
    parent, modules = filled.parent(), filled.modules()
    stored = parent.bytes + sum(module.bytes for module in modules)
    saved = 3 * parent.bytes - stored
    found = cards_of(filled)
    assert found["stored"].value == f"{stored / 1000:.1f} kB"
    assert found["saved"].value == f"{saved / 1000:.1f} kB"
    assert (
        found["saved"].detail == f"{saved / (3 * parent.bytes):.1%} of {3 * parent.bytes / 1000:.1f} kB as full copies"
    )


def test_a_registry_in_a_file_is_named_by_its_folder() -> None:
    assert short_location("/data/models/home/registry.db") == "home/registry.db"
    assert short_location("postgresql+psycopg://mt@db:5432/models") == "postgresql+psycopg://mt@db:5432/models"
