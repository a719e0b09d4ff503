"""What parents and modules were made from, and what depends on them.

A module is *held* by the aliases that are set to it, and by all that has it among its inputs; a parent by its modules,
and by all that has it among its inputs. What is held cannot be deleted. Scores, recipes that were run, alignments that
were kept and what was measured along sequences name modules and hold none: they outlive them, and are hidden or
shown without the module until it is restored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, aliased

from registry.database import schema
from registry.database.row_mapping import recipe_record
from registry.queries.catalog import name_of, parent_id
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.lineage import INPUT_WORDS, Relation
from registry.records.names import full_name

_NAMED_AT_ONCE = 1000
"""With more modules than this, the rows of all modules are read and filtered afterwards."""
_Found = Mapping[str, list[Relation]]


def made_from(record: ParentRecord | ModuleRecord) -> tuple[Relation, ...]:
    """Parent, modules that it went on from or replayed, corpora with their licences, job and run."""
    return tuple(_made_from(record))


def _made_from(record: ParentRecord | ModuleRecord) -> Iterator[Relation]:
    lineage = record.lineage
    if isinstance(record, ModuleRecord):
        yield Relation("parent", record.parent, record.parent_fingerprint)
    if imported := lineage.imported:
        yield Relation("imported from", imported.origin, imported.described.removeprefix(f"{imported.origin}, "))
    for used in lineage.inputs:
        if not (isinstance(record, ModuleRecord) and used.module == record.parent):
            part = "" if used.part is None else f"its {used.part.replace('_', '-')}"
            yield Relation(used.role, used.module or f"recipe {used.recipe}", part)
    for role, corpus in lineage.corpora:
        yield Relation(role, corpus.name, f"{corpus.pair}, {corpus.sentences:,} sentences, licence {corpus.licence}")
    if lineage.job is not None:
        yield Relation("job", lineage.job, f"attempt {lineage.attempt}")
    if lineage.run is not None:
        yield Relation("run", lineage.run)


def holding_parent(session: Session, parent: str) -> list[Relation]:
    """Modules that are not deleted, by pair and version, and what else was made from the parent."""
    module = schema.Module
    rows = session.execute(
        select(module.source, module.target, module.version)
        .where(module.parent_id == parent_id(parent), module.deleted.is_(None))
        .order_by(module.source, module.target, module.version)
    )
    modules = [Relation("module", full_name(parent, *row), holds=True) for row in rows]
    return [*modules, *_used(session, parent).get(parent, [])]


def naming_parent(session: Session, parent: str) -> list[Relation]:
    """Sequences of additions to a parent."""
    sequence = schema.Sequence
    rows = session.execute(
        select(sequence.name, sequence.mode).where(sequence.parent_id == parent_id(parent)).order_by(sequence.id)
    )
    return [Relation("sequence", name, mode) for name, mode in rows]


def holding_modules(session: Session, parent: str) -> _Found:
    """Aliases of a parent's modules, and what was made from those modules; by the full name of what is held."""
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
    for name, users in _used(session, parent).items():
        found[name] += users
    return found


def _used(session: Session, parent: str) -> _Found:
    """What was made from a parent or its modules and is not deleted, by the name of what it was made from."""
    named, artifact = schema.ArtifactInput, schema.Artifact
    roles: dict[tuple[str, int], list[str]] = defaultdict(list)
    query = (
        select(named.module, named.digest, named.recipe, named.role, named.artifact_id)
        .join(artifact, artifact.id == named.artifact_id)
        .where(artifact.deleted.is_(None))
        .where(
            or_(
                named.recipe.is_not(None),
                named.module == parent,
                named.module.startswith(f"{parent}/", autoescape=True),
            )
        )
        .order_by(named.artifact_id, named.position)
    )
    rows = session.execute(query).all()
    if not rows:
        return {}
    digests, recipes = _digests(session, parent), _recipes(session, {row.recipe for row in rows if row.recipe})
    for module, digest, recipe, role, user in rows:
        used = {module} | recipes.get(recipe or "", set())
        for name in sorted(name for name in used if name is not None and name in digests):
            # Another module may have the name by now, where the one that was used was imported or removed.
            if name != module or digest in (None, digests[name]):
                roles[name, user].append(INPUT_WORDS[role])
    users = {
        row.id: row for row in session.scalars(select(artifact).where(artifact.id.in_({user for _, user in roles})))
    }
    found: dict[str, list[Relation]] = defaultdict(list)
    for (name, user), words in roles.items():
        row = users[user]
        kind = "parent" if isinstance(row, schema.Parent) else "module"
        if not (isinstance(row, schema.Module) and row.parent.name == name):  # held as its parent already
            found[name].append(Relation(kind, name_of(row), " and ".join(dict.fromkeys(words)), holds=True))
    return found


def _digests(session: Session, parent: str) -> dict[str, str]:
    """The digests of a parent and its modules, by name."""
    module, own = schema.Module.__table__.c, schema.Parent.__table__.c
    query = select(module.source, module.target, module.version, module.digest).where(
        module.parent_id == parent_id(parent)
    )
    found = {
        full_name(parent, source, target, version): digest for source, target, version, digest in session.execute(query)
    }
    fingerprint = session.scalar(select(own.fingerprint).where(own.name == parent))
    return found if fingerprint is None else found | {parent: fingerprint}


def _recipes(session: Session, digests: Collection[str]) -> dict[str, set[str]]:
    """The parents and modules that recipes are made of, as far as the recipes were noted, by digest."""
    if not digests:
        return {}
    rows = session.scalars(select(schema.Recipe).where(schema.Recipe.digest.in_(digests)))
    found = map(recipe_record, rows)
    return {one.digest: {one.parent, *(leg.parent for leg in one.legs), *one.modules} for one in found}


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
    recipe, pivot = schema.Recipe, aliased(schema.Recipe)
    parts = recipe.source_module, recipe.cross_attention_module, recipe.target_module
    is_leg = recipe.digest.in_((pivot.first_leg, pivot.second_leg))
    for run, row in (
        (select(*parts, recipe.kind, recipe.source, recipe.target, recipe.digest), recipe),
        (select(*parts, pivot.kind, pivot.source, pivot.target, pivot.digest).join(pivot, is_leg), pivot),
    ):
        there = run.where(recipe.parent_id == parent_id(parent)).order_by(row.kind, row.source, row.target)
        for *names, kind, source, target, digest in session.execute(
            there if few is None else there.where(or_(*(part.in_(few) for part in parts)))
        ):
            relation = Relation("recipe", f"{kind} {source}-{target}", digest)
            for name in filter(None, {*names}):
                if row is recipe or relation not in found[name]:  # a module may be in both legs
                    found[name].append(relation)
    return found
