"""What parents and modules were made from, and what depends on them.

A module is *held* by the aliases that stand for it, and by modules that went on from it or replayed its pair while they
were trained; a parent by its modules. What is held cannot be deleted. Scores, recipes that were run, alignments that
were kept and what was measured along sequences name modules and hold none: they outlive them, and are out of sight or
stand for themselves until the module is restored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from registry.database import schema
from registry.queries.catalog import parent_id
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.lineage import Relation, modules_in
from registry.records.names import full_name

_NAMED_AT_ONCE = 1000
"""Of more modules than this, what is said of all of them is read and the rest left out."""
_Found = Mapping[str, list[Relation]]


def made_from(record: ParentRecord | ModuleRecord) -> tuple[Relation, ...]:
    """Parent, modules that it went on from or replayed, corpora with their licences, job and run."""
    return tuple(_made_from(record))


def _made_from(record: ParentRecord | ModuleRecord) -> Iterator[Relation]:
    lineage = record.lineage
    if isinstance(record, ModuleRecord):
        yield Relation("parent", record.parent, record.parent_fingerprint)
        for role, name in modules_in(lineage.spec):
            if name != record.parent:
                yield Relation(role, name)
    for role, corpus in lineage.corpora:
        yield Relation(role, corpus.name, f"{corpus.pair}, {corpus.sentences:,} sentences, {corpus.licence}")
    if lineage.job is not None:
        yield Relation("job", lineage.job, f"attempt {lineage.attempt}")
    if lineage.run is not None:
        yield Relation("run", lineage.run)


def holding_parent(session: Session, parent: str) -> list[Relation]:
    """Modules that are not deleted, by pair and version."""
    module = schema.Module
    rows = session.execute(
        select(module.source, module.target, module.version)
        .where(module.parent_id == parent_id(parent), module.deleted.is_(None))
        .order_by(module.source, module.target, module.version)
    )
    return [Relation("module", full_name(parent, *row), holds=True) for row in rows]


def naming_parent(session: Session, parent: str) -> list[Relation]:
    """Sequences of additions to a parent."""
    sequence = schema.Sequence
    rows = session.execute(
        select(sequence.name, sequence.mode).where(sequence.parent_id == parent_id(parent)).order_by(sequence.id)
    )
    return [Relation("sequence", name, mode) for name, mode in rows]


def holding_modules(session: Session, parent: str) -> _Found:
    """Aliases that stand for a parent's modules, and modules trained with others; by the full name of what is held."""
    found: dict[str, list[Relation]] = defaultdict(list)
    alias, module = schema.Alias, schema.Module
    rows = session.execute(
        select(alias.source, alias.target, module.version, alias.name)
        .join(module, module.id == alias.module_id)
        .where(alias.parent_id == parent_id(parent))
        .order_by(alias.name)
    )
    for source, target, version, name in rows:
        found[full_name(parent, source, target, version)].append(
            Relation("alias", f"{parent}/{source}-{target}@{name}", holds=True)
        )
    # Only modules of shared sequences go on from others, so few specs are read.
    trained = session.execute(
        select(module.source, module.target, module.version, module.spec)
        .where(module.parent_id == parent_id(parent), module.shared, module.deleted.is_(None))
        .order_by(module.id)
    )
    for source, target, version, spec in trained:
        own = full_name(parent, source, target, version)
        roles: dict[str, list[str]] = defaultdict(list)
        for role, name in modules_in(spec):
            roles[name].append("went on from it" if role == "start" else "replayed it")
        for name, words in roles.items():
            found[name].append(Relation("module", own, " and ".join(dict.fromkeys(words)), holds=True))
    return found


def naming_modules(session: Session, parent: str, modules: Collection[str]) -> _Found:
    """Sequences, alignments and recipes that modules have a part in, by the modules' full names."""
    found: dict[str, list[Relation]] = defaultdict(list)
    few = modules if len(modules) <= _NAMED_AT_ONCE else None
    cell, sequence = schema.Cell, schema.Sequence
    query = select(cell.module, sequence.name, sequence.mode, sequence.id).join(sequence).distinct()
    query = query.where(sequence.parent_id == parent_id(parent), cell.module.is_not(None))
    for name, title, mode, _ in session.execute(
        (query if few is None else query.where(cell.module.in_(few))).order_by(sequence.id)
    ):
        found[name or ""].append(Relation("sequence", title, mode))
    alignment = schema.Alignment
    ends = alignment.first_module, alignment.second_module
    aligned = select(*ends, alignment.first_language, alignment.second_language, alignment.lexicon)
    aligned = aligned.where(alignment.parent_id == parent_id(parent)).order_by(alignment.id)
    for first, second, *languages, lexicon in session.execute(
        aligned if few is None else aligned.where(or_(*(end.in_(few) for end in ends)))
    ):
        for name in filter(None, {first, second}):
            found[name].append(Relation("alignment", "-".join(languages), lexicon))
    recipe = schema.Recipe
    parts = recipe.source_module, recipe.cross_attention_module, recipe.target_module
    run = select(*parts, recipe.kind, recipe.source, recipe.target, recipe.digest)
    run = run.where(recipe.parent_id == parent_id(parent)).order_by(recipe.kind, recipe.source, recipe.target)
    for *names, kind, source, target, digest in session.execute(
        run if few is None else run.where(or_(*(part.in_(few) for part in parts)))
    ):
        for name in filter(None, {*names}):
            found[name].append(Relation("recipe", f"{kind} {source}-{target}", digest))
    return found
