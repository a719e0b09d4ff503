"""``continual-mt registry alias``, ``tag``, ``note``, ``delete`` and ``restore``: what people decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, print_table, print_text, say
from continual_mt.errors import InputError
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry import AliasMove, AliasRecord, Registry

Name = Annotated[str, typer.Argument(metavar="NAME", help="A parent, or a module: de-en:1, PARENT/de-en:1.")]
Who = Annotated[str | None, typer.Option("--who", metavar="NAME", help="Who decides it.  [default: user@host]")]

ALIAS_EPILOG = options.examples(
    "continual-mt registry alias de-en@champion 3",
    "continual-mt registry alias de-en@champion 4 --if-at 3",
    "continual-mt registry alias de-en@champion",
    "continual-mt registry alias de-en@champion --remove",
)
TAG_EPILOG = options.examples(
    "continual-mt registry tag de-en:3 newswire checked", "continual-mt registry tag de-en:3 --remove checked"
)
NOTE_EPILOG = options.examples("continual-mt registry note de-en:3 'Numbers are wrong in long sentences.'")
DELETE_EPILOG = options.examples("continual-mt registry delete de-en:2")
RESTORE_EPILOG = options.examples("continual-mt registry restore de-en:2")


def alias(
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="Such as de-en@champion, or PARENT/de-en@champion.")],
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="The version to set it to: 3, de-en:3 or de-en@candidate.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
    if_at: Annotated[
        int | None,
        typer.Option(
            "--if-at", min=0, metavar="VERSION", help="Move it only if it is set to this version (0: not set)."
        ),
    ] = None,
    who: Who = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Set or move an alias; without a version, show its module and its history.

    Where a pair has the alias champion, that version is translated with, until it is moved.
    """
    from registry import Registry

    if remove and version is not None:
        raise InputError(f"--remove removes {name}; leave out {version}")
    if if_at is not None and version is None and not remove:
        raise InputError(f"--if-at {if_at} needs a version to move {name} to, or --remove")
    with Registry.open(Home.resolve(home).path) as registry:
        if remove:
            registry.annotations.remove_alias(name, who=who, expected=if_at)
        elif version is not None:
            wanted = int(version) if version.isascii() and version.isdigit() else version
            registry.annotations.set_alias(name, wanted, who=who, expected=if_at)
        moves = registry.annotations.alias_history(name)
        present = None if remove or (moves and moves[-1].to_version is None) else registry.annotations.alias(name)
        shared = present is not None and registry.module(present.module).shared
    if shared and version is not None:
        say(f"{version} was trained in a sequence that shares one cross-attention; {name} is set to it all the same")
    _print_alias(name, present, moves, as_json)


def _print_alias(name: str, present: AliasRecord | None, moves: list[AliasMove], as_json: bool) -> None:
    from dashboards.tables.annotations import moves_table

    if as_json:
        shown = present.to_json() if present else {"name": moves[-1].full_name, "module": None, "version": None}
        print_json({**shown, "history": [move.to_json() for move in moves]})
        return
    print_text(f"{present.full_name} is {present.module}\n" if present else f"{name} is not set\n")
    print_table(moves_table(moves))


def tag(
    name: Name,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words that it is found by.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take these tags away.")] = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Give a parent or module tags, which 'registry search tag=TAG' finds."""
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        (registry.annotations.untag if remove else registry.annotations.tag)(name, *tags)
        _print_remarks(registry, name, as_json)


def note(
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be remembered.")],
    who: Who = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Write a note about a parent or module. Notes are never removed."""
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        registry.annotations.note(name, text, who=who)
        _print_remarks(registry, name, as_json)


def delete(name: Name, who: Who = None, home: options.Home = None, as_json: options.Json = False) -> None:
    """Hide a parent or one version of a module; 'registry restore' restores it.

    Refused while an alias is set to it or others depend on it. Its version number is never used again.
    """
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        full = registry.annotations.delete(name, who=who)
    if as_json:
        print_json({"deleted": full})
    else:
        say(f"deleted {full}; 'continual-mt registry restore {full}' brings it back")


def restore(name: Name, home: options.Home = None, as_json: options.Json = False) -> None:
    """Restore a deleted parent or module with its annotations."""
    from registry import Registry

    with Registry.open(Home.resolve(home).path) as registry:
        full = registry.annotations.restore(name)
    if as_json:
        print_json({"restored": full})
    else:
        say(f"restored {full}")


def _print_remarks(registry: Registry, name: str, as_json: bool) -> None:
    from dashboards.tables.annotations import annotation_facts
    from registry import ParentRecord

    record = registry.catalog.find(name)
    annotations, full = (
        registry.annotations.of(record),
        record.name if isinstance(record, ParentRecord) else record.full_name,
    )
    if as_json:
        print_json({"name": full, **annotations.to_json()})
    else:
        facts = [("name", full), *annotation_facts(annotations)]
        print_text("".join(f"{key}: {value}\n" for key, value in facts))
