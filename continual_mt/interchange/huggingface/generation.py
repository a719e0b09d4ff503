"""What a model's settings of generation mean here: honoured, without effect, noted, or refused by name.

They are those of GenerationConfig in transformers. Its beam search divides a score by the number of tokens, forced ones
and the end included, to the power of ``length_penalty``, as `continual_mt.inference.beam_search` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from continual_mt.errors import IncompatibleError
from continual_mt.interchange.huggingface.tokenizers.vocabulary import ImportedVocabulary
from continual_mt.suggest import suggest


@dataclass(frozen=True)
class Generation:
    """What translations need beside the vocabulary, which has the start token.

    Attributes:
        target: the code of the language that every translation of the model begins with, None if it has no such one.
        banned: the ids of tokens that are never chosen.
        notes: sentences on settings that a user chooses at each translation instead.
    """

    target: str | None = None
    banned: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_generation(
    generation: Mapping[str, Any], model: Mapping[str, Any], vocabulary: ImportedVocabulary, origin: str
) -> Generation:
    """Read ``generation_config.json`` and ``config.json``; the second counts if the first is empty, as in transformers.

    Raises IncompatibleError, which lists all settings that would change translations and that are not supported.
    """
    known = _WITHOUT_EFFECT | _NEUTRAL.keys() | _READ
    settings = generation or {key: value for key, value in model.items() if key in known}
    given = {key: value for key, value in settings.items() if value is not None and not key.startswith("_")}
    forced = vocabulary.decoder_input[1:].index("text")
    problems = [
        f"{key} is {value!r:.80}: {reason}"
        for key, value in given.items()
        if key in _NEUTRAL
        for is_neutral, reason in [_NEUTRAL[key]]
        if not is_neutral(value, forced)
    ]
    problems += [f"unknown setting {key}{suggest(key, known)}" for key in given if key not in known]
    problems += _other_ends(given, vocabulary.target.end)
    banned, not_banned = _banned(given, vocabulary)
    target, not_forced = _target(given, vocabulary)
    if problems := [*problems, *not_banned, *not_forced]:
        raise IncompatibleError(
            f"{origin}: cannot be imported, because translations would differ: {'; '.join(problems)}. "
            "Fix: remove the settings from a copy of the folder, if you accept that"
        )
    return Generation(target, banned, tuple(_notes(given, banned)))


Neutral = Callable[[Any, int], bool]


def _at_most(most: int, *, forced: bool = False) -> Neutral:
    return lambda value, count: isinstance(value, int) and value <= most + (count if forced else 0)


def _is(*values: object) -> Neutral:
    return lambda value, count: value in values


_REPEATED = "tokens that were chosen before are treated as any others here"
_SHORT = "a translation may have any length here"
_SCORES = "scores are the model's probabilities here"

_NEUTRAL: Mapping[str, tuple[Neutral, str]] = {
    "no_repeat_ngram_size": (_at_most(0), _REPEATED),
    "encoder_no_repeat_ngram_size": (_at_most(0), _REPEATED),
    "repetition_penalty": (_is(1), _REPEATED),
    "encoder_repetition_penalty": (_is(1), _REPEATED),
    "min_length": (_at_most(1, forced=True), _SHORT),
    "min_new_tokens": (_at_most(0, forced=True), _SHORT),
    "exponential_decay_length_penalty": (_is(), _SHORT),
    "stop_strings": (_is([]), "a translation ends with the end token here"),
    "max_time": (_is(), "a translation is not cut after a time here"),
    "do_sample": (_is(False), "a translation is searched for here, never sampled"),
    "begin_suppress_tokens": (_is([]), "tokens are banned everywhere or nowhere here"),
    "sequence_bias": (_is({}, []), _SCORES),
    "guidance_scale": (_is(1), _SCORES),
    "watermarking_config": (_is(), _SCORES),
    "dola_layers": (_is(), _SCORES),
    "penalty_alpha": (_is(0), _SCORES),
    "num_beam_groups": (_is(1), "beams are not divided into groups here"),
    "diversity_penalty": (_is(0), "beams are not divided into groups here"),
    "constraints": (_is([]), "a translation need not contain given words here"),
    "force_words_ids": (_is([]), "a translation need not contain given words here"),
    "token_healing": (_is(False), "a translation begins with the tokens of its language only"),
}
"""Setting → whether a value changes nothing, given the number of forced tokens; and why others are not supported."""

_READ = frozenset(
    {
        *("num_beams", "length_penalty", "early_stopping", "max_length", "max_new_tokens", "renormalize_logits"),
        *("bad_words_ids", "suppress_tokens", "forced_bos_token_id", "forced_eos_token_id", "decoder_start_token_id"),
        *("eos_token_id", "pad_token_id", "bos_token_id"),
    }
)

_WITHOUT_EFFECT = frozenset(
    {
        # Without sampling.
        *("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"),
        # What is returned beside the best translation.
        *("num_return_sequences", "return_dict_in_generate", "remove_invalid_values"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits"),
        # How it is computed.
        *("use_cache", "cache_implementation", "cache_config", "max_cache_len", "low_memory", "prefill_chunk_size"),
        *("compile_config", "disable_compile", "continuous_batching_config", "transformers_version", "use_mtp"),
        *("is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
        *("prompt_lookup_num_tokens", "max_matching_ngram_size", "assistant_early_exit", "assistant_lookbehind"),
        *("target_lookbehind", "assistant_ensemble_weight", "speculation_type"),
    }
)


def _other_ends(given: Mapping[str, Any], end: int) -> Iterator[str]:
    """An end may also be a list."""
    for key in ("eos_token_id", "forced_eos_token_id"):
        value = given.get(key, end)
        ends = value if isinstance(value, list) else [value]
        if ends != [end] or type(ends[0]) is not int:
            yield f"{key} is {given[key]!r:.80}: a translation ends with the token {end} here"


def _banned(given: Mapping[str, Any], vocabulary: ImportedVocabulary) -> tuple[tuple[int, ...], list[str]]:
    """Return the tokens that are banned, and the problems of the settings that ban."""
    end, size = vocabulary.target.end, vocabulary.target.size
    words, tokens = given.get("bad_words_ids", []), given.get("suppress_tokens", [])
    problems = []
    if not isinstance(words, list) or not all(isinstance(word, list) and word for word in words):
        return (), [f"bad_words_ids is {words!r:.80}; expected a list of lists of ids"]
    if longer := [word for word in words if len(word) > 1]:
        problems.append(f"bad_words_ids contains {longer[0]!r:.80}: only single tokens can be banned here")
    if not isinstance(tokens, list):
        return (), [f"suppress_tokens is {tokens!r:.80}; expected a list of ids"]
    if end in tokens:
        problems.append(f"suppress_tokens contains {end}: a translation ends with this token here")
    banned = [*(word[0] for word in words if len(word) == 1), *tokens]
    if outside := [token for token in banned if type(token) is not int or not 0 <= token < size]:
        return (), [*problems, f"the banned token {outside[0]!r:.80} is not in the vocabulary of {size:,} types"]
    # The end token as a bad word is ignored in transformers, too.
    return tuple(token for token in dict.fromkeys(banned) if token != end), problems


def _target(given: Mapping[str, Any], vocabulary: ImportedVocabulary) -> tuple[str | None, list[str]]:
    """Return the language that all translations begin with, and the problems of the setting."""
    codes = {number: code for code, number in vocabulary.languages.items()}
    first = given.get("forced_bos_token_id")
    is_language = type(first) is int and first in codes
    if first is not None and not (is_language and "target language" in vocabulary.decoder_input):
        return None, [f"forced_bos_token_id is {first!r:.80}: the first token is one of a language here, or none"]
    if first is None and vocabulary.decoder_input[0] == "target language":
        first = given.get("decoder_start_token_id")
    return codes.get(first) if type(first) is int else None, []


def _notes(given: Mapping[str, Any], banned: tuple[int, ...]) -> Iterator[str]:
    beam, penalty = given.get("num_beams", 1), given.get("length_penalty", 1.0)
    if "num_beams" in given:
        yield f"num_beams is {beam}: choose the beam at each translation (--beam)"
    if penalty != 1:
        yield f"length_penalty is {penalty}: choose it at each translation (--length-penalty)"
    if early := given.get("early_stopping"):
        yield f"early_stopping is {early}: the search goes on here until no better translation can follow (False)"
    for key in ("max_length", "max_new_tokens"):
        if key in given:
            yield f"{key} is {given[key]}: a translation has at most 20 tokens more than twice its source's here"
    if banned and not given.get("renormalize_logits"):
        yield "renormalize_logits is False: probabilities are of the tokens that are not banned here (True)"
