"""What recipes reached on the test sets of a name: queries in a caller's session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import FromClause, select
from sqlalchemy.orm import Session

from continual_mt.artifacts.recipe import RecipeKind
from continual_mt.languages import Pair
from registry.database import schema
from registry.queries.catalog import parent_id
from registry.queries.pivot_rows import is_of_parent
from registry.queries.score_conditions import is_metric, is_plain
from registry.records.names import unknown
from registry.records.pairs import BEST_METRIC


class ScoreOnTest(NamedTuple):
    """A recipe's BLEU on a test set. ``hypotheses`` is the blob of its translations, ``references`` that of the text.

    Both are None if they were not kept.
    """

    recipe: str
    test_digest: str
    beam: int
    value: float
    sentences: int
    hypotheses: str | None
    references: str | None


def scores_on(session: Session, test: str, recipes: FromClause) -> Iterable[ScoreOnTest]:
    """Read what recipes reached on test sets of this name; ``recipes`` is a table of digests (`Database.listed`)."""
    score, corpus = schema.Score, schema.Corpus
    columns = score.recipe_digest, score.test_digest, score.beam, score.value, score.sentences, score.hypotheses
    query = (
        select(*columns, corpus.references)
        .join(recipes, recipes.c.value == score.recipe_digest)
        .outerjoin(corpus, corpus.digest == score.test_digest)
        .where(score.test == test, is_metric(score.metric, BEST_METRIC), is_plain(score.signature))
        .order_by(score.id)  # with another tokenization the later score counts
    )
    return map(ScoreOnTest._make, session.execute(query))


def kinds_scored(session: Session, parent: str, test: str) -> dict[Pair, set[RecipeKind]]:
    """The kinds of recipe of a parent that were scored on test sets of this name, by pair."""
    score = schema.Score
    query = select(score.source, score.target, score.kind).distinct()
    query = query.where(score.test == test, is_metric(score.metric, BEST_METRIC), is_of_parent(parent_id(parent)))
    found: dict[Pair, set[RecipeKind]] = defaultdict(set)
    for source, target, kind in session.execute(query):
        found[Pair(source, target)].add(kind)
    return found


def check_test(session: Session, test: str, parent: str | None = None) -> None:
    """Raise UnknownNameError, listing the test sets, unless a recipe was scored on one of this name.

    With ``parent`` a recipe of this parent.
    """
    score = schema.Score
    conditions = [] if parent is None else [is_of_parent(parent_id(parent))]
    if session.execute(select(score.id).where(score.test == test, *conditions).limit(1)).first() is None:
        raise unknown("test set", test, session.scalars(select(score.test).where(*conditions).distinct()))
