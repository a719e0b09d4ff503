"""What a Hugging Face folder says about text: tokenizers, language tokens, and where special tokens go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from continual_mt.artifacts.sentence_form import Part, SentenceForm
from continual_mt.data.tokenizer import Tokenizer

Family = Literal["marian", "mbart", "mbart50", "m2m100", "nllb"]


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

    def form(self, banned: tuple[int, ...] = ()) -> SentenceForm:
        """What encoder and decoder read around the text of a sentence; ``banned`` tokens are never chosen."""
        return SentenceForm(self.encoder_input, self.decoder_input, banned=banned)
