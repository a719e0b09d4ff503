"""Write scores, sequences and alignments. Each function runs inside its caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, not_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from continual_mt.artifacts.pivot import AnyRecipe
from continual_mt.errors import InputError
from registry.database import schema
from registry.queries.score_conditions import is_plain, tokenization_rank
from registry.records.alignments import AlignmentRecord
from registry.records.names import unknown
from registry.records.pairs import BEST_METRIC
from registry.records.recipes import RecipeRecord
from registry.records.scores import ScoreRecord
from registry.records.sequences import CellRecord, SequenceRecord
from registry.writes.registration import parent_row


def add_score(session: Session, score: ScoreRecord) -> schema.Score:
    """The row of a score. The same measurement, made again, takes the place of the one before.

    Raises InputError for a value that is no number, for sentences or a beam that cannot be, and for a pivot without its
    two legs.
    """
    _check_finite(score.test, score.metric, score.value, score.copy_value, score.reference_value)
    for name, count, limit in (("sentences", score.sentences, 2**63), ("beam", score.beam, 2**31)):
        if not 1 <= count < limit:
            raise InputError(
                f"{name} of {score.metric} on {score.test} is {count}; it must be at least 1, and less than {limit:,}"
            )
    owner = parent_row(session, score.parent)
    _add_recipe(session, score.scored)
    measured = {
        "recipe_digest": score.recipe,
        "test_digest": score.test_digest,
        "metric": score.metric,
        "signature": score.signature,
        "beam": score.beam,
    }
    row = session.scalar(select(schema.Score).filter_by(**measured))
    if row is None:
        row = schema.Score(parent=owner, **measured)
        session.add(row)
    row.kind = score.kind
    row.source, row.target = score.pair.source, score.pair.target
    row.source_module = score.source
    row.cross_attention_module = score.cross_attention
    row.target_module = score.target
    row.test, row.sentences = score.test, score.sentences
    row.value, row.copy_value, row.reference_value = score.value, score.copy_value, score.reference_value
    row.created, row.hypotheses = score.created, score.hypotheses
    row.logits, row.computed_on = score.logits, score.computed_on
    session.flush()
    if score.metric == BEST_METRIC:
        _show_best(session, score.recipe, score.pair.target)
    return row


def _best_first(targets: Iterable[str]) -> tuple[ColumnElement[Any] | InstrumentedAttribute[int], ...]:
    """In the language's tokenization, on the most sentences, and the highest of several, with different beams."""
    score = schema.Score
    return tokenization_rank(targets), score.sentences.desc(), score.value.desc(), score.id


def _show_best(session: Session, recipe: str, target: str) -> None:
    score = schema.Score
    of_recipe = score.recipe_digest == recipe, score.metric == BEST_METRIC
    ordered = select(score.id).where(*of_recipe, is_plain(score.signature)).order_by(*_best_first([target]))
    best = score.id == session.scalar(ordered.limit(1))
    session.execute(update(score).where(*of_recipe, score.shown != best).values(shown=best))


def wrongly_shown(session: Session) -> Iterable[str]:
    """The recipes that are listed with another BLEU than their best, with none of several, or with a variant."""
    score = schema.Score
    order = _best_first(session.scalars(select(score.target).distinct()))
    place = func.row_number().over(partition_by=score.recipe_digest, order_by=order).label("place")
    of_metric = select(score.recipe_digest, score.shown, place).where(score.metric == BEST_METRIC)
    ranked = of_metric.where(is_plain(score.signature)).subquery()
    wrong = select(ranked.c.recipe_digest).where(ranked.c.shown != (ranked.c.place == 1))
    variants = select(score.recipe_digest).where(score.shown, not_(is_plain(score.signature)))
    return session.scalars(wrong.union(variants))


def _check_finite(test: str, metric: str, *values: float | None) -> None:
    if wrong := [value for value in values if value is not None and not math.isfinite(value)]:
        raise InputError(f"{metric} on {test} is {wrong[0]}, which is not a finite number")


def add_recipe(session: Session, recipe: AnyRecipe) -> None:
    """Store the modules of a recipe by its digest, or the legs of a pivot, unless they are stored already."""
    _add_recipe(session, RecipeRecord.of(recipe))


def _add_recipe(session: Session, recipe: RecipeRecord) -> None:
    if session.get(schema.Recipe, recipe.digest) is not None:
        return
    if len(recipe.legs) != (2 if recipe.kind == "pivot" else 0):
        raise InputError(
            f"recipe {recipe.kind} {recipe.pair}: has {len(recipe.legs)} legs; expected two of a pivot, and none of "
            "another recipe"
        )
    for leg in recipe.legs:
        _add_recipe(session, leg)
    first_leg, second_leg = (leg.digest for leg in recipe.legs) if recipe.legs else (None, None)
    row = schema.Recipe(
        digest=recipe.digest,
        parent=parent_row(session, recipe.parent),
        kind=recipe.kind,
        source=recipe.pair.source,
        target=recipe.pair.target,
        source_module=recipe.source,
        cross_attention_module=recipe.cross_attention,
        target_module=recipe.target,
        first_leg=first_leg,
        second_leg=second_leg,
    )
    session.add(row)
    session.flush()


def add_sequence(session: Session, sequence: SequenceRecord) -> schema.Sequence:
    """The row of a sequence; the one there is, if its digest is known."""
    row = session.scalar(select(schema.Sequence).where(schema.Sequence.digest == sequence.digest))
    if row is None:
        row = schema.Sequence(
            digest=sequence.digest,
            parent=parent_row(session, sequence.parent),
            name=sequence.name,
            mode=sequence.mode,
            additions=[str(pair) for pair in sequence.additions],
            created=sequence.created,
        )
        session.add(row)
        session.flush()
    return row


def set_cells(session: Session, sequence: str, position: int, cells: Sequence[CellRecord]) -> None:
    """Replace the cells of one position of a sequence.

    Raises UnknownNameError for a sequence that was not registered, InputError for a value that is no number.
    """
    for cell in cells:
        _check_finite(cell.test, cell.metric, cell.value)
    owner = session.scalar(select(schema.Sequence).where(schema.Sequence.digest == sequence))
    if owner is None:
        raise unknown("sequence", sequence, session.scalars(select(schema.Sequence.digest)))
    session.execute(delete(schema.Cell).where(schema.Cell.sequence_id == owner.id, schema.Cell.position == position))
    for cell in cells:
        session.add(
            schema.Cell(
                sequence_id=owner.id,
                position=position,
                view=cell.view,
                kind=cell.kind,
                source=cell.pair.source,
                target=cell.pair.target,
                recipe_digest=cell.recipe,
                module=cell.module,
                test=cell.test,
                test_digest=cell.test_digest,
                metric=cell.metric,
                value=cell.value,
                beam=cell.beam,
                carried=cell.carried,
            )
        )
    session.flush()


def add_alignment(session: Session, alignment: AlignmentRecord) -> schema.Alignment:
    """The row of an alignment. The same tables and lexicon, measured again, replace the earlier result."""
    first, second = alignment.first, alignment.second
    owner = parent_row(session, first.parent)
    measured = {
        "parent_id": owner.id,
        "first_language": first.language,
        "first_digest": first.digest,
        "second_language": second.language,
        "second_digest": second.digest,
        "lexicon_digest": alignment.lexicon_digest,
    }
    row = session.scalar(select(schema.Alignment).filter_by(**measured))
    if row is None:
        row = schema.Alignment(parent=owner, **measured)
        session.add(row)
    row.side, row.first_module, row.second_module = first.side, first.module, second.module
    row.lexicon, row.entries, row.created = alignment.lexicon, alignment.entries, alignment.created
    row.results = [dict(result.to_json()) for result in alignment.results]
    session.flush()
    return row
