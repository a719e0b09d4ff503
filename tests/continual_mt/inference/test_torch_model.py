from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.artifacts.parent import Parent
from continual_mt.data.segmentation import segment
from continual_mt.errors import InputError
from continual_mt.inference.torch_model import LOGITS_BATCH, PairModel
from continual_mt.inference.translator import Hypothesis, Search, join_parts
from continual_mt.model.transformer import Transformer


@pytest.fixture(scope="session")
def pair_model(parent: Parent) -> PairModel:
    """The untrained parent with larger weights, so that token probabilities are far from ties."""
    tensors = {name: tensor * 3 for name, tensor in parent.tensors.items()}
    return PairModel(parent.pair, Transformer.pointing_at(parent.architecture, tensors), *parent.sides(parent.pair))


@pytest.fixture(scope="session")
def sentences(django_catalogs: dict[str, list[str]]) -> list[str]:
    """Real sentences that the model need not divide."""
    return [text for text in django_catalogs["es"] if len(text) < 60][:40]


@pytest.mark.parametrize("beam", [1, 3])
def test_each_line_gives_one_line(pair_model: PairModel, sentences: list[str], beam: int) -> None:
    """A blank sentence gives an empty translation and does not change the others."""
    blanks = ["", " ", "\t", "\u00a0", " \u2003 "]
    mixed = [text for pair in zip(blanks, sentences, strict=False) for text in pair]
    translated = pair_model.translate(mixed, beam=beam)
    assert len(translated) == len(mixed)
    assert translated[::2] == [""] * len(blanks)
    assert translated[1::2] == pair_model.translate(sentences[: len(blanks)], beam=beam)
    assert all("\n" not in text for text in translated)
    assert pair_model.translate([], beam=beam) == []
    assert pair_model.translate([""], beam=beam) == [""]


@settings(max_examples=25)
@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12), max_size=4))
def test_any_text_is_translated_line_by_line(pair_model: PairModel, texts: list[str]) -> None:
    translated = pair_model.translate(texts, beam=1)
    assert len(translated) == len(texts)
    assert all(not result for text, result in zip(texts, translated, strict=True) if not text.strip())


@pytest.mark.parametrize("beam", [1, 3])
def test_translations_do_not_depend_on_the_batch(pair_model: PairModel, sentences: list[str], beam: int) -> None:
    together = pair_model.translate(sentences, beam=beam)
    assert together == pair_model.translate(sentences, beam=beam, batch_tokens=1)
    assert together == pair_model.translate(sentences[::-1], beam=beam, batch_tokens=200)[::-1]
    assert len(set(together)) > 10


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("processes", [2, 3, 64])
def test_translations_do_not_depend_on_the_number_of_processes(
    pair_model: PairModel, sentences: list[str], beam: int, processes: int
) -> None:
    shared = pair_model.translations(sentences, Search(beam, best=beam, processes=processes))
    single = pair_model.translations(sentences, Search(beam, best=beam))
    for shared_results, single_results in zip(shared, single, strict=True):
        assert [one.text for one in shared_results] == [one.text for one in single_results]
        scores = [one.score for one in single_results]
        assert [one.score for one in shared_results] == pytest.approx(scores, abs=1e-4)
    assert pair_model.translate(["", sentences[0]], beam=beam, processes=processes) == ["", single[0][0].text]
    assert pair_model.translate([], beam=beam, processes=processes) == []


def test_an_error_in_progress_ends_the_worker_processes(pair_model: PairModel, sentences: list[str]) -> None:
    """Even while the exception, and with it the frame, is still referenced, as in a notebook."""

    def progress(done: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError) as kept:
        pair_model.translate(sentences, beam=1, batch_tokens=100, processes=2, progress=progress)
    assert multiprocessing.active_children() == []
    del kept


@pytest.mark.parametrize("processes", [1, 2])
def test_progress_reaches_the_number_of_sentences(pair_model: PairModel, sentences: list[str], processes: int) -> None:
    seen: list[int] = []
    pair_model.translate([*sentences, ""], beam=1, batch_tokens=100, processes=processes, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(sentences)
    assert len(seen) > 3


def test_a_long_line_is_translated_in_parts(pair_model: PairModel, sentences: list[str]) -> None:
    line = "  ".join(sentences)
    tokenizer = pair_model.source.tokenizer
    parts = segment(line, 1, tokenizer, pair_model.maximum_tokens)
    assert len(parts) > 2
    best = [hypotheses[0].tokens for hypotheses in pair_model.search(parts, Search(beam=2))]
    assert pair_model.translate([line], beam=2) == [" ".join(map(pair_model.target.tokenizer.decode, best))]
    assert len(pair_model.translate(["uno", line, "dos"], beam=1)) == 3


def test_n_best_translations_and_their_scores(pair_model: PairModel, sentences: list[str]) -> None:
    found = pair_model.translations([*sentences[:5], ""], Search(beam=4, best=3))
    assert [len(translations) for translations in found] == [3] * 5 + [1]
    assert [translations[0].text for translations in found] == pair_model.translate([*sentences[:5], ""], beam=4)
    for translations in found[:5]:
        scores = [translation.score for translation in translations]
        assert scores == sorted(scores, reverse=True)
        assert max(scores) < 0
    assert found[5] == [("", 0.0, 0)]


def test_unknown_tokens_are_left_out_and_counted(pair_model: PairModel) -> None:
    tokenizer = pair_model.target.tokenizer
    ids = tokenizer.encode("hello")
    parts = [[Hypothesis([*ids, tokenizer.unknown], -1.0)], [Hypothesis([tokenizer.unknown, *ids], -3.0)]]
    assert join_parts(parts, pair_model.target) == [(f"{tokenizer.decode(ids)} {tokenizer.decode(ids)}", -2.0, 2)]


def test_best_may_not_exceed_the_beam() -> None:
    with pytest.raises(InputError, match=r"^best: is 3; expected at most the beam size, 2"):
        Search(beam=2, best=3)


@pytest.mark.parametrize("text", ["uno\ndos", "uno\r", "\n"])
def test_a_line_break_is_refused(pair_model: PairModel, text: str) -> None:
    with pytest.raises(InputError, match="sentence 2: contains a line break; expected one sentence"):
        pair_model.translate(["uno", text])


def test_a_lone_surrogate_is_refused(pair_model: PairModel) -> None:
    with pytest.raises(InputError, match="sentence 2: contains an unpaired surrogate; expected valid Unicode"):
        pair_model.translate(["uno", "dos \ud800"])


@pytest.mark.parametrize("beam", [0, -1])
def test_a_beam_below_1_is_refused(pair_model: PairModel, beam: int) -> None:
    with pytest.raises(InputError, match=f"^beam: is {beam}; expected a whole number of at least 1"):
        pair_model.translate(["uno"], beam=beam)


@pytest.mark.parametrize("search", [{"beam": 2.0}, {"batch_tokens": 10**20}])
def test_search_options_must_be_whole_numbers_in_range(pair_model: PairModel, search: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected a whole number of at least 1, below 2"):
        pair_model.translate(["uno"], **search)


@pytest.mark.parametrize("penalty", [float("nan"), -1.0, 300.0])
def test_a_penalty_out_of_bounds_is_refused(pair_model: PairModel, penalty: float) -> None:
    with pytest.raises(InputError, match=f"^length_penalty: is {penalty}; expected a number from 0 to 10"):
        pair_model.translate(["uno"], length_penalty=penalty)


def test_a_string_is_refused_as_a_list_of_sentences(pair_model: PairModel) -> None:
    with pytest.raises(InputError, match=r"^sentences: got a string; expected a list of strings. Fix: translate"):
        pair_model.translate("uno")


def test_logits_come_in_fixed_batches(
    pair_model: PairModel, sentences: list[str], django_catalogs: dict[str, list[str]]
) -> None:
    references = django_catalogs["en"][: len(sentences)]
    batches = list(pair_model.logits(sentences, references))
    assert [len(batch) for batch in batches] == [LOGITS_BATCH, len(sentences) - LOGITS_BATCH]
    assert {batch.dtype for batch in batches} == {torch.float32}
    assert batches[0].shape[2] == pair_model.target.tokenizer.size
    digest = pair_model.logits_digest(sentences, references)
    assert digest == pair_model.logits_digest(sentences, references)
    assert digest != pair_model.logits_digest(sentences, references[::-1])


def test_logits_of_over_long_sentences_are_cut(pair_model: PairModel) -> None:
    long = "palabra " * 100
    assert next(pair_model.logits([long], [long])).shape == (1, 48, pair_model.target.tokenizer.size)
