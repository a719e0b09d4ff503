from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from continual_mt.artifacts.joint_languages import joint_languages
from continual_mt.artifacts.parent_languages import ParentLanguages
from continual_mt.artifacts.recipe import ModuleKey, Recipe, RecipeKind
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.languages import Pair
from dashboards.tables.artifacts import (
    alignment_table,
    metrics_table,
    pairs_table,
    results_table,
    size,
    storage_table,
)
from dashboards.tables.table import Column, Table, for_terminal, plain
from registry import BestScore, Lineage, ModuleRecord, PairEntry, ParentRecord, ScoreRecord

CREATED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LINEAGE = Lineage(corpora=(), spec={}, code_version="0.1.0")
PT_EN, ES_DE = ModuleKey("base/pt-en:1", "1" * 64), ModuleKey("base/es-de:2", "2" * 64)


def recipe(kind: RecipeKind, pair: str, *parts: ModuleKey | None, parent: str = "base") -> Recipe:
    source, cross_attention, target = parts or (None, None, None)
    return Recipe(kind, Pair.parse(pair), parent, "f" * 64, source, cross_attention, target)


ORIGINAL = recipe("original", "es-en")
SUPERVISED = recipe("supervised", "pt-en", PT_EN, PT_EN, None)
ZERO_SHOT = recipe("zero-shot", "pt-de", PT_EN, ES_DE, ES_DE)
RETENTION = recipe("retention", "es-en", None, PT_EN, None)


def score(of: Recipe, metric: str, value: float, *, test: str = "test", beam: int = 5) -> ScoreRecord:
    return ScoreRecord.of(
        of,
        test=test,
        test_digest=test.ljust(64, "t"),
        metric=metric,
        value=value,
        copy_value=2.345,
        signature="s|v",
        sentences=1012,
        beam=beam,
    )


def off_target(of: Recipe, value: float, of_references: float = 1.2) -> ScoreRecord:
    return replace(score(of, "offtarget", value), reference_value=of_references)


MEASURED = ["BLEU", "chrF", "chrF++", "off-target %", "of references"]


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


def test_results_have_one_row_per_recipe_in_the_order_of_kinds() -> None:
    scores = [
        score(recipe_, metric, value)
        for recipe_, value in ((RETENTION, 9.0), (ZERO_SHOT, 7.04), (SUPERVISED, 20.0), (ORIGINAL, 30.06))
        for metric in ("bleu", "chrf")
    ]
    table = results_table(scores)
    assert names(table) == ["pair", "recipe", *MEASURED, "BLEU of a copy", "sentences"]
    assert [list(row) for row in table.rows] == [
        ["es-en", "original", "30.1", "30.1", "-", "-", "-", "2.3", "1,012"],
        ["pt-en", "supervised", "20.0", "20.0", "-", "-", "-", "2.3", "1,012"],
        ["pt-de", "zero-shot", "7.0", "7.0", "-", "-", "-", "2.3", "1,012"],
        ["es-en", "retention through pt-en:1", "9.0", "9.0", "-", "-", "-", "2.3", "1,012"],
    ]


def test_only_the_excess_over_the_references_marks_a_pair() -> None:
    table = results_table([off_target(ORIGINAL, 40.0, 38.0), off_target(ZERO_SHOT, 40.0), score(RETENTION, "bleu", 1)])
    assert names(table)[-1] == "remark"
    assert [(*row[5:7], row[-1]) for row in table.rows] == [
        ("40.0", "38.0", ""),
        ("40.0", "1.2", "wrong language"),
        ("-", "-", ""),
    ]


def test_the_last_repetition_is_shown_and_a_missing_score_is_a_dash() -> None:
    table = results_table([score(ORIGINAL, "chrf", 1.0), score(ORIGINAL, "chrf", 2.0)])
    assert [list(row)[2:5] for row in table.rows] == [["-", "2.0", "-"]]


@pytest.mark.parametrize(
    ("other", "column", "values"),
    [
        (score(ORIGINAL, "bleu", 1.0, test="news"), "test set", ["test", "news"]),
        (score(ORIGINAL, "bleu", 1.0, beam=1), "beam", ["5", "1"]),
        (replace(score(ORIGINAL, "bleu", 1.0), parent="other", recipe="0" * 64), "parent", ["base", "other"]),
    ],
)
def test_equal_rows_get_a_column_that_distinguishes_them(other: ScoreRecord, column: str, values: list[str]) -> None:
    table = results_table([score(ORIGINAL, "bleu", 3.0), other])
    assert names(table) == ["pair", "recipe", column, *MEASURED, "BLEU of a copy", "sentences"]
    assert [row[2] for row in table.rows] == values


def test_versions_of_a_module_get_a_column() -> None:
    second = ModuleKey("base/pt-en:2", "3" * 64)
    table = results_table(
        [score(SUPERVISED, "bleu", 1.0), score(recipe("supervised", "pt-en", second, second, None), "bleu", 2.0)]
    )
    assert [row[2] for row in table.rows] == ["pt-en:1", "pt-en:2"]


def test_no_scores_give_no_rows() -> None:
    assert results_table([]).rows == []


def test_metrics() -> None:
    signed = replace(off_target(ORIGINAL, 3.0), signature="nrefs:1|library:l|languages:de,en,fr|version:1")
    table = metrics_table([score(ORIGINAL, "bleu", 30.06), signed])
    assert plain(table) == (
        "metric     value  copy of the source  references  signature\n"
        "bleu        30.1                 2.3           -  s|v\n"
        "chrf           -                   -           -  -\n"
        "chrfpp         -                   -           -  -\n"
        "offtarget    3.0                 2.3         1.2  nrefs:1|library:l|languages:3|version:1\n"
    )
    assert metrics_table([off_target(ORIGINAL, 90.0)]).rows[-1][-1] == "wrong language"


def test_alignments_without_queries_have_a_dash() -> None:
    table = alignment_table(
        [
            Precision("piece", "cosine", 0, 12_000, None, None),
            Precision("word", "csls", 2, 7, 0.5, 1.0),
        ]
    )
    assert names(table) == ["looked up", "method", "precision@1", "precision@5", "queries", "candidates"]
    assert [list(row) for row in table.rows] == [
        ["words of one piece", "nearest neighbour", "-", "-", "0", "12,000"],
        ["words of any length", "CSLS", "50.0%", "100.0%", "2", "7"],
    ]


def test_pairs_name_their_parent_if_there_are_several() -> None:
    best = BestScore("test", "test".ljust(64, "t"), 30.0, 2.345, "s|v", 1012, 5)
    entries = [PairEntry(ORIGINAL, best), PairEntry(ZERO_SHOT, None)]
    scores = [score(ORIGINAL, "chrf", 50.0), score(ORIGINAL, "chrf", 99.0, test="news")]
    table = pairs_table(entries, scores)
    assert names(table) == ["pair", "kind", "recipe", *MEASURED, "test set"]
    assert list(table.rows[0])[3:] == ["30.0", "50.0", "-", "-", "-", "test, 1,012 sentences, beam 5"]
    assert list(table.rows[1])[2:] == ["source pt-en:1, xattn es-de:2, target es-de:2", *("-",) * 6]
    several = pairs_table([*entries, PairEntry(recipe("original", "fr-en", parent="second"), None)], scores)
    assert [row[0] for row in several.rows] == ["base", "base", "second"]


def test_pairs_in_the_wrong_language_are_marked() -> None:
    best = BestScore("test", "test".ljust(64, "t"), 30.0, 2.345, "s|v", 1012, 5)
    entries = [PairEntry(ORIGINAL, best), PairEntry(SUPERVISED, best), PairEntry(ZERO_SHOT, None)]
    scores = [score(ORIGINAL, "bleu", 30.0), score(ORIGINAL, "chrfpp", 45.0), off_target(ORIGINAL, 60.0)]
    table = pairs_table(entries, scores)
    assert names(table)[-1] == "remark"
    assert list(table.rows[0])[3:8] == ["30.0", "-", "45.0", "60.0", "1.2"]
    assert [row[-1] for row in table.rows] == ["wrong language", "", ""]


def parent(name: str, parameters: int) -> ParentRecord:
    return ParentRecord(
        name, ParentLanguages.of_pair(Pair("es", "en")), "f" * 64, {}, parameters, 4 * parameters, {}, LINEAGE, CREATED
    )


def module(of: str, pair: str, parameters: int) -> ModuleRecord:
    return ModuleRecord(
        of, Pair.parse(pair), 1, "source", "xattn", "1" * 64, "f" * 64, parameters, 1_250_000, {}, LINEAGE, CREATED
    )


def test_storage_shows_each_parent_with_its_modules() -> None:
    table = storage_table(
        [parent("base", 10_000), parent("second", 40_000)],
        [module("base", "pt-en", 1_700), module("second", "pt-en", 1_700), module("base", "de-en", 500)],
    )
    assert names(table) == ["name", "what", "parameters", "stored", "share of a full copy"]
    assert [list(row) for row in table.rows] == [
        ["base", "parent es-en", "10,000", "40.0 kB", "100.0%"],
        ["base/pt-en:1", "new source pt, xattn", "1,700", "1.2 MB", "17.0%"],
        ["base/de-en:1", "new source de, xattn", "500", "1.2 MB", "5.0%"],
        ["second", "parent es-en", "40,000", "160.0 kB", "100.0%"],
        ["second/pt-en:1", "new source pt, xattn", "1,700", "1.2 MB", "4.2%"],
    ]
    assert storage_table([parent("base", 1)], [], created=True).rows[0][-1] == "2026-03-01 12:30 UTC"


def test_a_parent_of_several_languages_is_listed_with_the_number_of_its_pairs() -> None:
    languages = joint_languages([Pair("es", "en"), Pair("en", "es"), Pair("es", "pt")])
    table = storage_table([replace(parent("latin", 1), languages=languages)], [])
    assert table.rows[0][1] == "parent {en, es}-{en, es, pt}, 4 pairs"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3 * 10**15, "3000.0 TB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


TABLE = Table((Column("name"), Column("points", number=True)), [("a long text with [brackets] in it", "7.0")])


def test_a_terminal_gets_every_word_within_its_width() -> None:
    out = io.StringIO()
    Console(file=out, width=24, force_terminal=True, color_system=None).print(for_terminal(TABLE))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 24
    assert "7.0" in out.getvalue()
    assert (
        "".join("".join(line[:15] for line in lines).split()).replace("─", "").startswith("namealongtextwith[brackets]")
    )


@given(st.lists(st.tuples(st.text("ab c", max_size=9), st.text("0123", max_size=4)), max_size=5))
def test_plain_lines_hold_every_row_unwrapped(rows: list[tuple[str, str]]) -> None:
    head, *lines = plain(Table(TABLE.columns, rows)).splitlines()
    assert head.split() == ["name", "points"]
    assert len(lines) == len(rows)
    for line, (text, number) in zip(lines, rows, strict=True):
        assert line.startswith(text.rstrip())
        assert line.endswith(number)
