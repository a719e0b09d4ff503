"""What the records say of what exists. Nothing here reads or writes bytes."""

from __future__ import annotations

from sqlalchemy import ScalarSelect, Select, or_, select
from sqlalchemy.orm import Session

from continual_mt.errors import UnknownNameError
from continual_mt.languages import Pair
from registry import schema
from registry.alignments import AlignmentRecord
from registry.database import Database
from registry.entities import CorpusRecord, JobRecord, ModuleRecord, ParentRecord, ScoreRecord
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
from registry.sequences import CellRecord, SequenceRecord


class Catalog:
    """The reading half of the registry.

    All verbs raise UnknownNameError for names that are not there and RegistryError when the database cannot be used.
    A module is found by ``de-en``, ``de-en:3`` or ``de-en@champion``, with or without ``PARENT/`` in front: without
    a version or an alias it is the newest one that is no part of a shared sequence, without a parent the only
    parent's. What was deleted is not there.
    """

    def __init__(self, database: Database) -> None:
        self.name = database.name
        self._database = database

    def parents(self) -> list[ParentRecord]:
        """All parents, by name."""
        with self._database.read() as session:
            records = [parent_record(row) for row in session.scalars(select(schema.Parent).filter_by(deleted=None))]
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
        query = select(schema.Module).where(schema.Module.deleted.is_(None))
        if parent is not None:
            query = query.where(schema.Module.parent_id == parent_id(self.parent(parent).name))
        with self._database.read() as session:
            records = [module_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda record: (record.parent, record.pair, record.version))

    def module(self, name: str, *, parent: str | None = None) -> ModuleRecord:
        """A module by name. ``parent`` stands for the part before the slash where the name has none."""
        wanted = ModuleName.parse(name)
        owner = self.parent(wanted.parent or parent).name
        with self._database.read() as session:
            row = session.scalar(_named(wanted, owner))
            if row is not None and row.deleted is None:
                return module_record(row)
            if row is not None:
                raise UnknownNameError(
                    f"{module_record(row).full_name} was deleted by {row.deleted_by}; "
                    f"bring it back with 'continual-mt registry restore {module_record(row).full_name}'"
                )
            raise unknown("module", name, _known_names(session, owner))

    def corpora(self) -> list[CorpusRecord]:
        """All corpora that something was trained or tested on, by name."""
        with self._database.read() as session:
            records = [corpus_record(row) for row in session.scalars(select(schema.Corpus).order_by(schema.Corpus.id))]
        return sorted(records, key=lambda record: record.name)

    def scores(
        self,
        pair: Pair | None = None,
        *,
        parent: str | None = None,
        kind: str | None = None,
        metric: str | None = None,
        recipe: str | None = None,
        module: str | None = None,
    ) -> list[ScoreRecord]:
        """Scores in the order in which they were measured, those only that agree with what is given.

        ``recipe`` is a recipe's digest, ``module`` the full name of one that has a part in what was scored.
        """
        query = select(schema.Score).order_by(schema.Score.created, schema.Score.id)
        if pair is not None:
            query = query.where(schema.Score.source == pair.source, schema.Score.target == pair.target)
        if parent is not None:
            query = query.where(schema.Score.parent_id == parent_id(self.parent(parent).name))
        if kind is not None:
            query = query.where(schema.Score.kind == kind)
        if metric is not None:
            query = query.where(schema.Score.metric == metric)
        if recipe is not None:
            query = query.where(schema.Score.recipe_digest == recipe)
        if module is not None:
            parts = schema.Score.source_module, schema.Score.cross_attention_module, schema.Score.target_module
            query = query.where(or_(*(part == module for part in parts)))
        with self._database.read() as session:
            return [score_record(row, row.parent.name) for row in session.scalars(query)]

    def sequences(self, parent: str | None = None) -> list[SequenceRecord]:
        """All sequences, or those of one parent, in the order in which they were begun."""
        query = select(schema.Sequence).order_by(schema.Sequence.id)
        if parent is not None:
            query = query.where(schema.Sequence.parent_id == parent_id(self.parent(parent).name))
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
            query = query.where(schema.Alignment.parent_id == parent_id(self.parent(parent).name))
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


def parent_id(name: str) -> ScalarSelect[int]:
    """A parent's key, for queries. From the bare table: two mapped kinds of artifact cannot well be joined."""
    columns = schema.Parent.__table__.c
    return select(columns.id).where(columns.name == name).scalar_subquery()


def _named(name: ModuleName, parent: str) -> Select[schema.Module]:
    """The module of a name, be it deleted, if a version or an alias says which; else the newest there is."""
    module = schema.Module
    query = select(module).where(module.parent_id == parent_id(parent))
    if name.alias is not None:
        alias = schema.Alias
        return query.join(alias, alias.module_id == module.id).where(
            alias.source == name.pair.source, alias.target == name.pair.target, alias.name == name.alias
        )
    query = query.where(module.source == name.pair.source, module.target == name.pair.target)
    if name.version is not None:
        return query.where(module.version == name.version)
    newest = query.where(module.shared.is_(False), module.deleted.is_(None))
    return newest.order_by(module.version.desc()).limit(1)


def _known_names(session: Session, parent: str) -> list[str]:
    """Every name that could have been meant: modules by version and by alias."""
    module, alias = schema.Module, schema.Alias
    owner = parent_id(parent)
    versions = session.execute(
        select(module.source, module.target, module.version).where(module.parent_id == owner, module.deleted.is_(None))
    )
    aliases = session.execute(select(alias.source, alias.target, alias.name).where(alias.parent_id == owner))
    return [
        *(f"{parent}/{source}-{target}:{version}" for source, target, version in versions),
        *(f"{parent}/{source}-{target}@{name}" for source, target, name in aliases),
    ]
