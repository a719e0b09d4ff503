"""Queries over artifacts, corpora, scores, sequences and alignments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import ScalarSelect, Select, and_, select
from sqlalchemy.orm import Session, aliased

from continual_mt.errors import LanguageError, UnknownNameError
from continual_mt.languages import Pair
from registry.database import schema
from registry.database.database import Database
from registry.database.row_mapping import (
    alignment_record,
    cell_record,
    corpus_record,
    module_record,
    parent_languages,
    parent_record,
    score_record,
    sequence_record,
)
from registry.queries.pivot_rows import has_module, is_of_parent
from registry.queries.score_conditions import is_plain
from registry.queries.version_selection import CHAMPION
from registry.records.alignments import AlignmentRecord
from registry.records.artifacts import ModuleRecord, ParentOutline, ParentRecord
from registry.records.corpora import CorpusRecord
from registry.records.names import AliasName, ModuleName, full_name, is_printable, unknown
from registry.records.scores import ListedScore, ScoreRecord
from registry.records.sequences import CellRecord, SequenceRecord

_Parent = TypeVar("_Parent", bound=ParentOutline)
_Name = TypeVar("_Name", ModuleName, AliasName)

_DELETED = select(schema.Artifact.__table__.c.id).where(schema.Artifact.__table__.c.deleted.is_not(None))


class Catalog:
    """Parents, modules, corpora, scores, sequences and alignments, as they are on record.

    All verbs raise UnknownNameError for unknown names and RegistryError when the database cannot be used.
    A module is found by ``de-en``, ``de-en:3`` or ``de-en@champion``, with or without ``PARENT/`` in front: without
    a version or an alias it is the one that the pair is run with, its champion or else the newest that is no part of a
    shared sequence; without a parent it is the only parent's. Deleted artifacts are not found.
    """

    def __init__(self, database: Database) -> None:
        self.name = database.name
        self._database = database

    def parents(self) -> list[ParentRecord]:
        """All parents, by name."""
        with self._database.read() as session:
            query = select(schema.Parent).where(schema.Parent.deleted.is_(None))
            records = [parent_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda record: record.name)

    def parent(self, name: str | None = None) -> ParentRecord:
        """A parent; the name may be left out while there is exactly one."""
        return self._one_of(self.parents(), name)

    def parent_outlines(self) -> list[ParentOutline]:
        """All parents, by name: what recipes and names need of them, without their pieces and corpora."""
        kind, side = schema.Parent, schema.ParentSide
        query = select(kind.id, kind.name, kind.fingerprint, kind.denoising).where(kind.deleted.is_(None))
        with self._database.read() as session:
            rows: dict[int, list[schema.ParentSide]] = defaultdict(list)
            for row in session.scalars(select(side)):
                rows[row.parent_id].append(row)
            found = [
                ParentOutline(name, parent_languages(rows[key], denoising=denoising), mark)
                for key, name, mark, denoising in session.execute(query)
            ]
        return sorted(found, key=lambda parent: parent.name)

    def parent_outline(self, name: str | None = None) -> ParentOutline:
        """As much of a parent as recipes and names need; the name may be left out while there is exactly one."""
        return self._one_of(self.parent_outlines(), name)

    def _one_of(self, parents: Iterable[_Parent], name: str | None) -> _Parent:
        named = {parent.name: parent for parent in parents}
        if name is not None:
            if name not in named:
                self.check_not_deleted(name)
                raise unknown("parent", name, named)
            return named[name]
        if len(named) != 1:
            if not named:
                raise UnknownNameError(f"no parent is registered yet; train or import one (in {self.name})")
            raise UnknownNameError(
                f"say which parent: {', '.join(named)} (in {self.name}). "
                "Fix: --parent NAME, or NAME/ before the name of a module"
            )
        return next(iter(named.values()))

    def check_not_deleted(self, name: str) -> None:
        """Raises UnknownNameError for a parent that was deleted: its name is never given to another."""
        with self._database.read() as session:
            raise_if_deleted(find_parent(session, name))

    def modules(self, parent: str | None = None) -> list[ModuleRecord]:
        """All modules, or those of one parent, by parent, pair and version."""
        query = select(schema.Module).where(schema.Module.deleted.is_(None))
        if parent is not None:
            query = query.where(schema.Module.parent_id == parent_id(self.parent_outline(parent).name))
        with self._database.read() as session:
            records = [module_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda record: (record.parent, record.pair, record.version))

    def module(self, name: str, *, parent: str | None = None) -> ModuleRecord:
        """A module by name. ``parent`` is used where the name has no ``PARENT/`` in front."""
        wanted = self.in_tags(ModuleName.parse(name), parent)
        owner = wanted.parent or ""
        with self._database.read() as session:
            row = find_module(session, wanted, owner)
            raise_if_deleted(row)
            if row is None:
                raise unknown("module", name, _names(session, owner, wanted.pair) or _names(session, owner))
            return module_record(row)

    def layers(self, module: ModuleRecord) -> tuple[ModuleRecord, ...]:
        """The modules whose cross-attention a module rests on, the lowest first, then itself."""
        below = module.rests_on.cross_attention
        return (module,) if below is None else (*self.layers(self.module(below.name)), module)

    def in_tags(self, name: _Name, parent: str | None = None) -> _Name:
        """Return a name with its parent's in it, and with tags in place of the parent's own codes.

        ``parent`` is used where the name has none. Raises UnknownNameError.
        """
        owner = self.parent_outline(name.parent or parent)
        try:
            return replace(name, parent=owner.name, pair=owner.languages.pair_in_tags(name.pair))
        except LanguageError as error:
            raise UnknownNameError(f"{name.pair} is the pair of no module of {owner.name}: {error}") from error

    def find(self, name: str) -> ParentRecord | ModuleRecord:
        """The parent of this name, else the module."""
        parents = {parent.name: parent for parent in self.parents()}
        if name in parents:
            return parents[name]
        if ModuleName.is_one(name):
            return self.module(name)
        self.check_not_deleted(name)
        with self._database.read() as session:
            modules = [module for parent in parents for module in _names(session, parent)]
        raise unknown("parent or module", name, [*parents, *modules])

    def made_by(self, job: str, attempt: int) -> ParentRecord | ModuleRecord | None:
        """What an attempt of a job registered; None if it registered nothing, or that was deleted."""
        parent, module = schema.Parent, schema.Module
        parents = select(parent).where(parent.job == job, parent.attempt == attempt, parent.deleted.is_(None))
        modules = select(module).where(module.job == job, module.attempt == attempt, module.deleted.is_(None))
        with self._database.read() as session:
            if (found := session.scalar(parents)) is not None:
                return parent_record(found)
            row = session.scalar(modules)
            return None if row is None else module_record(row)

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
        variants: bool = False,
    ) -> list[ScoreRecord]:
        """Scores in the order in which they were measured, those only that agree with what is given.

        ``recipe`` is a recipe's digest, ``module`` the full name of one that has a part in what was scored. A pivot has
        the parents and modules of both legs. With ``variants`` also those of several references and those that ignore
        case.
        """
        query = select(schema.Score).order_by(schema.Score.created, schema.Score.id)
        if not variants:
            query = query.where(is_plain(schema.Score.signature))
        if pair is not None:
            query = query.where(schema.Score.source == pair.source, schema.Score.target == pair.target)
        if parent is not None:
            query = query.where(is_of_parent(parent_id(self.parent_outline(parent).name)))
        if kind is not None:
            query = query.where(schema.Score.kind == kind)
        if metric is not None:
            query = query.where(schema.Score.metric == metric)
        if recipe is not None:
            query = query.where(schema.Score.recipe_digest == recipe)
        if module is not None:
            query = query.where(has_module(module))
        with self._database.read() as session:
            return [score_record(row, row.parent.name) for row in session.scalars(query)]

    def listed_scores(self, parent: str, metrics: Collection[str]) -> list[ListedScore]:
        """Scores in some metrics of the translations with which the pairs of a parent are listed, oldest first.

        `PairEntry.score` names these translations. Many times faster than `scores`, which reads whole records.
        """
        score, listed = schema.Score, aliased(schema.Score)
        same = (score.recipe_digest == listed.recipe_digest, score.test_digest == listed.test_digest)
        query = (
            select(score.recipe_digest, *(getattr(score, name) for name in ListedScore._fields[1:]))
            .join(listed, and_(*same, score.beam == listed.beam))
            .where(listed.shown, is_plain(score.signature), score.metric.in_(metrics))
            .where(is_of_parent(parent_id(self.parent_outline(parent).name)))
            .order_by(score.created, score.id)
        )
        with self._database.read() as session:
            return [ListedScore._make(row) for row in session.execute(query)]

    def sequences(self, parent: str | None = None) -> list[SequenceRecord]:
        """All sequences, or those of one parent, in the order in which they were begun; none of a deleted parent."""
        query = select(schema.Sequence).where(schema.Sequence.parent_id.not_in(_DELETED)).order_by(schema.Sequence.id)
        if parent is not None:
            query = query.where(schema.Sequence.parent_id == parent_id(self.parent_outline(parent).name))
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
        """All alignments that were kept, or those of one parent, by side, languages and lexicon.

        Alignments of deleted tables are left out.
        """
        query = select(schema.Alignment).where(schema.Alignment.parent_id.not_in(_DELETED))
        if parent is not None:
            query = query.where(schema.Alignment.parent_id == parent_id(self.parent_outline(parent).name))
        with self._database.read() as session:
            records = [alignment_record(row) for row in session.scalars(query)]
            deleted = set(
                map(name_of, session.scalars(select(schema.Module).where(schema.Module.deleted.is_not(None))))
            )
        there = [record for record in records if deleted.isdisjoint((record.first.module, record.second.module))]
        return sorted(
            there, key=lambda record: (record.first.side, str(record.first), str(record.second), record.lexicon)
        )


def parent_id(name: str) -> ScalarSelect[int]:
    """A parent's key, for queries. From the bare table: two mapped kinds of artifact cannot well be joined."""
    columns = schema.Parent.__table__.c
    return select(columns.id).where(columns.name == name).scalar_subquery()


def find_parent(session: Session, name: str) -> schema.Parent | None:
    """Find a parent by name, also a deleted one."""
    return session.scalar(select(schema.Parent).where(schema.Parent.name == name)) if is_printable(name) else None


def find_module(session: Session, name: ModuleName, parent: str) -> schema.Module | None:
    """Find a module by name, also a deleted one if the name has a version or an alias.

    Other names mean the module that the pair runs with: its champion, or the newest.
    """
    if name.version is None and name.alias is None:
        champion = session.scalar(_named(replace(name, alias=CHAMPION), parent))
        if champion is not None:
            return champion
    return session.scalar(_named(name, parent))


def name_of(row: schema.Artifact) -> str:
    """A parent's name, or a module's full name."""
    if isinstance(row, schema.Module):
        return full_name(row.parent.name, row.source, row.target, row.version)
    if isinstance(row, schema.Parent):
        return row.name
    raise TypeError(f"an artifact is a parent or a module, not {type(row).__name__}")


def raise_if_deleted(row: schema.Artifact | None) -> None:
    """Raises UnknownNameError with who deleted it and how to restore it."""
    if row is not None and row.deleted is not None:
        name = name_of(row)
        raise UnknownNameError(
            f"{name} was deleted by {row.deleted_by}; restore it with 'continual-mt registry restore {name}'"
        )


def _named(name: ModuleName, parent: str) -> Select[schema.Module]:
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


def _names(session: Session, parent: str, pair: Pair | None = None) -> list[str]:
    """Every name that could have been meant, of a parent or of one pair: modules by version and by alias."""
    module, alias = schema.Module, schema.Alias
    owner = parent_id(parent)
    versions = select(module.source, module.target, module.version).where(
        module.parent_id == owner, module.deleted.is_(None)
    )
    aliases = select(alias.source, alias.target, alias.name).where(alias.parent_id == owner)
    if pair is not None:
        versions = versions.where(module.source == pair.source, module.target == pair.target)
        aliases = aliases.where(alias.source == pair.source, alias.target == pair.target)
    return [
        *(full_name(parent, source, target, version) for source, target, version in session.execute(versions)),
        *(f"{parent}/{source}-{target}@{name}" for source, target, name in session.execute(aliases)),
    ]
