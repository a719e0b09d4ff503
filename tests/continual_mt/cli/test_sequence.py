from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continual_mt.languages import Pair
from registry import CellRecord, Registry, SequenceRecord
from registry.records.sequences import View

LATIN = SequenceRecord("a" * 64, "es-en", "latin", "separate", (Pair("pt", "en"), Pair("es", "de")))
SCORES: dict[tuple[int, View], dict[str, float]] = {
    (0, "routed"): {"es-en": 40.0},
    (1, "routed"): {"es-en": 40.0, "pt-en": 20.0},
    (1, "through"): {"es-en": 30.0, "pt-en": 20.0},
    (2, "routed"): {"es-en": 40.0, "pt-en": 20.0, "es-de": 12.0, "pt-de": 6.0},
    (2, "through"): {"es-en": 10.0, "pt-en": 15.0, "es-de": 12.0},
}


@pytest.fixture
def recorded(home: Path) -> Path:
    with Registry.open(home) as registry:
        registry.register_sequence(LATIN)
        for place in range(3):
            cells = [
                CellRecord(
                    sequence=LATIN.digest,
                    position=position,
                    view=view,
                    pair=Pair.parse(pair),
                    kind="original" if pair == "es-en" else "supervised",
                    recipe="b" * 64,
                    module=f"es-en/{LATIN.additions[position - 1]}:1" if position else None,
                    test=test,
                    test_digest=f"{test}{pair}".ljust(64, "d"),
                    metric=metric,
                    value=value + extra,
                    beam=5,
                )
                for (position, view), values in SCORES.items()
                for pair, value in values.items()
                for metric in ("bleu", "chrf")
                for test, extra in (("books", 0.0), ("news", 1.0))
                if position == place
            ]
            registry.register_cells(LATIN.digest, place, cells)
    return home


def test_matrices_then_measures(run: Any, recorded: Path) -> None:
    result = run("sequence", "show", "latin", "--home", recorded)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("sequence: latin\nparent: es-en\nmode: separate\nbegun: ")
    assert "additions: pt-en, es-de\nscored: up to position 2 of 2\n" in result.out
    titles = [line for line in result.out.splitlines() if line.endswith(":")]
    assert titles == [
        "BLEU, routed:",
        "BLEU, through:",
        "chrF, routed:",
        "chrF, through:",
        "test sets:",
        "additions:",
        "averages:",
        "forgetting, in BLEU:",
        "measures:",
    ]
    assert (
        "\nBLEU, through:\n"
        "position  added   es-en  pt-en  es-de\n"
        "       0  parent   40.0      -      -\n"
        "       1  pt-en    30.0   20.0      -\n"
        "       2  es-de    10.0   15.0   12.0\n"
    ) in result.out
    measures = [line.split() for line in result.out.partition("measures:\n")[2].splitlines()]
    assert ["backward", "transfer", "through", "es-en,", "pt-en", "BLEU", "-17.5"] in measures
    assert ["backward", "transfer", "routed", "es-en,", "pt-en", "BLEU", "0.0"] in measures
    assert any(line[:2] == ["retention,", "worst"] and line[-1] == "25.0" for line in measures)


def test_json(run: Any, recorded: Path) -> None:
    data = json.loads(run("sequence", "show", "latin", "--home", recorded, "--json").out)
    assert list(data) == ["sequence", "matrices", "summary"]
    assert data["sequence"]["name"] == "latin"
    assert [(matrix["metric"], matrix["view"]) for matrix in data["matrices"]] == [
        ("bleu", "routed"),
        ("bleu", "through"),
        ("chrf", "routed"),
        ("chrf", "through"),
    ]
    assert data["matrices"][0]["rows"][2] == [40.0, 20.0, 12.0, 6.0]
    assert data["summary"]["views"][1]["kept"]["backward_transfer"] == -17.5
    assert data["summary"]["storage"]["modules"] == 2
    assert data["summary"]["coverage"][2] == {"supervised": 2, "zero_shot": 1}


def test_on_the_test_set_that_is_named(run: Any, recorded: Path) -> None:
    words = ("sequence", "show", "latin", "--home", recorded)
    data = json.loads(run(*words, "--test", "news", "--json").out)
    assert data["matrices"][0]["rows"][0] == [41.0, None, None, None]
    result = run(*words, "--test", "web")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: unknown test set 'web'; expected one of: books, news\n"


def test_the_newest_of_several_of_one_name(run: Any, recorded: Path) -> None:
    with Registry.open(recorded) as registry:
        registry.register_sequence(SequenceRecord("9" * 64, "es-en", "latin", "shared", LATIN.additions))
    result = run("sequence", "show", "latin", "--parent", "es-en", "--home", recorded)
    assert result.code == 0
    assert "mode: shared\n" in result.out
    assert result.err.startswith("nothing was scored along it yet; ")
    data = json.loads(run("sequence", "show", "latin", "--home", recorded, "--json").out)
    assert (data["sequence"]["mode"], data["matrices"], data["summary"]["last"]) == ("shared", [], None)


def test_an_unknown_name(run: Any, recorded: Path, shared_home: Path) -> None:
    result = run("sequence", "show", "latein", "--home", recorded)
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: unknown sequence 'latein' (did you mean latin?); expected one of: latin\n"
    none = run("sequence", "show", "latin", "--home", shared_home)
    assert none.err == "error: unknown sequence 'latin': none is registered yet\n"
