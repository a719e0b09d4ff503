"""The vocabularies of both sides in the order and with the names in which Marian's tokenizer reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import IncompatibleError
from continual_mt.inference.torch_model import PairModel
from continual_mt.interchange.exported_vocabulary import control_types, safe_name, type_names


@dataclass(frozen=True)
class SpecialNames:
    """What the special tokens that Marian's tokenizer knows are called, on both sides."""

    pad: str
    unknown: str
    end: str


class Vocabulary:
    """A side's vocabulary in the order in which it is exported.

    ``order`` are our ids, by exported id, and ``place`` the exported ids, by ours.
    """

    def __init__(self, tokenizer: Tokenizer, first: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.size
        self.order = list(dict.fromkeys((*first, *range(self.size))))
        self.place = {ours: theirs for theirs, ours in enumerate(self.order)}
        self.start, self.end = self.place[tokenizer.start], self.place[tokenizer.end]
        self.pad, self.unknown = self.place[tokenizer.pad], self.place[tokenizer.unknown]

    @cached_property
    def _own_names(self) -> list[str]:
        return type_names(self.tokenizer)

    def names(self, special: SpecialNames) -> list[str]:
        """Return the name of each type, by our id."""
        names, tokenizer = list(self._own_names), self.tokenizer
        names[tokenizer.pad], names[tokenizer.unknown], names[tokenizer.end] = (
            special.pad,
            special.unknown,
            special.end,
        )
        return names

    def rows(self, table: Tensor, size: int, fill: float = 0.0) -> Tensor:
        """Return the rows of a table in the exported order, with as many more as make up ``size``."""
        result = torch.full((size, *table.shape[1:]), fill)
        result[: self.size] = table[self.order]
        return result


@dataclass(frozen=True)
class Vocabularies:
    """Both vocabularies, and the tokens that the tokenizer puts around a source, by our ids; None is no token.

    ``before`` is before the text, and ``after`` is after its end token. Special tokens have the same exported ids on
    both sides.
    """

    source: Vocabulary
    target: Vocabulary
    before: int | None
    after: int | None

    @cached_property
    def special(self) -> SpecialNames:
        both = self.source.tokenizer, self.target.tokenizer
        return SpecialNames(safe_name("<pad>", *both), "<unk>", safe_name("</s>", *both))


def vocabularies_of(model: PairModel) -> Vocabularies:
    """Return the vocabularies of a model. Raises IncompatibleError for tokens that the tokenizer cannot add."""
    source, target = model.source.tokenizer, model.target.tokenizer
    before = _only(source.side_tokens.before, model, "before a source")
    after = _only(source.side_tokens.after, model, "after the end of a source")
    _only(target.side_tokens.before, model, "before a translation")
    special = [
        [tokenizer.pad, tokenizer.unknown, tokenizer.end, *closing]
        for tokenizer, closing in (
            (source, () if after is None else (after,)),
            (target, () if after is None else (_silent_type(model, after),)),
        )
    ]
    if special[0] == special[1]:
        return Vocabularies(Vocabulary(source), Vocabulary(target), before, after)
    exported = Vocabulary(source, special[0]), Vocabulary(target, special[1])
    first, second = ([side.place[n] for n in ids] for side, ids in zip(exported, special, strict=True))
    if first != second:
        raise _refused(model, "the special tokens of its sides cannot have the same ids")
    return Vocabularies(*exported, before, after)


def _only(tokens: tuple[int, ...], model: PairModel, place: str) -> int | None:
    if len(tokens) > 1:
        raise _refused(model, f"it has {len(tokens)} tokens {place}, and the tokenizer can add one")
    return tokens[0] if tokens else None


def _silent_type(model: PairModel, preferred: int) -> int:
    """Return a type of the target that has no text, for the id that the tokenizer leaves out of translations."""
    tokenizer = model.target.tokenizer
    taken = {tokenizer.pad, tokenizer.unknown, tokenizer.end}
    free = [number for number in control_types(tokenizer) if number not in taken]
    if not free:
        raise _refused(model, "its target has no free special token for the one after the end of a source")
    return preferred if preferred in free else free[0]


def _refused(model: PairModel, problem: str) -> IncompatibleError:
    return IncompatibleError(
        f"{model.pair}: transformers' tokenizer cannot put its tokens around sentences: {problem}. "
        "Fix: --format ctranslate2, which puts any"
    )
