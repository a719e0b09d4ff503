"""Write the reference pages of the documentation from the code: the command line's verbs and the keys of specs.

    python -m docs.generate cli      # or: specs

`mkdocs build` calls this through `docs/hooks.py`; the pages are never committed, so they cannot go out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from continual_mt.cli.main import app
from continual_mt.cli.support.options import PROGRAM
from continual_mt.config.hyperparameters import TrainingSettings
from continual_mt.config.monolingual_spec import BackTranslationSpec, DenoisingSpec
from continual_mt.config.spec import (
    AdditionSpec,
    CorpusSpec,
    InitTextSpec,
    ParentSpec,
    Resources,
    SequenceSpec,
    TestSpec,
    TrainedPair,
    VocabularySpec,
)
from continual_mt.model.architecture import Architecture

# One section each, in the order of the page. The first three are whole files, the others parts of them.
SPECS: Mapping[type[Any], str] = {
    ParentSpec: "A parent",
    AdditionSpec: "An addition",
    SequenceSpec: "A sequence",
    CorpusSpec: "Corpora: train and dev",
    TestSpec: "Test sets: tests",
    InitTextSpec: "Text of a pair of the parent: init_text",
    BackTranslationSpec: "Text to back-translate: back_translation",
    DenoisingSpec: "Text to restore from noise: denoising",
    TrainedPair: "Pairs of a parent: pairs",
    TrainingSettings: "Training",
    Resources: "Resources",
    VocabularySpec: "Vocabulary of a parent",
    Architecture: "Architecture of a parent",
}


def command_line_page() -> str:
    """Return the Markdown page of every verb that the help shows, with its options, defaults and examples."""
    sections = [_verb(name, command) for name, command in verbs()]
    return (
        "# Command line\n\nExit code 0 is success, 1 a failure, 2 misuse (a wrong option, spec or name). "
        "`--home`, where a verb has it, may be replaced by the variable `CONTINUAL_MT_HOME`.\n\n" + "\n".join(sections)
    )


def verbs() -> Iterator[tuple[str, TyperCommand]]:
    """Yield each verb that is not hidden by its full name, such as `continual-mt registry list`."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    yield from _below(PROGRAM, root)


def _below(name: str, group: TyperGroup) -> Iterator[tuple[str, TyperCommand]]:
    for word, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, TyperGroup):
            yield from _below(f"{name} {word}", command)
        elif isinstance(command, TyperCommand):
            yield f"{name} {word}", command


def _verb(name: str, command: TyperCommand) -> str:
    context = command.context_class(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    text = (command.help or "").replace("\b\n", "")
    parts = [
        f"## {name}",
        _code(usage),
        text,
        _table(("argument or option", "meaning"), [_option(*row) for row in rows]),
    ]
    if command.epilog:
        title, *commands = command.epilog.replace("\b", "").strip().splitlines()
        parts += [title, _code("\n".join(line.strip() for line in commands))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _option(names: str, meaning: str) -> tuple[str, str]:
    return f"`{names}`", " ".join(_escape(meaning).split())


def specs_page() -> str:
    """Return the Markdown page of every key of a spec, with its values, default and meaning."""
    sections = [_section(kind, title) for kind, title in SPECS.items()]
    return (
        "# Specs\n\nA spec is a YAML file that describes what to train: a parent (`continual-mt parent train --spec`), "
        "an addition (`continual-mt add --spec`) or a sequence (`continual-mt sequence run`). Relative paths are "
        "resolved against the spec's folder. Unknown keys are rejected; the error lists the valid ones. "
        "`--set training.updates=3000` overrides one key on the command line. `continual-mt registry show NAME` prints "
        "the whole spec of a parent or module, defaults included.\n\n" + "\n".join(sections)
    )


def _section(kind: type[Any], title: str) -> str:
    schema = TypeAdapter(kind).json_schema()
    required = schema.get("required", ())
    rows = []
    for key, value in schema["properties"].items():
        default = "required" if key in required else _default(value)
        rows.append((f"`{key}`", _values(value), default, _escape(value.get("description", ""))))
    introduction = schema.get("description", "").replace("``", "`")
    return f"## {title}\n\n{introduction}\n\n{_table(('key', 'values', 'default', 'meaning'), rows)}\n"


def _default(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return "its keys' defaults"
    value = schema.get("default")
    if value is None or value == []:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(schema: Mapping[str, Any]) -> str:
    """Describe what a key accepts; keys of another section link to it."""
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_values(choice) for choice in schema["anyOf"] if choice.get("type") != "null")
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"list of {_values(schema['items'])}"
        case "object":
            groups = _values(schema["propertyNames"])
            return f"mapping of {groups} to {_values(schema['additionalProperties'])}"
        case "integer" | "number" as kind:
            return " ".join(filter(None, (kind, _bounds(schema))))
        case "boolean":
            return "`true`, `false`"
    return "path" if schema.get("format") == "path" else "text"


def _bounds(schema: Mapping[str, Any]) -> str:
    names = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join(f"{name} {schema[key]:,}" for key, name in names.items() if key in schema)


def _link(name: str) -> str:
    title = next(title for kind, title in SPECS.items() if kind.__name__ == name)
    anchor = title.lower().replace(":", "").replace(" ", "-")
    return f"[{title.partition(':')[0].lower()}](#{anchor})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _code(text: str) -> str:
    return f"```sh\n{text}\n```"


def _escape(text: str) -> str:
    """Keep what Markdown would take for HTML, a link or the end of a table's cell."""
    for mark in ("\\", "|", "<", "[", "]", "*", "_"):
        text = text.replace(mark, f"\\{mark}")
    return text


PAGES = {"cli": command_line_page, "specs": specs_page}


def main(arguments: Sequence[str]) -> None:
    """Print a page."""
    if len(arguments) != 1 or arguments[0] not in PAGES:
        sys.exit(f"usage: python -m docs.generate {'|'.join(PAGES)}")
    print(PAGES[arguments[0]]())


if __name__ == "__main__":
    main(sys.argv[1:])
