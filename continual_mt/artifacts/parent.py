"""Parents: complete models, trained on one pair, that are never changed and are identified by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import cast

from torch import Tensor

from continual_mt.artifacts import serialization
from continual_mt.artifacts.serialization import NewPiece, StoredPiece
from continual_mt.artifacts.side import LanguageSide
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.errors import CorruptionError
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import GROUPS, Architecture, parameter_names

FORMAT = 1
"""The version of the stored format."""


@dataclass(frozen=True, eq=False)
class Parent:
    """The parameters of all five groups, both sides, and the architecture.

    ``stored_fingerprint`` is the fingerprint of a parent that was stored: its values were checked then, and are not
    read again. Raises CorruptionError if names, shapes, dtypes or values of the tensors do not fit the architecture.
    """

    pair: Pair
    architecture: Architecture
    tensors: Mapping[str, Tensor]
    source: LanguageSide
    target: LanguageSide
    stored_fingerprint: InitVar[str | None] = None

    def __post_init__(self, stored_fingerprint: str | None) -> None:
        sizes = {"source": self.source.tokenizer.size, "target": self.target.tokenizer.size}
        names, values = parameter_names(self.architecture), stored_fingerprint is None
        serialization.check_tensors(self.tensors, self.architecture, names, sizes, values=values)
        if stored_fingerprint is not None:
            self.__dict__["fingerprint"] = stored_fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) of everything that determines the output, so not of the language tags."""
        tokenizers = {"source": self.source.tokenizer, "target": self.target.tokenizer}
        return serialization.fingerprint(self.tensors, tokenizers, self.architecture.to_json())

    def side(self, name: SideName) -> LanguageSide:
        return self.source if name == "source" else self.target

    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    def pieces(self) -> dict[str, bytes]:
        """Return the stored form: bytes by name. ``from_pieces`` restores the parent bit by bit.

        Raises IncompatibleError for a tokenizer with side tokens.
        """
        return serialization.in_memory(self.new_pieces())

    def new_pieces(self) -> dict[str, NewPiece]:
        """As ``pieces``, with the weights not yet copied."""
        description = {"format": FORMAT, "pair": str(self.pair), "architecture": self.architecture.to_json()}
        return {
            "parent.json": serialization.json_piece(description),
            "source.model": serialization.tokenizer_piece(self.source.tokenizer),
            "target.model": serialization.tokenizer_piece(self.target.tokenizer),
            **serialization.tensor_pieces(self.tensors),
        }

    @classmethod
    def from_pieces(cls, pieces: Mapping[str, StoredPiece], fingerprint: str | None = None) -> Parent:
        """Read what ``pieces`` returned. Raises CorruptionError, with the name of the piece at fault.

        With the ``fingerprint`` under which the parent was stored, weights in open files are only mapped.
        """
        description = serialization.read_json(pieces, "parent.json")
        if description.get("format") != FORMAT:
            raise CorruptionError(f"parent.json: unknown format {description.get('format')!r}; expected {FORMAT}")
        architecture = description.get("architecture")
        if not isinstance(architecture, dict):
            raise CorruptionError("parent.json: missing architecture; expected a JSON object")
        pair = serialization.read_pair(description, "parent.json")
        models = [serialization.require_piece(pieces, f"{side}.model") for side in ("source", "target")]
        source = Tokenizer(models[0])
        target = source if models[0] == models[1] else Tokenizer(models[1])
        return cls(
            pair=pair,
            architecture=Architecture.from_json(cast(dict[str, object], architecture)),
            tensors=serialization.read_tensors(pieces, GROUPS),
            source=LanguageSide(pair.source, source),
            target=LanguageSide(pair.target, target),
            stored_fingerprint=fingerprint,
        )
