"""Read specs from files and from the command line. Each problem is reported with the key that it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from continual_mt.config.safe_yaml import load_yaml, shown
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec, merge
from continual_mt.data.corpora.read_once import reads_once
from continual_mt.errors import SpecError
from continual_mt.suggest import suggest

AnySpec = TypeVar("AnySpec", ParentSpec, AdditionSpec, SequenceSpec)
_MAXIMUM_BYTES = 1_000_000
_OF_AN_ADDITION = re.compile(r"additions ([0-9]+)(.*)", re.DOTALL)


def validate(kind: type[AnySpec], values: object, *, origin: str, base: Path | None) -> AnySpec:
    """Return a checked spec. ``base`` is the folder of relative paths.

    It is None for a spec from the registry, whose files may have been deleted. Raises SpecError with all problems.
    """
    try:
        return kind.model_validate(values, context={"base": base})
    except ValidationError as error:
        problems = [_describe(kind, problem) for problem in error.errors(include_url=False)]
        raise SpecError(origin, _together(problems)) from error


def _together(problems: Iterable[str]) -> list[str]:
    """Report a problem once that several additions share, such as a wrong default beside them."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        addition = _OF_AN_ADDITION.fullmatch(problem)
        numbers = found.setdefault(addition[2] if addition else problem, [])
        numbers += [addition[1]] if addition else []
    return [f"additions {', '.join(numbers)}{words}" if numbers else words for words, numbers in found.items()]


def _describe(kind: type[Any], problem: Mapping[str, Any]) -> str:
    place = ""
    for part in problem["loc"]:
        if part == "[key]":  # pydantic's mark for a key; the part before it is the key
            continue
        # Positions are shown from 1.
        place += f" {part + 1}" if isinstance(part, int) else f".{part}" if place else part
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        message = f"unknown key{_known(kind, problem['loc'])}"
    elif problem["type"] in ("model_type", "dataclass_type"):
        message = f"expected a mapping with the keys {', '.join(_keys(kind, (*problem['loc'], '')))}"
    elif problem["type"] == "missing":
        message = "missing"
    elif isinstance(given := problem["input"], str | int | float) and message.startswith("Input"):
        message += f", not {str(given)[:60]!r}" if isinstance(given, str) else f", not {given}"
    return f"{shown(place)}: {shown(message)}" if place else shown(message)


def _known(kind: type[Any], place: Sequence[str | int]) -> str:
    """A suggestion for a misspelt key, and all valid keys."""
    keys = _keys(kind, place)
    return f"{suggest(str(place[-1]), keys)}; expected one of: {', '.join(keys)}"


def _keys(kind: type[Any], place: Sequence[str | int]) -> list[str]:
    """The valid keys at the last part of a place, in a spec of this kind."""
    for part in place[:-1]:
        if isinstance(part, str):
            kind = _with_keys(get_type_hints(kind)[part]) or kind
    return list(kind.model_fields) if issubclass(kind, BaseModel) else [field.name for field in fields(kind)]


def _with_keys(annotation: Any) -> type[Any] | None:
    """The class in an annotation whose fields are keys: AdditionSpec in ``tuple[AdditionSpec, ...]``."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    return next(filter(None, map(_with_keys, get_args(annotation))), None)


def read_values(path: Path) -> dict[str, object]:
    """Return the keys of a YAML or JSON spec file, unchecked. Raises SpecError if it holds no mapping."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_BYTES + 1)
        text = content.decode()
    except FileNotFoundError as error:
        raise SpecError(str(path), ["file does not exist"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(str(path), [f"cannot be read ({error})"]) from error
    if len(content) > _MAXIMUM_BYTES:
        raise SpecError(str(path), [f"larger than {_MAXIMUM_BYTES:,} bytes; expected a spec"])
    try:
        values = load_yaml(text)
    except ValueError as error:
        raise SpecError(str(path), [f"invalid YAML ({error})"]) from error
    if not isinstance(values, dict):
        raise SpecError(str(path), ["expected a mapping of keys to values, such as 'pair: de-en'"])
    return values


def read_spec(kind: type[AnySpec], path: Path) -> AnySpec:
    """Read a spec file. Relative paths are relative to its folder. Raises SpecError with all problems."""
    return validate(kind, read_values(path), origin=str(path), base=folder_of(path))


def folder_of(path: Path) -> Path:
    """The folder that a spec's relative paths are relative to: its own, or the current one for a spec from a pipe."""
    return Path.cwd() if reads_once(path) else path.absolute().parent


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``training.updates=100`` and the like into a nested mapping. Raises SpecError for other forms."""
    result: dict[str, Any] = {}
    problems = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            problems.append(f"{text!r}: expected KEY=VALUE, such as training.updates=1000")
            continue
        try:
            nested: Any = load_yaml(value)
        except ValueError:
            problems.append(f"{text[:80]!r}: {value[:80]!r} is not valid YAML")
            continue
        for part in reversed(key.split(".")):
            nested = {part: nested}
        result = merge(result, nested)
    if problems:
        raise SpecError("--set", problems)
    return result
