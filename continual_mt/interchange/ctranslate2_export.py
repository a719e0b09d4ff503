"""Exporting the model of a pair to CTranslate2, with its tokenizers: its own ``Translator`` needs nothing of ours."""

from __future__ import annotations

import json
from pathlib import Path

from continual_mt.inference.ctranslate2_model import Precision, write_model
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.exported_vocabulary import splitting_model, type_names
from continual_mt.interchange.model_card import Provenance, SentenceTokens, write_card


def export_ctranslate2(model: PairModel, folder: Path, provenance: Provenance, *, precision: Precision) -> None:
    """Write the model, both SentencePiece models and a model card to an existing, empty folder.

    Raises OSError if a file cannot be written.
    """
    source, target = model.source.tokenizer, model.target.tokenizer
    source_names, target_names = type_names(source), type_names(target)
    write_model(model, folder, precision, source_names, target_names)
    (folder / "source.spm").write_bytes(splitting_model(source, source_names))
    (folder / "target.spm").write_bytes(splitting_model(target, target_names))
    tokens = SentenceTokens(
        [source_names[number] for number in source.before_source],
        [source_names[number] for number in source.after_source],
        [target_names[number] for number in target.side_tokens.before],
        [target_names[number] for number in target.side_tokens.banned],
        target_names[target.unknown],
        model.transformer.architecture.maximum_positions - 1,
    )
    usage = _usage(model, tokens, precision)
    write_card(folder, model, provenance, usage=usage, metadata=("library_name: ctranslate2",), tokens=tokens)


def _usage(model: PairModel, tokens: SentenceTokens, precision: Precision) -> str:
    prefix = len(tokens.target_prefix)
    options: dict[str, object] = {
        "max_input_length": 0,
        "max_decoding_length": tokens.maximum_decoding_length,
        "min_decoding_length": 0,
    }
    if tokens.suppressed:
        options["suppress_sequences"] = [[name] for name in tokens.suppressed]
    given = "".join(f"    {_quoted(name)}: {_quoted(value)},\n" for name, value in options.items())
    if prefix:
        given += f'    "target_prefix": [{_quoted(tokens.target_prefix)}] * len(batch),\n'
    framed = ", ".join([*map(_quoted, tokens.source_before), "*pieces", *map(_quoted, tokens.source_after)])
    translation = f"result.hypotheses[0][{prefix}:]" if prefix else "result.hypotheses[0]"
    return f"""
```python
import ctranslate2, sentencepiece

translator = ctranslate2.Translator(".")
source, target = (sentencepiece.SentencePieceProcessor(f"{{side}}.spm") for side in ("source", "target"))
sentences = ["A sentence in {model.source.language}."]
batch = [[{framed}] for pieces in source.encode(sentences, out_type=str)]
options = {{
{given}}}
for result in translator.translate_batch(batch, beam_size=5, **options):
    pieces = [piece for piece in {translation} if piece != {_quoted(tokens.unknown)}]
    print(target.decode(pieces).replace("▁", " ").strip())
```

It needs `ctranslate2` and `sentencepiece`. Weights are in {precision}. Give one sentence at a time, of at most
{model.maximum_tokens} tokens. `tokens` in `continual-mt.json` has the tokens of these lines: those around a source, the
prefix of a translation, and those that are never chosen.
"""


def _quoted(value: object) -> str:
    """Return names and numbers as they are written in Python."""
    return json.dumps(value, ensure_ascii=False)
