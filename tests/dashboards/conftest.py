"""Fixtures: a registry of tiny models with everything that the page shows, a browser, and the page as a process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.artifacts.recipe import Recipe
from continual_mt.evaluation.alignment import align
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.languages import Pair
from registry import AlignmentRecord, CellRecord, CorpusRecord, Lineage, Registry, ScoreRecord, SequenceRecord
from registry.recipes.embeddings import two_embeddings
from tests.dashboards.programs import Browser, Page, started_browser, started_page
from tests.registry.backends import Backend, InSQLite
from tests.registry.conftest import (  # noqa: F401  # fixtures
    MakeModule,
    MakeParent,
    _no_variables,
    corpus,
    empty_home,
    lineage,
    make_module,
    make_parent,
    parent,
    templates,
    tokenizers,
)

TESTED = 12
VALUES = {"fr-en": (50.25, 66.5), "de-en": (38.0, 57.75), "fr-es": (23.5, 46.0), "de-es": (14.5, 33.75)}
SEPARATE = SequenceRecord("a" * 64, "base", "in turn", "separate", (Pair("de", "en"), Pair("fr", "es")))
SHARED = SequenceRecord("b" * 64, "base", "together", "shared", (Pair("de", "en"),))


@pytest.fixture(scope="session")
def backend() -> Backend:
    """SQLite is enough here: the tests of the registry cover both databases."""
    return InSQLite()


@pytest.fixture(scope="session")
def filled_home(
    empty_home: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
    make_parent: MakeParent,  # noqa: F811
    make_module: MakeModule,  # noqa: F811
    lineage: Lineage,  # noqa: F811
    django_catalogs: dict[str, list[str]],
) -> Path:
    """A parent fr-en, modules de-en and fr-es, scores of all pairs, translations of all but fr-es, two sequences."""
    folder = tmp_path_factory.mktemp("shown") / "home"
    shutil.copytree(empty_home, folder)
    with Registry.open(folder) as registry:
        parent = make_parent()
        registry.register_parent("base", parent, lineage=lineage)
        for pair, seed in (("de-en", 1), ("fr-es", 2)):
            registry.register_module(
                "base", make_module(parent, pair, seed=seed), lineage=replace(lineage, run="run-7")
            )
        for recipe in registry.recipe_catalog.recipes():
            if recipe.kind != "retention":
                registry.register_scores(scored(registry, recipe, django_catalogs, kept=str(recipe.pair) != "fr-es"))
        register_sequences(registry)
        keep_alignment(registry)
    return folder


def scored(registry: Registry, recipe: Recipe, text: dict[str, list[str]], *, kept: bool) -> list[ScoreRecord]:
    """Return scores with real translations and made-up values, because untrained models all score zero."""
    sources, references = (text[language][:TESTED] for language in (recipe.pair.source, recipe.pair.target))
    digest = f"{recipe.pair}".encode().hex().ljust(64, "0")
    blobs = [registry.texts.store(lines) for lines in (sources, references)]
    registry.register_corpus(CorpusRecord(digest, recipe.pair, "test", TESTED, 0, "BSD-3-Clause", *blobs))
    hypotheses = registry.texts.store(registry.run(recipe).translate(sources, beam=1)) if kept else None
    return [
        ScoreRecord.of(
            recipe,
            test="test",
            test_digest=digest,
            metric=metric,
            value=value,
            copy_value=1.0,
            signature=f"{metric}|v",
            sentences=TESTED,
            beam=1,
            hypotheses=hypotheses,
        )
        for metric, value in zip(("bleu", "chrf"), VALUES[str(recipe.pair)], strict=True)
    ]


def register_sequences(registry: Registry) -> None:
    """Register a sequence of two additions with the views routed and through, and one in the mode ``shared``."""
    for record in (SEPARATE, SHARED):
        registry.register_sequence(record)
    reached = [["fr-en"], ["fr-en", "de-en"], ["fr-en", "de-en", "fr-es", "de-es"]]
    for position, pairs in enumerate(reached):
        registry.register_cells(
            SEPARATE.digest,
            position,
            [
                cell(registry, SEPARATE, position, view, pair, metric)
                for view in ("routed", "through")
                for pair in pairs
                for metric in ("bleu", "chrf")
            ],
        )
    for position, pairs in enumerate(reached[:2]):
        cells = [cell(registry, SHARED, position, "shared", pair, "bleu") for pair in pairs]
        registry.register_cells(SHARED.digest, position, cells)


def cell(registry: Registry, sequence: SequenceRecord, position: int, view: str, pair: str, metric: str) -> CellRecord:
    languages = Pair.parse(pair)
    recipe = registry.recipe_catalog.recipe(languages.source, languages.target)
    lost = 0.0 if view == "routed" else 2.5 * position
    return CellRecord(
        sequence=sequence.digest,
        position=position,
        view=view,  # type: ignore[arg-type]
        pair=languages,
        kind=recipe.kind,
        recipe=recipe.digest,
        module=f"base/{sequence.additions[position - 1]}:1" if position else None,
        test="test",
        test_digest="c" * 64,
        metric=metric,
        value=VALUES[pair][metric == "chrf"] - lost,
        beam=1,
    )


def keep_alignment(registry: Registry) -> AlignmentRecord:
    """Store an alignment of German and French; the lexicon has the words that both spell the same."""
    tables = two_embeddings(registry.recipe_catalog, registry.parent(), ("de", "fr"))
    german, french = map(registry.load_embedding, tables)
    pieces = set(german.side.tokenizer.pieces) & set(french.side.tokenizer.pieces)
    words = [piece[1:] for piece in sorted(pieces) if piece.startswith("▁") and len(piece) > 1]
    lexicon = Lexicon("de-fr.tsv", {word: (word,) for word in words})
    results = [found.precision for found in align(german, french, lexicon)]
    return registry.register_alignment(*tables, lexicon, results)


@pytest.fixture
def home(filled_home: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(filled_home, tmp_path / "home"))


@pytest.fixture
def filled(home: Path) -> Iterator[Registry]:
    with Registry.open(home) as opened:
        yield opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium without access to other machines."""
    with started_browser() as started:
        yield started


@pytest.fixture
def start_page(tmp_path: Path) -> Iterator[Callable[[Path], Page]]:
    """Return a function that serves the page of a home in a process, which is stopped after the test."""
    pages: list[Page] = []

    def start(home: Path) -> Page:
        pages.append(started_page(home, tmp_path / f"page-{len(pages)}.log"))
        return pages[-1]

    yield start
    for page in pages:
        page.end()
