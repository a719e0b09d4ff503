from __future__ import annotations

from typing import Any

from experiments.paper.search import best_rates
from experiments.paper.settings import PAIRS, Rates, Setting
from experiments.paper.tables import (
    bytes_table,
    lexicon_table,
    parents_table,
    rates_table,
    retention_table,
    rivals_table,
    small_table,
    supervised_table,
    total_table,
    zero_shot_table,
)
from experiments.run import Row

COST = {"processor_seconds": 1800.0, "best_update": 700, "ended": 1000}


def name(scope: str, pair: str, seed: int) -> str:
    return f"paper-full/{pair}:{scope} {seed}"


def rows_of(scope: str, start: str, scores: dict[str, list[float]], *, limited: tuple[str, int] = ("", 0)) -> list[Row]:
    """A training and a supervised score for each pair and seed; that of ``limited`` was ended by its limit."""
    rows = []
    for pair, values in scores.items():
        for seed, value in enumerate(values, start=1):
            module, labels = name(scope, pair, seed), {"scope": scope, "start": start, "seed": seed, "pair": pair}
            size = 60_000_000 if scope == "scratch" else 15_000_000
            rows.append({**COST, **labels, "part": "trained", "module": module, "bytes": size})
            rows[-1]["at_limit"] = (pair, seed) == limited
            rows.append(scored(labels, "supervised", [module], value))
    return rows


def scored(labels: Row, kind: str, modules: list[str], value: float) -> Row:
    table = {"part": "test", "table": "full", "parent": "paper-full", "kind": kind}
    return {**table, **labels, "modules": modules, "bleu": value}


HALF = {"de-en": [30.0, 31.0, 35.0], "cs-en": [28.0], "fr-de": [20.0], "fr-cs": [16.0]}
BODY = {"scope": "body", "start": "lexical", "seed": 1, "pair": "fr-en"}
ROWS = [
    {**COST, "part": "parent", "parent": "paper-full", "at_limit": False},
    {"part": "original", "parent": "paper-full", "pair": "fr-en", "bleu": 50.0, "chrf": 70.0},
    *rows_of("half", "lexical", HALF, limited=("de-en", 3)),
    *rows_of("scratch", "random", {"de-en": [25.0]}),
    *rows_of("body", "lexical", {"fr-cs": [18.0]}, limited=("fr-cs", 1)),
    scored({**BODY, "scope": "half"}, "retention", [name("half", "de-en", 1)], 50.0),
    scored({**BODY, "scope": "half"}, "retention", [name("half", "fr-cs", 1)], 25.0),
    scored(
        {"scope": "half", "start": "lexical", "seed": 1, "pair": "de-cs"},
        "zero-shot",
        [name("half", "de-en", 1), name("half", "fr-cs", 1)],
        12.0,
    ),
]


def test_a_training_that_its_limit_ended_is_marked_and_in_no_mean() -> None:
    columns, lines = supervised_table(ROWS, "full")
    assert columns == ["scope", "start", "seeds", *PAIRS, "mean"]
    assert lines == [
        ["`half`", "lexical", "3", "30.5 (30.0–31.0) *", "28.0", "20.0", "16.0", "23.6"],
        ["`scratch`", "random", "1", "25.0", "", "", "", ""],
        ["`body`", "lexical", "1", "", "", "", "18.0 *", ""],
    ]
    assert supervised_table(ROWS, "3k")[1] == []


def rival(name: str, pair: str, value: float, seed: int = 1) -> Row:
    return {"part": "rival", "table": "full", "rival": name, "pair": pair, "seed": seed, "bleu": value}


def test_zero_shot_is_a_share_of_the_best_rival_once_all_are_measured() -> None:
    rivals = [rival("scratch", "de-cs", 15.0), rival("both-new", "de-cs", 10.0), rival("bridge", "de-cs", 16.0)]
    assert zero_shot_table([*ROWS, *rivals[1:]], "full")[1] == [["`half`", "lexical", "12.0", "", "", ""]]
    columns, lines = zero_shot_table([*ROWS, *rivals], "full")
    assert columns == ["scope", "start", "de-cs", "% of the best rival", "cs-de", "% of the best rival"]
    assert lines == [["`half`", "lexical", "12.0", "75", "", ""]]


def test_rivals_stand_with_what_zero_shot_gains_over_the_pivot() -> None:
    compared = {"part": "significance", "table": "full", "pair": "de-cs", "difference": 1.25, "p": 0.004}
    rows = [
        {**rival("scratch", "de-cs", 15.0), "at_limit": True},
        *(rival("pivot", "de-cs", value, seed) for seed, value in enumerate((10.0, 11.0), start=1)),
        compared,
    ]
    columns, lines = rivals_table(rows, "full")
    assert columns == ["pair", "scratch", "both-new", "bridge", "pivot", "zero-shot", "zero-shot − pivot (p)"]
    assert lines == [["de-cs", "15.0 *", "", "", "10.0, 11.0", "", "+1.2 (0.004)"]]


def test_retention_is_a_share_of_the_parents_score_by_the_pair_whose_module_it_runs_through() -> None:
    assert retention_table(ROWS, "full")[1] == [["`half`", "lexical", "100", "", "", "50"]]
    unscored = [row for row in ROWS if row["part"] != "original"]
    assert retention_table(unscored, "full")[1] == [["`half`", "lexical", "", "", "", ""]]


def test_bytes_are_a_share_of_a_whole_model() -> None:
    half, scratch, body = bytes_table(ROWS)[1]
    assert half == ["`half`", "lexical", "15.0 (25 %)", "15.0 (? %)", "15.0 (? %)", "15.0 (? %)"]
    assert scratch == ["`scratch`", "random", "60.0 (100 %)", "", "", ""]
    assert body[-1] == "15.0 (? %)"


def test_modules_of_few_bytes_stand_below_those_that_they_come_from() -> None:
    def stored(pair: str, seed: int, value: float) -> Row:
        labels = {"scope": "half", "start": "lexical", "seed": seed, "pair": pair, "precision": "int8"}
        return {**scored(labels, "supervised", ["converted"], value), "table": "stored", "bytes": 4_000_000}

    small = {"scope": "half-lora:rank=8", "start": "lexical", "types": 500, "seed": 1}
    rows = [
        *rows_of("half", "lexical", {pair: [20.0] for pair in PAIRS}, limited=("fr-cs", 1)),
        *(stored(pair, 1, 19.0) for pair in PAIRS),
        {**scored({**small, "pair": "de-en"}, "supervised", ["small"], 18.0), "table": "small", "bytes": 1_000_000},
    ]
    columns, lines = small_table(rows)
    assert columns == ["scope", "start", "stored as", *PAIRS, "mean", "MB"]
    assert lines == [
        ["`half`", "lexical", "float32", "20.0", "20.0", "20.0", "20.0 *", "", "15.0"],
        ["`half`", "lexical", "int8", "19.0", "19.0", "19.0", "19.0 *", "", "4.0"],
        ["`half-lora:rank=8`", "lexical", "int8, 500 types", "18.0", "", "", "", "", ""],
    ]


def test_parents_and_costs() -> None:
    assert parents_table(ROWS)[1] == [["paper-full", "50.0 / 70.0", "700 of 1,000", "0.5"]]
    assert total_table(ROWS)[1] == [["parents", "1", "0", "0.5"], ["additions", "8", "2", "4.0"]]


class Trainings:
    """Notes the results of a search in which the development score is highest at rates of 1e-3."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def trained(self, setting: Setting, rates: Rates) -> Row:
        score = -sum(rate != 1e-3 for _, rate in rates)
        labels: dict[str, Any] = {"part": "trained", **setting.labels(rates)}
        self.rows.append({**COST, **labels, "dev": 30.0 + score, "at_limit": False})
        return self.rows[-1]


def test_rates_are_those_that_a_finished_search_chose() -> None:
    best_rates(trainings := Trainings(), Setting("paper-full", "de-en", "full", "half", "lexical"))
    assert rates_table(trainings.rows)[1] == [
        ["`half`", "lexical", "de-en", "source 0.001, encoder 0.001", "30.0", "700 of 1,000"]
    ]
    assert rates_table(trainings.rows[:-1])[1] == []


def test_lexicon_induction_shows_what_was_covered() -> None:
    def measured(seed: int, piece: float, word: float) -> Row:
        results = [
            {"unit": unit, "method": method, "precision_at_1": value, "queries": 1200, "candidates": 4000}
            for unit, value in (("piece", piece), ("word", word))
            for method in ("cosine", "csls")
        ]
        labels = {"part": "lexicon", "scope": "xattn", "start": "random", "pair": "de-en", "lexicon": "XLing-Eval"}
        return {**labels, "seed": seed, "entries": 5000, "results": results}

    (line,) = lexicon_table([measured(1, 0.5, 0.25), measured(2, 0.6, 0.25)])[1]
    assert line[:5] == ["`xattn`", "random", "de", "XLing-Eval", "5,000"]
    assert line[5:8] == ["55.0 (50.0–60.0)", "1,200", "4,000"]
    assert line[8:] == ["25.0 (25.0–25.0)", "1,200", "4,000"]
