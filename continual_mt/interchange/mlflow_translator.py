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
        self.end, self.maximum_tokens = description["source_end"], description["maximum_tokens"]
        self.source = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
        self.target = sentencepiece.SentencePieceProcessor(str(folder / "target.spm"))
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self.engine = ctranslate2.Translator(str(folder), device=device)

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> list[str]:
        """Translate sentences, in order, with beam 5. Raises MlflowException for a sentence that is too long."""
        sentences = self.source.encode(list(model_input))
        longest = max(map(len, sentences), default=0)
        if longest > self.maximum_tokens:
            number = next(i for i, ids in enumerate(sentences, start=1) if len(ids) == longest)
            raise MlflowException.invalid_parameter_value(
                f"sentence {number}: has {longest} tokens; expected at most {self.maximum_tokens}. Fix: divide it"
            )
        found = iter(
            self.engine.translate_batch(
                # Not the pieces as they are in the text: an unknown one may be spelled like a special one.
                [[*self.source.id_to_piece(ids), self.end] for ids in sentences if ids],
                beam_size=5,
                max_batch_size=2048,
                batch_type="tokens",
                max_input_length=0,
                max_decoding_length=min(self.maximum_tokens, 2 * longest + 22),
                min_decoding_length=0,
            )
        )
        return [self.target.decode(next(found).hypotheses[0]) if ids else "" for ids in sentences]


mlflow.models.set_model(Translator())
