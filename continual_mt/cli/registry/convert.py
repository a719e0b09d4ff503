"""``continual-mt registry convert``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, say
from continual_mt.home import Home

if TYPE_CHECKING:
    from registry import ModuleRecord
    from registry.maintenance.convert import Converted

EPILOG = options.examples(
    "continual-mt registry convert nllb --precision float16",
    "continual-mt registry convert nllb --precision bfloat16 --name nllb-small",
    "continual-mt registry convert de-en:1 --precision bfloat16",
    "continual-mt registry convert de-en:1 --precision int8",
)


def convert(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A parent, or a module: de-en:1, PARENT/de-en:1.")],
    precision: Annotated[StoredPrecision, typer.Option(help="Format in which the weights are to be stored.")],
    new_name: Annotated[
        str | None, typer.Option("--name", help="Name of the new parent.  [default: NAME-PRECISION]")
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Store the weights of a parent or module in another precision, as a new parent or a new version of the module.

    The first one stays as it is, and so do its modules: a module fits the parent that it was trained on, and a
    converted parent is another one. Translations may differ, since weights are rounded; nothing is scored. A module in
    one precision runs on a parent in another.
    """
    from ray_jobs.tracking.lineage import code_version
    from registry import Registry
    from registry.maintenance.convert import convert

    with Registry.open(Home.resolve(home).path) as opened:
        done = convert(opened, name, precision, code_version=code_version(), new_name=new_name)
    if as_json:
        print_json(done.to_json())
    else:
        _say(done)


def _say(done: Converted) -> None:
    from dashboards.tables.artifacts import name_of, stored_size
    from registry import ModuleRecord

    made, first = name_of(done.record), name_of(done.first)
    say(f"{first} in {done.record.precision} is {made}{'' if done.is_new else ', as before'}")
    say(f"{made}: {stored_size(done.record)}; {first}: {stored_size(done.first)}")
    if isinstance(done.record, ModuleRecord) and isinstance(done.first, ModuleRecord):
        _say_which_is_used(done.record, done.first)
    elif done.staying:
        count = f"{len(done.staying)} module{'' if len(done.staying) == 1 else 's'}"
        say(f"{count} of {first} stay{'s' if len(done.staying) == 1 else ''} with it: {made} is another parent")
        say(f"name modules with their parent from now on, such as {done.staying[0]}: there are several parents")
    say(f"{made} is not scored yet: continual-mt evaluate")


def _say_which_is_used(made: ModuleRecord, first: ModuleRecord) -> None:
    if made.shared:
        say(f"{made.full_name} is used only where it is named: its sequence shares one cross-attention")
        return
    say(f"the newest version of {made.pair} is used unless an alias selects another. To stay with the first:")
    say(f"continual-mt registry alias {made.parent}/{made.pair}@champion {first.version}")
