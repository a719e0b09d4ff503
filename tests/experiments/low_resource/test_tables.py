from __future__ import annotations

from experiments.low_resource.settings import HALF, JOINT, SCRATCH, XATTN
from experiments.low_resource.tables import (
    costs_table,
    differences_table,
    parents_table,
    scores_table,
    total_table,
)
from experiments.run import Row

COST = {"bytes": 12_300_000, "processor_seconds": 1800.0, "best_update": 700, "ended": 1100}


def rows_of(pair: str, system: str, bleu: float, chrf: float, *, at_limit: bool = False) -> list[Row]:
    """A training with each dropout; the second is tested."""
    labels = {"pair": pair, "system": system, "seed": 1}
    trained = [{**labels, **COST, "part": "dev", "dropout": dropout, "at_limit": at_limit} for dropout in (0.1, 0.3)]
    return [*trained, {**labels, "part": "test", "text": "test", "dropout": 0.3, "bleu": bleu, "chrf": chrf}]


def compared(pair: str, other: str, difference: float) -> Row:
    found = {"chrf_difference": difference, "chrf_p": 0.0123}
    return {"part": "significance", "pair": pair, "text": "test", "first": other, "second": HALF, **found}


ROWS = [
    *(
        row
        for system, chrf in ((HALF, 30.0), (XATTN, 25.0), (SCRATCH, 20.0))
        for row in rows_of("ha-en", system, 9.0, chrf)
    ),
    *rows_of("ha-en", JOINT, 10.0, 31.0),
    *rows_of("fr-wo", HALF, 5.0, 22.0),
    *rows_of("fr-wo", JOINT, 4.0, 21.0, at_limit=True),
    compared("ha-en", SCRATCH, 10.0),
    compared("ha-en", JOINT, -1.0),
    compared("fr-wo", JOINT, 1.0),
    {**COST, "part": "parent", "parent": "tatoeba-fr", "pair": "fr-en", "bleu": 50.0, "chrf": 66.0, "at_limit": False},
]


def test_means_are_over_pairs_with_all_systems_and_without_limits() -> None:
    columns, lines = scores_table(ROWS, "test")
    assert columns == ["pair", HALF, XATTN, SCRATCH, JOINT]
    assert lines == [
        ["ha-en", "9.0 / 30.0", "9.0 / 25.0", "9.0 / 20.0", "10.0 / 31.0"],
        ["fr-wo", "5.0 / 22.0", "", "", "4.0 / 21.0 *"],
        ["mean of 1", "9.0 / 30.0", "9.0 / 25.0", "9.0 / 20.0", "10.0 / 31.0"],
    ]
    assert scores_table(ROWS, "flores")[1] == []


def test_a_difference_of_a_training_that_its_limit_ended_is_in_no_mean() -> None:
    columns, lines = differences_table(ROWS, "test")
    assert columns == ["pair", f"half − {SCRATCH}", f"half − {XATTN}", f"half − {JOINT}"]
    assert lines == [
        ["ha-en", "+10.0 (p 0.012)", "", "-1.0 (p 0.012)"],
        ["fr-wo", "", "", "+1.0 (p 0.012) *"],
        ["mean", "+10.0 of 1", "", "-1.0 of 1"],
    ]


def test_costs_are_of_the_chosen_training_and_totals_of_all() -> None:
    assert costs_table(ROWS)[1][-2:] == [
        ["fr-wo", HALF, "0.3", "12.3", "700 of 1,100", "0.5"],
        ["fr-wo", JOINT, "0.3", "12.3", "700 of 1,100 *", "0.5"],
    ]
    assert total_table(ROWS)[1] == [
        [HALF, "4", "2.0"],
        [XATTN, "2", "1.0"],
        [SCRATCH, "2", "1.0"],
        [JOINT, "4", "2.0"],
        ["parents of the additions", "1", "0.5"],
    ]
    assert parents_table(ROWS)[1] == [["tatoeba-fr", "fr-en", "50.0 / 66.0", "12.3", "700 of 1,100", "0.5"]]
