from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel
from typer.main import get_command

from continual_mt.cli.main import app
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from docs.generate import SPECS, command_line_page, main, specs_page


def sections(page: str) -> dict[str, str]:
    """The text under each second-level heading."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def visible(command: Any, words: tuple[str, ...] = ("continual-mt",)) -> Iterator[tuple[str, Any]]:
    for name, below in command.commands.items():
        if not below.hidden:
            if hasattr(below, "commands"):
                yield from visible(below, (*words, name))
            else:
                yield " ".join((*words, name)), below


VERBS = dict(visible(get_command(app)))
COMMAND_LINE = sections(command_line_page())


def test_every_verb_has_a_section_and_nothing_else_has() -> None:
    assert list(COMMAND_LINE) == list(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_described_with_every_option_and_example(name: str) -> None:
    section, verb = COMMAND_LINE[name], VERBS[name]
    assert verb.help.splitlines()[0] in section
    for parameter in verb.params:
        named = [option for option in parameter.opts if option.startswith("-")]
        for option in named:
            assert re.search(rf"^\| `[^`|]*{re.escape(option)}[ `,]", section, re.MULTILINE), option
    for line in verb.epilog.splitlines():
        if line.strip().startswith("continual-mt "):
            assert f"\n{line.strip()}\n" in section


def keyed(kind: type[Any]) -> Iterator[type[Any]]:
    """A class of keys and all that are nested in it."""
    yield kind
    for annotation in get_type_hints(kind).values():
        yield from (below for part in parts(annotation) for below in keyed(part))


def parts(annotation: Any) -> Iterator[type[Any]]:
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        yield annotation
    else:
        yield from (part for argument in get_args(annotation) for part in parts(argument))


def keys_of(kind: type[Any]) -> list[str]:
    return list(kind.model_fields) if issubclass(kind, BaseModel) else [field.name for field in fields(kind)]


KEYS = sections(specs_page())
NESTED = {kind for spec in (ParentSpec, AdditionSpec, SequenceSpec) for kind in keyed(spec)}


def test_every_class_of_keys_has_a_section() -> None:
    assert set(SPECS) == NESTED
    assert list(KEYS) == list(SPECS.values())


@pytest.mark.parametrize("kind", sorted(NESTED, key=lambda kind: kind.__name__))
def test_every_key_has_values_a_default_and_a_meaning(kind: type[Any]) -> None:
    section = KEYS[SPECS[kind]]
    rows = {
        cells[0].strip("| `"): cells[1:]
        for line in section.splitlines()
        if line.startswith("| `") and len(cells := [cell.strip(" |") for cell in line.split(" | ")]) == 4
    }
    assert list(rows) == keys_of(kind)
    assert not [key for key, cells in rows.items() if not all(cells)]


def test_values_and_defaults_are_those_of_the_models() -> None:
    page = KEYS
    assert "| `beam` | integer from 1 to 64 | `5` |" in page["An addition"]
    assert "| `pair` | text | required |" in page["An addition"]
    assert "| `dropout` | number from 0 below 1 | `0.1` |" in page["Training"]
    assert "| `learning_rates` | mapping of `source`, `encoder`, `decoder`" in page["Training"]
    assert "| `training` | [training](#training) | its keys' defaults |" in page["A parent"]
    assert "| `scale_embedding` | `true`, `false` | `true` |" in page["Architecture of a parent"]
    assert "| `cpus` | integer from 1 | none |" in page["Resources"]


def test_a_page_is_printed_for_those_who_build_no_site(capsys: pytest.CaptureFixture[str]) -> None:
    main(["specs"])
    assert capsys.readouterr().out == f"{specs_page()}\n"


def test_an_unknown_page_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"^usage: python -m docs\.generate cli\|specs$"):
        main(["all"])
