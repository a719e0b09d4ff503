"""Reading specs from files and from the command line, with every problem in words that name its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from continual_mt.config.safe_yaml import load_yaml, shown
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec, merge
from continual_mt.errors import SpecError
from continual_mt.suggest import suggest

AnySpec = TypeVar("AnySpec", ParentSpec, AdditionSpec, SequenceSpec)
_MAXIMUM_BYTES = 1_000_000
_OF_AN_ADDITION = re.compile(r"additions ([0-9]+)(.*)", re.DOTALL)


def validate(kind: type[AnySpec], values: object, *, origin: str, base: Path | None) -> AnySpec:
    """A checked spec; ``base`` roots relative paths, and is None for one on record, whose files may have gone since.

    Raises SpecError with everything that is wrong with ``values``.
    """
    try:
        return kind.model_validate(values, context={"base": base})
    except ValidationError as error:
        problems = [_describe(kind, problem) for problem in error.errors(include_url=False)]
        raise SpecError(origin, _together(problems)) from error


def _together(problems: Iterable[str]) -> list[str]:
    """What is wrong with several additions in the same way, as with a key that stands beside them, is said once."""
    found: dict[str, list[str]] = {}
    for problem in problems:
        addition = _OF_AN_ADDITION.fullmatch(problem)
        numbers = found.setdefault(addition[2] if addition else problem, [])
        numbers += [addition[1]] if addition else []
    return [f"additions {', '.join(numbers)}{words}" if numbers else words for words, numbers in found.items()]


def _describe(kind: type[Any], problem: Mapping[str, Any]) -> str:
    place = ""
    for part in problem["loc"]:
        if part == "[key]":  # of a mapping, which the part before it has named
            continue
        # People count from 1.
        place += f" {part + 1}" if isinstance(part, int) else f".{part}" if place else part
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        message = f"unknown key{_known(kind, problem['loc'])}"
    elif problem["type"] in ("model_type", "dataclass_type"):
        message = f"it has keys of its own: {', '.join(_keys(kind, (*problem['loc'], '')))}"
    elif problem["type"] == "missing":
        message = "missing"
    elif isinstance(given := problem["input"], str | int | float) and message.startswith("Input"):
        message += f", not {str(given)[:60]!r}" if isinstance(given, str) else f", not {given}"
    return f"{shown(place)}: {shown(message)}" if place else shown(message)


def _known(kind: type[Any], place: Sequence[str | int]) -> str:
    """The key that was meant, perhaps, and those that there are."""
    keys = _keys(kind, place)
    return f"{suggest(str(place[-1]), keys)}; there is: {', '.join(keys)}"


def _keys(kind: type[Any], place: Sequence[str | int]) -> list[str]:
    """The keys that may stand where the last part of a place does, in a spec of this kind."""
    for part in place[:-1]:
        if isinstance(part, str):
            kind = _with_keys(get_type_hints(kind)[part]) or kind
    return list(kind.model_fields) if issubclass(kind, BaseModel) else [field.name for field in fields(kind)]


def _with_keys(annotation: Any) -> type[Any] | None:
    """The class in an annotation whose fields are keys: of ``tuple[AdditionSpec, ...]`` it is AdditionSpec."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return annotation
    return next(filter(None, map(_with_keys, get_args(annotation))), None)


def read_values(path: Path) -> dict[str, object]:
    """The keys of a YAML (or JSON) spec file, not checked yet. Raises SpecError when it holds none."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAXIMUM_BYTES + 1)
        text = content.decode()
    except FileNotFoundError as error:
        raise SpecError(str(path), ["there is no such file"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(str(path), [f"cannot be read ({error})"]) from error
    if len(content) > _MAXIMUM_BYTES:
        raise SpecError(str(path), [f"is longer than {_MAXIMUM_BYTES:,} bytes; no spec is"])
    try:
        values = load_yaml(text)
    except ValueError as error:
        raise SpecError(str(path), [f"is not YAML ({error})"]) from error
    if not isinstance(values, dict):
        raise SpecError(str(path), ["a spec is a mapping of keys to values, such as 'pair: de-en'"])
    return values


def read_spec(kind: type[AnySpec], path: Path) -> AnySpec:
    """Read a spec file; relative paths count from its folder. Raises SpecError with everything that is wrong."""
    return validate(kind, read_values(path), origin=str(path), base=path.absolute().parent)


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """``training.updates=100`` and the like, as the nested mapping that they mean. Raises SpecError for other forms."""
    result: dict[str, Any] = {}
    problems = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            problems.append(f"{text!r} is not KEY=VALUE, such as training.updates=1000")
            continue
        try:
            nested: Any = load_yaml(value)
        except ValueError:
            problems.append(f"{text[:80]!r}: {value[:80]!r} is not a value that YAML can read")
            continue
        for part in reversed(key.split(".")):
            nested = {part: nested}
        result = merge(result, nested)
    if problems:
        raise SpecError("--set", problems)
    return result
