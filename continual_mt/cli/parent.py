"""``continual-mt parent train`` and ``continual-mt parent import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from continual_mt.cli.support import console, options, spec_options
from continual_mt.cli.support.run_job import JobCommand
from continual_mt.errors import IncompatibleError, UnknownNameError

if TYPE_CHECKING:
    from continual_mt.artifacts.parent_languages import ParentLanguages
    from continual_mt.interchange.huggingface.import_parent import Request
    from registry import ParentRecord

app = options.group("Parents: models that are trained or imported once, then frozen.")


@app.callback()
def parent() -> None:
    pass


@app.command(
    epilog=options.examples(
        "continual-mt parent train --pair fr-en --train train.fr train.en --dev val.fr val.en --test test.fr test.en",
        "continual-mt parent train --spec parent.yaml --set training.updates=8000 --set resources.workers=2",
        "continual-mt parent train --spec parent-of-several-pairs.yaml --set sampling_temperature=2",
    )
)
def train(
    pair: Annotated[str | None, typer.Option(metavar="PAIR", help="SOURCE-TARGET, such as fr-en.")] = None,
    train: options.Train = None,
    train_tsv: options.TrainTsv = None,
    dev: options.Dev = None,
    dev_tsv: options.DevTsv = None,
    test: options.Test = None,
    test_tsv: options.TestTsv = None,
    name: Annotated[str | None, typer.Option(help="The parent's name.  [default: the pair]")] = None,
    precision: options.Precision = None,
    settings: options.Settings = None,
    spec: options.SpecFile = None,
    again: options.Again = False,
    address: options.Address = None,
    in_process: options.InProcess = False,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Train a parent and register it.

    A parent of several pairs is described in a spec, under "pairs": each pair with its train and dev.

    After an interruption the same command continues from the last checkpoint; run again, it only reports.
    """
    from continual_mt.config.spec import ParentSpec

    given = {
        "pair": pair,
        "name": name,
        "stored_precision": precision,
        "train": spec_options.corpus(train, train_tsv),
        "dev": spec_options.corpus(dev, dev_tsv),
    }
    built = spec_options.build(ParentSpec, spec, given, settings, test=spec_options.corpus(test, test_tsv))
    command = JobCommand("train_parent", home, address, in_process, again, as_json)
    command.run(built, lambda driver: [driver.train_parent(built)])


@app.command(
    "import",
    epilog=options.examples(
        "continual-mt parent import opus-mt-fr-en --pair fr-en",
        "continual-mt parent import Helsinki-NLP/opus-mt-fr-en --pair fr-en --name fr-en --convert",
        "continual-mt parent import facebook/nllb-200-distilled-600M --languages all --name nllb --convert",
    ),
)
def import_(
    model: Annotated[
        str,
        typer.Argument(
            metavar="PATH_OR_ID", help="Folder of a model of Hugging Face's transformers, or its name on the Hub."
        ),
    ],
    pair: Annotated[
        str | None,
        typer.Option(metavar="PAIR", help="Import one pair: SOURCE-TARGET, by tags or the model's own codes."),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Import several languages: all, or a list such as en,fr,quy."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The parent's name.  [default: the model's]")] = None,
    convert: Annotated[
        bool,
        typer.Option(
            "--convert", help="Read weights in pytorch_model.bin, if there are no others, without running code in them."
        ),
    ] = False,
    denoising: Annotated[
        bool | None,
        typer.Option(
            "--denoising/--no-denoising",
            help="Whether the model restores text and does not translate, as mbart-large-50.  "
            "[default: only mBART without a target language in its settings, as mbart-large-cc25]",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit on the Hub.  [default: the main branch]")
    ] = None,
    precision: options.Precision = None,
    home: options.Home = None,
    as_json: options.Json = False,
) -> None:
    """Register a model of Hugging Face's transformers as a parent: Marian, mBART, M2M100 or NLLB.

    Its translations stay the same, with float32 weights. '--precision float16', bfloat16 or int8 rounds weights to that
    format, unless they have it already. A model that this project would not compute exactly is refused, with the
    reasons. A download continues after an interruption, and is kept in the home's cache.
    """
    from continual_mt.extras import require

    require("hf", "parent import")
    from continual_mt.home import Home
    from continual_mt.interchange.huggingface.import_parent import Request, default_name, import_parent, split_languages
    from ray_jobs.tracking.lineage import code_version
    from registry import Lineage, Registry
    from registry.records.names import check_parent_name

    request = Request(
        model,
        name or default_name(model),
        pair,
        split_languages(languages),
        revision=revision,
        convert=convert,
        denoising=denoising,
        precision=precision or "float32",
    )
    check_parent_name(request.name)
    place = Home.resolve(home)
    taken = _registered(place.path, request.name)
    if taken is not None:
        _check_origin(taken, request)

    def check(commit: str | None, languages: ParentLanguages) -> None:
        if taken is not None:
            _check_same(taken, commit, languages)

    with (
        console.downloading(f"downloading {model}", shown=not as_json) as progress,
        import_parent(request, place.cache, progress, check) as imported,
        Registry.open(place.path, create=True) as registry,
    ):
        lineage = Lineage((), imported.spec.recorded(), code_version())
        record = registry.register_parent(request.name, imported.parent, lineage=lineage)
    if as_json:
        console.print_json({**record.to_json(), "notes": list(imported.notes)})
    console.say(f"imported {record.name}: {record.languages}, {record.parameters:,} parameters")
    console.say(f"from {imported.spec.described}")
    for note in imported.notes:
        console.say(f"note: {note}")


def _registered(home: Path, name: str) -> ParentRecord | None:
    """The parent that has this name already. Raises UnknownNameError for the name of a deleted one."""
    from registry import Registry

    try:
        opened = Registry.open(home)
    except UnknownNameError:  # there is no registry yet
        return None
    with opened as registry:
        registry.catalog.check_not_deleted(name)
        return next((parent for parent in registry.parents() if parent.name == name), None)


def _check_origin(taken: ParentRecord, request: Request) -> None:
    """Refuse another model under a name that is taken, before anything is downloaded or read."""
    imported, origin = taken.lineage.imported, request.origin
    if imported is None or imported.origin != origin:
        raise _name_taken(taken, f"from {imported.origin}" if imported else "that was trained", f"one from {origin}")
    if taken.precision != request.precision:
        raise _name_taken(taken, f"in {taken.precision}", request.precision)


def _check_same(taken: ParentRecord, commit: str | None, languages: ParentLanguages) -> None:
    """Refuse what cannot be the parent of this name, before weights are downloaded or read."""
    imported = taken.lineage.imported
    if imported is not None and imported.revision != commit:
        raise _name_taken(taken, f"of the revision {imported.revision}", f"{commit}")
    if _known(taken.languages) != _known(languages):
        raise _name_taken(taken, f"of the languages {taken.languages}", str(languages))


def _known(languages: ParentLanguages) -> tuple[object, ...]:
    """What has to be equal in two parents of the same content; their codes may be written in two ways."""
    return languages.tags("source"), languages.tags("target"), languages.denoising


def _name_taken(taken: ParentRecord, known: str, expected: str) -> IncompatibleError:
    return IncompatibleError(
        f"{taken.name}: is the name of a parent {known}, which never changes; expected {expected}. "
        "Fix: choose another name with --name"
    )
