"""Which embedding tables there are, and which one a language means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair, SideName, ends_of
from registry.queries.catalog import Catalog
from registry.recipes.recipe_catalog import RecipeCatalog
from registry.records.alignments import EmbeddingRecord
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.names import unknown


def embeddings_of(catalog: Catalog, parent: ParentRecord) -> list[EmbeddingRecord]:
    """Every embedding table on a parent: its own, then those of its modules, by pair and version."""
    return [*_own(parent), *(table for module in catalog.modules(parent.name) for table in _of_module(module))]


def two_embeddings(
    recipes: RecipeCatalog, parent: ParentRecord, names: tuple[str, str], side: SideName | None = None
) -> tuple[EmbeddingRecord, EmbeddingRecord]:
    """Find the tables of two languages; ``side`` selects one where both languages are on both sides.

    A language is the parent's where the parent has it, else that of the selected module of the pair that brings it
    (`registry.queries.version_selection`); ``de-en:1`` means the table of this module. Raises UnknownNameError or
    LanguageError for names without a table, IncompatibleError for two that do not belong together.
    """
    places = _places(recipes, parent, names[0]), _places(recipes, parent, names[1])
    common = _common_side(places, names, side)
    first, second = (found[common] for found in places)
    check_comparable(first, second)
    return first, second


def check_comparable(first: EmbeddingRecord, second: EmbeddingRecord) -> None:
    """Raises IncompatibleError for tables of two spaces, LanguageError for one language."""
    if (first.parent, first.side) != (second.parent, second.side):
        raise IncompatibleError(
            f"{first} is on the {first.side} side and {second} on the {second.side} side; only embeddings of one side "
            "of one parent lie in one space"
        )
    Pair(first.language, second.language)  # refuses a language beside itself
    if first.module is None and second.module is None and first.digest == second.digest:
        raise IncompatibleError(
            f"{first.language} and {second.language} share the table of the parent {first.parent}; expected two tables"
        )


def _own(parent: ParentRecord) -> list[EmbeddingRecord]:
    """The parent's tables, one for each of its languages: those of one end may share a table."""
    return [
        EmbeddingRecord(parent.name, end, language, None, parent.pieces[f"{parent.part(end, language)}.safetensors"])
        for end in ENDS
        for language in parent.languages.tags(end)
    ]


def _of_module(module: ModuleRecord) -> list[EmbeddingRecord]:
    """The tables of a module, one for each side that it brings."""
    return [
        EmbeddingRecord(
            module.parent, end, module.pair.language(end), module.full_name, module.pieces[f"{end}.safetensors"]
        )
        for end in ends_of(module.side)
    ]


def _places(recipes: RecipeCatalog, parent: ParentRecord, name: str) -> dict[SideName, EmbeddingRecord]:
    """The sides that a language is on, each with its table there."""
    if ":" in name or "@" in name:
        module = recipes.catalog.module(name, parent=parent.name)
        if module.parent != parent.name:
            raise IncompatibleError(f"{name} belongs to the parent {module.parent}, not to {parent.name}")
        if module.is_bridge:
            raise IncompatibleError(f"{name} is a bridge, which has no embeddings. Fix: name one of its two sides")
        return {table.side: table for table in _of_module(module)}
    language = parent.languages.written_in_tags(name)
    resolver, own = recipes.resolver(parent.name), _own(parent)
    bringing = [one for end in ENDS if (one := resolver.bringing(end, language)) is not None]
    tables = [table for one in bringing for table in _of_module(recipes.catalog.module(one.full_name))]
    places: dict[SideName, EmbeddingRecord] = {}
    for table in [*own, *tables]:  # the parent's own first, then as recipes choose
        if table.language == language:
            places.setdefault(table.side, table)
    if not places:
        new = [module.pair.language(end) for module in resolver.modules for end in ends_of(module.side)]
        languages = [*new, *(table.language for table in own)]
        raise unknown("language", language, languages)
    return places


def _common_side(
    places: Sequence[Mapping[SideName, EmbeddingRecord]], names: tuple[str, str], asked: SideName | None
) -> SideName:
    common = [side for side in places[0] if side in places[1]]
    if asked is None and len(common) == 2:
        raise IncompatibleError(f"{names[0]} and {names[1]} are on both sides; say which: source or target")
    if common and asked in (None, *common):
        return asked or common[0]
    where = "; ".join(
        f"{name} is on the {' and the '.join(found)} side" for name, found in zip(names, places, strict=True)
    )
    raise UnknownNameError(
        f"{names[0]} and {names[1]} have no embeddings on {f'the {asked}' if asked else 'the same'} side: {where}"
    )
