"""A lexicon as evidence of which types of the parent's language a new type translates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorpusError
from continual_mt.evaluation.alignment import encode_words
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.initialisation.sparse_rows import SparseRows


def lexicon_evidence(lexicon: Lexicon, new: Tokenizer, own: Tokenizer) -> SparseRows:
    """Return p(parent's type | new type) from a lexicon of new words and words of the language that they replace.

    Each entry counts once, spread evenly over the pieces of both words, each word as at the start of a word. Raises
    CorpusError if no entry can be encoded with both vocabularies.
    """
    words = encode_words(new, lexicon.translations)
    answers = encode_words(own, (answer for found in lexicon.translations.values() for answer in found))
    counts: dict[tuple[int, int], float] = {}
    for word, pieces in words.items():
        for translation in lexicon.translations[word]:
            others = answers.get(translation, [])
            for piece in pieces:
                for other in others:
                    counts[piece, other] = counts.get((piece, other), 0.0) + 1 / (len(pieces) * len(others))
    if not counts:
        raise CorpusError(
            lexicon.path,
            f"none of its {len(lexicon.translations):,} words can be encoded with both vocabularies; expected a word "
            "of the new language, a tab, and a word of the parent's language that it replaces",
        )
    keys = np.array(list(counts), dtype=np.int64)
    values = np.fromiter(counts.values(), dtype=np.float64, count=len(counts))
    sums = np.bincount(keys[:, 0], weights=values, minlength=new.size)
    return SparseRows.of(keys[:, 0], keys[:, 1], values / sums[keys[:, 0]], (new.size, own.size))


def check_words_occur(lexicon: Lexicon, sentences: Iterable[str]) -> None:
    """Raise CorpusError if no word of a lexicon occurs in the text, for example because its columns are exchanged."""
    words = set(lexicon.translations)
    for sentence in sentences:
        if any(word.strip(_MARKS) in words or word in words for word in sentence.split()):
            return
    raise CorpusError(
        lexicon.path,
        f"none of its {len(words):,} words occurs in the text of the new language; expected a word of the new "
        "language, a tab, and its translation, in the text's spelling",
    )


_MARKS = ".,;:!?…\"'()[]«»„“”‚‘’¿¡"
