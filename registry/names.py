"""Names of parents and modules: what is allowed, how they are read, and what is said of an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from continual_mt.errors import LanguageError, SpecError, UnknownNameError
from continual_mt.languages import Pair

_PARENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LISTED = 20


@dataclass(frozen=True)
class ModuleName:
    """``PARENT/de-en:3`` or ``PARENT/de-en@champion``, taken apart.

    None stands for the only parent; without a version or an alias the newest version is meant.
    """

    parent: str | None
    pair: Pair
    version: int | None
    alias: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModuleName:
        """Read ``de-en``, ``de-en:3`` or ``de-en@champion``, with or without ``PARENT/`` in front.

        Raises UnknownNameError for anything else.
        """
        parent, slash, rest = text.rpartition("/")
        pair, colon, version = rest.partition(":")
        pair, at, alias = (pair, "", "") if colon else rest.partition("@")
        if (slash and not parent) or (colon and not _VERSION.fullmatch(version)) or (at and not is_alias(alias)):
            raise _not_a_module(text)
        try:
            return cls(parent or None, Pair.parse(pair), int(version) if colon else None, alias if at else None)
        except LanguageError as error:
            raise _not_a_module(text) from error


def is_alias(name: str) -> bool:
    """Whether an alias may have this name: small letters, digits, ``_`` and ``-``, a letter first, 32 at most."""
    return _ALIAS.fullmatch(name) is not None


def check_parent_name(name: str) -> None:
    """Raises SpecError for a name that could not be a part of a module's full name or of a file's."""
    if not _PARENT.fullmatch(name):
        raise SpecError(
            f"the parent's name {name[:80]!r}",
            ["it has to be 1 to 64 letters, digits, '_', '.' or '-', and start with none of the last two"],
        )


def unknown(kind: str, name: str, there_are: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not there: lists what is, and guesses what was meant."""
    names = sorted(set(there_are))
    if not names:
        return UnknownNameError(f"there is no {kind} {name[:80]!r}; there is none at all yet")
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    close = get_close_matches(name, names, n=1)
    guess = f" (did you mean {close[0]}?)" if close else ""
    return UnknownNameError(f"there is no {kind} {name[:80]!r}{guess}; there is: {listed}")


def _not_a_module(text: str) -> UnknownNameError:
    return UnknownNameError(
        f"{text[:80]!r} is not the name of a module; write de-en for the newest version, de-en:3 for one version, "
        "de-en@champion for an alias, with PARENT/ in front where there are several parents"
    )
