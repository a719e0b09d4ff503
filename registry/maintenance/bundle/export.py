"""Writing parents and modules, with their lineage and scores, into one file that another registry can import."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from continual_mt.errors import StorageError
from registry.database import schema
from registry.database.row_mapping import parent_languages, score_record
from registry.maintenance.bundle import archive
from registry.maintenance.bundle.manifest import (
    CorpusEntry,
    InputEntry,
    Manifest,
    ModuleEntry,
    NoteEntry,
    ParentEntry,
    ScoreEntry,
)
from registry.maintenance.results import Progress
from registry.queries.catalog import name_of
from registry.records.values import JSONObject, now
from registry.registry import Registry


@dataclass(frozen=True)
class Exported:
    parents: tuple[str, ...]
    modules: tuple[str, ...]
    scores: int
    blobs: int
    bytes: int

    def to_json(self) -> JSONObject:
        return {
            "parents": list(self.parents),
            "modules": list(self.modules),
            "scores": self.scores,
            "blobs": self.blobs,
            "bytes": self.bytes,
        }


def export(
    registry: Registry,
    names: Sequence[str],
    path: Path,
    *,
    with_parent: bool = True,
    progress: Progress = lambda done: None,
) -> Exported:
    """Write a bundle of the named artifacts: a module with its parent, or a parent with all its modules.

    What a module rests on goes with it. A score is included if all its modules are, with its translations and its test
    set if they were kept. Scores of pivots are left out: their legs may be on different parents. A bundle without the
    parent is small, and can be imported only into a registry that has the parent. Raises UnknownNameError for an
    unknown name, CorruptionError for a damaged blob, StorageError if the file cannot be written.
    """
    parents, modules = _chosen(registry, names)
    with registry.database.read() as session:
        manifest = _manifest(session, parents, modules, with_parent)
    archive.write_bundle(path, manifest, registry.blobs, progress)
    return Exported(
        tuple(entry.name for entry in manifest.parents if entry.pieces),
        tuple(entry.name for entry in manifest.modules),
        len(manifest.scores),
        len(manifest.blobs),
        path.stat().st_size,
    )


def _chosen(registry: Registry, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of the parents and of the modules, each once and sorted."""
    known = {parent.name for parent in registry.parents()}
    parents: set[str] = set()
    modules: set[str] = set()
    for name in names:
        if name in known:
            parents.add(name)
            modules.update(module.full_name for module in registry.modules(name))
        else:
            waiting = [name]
            while waiting:  # with what it rests on, which it cannot run without
                module = registry.module(waiting.pop())
                parents.add(module.parent)
                modules.add(module.full_name)
                waiting += [key.name for key in module.rests_on.modules if key.name not in modules]
    return sorted(parents), sorted(modules)


def _manifest(session: Session, parents: Sequence[str], modules: Collection[str], with_parent: bool) -> Manifest:
    owners = list(session.scalars(select(schema.Parent).where(schema.Parent.name.in_(parents))))
    wanted = set(modules)
    standing = session.scalars(
        select(schema.Module).where(schema.Module.parent_id.in_([row.id for row in owners])).order_by(schema.Module.id)
    )
    chosen = [row for row in standing if name_of(row) in wanted]
    rows = session.scalars(
        select(schema.Score)
        .where(schema.Score.parent_id.in_([row.id for row in owners]), schema.Score.kind != "pivot")
        .order_by(schema.Score.id)
    )
    scores = [row for row in rows if _modules_of(row) <= wanted]
    artifacts: list[schema.Artifact] = [*(owners if with_parent else []), *chosen]
    corpora = {use.corpus.digest: use.corpus for artifact in artifacts for use in artifact.uses}
    tests = {row.test_digest for row in scores}
    corpora |= {
        row.digest: row for row in session.scalars(select(schema.Corpus).where(schema.Corpus.digest.in_(tests)))
    }
    manifest = Manifest(
        format=2,
        created=now(),
        code_version=version("continual-mt"),
        parents=[_parent_entry(session, row, with_parent) for row in owners],
        modules=[_module_entry(session, row) for row in chosen],
        corpora=[_corpus_entry(corpora[digest]) for digest in sorted(corpora)],
        scores=[ScoreEntry.of(score_record(row, row.parent.name)) for row in scores],
        blobs={},
    )
    return manifest.model_copy(update={"blobs": _sizes(session, manifest.referenced())})


def _modules_of(score: schema.Score) -> set[str]:
    named = (score.source_module, score.cross_attention_module, score.target_module)
    return {name for name in named if name is not None}


def _parent_entry(session: Session, row: schema.Parent, with_parent: bool) -> ParentEntry:
    several = [*parent_languages(row.sides, denoising=row.denoising).several]
    own = {"name": row.name, "fingerprint": row.fingerprint, "several": several}
    entry = ParentEntry.model_validate({**own, **_facts(session, row)})
    return entry if with_parent else entry.model_copy(update={"pieces": {}, "corpora": []})


def _module_entry(session: Session, row: schema.Module) -> ModuleEntry:
    aliases = session.scalars(select(schema.Alias.name).filter_by(module_id=row.id).order_by(schema.Alias.name))
    own = {"name": name_of(row), "digest": row.digest, "aliases": list(aliases)}
    return ModuleEntry.model_validate({**own, **_facts(session, row)})


def _facts(session: Session, row: schema.Artifact) -> dict[str, object]:
    notes = session.scalars(select(schema.Note).filter_by(artifact_id=row.id).order_by(schema.Note.id))
    return {
        "pieces": {piece.name: piece.digest for piece in row.pieces},
        "corpora": [(use.role, use.corpus.digest) for use in row.uses],
        "spec": row.spec,
        "code_version": row.code_version,
        "job": row.job,
        "attempt": row.attempt,
        "run": row.run,
        "created": row.created,
        "tags": sorted(session.scalars(select(schema.Tag.tag).filter_by(artifact_id=row.id))),
        "inputs": [
            InputEntry(role=i.role, module=i.module, digest=i.digest, recipe=i.recipe, part=i.part) for i in row.inputs
        ],
        "environment": row.environment,
        "replay": row.replay,
        "notes": [NoteEntry(text=note.text, who=note.who, moment=note.moment) for note in notes],
    }


def _corpus_entry(row: schema.Corpus) -> CorpusEntry:
    return CorpusEntry(
        digest=row.digest,
        pair=f"{row.source}-{row.target}",
        name=row.name,
        sentences=row.sentences,
        skipped=row.skipped,
        licence=row.licence,
        sources=row.sources,
        references=row.references,
    )


def _sizes(session: Session, digests: Iterable[str]) -> dict[str, int]:
    wanted = set(digests)
    rows = session.execute(select(schema.Blob.digest, schema.Blob.bytes))
    sizes = {row.digest: row.bytes for row in rows if row.digest in wanted}
    if lost := wanted - sizes.keys():
        raise StorageError(f"the blob {min(lost)} is not in the table of blobs; see `continual-mt registry verify`")
    return dict(sorted(sizes.items()))
