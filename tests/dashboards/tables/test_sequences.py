from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from continual_mt.evaluation.forgetting import Forgetting, Matrix, PairSet, Retention
from continual_mt.evaluation.significance import Comparison
from continual_mt.evaluation.transfer import Coverage, Transfer
from continual_mt.languages import Pair
from dashboards.tables.sequences import (
    additions_table,
    averages_table,
    comparison_table,
    forgetting_table,
    matrix_table,
    measures_table,
    scored_on_table,
)
from dashboards.tables.table import plain
from registry import Lineage, ModuleRecord, SequenceRecord
from registry.analysis.gains import TransferResult
from registry.analysis.history import ScoredOn
from registry.analysis.summary import Average, ForgettingSummary, Storage, Summary, ViewSummary

ES_EN, PT_EN, ES_DE, PT_DE = map(Pair.parse, ("es-en", "pt-en", "es-de", "pt-de"))
CREATED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SEQUENCE = SequenceRecord("a" * 64, "base", "latin", "separate", (PT_EN, ES_DE), CREATED)
MODULE = ModuleRecord(
    "base",
    PT_EN,
    1,
    "source",
    "xattn",
    "1" * 64,
    "f" * 64,
    1_700,
    6_800,
    {},
    Lineage(corpora=(), spec={}, code_version="0.1.0"),
    CREATED,
)
THROUGH = ViewSummary(
    view="through",
    averages=(Average(PairSet("trained by 0", (ES_EN,)), (40.0, 30.0, 20.04)),),
    forgetting=(Forgetting(ES_EN, 0, 40.0, 40.0, 20.04), Forgetting(PT_EN, 1, None, None, 18.0)),
    kept=ForgettingSummary(PairSet("trained before the last", (ES_EN, PT_EN)), None, -1.25, 3.0),
    retention=Retention((75.0, 50.1)),
)
SUMMARY = Summary(
    sequence=SEQUENCE,
    last=2,
    tests={PT_EN: ScoredOn("news", "abcdef0123456789", 5), ES_EN: ScoredOn("test", "0" * 64, 1)},
    views=(THROUGH,),
    coverage=(Coverage(0, 0), Coverage(1, 0), Coverage(2, 1)),
    modules={1: MODULE},
    storage=Storage(modules=1, parameters=1_700, bytes=6_800, copy_parameters=10_000, copy_bytes=40_000),
    forward_transfer=TransferResult(Transfer("bleu", {PT_EN: 4.0}), {PT_EN: "base/pt-en:2"}),
    order_transfer=TransferResult(Transfer("chrf", {ES_DE: -0.5}), {ES_DE: "first"}),
)


def test_a_matrix_has_one_row_per_position_and_one_column_per_pair() -> None:
    matrix = Matrix("bleu", (ES_EN, PT_EN), ((40.0, None), (30.06, 20.0), (20.0, None)), {ES_EN: 0, PT_EN: 1})
    assert plain(matrix_table(matrix, SEQUENCE)) == (
        "position  added   es-en  pt-en\n"
        "       0  parent   40.0      -\n"
        "       1  pt-en    30.1   20.0\n"
        "       2  es-de    20.0      -\n"
    )


def test_what_each_pair_was_scored_on() -> None:
    assert [list(row) for row in scored_on_table(SUMMARY).rows] == [
        ["es-en", "test", "000000000000", "1"],
        ["pt-en", "news", "abcdef012345", "5"],
    ]


def test_off_target_rates_of_references_are_beside_the_test_sets() -> None:
    table = scored_on_table(replace(SUMMARY, of_references={PT_EN: 1.25}))
    assert table.columns[-1].name == "off-target % of references"
    assert [list(row)[-1] for row in table.rows] == ["-", "1.2"]


def test_what_each_addition_stores_and_how_many_pairs_it_makes_possible() -> None:
    assert plain(additions_table(SUMMARY)) == (
        "position  added   module   scope  parameters  stored  supervised  zero-shot\n"
        "       0  parent  -        -               -       -           0          0\n"
        "       1  pt-en   pt-en:1  xattn       1,700  6.8 kB           1          0\n"
        "       2  es-de   -        -               -       -           2          1\n"
    )


def test_averages_by_position() -> None:
    assert plain(averages_table(SUMMARY)) == (
        "view     mean over     pairs  metric  at 0  at 1  at 2\n"
        "through  trained by 0      1  BLEU    40.0  30.0  20.0\n"
    )


def test_forgetting_pair_by_pair() -> None:
    assert plain(forgetting_table(SUMMARY)) == (
        "view     pair   learned at  first  best  last  first - last  best - last\n"
        "through  es-en           0   40.0  40.0  20.0          20.0         20.0\n"
        "through  pt-en           1      -     -  18.0             -            -\n"
    )


def test_measures_name_their_pairs_and_unit() -> None:
    table = measures_table(SUMMARY)
    assert [column.name for column in table.columns] == ["measure", "view", "over", "in", "value"]
    assert [list(row) for row in table.rows] == [
        ["backward transfer", "through", "es-en, pt-en", "BLEU", "-"],
        ["forgetting, first - last", "through", "es-en, pt-en", "BLEU", "-1.2"],
        ["forgetting, best - last", "through", "es-en, pt-en", "BLEU", "3.0"],
        ["retention, mean", "through", "original pair, positions from 1", "% of BLEU", "62.5"],
        ["retention, worst", "through", "original pair, positions from 1", "% of BLEU", "50.1"],
        ["forward transfer", "-", "pt-en against pt-en:2", "BLEU", "4.0"],
        ["forward transfer, mean", "-", "pt-en", "BLEU", "4.0"],
        ["order transfer", "-", "es-de against first", "chrF", "-0.5"],
        ["order transfer, mean", "-", "es-de", "chrF", "-0.5"],
        ["stored, mean", "-", "1 of 2 additions", "parameters", "1,700"],
        ["stored, mean", "-", "1 of 2 additions", "bytes", "6.8 kB"],
        ["stored, together", "-", "1 of 2 additions", "bytes", "6.8 kB"],
        ["stored, together", "-", "1 of 2 additions", "share of full copies' parameters", "17.0%"],
    ]


def test_unknown_measures_have_no_row() -> None:
    bare = ViewSummary("routed", (), (), None, None)
    nothing = Summary(SEQUENCE, 0, {}, (bare,), (Coverage(0, 0),), {}, None, None, None)
    assert measures_table(nothing).rows == forgetting_table(nothing).rows == averages_table(nothing).rows == []


@pytest.mark.parametrize(
    ("second", "p_value", "shown"),
    [
        (31.25, 1 / 1001, ("+1.2", "0.001", "the second is better")),
        (28.0, 0.0499, ("-2.0", "0.050", "the first is better")),
        (29.0, 0.2501, ("-1.0", "0.250", "no difference beyond chance")),
        (31.0, 0.05, ("+1.0", "0.050", "no difference beyond chance")),
        (29.99, 1.0, ("+0.0", "1.000", "no difference beyond chance")),
    ],
)
def test_a_difference_has_a_p_value(second: float, p_value: float, shown: tuple[str, ...]) -> None:
    table = comparison_table([Comparison("chrf", 30.0, second, p_value, 1000, "s")])
    names = [column.name for column in table.columns]
    assert names == ["metric", "first", "second", "difference", "p-value", "at p < 0.05"]
    assert list(table.rows[0]) == ["chrF", "30.0", f"{second:.1f}", *shown]
