"""Reading a bundle into a registry: all of it is checked first, then stored, then registered in one transaction."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.rests_on import RestsOn
from continual_mt.artifacts.stored.optional_pieces import INITIALISATION, WORD_TRANSLATIONS, check_start
from continual_mt.artifacts.stored.serialization import read_json
from continual_mt.errors import ContinualMTError, IncompatibleError, SpecError, StorageError
from continual_mt.initialisation.word_translation import WordTranslations
from continual_mt.languages import Pair
from registry.blobs import BlobStore
from registry.maintenance.bundle.archive import Bundle, open_bundle
from registry.maintenance.bundle.ingest import (
    Contents,
    Imported,
    ModuleContent,
    ParentContent,
    impossible_score,
    receive,
)
from registry.maintenance.bundle.manifest import ModuleEntry, ParentEntry
from registry.maintenance.results import Progress
from registry.records.names import check_parent_name
from registry.registry import Registry

_Result = TypeVar("_Result")


def import_bundle(
    registry: Registry, path: Path, *, parent: str | None = None, progress: Progress = lambda done: None
) -> Imported:
    """Register what a bundle holds and this registry does not. Importing the same bundle again changes nothing.

    A parent is found by its content, whatever its name is here; ``parent`` is the name for one that is new. A module
    gets the next version of its pair on that parent, unless the same content exists. Raises CorruptionError for a
    bundle that is not, in every byte, what `registry export` wrote; IncompatibleError when a parent's name belongs to
    another parent, or a parent that was left out is not there. Nothing is registered then.
    """
    if parent is not None:
        check_parent_name(parent)
    with open_bundle(path) as bundle:
        entries = bundle.manifest.parents
        if parent is not None and len(entries) != 1:
            raise SpecError("--parent", [f"{path} holds {len(entries)} parents, and one name is not for all of them"])
        bundle.check(progress)
        sizes = bundle.manifest.blobs
        _check_room(registry.blobs, sum(sizes.values()))
        contents = _examine(registry, bundle)
        if (score := impossible_score(bundle.manifest, contents)) is not None:
            raise bundle.refused(f"a score of {score.pair} is {score.kind}, which its parts cannot be")

        def change(session: Session) -> Imported:
            for digest in sizes:  # as `Registry` does for what it registers itself
                if not registry.blobs.has(digest):
                    bundle.copy_to(registry.blobs, digest)
            return receive(session, bundle.manifest, contents, parent)

        registry.storage.claim()
        for digest in sizes:
            bundle.copy_to(registry.blobs, digest)
        return registry.database.write(change)


def _examine(registry: Registry, bundle: Bundle) -> Contents:
    """Load every parent and module, of each one at a time. Raises CorruptionError unless they are what they claim."""
    parents, modules = {}, {}
    for entry in bundle.manifest.parents:
        parent = _parent(registry, bundle, entry)
        architecture = parent.architecture.to_json()
        parents[entry.name] = ParentContent(parent.languages, {**architecture}, parent.parameters(), parent.precision)
        for module in bundle.manifest.modules:
            if module.parent == entry.name:
                modules[module.name] = _module(registry, bundle, module, parent)
    return Contents(parents, modules)


def _parent(registry: Registry, bundle: Bundle, entry: ParentEntry) -> Parent:
    if not entry.pieces:
        for record in registry.parents():
            if record.fingerprint == entry.fingerprint:
                claim = "it claims other languages than it has"
                _require(bundle, entry.name, [*record.languages.several] == entry.several, claim)
                return registry.load_parent(record.name)
        raise IncompatibleError(
            f"the bundle was written without the parent {entry.name} ({entry.fingerprint[:12]}), which is not in "
            f"{registry.name}; import a bundle that has it first"
        )
    folder = _folder(registry.blobs)
    parent = _loaded(bundle, entry.name, lambda: bundle.load(entry.pieces, folder, Parent.from_pieces))
    own = entry.pieces.keys() - {WORD_TRANSLATIONS}
    _require(bundle, entry.name, own == parent.new_pieces().keys(), f"its pieces are {', '.join(sorted(entry.pieces))}")
    if WORD_TRANSLATIONS in entry.pieces:
        table = bundle.read(entry.pieces[WORD_TRANSLATIONS])
        _loaded(bundle, entry.name, lambda: WordTranslations.of_parent(table, parent))
    claim = f"it claims the fingerprint {entry.fingerprint}, but its pieces have {parent.fingerprint}"
    _require(bundle, entry.name, parent.fingerprint == entry.fingerprint, claim)
    _require(bundle, entry.name, [*parent.languages.several] == entry.several, "it claims other languages than it has")
    return parent


def _module(registry: Registry, bundle: Bundle, entry: ModuleEntry, parent: Parent) -> ModuleContent:
    def load() -> Module:
        module = bundle.load(entry.pieces, _folder(registry.blobs), Module.from_pieces)
        module.check_fits(parent)
        return module

    module = _loaded(bundle, entry.name, load)
    names = {
        "module.json",
        *(f"{end}.model" for end in module.new_sides),
        *(f"{group}.safetensors" for group in module.groups),
    }
    own = entry.pieces.keys() - {INITIALISATION}
    _require(bundle, entry.name, own == names, f"its pieces are {', '.join(sorted(entry.pieces))}")
    if INITIALISATION in entry.pieces:
        start = {INITIALISATION: bundle.read(entry.pieces[INITIALISATION])}
        _loaded(bundle, entry.name, lambda: check_start(read_json(start, INITIALISATION)))
    claim = f"it claims the digest {entry.digest}, but its pieces have {module.digest}"
    _require(bundle, entry.name, module.digest == entry.digest, claim)
    name = entry.name.partition("/")[2].partition(":")[0]
    _require(bundle, entry.name, module.pair == Pair.parse(name), f"its pieces are of the pair {module.pair}")
    rests_on = RestsOn(**{used.part: used.digest for used in entry.inputs if used.part is not None})
    claim = f"its lineage has that it rests on {rests_on.modules}, but its pieces on {module.rests_on.modules}"
    _require(bundle, entry.name, rests_on == module.rests_on, claim)
    return ModuleContent(
        module.pair,
        module.side,
        module.scope,
        module.digest,
        module.rests_on,
        module.parameters(),
        module.precision,
    )


def _loaded(bundle: Bundle, name: str, load: Callable[[], _Result]) -> _Result:
    try:
        return load()
    except StorageError:  # of this machine, not of the bundle
        raise
    except ContinualMTError as error:
        raise bundle.refused(f"{name}: {error}") from error


def _require(bundle: Bundle, name: str, holds: bool, problem: str) -> None:
    if not holds:
        raise bundle.refused(f"{name}: {problem}")


def _folder(blobs: BlobStore) -> Path:
    """The folder for temporary files: on the disk where the blobs will be, if that is here."""
    folder = Path(blobs.place if blobs.is_local else tempfile.gettempdir())
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _check_room(blobs: BlobStore, size: int) -> None:
    """Raises StorageError when a folder has not the room for all that the bundle holds."""
    if not blobs.is_local:
        return
    free = shutil.disk_usage(_folder(blobs)).free
    if free < size:
        raise StorageError(
            f"the bundle holds {size:,} bytes, and {blobs.place} has room for {free:,}; nothing was changed. Free space"
        )
