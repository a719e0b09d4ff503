from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from registry import Input, Lineage, Registry

LINEAGE = Lineage(corpora=(), spec={"seed": 1}, code_version="0.1.0")


@pytest.fixture
def lexicon(tmp_path: Path, parent: Parent) -> Path:
    """A lexicon of Spanish words of one piece, each as its own translation; Portuguese has some of them."""
    path = tmp_path / "pt-es.tsv"
    words = [piece[1:] for piece in parent.source_tokenizer.pieces if piece.startswith("▁") and len(piece) > 1]
    path.write_text("".join(f"{word}\t{word}\n" for word in words), encoding="utf-8")
    return path


@pytest.fixture
def align(run: Any, home: Path, lexicon: Path) -> Any:
    def call(first: str, second: str, *words: object) -> Any:
        return run("align", first, second, "--lexicon", lexicon, "--home", home, *words)

    return call


def test_a_table_of_both_kinds_of_word_and_both_methods(align: Any) -> None:
    result = align("pt", "es")
    assert result.code == 0
    assert result.err.startswith("pt of es-en/pt-en:1 to es of es-en, source side: ")
    head, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in result.out.splitlines()]
    assert head == ["looked up", "method", "precision@1", "precision@5", "queries", "candidates"]
    assert [row[:2] for row in rows] == [
        ["words of one piece", "nearest neighbour"],
        ["words of one piece", "CSLS"],
        ["words of any length", "nearest neighbour"],
        ["words of any length", "CSLS"],
    ]
    assert [row[5] for row in rows[:2]] == ["306", "306"]
    assert all(row[2].endswith("%") and int(row[4]) > 10 for row in rows)
    few = {int(row[4]) for row in rows if int(row[4]) < 100}
    assert few
    for queries in few:
        margin = round(98 / queries**0.5)
        assert (
            f"warning: only {queries} queries; the margin of error of a precision is up to ±{margin}% (95 %)"
            in result.err
        )


def test_embeddings_that_are_the_same_are_aligned(
    run: Any, home: Path, parent: Parent, lexicon: Path, make_module: Callable[..., Module]
) -> None:
    """The newest version of the module has copies of the parent's tokenizer and embeddings."""
    copy = {**make_module("pt-en").tensors, "source.embedding": parent.tensors["source.embedding"].clone()}
    same = Module.of(parent, make_module("pt-en").pair, "xattn", copy, parent.source_tokenizer)
    with Registry.open(home) as registry:
        registry.register_module("es-en", same, lineage=LINEAGE)
    words = ("--lexicon", lexicon, "--home", home, "--json")
    newest = json.loads(run("align", "pt", "es", *words).out)
    assert (newest["first"]["language"], newest["first"]["module"]) == ("pt", "es-en/pt-en:2")
    assert (newest["second"]["language"], newest["second"]["module"]) == ("es", None)
    assert newest["first"]["digest"] == newest["second"]["digest"]
    assert [found["precision_at_1"] for found in newest["results"][:2]] == [1.0, 1.0]
    assert [found["precision_at_5"] for found in newest["results"]] == [1.0] * 4
    older = json.loads(run("align", "pt-en:1", "es", *words).out)
    assert older["first"]["module"] == "es-en/pt-en:1"
    assert older["results"][0]["precision_at_1"] < 0.5


@pytest.mark.parametrize("training", [{"inputs": (Input("start", "es-en/pt-en:1"),)}, {"replay": 0.5}])
def test_a_module_of_a_shared_sequence_is_used_only_if_it_is_named(
    align: Any, home: Path, make_module: Callable[..., Module], training: dict[str, Any]
) -> None:
    shared = replace(LINEAGE, **training)
    with Registry.open(home) as registry:
        registry.register_module("es-en", make_module("pt-en", seed=7), lineage=shared)
        assert registry.module("pt-en").full_name == "es-en/pt-en:1"
    assert json.loads(align("pt", "es", "--json").out)["first"]["module"] == "es-en/pt-en:1"
    assert json.loads(align("pt-en:2", "es", "--json").out)["first"]["module"] == "es-en/pt-en:2"


def test_json_holds_everything(align: Any, lexicon: Path, tmp_path: Path) -> None:
    data = json.loads(align("pt", "es", "--json").out)
    assert (data["parent"], data["side"], data["lexicon"], data["map"]) == ("es-en", "source", str(lexicon), None)
    assert data["words"] == len(lexicon.read_text(encoding="utf-8").splitlines())
    assert [(found["unit"], found["method"]) for found in data["results"]] == [
        ("piece", "cosine"),
        ("piece", "csls"),
        ("word", "cosine"),
        ("word", "csls"),
    ]
    for found in data["results"]:
        assert len(found["neighbours"]) == found["queries"]
        assert all(len(five) == 5 for five in found["neighbours"].values())


def test_a_map_is_drawn(align: Any, tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    result = align("pt", "es", "--map", picture, "--json")
    assert result.code == 0
    data = json.loads(result.out)["map"]
    assert {point["language"] for point in data["points"]} == {"pt", "es"}
    assert data["links"]
    assert f"wrote {picture}: a map of {len(data['points'])} words\n" in result.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "precision@1" in align("pt", "es", "--map", picture).out


def test_the_option_keep_stores_the_result(align: Any, home: Path, lexicon: Path) -> None:
    data = json.loads(align("pt", "es", "--json").out)
    with Registry.open(home) as registry:
        assert registry.catalog.alignments() == []
        for _ in range(2):
            result = align("pt", "es", "--keep")
            assert result.code == 0
            assert "stored; 'continual-mt dashboard' and 'continual-mt report' show it\n" in result.err
        [kept] = registry.catalog.alignments()
        assert (kept.first.to_json(), kept.second.to_json()) == (data["first"], data["second"])
        assert (kept.lexicon, kept.entries) == (lexicon.name, data["words"])
        figures = [{name: value for name, value in one.items() if name != "neighbours"} for one in data["results"]]
        assert [one.to_json() for one in kept.results] == figures


def test_both_languages_may_be_new(align: Any, home: Path, make_module: Callable[..., Module]) -> None:
    with Registry.open(home) as registry:
        registry.register_module("es-en", make_module("de-en"), lineage=LINEAGE)
    data = json.loads(align("de", "pt", "--json").out)
    modules = (data["first"]["module"], data["second"]["module"])
    assert (data["side"], modules) == ("source", ("es-en/de-en:1", "es-en/pt-en:1"))


def test_the_side_is_required_if_both_languages_are_on_both_sides(
    align: Any, home: Path, make_module: Callable[..., Module]
) -> None:
    with Registry.open(home) as registry:
        registry.register_module("es-en", make_module("de-en"), lineage=LINEAGE)
        registry.register_module("es-en", make_module("es-pt"), lineage=LINEAGE)
    result = align("de", "pt")
    assert (result.code, result.out) == (2, "")
    assert "de and pt are on both sides; say which: source or target" in result.err
    for side, module in (("source", "es-en/de-en:1"), ("target", "es-en/es-de:1")):
        data = json.loads(align("de", "pt", "--side", side, "--json").out)
        assert (data["side"], data["first"]["module"]) == (side, module)
    # English is on one side only, so no option is needed.
    assert json.loads(align("de", "en", "--json").out)["side"] == "target"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fr", "es"], "unknown language 'fr'; expected one of: de, en, es, pt"),
        (["xx9", "es"], "no language has the tag 'xx9'; expected a registered BCP 47 tag"),
        (
            ["pt", "de"],
            "pt and de have no embeddings on the same side: pt is on the source side; de is on the target side",
        ),
        (
            ["pt", "es", "--side", "target"],
            "pt and es have no embeddings on the target side: pt is on the source side; es is on the source side",
        ),
        (["es", "es"], "es-es: a language is never paired with itself"),
        (["pt-en:9", "es"], "unknown module 'pt-en:9'"),
        (["pt", "es", "--parent", "other"], "unknown parent 'other'"),
        (["pt", "es", "--side", "left"], "see 'continual-mt align --help'"),
        (["pt", "es", "--map", "map.jpg"], "map.jpg: unsupported file type; expected a name that ends in .png"),
        (["pt", "es", "--map", "no/map.png"], "no/map.png: the folder no does not exist. Fix: create it"),
        (["pt", "es", "--lexicon", "no.tsv"], "no.tsv: no such file"),
    ],
)
def test_misuse(align: Any, words: list[str], message: str) -> None:
    result = align(*words)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_module_of_another_parent(align: Any, home: Path, parent: Parent, make_module: Callable[..., Module]) -> None:
    tensors = {name: tensor + torch.tensor(0.01) for name, tensor in parent.tensors.items()}
    other = replace(parent, tensors=tensors)
    module = make_module("pt-en")
    with Registry.open(home) as registry:
        registry.register_parent("other", other, lineage=LINEAGE)
        registry.register_module(
            "other", Module.of(other, module.pair, "xattn", module.tensors, module.new_side.tokenizer), lineage=LINEAGE
        )
    result = align("other/pt-en:1", "es", "--parent", "es-en")
    assert (result.code, result.out) == (2, "")
    assert "other/pt-en:1 belongs to the parent other, not to es-en" in result.err
    assert "say which parent: es-en, other" in align("pt", "es").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "casa\tcasa\ncasa\n",
            "line 2: 'casa' is not an entry; expected a word, a tab or spaces, and a translation on each line",
        ),
        ("", "contains no entries"),
        ("犬\t개\n", "no entry (of 1 words) can be encoded with the vocabularies of pt and es"),
    ],
)
def test_a_lexicon_that_cannot_be_used(align: Any, lexicon: Path, text: str, message: str) -> None:
    lexicon.write_text(text, encoding="utf-8")
    result = align("pt", "es")
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_a_map_that_cannot_be_written(align: Any, tmp_path: Path) -> None:
    (tmp_path / "map.png").mkdir()
    result = align("pt", "es", "--map", tmp_path / "map.png")
    assert (result.code, result.out) == (1, "")
    assert "map.png: write failed: Is a directory" in result.err
