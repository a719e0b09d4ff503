"""A parent whose languages have their own vocabularies, with a new source and a new target, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.inference.mixed_batches import Request, translate_mixed
from continual_mt.inference.torch_model import PairModel
from registry import Lineage, Registry
from registry.maintenance.verify import verify
from tests.continual_mt.interchange.outside import run_outside
from tests.continual_mt.interchange.test_ctranslate2_export import COMPUTE

LINEAGE = Lineage((), {"seed": 1}, "0.1.0")
PAIRS = {"es-en": "original", "en-pt": "original", "de-en": "supervised", "de-pt": "zero-shot", "en-de": "zero-shot"}
HUGGING_FACE = """
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
batch = tokenizer(given, return_tensors="pt", padding=True)
results = model.generate(**batch, num_beams=1, do_sample=False, max_length=48)
found = tokenizer.batch_decode(results, skip_special_tokens=True)
"""
MLFLOW = "import mlflow\nfound = mlflow.pyfunc.load_model('.').predict(given)"


@pytest.fixture
def home(own: Parent, make_module: Callable[..., Module], tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    with Registry.open(folder, create=True) as registry:
        registry.register_parent("apart", own, lineage=LINEAGE)
        for pair in ("de-en", "es-de"):
            registry.register_module("apart", make_module(pair, "xattn", parent=own), lineage=LINEAGE)
    return folder


def assembled(home: Path, pair: str) -> PairModel:
    with Registry.open(home) as registry:
        model = registry.assemble(*pair.split("-"), pivot=False)
    assert isinstance(model, PairModel)
    return model


def texts_of(model: PairModel, catalogs: dict[str, list[str]]) -> list[str]:
    """Sentences of a length at which our limit of target tokens is that of the model."""
    language = model.pair.source
    return [text for text in catalogs[language] if 14 <= len(model.source.tokenizer.encode(text)) <= 44][:6]


def test_show_has_the_kind_of_its_vocabularies(run: Any, home: Path) -> None:
    assert json.loads(run("registry", "show", "apart", "--home", home, "--json").out)["vocabularies"] == "own"
    assert "vocabularies: own" in run("registry", "show", "apart", "--home", home).out


def test_all_its_pairs_are_listed(run: Any, home: Path) -> None:
    listed = json.loads(run("pairs", "--home", home, "--json", "--no-pivot").out)
    kinds = {entry["pair"]: entry["kind"] for entry in listed}
    assert kinds.items() >= PAIRS.items()
    through = {entry["pair"]: entry["models"] for entry in json.loads(run("pairs", "--home", home, "--json").out)}
    assert (through["de-pt"], through["de-en"]) == (2, 1)
    pivots = json.loads(run("pairs", "--home", home, "--json", "--kind", "pivot").out)
    assert [entry["pair"] for entry in pivots] == [pair for pair, models in through.items() if models == 2]
    assert json.loads(run("pairs", "--home", home, "--json", "--kind", "pivot", "--no-pivot").out) == []
    result = run("translate", "de-pt", "--no-pivot", "--backend", "torch", "--home", home, stdin=b"Datei\n")
    assert result.code == 0
    assert result.out.rstrip("\n") == assembled(home, "de-pt").translate(["Datei"])[0]


@pytest.mark.parametrize("pair", ["en-pt", "de-pt"])
@pytest.mark.parametrize("kind", ["hf", "ctranslate2", "mlflow"])
def test_an_export_translates_as_the_pair_does(
    kind: str, pair: str, run: Any, home: Path, django_catalogs: dict[str, list[str]]
) -> None:
    assert run("export", pair, "out", "--format", kind, "--precision", "float32", "--home", home).code == 0
    model = assembled(home, pair)
    texts = texts_of(model, django_catalogs)
    if kind == "mlflow":
        found, expected = run_outside(MLFLOW, texts, Path("out")), model.translate(texts)
    elif kind == "hf":
        found, expected = run_outside(HUGGING_FACE, texts, Path("out")), model.translate(texts, beam=1)
    else:
        found = run_outside(COMPUTE, {"texts": texts, "end": "</s>"}, Path("out"))["texts"]
        expected = model.translate(texts, beam=1)
    assert found == expected
    assert len(set(expected)) > 1


def test_pairs_are_translated_in_one_batch(home: Path, django_catalogs: dict[str, list[str]]) -> None:
    """Also a source language whose side differs, into target languages of different sizes."""
    with Registry.open(home) as registry:
        models = [registry.assemble(*pair.split("-")) for pair in PAIRS]
    requests = [Request(model, text) for model in models for text in texts_of(model, django_catalogs)]
    found = translate_mixed(requests, beam=2)
    assert found == [one.model.translate([one.sentence], beam=2)[0] for one in requests]


def test_two_of_its_languages_are_aligned(run: Any, home: Path, own: Parent, tmp_path: Path) -> None:
    pieces = [piece[1:] for piece in own.tokenizer("target", "en").pieces if piece.startswith("▁") and len(piece) > 2]
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("".join(f"{word}\t{word}\n" for word in pieces), encoding="utf-8")
    words = ("--lexicon", lexicon, "--home", home)
    result = run("align", "en", "pt", "--keep", "--json", *words)
    assert result.code == 0
    assert result.err.startswith("en of apart to pt of apart, target side: ")
    first, second = (json.loads(result.out)[name] for name in ("first", "second"))
    assert (first["module"], second["module"]) == (None, None)
    assert first["digest"] != second["digest"]
    assert run("align", "de", "es", "--side", "source", *words).code == 0
    with Registry.open(home) as registry:
        table = registry.load_embedding(registry.catalog.alignments("apart")[0].second)
    assert torch.equal(table.embedding, own.tensors["target.pt.embedding"])


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_it_is_converted_to_half_precision(run: Any, home: Path, own: Parent, precision: str) -> None:
    assert run("registry", "convert", "apart", "--precision", precision, "--home", home).code == 0
    with Registry.open(home) as registry:
        record = registry.parent(f"apart-{precision}")
        loaded = registry.load_parent(record.name)
        assert verify(registry, set_aside=False, fingerprints=True).problems == ()
    assert (record.vocabularies, record.precision) == ("own", precision)
    assert loaded.fingerprint == own.stored_in(loaded.precision).fingerprint


def test_a_bundle_has_all_vocabularies(run: Any, home: Path, tmp_path: Path) -> None:
    assert run("registry", "export", "apart", "bundle.tar", "--home", home).code == 0
    other = tmp_path / "other"
    result = run("registry", "import", "bundle.tar", "--home", other)
    assert result.code == 0, result.err
    with Registry.open(other) as registry, Registry.open(home) as first:
        assert registry.parent().fingerprint == first.parent().fingerprint
        assert registry.parent().pieces == first.parent().pieces
        assert verify(registry, set_aside=False, fingerprints=True).problems == ()
    assert assembled(other, "de-pt").translate(["Datei"]) == assembled(home, "de-pt").translate(["Datei"])
