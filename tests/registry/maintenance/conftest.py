"""A registry with everything that care is taken of: texts, scores, aliases, tags, notes, an alignment, a sequence."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.evaluation.lexicon import parse_lexicon
from continual_mt.languages import Pair
from registry import CellRecord, CorpusRecord, Lineage, Registry, ScoreRecord, SequenceRecord
from registry.database import schema
from registry.maintenance.backup import open_folder
from registry.recipes.embeddings import two_embeddings
from registry.records.values import now

ANSWERS = ["A man plays.", "Two men play."]
SOURCES, REFERENCES = ["Ein Mann spielt.", "Zwei Männer spielen."], ["A man is playing.", "Two men are playing."]


def enrich(registry: Registry) -> None:
    """Add to a parent ``base`` with de-en:1 and fr-es:1 what a registry gathers in use."""
    sources, references = registry.texts.store(SOURCES), registry.texts.store(REFERENCES)
    test = CorpusRecord("d" * 64, Pair("de", "en"), "flickr", 2, 0, "CC0-1.0", sources, references)
    registry.register_corpus(test)
    answers = registry.texts.store(ANSWERS)
    for number, (pair, kept) in enumerate((("de-en", answers), ("de-es", None), ("fr-en", None))):
        registry.register_scores(
            [
                ScoreRecord.of(
                    registry.recipe_catalog.recipe(*pair.split("-")),
                    test="flickr",
                    test_digest="d" * 64,
                    metric="bleu",
                    value=20.5 + number,
                    copy_value=None,
                    signature="bleu|v",
                    sentences=2,
                    beam=1,
                    hypotheses=kept,
                )
            ]
        )
    registry.register_sequence(SequenceRecord("e" * 64, "base", "latin", "separate", (Pair("de", "en"),)))
    score = registry.scores(Pair("de", "en"))[0]
    cell = CellRecord(
        "e" * 64, 1, "routed", score.pair, "supervised", score.recipe, score.source, "flickr", "d" * 64, "bleu", 20.5, 1
    )
    registry.register_cells("e" * 64, 1, [cell])
    german, french = two_embeddings(registry.recipe_catalog, registry.parent("base"), ("de", "fr"))
    lexicon = parse_lexicon(["mann\thomme"], "de-fr.tsv")
    registry.register_alignment(german, french, lexicon, [Precision("word", "csls", 1, 200, 1.0, 1.0)])

    def curate(session: Session) -> None:
        module = session.scalars(select(schema.Module).filter_by(source="de")).one()
        place = {"parent_id": module.parent_id, "source": "de", "target": "en", "name": "champion"}
        session.add(schema.Alias(**place, module_id=module.id))
        session.add(schema.AliasMove(**place, to_version=1, who="ada", moment=now()))
        session.add(schema.Tag(artifact_id=module.id, tag="small"))
        session.add(schema.Note(artifact_id=module.id, text="trained overnight\non two cores", who="ada", moment=now()))

    registry.database.write(curate)


@pytest.fixture
def rich(filled: Registry) -> Registry:
    enrich(filled)
    return filled


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty registry on SQLite, to be copied."""
    folder = tmp_path_factory.mktemp("none") / "home"
    open_folder(folder, create=True).close()
    return folder


@pytest.fixture
def other(empty_folder: Path, tmp_path: Path) -> Iterator[Registry]:
    """Another registry, which is empty and on SQLite."""
    shutil.copytree(empty_folder, tmp_path / "other")
    with open_folder(tmp_path / "other") as opened:
        yield opened


@pytest.fixture
def age() -> Callable[[Registry], None]:
    """Makes all that is stored ten days old."""

    def make_old(registry: Registry) -> None:
        then = time.time() - 10 * 24 * 3600
        for path in Path(registry.blobs.place).rglob("*"):
            if path.is_file():
                os.utime(path, (then, then))

    return make_old


REGISTER = """
from continual_mt.artifacts.module import Module
from registry import Lineage, Registry
modules = [Module.from_pieces(pieces) for pieces in all_pieces]
lineage = Lineage(corpora=(), spec={}, code_version="0.1.0")
with Registry.open(home) as registry:
    for number, module in enumerate(modules):
        registry.register_module("base", module, lineage=lineage)
        registry.texts.store([f"line {number}"])
        answers.send(number)
"""


@pytest.fixture
def writer(
    rich: Registry, home: Path, start: Callable[..., Any], parent: Parent, make_module: Callable[..., Module]
) -> Any:
    """Another process that registers six modules in ``rich``."""
    pieces = [make_module(parent, "de-en", seed=seed).pieces() for seed in range(10, 16)]
    return start(REGISTER, home=home, all_pieces=pieces)


@pytest.fixture(scope="session")
def rich_folder(
    tmp_path_factory: pytest.TempPathFactory, parent: Parent, make_module: Callable[..., Module], lineage: Lineage
) -> Path:
    """The same registry on SQLite, made once. Tests only read it."""
    folder = tmp_path_factory.mktemp("rich") / "home"
    with open_folder(folder, create=True) as registry:
        registry.register_parent("base", parent, lineage=lineage)
        registry.register_module("base", make_module(parent, "de-en", seed=1), lineage=lineage)
        registry.register_module("base", make_module(parent, "fr-es", seed=2), lineage=lineage)
        enrich(registry)
    return folder
