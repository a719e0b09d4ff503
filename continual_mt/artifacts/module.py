"""Modules: what an addition stores, namely the groups that its scope trained and the new side's tokenizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from typing import cast

from torch import Tensor

from continual_mt.artifacts import serialization
from continual_mt.artifacts.half_precision import rounded
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.serialization import NewPiece, StoredPiece
from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored_precision import StoredPrecision, precision_entry, read_precision
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, InputError
from continual_mt.languages import Pair, SideName
from continual_mt.model.architecture import Group, group_of
from continual_mt.model.low_rank import merged
from continual_mt.model.scopes import (
    SCOPES,
    Scope,
    added_shapes,
    canonical,
    fitted,
    is_canonical,
    trainable_names,
    trained_groups,
)

FORMATS = (1, 2)
"""The versions of the stored format. Version 1 holds float32 weights, and is written wherever it says all."""


@dataclass(frozen=True, eq=False)
class Module:
    """A new language's side and the other parameters that its scope trained; it fits a single parent.

    The tensors are float32; if they are stored in another ``precision``, which need not be the parent's, they are
    rounded to its values here. ``stored_digest`` is the digest of a module that was stored: its values were checked
    then, and are not read again. Raises IncompatibleError for values that are too large for the precision.
    """

    pair: Pair
    side: SideName
    scope: Scope
    parent_fingerprint: str
    tensors: Mapping[str, Tensor]
    new_side: LanguageSide
    stored_digest: InitVar[str | None] = None
    precision: StoredPrecision = field(default="float32", kw_only=True)
    _is_stored: bool = field(default=False, init=False, repr=False)
    _fits: set[str] = field(default_factory=set, init=False, repr=False)
    _merged: dict[Group, Mapping[str, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self, stored_digest: str | None) -> None:
        if stored_digest is not None:
            self.__dict__.update(digest=stored_digest, _is_stored=True)
        else:
            object.__setattr__(self, "tensors", rounded(self.tensors, self.precision))

    @classmethod
    def of(
        cls,
        parent: Parent,
        pair: Pair,
        scope: Scope,
        tensors: Mapping[str, Tensor],
        tokenizer: Tokenizer,
        precision: StoredPrecision = "float32",
    ) -> Module:
        """Build a module for ``parent`` and check that it fits; ``scope`` may have any spelling.

        Raises InputError for a scope that does not exist, IncompatibleError or CorruptionError.
        """
        side = parent.languages.new_side(pair)
        try:
            scope = fitted(canonical(scope), parent.architecture)
        except ValueError as error:
            raise InputError(f"scope: {error}") from error
        table = tokenizer.with_side_tokens(NO_SIDE_TOKENS)  # its sentences' tokens follow from the parent
        new_side = LanguageSide(pair.language(side), table)
        module = cls(pair, side, scope, parent.fingerprint, tensors, new_side, precision=precision)
        module.check_fits(parent)
        return module

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hexadecimal digits) of everything in the module that determines its output."""
        description = {"parent": self.parent_fingerprint, "side": self.side, "scope": self.scope}
        table = self.new_side.tokenizer
        return serialization.fingerprint(self.tensors, {self.side: table}, description, self.precision)

    def stored_in(self, precision: StoredPrecision) -> Module:
        """Return the module with its weights in another precision: another module, with another digest.

        Raises IncompatibleError for values that are too large for it.
        """
        return replace(self, precision=precision)

    @property
    def groups(self) -> tuple[Group, ...]:
        return trained_groups(self.scope, self.side)

    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.tensors.values())

    def weights(self, group: Group, parent: Parent) -> Mapping[str, Tensor]:
        """Return the tensors that this module has in place of the ``parent``'s, or beside them, in one group.

        Low-rank updates are merged into the parent's matrices once, so that models of the same module share them.
        """
        if group not in self._merged:
            tensors = {name: tensor for name, tensor in self.tensors.items() if group_of(name) == group}
            self._merged[group] = merged(tensors, parent.tensors)
        return self._merged[group]

    def check_fits(self, parent: Parent) -> None:
        """Check that the module can be used with ``parent``.

        Raises IncompatibleError if it was trained on another parent, by fingerprint, and CorruptionError if its scope
        or the names, shapes, dtypes or values of its tensors are wrong.
        """
        if self.parent_fingerprint != parent.fingerprint:
            raise IncompatibleError(
                f"the module {self.pair} was trained on the parent {self.parent_fingerprint[:12]}, not on "
                f"{parent.languages} {parent.fingerprint[:12]}. Fix: use the parent that it was trained on"
            )
        other: SideName = "target" if self.side == "source" else "source"
        sizes: dict[str, int] = {other: parent.tokenizer(other, self.pair.language(other)).size}
        sizes[self.side] = self.new_side.tokenizer.size
        if parent.fingerprint not in self._fits:  # once: the check may read all values, and they never change
            _check_scope(self.scope, parent)
            names = trainable_names(parent.architecture, self.scope, self.side)
            added = added_shapes(parent.architecture, self.scope, self.side)
            values = not self._is_stored
            serialization.check_tensors(self.tensors, parent.architecture, names, sizes, added, values=values)
            self._check_tokens(parent)
            self._fits.add(parent.fingerprint)

    def _check_tokens(self, parent: Parent) -> None:
        if self.side == "source":
            lost = [token for token in parent.tokens_of_new_sources if self.new_side.tokenizer.number(token) is None]
            if lost:
                raise CorruptionError(
                    f"source.model: has no piece {lost[0]!r}, which names a target language in the parent's sentences"
                )

    def pieces(self) -> dict[str, bytes]:
        """Return the stored form: bytes by name. ``from_pieces`` restores the module bit by bit.

        Raises IncompatibleError for a tokenizer with side tokens.
        """
        return serialization.in_memory(self.new_pieces())

    def new_pieces(self) -> dict[str, NewPiece]:
        """As ``pieces``, with the weights not yet copied."""
        description = {
            "format": 1 if self.precision == "float32" else 2,
            "pair": str(self.pair),
            "side": self.side,
            "scope": self.scope,
            "parent": self.parent_fingerprint,
            **precision_entry(self.precision),
        }
        return {
            "module.json": serialization.json_piece(description),
            f"{self.side}.model": serialization.tokenizer_piece(self.new_side.tokenizer),
            **serialization.tensor_pieces(self.tensors, self.precision),
        }

    @classmethod
    def from_pieces(cls, pieces: Mapping[str, StoredPiece], digest: str | None = None) -> Module:
        """Read what ``pieces`` returned. Raises CorruptionError, with the name of the piece at fault.

        With the ``digest`` under which the module was stored, float32 weights in open files are only mapped.
        """
        description = serialization.read_json(pieces, "module.json")
        if description.get("format") not in FORMATS:
            raise CorruptionError(
                f"module.json: unknown format {description.get('format')!r}; expected {' or '.join(map(str, FORMATS))}"
            )
        precision = "float32" if description["format"] == 1 else read_precision(description, "module.json")
        scope = description.get("scope")
        if description.get("side") not in ("source", "target") or not isinstance(scope, str) or not is_canonical(scope):
            raise CorruptionError(
                "module.json: unknown side or scope; expected side source or target and scope " + ", ".join(SCOPES)
            )
        parent = description.get("parent")
        if not isinstance(parent, str) or not re.fullmatch("[0-9a-f]{64}", parent):
            raise CorruptionError("module.json: invalid parent; expected a fingerprint of 64 hexadecimal digits")
        pair = serialization.read_pair(description, "module.json")
        side = cast(SideName, description["side"])
        return cls(
            pair=pair,
            side=side,
            scope=scope,
            parent_fingerprint=parent,
            tensors=serialization.read_tensors(pieces, trained_groups(scope, side), precision),
            new_side=LanguageSide(pair.language(side), Tokenizer(serialization.require_piece(pieces, f"{side}.model"))),
            stored_digest=digest,
            precision=precision,
        )


def _check_scope(scope: Scope, parent: Parent) -> None:
    """Raise CorruptionError unless a scope has the spelling that is stored for modules of ``parent``."""
    try:
        expected = fitted(canonical(scope), parent.architecture)
    except ValueError as error:
        raise CorruptionError(f"scope: {error}") from error
    if scope != expected:
        raise CorruptionError(f"scope: is {scope}; expected the spelling {expected}")
