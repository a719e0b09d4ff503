"""What an addition was trained against in place of its parent's own parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages
from continual_mt.errors import IncompatibleError
from continual_mt.languages import NewSide, Pair, SideName, ends_of

Part = Literal["source", "cross_attention", "target"]
PARTS: tuple[Part, ...] = get_args(Part)

_Module = TypeVar("_Module")
_Other = TypeVar("_Other")


@dataclass(frozen=True)
class RestsOn(Generic[_Module]):
    """The modules that an addition rests on, as keys, names or digests; None where it has the parent's part.

    ``source`` and ``target`` are the modules whose side it was trained with. The module ``cross_attention`` gives the
    cross-attention and the decoder that it started from: all of these that it does not store itself are that module's.
    """

    source: _Module | None = None
    cross_attention: _Module | None = None
    target: _Module | None = None

    def items(self) -> Iterator[tuple[Part, _Module]]:
        """The parts that are a module's."""
        for part in PARTS:
            if (module := self.part(part)) is not None:
                yield part, module

    def part(self, part: Part) -> _Module | None:
        module: _Module | None = getattr(self, part)
        return module

    @property
    def modules(self) -> tuple[_Module, ...]:
        """The modules, without duplicates."""
        found: list[_Module] = []
        for _, module in self.items():
            if module not in found:
                found.append(module)
        return tuple(found)

    def mapped(self, change: Callable[[_Module], _Other]) -> RestsOn[_Other]:
        """The same parts with other names of the modules."""
        return RestsOn(**{part: change(module) for part, module in self.items()})


PARENT_ALONE: RestsOn[Any] = RestsOn()
"""Of an addition that rests on nothing but its parent."""


def side_of(new: Mapping[SideName, object]) -> NewSide:
    """Return which sides are new."""
    if len(new) == 1:
        return next(iter(new))
    return "both" if new else "none"


def check_sides(pair: Pair, side: NewSide, rests_on: RestsOn[Any], languages: ParentLanguages) -> None:
    """Check that each side of a pair is new, that of a module which the addition rests on, or the parent's.

    Raises IncompatibleError.
    """
    for end in ENDS:
        rests = rests_on.part(end) is not None
        if end in ends_of(side):
            if rests:
                raise IncompatibleError(f"{pair}: its {end} side is new, and cannot rest on another module's")
        elif not rests and languages.side(end, pair.language(end)) is None:
            raise IncompatibleError(
                f"{pair}: its {end} language {pair.language(end)} is neither new, nor the parent's {languages}, nor of "
                "a module that it rests on"
            )
