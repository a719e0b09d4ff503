from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from continual_mt.errors import CorruptionError
from registry import Registry
from registry.blobs.cache import CachedStore
from registry.blobs.fsspec_store import RemoteStore
from registry.blobs.local import FolderStore
from registry.database import schema
from registry.database.database import Database
from registry.database.location import Location
from registry.maintenance.verify import verify


def path_of(registry: Registry, digest: str) -> Path:
    return Path(registry.blobs.place) / digest[:2] / digest


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(content)


def test_what_is_whole_has_no_problems(rich: Registry) -> None:
    done: list[int] = []
    found = verify(rich, fingerprints=True, progress=done.append)
    assert (found.problems, found.orphans, found.leftovers, found.gone) == ((), (), (), ())
    stored = [blob.bytes for blob in rich.blobs.digests()]
    assert (found.blobs, found.bytes) == (len(stored), sum(stored))
    assert done[-1] == len(stored)


@pytest.mark.parametrize("piece", ["source.safetensors", "source.model", "module.json"])
@pytest.mark.parametrize("keep", [True, False])
def test_a_flipped_bit_is_named_with_what_needs_it(rich: Registry, piece: str, keep: bool) -> None:
    digest = rich.module("de-en").pieces[piece]
    path = path_of(rich, digest)
    flip(path, 77)
    damaged = path.read_bytes()
    (problem,) = verify(rich, set_aside=not keep).problems
    assert (problem.kind, problem.subject) == ("damaged", digest)
    assert problem.needed_by == (f"base/de-en:1 ({piece})",)
    assert f"its {len(damaged):,} bytes have the digest" in problem.explanation
    if keep:
        assert (problem.aside, path.read_bytes()) == (None, damaged)
        return
    assert problem.aside is not None
    assert Path(problem.aside).read_bytes() == damaged
    assert not path.exists()
    # It is missing from now on, and what was moved aside is neither a blob nor an orphan.
    again = verify(rich)
    assert [(found.kind, found.subject) for found in again.problems] == [("missing", digest)]
    assert [(found.explanation, found.aside) for found in again.problems] == [("it was damaged", problem.aside)]
    assert again.orphans == ()


def test_what_was_found_damaged_and_kept_is_not_loaded(rich: Registry) -> None:
    """Also if no write shows, as on a disk that loses a bit: its arrival was noted."""
    digest = rich.blobs.put_chunks([b"noted as it arrived"]).digest
    path = path_of(rich, digest)
    before = path.stat()
    flip(path, 3)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    rich.blobs.file(digest).close()
    assert [problem.subject for problem in verify(rich, set_aside=False).problems] == [digest]
    with pytest.raises(CorruptionError, match=f"blob {digest} is damaged"):
        rich.blobs.file(digest)


def test_damaged_copies_in_the_cache_of_a_remote_store_are_removed(tmp_path: Path) -> None:
    blobs = CachedStore(RemoteStore(f"file://{tmp_path}/remote"), FolderStore(tmp_path / "cache"), bound=1000)
    digest = blobs.put(b"weights")
    blobs.get(digest)
    flip(blobs.kept.path(digest), 3)
    with Registry(Database(Location.resolve(f"sqlite:///{tmp_path}/r.db"), create=True), blobs) as remote:
        assert [(found.problems, found.copies_dropped) for found in (verify(remote), verify(remote))] == [
            ((), 1),
            ((), 0),
        ]
    assert not blobs.kept.path(digest).exists()
    assert blobs.get(digest) == b"weights"


def test_the_same_content_heals_what_was_moved_aside(rich: Registry) -> None:
    module = rich.load_module("de-en")
    record = rich.module("de-en")
    for digest in record.pieces.values():
        flip(path_of(rich, digest), 8)
    assert len(verify(rich).problems) == len(record.pieces)
    for content in module.pieces().values():
        rich.blobs.put(content)
    assert verify(rich, fingerprints=True).problems == ()


def test_a_truncated_and_a_missing_blob(rich: Registry) -> None:
    truncated, missing = (rich.parent().pieces[name] for name in ("encoder.safetensors", "decoder.safetensors"))
    path_of(rich, truncated).chmod(0o644)
    os.truncate(path_of(rich, truncated), 100)
    path_of(rich, missing).unlink()
    found = {problem.subject: problem for problem in verify(rich).problems}
    assert found.keys() == {truncated, missing}
    assert "its 100 bytes have the digest" in found[truncated].explanation
    assert found[missing].kind == "missing"
    assert found[missing].needed_by == ("base (decoder.safetensors)",)
    assert found[missing].explanation == f"no blob with this digest in {rich.blobs.place}"


def test_texts_are_told_by_what_they_are_for(rich: Registry) -> None:
    score = next(score for score in rich.scores() if score.hypotheses)
    (corpus,) = (corpus for corpus in rich.catalog.corpora() if corpus.sources)
    (alignment,) = rich.catalog.alignments()
    digests = {score.hypotheses, corpus.sources, corpus.references, alignment.lexicon_digest}
    for digest in digests:
        assert digest is not None
        path_of(rich, digest).unlink()
    users = {user for problem in verify(rich).problems for user in problem.needed_by}
    assert users == {
        "what base answered (supervised de-en on flickr, bleu)",
        "the text of the corpus flickr (de-en)",
        "the lexicon de-fr.tsv of an alignment of base",
    }


def test_orphans_and_leftovers_are_no_problems(rich: Registry) -> None:
    digest = rich.blobs.put(b"nobody's")
    leftover = path_of(rich, digest).with_name(".writing-abc")
    leftover.write_bytes(b"half")
    found = verify(rich)
    assert found.problems == ()
    assert [(blob.digest, blob.bytes) for blob in found.orphans] == [(digest, 8)]
    assert [(Path(left.place), left.bytes) for left in found.leftovers] == [(leftover, 4)]


def test_a_damaged_orphan_is_a_problem_that_nobody_needs(rich: Registry) -> None:
    digest = rich.blobs.put(b"nobody's")
    flip(path_of(rich, digest), 3)
    (problem,) = verify(rich).problems
    assert (problem.subject, problem.needed_by) == (digest, ())


def test_records_that_were_changed_from_outside(rich: Registry) -> None:
    digest = rich.module("de-en").pieces["module.json"]
    expected = rich.load_module("de-en").digest

    def change(session: Session) -> None:
        session.execute(update(schema.Blob).where(schema.Blob.digest == digest).values(bytes=7))
        session.execute(update(schema.Module).where(schema.Module.source == "de").values(digest="0" * 64))
        session.execute(update(schema.Score).where(schema.Score.hypotheses.is_not(None)).values(hypotheses="f" * 64))

    rich.database.write(change)
    size = len(rich.blobs.get(digest))
    explanations = {problem.subject: problem.explanation for problem in verify(rich, fingerprints=True).problems}
    assert explanations[digest] == f"the table of blobs says 7 bytes, and it has {size}"
    words = f"its pieces have the fingerprint {expected}, but {'0' * 64} was registered"
    assert explanations["base/de-en:1"] == words
    assert explanations["f" * 64] == "records refer to it, but it is not in the table of blobs"


def test_a_pair_that_is_not_listed_with_its_best_score(rich: Registry) -> None:
    """As where an older version wrote to tables that had been upgraded; to score it again puts it right."""
    recipe = rich.recipe_catalog.recipe("de", "en")
    (best,) = [entry.score for entry in rich.pairs() if entry.recipe == recipe]
    assert best is not None
    rich.database.write(lambda session: session.execute(update(schema.Score).values(shown=False)))
    problems = verify(rich).problems
    assert f"recipe {recipe.digest}" in {problem.subject for problem in problems}
    assert {problem.explanation for problem in problems} == {
        "it is not listed with its best BLEU, as an older version wrote it; score it again"
    }
    rich.register_scores([score for score in rich.scores() if score.metric == "bleu"])
    assert verify(rich).problems == ()
    assert [entry.score for entry in rich.pairs() if entry.recipe == recipe] == [best]


def test_a_row_without_the_row_that_it_names(rich: Registry) -> None:
    def change(session: Session) -> None:
        session.execute(text("ALTER TABLE aliases DROP CONSTRAINT fk_aliases_module_id_modules"))
        session.execute(update(schema.Alias).values(module_id=99))

    if rich.name.endswith(".db"):
        with closing(sqlite3.connect(rich.name)) as connection, connection:
            connection.execute("UPDATE aliases SET module_id = 99")  # such a connection checks no keys
    else:
        rich.database.write(change)
    (problem,) = verify(rich).problems
    assert (problem.kind, problem.subject) == ("record", "aliases.module_id")
    assert problem.explanation == "1 rows name a row of modules that is not there"


def test_it_may_run_while_others_register(rich: Registry, writer: Any) -> None:
    problems = list(verify(rich).problems)
    while writer.process.is_alive():
        problems += verify(rich).problems
    assert writer.answers() == list(range(6))
    assert problems == []


def test_a_table_of_word_translations_that_cannot_be_read(rich: Registry) -> None:
    rich.add_word_translations("base", b"not a table")
    (problem,) = verify(rich, fingerprints=True).problems
    assert problem.subject == "base"
    assert problem.explanation.startswith("word_translations.safetensors: not a safetensors file")
