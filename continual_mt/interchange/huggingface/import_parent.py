"""Parents from models of Hugging Face's transformers: a local folder, or a model of the Hub."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ParentLanguages, only_pair
from continual_mt.artifacts.stored.stored_precision import StoredPrecision
from continual_mt.config.import_spec import ImportSpec
from continual_mt.errors import InputError, StorageError
from continual_mt.extras import require
from continual_mt.home import absolute, expanded
from continual_mt.interchange.huggingface.architectures import architecture_of
from continual_mt.interchange.huggingface.checkpoint import read_configuration, read_weights
from continual_mt.interchange.huggingface.download import MODEL_ID, Progress, Snapshot, download, weight_files
from continual_mt.interchange.huggingface.generation import read_generation
from continual_mt.interchange.huggingface.language_choice import ALL, ChosenLanguages, LanguageChoice, split_pair
from continual_mt.interchange.huggingface.pickled import convert_pickled
from continual_mt.interchange.huggingface.tokenizers.files import ModelFolder, Settings
from continual_mt.interchange.huggingface.tokenizers.reading import read_vocabulary
from continual_mt.interchange.huggingface.weights import convert
from continual_mt.interchange.licences import is_non_commercial, read_licence


@dataclass(frozen=True)
class Request:
    """What to import. ``model`` is a folder or a name on the Hub; ``languages`` are chosen as in ``LanguageChoice``."""

    model: str
    name: str
    pair: str | None = None
    languages: tuple[str, ...] = ()
    revision: str | None = None
    convert: bool = False
    denoising: bool | None = None
    precision: StoredPrecision = "float32"

    def __post_init__(self) -> None:
        if self.pair is not None:
            split_pair(self.pair)
            if self.languages:
                raise InputError("--pair and --languages: expected one of them")
        if ALL in self.languages and len(self.languages) > 1:
            raise InputError("--languages: expected 'all', or the languages separated by commas")

    @property
    def origin(self) -> str:
        """What the lineage names as the origin: the model on the Hub, or the folder without its path."""
        path = expanded(Path(self.model))
        return _folder_name(path) if path.is_dir() else self.model


@dataclass(frozen=True)
class Imported:
    """A parent, what it was made from, and sentences about settings and the licence that a user should know."""

    parent: Parent
    spec: ImportSpec
    notes: tuple[str, ...]


Check = Callable[[str | None, ParentLanguages], None]
"""Is called before weights are downloaded or read, with the commit on the Hub and the languages; may raise."""


@contextmanager
def import_parent(
    request: Request, cache: Path, progress: Progress | None = None, check: Check | None = None
) -> Iterator[Imported]:
    """Yield the parent of a model. Its tensors are mapped from files that may end with the context.

    A model of the Hub is downloaded to ``cache``. Raises what ``check``, ``download``, ``convert_pickled``,
    ``read_vocabulary``, ``read_generation``, ``LanguageChoice`` and ``weights.convert`` raise; what is cheap to check
    is checked first.
    """
    require("hf", "importing a parent")
    found = _locate(request, cache)
    folder = found.folder
    config = read_configuration(folder)
    architecture_of(config)
    vocabulary, settings = read_vocabulary(folder), Settings.read(ModelFolder(folder))
    generation = read_generation(settings.generation, settings.model, vocabulary, request.model)
    names = (settings.tokenizer.get("source_lang"), settings.tokenizer.get("target_lang"))
    choice = LanguageChoice(vocabulary, request.model, names, generation.target)
    chosen = choice.choose(request.pair, request.languages)
    # Also refuses a language beside itself, before any weights are read.
    in_tags = None if request.languages else str(only_pair(chosen.languages))
    restores = vocabulary.family == "mbart" and generation.target is None
    denoising = restores if request.denoising is None else request.denoising
    chosen = replace(chosen, languages=replace(chosen.languages, denoising=denoising))
    if check is not None:
        check(found.revision or None, chosen.languages)
    licence = read_licence(folder)
    if found.revision:
        download(request.model, cache, found.revision, pickled=request.convert, progress=progress)
    with _weights(folder, cache, convert_weights=request.convert) as (tensors, converted):
        architecture, ours = convert(config, tensors)
        parent = Parent(
            architecture,
            ours,
            vocabulary.source,
            vocabulary.target,
            chosen.languages,
            vocabulary.form(generation.banned),
            precision=request.precision,
        )
        spec = ImportSpec(
            origin=request.origin,
            revision=found.revision or None,
            licence=licence,
            family=vocabulary.family,
            pair=request.pair or in_tags,
            denoising=request.denoising,
            languages=() if request.languages == (ALL,) else request.languages,
            name=request.name,
            converted=converted,
            precision=request.precision,
        )
        notes = (*_licence_notes(spec), *_language_notes(chosen), *_precision_notes(request, tensors))
        yield Imported(parent, spec, (*notes, *generation.notes))


def _locate(request: Request, cache: Path) -> Snapshot:
    """The folder, with an empty revision if it is a local one; of a model of the Hub, all but its weights."""
    path = expanded(Path(request.model))
    if path.is_dir():
        if request.revision is not None:
            raise InputError(f"--revision: {request.model} is a folder; expected a model of the Hub")
        return Snapshot(absolute(path), "")
    if path.exists():
        raise InputError(f"{request.model}: is a file; expected the folder of a model")
    if not MODEL_ID.fullmatch(request.model):
        raise InputError(
            f"{request.model}: no such folder; expected the path of a folder, or ORGANISATION/NAME as on the Hub"
        )
    return download(request.model, cache, request.revision, pickled=request.convert, weights=False)


@contextmanager
def _weights(folder: Path, cache: Path, *, convert_weights: bool) -> Iterator[tuple[Mapping[str, Tensor], bool]]:
    """Yield the tensors, and whether they were converted from pickles."""
    names = weight_files([path.name for path in folder.iterdir()])
    if not (convert_weights and names and names[0].startswith("pytorch_model")):
        yield read_weights(folder), False
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=cache, prefix="converted-")
    except OSError as error:
        raise StorageError(f"{cache}: cannot be written: {error.strerror or error}") from error
    with temporary as out:
        convert_pickled(folder, Path(out))
        yield read_weights(Path(out)), True


def _licence_notes(spec: ImportSpec) -> Iterator[str]:
    if is_non_commercial(spec.licence):
        yield f"the licence {spec.licence} allows no commercial use, also of what is made from this parent"
    elif spec.licence is None:
        yield "the model card states no licence: ask its publishers what is allowed"


def _language_notes(chosen: ChosenLanguages) -> Iterator[str]:
    if chosen.left_out:
        yield f"codes that are no languages were left out: {', '.join(chosen.left_out)}"
    if chosen.languages.denoising:
        yield "the model restores text and does not translate: it has no original pair until languages are added to it"


def _precision_notes(request: Request, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    found = {str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}
    if request.precision == "float32" and found in ({"float16"}, {"bfloat16"}):
        (half,) = found
        yield f"its weights are {half}; --precision {half} would store them exactly, in half the bytes"


def default_name(model: str) -> str:
    """The name of a parent that is not given one: that of the folder, or the last part of the model's name."""
    return _folder_name(Path(model))


def _folder_name(path: Path) -> str:
    """The last part of a path, or the folder's own name if that is ``.`` or ``..``."""
    return absolute(path).resolve().name if path.name in ("", "..") else path.name


def split_languages(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
