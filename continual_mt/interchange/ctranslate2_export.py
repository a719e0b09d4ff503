"""Exporting the model of a pair to CTranslate2, with its tokenizers: its own ``Translator`` needs nothing of ours."""

from __future__ import annotations

from pathlib import Path

from continual_mt.inference.ctranslate2_model import Precision, write_model
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.model_card import Provenance, write_card


def export_ctranslate2(model: PairModel, folder: Path, provenance: Provenance, *, precision: Precision) -> None:
    """Write the model, both SentencePiece models and a model card to an existing, empty folder.

    Raises OSError if a file cannot be written.
    """
    write_model(model, folder, precision)
    (folder / "source.spm").write_bytes(model.source.tokenizer.model)
    (folder / "target.spm").write_bytes(model.target.tokenizer.model)
    write_card(folder, model, provenance, usage=_usage(model, precision), metadata=("library_name: ctranslate2",))


def _usage(model: PairModel, precision: Precision) -> str:
    end = model.source.tokenizer.pieces[model.source.tokenizer.end]
    return f"""
```python
import ctranslate2, sentencepiece

translator = ctranslate2.Translator(".")
source, target = (sentencepiece.SentencePieceProcessor(f"{{side}}.spm") for side in ("source", "target"))
ids = source.encode(["A sentence in {model.source.language}."])
batch = [[*source.id_to_piece(sentence), "{end}"] for sentence in ids]
limits = {{"max_input_length": 0, "max_decoding_length": {model.maximum_tokens}, "min_decoding_length": 0}}
for result in translator.translate_batch(batch, beam_size=5, **limits):
    print(target.decode(result.hypotheses[0]))
```

It needs `ctranslate2` and `sentencepiece`. Weights are in {precision}. Give one sentence at a time, of at most
{model.maximum_tokens} tokens.
"""
