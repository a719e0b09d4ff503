"""Annotations of parents and modules: aliases, tags, notes, deletion; lineage and search."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from continual_mt.errors import IncompatibleError, UnknownNameError
from registry.database import schema
from registry.database.database import Database
from registry.database.row_mapping import alias_move, alias_record
from registry.queries.annotations import annotations_of
from registry.queries.catalog import Catalog, parent_id
from registry.queries.dependents import holding_modules, holding_parent, made_from, naming_modules, naming_parent
from registry.queries.search_query import found_by
from registry.queries.search_syntax import Query
from registry.queries.version_selection import CHAMPION
from registry.records.annotations import AliasMove, AliasRecord, Annotations, SearchResult
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.lineage import Relations
from registry.records.names import AliasName, ModuleName, author, check_note, check_tag, full_name
from registry.writes import curation_rows

FOUND_AT_MOST = 50


class Curation:
    """Aliases, tags, notes and deletion.

    ``name`` is a parent, or a module such as ``de-en:3``. ``who`` is ``user@host`` where it is not given. Besides the
    catalog's errors, verbs that write raise SpecError for text that is not allowed.
    """

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database, self._catalog = database, catalog

    def set_alias(
        self, alias: str, version: int | str, *, who: str | None = None, expected: int | None = None
    ) -> AliasRecord:
        """Set ``de-en@champion`` to a version, or to a module by name, and record the move in its history.

        With ``expected`` it moves from that version alone (0: only where it is not set). Raises IncompatibleError
        if it was moved meanwhile, for a module of another pair or parent, and for a champion that would have no effect:
        a bridge of the parent's own pair, which is used only where it is named.
        """
        name, by = self._alias(alias), author(who)
        wanted = (
            full_name(name.parent or "", name.pair.source, name.pair.target, version)
            if isinstance(version, int)
            else version
        )
        module = self._catalog.module(wanted, parent=name.parent)
        if name.alias == CHAMPION and module.is_bridge:
            own = self._catalog.parent_outline(module.parent).languages
            if module.pair in own:
                raise IncompatibleError(
                    f"{alias}: {module.full_name} is a bridge of the parent's own pair, which runs as the original "
                    f"unless the bridge is named. Fix: --recipe bridge:{module.pair}:{module.version}, or another alias"
                )
        self._database.write(lambda session: curation_rows.move_alias(session, name, module.full_name, by, expected))
        return AliasRecord(module.parent, module.pair, name.alias, module.version)

    def remove_alias(self, alias: str, *, who: str | None = None, expected: int | None = None) -> None:
        """Remove an alias; its history is kept. Raises UnknownNameError for one that is not set."""
        name, by = self._alias(alias), author(who)
        self.alias(alias)
        self._database.write(lambda session: curation_rows.move_alias(session, name, None, by, expected))

    def alias(self, alias: str) -> AliasRecord:
        """Return the version that an alias is set to. Raises UnknownNameError."""
        name = self._alias(alias)
        module = self._catalog.module(str(name))
        return AliasRecord(module.parent, module.pair, name.alias, module.version)

    def aliases(self, parent: str | None = None) -> list[AliasRecord]:
        """All aliases, or those of one parent's modules, by name."""
        query = select(schema.Alias)
        if parent is not None:
            query = query.where(schema.Alias.parent_id == parent_id(self._catalog.parent_outline(parent).name))
        with self._database.read() as session:
            records = [alias_record(row) for row in session.scalars(query)]
        return sorted(records, key=lambda record: record.full_name)

    def alias_history(self, alias: str) -> list[AliasMove]:
        """Every move of an alias, oldest first; of one that was never set, none."""
        name, move = self._alias(alias), schema.AliasMove
        query = (
            select(move)
            .where(move.parent_id == parent_id(name.parent or ""), move.name == name.alias)
            .where(move.source == name.pair.source, move.target == name.pair.target)
            .order_by(move.id)
        )
        with self._database.read() as session:
            return [alias_move(row) for row in session.scalars(query)]

    def tag(self, name: str, *tags: str) -> None:
        """Give something tags, words that it is found by; those that it has stay."""
        for tag in tags:
            check_tag(tag)
        full = self._full_name(name)
        self._database.write(lambda session: curation_rows.set_tags(session, full, tags))

    def untag(self, name: str, *tags: str) -> None:
        """Take tags away, all of them or none. Raises UnknownNameError for one that is not there."""
        full = self._full_name(name)
        self._database.write(lambda session: curation_rows.remove_tags(session, full, tags))

    def note(self, name: str, text: str, *, who: str | None = None) -> None:
        """Add a note to a parent or module. Notes are never changed."""
        check_note(text)
        full, by = self._full_name(name), author(who)
        self._database.write(lambda session: curation_rows.add_note(session, full, text, by))

    def of(self, record: ParentRecord | ModuleRecord) -> Annotations:
        """Aliases, tags and notes of one record, and the moves of aliases to and from it."""
        return self.of_parent(record.parent if isinstance(record, ModuleRecord) else record.name).get(
            _name(record), Annotations()
        )

    def of_parent(self, parent: str) -> dict[str, Annotations]:
        """Return the annotations of a parent and its modules by full name; those without any are left out."""
        with self._database.read() as session:
            return annotations_of(session, parent)

    def delete(self, name: str, *, who: str | None = None) -> str:
        """Hide a parent or one version of a module; it can be restored. Returns its full name.

        Raises IncompatibleError, naming them, if aliases are set to it or other modules were made from it.
        """
        by, full = author(who), self._full_name(name, versioned=True)
        self._database.write(lambda session: curation_rows.delete_artifact(session, full, by))
        return full

    def restore(self, name: str) -> str:
        """Restore what was deleted, with its annotations. Returns its full name.

        Raises IncompatibleError if it is not deleted, or if it was made from something that is.
        """
        if not ModuleName.is_one(name):
            full = name
        else:
            module = ModuleName.parse(name)
            # Of a parent that was deleted, too, the error is that it has to be restored first.
            if module.parent is None or module.parent in {parent.name for parent in self._catalog.parent_outlines()}:
                module = self._catalog.in_tags(module)
            version = module.version or _say_version(name)
            full = full_name(module.parent or "", module.pair.source, module.pair.target, version)
        self._database.write(lambda session: curation_rows.restore_artifact(session, full))
        return full

    def lineage(self, name: str) -> Relations:
        """Return what a parent or module was made from, and what depends on it."""
        record = self._catalog.find(name)
        if isinstance(record, ModuleRecord):
            return self.lineages([record])[record.full_name]
        with self._database.read() as session:
            dependents = [*holding_parent(session, record.name), *naming_parent(session, record.name)]
        return Relations(record.name, made_from(record), tuple(dependents))

    def lineages(self, modules: Sequence[ModuleRecord]) -> dict[str, Relations]:
        """The lineage of several modules by full name, in a few queries a parent."""
        found: dict[str, Relations] = {}
        for parent in sorted({module.parent for module in modules}):
            names: Collection[str] = [module.full_name for module in modules if module.parent == parent]
            with self._database.read() as session:
                holding, naming = holding_modules(session, parent), naming_modules(session, parent, names)
            for module in modules:
                if module.parent == parent:
                    name = module.full_name
                    dependents = (*holding.get(name, ()), *naming.get(name, ()))
                    found[name] = Relations(name, made_from(module), dependents)
        return found

    def search(self, text: str, *, limit: int | None = FOUND_AT_MOST) -> SearchResult:
        """Parents and modules by any of their fields: ``language=de side=source scope=xattn bleu>30``.

        `registry.queries.search_syntax` lists the fields. Raises SpecError, naming every invalid word.
        """
        query = Query.parse(text)
        with self._database.read() as session:
            return found_by(session, query, limit)

    def _alias(self, text: str) -> AliasName:
        """With the parent's name in it, whether or not the alias is set."""
        return self._catalog.in_tags(AliasName.parse(text))

    def _full_name(self, name: str, *, versioned: bool = False) -> str:
        record = self._catalog.find(name)
        if versioned and isinstance(record, ModuleRecord) and ModuleName.parse(name).version is None:
            _say_version(name)
        return _name(record)


def _name(record: ParentRecord | ModuleRecord) -> str:
    return record.full_name if isinstance(record, ModuleRecord) else record.name


def _say_version(name: str) -> int:
    raise UnknownNameError(f"{name} has no version; expected one, such as {ModuleName.parse(name).pair}:1")
