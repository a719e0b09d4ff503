"""Synthetic registries of any size, written directly into the tables: realistic rows without weights.

There is one parent. Half of the languages are new sources, half new targets, with equally many versions of each. Every
version has scores for the pair that it was trained on. The remaining scores are for zero-shot pairs, first those of the
newest versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from typing import Any

import langcodes
from sqlalchemy import Table, insert, text
from sqlalchemy.orm import Session

from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.artifacts.recipe import ModuleKey, Recipe
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Architecture
from continual_mt.model.scopes import Scope
from registry import Registry
from registry.database import schema
from registry.queries.module_parts import supervised
from registry.records.artifacts import ParentRecord
from registry.records.lineage import Lineage
from registry.records.names import full_name
from registry.records.pairs import BEST_METRIC

PARENT = "base"
PAIR = Pair("fr", "en")
TESTS = tuple(f"test-{number}" for number in range(10))
_CHUNK = 20_000
_SCOPES: tuple[Scope, ...] = ("xattn", "xattn", "xattn", "embeddings", "body")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

Row = dict[str, Any]


def languages(count: int) -> list[str]:
    """Return ``count`` valid language tags, without those of the parent."""
    tags = (a + b + c for a, b, c in product(_LETTERS, repeat=3))
    valid = (tag for tag in tags if langcodes.tag_is_valid(tag))
    normal = dict.fromkeys(langcodes.standardize_tag(tag, macro=False) for tag in valid)
    chosen = list(islice((tag for tag in normal if tag not in (PAIR.source, PAIR.target)), count))
    assert len(chosen) == count
    return chosen


def populate(registry: Registry, modules: int, scores: int, language_count: int) -> None:
    """Fill an empty registry with so many modules, over so many languages, and so many scores."""
    parent = ParentRecord(
        PARENT,
        ParentLanguages.of_pair(PAIR),
        _digest("parent"),
        dict(Architecture().to_json()),
        1,
        1,
        {},
        Lineage((), {}, "0"),
        _BEGINNING,
    )
    keys = list(_module_keys(modules, language_count))
    rows = list(_module_rows(parent, keys))
    registry.database.write(lambda session: _add_artifacts(session, parent, rows))
    recipes = _recipes(parent, keys)
    registry.database.write(lambda session: _add_scores(session, recipes, scores))
    registry.database.write(_analyse)


def _module_keys(modules: int, language_count: int) -> Iterator[tuple[Pair, int, Scope, str]]:
    """Yield the pair, version, scope and digest of each module, the oldest versions first."""
    pairs = [
        Pair(language, PAIR.target) if number % 2 == 0 else Pair(PAIR.source, language)
        for number, language in enumerate(languages(language_count))
    ]
    for number in range(modules):
        pair, version = pairs[number % language_count], number // language_count + 1
        yield pair, version, _SCOPES[number % len(_SCOPES)], _digest(f"{pair}:{version}")


def _module_rows(parent: ParentRecord, keys: Iterable[tuple[Pair, int, Scope, str]]) -> Iterator[tuple[Row, Row]]:
    for number, (pair, version, scope, digest) in enumerate(keys):
        side = _side(pair)
        recipe = supervised(parent, _key(pair, version, digest), pair, side, scope)
        artifact = _artifact(number + 2, "module", timedelta(minutes=number))
        yield (
            artifact,
            {
                "id": number + 2,
                "parent_id": 1,
                "source": pair.source,
                "target": pair.target,
                "version": version,
                "side": side,
                "scope": scope,
                "shared": False,
                "digest": digest,
                "recipe_digest": recipe.digest,
            },
        )


def _side(pair: Pair) -> SideName:
    return "source" if pair.target == PAIR.target else "target"


def _key(pair: Pair, version: int, digest: str) -> ModuleKey:
    return ModuleKey(full_name(PARENT, pair.source, pair.target, version), digest)


def _artifact(number: int, kind: str, age: timedelta) -> Row:
    return {
        "id": number,
        "kind": kind,
        "parameters": 1_000_000 + number,
        "bytes": 4_000_000,
        "job": _digest(f"job {number}"),
        "attempt": 1,
        "run": f"run-{number}",
        "code_version": "0.1.0",
        "spec": {"training": {"updates": 1000}},
        "created": _BEGINNING + age,
    }


def _add_artifacts(session: Session, parent: ParentRecord, rows: list[tuple[Row, Row]]) -> None:
    _insert(session, schema.Artifact.__table__, [_artifact(1, "parent", timedelta())])
    row = {"id": 1, "name": PARENT, "fingerprint": parent.fingerprint, "architecture": parent.architecture}
    _insert(session, schema.Parent.__table__, [{**row, "denoising": False}])
    sides = [("source", PAIR.source), ("target", PAIR.target)]
    columns = ("parent_id", "end", "tag", "code", "token")
    rows_of_sides: list[Row] = [dict(zip(columns, (1, end, tag, tag, None), strict=True)) for end, tag in sides]
    _insert(session, schema.ParentSide.__table__, rows_of_sides)
    _insert(session, schema.Artifact.__table__, (artifact for artifact, _ in rows))
    _insert(session, schema.Module.__table__, (module for _, module in rows))
    names = ("source.safetensors", "cross_attention.safetensors", "module.json", "source.model")
    pieces = [
        {"artifact_id": a["id"], "name": name, "digest": _digest(f"{a['id']} {name}")}
        for a, _ in rows
        for name in names
    ]
    _insert(session, schema.Blob.__table__, ({"digest": piece["digest"], "bytes": 1_000_000} for piece in pieces))
    _insert(session, schema.Piece.__table__, pieces)


def _recipes(parent: ParentRecord, keys: list[tuple[Pair, int, Scope, str]]) -> Iterator[Recipe]:
    """Yield the supervised recipe of each module, then zero-shot recipes, those of the newest versions first."""
    by_place = {(pair, version): _key(pair, version, digest) for pair, version, _, digest in keys}
    scopes = {(pair, version): scope for pair, version, scope, _ in keys}
    for (pair, version), key in by_place.items():
        yield supervised(parent, key, pair, _side(pair), scopes[pair, version])
    newest = max(version for _, version in by_place)
    for version in range(newest, 0, -1):
        sources = [place for place in by_place if place[1] == version and place[0].target == PAIR.target]
        targets = [place for place in by_place if place[1] == version and place[0].source == PAIR.source]
        for source, target in product(sources, targets):
            middle = None if scopes[target] == "embeddings" else by_place[target]
            pair = Pair(source[0].source, target[0].target)
            yield Recipe("zero-shot", pair, PARENT, parent.fingerprint, by_place[source], middle, by_place[target])


def _add_scores(session: Session, recipes: Iterator[Recipe], count: int) -> None:
    each = len(TESTS) * len(METRICS)
    while chosen := list(islice(recipes, min(_CHUNK // each, -(-count // each)))):
        _insert(session, schema.Recipe.__table__, map(_recipe_row, chosen))
        rows = [row for recipe in chosen for row in _score_rows(recipe)][:count]
        _insert(session, schema.Score.__table__, rows)
        count -= len(rows)
        if count <= 0:
            return


def _recipe_row(recipe: Recipe) -> Row:
    return {"digest": recipe.digest, **_place(recipe)}


def _place(recipe: Recipe) -> Row:
    return {
        "parent_id": 1,
        "kind": recipe.kind,
        "source": recipe.pair.source,
        "target": recipe.pair.target,
        "source_module": recipe.source.name if recipe.source else None,
        "cross_attention_module": recipe.cross_attention.name if recipe.cross_attention else None,
        "target_module": recipe.target.name if recipe.target else None,
    }


def _score_rows(recipe: Recipe) -> Iterator[Row]:
    place, drawn = _place(recipe), int(recipe.digest[:8], 16)
    for number, (test, metric) in enumerate(product(TESTS, METRICS)):
        yield {
            **place,
            "recipe_digest": recipe.digest,
            "test": test,
            "test_digest": _digest(test),
            "metric": metric,
            "value": (drawn * (number + 1) % 6000) / 100,
            "copy_value": None,
            "signature": f"{metric}|nrefs:1|case:mixed",
            "sentences": 1000 + number,
            "beam": 5,
            "created": _BEGINNING,
            "shown": (test, metric) == (TESTS[-1], BEST_METRIC),  # the test set with the most sentences is shown
        }


def _insert(session: Session, table: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    assert isinstance(table, Table)
    remaining = iter(rows)
    while chunk := list(islice(remaining, _CHUNK)):
        session.execute(insert(table), chunk)


def _analyse(session: Session) -> None:
    """Update the planner's statistics, as PostgreSQL does in the background and SQLite's ``PRAGMA optimize``."""
    session.execute(text("ANALYZE"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
