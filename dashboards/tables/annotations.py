"""Tables of aliases and their history, tags, notes, lineage and search results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboards.tables.artifacts import corpora_table, stored_size, what_is
from dashboards.tables.table import NOTHING, Column, Table
from registry import AliasMove, Annotations, Found, ModuleRecord, NoteRecord, Relation, Relations
from registry.records.lineage import INPUT_WORDS

RECIPES_SHOWN = 10


def annotation_facts(annotations: Annotations) -> list[tuple[str, str]]:
    """Return aliases, tags and notes as (name, text); empty ones are left out."""
    facts = [("aliases", ", ".join(annotations.aliases)), ("tags", ", ".join(annotations.tags))]
    facts += [("note", f"{note.text} ({_signed(note)})") for note in annotations.notes]
    return [(name, text) for name, text in facts if text]


def module_title(module: ModuleRecord, annotations: Annotations) -> str:
    """Return a one-line title: ``base/de-en:1: new source de, xattn; @champion; newswire``."""
    aliases = " ".join(f"@{alias}" for alias in annotations.aliases)
    return "; ".join(filter(None, (f"{module.full_name}: {what_is(module)}", aliases, " ".join(annotations.tags))))


def module_tables(module: ModuleRecord, annotations: Annotations, relations: Relations) -> list[tuple[str, Table]]:
    """Return (title, table) for corpora, other modules used in training, dependents and alias history.

    Empty tables are left out.
    """
    with_others = [relation for relation in relations.made_from if relation.role in INPUT_WORDS]
    tables = [
        ("corpora", corpora_table(module.lineage)),
        ("modules used in training", origins_table(with_others)),
        ("dependents", dependents_table(relations, RECIPES_SHOWN)),
        ("alias history", moves_table(annotations.moves)),
    ]
    return [(title, table) for title, table in tables if table.rows]


def moves_table(moves: Sequence[AliasMove]) -> Table:
    """Show the moves of an alias, or of all aliases of a module, oldest first."""
    columns = [Column("alias"), Column("from", True), Column("to", True), Column("who"), Column("when")]
    return Table(
        columns,
        [
            (move.full_name, _version(move.from_version), _version(move.to_version), move.who, moment(move.moment))
            for move in moves
        ],
    )


def origins_table(made_from: Sequence[Relation]) -> Table:
    """Show what an artifact was made from, by role."""
    rows = [(relation.role, relation.name, relation.detail or NOTHING) for relation in made_from]
    return Table((Column("role"), Column("name"), Column("detail")), rows)


def dependents_table(relations: Relations, recipes: int | None = None) -> Table:
    """Show what depends on an artifact and whether that blocks its deletion.

    ``recipes`` limits the number of recipes shown; None shows all.
    """
    in_recipes = [relation for relation in relations.dependents if relation.role == "recipe"]
    shown = [relation for relation in relations.dependents if relation.role != "recipe"] + in_recipes[:recipes]
    rows = [(one.role, one.name, one.detail or NOTHING, "yes" if one.holds else "no") for one in shown]
    if recipes is not None and len(in_recipes) > recipes:
        rows.append(("recipe", f"and {len(in_recipes) - recipes:,} more", NOTHING, "no"))
    return Table((Column("role"), Column("name"), Column("detail"), Column("blocks deletion")), rows)


def found_table(found: Sequence[Found]) -> Table:
    """Show search results; a module has the best BLEU of the pair it was trained on.

    If a result is deleted, a last column shows when it was deleted and by whom.
    """
    rows = []
    for one in found:
        labels = (", ".join(names) or NOTHING for names in (one.annotations.aliases, one.annotations.tags))
        about = one.name, what_is(one.record), f"{one.record.parameters:,}", stored_size(one.record)
        deleted = f"{moment(one.deletion.moment)}, {one.deletion.who}" if one.deletion else NOTHING
        bleu = NOTHING if one.bleu is None else f"{one.bleu:.1f}"
        rows.append((*about, bleu, *labels, moment(one.record.created), deleted))
    columns = [Column("name"), Column("what"), Column("parameters", True), Column("stored", True)]
    columns += [Column("BLEU", True), Column("aliases"), Column("tags"), Column("created"), Column("deleted")]
    table = Table(columns, rows)
    return table if any(one.deletion for one in found) else Table(columns[:-1], [row[:-1] for row in table.rows])


def moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")


def _signed(note: NoteRecord) -> str:
    return f"{note.who}, {moment(note.moment)}"


def _version(number: int | None) -> str:
    return NOTHING if number is None else str(number)
