"""Exports to CTranslate2 are used by the lines of their model card, where none of our packages can be imported."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.inference.ctranslate2_model import CTranslate2Model, Precision
from continual_mt.inference.translator import Search
from continual_mt.interchange.ctranslate2_export import export_ctranslate2
from tests.continual_mt.interchange.conftest import BASE, PRE, PROVENANCE, MakeModel
from tests.continual_mt.interchange.outside import run_outside

ARCHITECTURES = {
    "post-norm": BASE,
    "no class of transformers": replace(BASE, norm="pre", tied_output=False),
    "mbart": replace(PRE, positions="learned", embedding_norm=True),
}

COMPUTE = """
import ctranslate2, sentencepiece
source, target = (sentencepiece.SentencePieceProcessor(f"{side}.spm") for side in ("source", "target"))
engine = ctranslate2.Translator(".", intra_threads=1)
batch = [[*source.id_to_piece(ids), given["end"]] for ids in source.encode(given["texts"])]
results = engine.translate_batch(batch, beam_size=1, max_decoding_length=47, min_decoding_length=0, return_scores=True)
found = {"texts": [target.decode(result.hypotheses[0]) for result in results],
         "scores": [result.scores[0] for result in results], "type": engine.compute_type}
"""


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_greedy_translations_and_scores_are_ours(
    name: str,
    make_model: MakeModel,
    django_tokenizers: dict[str, Tokenizer],
    django_catalogs: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    model = make_model(ARCHITECTURES[name], django_tokenizers["es"], django_tokenizers["de"])
    export_ctranslate2(model, tmp_path, PROVENANCE, precision="float32")
    # At this length our limit of target tokens is that of the model.
    texts = [text for text in django_catalogs["es"] if 14 <= len(model.source.tokenizer.encode(text)) <= 47][:8]
    found = run_outside(COMPUTE, {"texts": texts, "end": "</s>"}, tmp_path)
    ours = [best for (best,) in model.translations(texts, Search(beam=1))]
    assert found["texts"] == [best.text for best in ours]
    assert found["scores"] == pytest.approx([best.score for best in ours], abs=1e-4)
    assert found["type"] == "float32"


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_lines_of_the_card_translate(
    precision: Precision, make_model: MakeModel, django_tokenizers: dict[str, Tokenizer], tmp_path: Path
) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    export_ctranslate2(model, tmp_path, PROVENANCE, precision=precision)
    card = (tmp_path / "README.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    lines = lines.replace("A sentence in es.", "Introduzca una lista de números.").replace("print(", "found.append(")
    found = run_outside(f"found = []\n{lines}", None, tmp_path)
    engine = CTranslate2Model(model, tmp_path, precision, threads=1)
    sources = [model.source.tokenizer.encode("Introduzca una lista de números.")]
    (best,) = engine.search(sources, Search())[0]
    assert model.target.tokenizer.decode(best.tokens)[:30] == found[0][:30] != ""
    assert f"Weights are in {precision}." in card


def test_int8_is_smaller(make_model: MakeModel, django_tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    model = make_model(BASE, django_tokenizers["es"], django_tokenizers["de"])
    sizes = []
    for precision in ("float32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        export_ctranslate2(model, folder, PROVENANCE, precision="int8" if precision == "int8" else "float32")
        sizes.append((folder / "model.bin").stat().st_size)
    assert sizes[1] < 0.5 * sizes[0]
