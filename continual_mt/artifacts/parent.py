"""A parent: a model trained on one pair, frozen for ever, known by its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from torch import Tensor

from continual_mt.artifacts import serialization
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Architecture, parameter_names

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Parent:
    """All five groups of parameters, two sides, and the architecture that they fit.

    Raises CorruptionError when the tensors are not those of the architecture.
    """

    pair: Pair
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    source: LanguageSide
    target: LanguageSide

    def __post_init__(self) -> None:
        sizes = {"source": self.source.tokenizer.size, "target": self.target.tokenizer.size}
        serialization.check_tensors(self.tensors, self.architecture, parameter_names(self.architecture), sizes)

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits over everything that decides behaviour; the pair's names do not."""
        tokenizers = {"source": self.source.tokenizer, "target": self.target.tokenizer}
        return serialization.fingerprint(self.tensors, tokenizers, self.architecture.to_json())

    def side(self, name: SideName) -> LanguageSide:
        return self.source if name == "source" else self.target

    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    def pieces(self) -> dict[str, bytes]:
        """Named bytes that ``from_pieces`` reads back bit-equal."""
        description = {"format": FORMAT, "pair": str(self.pair), "architecture": self.architecture.to_json()}
        return {
            "parent.json": serialization.json_piece(description),
            "source.model": self.source.tokenizer.model,
            "target.model": self.target.tokenizer.model,
            **serialization.tensor_pieces(self.tensors),
        }

    @classmethod
    def from_pieces(cls, pieces: Mapping[str, bytes]) -> Parent:
        """Raises CorruptionError, naming the piece, when the pieces are damaged or do not fit together."""
        description = serialization.read_json(pieces, "parent.json")
        if description.get("format") != FORMAT:
            raise CorruptionError(f"parent.json has format {description.get('format')!r}; this version reads {FORMAT}")
        architecture = description.get("architecture")
        if not isinstance(architecture, dict):
            raise CorruptionError("parent.json has no architecture")
        pair = serialization.read_pair(description, "parent.json")
        source, target = (
            Tokenizer(serialization.require_piece(pieces, f"{side}.model")) for side in ("source", "target")
        )
        return cls(
            pair=pair,
            architecture=Architecture.from_json(cast(dict[str, object], architecture)),
            tensors=serialization.read_tensors(pieces, GROUPS),
            source=LanguageSide(pair.source, source),
            target=LanguageSide(pair.target, target),
        )
