"""The MLflow model that ``continual-mt export --format mlflow`` writes: it translates with CTranslate2.

A pivot has two models, ``first`` and ``second``, that a sentence runs through in turn; any other recipe has one.

The export copies this file ("models from code"), so that nothing is pickled. It is run where our packages are not
installed, and must not import them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel


class Translator(PythonModel):
    """Translates a list of sentences. An empty sentence gives an empty translation."""

    def load_context(self, context: Any) -> None:
        self.models = [Model(Path(folder)) for _, folder in sorted(context.artifacts.items())]

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> list[str]:
        """Translate sentences, in order, with beam 5. Raises MlflowException for a sentence that is too long."""
        first, *others = self.models
        sentences = first.translate([first.whole(number, text) for number, text in enumerate(model_input, start=1)])
        for model in others:
            sentences = model.translate([model.divided(text) for text in sentences])
        return sentences


class Model:
    """A folder that ``continual-mt export --format ctranslate2`` writes."""

    def __init__(self, folder: Path) -> None:
        import ctranslate2
        import sentencepiece

        description = json.loads((folder / "continual-mt.json").read_text(encoding="utf-8"))
        self.tokens, self.maximum_tokens = description["tokens"], description["maximum_tokens"]
        self.source = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
        self.target = sentencepiece.SentencePieceProcessor(str(folder / "target.spm"))
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self.engine = ctranslate2.Translator(str(folder), device=device)

    def whole(self, number: int, text: str) -> list[list[str]]:
        """Return the pieces of a sentence as its only part. Raises MlflowException for one that is too long."""
        pieces = self.source.encode(text, out_type=str)
        if len(pieces) > self.maximum_tokens:
            raise MlflowException.invalid_parameter_value(
                f"sentence {number}: has {len(pieces)} tokens; expected at most {self.maximum_tokens}. Fix: divide it"
            )
        return [pieces] if pieces else []

    def divided(self, text: str) -> list[list[str]]:
        """Return the pieces of another model's translation, in parts if it is too long, divided at spaces."""
        # A tokenizer that spells unknown characters in bytes may have spelled a line break.
        text = " ".join(text.splitlines())
        pieces, limit = self.source.encode(text, out_type=str), self.maximum_tokens
        if len(pieces) <= limit:
            return [pieces] if pieces else []
        parts: list[list[str]] = [[]]
        for word in text.split():
            pieces = self.source.encode(word, out_type=str)
            if len(parts[-1]) + len(pieces) > limit:
                parts.append([])
            parts[-1] += pieces
        return [part[first : first + limit] for part in parts for first in range(0, len(part), limit)]

    def translate(self, sentences: list[list[list[str]]]) -> list[str]:
        """Translate sentences that consist of parts, in order; the parts of a translation are joined by spaces."""
        before, after, prefix = (self.tokens[name] for name in ("source_before", "source_after", "target_prefix"))
        batch = [[*before, *pieces, *after] for parts in sentences for pieces in parts]
        framed = max(map(len, batch), default=0)
        found = iter(
            self.engine.translate_batch(
                batch,
                target_prefix=[prefix] * len(batch) if prefix else None,
                suppress_sequences=[[name] for name in self.tokens["suppressed"]] or None,
                beam_size=5,
                max_batch_size=2048,
                batch_type="tokens",
                max_input_length=0,
                max_decoding_length=min(self.tokens["maximum_decoding_length"], 2 * framed + 20 + len(prefix)),
                min_decoding_length=0,
            )
        )
        return [" ".join(self._text(next(found).hypotheses[0][len(prefix) :]) for _ in parts) for parts in sentences]

    def _text(self, pieces: list[str]) -> str:
        text: str = self.target.decode([piece for piece in pieces if piece != self.tokens["unknown"]])
        # SentencePiece leaves the mark of a space in types that its model has no piece of.
        return text.replace("▁", " ").lstrip(" ") if "▁" in text else text


mlflow.models.set_model(Translator())
