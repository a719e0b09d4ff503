"""``continual-mt align``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from continual_mt.cli import options
from continual_mt.cli.output import print_json, print_table, say
from continual_mt.cli.specs import ORIGIN
from continual_mt.errors import IncompatibleError, InputError, SpecError, StorageError, UnknownNameError
from continual_mt.home import Home

if TYPE_CHECKING:
    from continual_mt.alignment import EmbeddingTable
    from continual_mt.languages import SideName
    from registry import ModuleRecord, ParentRecord, Registry

EPILOG = options.examples(
    "continual-mt align de fr --lexicon de-fr.tsv",
    "continual-mt align de fr --lexicon de-fr.tsv --map de-fr.png --json",
    "continual-mt align de-en:1 fr --lexicon de-fr.tsv",
)
WHAT = "A language, or one version of a module that brings it: de, de-en:1."


def align(
    first: Annotated[str, typer.Argument(metavar="FIRST", help=WHAT)],
    second: Annotated[str, typer.Argument(metavar="SECOND", help=WHAT)],
    lexicon: Annotated[
        Path,
        typer.Option("--lexicon", metavar="FILE", help="A word of FIRST and one of SECOND a line, plain, .gz or .zst."),
    ],
    side: Annotated[
        Literal["source", "target"] | None,
        typer.Option("--side", help="Whose embeddings.  [default: the side that both languages are on]"),
    ] = None,
    parent: options.OfParent = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="Draw frequent words and their translations, a PNG."),
    ] = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Measure how well the embeddings of two languages align.

    Words of FIRST are looked up among those of SECOND, and the lexicon says what is right. A language is the parent's
    where the parent has it, else that of the newest module that brings it.
    """
    from continual_mt.alignment import align as look_up
    from continual_mt.alignment_map import joint_map
    from continual_mt.lexicon import read_lexicon
    from dashboards.tables import alignment_table
    from registry import Registry

    _check_map(map_file)
    with Registry.open(Home.resolve(home).path) as registry:
        record = registry.parent(parent)
        chosen, ends = _ends(registry, record, (first, second), side)
    gold = read_lexicon(lexicon)
    tables = ends[0].table, ends[1].table
    title = f"{' to '.join(f'{end.language} of {end.module or record.name}' for end in ends)}, {chosen} side"
    say(f"{title}: {len(gold.translations):,} words in {lexicon}")
    drawn = joint_map(*tables, gold) if map_file else None
    results = look_up(*tables, gold)
    if map_file and drawn:
        from dashboards.alignment_map import draw

        _write(map_file, draw(drawn, title))
        say(f"{map_file} shows {len(drawn.labels):,} words")
    if as_json:
        about = {"parent": record.name, "side": chosen, "first": ends[0].to_json(), "second": ends[1].to_json()}
        found = {"results": [result.to_json() for result in results], "map": drawn.to_json() if drawn else None}
        print_json({**about, "lexicon": str(lexicon), "words": len(gold.translations), **found})
    else:
        print_table(alignment_table(results))


@dataclass(frozen=True)
class _End:
    """One of the two languages. Its embeddings are of a module (its full name), or the parent's where that is None."""

    table: EmbeddingTable
    module: str | None

    @property
    def language(self) -> str:
        return self.table.side.language

    def to_json(self) -> dict[str, str | None]:
        return {"language": self.language, "module": self.module}


def _ends(
    registry: Registry, parent: ParentRecord, names: tuple[str, str], asked: SideName | None
) -> tuple[SideName, tuple[_End, _End]]:
    """The side to compare on, and what each name stands for there."""
    from continual_mt.languages import Pair

    places = _places(registry, parent, names[0]), _places(registry, parent, names[1])
    side = _common_side(places, names, asked)
    first, second = (_end(registry, parent, side, found[side]) for found in places)
    Pair(first.language, second.language)  # refuses a language beside itself
    return side, (first, second)


def _places(registry: Registry, parent: ParentRecord, name: str) -> dict[SideName, ModuleRecord | None]:
    """The sides that a language is on, each with the module that brings it, or None where the parent does.

    Raises UnknownNameError, LanguageError, or IncompatibleError for a module of another parent.
    """
    from continual_mt.languages import parse_language
    from registry.names import unknown

    if ":" in name:
        module = registry.module(name, parent=parent.name)
        if module.parent != parent.name:
            raise IncompatibleError(f"{name} belongs to the parent {module.parent}, not to {parent.name}")
        return {module.side: module}
    language = parse_language(name)
    modules = [module for module in registry.modules(parent.name) if not module.shared]
    # By version, so that the newest one stays.
    places: dict[SideName, ModuleRecord | None] = {
        module.side: module
        for module in sorted(modules, key=lambda module: module.version)
        if module.language == language
    }
    if language == parent.pair.source:
        places["source"] = None
    if language == parent.pair.target:
        places["target"] = None
    if not places:
        raise unknown("language", language, {parent.pair.source, parent.pair.target, *(m.language for m in modules)})
    return places


def _common_side(
    places: Sequence[Mapping[SideName, ModuleRecord | None]], names: tuple[str, str], asked: SideName | None
) -> SideName:
    """The side to compare on. Raises UnknownNameError where there is none, SpecError where there are two."""
    common = [side for side in places[0] if side in places[1]]
    if asked is None and len(common) == 2:
        raise SpecError(ORIGIN, [f"--side: {names[0]} and {names[1]} are on both sides; say source or target"])
    if common and asked in (None, *common):
        return asked or common[0]
    where = "; ".join(
        f"{name} is on the {' and the '.join(found)} side" for name, found in zip(names, places, strict=True)
    )
    raise UnknownNameError(
        f"{names[0]} and {names[1]} have no embeddings on {f'the {asked}' if asked else 'the same'} side: {where}"
    )


def _end(registry: Registry, parent: ParentRecord, side: SideName, module: ModuleRecord | None) -> _End:
    from continual_mt.alignment import EmbeddingTable

    name = f"{side}.embedding"
    if module is None:
        own = registry.load_parent(parent.name)
        return _End(EmbeddingTable(own.side(side), own.tensors[name]), None)
    added = registry.load_module(module.full_name)
    return _End(EmbeddingTable(added.new_side, added.tensors[name]), module.full_name)


def _check_map(path: Path | None) -> None:
    """Before anything is computed. Raises InputError."""
    if path is not None and path.suffix.lower() != ".png":
        raise InputError(f"{path}: a map is a PNG; give it a name that ends in .png")
    if path is not None and not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it first")


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
