"""Scores of pivots are found, kept and removed by the parents and modules of their legs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from continual_mt.errors import InputError
from registry import Lineage, Registry
from registry.database import schema
from registry.maintenance.backup import backup, open_folder
from registry.maintenance.bundle import export
from registry.maintenance.gc import collect
from registry.maintenance.verify import verify
from registry.records.values import now
from tests.registry.conftest import MakeModule, MakeParent
from tests.registry.pivots import NAME, add_germanic, pivot, score_of


@pytest.fixture
def scored(filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage) -> Registry:
    """One pivot of two originals, and one with a module of the second parent."""
    add_germanic(filled, make_parent, make_module, lineage)
    into_de, into_pt = pivot(filled, "fr", "de", NAME), pivot(filled, "fr", "pt", "pivot:base/fr-en+germanic/en-pt")
    filled.register_scores([score_of(into_de), score_of(into_de, "chrf", 40.0), score_of(into_pt)])
    return filled


def test_scores_are_found_by_both_legs(scored: Registry) -> None:
    found = scored.scores(kind="pivot")
    assert [(str(one.pair), one.metric, one.value) for one in found] == [
        ("fr-de", "bleu", 21.5),
        ("fr-de", "chrf", 40.0),
        ("fr-pt", "bleu", 21.5),
    ]
    assert scored.scores(parent="base") == scored.scores(parent="germanic") == found
    assert scored.scores(module="germanic/en-pt:1") == found[2:]
    assert scored.scores(module="base/de-en:1") == []
    assert scored.scores(recipe=found[0].recipe) == found[:2]
    assert scored.scores(found[0].pair) == found[:2]


def test_what_a_score_says_of_its_legs(scored: Registry) -> None:
    recipe = pivot(scored, "fr", "pt", "pivot:base/fr-en+germanic/en-pt")
    (record,) = scored.scores(recipe.pair)
    assert record.scored.modules == ("germanic/en-pt:1",)
    assert (record.parent, record.source, record.cross_attention, record.target) == ("base", None, None, None)
    assert record.to_json()["models"] == 2
    assert record.to_json()["legs"] == [
        {
            "parent": leg.parent,
            "kind": leg.kind,
            "pair": str(leg.pair),
            "recipe": leg.digest,
            "source": None,
            "cross_attention": module,
            "target": module,
        }
        for leg, module in zip(recipe.legs, (None, "germanic/en-pt:1"), strict=True)
    ]


def test_a_score_with_other_legs_than_its_kind_has_is_refused(scored: Registry) -> None:
    found = pivot(scored, "fr", "en", "pivot:base/fr-es+base/es-en")
    message = r"^recipe pivot fr-en: has 0 legs; expected two of a pivot, and none of another recipe$"
    with pytest.raises(InputError, match=message):
        scored.register_scores([replace(score_of(found), legs=())])
    with pytest.raises(InputError, match=r"^recipe original fr-en: has 2 legs"):
        scored.register_scores([replace(score_of(found), kind="original")])


def test_dependents_name_pivots(scored: Registry) -> None:
    """A module of both legs names the pivot once."""
    scored.assemble("fr", "en", recipe="pivot:base/fr-es+base/es-en")
    into_pt = scored.scores(module="germanic/en-pt:1")[0]
    named = scored.annotations.lineage("germanic/en-pt:1").dependents
    assert [(one.role, one.name, one.detail, one.holds) for one in named] == [
        ("recipe", "supervised en-pt", into_pt.scored.legs[1].digest, False),
        ("recipe", "pivot fr-pt", into_pt.recipe, False),
    ]
    assert [one.name for one in scored.annotations.lineage("base/fr-es:1").dependents] == [
        "supervised fr-es",
        "pivot fr-en",
    ]


def test_verify_and_backup_know_legs(scored: Registry, tmp_path: Path) -> None:
    assert verify(scored).problems == ()
    backup(scored, tmp_path / "backup")
    with open_folder(tmp_path / "backup") as copy:
        assert copy.scores() == scored.scores()
        assert verify(copy).problems == ()


def test_a_backup_copies_legs_first(
    filled: Registry, make_parent: MakeParent, make_module: MakeModule, lineage: Lineage, tmp_path: Path
) -> None:
    """Whatever order the rows were written in: here a row comes before its legs."""
    add_germanic(filled, make_parent, make_module, lineage)
    early = filled.assemble("de", "en", parent="base").recipe
    later = filled.assemble("fr", "de", recipe=NAME).recipe
    legs = dict(zip(("first_leg", "second_leg"), (leg.digest for leg in later.legs), strict=True))
    filled.database.write(
        lambda session: session.execute(update(schema.Recipe).filter_by(digest=early.digest).values(**legs))
    )
    backup(filled, tmp_path / "backup")
    with open_folder(tmp_path / "backup") as copy, copy.database.read() as session:
        assert session.get_one(schema.Recipe, early.digest).first_leg == later.first.digest


@pytest.mark.parametrize("name", ["base", "germanic"])
def test_a_parent_that_is_removed_for_good_takes_its_pivots_along(scored: Registry, name: str) -> None:
    def delete(session: Session) -> None:
        for row in session.scalars(select(schema.Artifact)):
            owner = row.parent if isinstance(row, schema.Module) else row
            if isinstance(owner, schema.Parent) and owner.name == name:
                row.deleted, row.deleted_by = now() - timedelta(days=30), "ada"

    scored.database.write(delete)
    collect(scored, for_good=True, forget=True)
    assert [parent.name for parent in scored.parents()] == [{"base": "germanic", "germanic": "base"}[name]]
    assert scored.scores() == []
    with scored.database.read() as session:
        assert set(session.scalars(select(schema.Recipe.kind))) <= {"original", "supervised"}
    assert verify(scored).problems == ()


def test_bundles_carry_no_scores_of_pivots(scored: Registry, tmp_path: Path) -> None:
    scored.register_scores([replace(score_of(pivot(scored, "fr", "de", NAME)), value=1.0)])
    made = export.export(scored, ["base", "germanic"], tmp_path / "both.tar.gz")
    assert (made.parents, made.scores) == (("base", "germanic"), 0)
