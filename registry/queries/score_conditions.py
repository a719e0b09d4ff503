"""SQL conditions on scores: their metric, and what their signatures say."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, bindparam, case, literal, not_, or_
from sqlalchemy.orm import InstrumentedAttribute

from continual_mt.evaluation.tokenization import tokenizations
from registry.database import schema

_Text = ColumnElement[str] | InstrumentedAttribute[str]


def is_metric(column: _Text, metric: str) -> ColumnElement[bool]:
    """The condition that a score is of this metric, as a literal, since databases use a partial index only then."""
    return column == bindparam(None, metric, literal_execute=True)


def is_plain(signature: _Text) -> ColumnElement[bool]:
    """The condition that a score is cased and of one reference, as those are that pairs are shown with."""
    one = or_(not_(signature.contains("nrefs:")), signature.contains("nrefs:1|"), signature.endswith("nrefs:1"))
    return and_(one, not_(signature.contains("case:lc")))


def tokenization_rank(targets: Iterable[str]) -> ColumnElement[int]:
    """The place of a BLEU score's tokenization among those that fit its target language, one of ``targets``.

    0 is the best, and what a signature without a tokenization has. A tokenization that does not fit, as earlier
    versions used it for many languages, comes last.
    """
    score = schema.Score
    groups: dict[tuple[str, ...], list[str]] = {}
    for target in targets:
        groups.setdefault(tokenizations(target), []).append(target)
    ranks = [
        (and_(score.target.in_(group), score.signature.contains(f"|tok:{tokenization}|")), literal(place))
        for fitting, group in groups.items()
        for place, tokenization in enumerate(fitting)
    ]
    unknown = (not_(score.signature.contains("|tok:")), literal(0))
    return case(unknown, *ranks, else_=literal(max(map(len, groups), default=0)))
