"""From rows to the records that callers see."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from continual_mt.artifacts.parent_languages import ENDS, ParentLanguages, ParentSide
from continual_mt.evaluation.alignment_result import Precision
from continual_mt.languages import Pair
from registry.database import schema
from registry.records.alignments import AlignmentRecord, EmbeddingRecord
from registry.records.annotations import AliasMove, AliasRecord
from registry.records.artifacts import ModuleRecord, ParentRecord
from registry.records.corpora import CorpusRecord
from registry.records.jobs import JobRecord
from registry.records.lineage import Input, Lineage
from registry.records.recipes import RecipeRecord
from registry.records.scores import ScoreRecord
from registry.records.sequences import CellRecord, SequenceRecord


def corpus_record(row: schema.Corpus) -> CorpusRecord:
    return CorpusRecord(
        digest=row.digest,
        pair=Pair(row.source, row.target),
        name=row.name,
        sentences=row.sentences,
        skipped=row.skipped,
        licence=row.licence,
        sources=row.sources,
        references=row.references,
    )


def parent_record(row: schema.Parent) -> ParentRecord:
    return ParentRecord(
        name=row.name,
        languages=parent_languages(row.sides, denoising=row.denoising),
        fingerprint=row.fingerprint,
        architecture=row.architecture,
        parameters=row.parameters,
        bytes=row.bytes,
        pieces=_pieces(row),
        lineage=_lineage(row),
        created=row.created,
        precision=row.precision,
    )


def parent_languages(rows: Iterable[schema.ParentSide], *, denoising: bool) -> ParentLanguages:
    sides = {end: [ParentSide(row.tag, row.code, row.token) for row in rows if row.end == end] for end in ENDS}
    return ParentLanguages(tuple(sides["source"]), tuple(sides["target"]), denoising)


def module_record(row: schema.Module) -> ModuleRecord:
    lineage = _lineage(row)
    return ModuleRecord(
        parent=row.parent.name,
        parent_fingerprint=row.parent.fingerprint,
        pair=Pair(row.source, row.target),
        version=row.version,
        side=row.side,
        scope=row.scope,
        digest=row.digest,
        parameters=row.parameters,
        bytes=row.bytes,
        pieces=_pieces(row),
        lineage=lineage,
        created=row.created,
        precision=row.precision,
        rests_on=lineage.rests_on,
        place=row.id,
    )


def recipe_record(row: schema.Recipe) -> RecipeRecord:
    return RecipeRecord(
        parent=row.parent.name,
        kind=row.kind,
        pair=Pair(row.source, row.target),
        digest=row.digest,
        source=row.source_module,
        cross_attention=row.cross_attention_module,
        target=row.target_module,
        legs=tuple(recipe_record(leg) for leg in (row.first, row.second) if leg is not None),
    )


def score_record(row: schema.Score, parent: str) -> ScoreRecord:
    return ScoreRecord(
        parent=parent,
        kind=row.kind,
        pair=Pair(row.source, row.target),
        recipe=row.recipe_digest,
        source=row.source_module,
        cross_attention=row.cross_attention_module,
        target=row.target_module,
        test=row.test,
        test_digest=row.test_digest,
        metric=row.metric,
        value=row.value,
        copy_value=row.copy_value,
        signature=row.signature,
        sentences=row.sentences,
        beam=row.beam,
        hypotheses=row.hypotheses,
        logits=row.logits,
        computed_on=row.computed_on,
        created=row.created,
        reference_value=row.reference_value,
        legs=recipe_record(row.recipe).legs if row.kind == "pivot" else (),
    )


def sequence_record(row: schema.Sequence) -> SequenceRecord:
    return SequenceRecord(
        digest=row.digest,
        parent=row.parent.name,
        name=row.name,
        mode=row.mode,
        additions=tuple(map(Pair.parse, row.additions)),
        created=row.created,
    )


def cell_record(row: schema.Cell) -> CellRecord:
    return CellRecord(
        sequence=row.sequence.digest,
        position=row.position,
        view=row.view,
        pair=Pair(row.source, row.target),
        kind=row.kind,
        recipe=row.recipe_digest,
        module=row.module,
        test=row.test,
        test_digest=row.test_digest,
        metric=row.metric,
        value=row.value,
        beam=row.beam,
        carried=row.carried,
    )


def alignment_record(row: schema.Alignment) -> AlignmentRecord:
    def embedding(language: str, module: str | None, digest: str) -> EmbeddingRecord:
        return EmbeddingRecord(row.parent.name, row.side, language, module, digest)

    return AlignmentRecord(
        first=embedding(row.first_language, row.first_module, row.first_digest),
        second=embedding(row.second_language, row.second_module, row.second_digest),
        lexicon=row.lexicon,
        lexicon_digest=row.lexicon_digest,
        entries=row.entries,
        results=tuple(map(Precision.from_json, row.results)),
        created=row.created,
    )


def alias_record(row: schema.Alias) -> AliasRecord:
    return AliasRecord(row.module.parent.name, Pair(row.source, row.target), row.name, row.module.version)


def alias_move(row: schema.AliasMove) -> AliasMove:
    return AliasMove(
        parent=row.parent.name,
        pair=Pair(row.source, row.target),
        alias=row.name,
        from_version=row.from_version,
        to_version=row.to_version,
        who=row.who,
        moment=row.moment,
    )


def job_record(row: schema.Job, base: Path | None = None) -> JobRecord:
    """A job; ``base`` is the folder that its own folder may be relative to."""
    return JobRecord(
        digest=row.digest,
        kind=row.kind,
        state=row.state,
        attempt=row.attempt,
        holder=row.holder,
        expires=row.expires,
        run=row.run,
        created=row.created,
        updated=row.updated,
        spec=row.spec,
        identity=row.identity,
        folder=row.folder if row.folder is None or "://" in row.folder else str((base or Path()) / row.folder),
    )


def _pieces(row: schema.Artifact) -> dict[str, str]:
    return {piece.name: piece.digest for piece in row.pieces}


def _lineage(row: schema.Artifact) -> Lineage:
    return Lineage(
        corpora=tuple((use.role, corpus_record(use.corpus)) for use in row.uses),
        spec=row.spec,
        code_version=row.code_version,
        job=row.job,
        attempt=row.attempt,
        run=row.run,
        inputs=tuple(Input(one.role, one.module, one.digest, one.recipe, one.part) for one in row.inputs),
        environment=row.environment,
        replay=row.replay,
    )
