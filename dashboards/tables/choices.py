"""Tables of the recipes that a pair could run with."""

from __future__ import annotations

from continual_mt.artifacts.choice import Choice
from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from dashboards.tables.artifacts import parts_of, points
from dashboards.tables.table import NOTHING, Column, Table


def candidates_table(choice: Choice) -> Table:
    """Show the candidates of a pair, the chosen one first: what each costs, how good it is, and what decided."""
    columns = [Column("recipe"), Column("parts"), Column("models", True), Column("BLEU", True), Column("test set")]
    rows = [
        (
            named(candidate.recipe),
            parts_of(candidate.recipe),
            f"{candidate.models}",
            points(candidate.score),
            candidate.test or NOTHING,
            candidate.note or NOTHING,
        )
        for candidate in choice.candidates
    ]
    return Table([*columns, Column("why")], rows)


def named(recipe: AnyRecipe) -> str:
    """Return the kind of a recipe, with the language in between of a pivot: ``pivot through en``."""
    return f"pivot through {recipe.language}" if isinstance(recipe, Pivot) else recipe.kind
