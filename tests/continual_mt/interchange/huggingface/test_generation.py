from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from continual_mt.errors import IncompatibleError
from continual_mt.inference.beam_search import encode, search_batch
from continual_mt.inference.translator import Search
from continual_mt.interchange.huggingface.generation import _NEUTRAL, _WITHOUT_EFFECT, Generation, read_generation
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from continual_mt.interchange.huggingface.weights import from_hugging_face
from continual_mt.model.transformer import Transformer
from tests.continual_mt.interchange.huggingface.models import m2m100
from tests.continual_mt.interchange.huggingface.published import small_vocabulary


@pytest.fixture(scope="module")
def vocabulary() -> ImportedVocabulary:
    """That of M2M100: the start, the language, the text, the end."""
    return small_vocabulary(
        "m2m100",
        {"fr": "__fr__", "de": "__de__"},
        encoder_input=("source language", "text", "end"),
        decoder_input=("start", "target language", "text", "end"),
    )


def read(vocabulary: ImportedVocabulary, **settings: Any) -> Generation:
    return read_generation(settings, {}, vocabulary, "m")


def test_settings_without_effect(vocabulary: ImportedVocabulary) -> None:
    every = GenerationConfig(**GenerationConfig._get_default_generation_params()).to_dict()
    assert read(vocabulary, **every) == Generation(notes=read(vocabulary, num_beams=1, max_length=20).notes)
    assert read(vocabulary) == Generation()
    assert read(vocabulary, temperature=0.1, top_k=3, top_p=0.5, eos_token_id=[vocabulary.target.end]) == Generation()


def test_all_settings_of_transformers_are_known(vocabulary: ImportedVocabulary) -> None:
    every = {name: object() for name in GenerationConfig().to_dict() if not name.startswith("_")}
    with pytest.raises(IncompatibleError) as raised:
        read(vocabulary, **every, other=1)
    assert re.findall("unknown setting [a-z_]+", str(raised.value)) == ["unknown setting other"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"no_repeat_ngram_size": 3}, "no_repeat_ngram_size is 3: tokens that were chosen before are treated as any"),
        ({"encoder_no_repeat_ngram_size": 2}, "encoder_no_repeat_ngram_size is 2: tokens that were chosen"),
        ({"repetition_penalty": 1.2}, r"repetition_penalty is 1\.2: tokens that were chosen"),
        ({"min_length": 3}, "min_length is 3: a translation may have any length"),
        ({"min_new_tokens": 2}, "min_new_tokens is 2: a translation may have any length"),
        ({"min_length": "long"}, "min_length is 'long'"),
        ({"do_sample": True}, "do_sample is True: a translation is searched for here, never sampled"),
        ({"begin_suppress_tokens": [4]}, r"begin_suppress_tokens is \[4\]: tokens are banned everywhere or nowhere"),
        ({"suppress_tokens": [2]}, "suppress_tokens contains 2: a translation ends with this token here"),
        ({"suppress_tokens": 4}, "suppress_tokens is 4; expected a list of ids"),
        ({"bad_words_ids": [[4, 5]]}, r"bad_words_ids contains \[4, 5\]: only single tokens can be banned"),
        ({"bad_words_ids": [4]}, r"bad_words_ids is \[4\]; expected a list of lists of ids"),
        ({"bad_words_ids": [[99_999]]}, "the banned token 99999 is not in the vocabulary of"),
        ({"forced_bos_token_id": 0}, "forced_bos_token_id is 0: the first token is one of a language here, or none"),
        ({"forced_eos_token_id": 7}, "forced_eos_token_id is 7: a translation ends with the token 2 here"),
        ({"eos_token_id": [2, 7]}, r"eos_token_id is \[2, 7\]: a translation ends with the token 2 here"),
        *(({"forced_bos_token_id": value}, "forced_bos_token_id is ") for value in ([64], {"a": 1}, True, 64.0, "64")),
        *(
            ({"eos_token_id": value}, "eos_token_id is .*: a translation ends with")
            for value in ([2.0], [[2]], "2", [])
        ),
        ({"suppress_tokens": [[4]]}, r"the banned token \[4\] is not in the vocabulary of"),
        ({"suppress_tokens": [4, True]}, "the banned token True is not in the vocabulary of"),
        ({"bad_words_ids": [[{"a": 4}]]}, r"the banned token \{'a': 4\} is not in the vocabulary of"),
        ({"bad_words_ids": [[2.0]]}, r"the banned token 2\.0 is not in the vocabulary of"),
        ({"exponential_decay_length_penalty": [3, 1.1]}, "exponential_decay_length_penalty is"),
        ({"num_beam_groups": 2}, "num_beam_groups is 2: beams are not divided into groups"),
        ({"guidance_scale": 3}, "guidance_scale is 3: scores are the model's probabilities"),
        ({"nun_beams": 3}, r"unknown setting nun_beams.*num_beams"),
    ],
)
def test_settings_that_are_refused(vocabulary: ImportedVocabulary, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(
        IncompatibleError, match=f"^m: cannot be imported, because translations would differ: {problem}"
    ):
        read(vocabulary, **settings)


def test_all_that_is_refused_is_listed(vocabulary: ImportedVocabulary) -> None:
    with pytest.raises(
        IncompatibleError, match=r"do_sample .*; no_repeat_ngram_size .*; unknown setting x.*Fix: remove"
    ):
        read(vocabulary, do_sample=True, no_repeat_ngram_size=3, x=1)


def test_banned_tokens(vocabulary: ImportedVocabulary) -> None:
    found = read(vocabulary, bad_words_ids=[[1], [2], [5]], suppress_tokens=[5, 6], renormalize_logits=True)
    assert found == Generation(banned=(1, 5, 6))
    assert read(vocabulary, bad_words_ids=[[1]]).notes == (
        "renormalize_logits is False: probabilities are of the tokens that are not banned here (True)",
    )


def test_what_is_chosen_at_each_translation(vocabulary: ImportedVocabulary) -> None:
    found = read(vocabulary, num_beams=4, length_penalty=0.6, early_stopping=True, max_length=200)
    assert [note.partition(":")[0] for note in found.notes] == [
        "num_beams is 4",
        "length_penalty is 0.6",
        "early_stopping is True",
        "max_length is 200",
    ]


def test_the_language_of_all_translations(vocabulary: ImportedVocabulary) -> None:
    assert read(vocabulary, forced_bos_token_id=65).target == "de"
    denoising = replace(vocabulary, decoder_input=("target language", "text", "end"))
    assert read(denoising, decoder_start_token_id=64).target == "fr"
    assert read(denoising).target is None
    marian = replace(vocabulary, languages={}, decoder_input=("start", "text", "end"))
    assert read(marian, decoder_start_token_id=1).target is None
    with pytest.raises(IncompatibleError, match="forced_bos_token_id is 65"):
        read(marian, forced_bos_token_id=65)


def test_which_file_counts(vocabulary: ImportedVocabulary) -> None:
    model = {"num_beams": 3, "d_model": 512, "bad_words_ids": [[4]], "renormalize_logits": True}
    assert read_generation({}, model, vocabulary, "m").banned == (4,)
    assert read_generation({"use_cache": True}, model, vocabulary, "m") == Generation()


def generated(model: PreTrainedModel, **settings: Any) -> list[list[int]]:
    source = torch.tensor([[7, 8, 9, 2, 1], [17, 13, 21, 30, 2]])
    with torch.no_grad():
        found = model.generate(
            source,
            attention_mask=(source != 1).long(),
            **{"num_beams": 4, "forced_bos_token_id": 11, "max_length": 25, "early_stopping": False, **settings},
        )
    return [[token for token in row if token != 1] for row in found.tolist()]


@pytest.fixture(scope="module")
def theirs() -> PreTrainedModel:
    model = m2m100()
    model.generation_config = GenerationConfig(pad_token_id=1, eos_token_id=2, decoder_start_token_id=2)
    return model


NEUTRAL: Mapping[str, Any] = {
    **{"min_length": 2, "min_new_tokens": 1, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0},
    **{"repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "do_sample": False, "sequence_bias": None},
    **{"guidance_scale": 1, "temperature": 0.5, "top_k": 3, "top_p": 0.5, "typical_p": 0.5, "epsilon_cutoff": 0.3},
    **{"bad_words_ids": [[2]], "num_return_sequences": 1, "use_cache": False, "remove_invalid_values": True},
    **{"renormalize_logits": True},
}


@pytest.mark.filterwarnings("ignore")  # of transformers, that a setting has no effect
@pytest.mark.parametrize("setting", NEUTRAL)
def test_what_has_no_effect_here_has_none_there(
    theirs: PreTrainedModel, vocabulary: ImportedVocabulary, setting: str
) -> None:
    given = {setting: NEUTRAL[setting]}
    assert read(vocabulary, **given) == Generation()
    assert generated(theirs, **given) == generated(theirs)
    assert setting in _NEUTRAL or setting in _WITHOUT_EFFECT or setting in ("bad_words_ids", "renormalize_logits")


@pytest.mark.parametrize("beam", [1, 5])
def test_translations_without_banned_tokens_equal_theirs(
    theirs: PreTrainedModel, vocabulary: ImportedVocabulary, beam: int
) -> None:
    first = generated(theirs, num_beams=beam)
    words = [[token] for token in {*first[0][2:6], *first[1][2:6]} if token != 2]
    settings = {"bad_words_ids": words, "suppress_tokens": [3], "renormalize_logits": True}
    expected = generated(theirs, num_beams=beam, max_length=32, **settings)
    assert expected != first
    banned = read(vocabulary, **settings).banned
    model = Transformer.pointing_at(*from_hugging_face(theirs))
    source, lengths = torch.tensor([[7, 8, 9, 2, 1], [17, 13, 21, 30, 2]]), torch.tensor([4, 5])
    found = search_batch(encode(model, source, lengths, [2, 11], 2, banned), Search(beam=beam))
    ours = [best[0].tokens for best in found]
    assert [row[2 : 2 + len(tokens)] for row, tokens in zip(expected, ours, strict=True)] == ours
    assert all(ours)
