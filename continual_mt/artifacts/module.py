"""Modules: what an addition stores, namely the groups that its scope trained and the tokenizers of new sides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from typing import cast, get_args

from torch import Tensor

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.rests_on import PARENT_ALONE, PARTS, RestsOn, check_sides, side_of
from continual_mt.artifacts.side import LanguageSide
from continual_mt.artifacts.stored import serialization
from continual_mt.artifacts.stored.serialization import NewPiece, StoredPiece
from continual_mt.artifacts.stored.stored_precision import StoredPrecision, precision_entry, read_precision
from continual_mt.artifacts.stored.weight_formats import rounded
from continual_mt.data.tokenizer import NO_SIDE_TOKENS, Tokenizer
from continual_mt.errors import CorruptionError, IncompatibleError, InputError
from continual_mt.languages import NewSide, Pair, SideName, ends_of
from continual_mt.model.architecture import Group, group_of
from continual_mt.model.low_rank import merged
from continual_mt.model.scopes import (
    SCOPES,
    Scope,
    added_shapes,
    canonical,
    check_side,
    fitted,
    is_canonical,
    trainable_names,
    trained_groups,
)

FORMATS = (1, 2)
"""The versions of the stored format. Version 1 holds float32 weights, one new side, and nothing that the module rests
on but its parent. It is written wherever it says all."""
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, eq=False)
class Module:
    """The new sides and the other parameters that a scope trained; it fits a single parent, and what it rests on.

    ``new_sides`` has one side, mostly; both for a pair of two new languages, none for a bridge. ``rests_on`` are the
    digests of the modules that it was trained against.

    The tensors are float32; if they are stored in another ``precision``, which need not be the parent's, they are
    rounded to its values here. ``stored_digest`` is the digest of a module that was stored: its values were checked
    then, and are not read again. Raises IncompatibleError for values that are too large for the precision.
    """

    pair: Pair
    side: NewSide
    scope: Scope
    parent_fingerprint: str
    tensors: Mapping[str, Tensor]
    new_sides: Mapping[SideName, LanguageSide]
    stored_digest: InitVar[str | None] = None
    precision: StoredPrecision = field(default="float32", kw_only=True)
    rests_on: RestsOn[str] = field(default=PARENT_ALONE, kw_only=True)
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
        new: Tokenizer | Mapping[SideName, Tokenizer],
        precision: StoredPrecision = "float32",
        rests_on: RestsOn[str] = PARENT_ALONE,
    ) -> Module:
        """Build a module for ``parent`` and check that it fits; ``scope`` may have any spelling.

        ``new`` is the tokenizer of the side that is new to the parent, or the tokenizers of all new sides. Raises
        InputError for a scope that does not exist, or not for these sides, IncompatibleError or CorruptionError.
        """
        tokenizers = {parent.languages.new_side(pair): new} if isinstance(new, Tokenizer) else new
        side = side_of(tokenizers)
        try:
            scope = fitted(canonical(scope), parent.architecture)
            check_side(scope, side)
        except ValueError as error:
            raise InputError(f"scope: {error}") from error
        # The tokens of a new language's sentences follow from the parent.
        tables = {end: tokenizers[end].with_side_tokens(NO_SIDE_TOKENS) for end in ends_of(side)}
        sides = {end: LanguageSide(pair.language(end), table) for end, table in tables.items()}
        module = cls(pair, side, scope, parent.fingerprint, tensors, sides, precision=precision, rests_on=rests_on)
        module.check_fits(parent)
        return module

    @cached_property
    def digest(self) -> str:
        """SHA-256 (64 hexadecimal digits) of everything in the module that determines its output."""
        description: dict[str, object] = {"parent": self.parent_fingerprint, "side": self.side, "scope": self.scope}
        description |= self._rests_on_json()
        tables: dict[str, Tokenizer] = {end: side.tokenizer for end, side in self.new_sides.items()}
        return serialization.fingerprint(self.tensors, tables, description, self.precision)

    @property
    def new_side(self) -> LanguageSide:
        """The new side of a module that has just one."""
        (side,) = self.new_sides.values()
        return side

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

    def weights(self, group: Group, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors that this module has in place of others, or beside them, in one group.

        ``tensors`` are those of the parent, with what the module rests on in their place. Low-rank updates are merged
        into these once, so that models of the same module share them.
        """
        if group not in self._merged:
            own = {name: tensor for name, tensor in self.tensors.items() if group_of(name) == group}
            self._merged[group] = merged(own, tensors)
        return self._merged[group]

    def check_fits(self, parent: Parent) -> None:
        """Check that the module can be used with ``parent``.

        Raises IncompatibleError if it was trained on another parent, by fingerprint, or has a side that neither it nor
        the parent nor what it rests on has; CorruptionError if its scope or the names, shapes, dtypes or values of its
        tensors are wrong.
        """
        if self.parent_fingerprint != parent.fingerprint:
            raise IncompatibleError(
                f"the module {self.pair} was trained on the parent {self.parent_fingerprint[:12]}, not on "
                f"{parent.languages} {parent.fingerprint[:12]}. Fix: use the parent that it was trained on"
            )
        if parent.fingerprint in self._fits:  # the check may read all values, and they never change
            return
        check_sides(self.pair, self.side, self.rests_on, parent.languages)
        _check_scope(self.scope, parent, self.side)
        known = [end for end in ENDS if parent.languages.side(end, self.pair.language(end)) is not None]
        sizes: dict[str, int] = dict.fromkeys(ENDS, 0)  # of a side that is another module's no tensor is checked
        sizes |= {end: parent.tokenizer(end, self.pair.language(end)).size for end in known}
        sizes |= {end: side.tokenizer.size for end, side in self.new_sides.items()}
        names = trainable_names(parent.architecture, self.scope, self.side)
        added = added_shapes(parent.architecture, self.scope, self.side)
        values = not self._is_stored
        serialization.check_tensors(self.tensors, parent.architecture, names, sizes, added, values=values)
        self._check_tokens(parent)
        self._fits.add(parent.fingerprint)

    def _check_tokens(self, parent: Parent) -> None:
        if "source" in self.new_sides:
            table = self.new_sides["source"].tokenizer
            lost = [token for token in parent.tokens_of_new_sources if table.number(token) is None]
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
            "format": 1 if self._is_of_format_1 else 2,
            "pair": str(self.pair),
            "side": self.side,
            "scope": self.scope,
            "parent": self.parent_fingerprint,
            **precision_entry(self.precision),
            **self._rests_on_json(),
        }
        return {
            "module.json": serialization.json_piece(description),
            **{f"{end}.model": serialization.tokenizer_piece(side.tokenizer) for end, side in self.new_sides.items()},
            **serialization.tensor_pieces(self.tensors, self.precision),
        }

    @property
    def _is_of_format_1(self) -> bool:
        return self.precision == "float32" and len(self.new_sides) == 1 and not self.rests_on.modules

    def _rests_on_json(self) -> dict[str, object]:
        """The entry of the description, which is left out where the module rests on nothing but its parent."""
        return {"rests_on": dict(self.rests_on.items())} if self.rests_on.modules else {}

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
        is_first, scope, side = description["format"] == 1, description.get("scope"), description.get("side")
        has_more = "rests_on" in description or side in ("both", "none")
        is_float32 = is_first or (has_more and "precision" not in description)
        precision = "float32" if is_float32 else read_precision(description, "module.json")
        sides = ("source", "target") if is_first else get_args(NewSide)
        if side not in sides or not isinstance(scope, str) or not is_canonical(scope):
            raise CorruptionError(
                f"module.json: unknown side or scope; expected side {' or '.join(sides)} and scope {', '.join(SCOPES)}"
            )
        parent = description.get("parent")
        if not isinstance(parent, str) or not _DIGEST.fullmatch(parent):
            raise CorruptionError("module.json: invalid parent; expected a fingerprint of 64 hexadecimal digits")
        pair, side = serialization.read_pair(description, "module.json"), cast(NewSide, side)
        tables = {end: Tokenizer(serialization.require_piece(pieces, f"{end}.model")) for end in ends_of(side)}
        return cls(
            pair=pair,
            side=side,
            scope=scope,
            parent_fingerprint=parent,
            tensors=serialization.read_tensors(pieces, trained_groups(scope, side), precision, values=digest is None),
            new_sides={end: LanguageSide(pair.language(end), table) for end, table in tables.items()},
            stored_digest=digest,
            precision=precision,
            rests_on=PARENT_ALONE if is_first else _read_rests_on(description),
        )


def _read_rests_on(description: Mapping[str, object]) -> RestsOn[str]:
    found = description.get("rests_on", {})
    if (
        not isinstance(found, dict)
        or not found.keys() <= set(PARTS)
        or not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in found.values())
    ):
        raise CorruptionError(
            f"module.json: invalid rests_on; expected digests of 64 hexadecimal digits under some of {', '.join(PARTS)}"
        )
    return RestsOn(**found)


def _check_scope(scope: Scope, parent: Parent, side: NewSide) -> None:
    """Raise CorruptionError unless a scope has the spelling that is stored for modules of ``parent``."""
    try:
        expected = fitted(canonical(scope), parent.architecture)
        check_side(scope, side)
    except ValueError as error:
        raise CorruptionError(f"scope: {error}") from error
    if scope != expected:
        raise CorruptionError(f"scope: is {scope}; expected the spelling {expected}")
