"""The registry's public face: the catalog, with the bytes behind it, and the verbs that write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import uuid4

from sqlalchemy.orm import Session

from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import CorruptionError, FailureError, IncompatibleError, InputError
from continual_mt.evaluation.lexicon import Lexicon, parse_lexicon
from registry.blobs import BlobStore, open_blobs
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.database.row_mapping import (
    alignment_record,
    corpus_record,
    job_record,
    module_record,
    parent_record,
    score_record,
    sequence_record,
)
from registry.records.alignments import AlignmentRecord, EmbeddingRecord
from registry.records.entities import (
    CorpusRecord,
    JobRecord,
    JobState,
    Lineage,
    ModuleRecord,
    ParentRecord,
    ScoreRecord,
)
from registry.records.names import check_parent_name
from registry.records.sequences import CellRecord, SequenceRecord
from registry.writes import leases, registration, scoring
from registry.writes.curation import Curation
from registry.writes.registration import StoredPiece

# Torch takes longer to import than most questions take to answer: only verbs that read weights do it.
if TYPE_CHECKING:
    from continual_mt.artifacts.module import Module
    from continual_mt.artifacts.parent import Parent
    from continual_mt.evaluation.alignment import EmbeddingTable
    from continual_mt.evaluation.alignment_result import Precision
    from continual_mt.inference.torch_model import PairModel

LEASE_SECONDS = 60.0
_Result = TypeVar("_Result")
_logger = logging.getLogger(__name__)


class Registry(Curation):
    """Everything that was made, and every pair that can be run with it. Open it with `Registry.open`.

    Besides the catalog's errors, verbs that write raise StorageError when the database or the blobs cannot be
    written to, and verbs that read weights CorruptionError for damaged or missing blobs. A verb that fails has changed
    no record.
    """

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        super().__init__(database)
        self.blobs = blobs
        self._owned: str | None = None
        self._parents: dict[str, Parent] = {}
        self._modules: dict[tuple[str, str], Module] = {}

    @classmethod
    def open(cls, location: str | Path | None = None, *, create: bool = False, upgrade: bool = False) -> Registry:
        """Open the registry of a home folder or database URL; else of the variables; else of ``./continual-mt-home``.

        Raises UnknownNameError when there is none, unless it is to be created, and RegistryError when a version with
        other tables wrote it; older ones can be upgraded.
        """
        place = Location.resolve(location)
        database = Database(place, create=create, upgrade=upgrade)
        try:
            with database.read() as session:
                setting = session.get_one(schema.Setting, schema.BLOBS_SETTING)
            registry = cls(database, open_blobs(place.blobs_from(setting.value), place.cache))
            if database.upgraded_from:
                registry.claim_blobs()
            return registry
        except BaseException:
            database.close()
            raise

    @property
    def database(self) -> Database:
        """For `registry.maintenance`, which looks after records of every kind."""
        return self._database

    @property
    def local_parts(self) -> tuple[str, ...]:
        """What only this machine can use: records in a file, blobs in a folder."""
        records = (f"the records in {self.name}",) if self._database.is_file else ()
        return records + ((f"the blobs in {self.blobs.place}",) if self.blobs.is_local else ())

    def close(self) -> None:
        """Close the database and forget what was loaded."""
        self._database.close()
        self._parents.clear()
        self._modules.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def assemble(
        self,
        source: str,
        target: str | None = None,
        *,
        parent: str | None = None,
        recipe: str | None = None,
        xattn: str | None = None,
        modules: Sequence[str] = (),
        test: str | None = None,
    ) -> PairModel:
        """The model of a pair, or of a recipe's digest: ``assemble("de", "es")``, ``assemble("3f5a0c…")``.

        For a pair, ``recipe`` is the kind, and the rest as in ``recipe()``. The digest of what is given back,
        ``.recipe.digest``, gives the same model at any later time. Models share the weights that they have in common.
        """
        if target is None:
            if parent or recipe or xattn or modules or test:
                raise IncompatibleError("a recipe's digest says all; leave out parent, recipe, xattn, modules and test")
            return self.run(self.recipe_of(source))
        chosen = self.recipe(source, target, parent=parent, kind=recipe, xattn=xattn, modules=modules, test=test)
        self._remember(chosen)
        return self.run(chosen)

    def run(self, recipe: Recipe) -> PairModel:
        """The model of a recipe."""
        from continual_mt.inference.assembly import assemble

        modules = {key.name: self.load_module(key.name) for key in recipe.modules}
        return assemble(recipe, self.load_parent(recipe.parent), modules)

    def load_parent(self, name: str | None = None) -> Parent:
        """A parent with its weights; loaded once, then shared. Raises CorruptionError for damaged pieces."""
        from continual_mt.artifacts.parent import Parent

        record = self.parent(name)
        if record.fingerprint not in self._parents:
            parent = Parent.from_pieces(self.blobs.get_all(record.pieces))
            if parent.fingerprint != record.fingerprint:
                raise CorruptionError(
                    f"the pieces of the parent {record.name} have the fingerprint {parent.fingerprint}, but "
                    f"{record.fingerprint} was registered; the database of {self.name} was changed from outside"
                )
            self._parents[record.fingerprint] = parent
        return self._parents[record.fingerprint]

    def load_module(self, name: str) -> Module:
        """A module with its weights; loaded once, then shared.

        Raises CorruptionError for damaged pieces, IncompatibleError when its parent is another than it was trained on.
        """
        from continual_mt.artifacts.module import Module

        record = self.module(name)
        parent = self.load_parent(record.parent)
        # Not by name: what was forgotten for good, and the parent with it, may have left its name to another.
        content = parent.fingerprint, record.digest
        if content not in self._modules:
            module = Module.from_pieces(self.blobs.get_all(record.pieces))
            module.check_fits(parent)
            self._modules[content] = module
        return self._modules[content]

    def load_embedding(self, record: EmbeddingRecord) -> EmbeddingTable:
        """An embedding table, without the rest of its parent or module. Raises CorruptionError for damaged pieces."""
        from continual_mt.evaluation.alignment import EmbeddingTable

        owner = self.parent(record.parent) if record.module is None else self.module(record.module)
        wanted = {f"{record.side}.safetensors", f"{record.side}.model"}
        pieces = self.blobs.get_all({name: digest for name, digest in owner.pieces.items() if name in wanted})
        return EmbeddingTable.from_pieces(record.side, record.language, pieces)

    def register_parent(self, name: str, parent: Parent, *, lineage: Lineage) -> ParentRecord:
        """Store a parent under a new name. The same content, or the same attempt of a job, gives the record there is.

        Raises SpecError for a name that is not allowed, IncompatibleError when the name belongs to another parent or
        the parent has another name.
        """
        check_parent_name(name)
        return self._store(
            parent.pieces(),
            lambda session, pieces: parent_record(registration.add_parent(session, name, parent, pieces, lineage)),
        )

    def register_module(self, parent: str, module: Module, *, lineage: Lineage) -> ModuleRecord:
        """Store a module as the next version of its pair. The same attempt of a job gives the record there is.

        Raises IncompatibleError when the module was trained on another parent or shares no side with this one.
        """
        registration.check_module(self.parent(parent), module)
        return self._store(
            module.pieces(),
            lambda session, pieces: module_record(registration.add_module(session, parent, module, pieces, lineage)),
        )

    def register_corpus(self, corpus: CorpusRecord) -> CorpusRecord:
        """Note a corpus; the record there is, if its digest is known."""

        def change(session: Session) -> CorpusRecord:
            registration.check_noted(session, [corpus.sources, corpus.references])
            return corpus_record(registration.add_corpus(session, corpus))

        return self._database.write(change)

    def register_scores(self, scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        """Note scores, all of them or none. A measurement that was made before gets the new value."""

        def change(session: Session) -> list[ScoreRecord]:
            registration.check_noted(session, [score.hypotheses for score in scores])
            return [score_record(scoring.add_score(session, score), score.parent) for score in scores]

        return self._database.write(change)

    def register_sequence(self, sequence: SequenceRecord) -> SequenceRecord:
        """Note that a sequence was begun; the record there is, if its digest is known."""
        return self._database.write(lambda session: sequence_record(scoring.add_sequence(session, sequence)))

    def set_cells(self, sequence: str, position: int, cells: Sequence[CellRecord]) -> None:
        """Note what was scored at a position of a sequence, in the place of what was noted there before."""
        self._database.write(lambda session: scoring.set_cells(session, sequence, position, cells))

    def register_alignment(
        self, first: EmbeddingRecord, second: EmbeddingRecord, lexicon: Lexicon, results: Sequence[Precision]
    ) -> AlignmentRecord:
        """Keep how well two tables align, in the place of what the same tables and lexicon gave before."""
        entries = lexicon.lines()
        found = AlignmentRecord(
            first, second, Path(lexicon.path).name, self.store_lines(entries), len(entries), tuple(results)
        )
        return self._database.write(lambda session: alignment_record(scoring.add_alignment(session, found)))

    def load_lexicon(self, alignment: AlignmentRecord) -> Lexicon:
        """The lexicon that judged an alignment."""
        return parse_lexicon(self.lines(alignment.lexicon_digest), alignment.lexicon)

    def store_lines(self, lines: Sequence[str]) -> str:
        """Keep text, a line a sentence, and return its blob. Raises InputError for a line that holds a line break."""
        if any("\n" in line for line in lines):
            raise InputError("a sentence holds a line break, so it cannot be kept as a line")
        content = "".join(f"{line}\n" for line in lines).encode()

        def note(session: Session, pieces: Sequence[StoredPiece]) -> str:
            registration.note_blobs(session, {piece.digest: piece.bytes for piece in pieces})
            return pieces[0].digest

        return self._store({"lines": content}, note)

    def lines(self, blob: str) -> list[str]:
        """Text that ``store_lines`` kept."""
        return self.blobs.get(blob).decode().split("\n")[:-1]

    def hold_job(self, digest: str, kind: str, holder: str, seconds: float = LEASE_SECONDS) -> JobRecord:
        """Take the lease on a job for some seconds, also one that has expired; a finished job is returned as it is.

        Raises JobHeldError, naming the holder, while another one holds it.
        """
        return self._database.write(lambda session: job_record(leases.hold(session, digest, kind, holder, seconds)))

    def renew_job(self, digest: str, holder: str, seconds: float = LEASE_SECONDS) -> JobRecord:
        """Hold a job for some seconds from now. Raises JobHeldError when the lease was lost to another holder."""
        return self._database.write(lambda session: job_record(leases.renew(session, digest, holder, seconds)))

    def release_job(self, digest: str, holder: str, state: JobState) -> JobRecord:
        """Give a job back: finished, failed or stopped. Raises JobHeldError when another holder has the lease."""
        return self._database.write(lambda session: job_record(leases.release(session, digest, holder, state)))

    def set_job_run(self, digest: str, run: str) -> JobRecord:
        """Note the tracking run of a job, which stays the same through retries."""
        return self._database.write(lambda session: job_record(leases.set_run(session, digest, run)))

    def again(self, digest: str) -> JobRecord:
        """Let finished work be done anew, as the next attempt of the job; a job that is not finished stays as it is."""
        return self._database.write(lambda session: job_record(leases.again(session, digest)))

    def claim_blobs(self) -> str:
        """Note beside the blobs that this registry has some there; returns the identity by which it is known there."""
        if self._owned is None:
            identity = self.identity() or self._database.write(_identify)
            self.blobs.claim(identity, self.name)
            self._owned = identity
        return self._owned

    def identity(self) -> str | None:
        """What tells this registry apart from others with blobs in the same place; None before it had any."""
        with self._database.read() as session:
            setting = session.get(schema.Setting, schema.IDENTITY_SETTING)
            return None if setting is None else setting.value

    def _store(
        self, contents: Mapping[str, bytes], register: Callable[[Session, Sequence[StoredPiece]], _Result]
    ) -> _Result:
        """Store contents, then register them in one transaction, in which all of them are still there.

        `registry gc` may have taken for an orphan what was stored and not yet registered: it is stored again then,
        while this writer has its turn and nobody collects.
        """
        self.claim_blobs()
        pieces = [StoredPiece(name, self.blobs.put(content), len(content)) for name, content in contents.items()]

        def change(session: Session) -> _Result:
            for piece in pieces:
                if not self.blobs.has(piece.digest):
                    self.blobs.put(contents[piece.name])
            return register(session, pieces)

        return self._database.write(change)

    def _remember(self, recipe: Recipe) -> None:
        """Note what a recipe's digest stands for. What cannot be written to can still be read: then it is only said."""
        with self._database.read() as session:
            if session.get(schema.Recipe, recipe.digest) is not None:
                return
        try:
            self._database.write(lambda session: scoring.add_recipe(session, recipe))
        except FailureError as error:
            _logger.warning("the recipe %s can be run, but not be found by its digest later: %s", recipe, error)


def _identify(session: Session) -> str:
    """Give a registry an identity, unless another process just has."""
    setting = session.get(schema.Setting, schema.IDENTITY_SETTING)
    if setting is None:
        setting = schema.Setting(key=schema.IDENTITY_SETTING, value=uuid4().hex)
        session.add(setting)
    return setting.value
