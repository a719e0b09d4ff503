"""Names of parents, modules and aliases, tags and notes: parsing, validation, and the error for unknown names."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from continual_mt.errors import LanguageError, SpecError, UnknownNameError
from continual_mt.languages import Pair
from continual_mt.suggest import suggest

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_PAIR = re.compile(r"[^-]+-[^-]+")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NEWEST = "latest"
_NOTE_CHARACTERS = 10_000
_WHO_CHARACTERS = 200
_LISTED = 20
_SHOWN = 80


@dataclass(frozen=True)
class ModuleName:
    """``PARENT/de-en:3`` or ``PARENT/de-en@champion``, taken apart.

    A parent of None means the only one. Without a version or an alias, the name means the selected module of the pair.
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
        if not _PAIR.fullmatch(pair):  # invalid pairs have their own error
            raise _not_a_module(text)
        try:
            return cls(parent or None, Pair.parse(pair), int(version) if colon else None, alias if at else None)
        except LanguageError as error:
            raise UnknownNameError(f"{text[:_SHOWN]!r} is the name of no module: {error}") from error

    @classmethod
    def is_one(cls, text: str) -> bool:
        try:
            cls.parse(text)
        except UnknownNameError:
            return False
        return True


@dataclass(frozen=True)
class AliasName:
    """``PARENT/de-en@champion``, taken apart; the parent is None where it is the only one."""

    parent: str | None
    pair: Pair
    alias: str

    @classmethod
    def parse(cls, text: str) -> AliasName:
        """Raises UnknownNameError for an invalid alias name, and for ``latest``."""
        _, at, alias = text.rpartition("@")
        if not at or not is_alias(alias):
            raise UnknownNameError(
                f"{text[:_SHOWN]!r} is not the name of an alias; write de-en@champion, with PARENT/ in front where "
                "there are several parents; an alias is 1 to 32 small letters, digits, '_' or '-', a letter first"
            )
        if alias == _NEWEST:
            raise UnknownNameError(f"{_NEWEST!r} cannot be an alias; name the newest version by its number")
        name = ModuleName.parse(text)
        return cls(name.parent, name.pair, alias)

    def __str__(self) -> str:
        return f"{self.parent}/{self.pair}@{self.alias}" if self.parent else f"{self.pair}@{self.alias}"


def full_name(parent: str, source: str, target: str, version: int) -> str:
    """``PARENT/de-en:3``."""
    return f"{parent}/{source}-{target}:{version}"


def is_alias(name: str) -> bool:
    """Whether an alias may have this name: small letters, digits, ``_`` and ``-``, a letter first, 32 at most."""
    return _ALIAS.fullmatch(name) is not None


def is_free_alias(name: str) -> bool:
    """Whether an alias of this name may be given: ``latest`` means the newest version."""
    return is_alias(name) and name != _NEWEST


def check_parent_name(name: str) -> None:
    """Raises SpecError for a name that could not be a part of a module's full name or of a file's."""
    _check_name("parent's name", name)


def check_tag(tag: str) -> None:
    """Raises SpecError for what is no word to be searched for."""
    _check_name("tag", tag)


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"the {what} {name[:_SHOWN]!r}",
            ["it has to be 1 to 64 letters, digits, '_', '.' or '-', and start with none of the last two"],
        )


def check_note(text: str) -> None:
    """Raises SpecError for a note that is empty, too long, or that a terminal could not show."""
    if not text.strip() or len(text) > _NOTE_CHARACTERS or not is_printable(text):
        raise SpecError(
            f"the note {text[:_SHOWN]!r}",
            [f"it has to be 1 to {_NOTE_CHARACTERS:,} characters; of control characters only tabs and line breaks"],
        )


def is_printable(text: str) -> bool:
    """Whether a text of several lines holds nothing that a database or a terminal could not take."""
    return text.replace("\n", "").replace("\t", "").isprintable()


def author(who: str | None = None) -> str:
    """Return the author of a change: ``who``, or ``user@host`` if it is None. Raises SpecError for an invalid name."""
    name = f"{_user()}@{socket.gethostname()}" if who is None else who
    if not name.strip() or len(name) > _WHO_CHARACTERS or not name.isprintable():
        raise SpecError(
            f"the author {name[:_SHOWN]!r}",
            [f"it has to be 1 to {_WHO_CHARACTERS} characters in one line, none of them a control character"],
        )
    return name


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no entry in its password file
        return str(os.getuid())


def unknown(kind: str, name: str, there_are: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown name: it lists the known names and suggests the closest one."""
    names = sorted(set(there_are))
    if not names:
        return UnknownNameError(f"unknown {kind} {name[:_SHOWN]!r}: none is registered yet")
    listed = ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
    guess = suggest(name, names)
    return UnknownNameError(f"unknown {kind} {name[:_SHOWN]!r}{guess}; expected one of: {listed}")


def _not_a_module(text: str) -> UnknownNameError:
    return UnknownNameError(
        f"{text[:_SHOWN]!r} is not the name of a module; write de-en for the version that is run, de-en:3 for one "
        "version, de-en@champion for an alias, with PARENT/ in front where there are several parents"
    )
