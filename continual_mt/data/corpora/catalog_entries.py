"""Read localisation catalogs from wheels: entries of an English string and its translation.

Portuguese is European Portuguese: the catalogs ``pt`` of homeassistant, Django and horizon, and ``pt_PT`` of wagtail.
They have 19,786 + 320 + 28 + 709 translated English strings of two words or more; the Brazilian catalogs have 6,814 +
338 + 2,015 + 886. Of the homeassistant strings that are translated into both, 62 % differ. Brazilian catalogs are not
read, because a mixture of both variants would be inconsistent training data.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from continual_mt.errors import CorruptionError

# The names of the catalogs of each language. English is the language of the keys.
CATALOG_NAMES = {"es": ("es",), "pt": ("pt", "pt_PT"), "de": ("de",)}
LANGUAGES = ("en", *CATALOG_NAMES)
# Limits against archives that unpack to huge files. The largest real catalog has 250 kB, all together about 15 MB.
MAXIMUM_CATALOG_BYTES = 8 << 20
MAXIMUM_TOTAL_BYTES = 256 << 20

_JSON_NAME = re.compile(r"(.+/translations/)([A-Za-z_-]+)\.json")
_GETTEXT_NAME = re.compile(r"(.+/locale/([A-Za-z_]+)/LC_MESSAGES/\w+)\.(po|mo)")


class Entry(NamedTuple):
    """An English string and its translation into ``language``, both without surrounding space."""

    language: str
    english: str
    translation: str


def read_entries(wheel: Path, catalog_names: Mapping[str, Sequence[str]] = CATALOG_NAMES) -> Iterator[Entry]:
    """Yield every translated entry of a wheel, in an order that depends on its content only.

    ``catalog_names`` has the names of the catalogs to read, for each language but English. Nothing is unpacked to disk
    or executed. Raises CorruptionError if the file is not a wheel, a catalog cannot be parsed, or catalogs exceed
    MAXIMUM_CATALOG_BYTES each or MAXIMUM_TOTAL_BYTES together.
    """
    languages = {name: language for language, names in catalog_names.items() for name in names}
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = _Members(archive)
            yield from _json_entries(members, languages)
            yield from _gettext_entries(members, languages)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CorruptionError(f"{wheel}: not a readable wheel ({error})") from error
    except (ValueError, OSError, RuntimeError, struct.error) as error:
        raise CorruptionError(f"{wheel}: invalid catalog ({error})") from error


class _Members:
    """The files of an archive, read with limits on their sizes."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left = MAXIMUM_TOTAL_BYTES
        self.names = sorted(set(archive.namelist()))

    def read(self, name: str) -> bytes:
        limit = min(MAXIMUM_CATALOG_BYTES, self._left)
        with self._archive.open(name) as member:
            content = member.read(limit + 1)
        if len(content) > limit:
            raise ValueError(f"{name} unpacks to more than {limit:,} bytes")
        self._left -= len(content)
        return content


def _json_entries(members: _Members, languages: Mapping[str, str]) -> Iterator[Entry]:
    """Read Home Assistant's catalogs: one JSON file per language, whose keys are those of ``en.json``."""
    folders: dict[str, dict[str, str]] = {}
    for name in members.names:
        if match := _JSON_NAME.fullmatch(name):
            folders.setdefault(match[1], {})[match[2].replace("-", "_")] = name
    for catalogs in folders.values():
        translated = [name for name in catalogs if name in languages]
        if "en" not in catalogs or not translated:
            continue
        english = dict(_leaves(json.loads(members.read(catalogs["en"]))))
        for name in translated:
            for key, translation in _leaves(json.loads(members.read(catalogs[name]))):
                if key in english:
                    yield Entry(languages[name], english[key].strip(), translation.strip())


def _leaves(value: object, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*key, name))
    elif isinstance(value, str):
        yield key, value


def _gettext_entries(members: _Members, languages: Mapping[str, str]) -> Iterator[Entry]:
    """Read gettext catalogs, whose keys are English.

    A ``.po`` file is preferred to its ``.mo`` file, because it marks fuzzy and obsolete entries.
    """
    found: dict[str, tuple[str, str]] = {}
    for name in members.names:
        match = _GETTEXT_NAME.fullmatch(name)
        if match and match[2] in languages:
            # Sorted, so that "x.mo" comes before "x.po", which replaces it.
            found[match[1]] = (name, languages[match[2]])
    for name, language in found.values():
        content = members.read(name)
        for english, translation in _parse_po(content) if name.endswith(".po") else _parse_mo(content):
            yield Entry(language, english.strip(), translation.strip())


def _parse_po(content: bytes) -> Iterator[tuple[str, str]]:
    import polib

    # Entries with plural forms have no msgstr and are skipped: nearly all of them contain a placeholder anyway.
    for entry in polib.pofile(content.decode("utf-8-sig")):
        if entry.msgstr and not entry.fuzzy and not entry.obsolete:
            yield entry.msgid, entry.msgstr


def _parse_mo(content: bytes) -> Iterator[tuple[str, str]]:
    import polib

    with tempfile.NamedTemporaryFile(suffix=".mo") as file:
        file.write(content)
        file.flush()
        entries = polib.mofile(file.name)
    for entry in entries:
        if entry.msgstr:
            yield entry.msgid, entry.msgstr
