"""``continual-mt export``."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import options
from continual_mt.cli.support.console import print_json, say
from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.extras import require
from continual_mt.home import Home, expanded

if TYPE_CHECKING:
    from continual_mt.artifacts.pivot import AnyRecipe
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.inference.torch_model import PairModel
    from continual_mt.interchange.model_card import CorpusUse, ImportedPart, Part, Provenance
    from registry import ModuleRecord, ParentRecord, Registry

EPILOG = options.examples(
    "continual-mt export de-en de-en-hf --format hf",
    "continual-mt export de-es de-es-ct2 --format ctranslate2 --precision int8",
    "continual-mt export de-en de-en-mlflow --format mlflow --module de-en:2",
    "continual-mt export pt-de pt-de-mlflow --format mlflow --recipe pivot:pt-en+en-de",
)


class Format(StrEnum):
    hf = "hf"
    ctranslate2 = "ctranslate2"
    mlflow = "mlflow"


class WeightPrecision(StrEnum):
    float32 = "float32"
    int8 = "int8"


def export(
    pair: Annotated[str, typer.Argument(metavar="PAIR", help=options.PAIR_OR_DIGEST)],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write, new or empty.")],
    kind: Annotated[
        Format,
        typer.Option(
            "--format",
            help="hf: for Hugging Face's transformers; ctranslate2: for its Translator; mlflow: a model that "
            "'mlflow models serve' runs.",
        ),
    ],
    precision: Annotated[
        WeightPrecision,
        typer.Option(help="Weights of ctranslate2 and mlflow; int8 is smaller, and translations may differ."),
    ] = WeightPrecision.float32,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    recipe: options.RecipeText = None,
    module: options.Modules = None,
    by_test: options.ByTest = None,
    parent: options.OfParent = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Write the model of a pair for another runtime, which needs nothing of ours.

    The folder has a model card (README.md) with the lines that load it, the scores of the pair, and the corpora that
    its parts were trained on, with their licences. What a format cannot express is refused.
    """
    if kind is Format.hf and precision is WeightPrecision.int8:
        raise IncompatibleError("--precision int8: format hf has float32 weights. Fix: choose ctranslate2 or mlflow")
    from continual_mt.interchange.export_folder import check_destination, written_folder
    from dashboards.tables.artifacts import size
    from registry import Registry

    destination = expanded(folder)
    check_destination(destination, force=force)
    if kind is not Format.hf:
        require("fast", f"--format {kind}")
    with Registry.open(Home.resolve(home).path) as registry:
        ends = options.ends(pair)
        # Of one model, unless a pivot is named: not every format can chain two.
        model = registry.assemble(*ends, parent=parent, recipe=recipe, modules=module or (), test=by_test, pivot=False)
        assert model.recipe is not None
        _check(model, kind)
        provenance = _provenance(registry, model.recipe)
    with written_folder(destination, force=force) as content:
        _write(model, kind, content, provenance, precision)
        files = {str(path.relative_to(content)): path.stat().st_size for path in _files(content)}
    if as_json:
        print_json(
            {
                "folder": str(destination),
                "format": str(kind),
                "precision": str(precision),
                "recipe": model.recipe.to_json(),
                "files": files,
                "bytes": sum(files.values()),
            }
        )
    say(f"wrote {model.recipe}; digest {model.recipe.digest}")
    say(f"to {folder}, {size(sum(files.values()))}; {folder / 'README.md'} has the lines that load it")


def _check(model: PairModel | PivotModel[PairModel], kind: Format) -> None:
    """Refuse what a format cannot express, before anything is written."""
    from continual_mt.inference.pivot_model import PivotModel

    if isinstance(model, PivotModel):
        if kind is not Format.mlflow:
            raise IncompatibleError(
                f"--format {kind}: {model.recipe.kind} {model.pair} has two models; expected one. Fix: --format "
                f"mlflow, or export {' and '.join(str(leg.pair) for leg in model.recipe.legs)}"
            )
        for leg in model.legs:
            _check(leg, kind)
    elif kind is Format.hf:
        from continual_mt.interchange.huggingface.export.folder import check_hugging_face

        check_hugging_face(model)
    else:
        from continual_mt.inference.ctranslate2_model import check_computable

        check_computable(model)


def _write(
    model: PairModel | PivotModel[PairModel],
    kind: Format,
    content: Path,
    provenance: Provenance,
    precision: WeightPrecision,
) -> None:
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.interchange.ctranslate2_export import export_ctranslate2
    from continual_mt.interchange.huggingface.export.folder import export_hugging_face

    if kind is Format.mlflow:
        from continual_mt.interchange.mlflow_export import export_mlflow

        export_mlflow(model, content, provenance, precision=precision.value)
        return
    assert not isinstance(model, PivotModel)  # see _check
    if kind is Format.hf:
        export_hugging_face(model, content, provenance)
    else:
        export_ctranslate2(model, content, provenance, precision=precision.value)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _provenance(registry: Registry, recipe: AnyRecipe) -> Provenance:
    """Gather what the model card shows, also of what its parts were made from."""
    from continual_mt.artifacts.pivot import Pivot
    from continual_mt.interchange.model_card import Provenance, ScoreEntry

    waiting = [*(leg.parent for leg in recipe.legs), *(key.name for key in recipe.modules)]
    parts: dict[str, Part] = {}
    corpora: list[CorpusUse] = []
    for name in waiting:  # grows while it is read
        if name in parts:
            continue
        try:
            record = registry.catalog.find(name)
        except UnknownNameError:  # an input that was deleted since: its name is in the part that it went into
            continue
        parts[name] = _part(name, record)
        corpora += _corpora(name, record)
        waiting += [one.module for one in record.lineage.inputs if one.module]
    scores = [
        ScoreEntry(score.test, score.metric, score.value, score.beam, score.sentences, score.signature)
        for score in registry.scores(recipe=recipe.digest)
    ]
    version = importlib.metadata.version(options.PROGRAM)
    imports = tuple(_imports(registry, parts))
    legs = tuple(_provenance(registry, leg) for leg in recipe.legs) if isinstance(recipe, Pivot) else ()
    return Provenance(recipe, version, tuple(parts.values()), tuple(corpora), tuple(scores), imports, legs)


def _imports(registry: Registry, names: Iterable[str]) -> Iterator[ImportedPart]:
    from continual_mt.interchange.model_card import ImportedPart

    for name in names:
        if found := registry.catalog.find(name).lineage.imported:
            yield ImportedPart(name, found.origin, found.revision, found.licence)


def _part(name: str, record: ParentRecord | ModuleRecord) -> Part:
    from continual_mt.interchange.model_card import Part
    from registry import ParentRecord
    from registry.records.lineage import INPUT_WORDS

    uses = (f"{INPUT_WORDS[one.role]}: {one.module or one.recipe or 'unknown'}" for one in record.lineage.inputs)
    inputs = tuple(dict.fromkeys(uses))  # a module may be rested on with several parts
    if isinstance(record, ParentRecord):
        return Part(name, record.fingerprint, f"parent {record.languages}", inputs)
    return Part(name, record.digest, f"{_sides(record)}, scope {record.scope}", inputs)


def _sides(record: ModuleRecord) -> str:
    from continual_mt.languages import ends_of

    sides = [f"{end} side {record.pair.language(end)}" for end in ends_of(record.side)]
    return " and ".join(sides) or "a bridge between two sides"


def _corpora(name: str, record: ParentRecord | ModuleRecord) -> list[CorpusUse]:
    from continual_mt.interchange.model_card import CorpusUse

    return [
        CorpusUse(name, role, corpus.name, str(corpus.pair), corpus.sentences, corpus.licence, corpus.digest)
        for role, corpus in record.lineage.corpora
    ]
