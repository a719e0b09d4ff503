"""What a command reports of characters that a model's tokenizers do not know, or spell in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from continual_mt.cli.support.console import say
from continual_mt.data.tokenizer import Coverage

if TYPE_CHECKING:
    from continual_mt.inference.translator import Translator


class CoverageNotes:
    """Counts characters of text that was translated and of its translations; `say` reports them at the end."""

    def __init__(self, model: Translator) -> None:
        self._model = model
        self._source = self._target = Coverage(0, 0, 0)
        self._left_out = 0

    def add(self, sentences: Iterable[str], translations: Iterable[str], left_out: int = 0) -> None:
        """Count sentences and their translations, and the unknown tokens that were left out of these."""
        self._source += self._model.source.tokenizer.coverage(sentences)
        self._target += self._model.target.tokenizer.coverage(translations)
        self._left_out += left_out

    def say(self) -> None:
        """Print one line a side, unless all its characters are known."""
        pair = self._model.pair
        if self._source.rare:
            say(f"{pair}: in the text to translate {self._source}")
        if self._target.rare or self._left_out:
            left_out = f", {self._left_out:,} unknown tokens left out" if self._left_out else ""
            say(f"{pair}: in the translations {self._target}{left_out}")

    def compare(self, references: Sequence[str]) -> None:
        """Report references that differ from any translation, since the model writes text by its tokenizer's rule."""
        tokenizer = self._model.target.tokenizer
        as_read = (" ".join(filter(None, line.split(" "))) for line in references)
        if count := sum(tokenizer.normalized(line) != line for line in as_read):
            say(
                f"{self._model.pair}: {count:,} of {len(references):,} references are not in the form NFC or have "
                "other white space than spaces, which translations do not have; this lowers their scores"
            )
