"""Which sides can be exported: what a format would change in silence is refused."""

from __future__ import annotations

from collections.abc import Iterator

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel


def check_sides(model: PairModel, *, own_vocabulary: bool) -> None:
    """Raise IncompatibleError for an imported side that a format cannot express.

    ``own_vocabulary`` says whether the format has a vocabulary beside the SentencePiece model, and can ban tokens.
    """
    for name, side in (("source", model.source), ("target", model.target)):
        if problems := list(_problems(side.tokenizer, own_vocabulary=own_vocabulary)):
            raise IncompatibleError(
                f"{model.pair}: its {name} side {side.language} was imported with {' and '.join(problems)}, which this "
                "format does not support. Fix: "
                + ("export a pair whose sides were both trained here" if own_vocabulary else "try --format hf")
            )


def _problems(tokenizer: Tokenizer, *, own_vocabulary: bool) -> Iterator[str]:
    tokens = tokenizer.side_tokens
    if tokens.before or tokens.after:
        yield "tokens of languages"
    if own_vocabulary:
        return
    if tokens.banned or tokens.start is not None:
        yield "tokens that are never chosen, or another start token"
    if tokenizer.looks_pieces_up:
        yield "a vocabulary that differs from the pieces of its SentencePiece model"
