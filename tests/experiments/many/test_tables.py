from __future__ import annotations

from experiments.many.tables import (
    families_table,
    kinds_table,
    matrix_table,
    pairs_table,
    routed_table,
    shared_table,
    significance_table,
)
from experiments.run import Row


def matrix_row(pair: str, kind: str, bleu: float) -> Row:
    scores = {"bleu": bleu, "chrf": 40.0, "offtarget": 5.0, "offtarget_references": 4.0}
    return {"part": "matrix", "pair": pair, "kind": kind, "recipe": kind, "start": "es", **scores}


MATRIX = [
    matrix_row("de-en", "supervised", 30.0),
    matrix_row("de-fr", "zero-shot", 10.0),
    matrix_row("de-fr", "pivot", 14.0),
    matrix_row("sv-it", "zero-shot", 20.0),
]


def test_a_cell_shows_the_trained_pair_or_both_kinds() -> None:
    columns, lines = matrix_table(MATRIX, "es")
    (german,) = (line for line in lines if line[0] == "**de**")
    cells = dict(zip(columns, german, strict=True))
    assert (cells["en"], cells["fr"], cells["it"]) == ("**30**", "10 / 14", "")


def test_kinds_and_families_are_means_over_their_pairs() -> None:
    assert kinds_table(MATRIX)[1] == [
        ["es", "supervised", "1", "30.0", "40.0", "5.0", "4.0"],
        ["es", "zero-shot", "2", "15.0", "40.0", "5.0", "4.0"],
        ["es", "pivot", "1", "14.0", "40.0", "5.0", "4.0"],
    ]
    columns, lines = families_table(MATRIX, "es")
    assert dict(zip(columns, lines[0], strict=True))["into Romance"] == "15.0 / 14.0"


def test_an_added_language_has_both_directions_and_starts_on_one_line() -> None:
    row = {"part": "routed", "start": "es", "bleu": 20.0, "chrf": 41.5, "bytes": 12_300_000, "processor_seconds": 61.4}
    into = {**row, "pair": "de-en"}
    out_of = {**row, "pair": "en-de", "bleu": 11.0, "before": 2, "before_equal": 1}
    from_english = {**into, "start": "en", "bleu": 4.0}
    assert routed_table([from_english, into, out_of])[1] == [
        ["de", "20.0 / 41.5", "4.0", "11.0 / 41.5", "", "12.3 + 12.3", "61 + 61", "1 of 2"]
    ]
    assert routed_table([into])[1] == []


def test_the_shared_chain_shows_what_earlier_pairs_have_lost() -> None:
    def shared(position: int, pair: str, bleu: float) -> Row:
        return {"part": "shared", "start": "en", "position": position, "pair": pair, "bleu": bleu}

    rows = [shared(1, "de-en", 20.0), shared(2, "de-en", 17.5), shared(2, "fr-en", 25.0)]
    rows += [shared(position, pair, 30.0) for position in (1, 2) for pair in ("es-en", "en-es")]
    rows += [
        {"part": "xattn", "start": "en", "pair": "fr-en", "bleu": 26.0},
        {"part": "routed", "start": "en", "pair": "fr-en", "bleu": 27.0},
    ]
    assert shared_table(rows, "es")[1] == []
    assert shared_table(rows, "en")[1] == [
        ["1", "de-en", "20.0", "", "", "30.0", "30.0", "", ""],
        ["2", "fr-en", "25.0", "26.0", "27.0", "30.0", "30.0", "-2.5", "-2.5"],
    ]


def test_pairs_with_text_show_all_kinds_and_their_differences() -> None:
    bridge = {**matrix_row("de-fr", "bridge", 16.0), "part": "pairs"}
    scores = [f"{bleu} / 40.0 / 5 %" for bleu in ("10.0", "14.0", "16.0")]
    assert pairs_table([*MATRIX, bridge])[1] == [["de-fr", "es", *scores, ""]]
    compared = {"part": "significance", "start": "es", "pair": "de-fr", "first": "pivot", "second": "bridge"}
    columns, lines = significance_table([{**compared, "bleu_difference": 2.0, "bleu_p": 0.0123}])
    assert dict(zip(columns, lines[0], strict=True))["bridge − pivot"] == "+2.0 (p 0.012)"
