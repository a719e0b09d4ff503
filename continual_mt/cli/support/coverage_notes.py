"""What a command says of characters that a model's tokenizers do not know, or spell in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from continual_mt.cli.support.console import say
from continual_mt.data.tokenizer import Coverage

if TYPE_CHECKING:
    from continual_mt.inference.translator import Translation, Translator


class CoverageNotes:
    """Counts characters of text that was translated and of its translations. `say` reports them once, at the end."""

    def __init__(self, model: Translator) -> None:
        self._model = model
        self._source = self._target = Coverage(0, 0, 0)
        self._left_out = 0

    def add(self, sentences: Iterable[str], translations: Iterable[Sequence[Translation]]) -> None:
        self._source += self._model.source.tokenizer.coverage(sentences)
        found = [translation for several in translations for translation in several]
        self._target += self._model.target.tokenizer.coverage(translation.text for translation in found)
        self._left_out += sum(translation.unknown for translation in found)

    def say(self) -> None:
        """Print one line a side, unless all its characters are known."""
        pair = self._model.pair
        if self._source.rare:
            say(f"{pair}: in the text to translate {self._source}")
        if self._target.rare or self._left_out:
            left_out = f", {self._left_out:,} unknown tokens left out" if self._left_out else ""
            say(f"{pair}: in the translations {self._target}{left_out}")
