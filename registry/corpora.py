"""Corpora and test sets, read and identified: what the registry records of them, and the text of test sets it keeps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from continual_mt.config.corpus_spec import CorpusSpec, TestSpec
from continual_mt.data.corpora.corpus import Corpus, CorpusSummary, SentencePair, inspect
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.data.corpora.tsv import named_lines
from continual_mt.errors import ContinualMTError, CorpusError
from continual_mt.languages import Pair
from registry.records.corpora import CorpusRecord
from registry.records.lineage import Lineage

if TYPE_CHECKING:
    from registry.registry import Registry


@dataclass(frozen=True)
class ResolvedCorpus:
    """A corpus that was read once from end to end."""

    spec: CorpusSpec
    corpus: Corpus
    summary: CorpusSummary

    @property
    def record(self) -> CorpusRecord:
        return CorpusRecord(
            digest=self.summary.digest,
            pair=self.corpus.pair,
            name=self.corpus.name,
            sentences=self.summary.sentences - self.summary.empty,
            skipped=self.summary.empty,
            licence=self.corpus.licence or "not stated",
        )


@dataclass(frozen=True)
class ResolvedTest:
    """A test set in memory: all its lines, including empty ones.

    ``further`` has more references, each with a line per sentence; an empty line there is no reference.
    """

    name: str
    pair: Pair
    digest: str
    sources: tuple[str, ...]
    references: tuple[str, ...]
    record: CorpusRecord
    further: tuple[tuple[str, ...], ...] = ()


def read_corpus(spec: CorpusSpec, pair: Pair, cache: Path) -> ResolvedCorpus:
    """Read a corpus from end to end. Raises CorpusError if it cannot be read or has no sentence pair."""
    return _identified(spec, spec.open(pair, cache))


def _identified(spec: CorpusSpec, corpus: Corpus) -> ResolvedCorpus:
    summary = inspect(corpus)
    if summary.sentences == summary.empty:
        raise CorpusError(corpus.name, "it has no sentence pair")
    return ResolvedCorpus(spec, corpus, summary)


def read_recorded(spec: CorpusSpec, pair: Pair, digest: str, cache: Path) -> ResolvedCorpus:
    """Read a corpus that is on record with this digest. The result has another digest if the text has changed.

    Earlier versions took rows of other numbers of columns for pairs. Raises CorpusError as `read_corpus` does.
    """
    if spec.tsv is None or spec.ragged:
        return read_corpus(spec, pair, cache)
    with suppress(CorpusError):
        earlier = read_corpus(spec.model_copy(update={"ragged": True}), pair, cache)
        if earlier.summary.digest == digest:
            return earlier
    return read_corpus(spec, pair, cache)


def read_test(spec: TestSpec, cache: Path) -> ResolvedTest:
    """Read a test set, once. Raises CorpusError if it cannot be read, is empty or has a row that is no pair."""
    pair = Pair.parse(spec.pair)
    corpus = _Recorded(spec.open(pair, cache))
    resolved = _identified(spec, corpus)
    if faults := resolved.summary.faults:
        raise CorpusError(
            corpus.name,
            f"{len(faults):,} rows have another number of columns than most ({named_lines(faults)}); expected equal "
            "numbers in a test set. Fix: remove tabs within sentences",
        )
    return ResolvedTest(
        name=spec.name,
        pair=pair,
        digest=resolved.summary.digest,
        sources=tuple(line.source for line in corpus.lines),
        references=tuple(line.target for line in corpus.lines),
        record=resolved.record,
    )


def with_references(test: ResolvedTest, paths: Sequence[TextPlace]) -> ResolvedTest:
    """A test set with further references, each read from a file. Its digest is over the sources and all references.

    Raises CorpusError if a file cannot be read, or does not have a line for each sentence.
    """
    further = tuple(read_reference(path, len(test.sources)) for path in paths)
    content = hashlib.sha256(f"{1 + len(further)} references\n".encode())
    for lines in zip(test.sources, test.references, *further, strict=True):
        content.update("".join(f"{line}\n" for line in lines).encode())
    name = " + ".join([test.record.name, *(path.name for path in paths)])
    record = replace(test.record, digest=content.hexdigest(), name=name, sources=None, references=None)
    return replace(test, digest=record.digest, record=record, further=further)


def read_reference(path: TextPlace, sentences: int) -> tuple[str, ...]:
    """Read a further reference, one line per sentence, some of which may be empty. Raises CorpusError."""
    lines = tuple(read_lines(path))
    if len(lines) != sentences:
        raise CorpusError(path, f"{len(lines):,} lines, but the test set has {sentences:,}; expected equally many")
    if not any(map(str.strip, lines)):
        raise CorpusError(path, "no text; expected a reference translation for at least one sentence")
    return lines


class _Recorded:
    """A corpus that remembers the lines it gave out when it was last read."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self.pair, self.name, self.licence = corpus.pair, corpus.name, corpus.licence
        self.lines: list[SentencePair] = []

    def read(self) -> Iterator[SentencePair]:
        self.lines = []
        for line in self._corpus.read():
            self.lines.append(line)
            yield line


def kept_test(registry: Registry, spec: TestSpec, record: CorpusRecord) -> ResolvedTest | None:
    """A test set from the text that the registry keeps; None if it keeps none.

    Raises CorruptionError for damaged or missing text.
    """
    if record.sources is None or record.references is None:
        return None
    sources, references = registry.texts.read(record.sources), registry.texts.read(record.references)
    pair = Pair.parse(spec.pair)
    return ResolvedTest(spec.name, pair, record.digest, tuple(sources), tuple(references), record)


def with_text(registry: Registry, test: ResolvedTest) -> CorpusRecord:
    """The record of a test set, after storing its text in the registry."""
    if test.record.sources is not None and test.record.references is not None:
        return test.record
    all_references = [*test.references, *(line for one in test.further for line in one)]
    sources, references = registry.texts.store(test.sources), registry.texts.store(all_references)
    return replace(test.record, sources=sources, references=references)


def known_tests(
    registry: Registry, lineages: list[Lineage], cache: Path, say: Callable[[str], None]
) -> list[ResolvedTest]:
    """The test sets of earlier work, each once, from the text that the registry keeps.

    Only a test set that was recorded without its text is read from its files; one that cannot be read is reported
    with ``say`` and left out.
    """
    tests: dict[tuple[Pair, str], ResolvedTest] = {}
    for lineage in lineages:
        listed = lineage.spec.get("tests", ())
        values = list(listed) if isinstance(listed, list | tuple) else []
        records = [corpus for role, corpus in lineage.corpora if role == "test"]
        # A test set has its name in the spec and its text in the record; both list them in the same order.
        for value, record in zip(values, records if len(records) == len(values) else [None] * len(values), strict=True):
            try:
                spec = TestSpec.model_validate(value)
                if record is not None and (Pair.parse(spec.pair), record.digest) in tests:
                    continue
                kept = kept_test(registry, spec, record) if record is not None else None
                test = kept or read_test(spec, cache)
            except (ContinualMTError, ValueError) as error:
                say(f"an earlier test set is left out: {error}")
                continue
            tests.setdefault((test.pair, test.digest), test)
    return list(tests.values())
