"""Which sides can be exported to transformers: what would change in silence is refused."""

from __future__ import annotations

from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel


def check_sides(model: PairModel) -> None:
    """Raise IncompatibleError for a side whose sentences have tokens of languages."""
    for name, side in (("source", model.source), ("target", model.target)):
        tokens = side.tokenizer.side_tokens
        if tokens.before or tokens.after:
            raise IncompatibleError(
                f"{model.pair}: its {name} side {side.language} has tokens of languages, which this format does not "
                "support. Fix: --format ctranslate2"
            )
