"""Licences of models of other projects, as their model cards name them."""

from __future__ import annotations

import re
from pathlib import Path

from continual_mt.config.safe_yaml import load_yaml, shown
from continual_mt.errors import StorageError

CARD = "README.md"
_HEADER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_NON_COMMERCIAL = re.compile(r"(?<![a-z])(nc|non[- ]?commercial|research[- ]only)(?![a-z])", re.IGNORECASE)


def read_licence(folder: Path) -> str | None:
    """Return the licence that the header of a folder's model card names, None if it names none.

    Raises StorageError if the card cannot be read.
    """
    try:
        text = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{folder / CARD}: cannot be read: {error.strerror or error}") from error
    header = _HEADER.match(text)
    try:
        values = load_yaml(header[1]) if header else None
    except ValueError:  # cards are written by hand, and are for reading
        return None
    if not isinstance(values, dict):
        return None
    found = values.get("license")
    names = [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str) and name.strip()]
    if names == ["other"] and isinstance(values.get("license_name"), str):
        names = [values["license_name"]]
    return shown(", ".join(" ".join(name.split()) for name in names)) or None


def is_non_commercial(licence: str | None) -> bool:
    """Whether a licence allows no commercial use, by its name, as that of NLLB (``cc-by-nc-4.0``)."""
    return licence is not None and _NON_COMMERCIAL.search(licence) is not None
