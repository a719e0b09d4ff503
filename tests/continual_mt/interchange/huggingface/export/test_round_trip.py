"""A model that is imported and exported again finds the token ids that the original model finds."""

from __future__ import annotations

from typing import Any

import pytest

from continual_mt.artifacts.recipe import Recipe
from continual_mt.inference.assembly import assemble
from continual_mt.interchange.huggingface.export.folder import export_hugging_face
from continual_mt.interchange.huggingface.import_parent import Request, import_parent
from tests.continual_mt.interchange.conftest import PROVENANCE
from tests.continual_mt.interchange.huggingface.complete import FAMILIES, Complete
from tests.continual_mt.interchange.outside import run_outside

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")

CHOSEN = ("marian, several targets", "mbart50", "mbart", "m2m100", "nllb, legacy")

COMPUTE = """
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

torch.set_num_threads(1)
found = {}
for name, case in given.items():
    tokenizer = AutoTokenizer.from_pretrained(case["folder"])
    model = AutoModelForSeq2SeqLM.from_pretrained(case["folder"]).eval()
    found[name] = [
        [model.generate(**tokenizer([text], return_tensors="pt"), num_beams=beam)[0].tolist() for text in case["texts"]]
        for beam in (1, 5)
    ]
"""


@pytest.fixture(scope="module")
def cases(
    django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Complete, list[str], Any]]:
    text = {name: [line.rstrip() for line in django_catalogs[name]] for name in ("fr", "de", "en")}
    made, given = {}, {}
    for name in CHOSEN:
        place = tmp_path_factory.mktemp("round_trip")
        complete = FAMILIES[name](place / "original", text)
        # At these lengths the configured limit is that of `Complete.generate`.
        texts = [line for line in text["fr"] if 24 <= len(complete.tokenizer(line).input_ids) <= 60][:3]
        (folder := place / "exported").mkdir()
        with import_parent(Request(str(complete.folder), "parent", complete.pair), place / "cache") as imported:
            parent = imported.parent
            recipe = Recipe("original", parent.pair, "parent", parent.fingerprint)
            export_hugging_face(assemble(recipe, parent, {}), folder, PROVENANCE)
        made[name] = (complete, texts)
        given[name] = {"folder": str(folder), "texts": texts}
    answers = run_outside(COMPUTE, given, tmp_path_factory.mktemp("outside"))
    return {name: (*case, answers[name]) for name, case in made.items()}


@pytest.mark.parametrize("name", CHOSEN)
def test_greedy_and_beam_search_are_those_of_the_original(
    name: str, cases: dict[str, tuple[Complete, list[str], Any]]
) -> None:
    complete, texts, found = cases[name]
    pad, end = complete.model.config.pad_token_id, complete.model.config.eos_token_id
    banned = {"bad_words_ids": [[pad]], "renormalize_logits": True} if name.startswith("marian") else {}
    for beam, rows in zip((1, 5), found, strict=True):
        for text, row in zip(texts, rows, strict=True):
            assert tuple(row[: len(complete.first)]) == complete.first
            tokens = row[len(complete.first) :]
            tokens = tokens[: tokens.index(end)] if end in tokens else tokens
            assert tokens == complete.generate(text, beam, **banned)
            assert tokens
