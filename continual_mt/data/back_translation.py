"""Back-translations as training text: which of them are left out, and the tag that marks the rest.

A back-translation is a sentence of the target language with its machine translation into the source language (Sennrich,
Haddow and Birch, *Improving Neural Machine Translation Models with Monolingual Data*, ACL 2016).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.languages import SideName

TAG = "<BT>"
"""The type that marks back-translations (Caswell, Chelba and Grangier, *Tagged Back-Translation*, WMT 2019)."""
Fault = Literal["empty", "copied", "length", "language"]
_SMOOTHING = 10
"""Characters that are added to both lengths, since the lengths of short sentences vary most."""


def tagged(source: Tokenizer, target: Tokenizer, end: SideName) -> tuple[Tokenizer, Tokenizer]:
    """Return a pair's tokenizers as they frame back-translations: with the tag on one end, which must have its type.

    A source begins with the tag, as in Caswell et al. A target is generated from the tag in place of the start token:
    so a new target side, whose source is frozen, learns which sentences are back-translations, too. The tag is never a
    label, so that the decoder does not learn to generate it.
    """
    table = source if end == "source" else target
    number = table.number(TAG)
    assert number is not None
    tokens = table.side_tokens
    if end == "source":
        return source.with_side_tokens(replace(tokens, before=(number, *tokens.before))), target
    return source, target.with_side_tokens(replace(tokens, start=number))


def distinct(lines: Iterable[str]) -> Iterator[str]:
    """Yield each line once, without those that are blank. Keeps a digest of each in memory."""
    seen: set[bytes] = set()
    for line in lines:
        if line.strip() and (key := hashlib.blake2b(line.encode(), digest_size=12).digest()) not in seen:
            seen.add(key)
            yield line


def character_ratio(pairs: Iterable[SentencePair]) -> float:
    """Return how many characters a text's sources have for each character of their targets."""
    in_source = in_target = 0
    for pair in pairs:
        if pair.source.strip() and pair.target.strip():
            in_source, in_target = in_source + len(pair.source), in_target + len(pair.target)
    return in_source / in_target


@dataclass
class TranslationFilter:
    """Decides which back-translations are kept; ``left_out`` counts the others by their first fault.

    ``ratio`` is how many characters a source has for each of its target: see `character_ratio`. A translation is left
    out that is empty, a copy of its target but for case, or ``maximum_ratio`` times longer or shorter than the ratio
    leads to expect; and one for which ``is_foreign`` returns True, if that is given.
    """

    ratio: float
    maximum_ratio: float
    is_foreign: Callable[[str], bool] | None = None
    kept: int = 0
    left_out: Counter[Fault] = field(default_factory=Counter)

    def select(self, translations: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield the pairs (translation, target sentence) to train on."""
        for translation, sentence in translations:
            if (fault := self.fault(translation, sentence)) is not None:
                self.left_out[fault] += 1
                continue
            self.kept += 1
            yield translation, sentence

    def fault(self, translation: str, sentence: str) -> Fault | None:
        """Return why a translation of a sentence is left out, None if it is kept."""
        if not translation.strip():
            return "empty"
        if translation.casefold().split() == sentence.casefold().split():
            return "copied"
        lengths = len(translation) + _SMOOTHING, self.ratio * len(sentence) + _SMOOTHING
        if max(lengths) > self.maximum_ratio * min(lengths):
            return "length"
        return "language" if self.is_foreign is not None and self.is_foreign(translation) else None

    def counts(self) -> dict[str, int]:
        """Return how many were kept, and how many were left out for each fault."""
        return {"kept": self.kept, **{fault: self.left_out[fault] for fault in get_args(Fault)}}
