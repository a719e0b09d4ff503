from __future__ import annotations

from dataclasses import replace

import pytest

from continual_mt.errors import UnknownNameError
from continual_mt.languages import Pair
from registry import Registry
from registry.analysis.history import History, ScoredOn, find_sequence
from tests.registry.analysis.histories import cell, record, sequence

LATIN = sequence()
FR_EN, DE_EN, FR_ES, DE_ES = map(Pair.parse, ("fr-en", "de-en", "fr-es", "de-es"))


def test_scores_by_position_each_pair_by_its_own_recipe(filled: Registry) -> None:
    record(filled, LATIN)
    history = History.read(filled.catalog, LATIN)
    matrix = history.matrix("routed", "bleu")
    assert matrix.pairs == (FR_EN, DE_EN, FR_ES, DE_ES)
    assert matrix.rows == ((40.0, None, None, None), (40.0, 20.0, None, None), (40.0, 20.0, 12.0, 6.0))
    assert matrix.trained == {FR_EN: 0, DE_EN: 1, FR_ES: 2}
    assert history.matrix("routed", "chrf").rows[2] == (80.0, 40.0, 24.0, 12.0)
    assert history.modules == {1: "base/de-en:1", 2: "base/fr-es:1"}


def test_where_a_pair_is_trained_all_views_are_one(filled: Registry) -> None:
    record(filled, LATIN)
    matrix = History.read(filled.catalog, LATIN).matrix("through", "bleu")
    assert matrix.pairs == (FR_EN, DE_EN, FR_ES, DE_ES)
    assert matrix.rows == ((40.0, None, None, None), (30.0, 20.0, None, None), (10.0, 15.0, 12.0, 6.0))


def test_what_a_view_has_of_its_own_comes_first(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    filled.register_cells(
        LATIN.digest, 0, [cell(LATIN, 0, "through", "fr-en", 1.0), cell(LATIN, 0, "routed", "fr-en", 2.0)]
    )
    assert History.read(filled.catalog, LATIN).matrix("through", "bleu").rows == ((1.0,),)


def test_every_scored_metric_has_the_same_columns(filled: Registry) -> None:
    """Metrics that an earlier version did not compute have no matrix."""
    filled.register_sequence(LATIN)
    cells = [
        cell(LATIN, 0, "routed", "fr-en", 50.0, metric="chrf"),
        cell(LATIN, 1, "routed", "fr-en", 50.0, metric="chrf"),
        cell(LATIN, 1, "routed", "de-en", 2.0, metric="offtarget"),
    ]
    for position in (0, 1):
        filled.register_cells(LATIN.digest, position, [one for one in cells if one.position == position])
    history = History.read(filled.catalog, LATIN)
    assert [(view, matrix.metric, matrix.rows) for view, matrix in history.matrices()] == [
        ("routed", "chrf", ((50.0, None), (50.0, None))),
        ("routed", "offtarget", ((None, None), (None, 2.0))),
    ]


def test_views_are_those_that_were_scored(filled: Registry) -> None:
    shared = sequence("one", "shared", digest="6" * 64)
    filled.register_sequence(shared)
    filled.register_cells(shared.digest, 0, [cell(shared, 0, "routed", "fr-en", 40.0)])
    assert History.read(filled.catalog, shared).views == ("routed",)
    filled.register_cells(shared.digest, 1, [cell(shared, 1, "shared", "fr-en", 30.0)])
    history = History.read(filled.catalog, shared)
    assert (history.views, history.last) == (("shared",), 1)
    assert history.matrix("shared", "bleu").rows == ((40.0,), (30.0,))


def test_a_sequence_that_nothing_was_scored_along(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    history = History.read(filled.catalog, LATIN)
    assert (history.views, history.last, history.tests, history.matrices()) == ((), None, {}, [])
    with pytest.raises(UnknownNameError, match="nothing was scored along the sequence latin yet"):
        history.matrix("routed", "bleu")


def test_a_pair_counts_on_the_test_set_that_is_named_else_on_the_first(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    cells = [cell(LATIN, 1, "routed", "fr-en", value, test=test) for test, value in (("news", 2.0), ("books", 1.0))]
    filled.register_cells(LATIN.digest, 1, [*cells, cell(LATIN, 1, "routed", "de-en", 3.0, test="books")])
    assert History.read(filled.catalog, LATIN).matrix("routed", "bleu").rows[1] == (1.0, 3.0)
    named = History.read(filled.catalog, LATIN, test="news")
    assert named.matrix("routed", "bleu").rows[1] == (2.0, 3.0)
    assert [test.name for test in (named.tests[FR_EN], named.tests[DE_EN])] == ["news", "books"]
    with pytest.raises(
        UnknownNameError, match=r"unknown test set 'new' \(did you mean news\?\); expected one of: books"
    ):
        History.read(filled.catalog, LATIN, test="new")


def test_a_column_is_one_text_and_one_beam(filled: Registry) -> None:
    filled.register_sequence(LATIN)
    wide = cell(LATIN, 0, "routed", "fr-en", 40.0)
    other = replace(wide, test_digest="0" * 64, value=1.0)
    filled.register_cells(LATIN.digest, 0, [wide, replace(wide, beam=1, value=2.0), other])
    filled.register_cells(LATIN.digest, 1, [cell(LATIN, 1, "routed", "fr-en", 39.0)])
    history = History.read(filled.catalog, LATIN)
    assert history.tests[FR_EN] == ScoredOn("test", wide.test_digest, 5)
    assert history.matrix("routed", "bleu").rows == ((40.0,), (39.0,))
    preferred = ScoredOn("test", "0" * 64, 5)
    assert History.read(filled.catalog, LATIN, prefer=preferred).tests[FR_EN] == preferred
    assert preferred.to_json() == {"name": "test", "digest": "0" * 64, "beam": 5}


def test_the_newest_sequence_of_a_name_is_found(filled: Registry) -> None:
    newest = sequence("latin", "shared", digest="7" * 64)
    for one in (LATIN, newest, sequence("greek", digest="8" * 64)):
        filled.register_sequence(one)
    assert find_sequence(filled.catalog, "latin") == find_sequence(filled.catalog, "latin", parent="base") == newest
    with pytest.raises(
        UnknownNameError, match=r"unknown sequence 'latein' \(did you mean latin\?\); expected one of: greek, latin"
    ):
        find_sequence(filled.catalog, "latein")


def test_no_sequence_at_all(filled: Registry) -> None:
    with pytest.raises(UnknownNameError, match="unknown sequence 'latin': none is registered yet"):
        find_sequence(filled.catalog, "latin")
