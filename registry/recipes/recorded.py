"""Recipes that were run or scored before, by their digests."""

from __future__ import annotations

import re
from itertools import product

from sqlalchemy import select

from continual_mt.artifacts.pivot import AnyRecipe, Pivot
from continual_mt.artifacts.recipe import Recipe
from continual_mt.errors import RegistryError, UnknownNameError
from registry.database import schema
from registry.database.database import Database
from registry.database.row_mapping import recipe_record
from registry.queries.catalog import Catalog
from registry.queries.selectable_modules import same_content
from registry.records.recipes import RecipeRecord

LEAST_DIGITS = 8
_DIGEST = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")


def is_digest(text: str) -> bool:
    """Whether a text is the digest of a recipe, or its first digits."""
    return _DIGEST.fullmatch(text) is not None


def recorded_recipe(database: Database, catalog: Catalog, digest: str) -> AnyRecipe:
    """The recipe of a digest, or of its first digits, that was run or scored before.

    Raises UnknownNameError for a digest that is not known, or whose modules were deleted since.
    """
    if not isinstance(digest, str) or not is_digest(digest):
        raise UnknownNameError(
            f"{str(digest)[:80]!r} is not the digest of a recipe: it has to be {LEAST_DIGITS} to 64 hexadecimal "
            "digits in small letters; a pair is given by two languages, such as ('de', 'en')"
        )
    with database.read() as session:
        rows = session.scalars(
            select(schema.Recipe).where(schema.Recipe.digest.between(digest, digest.ljust(64, "f"))).limit(2)
        ).all()
        if not rows:
            raise UnknownNameError(
                f"unknown recipe {digest}: it was never run or scored with the registry in {catalog.name}; "
                "it may be of another registry, from which its modules can be exported"
            )
        if len(rows) > 1:
            raise UnknownNameError(f"several recipes begin with {digest}; write more of its digits")
        found = recipe_record(rows[0])
    if not found.legs:
        return _rebuilt(database, catalog, found)
    first, second = (_rebuilt(database, catalog, leg) for leg in found.legs)
    return Pivot(first, second)


def _rebuilt(database: Database, catalog: Catalog, record: RecipeRecord) -> Recipe:
    names = record.source, record.cross_attention, record.target
    with database.read() as session:
        contents = [same_content(session, record.parent, name) for name in names]
    parent = catalog.parent_outline(record.parent)
    for keys in product(*contents):
        recipe = Recipe(
            record.kind, record.pair, parent.name, parent.fingerprint, *keys, several=parent.languages.several
        )
        if recipe.digest == record.digest:
            return recipe
    for name in record.modules:
        catalog.module(name)  # raises UnknownNameError if it was deleted
    raise RegistryError(
        f"no modules of {catalog.name} have the contents of the recipe {record.digest}; "
        "its database was changed from outside"
    )
