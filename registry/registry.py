"""The registry's public interface: reading and writing records, and loading weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from sqlalchemy.orm import Session

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.artifacts.stored.optional_pieces import INITIALISATION, WORD_TRANSLATIONS, check_start, required
from continual_mt.errors import FailureError, IncompatibleError
from continual_mt.evaluation.lexicon import Lexicon
from continual_mt.languages import Pair
from registry.blobs import BlobStore, open_blobs
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.database.row_mapping import (
    alignment_record,
    corpus_record,
    module_record,
    parent_record,
    score_record,
    sequence_record,
)
from registry.queries.catalog import Catalog
from registry.recipes.recipe_catalog import RecipeCatalog
from registry.records.alignments import AlignmentRecord, EmbeddingRecord
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.corpora import CorpusRecord
from registry.records.lineage import Lineage
from registry.records.names import check_parent_name
from registry.records.pairs import PairEntry
from registry.records.scores import ScoreRecord
from registry.records.sequences import CellRecord, SequenceRecord
from registry.writes import registration, scoring
from registry.writes.curation import Curation
from registry.writes.jobs import Jobs
from registry.writes.storage import Storage
from registry.writes.texts import Texts

# Torch takes longer to import than most questions take to answer: only verbs that read weights do it.
if TYPE_CHECKING:
    from continual_mt.artifacts.module import Module
    from continual_mt.artifacts.parent import Parent
    from continual_mt.evaluation.alignment import EmbeddingTable
    from continual_mt.evaluation.alignment_result import Precision
    from continual_mt.inference.pivot_model import PivotModel
    from continual_mt.inference.torch_model import PairModel

_logger = logging.getLogger(__name__)


class Registry:
    """Everything that was trained and measured, and every pair that can be run with it. Open it with `Registry.open`.

    It offers what most callers need; the rest is reached through what it owns: ``catalog`` (what is on record),
    ``recipe_catalog`` (what can be run), ``annotations`` (aliases, tags, notes, deletion, search), ``jobs`` (leases),
    ``texts`` (kept text), ``storage`` (where records and blobs are).

    Besides the catalog's errors, verbs that write raise StorageError when the database or the blobs cannot be
    written to, and verbs that read weights CorruptionError for damaged or missing blobs. A verb that fails has changed
    no record.
    """

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self.name = database.name
        self.database, self.blobs = database, blobs
        self.storage = Storage(database, blobs)
        self.catalog = Catalog(database)
        self.texts = Texts(self.storage)
        self.recipe_catalog = RecipeCatalog(database, self.catalog, self.texts)
        self.annotations = Curation(database, self.catalog)
        self.jobs = Jobs(database)
        self._parents: dict[str, Parent] = {}
        self._modules: dict[tuple[str, str], Module] = {}

    @classmethod
    def open(cls, location: str | Path | None = None, *, create: bool = False, upgrade: bool = False) -> Registry:
        """Open the registry of a home folder or database URL; else of the variables; else of ``./continual-mt-home``.

        Raises UnknownNameError if it does not exist and ``create`` is False, and RegistryError if a version with
        other tables wrote it; with ``upgrade``, older tables are upgraded.
        """
        place = Location.resolve(location)
        database = Database(place, create=create, upgrade=upgrade)
        try:
            with database.read() as session:
                setting = session.get_one(schema.Setting, schema.BLOBS_SETTING)
            registry = cls(database, open_blobs(place.blobs_from(setting.value), place.cache))
            if database.upgraded_from:
                registry.storage.claim()
            return registry
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the database and forget what was loaded."""
        self.database.close()
        self._parents.clear()
        self._modules.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def pairs(
        self,
        parent: str | None = None,
        *,
        modules: Sequence[str] = (),
        test: str | None = None,
        language: str | None = None,
        pivot: bool = True,
    ) -> list[PairEntry]:
        """Every pair that can be run now, one entry a parent: the recipe that it runs with, and that one's best BLEU.

        With ``language`` only the pairs from it and into it are listed. Without, of the pairs of a parent of hundreds
        of languages only those with a module or a score are.

        ``modules`` pins versions, ``test`` names the test set whose BLEU decides, and ``pivot`` tells whether pairs may
        be translated through a third language, by two models: see `registry.recipes.rule`. The score shown is the one
        on the test set with the most sentences, and the highest of those with different beams.
        """
        return self.recipe_catalog.pairs(parent, modules=modules, test=test, language=language, pivot=pivot)

    def parents(self) -> list[ParentRecord]:
        """All parents, by name."""
        return self.catalog.parents()

    def parent(self, name: str | None = None) -> ParentRecord:
        """A parent; the name may be left out while there is exactly one. Raises UnknownNameError."""
        return self.catalog.parent(name)

    def modules(self, parent: str | None = None) -> list[ModuleRecord]:
        """All modules, or those of one parent, by parent, pair and version."""
        return self.catalog.modules(parent)

    def module(self, name: str, *, parent: str | None = None) -> ModuleRecord:
        """A module by name. ``parent`` is used where the name has no ``PARENT/`` in front. Raises UnknownNameError."""
        return self.catalog.module(name, parent=parent)

    def scores(
        self,
        pair: Pair | None = None,
        *,
        parent: str | None = None,
        kind: str | None = None,
        metric: str | None = None,
        recipe: str | None = None,
        module: str | None = None,
        variants: bool = False,
    ) -> list[ScoreRecord]:
        """Scores in the order in which they were measured; only those that match all that is given.

        ``recipe`` is a recipe's digest, ``module`` the full name of a module that the scored recipe uses. A pivot is
        found by the parents and modules of both legs. With ``variants`` also scores of several references and those
        that ignore case, as their signatures say.
        """
        return self.catalog.scores(
            pair, parent=parent, kind=kind, metric=metric, recipe=recipe, module=module, variants=variants
        )

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
        pivot: bool = True,
    ) -> PairModel | PivotModel[PairModel]:
        """Assemble the model of a pair, or of a recipe's digest: ``assemble("de", "es")``, ``assemble("3f5a0c…")``.

        For a pair, ``recipe`` names it, and the rest as in `RecipeCatalog.choice`. A pivot gives a `PivotModel`, which
        takes twice as long as a `PairModel`, and is chosen only with ``pivot``. The result's ``.why`` is the `Choice`:
        the candidates and the reason; its ``.recipe.digest`` gives the same model at any later time. Models share the
        weights that they have in common.
        """
        if target is None:
            if parent or recipe or xattn or modules or test:
                raise IncompatibleError(
                    "a recipe's digest identifies the model; leave out parent, recipe, xattn, modules and test"
                )
            return self.run(self.recipe_catalog.recipe_of(source))
        why = self.recipe_catalog.choice(
            source, target, parent=parent, kind=recipe, xattn=xattn, modules=modules, test=test, pivot=pivot
        )
        self.remember(why.chosen)
        return self.run(why.chosen).because(why)

    @overload
    def run(self, recipe: Recipe) -> PairModel: ...

    @overload
    def run(self, recipe: Pivot) -> PivotModel[PairModel]: ...

    def run(self, recipe: AnyRecipe) -> PairModel | PivotModel[PairModel]:
        """Assemble the model of a recipe."""
        from continual_mt.inference.assembly import assemble
        from continual_mt.inference.pivot_model import PivotModel

        if isinstance(recipe, Pivot):
            return PivotModel(recipe, self.run(recipe.first), self.run(recipe.second))
        parent = self.load_parent(recipe.parent)
        modules = {record.full_name: self._loaded(record, parent) for record in self.modules_of(recipe)}
        return assemble(recipe, parent, modules)

    def modules_of(self, recipe: Recipe) -> list[ModuleRecord]:
        """The modules that a recipe is assembled from: its own, and those whose cross-attention these rest on."""
        layers = (layer for key in recipe.modules for layer in self.catalog.layers(self.module(key.name)))
        return list({layer.full_name: layer for layer in layers}.values())

    def load_parent(self, name: str | None = None) -> Parent:
        """Load a parent, once; later calls share it. Its weights are mapped into memory, and read as they are used.

        Raises CorruptionError for missing pieces, and for damaged ones (see `BlobStore.file`).
        """
        from continual_mt.artifacts.parent import Parent

        record = self.parent(name)
        if record.fingerprint not in self._parents:
            self._parents[record.fingerprint] = self.blobs.load(
                required(record.pieces), lambda pieces: Parent.from_pieces(pieces, record.fingerprint)
            )
        return self._parents[record.fingerprint]

    def load_module(self, name: str) -> Module:
        """Load a module, once, as `load_parent` does; later calls share it.

        Raises CorruptionError for damaged pieces, IncompatibleError when its parent is another than it was trained on.
        """
        record = self.module(name)
        return self._loaded(record, self.load_parent(record.parent))

    def _loaded(self, record: ModuleRecord, parent: Parent) -> Module:
        """The weights of a record that was just read: a look-up of a record takes longer than all else here."""
        from continual_mt.artifacts.module import Module

        # Not by name: after a parent was removed for good, another one may have its name.
        content = parent.fingerprint, record.digest
        if content not in self._modules:
            module = self.blobs.load(required(record.pieces), lambda pieces: Module.from_pieces(pieces, record.digest))
            module.check_fits(parent)
            self._modules[content] = module
        return self._modules[content]

    def start_of(self, record: ParentRecord | ModuleRecord) -> dict[str, Any] | None:
        """How the embeddings of a module started; None if nothing is recorded, as for random ones.

        Raises CorruptionError if the record is damaged.
        """
        if INITIALISATION not in record.pieces:
            return None
        from continual_mt.artifacts.stored.serialization import read_json

        start = read_json(self.blobs.get_all({INITIALISATION: record.pieces[INITIALISATION]}), INITIALISATION)
        check_start(start)
        return start

    def load_embedding(self, record: EmbeddingRecord) -> EmbeddingTable:
        """Load only the embedding table of a parent or module. Raises CorruptionError for damaged pieces."""
        from continual_mt.evaluation.alignment import EmbeddingTable

        owner = self.parent(record.parent) if record.module is None else self.module(record.module)
        part = owner.part(record.side, record.language) if isinstance(owner, ParentRecord) else record.side
        wanted = {f"{part}.safetensors", f"{part}.model"}
        return self.blobs.load(
            {name: digest for name, digest in owner.pieces.items() if name in wanted},
            lambda pieces: EmbeddingTable.from_pieces(part, record.language, pieces),
        )

    def register_parent(self, name: str, parent: Parent, *, lineage: Lineage) -> ParentRecord:
        """Store a parent under a new name. The same content, or the same attempt of a job, returns the existing record.

        Raises SpecError for a name that is not allowed, IncompatibleError when the name belongs to another parent or
        the parent has another name.
        """
        check_parent_name(name)
        return self.storage.store(
            parent.new_pieces(),
            lambda session, pieces: parent_record(registration.add_parent(session, name, parent, pieces, lineage)),
        )

    def add_word_translations(self, parent: str, table: bytes) -> ParentRecord:
        """Store a parent's word translation table, unless it has one. Its fingerprint does not change."""
        return self.storage.store(
            {WORD_TRANSLATIONS: table},
            lambda session, pieces: parent_record(registration.add_optional_piece(session, parent, pieces[0])),
        )

    def register_module(
        self, parent: str, module: Module, *, lineage: Lineage, initialisation: bytes | None = None
    ) -> ModuleRecord:
        """Store a module as the next version of its pair. The same attempt of a job returns the existing record.

        ``initialisation`` is a JSON object that tells how its embeddings started. Raises IncompatibleError when the
        module was trained on another parent or shares no side with this one.
        """
        registration.check_module(self.parent(parent), module, lineage.rests_on)
        optional = {} if initialisation is None else {INITIALISATION: initialisation}
        return self.storage.store(
            {**module.new_pieces(), **optional},
            lambda session, pieces: module_record(registration.add_module(session, parent, module, pieces, lineage)),
        )

    def register_corpus(self, corpus: CorpusRecord) -> CorpusRecord:
        """Register a corpus. Returns the existing record if its digest is known."""

        def change(session: Session) -> CorpusRecord:
            registration.check_noted(session, [corpus.sources, corpus.references])
            return corpus_record(registration.add_corpus(session, corpus))

        return self.database.write(change)

    def register_scores(self, scores: Sequence[ScoreRecord]) -> list[ScoreRecord]:
        """Register scores, all of them or none. A repeated measurement replaces the earlier value."""

        def change(session: Session) -> list[ScoreRecord]:
            registration.check_noted(session, [score.hypotheses for score in scores])
            return [score_record(scoring.add_score(session, score), score.parent) for score in scores]

        return self.database.write(change)

    def register_sequence(self, sequence: SequenceRecord) -> SequenceRecord:
        """Register a sequence. Returns the existing record if its digest is known."""
        return self.database.write(lambda session: sequence_record(scoring.add_sequence(session, sequence)))

    def register_cells(self, sequence: str, position: int, cells: Sequence[CellRecord]) -> None:
        """Replace the cells of a position of a sequence."""
        self.database.write(lambda session: scoring.set_cells(session, sequence, position, cells))

    def register_alignment(
        self, first: EmbeddingRecord, second: EmbeddingRecord, lexicon: Lexicon, results: Sequence[Precision]
    ) -> AlignmentRecord:
        """Register how well two tables align. Replaces an earlier result of the same tables and lexicon."""
        entries = lexicon.lines()
        found = AlignmentRecord(
            first, second, Path(lexicon.path).name, self.texts.store(entries), len(entries), tuple(results)
        )
        return self.database.write(lambda session: alignment_record(scoring.add_alignment(session, found)))

    def remember(self, recipe: AnyRecipe) -> None:
        """Store what a recipe consists of by its digest. A registry that cannot be written to only logs a warning."""
        with self.database.read() as session:
            if session.get(schema.Recipe, recipe.digest) is not None:
                return
        try:
            self.database.write(lambda session: scoring.add_recipe(session, recipe))
        except FailureError as error:
            _logger.warning("the recipe %s can be run, but not be found by its digest later: %s", recipe, error)
