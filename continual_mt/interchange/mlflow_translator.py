"""The MLflow model that ``continual-mt export --format mlflow`` writes: it translates with CTranslate2.

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
        import ctranslate2
        import sentencepiece

        folder = Path(context.artifacts["model"])
        description = json.loads((folder / "continual-mt.json").read_text(encoding="utf-8"))
        self.tokens, self.maximum_tokens = description["tokens"], description["maximum_tokens"]
        self.source = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
        self.target = sentencepiece.SentencePieceProcessor(str(folder / "target.spm"))
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self.engine = ctranslate2.Translator(str(folder), device=device)

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> list[str]:
        """Translate sentences, in order, with beam 5. Raises MlflowException for a sentence that is too long."""
        sentences = self.source.encode(list(model_input), out_type=str)
        longest = max(map(len, sentences), default=0)
        if longest > self.maximum_tokens:
            number = next(i for i, pieces in enumerate(sentences, start=1) if len(pieces) == longest)
            raise MlflowException.invalid_parameter_value(
                f"sentence {number}: has {longest} tokens; expected at most {self.maximum_tokens}. Fix: divide it"
            )
        before, after, prefix = (self.tokens[name] for name in ("source_before", "source_after", "target_prefix"))
        batch = [[*before, *pieces, *after] for pieces in sentences if pieces]
        framed = len(before) + longest + len(after)
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
        return [self._text(next(found).hypotheses[0][len(prefix) :]) if pieces else "" for pieces in sentences]

    def _text(self, pieces: list[str]) -> str:
        text: str = self.target.decode([piece for piece in pieces if piece != self.tokens["unknown"]])
        # SentencePiece leaves the mark of a space in types that its model has no piece of.
        return text.replace("▁", " ").lstrip(" ") if "▁" in text else text


mlflow.models.set_model(Translator())
