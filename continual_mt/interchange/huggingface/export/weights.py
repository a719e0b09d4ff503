"""The weights of a model under the names of a class of transformers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.huggingface.export.model_class import MARIAN, Family
from continual_mt.interchange.huggingface.export.vocabulary import Vocabulary
from continual_mt.interchange.huggingface.weights import hugging_face_names
from continual_mt.languages import SideName
from continual_mt.model.embeddings import sinusoidal_positions

_STACKS: dict[SideName, str] = {"source": "model.encoder", "target": "model.decoder"}


def tensors_of(model: PairModel, family: Family, source: Vocabulary, target: Vocabulary) -> dict[str, Tensor]:
    """Return the tensors of the class, by its names, in float32 and with the vocabularies' order of types."""
    architecture = model.transformer.architecture
    ours = {name: tensor.detach().cpu().float() for name, tensor in model.transformer.state_dict().items()}
    names = hugging_face_names(architecture)
    other = {f"{side}.{name}" for side in _STACKS for name in ("embedding", "positions", "bias", "output")}
    tensors = {theirs: ours[name].contiguous() for name, theirs in names.items() if name not in other}
    if family is not MARIAN:
        for side, stack in _STACKS.items():
            learned = ours.get(f"{side}.positions")
            table = sinusoidal_positions(architecture, torch.device("cpu")) if learned is None else learned
            before = torch.zeros(family.position_offset, architecture.width)
            tensors[f"{stack}.embed_positions.weight"] = torch.cat([before, table])
    return tensors | _token_tables(ours, family, source, target)


def _token_tables(
    ours: Mapping[str, Tensor], family: Family, source: Vocabulary, target: Vocabulary
) -> dict[str, Tensor]:
    """The tables of tokens: one a side for Marian; elsewhere tables of one size, whose further rows are never chosen.

    The other classes share one table if ``tie_word_embeddings`` is true, as in their own models: that is used if both
    sides have the same table and vocabulary.
    """
    output = ours.get("target.output")
    sizes = (source.size, target.size) if family is MARIAN else (max(source.size, target.size),) * 2
    encoder = source.rows(ours["source.embedding"], sizes[0])
    decoder = target.rows(ours["target.embedding"], sizes[1])
    bias = target.rows(ours["target.bias"], sizes[1], fill=-torch.inf)
    tables = {"final_logits_bias": bias[None]}
    is_shared = family is not MARIAN and output is None and torch.equal(encoder, decoder)
    if is_shared:
        return tables | {"model.shared.weight": encoder}
    tables |= {"model.encoder.embed_tokens.weight": encoder, "model.decoder.embed_tokens.weight": decoder}
    if family is not MARIAN:
        tables["model.shared.weight"] = torch.zeros_like(encoder)  # loaded, but used only if tables are tied
    if output is not None:
        tables["lm_head.weight"] = target.rows(output, sizes[1])
    elif family is not MARIAN:
        tables["lm_head.weight"] = decoder.clone()
    return tables
