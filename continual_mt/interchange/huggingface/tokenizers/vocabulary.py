"""What a Hugging Face folder says about text: tokenizers, language tokens, and where special tokens go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from continual_mt.data.tokenizer import SideTokens, Tokenizer
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
        encoder_input, decoder_input: what the encoder reads, and what the decoder reads and predicts. In translation
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

    def source_side(self, source: str | None, target: str | None) -> Tokenizer:
        """Return the tokenizer of a source side, with the tokens of its languages.

        ``source`` and ``target`` are codes. They are ignored where the encoder reads no token of them. Raises
        UnknownNameError for an unknown code, and for None where a code is required.
        """
        middle = self.encoder_input.index("text")
        before, (_, *after) = self.encoder_input[:middle], self.encoder_input[middle + 1 :]
        return self.source.with_side_tokens(
            SideTokens(self._ids(before, source, target), self._ids(after, source, target))
        )

    def target_side(self, target: str | None) -> Tokenizer:
        """Return the tokenizer of a target side, with the token of its language. Raises as ``source_side`` does."""
        first, *before = self.decoder_input[: self.decoder_input.index("text")]
        start = None if first == "start" else self._ids([first], None, target)[0]
        return self.target.with_side_tokens(SideTokens(self._ids(before, None, target), start=start))

    def _ids(self, parts: Iterable[Part], source: str | None, target: str | None) -> tuple[int, ...]:
        return tuple(self._language(part, source if part == "source language" else target) for part in parts)

    def _language(self, part: Part, code: str | None) -> int:
        if code is None or code not in self.languages:
            problem = f"no {part} given" if code is None else f"unknown {part} {code!r}{suggest(code, self.languages)}"
            raise UnknownNameError(f"{problem}; expected one of {', '.join(self.languages)}")
        return self.languages[code]
