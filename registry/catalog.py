"""What the records say: what exists, and every recipe that can be run with it. Nothing here reads or writes bytes."""

from __future__ import annotations

from sqlalchemy import select

from continual_mt.errors import IncompatibleError, UnknownNameError
from continual_mt.languages import Pair
from continual_mt.recipe import Recipe
from registry import schema
from registry.alignments import AlignmentRecord
from registry.database import Database
from registry.entities import CorpusRecord, JobRecord, ModuleRecord, PairEntry, ParentRecord, ScoreRecord
from registry.names import ModuleName, unknown
from registry.records import (
    alignment_record,
    cell_record,
    corpus_record,
    job_record,
    module_record,
    parent_record,
    score_record,
    sequence_record,
)
from registry.resolution import PREFERENCE, Shelf
from registry.sequences import CellRecord, SequenceRecord

BEST_METRIC = "bleu"
_RETENTION = "retention:"
_PARENTS_OWN = "parent"


class Catalog:
    """The reading half of the registry.

    All verbs raise UnknownNameError for names that are not there and RegistryError when the database cannot be used.
    A module is found by ``de-en``, ``de-en:3`` or ``PARENT/de-en:3``: without a version it is the newest one
    that is no part of a shared sequence, without a parent the only parent's.
    """

    def __init__(self, database: Database) -> None:
        self.name = database.name
        self._database = database

    def parents(self) -> list[ParentRecord]:
        """All parents, by name."""
        with self._database.read() as session:
            records = [parent_record(row) for row in session.scalars(select(schema.Parent))]
        return sorted(records, key=lambda record: record.name)

    def parent(self, name: str | None = None) -> ParentRecord:
        """A parent; the name may be left out while there is exactly one."""
        records = {record.name: record for record in self.parents()}
        if name is not None:
            if name not in records:
                raise unknown("parent", name, records)
            return records[name]
        if len(records) != 1:
            listed = f"say which parent: {', '.join(records)}" if records else "there is no parent yet; train one"
            raise UnknownNameError(f"{listed} (in {self.name})")
        return next(iter(records.values()))

    def modules(self, parent: str | None = None) -> list[ModuleRecord]:
        """All modules, or those of one parent, by parent, pair and version."""
        query = select(schema.Module)
        if parent is not None:
            query = query.where(schema.Module.parent.has(schema.Parent.name == self.parent(parent).name))
        with self._database.read() as session:
            records = [module_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda record: (record.parent, record.pair, record.version))

    def module(self, name: str, *, parent: str | None = None) -> ModuleRecord:
        """A module by name. ``parent`` stands for the part before the slash where the name has none."""
        wanted = ModuleName.parse(name)
        modules = self.modules(self.parent(wanted.parent or parent).name)
        for record in reversed(modules):
            fits = not record.shared if wanted.version is None else record.version == wanted.version
            if record.pair == wanted.pair and fits:
                return record
        raise unknown("module", name, (record.full_name for record in modules))

    def corpora(self) -> list[CorpusRecord]:
        """All corpora that something was trained or tested on, by name."""
        with self._database.read() as session:
            records = [corpus_record(row) for row in session.scalars(select(schema.Corpus).order_by(schema.Corpus.id))]
        return sorted(records, key=lambda record: record.name)

    def scores(
        self, pair: Pair | None = None, *, parent: str | None = None, kind: str | None = None, metric: str | None = None
    ) -> list[ScoreRecord]:
        """Scores in the order in which they were measured, those only that agree with what is given."""
        query = select(schema.Score).order_by(schema.Score.created, schema.Score.id)
        if pair is not None:
            query = query.where(schema.Score.source == pair.source, schema.Score.target == pair.target)
        if parent is not None:
            query = query.where(schema.Score.parent.has(schema.Parent.name == self.parent(parent).name))
        if kind is not None:
            query = query.where(schema.Score.kind == kind)
        if metric is not None:
            query = query.where(schema.Score.metric == metric)
        with self._database.read() as session:
            return [score_record(row) for row in session.scalars(query)]

    def sequences(self, parent: str | None = None) -> list[SequenceRecord]:
        """All sequences, or those of one parent, in the order in which they were begun."""
        query = select(schema.Sequence).order_by(schema.Sequence.id)
        if parent is not None:
            query = query.where(schema.Sequence.parent.has(schema.Parent.name == self.parent(parent).name))
        with self._database.read() as session:
            return [sequence_record(row) for row in session.scalars(query)]

    def cells(self, sequence: str, *, metric: str | None = None) -> list[CellRecord]:
        """What was scored along a sequence, given by its digest: by position, view and pair."""
        query = select(schema.Cell).where(schema.Cell.sequence.has(schema.Sequence.digest == sequence))
        if metric is not None:
            query = query.where(schema.Cell.metric == metric)
        with self._database.read() as session:
            records = [cell_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda cell: (cell.position, cell.view, cell.pair, cell.test, cell.metric))

    def alignments(self, parent: str | None = None) -> list[AlignmentRecord]:
        """All alignments that were kept, or those of one parent, by side, languages and lexicon."""
        query = select(schema.Alignment)
        if parent is not None:
            query = query.where(schema.Alignment.parent.has(schema.Parent.name == self.parent(parent).name))
        with self._database.read() as session:
            records = [alignment_record(row) for row in session.scalars(query)]
        return sorted(
            records, key=lambda record: (record.first.side, str(record.first), str(record.second), record.lexicon)
        )

    def job(self, digest: str) -> JobRecord | None:
        """A job and its lease; None when nobody ever held it."""
        with self._database.read() as session:
            row = session.get(schema.Job, digest)
            return None if row is None else job_record(row)

    def recipes(self, parent: str | None = None) -> list[Recipe]:
        """Every recipe that can be run now, with the newest version of each trained pair."""
        return [recipe for shelf in self._shelves(parent) for recipe in shelf.recipes()]

    def pairs(self, parent: str | None = None) -> list[PairEntry]:
        """Every pair that can be run now, one entry a parent: its best recipe, and how good that one is.

        The score is BLEU on the test set with the most sentences, so that some lines that were scored in passing do not
        take the place of a real test set; the highest of several with different beams.
        """
        best: dict[str, ScoreRecord] = {}
        for score in self.scores(metric=BEST_METRIC):
            known = best.get(score.recipe)
            if known is None or (score.sentences, score.value) > (known.sentences, known.value):
                best[score.recipe] = score
        chosen = [recipe for shelf in self._shelves(parent) for recipe in shelf.pairs()]
        return [PairEntry(recipe, best.get(recipe.digest)) for recipe in chosen]

    def recipe(
        self, source: str, target: str, *, parent: str | None = None, kind: str | None = None, xattn: str | None = None
    ) -> Recipe:
        """The recipe of a pair: the best there is, or of one kind (``retention:MODULE`` for the original pair).

        ``xattn`` takes another module's cross-attention, or the ``parent``'s: what was trained is then a retention.
        Raises UnknownNameError, listing the pairs that can be run, and IncompatibleError for parts that do not fit.
        """
        pair = Pair(source, target)
        shelf = self._shelf(self.parent(parent))
        if kind is not None and kind.startswith(_RETENTION):
            if xattn is not None:
                raise IncompatibleError(f"{kind} says which cross-attention is taken; leave out xattn ({xattn})")
            module = self.module(kind.removeprefix(_RETENTION), parent=shelf.parent.name)
            return shelf.through(shelf.choose(pair, "original"), module)
        if kind is not None and kind not in PREFERENCE:
            raise UnknownNameError(
                f"there is no kind of recipe {kind[:80]!r}; there is: {', '.join(PREFERENCE)}, retention:MODULE"
            )
        recipe = shelf.choose(pair, kind)
        if xattn is None:
            return recipe
        return shelf.through(recipe, None if xattn == _PARENTS_OWN else self.module(xattn, parent=shelf.parent.name))

    def _shelf(self, parent: ParentRecord) -> Shelf:
        return Shelf(parent, [module for module in self.modules(parent.name) if not module.shared])

    def _shelves(self, name: str | None) -> list[Shelf]:
        return [self._shelf(parent) for parent in (self.parents() if name is None else [self.parent(name)])]
