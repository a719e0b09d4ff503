"""Which records refer to which blobs: all that keeps a blob from being collected stands here."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import ColumnElement, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.database import schema
from registry.queries.catalog import name_of

_COLUMNS: tuple[InstrumentedAttribute[str] | InstrumentedAttribute[str | None], ...] = (
    schema.Piece.digest,
    schema.Score.hypotheses,
    schema.Corpus.sources,
    schema.Corpus.references,
    schema.Alignment.lexicon_digest,
)


def referenced(session: Session, among: Collection[str] | None = None) -> set[str]:
    """The blobs that some record refers to: all of them, or those ``among`` some hundreds."""
    chosen = [] if among is None else [among]
    queries = (
        select(column).where(column.is_not(None), *(column.in_(digests) for digests in chosen)) for column in _COLUMNS
    )
    return set(session.scalars(union(*queries)))


def is_referenced() -> ColumnElement[bool]:
    """Of a row of ``blobs``: whether some record refers to it."""
    return schema.Blob.digest.in_(union(*(select(column).where(column.is_not(None)) for column in _COLUMNS)))


def users(session: Session, digest: str) -> list[str]:
    """Return a description of each record that needs a blob, such as ``base/de-en:1 (source.safetensors)``."""
    return [*_artifacts(session, digest), *_measures(session, digest)]


def _artifacts(session: Session, digest: str) -> Iterator[str]:
    pieces = select(schema.Piece).where(schema.Piece.digest == digest).subquery()
    parents = select(schema.Parent, pieces.c.name).join(pieces, pieces.c.artifact_id == schema.Parent.id)
    for parent, piece in session.execute(parents.order_by(schema.Parent.id)):
        yield f"{parent.name} ({_deleted(parent)}{piece})"
    modules = select(schema.Module, pieces.c.name).join(pieces, pieces.c.artifact_id == schema.Module.id)
    for module, piece in session.execute(modules.order_by(schema.Module.id)):
        yield f"{name_of(module)} ({_deleted(module)}{piece})"


def _measures(session: Session, digest: str) -> Iterator[str]:
    for score in session.scalars(select(schema.Score).where(schema.Score.hypotheses == digest)):
        pair = f"{score.source}-{score.target}"
        yield f"what {score.parent.name} answered ({score.kind} {pair} on {score.test}, {score.metric})"
    texts = (schema.Corpus.sources == digest) | (schema.Corpus.references == digest)
    for corpus in session.scalars(select(schema.Corpus).where(texts)):
        yield f"the text of the corpus {corpus.name} ({corpus.source}-{corpus.target})"
    for alignment in session.scalars(select(schema.Alignment).where(schema.Alignment.lexicon_digest == digest)):
        yield f"the lexicon {alignment.lexicon} of an alignment of {alignment.parent.name}"


def _deleted(artifact: schema.Artifact) -> str:
    return "deleted, " if artifact.deleted else ""
