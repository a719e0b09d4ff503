"""What a Hugging Face folder says about text: tokenizers, language tokens, and where special tokens go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import UnknownNameError
from continual_mt.suggest import suggest

Family = Literal["marian", "mbart", "mbart50", "m2m100", "nllb"]

Part = Literal["source language", "target language", "text", "start", "end"]
"""What a sequence consists of: the token of a language, the ids of the text, or a special id of the tokenizer."""


@dataclass(frozen=True)
class ImportedVocabulary:
    """The vocabulary of a model, with the ids of the original tokenizer.

    Attributes:
        family: which tokenizer of transformers it was made for.
        source, target: the tokenizers, equal if both sides share a vocabulary. Their sizes are those of the embeddings;
            types beyond the original vocabulary are unused.
        languages: the id of the token of each language, by the model's own code, such as ``fr_XX`` or ``fra_Latn``.
            Empty if the model has no language tokens.
        encoder_input, decoder_input: what the encoder reads, and what the decoder reads in training. In translation
            the decoder starts with all that comes before the text.
    """

    family: Family
    source: Tokenizer
    target: Tokenizer
    languages: Mapping[str, int]
    encoder_input: tuple[Part, ...]
    decoder_input: tuple[Part, ...]

    @property
    def source_languages(self) -> tuple[str, ...]:
        """The codes that a source sentence can be marked with. Marian marks only its target language."""
        return tuple(self.languages) if "source language" in self.encoder_input else ()

    @property
    def target_languages(self) -> tuple[str, ...]:
        return tuple(self.languages)

    def encoder_frame(self, source: str | None, target: str | None) -> tuple[list[int], list[int]]:
        """Return the ids before and after the ids of a source sentence.

        ``source`` and ``target`` are codes, or None where the model has no token for them. Raises UnknownNameError for
        an unknown code, and for None where a code is required.
        """
        return self._frame(self.encoder_input, self.source, source, target)

    def decoder_prefix(self, target: str | None) -> list[int]:
        """Return the ids that the decoder starts with. Raises UnknownNameError as ``encoder_frame`` does."""
        return self._frame(self.decoder_input, self.target, None, target)[0]

    def _frame(
        self, parts: tuple[Part, ...], tokenizer: Tokenizer, source: str | None, target: str | None
    ) -> tuple[list[int], list[int]]:
        def number(part: Part) -> int:
            if part == "start":
                return tokenizer.start
            if part == "end":
                return tokenizer.end
            return self._language(part, source if part == "source language" else target)

        middle = parts.index("text")
        return [number(part) for part in parts[:middle]], [number(part) for part in parts[middle + 1 :]]

    def _language(self, part: Part, code: str | None) -> int:
        if code is None or code not in self.languages:
            problem = f"no {part} given" if code is None else f"unknown {part} {code!r}{suggest(code, self.languages)}"
            raise UnknownNameError(f"{problem}; expected one of {', '.join(self.languages)}")
        return self.languages[code]
