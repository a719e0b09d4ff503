"""Which class of transformers computes an architecture. What no class computes is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.huggingface.weights import LEARNED_OFFSET
from continual_mt.model.architecture import parameter_names


@dataclass(frozen=True)
class Family:
    """A class of transformers. ``position_offset`` counts the rows of its position tables before the first one used."""

    model_type: str
    model_class: str
    position_offset: int = 0
    settings: tuple[tuple[str, Any], ...] = ()


MARIAN = Family("marian", "MarianMTModel", settings=(("share_encoder_decoder_embeddings", False),))
# By the place of the norms, and whether there are final norms and norms of embeddings.
_FAMILIES: Mapping[tuple[str, bool, bool], Family] = {
    ("post", False, False): MARIAN,
    ("post", False, True): Family("bart", "BartForConditionalGeneration", LEARNED_OFFSET),
    ("pre", True, True): Family("mbart", "MBartForConditionalGeneration", LEARNED_OFFSET),
    # Its name is that of chatbots, but it is a plain pre-norm Transformer with a bias of the output.
    ("pre", True, False): Family(
        "blenderbot", "BlenderbotForConditionalGeneration", settings=(("encoder_no_repeat_ngram_size", 0),)
    ),
}


def choose_family(model: PairModel) -> Family:
    """Return the class of transformers that computes the model. Raises IncompatibleError if no class does."""
    architecture = model.transformer.architecture
    family = _FAMILIES.get((architecture.norm, architecture.final_norm, architecture.embedding_norm))
    problem = None
    if family is None:
        problem = (
            f"with norm {architecture.norm}, final_norm {_word(architecture.final_norm)} and embedding_norm "
            f"{_word(architecture.embedding_norm)}"
        )
    elif family is MARIAN and (architecture.positions, architecture.position_offset) != ("sinusoidal", 0):
        problem = (
            f"with norm post, no norms of embeddings, and positions {architecture.positions} from number "
            f"{architecture.position_offset}"
        )
    if others := sorted(set(model.transformer.state_dict()) - set(parameter_names(architecture))):
        raise IncompatibleError(
            f"{model.pair}: has tensors that no class of transformers computes with, such as {others[0]}"
        )
    if family is None or problem:
        raise IncompatibleError(
            f"{model.pair}: transformers has no class that computes an architecture {problem}. "
            "Fix: --format ctranslate2, which computes all"
        )
    return family


def _word(value: bool) -> str:
    return str(value).lower()
