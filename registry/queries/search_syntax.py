"""The language that parents and modules are searched in: ``language=de side=source scope=xattn bleu>30``.

Words are separated by spaces, and all of them have to hold. A word is a field, a comparison (``=``, ``!=``; of numbers
and days also ``<``, ``<=``, ``>``, ``>=``) and a value, in double quotes where it holds a space. Of what there may be
several, such as tags, ``tag=x`` wants one that is x, and ``tag!=x`` none.

A metric, ``bleu``, ``chrf``, ``chrfpp`` or ``offtarget``, is what the module's own supervised recipe (a parent's
original one) reached on some test set, or on that of ``test=NAME``; all conditions on one metric have to hold of the
same score. What was deleted is found with ``deleted=true`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, cast

from continual_mt.artifacts.stored.stored_precision import PRECISIONS
from continual_mt.errors import LanguageError, SpecError
from continual_mt.evaluation.metric_names import METRICS
from continual_mt.languages import Pair, parse_language
from continual_mt.model.scopes import canonical
from continual_mt.suggest import suggest

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
Value = str | int | float | date
TEST = "test"
_CHARACTERS = 10_000
_CONDITIONS = 100
_SHOWN = 80
_WORD = re.compile(r'(?:"[^"]*"|[^\s"])+')
_CONDITION = re.compile(r'(?P<field>[^\s"=!<>]+)(?P<comparison>!=|<=|>=|=|<|>)(?P<value>"[^"]*"|[^"]*)')
_HOW = 'write FIELD=VALUE, such as language=de, bleu>30 or licence="CC BY 4.0"'


@dataclass(frozen=True)
class Field:
    """``read`` parses a value, or raises ValueError with the expected form."""

    read: Callable[[str], Value]
    comparisons: tuple[str, ...] = ("=", "!=")


@dataclass(frozen=True)
class Condition:
    field: str
    comparison: Comparison
    value: Value


@dataclass(frozen=True)
class Query:
    """Conditions that all have to hold."""

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Raises SpecError, naming every word at fault, and nothing else whatever the text."""
        if len(text) > _CHARACTERS:
            raise SpecError("the search", [f"it has {len(text):,} characters; {_CHARACTERS:,} are the most"])
        if text.count('"') % 2:
            raise SpecError(f"the search {text[:_SHOWN]!r}", ["a quotation mark is opened and not closed"])
        conditions: list[Condition] = []
        problems: list[str] = []
        for match in _WORD.finditer(text):
            word = match.group()
            try:
                conditions.append(_condition(word))
            except ValueError as error:
                problems.append(f"{word[:_SHOWN]!r}: {error}")
        if len(conditions) > _CONDITIONS:
            problems.append(f"{len(conditions):,} conditions are more than {_CONDITIONS}")
        if sum(condition.field == TEST for condition in conditions) > 1:
            problems.append(f"{TEST} is given twice; name one test set")
        if problems:
            raise SpecError(f"the search {text[:_SHOWN]!r}", problems)
        return cls(tuple(conditions))

    def of(self, *fields: str) -> list[Condition]:
        return [condition for condition in self.conditions if condition.field in fields]

    @property
    def test(self) -> str | None:
        """The test set that metrics are of."""
        return next((str(condition.value) for condition in self.of(TEST)), None)


def _condition(word: str) -> Condition:
    match = _CONDITION.fullmatch(word)
    if match is None:
        raise ValueError(f"invalid condition; {_HOW}")
    field, comparison, value = match["field"], match["comparison"], match["value"]
    if field not in FIELDS:
        guess = suggest(field, FIELDS)
        raise ValueError(f"unknown field {field[:_SHOWN]!r}{guess}; expected one of: {', '.join(FIELDS)}")
    known = FIELDS[field]
    if comparison not in known.comparisons:
        raise ValueError(f"{field} is compared with {', '.join(known.comparisons)}")
    bare = value[1:-1] if value.startswith('"') else value
    if not bare or not bare.isprintable():
        raise ValueError(f"the value has to be 1 or more characters that can be printed; {_HOW}")
    return Condition(field, cast(Comparison, comparison), known.read(bare))


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"the value has to be one of {', '.join(values)}")
        return text

    return read


def _language(text: str) -> str:
    try:
        return parse_language(text)
    except LanguageError as error:
        raise ValueError(str(error)) from error


def _pair(text: str) -> str:
    try:
        return str(Pair.parse(text))
    except LanguageError as error:
        raise ValueError(str(error)) from error


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{1,64}", text):
        raise ValueError("the value has to be hexadecimal digits in small letters, the first of a digest or all 64")
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError("the value has to be a whole number, such as 3")
    return int(text)


def _points(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError("the value has to be a number, such as 30 or 27.5")
    return float(text)


def _day(text: str) -> date:
    problem = "the value has to be a day in UTC, such as 2026-03-01"
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError(problem)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(problem) from None
    if day == date.max:  # has no next day
        raise ValueError(problem)
    return day


_ALL = ("=", "!=", "<", "<=", ">", ">=")
FIELDS: Mapping[str, Field] = {
    "kind": Field(_one_of("parent", "module")),
    "name": Field(str),
    "parent": Field(str),
    "pair": Field(_pair),
    "source": Field(_language),
    "target": Field(_language),
    "language": Field(_language),
    "side": Field(_one_of("source", "target", "both", "none")),
    "scope": Field(canonical),
    "shared": Field(_one_of("true", "false"), ("=",)),
    "version": Field(_whole, _ALL),
    "tag": Field(str),
    "alias": Field(str),
    "corpus": Field(str),
    "licence": Field(str),
    "run": Field(str),
    "job": Field(_digest),
    "digest": Field(_digest),
    "code": Field(str),
    "created": Field(_day, _ALL),
    "parameters": Field(_whole, _ALL),
    "bytes": Field(_whole, _ALL),
    "precision": Field(_one_of(*PRECISIONS)),
    "deleted": Field(_one_of("true", "false"), ("=",)),
    TEST: Field(str, ("=",)),
} | dict.fromkeys(METRICS, Field(_points, ("=", "<", "<=", ">", ">=")))
