"""Back-translation as a step of a job: text is translated in parts that are kept, so that a job continues where it was.

Translations are kept in the cache under the digest of all that decides them: other additions with the same text and
recipe use them, too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from filelock import FileLock

from continual_mt.config.corpus_spec import CorpusSpec
from continual_mt.data.back_translation import TranslationFilter, character_ratio, distinct
from continual_mt.errors import CorpusError, StoppedError, StorageError
from continual_mt.evaluation.language_identification import are_off_target
from ray_jobs.console import Display
from ray_jobs.planning.back_translation import BackTranslatedText, BackTranslation, described
from ray_jobs.planning.initialisation import check_unchanged, monolingual_lines
from ray_jobs.planning.resolve import ResolvedJob
from registry import Registry
from registry.corpora import read_corpus

FOLDER = "back-translations"
PART_LINES = 1_000
"""Lines that are translated and written together; an interrupted job translates those of one part again."""
_COUNTS = "counts.json"


def back_translate(job: ResolvedJob, registry: Registry, cache: Path, display: Display) -> BackTranslatedText | None:
    """Translate the text of an addition that back-translates, as far as that was not done before; None for others.

    Raises CorpusError if the text has changed, or no translation is kept, StoppedError after an interruption, and
    StorageError if the cache cannot be written to.
    """
    asked = job.back_translation
    if asked is None:
        return None
    check_unchanged(asked.text)
    registry.remember(asked.recipe)
    folder = cache / FOLDER / _key(asked.translations)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            translations = _Translations(asked, registry, folder, display)
            translations.complete(job.title)
            found = _selected(job, asked, translations)
    except KeyboardInterrupt as error:
        raise StoppedError(
            "stopped while text was back-translated; start the same job again and it continues with the lines that are "
            "not translated"
        ) from error
    except OSError as error:
        raise StorageError(
            f"back-translations cannot be written to {folder}: {error.strerror or error}. Fix: free space, then start "
            "the same job again: it continues with the lines that are not translated"
        ) from error
    display.say(f"{job.title}: {found}")
    return found


@dataclass(frozen=True)
class _Translations:
    """The parts of a translated text, each a file of as many lines as were translated."""

    asked: BackTranslation
    registry: Registry
    folder: Path
    display: Display

    def complete(self, title: str) -> None:
        """Translate the parts that are missing."""
        total, translate = self.asked.text.lines, None
        pair = self.asked.recipe.pair
        with self.display.counting(f"{title}: translating {pair}", total) as progress:
            done = 0
            for number, lines in enumerate(self._parts()):
                if self._read(number, len(lines)) is None:
                    translate = translate or self._translator()
                    self._write(number, translate(lines, progress, done))
                done += len(lines)
                progress(done)
        if translate is not None:
            self.display.say(
                f"{title}: {done:,} lines of {self.asked.text.path.name} were translated by {self.asked.recipe}"
            )

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each translation with its line."""
        for number, lines in enumerate(self._parts()):
            yield from zip(self._read(number, len(lines)) or (), lines, strict=True)

    def _parts(self) -> Iterator[list[str]]:
        lines = distinct(monolingual_lines(self.asked.text))
        while part := list(islice(lines, PART_LINES)):
            yield part

    def _read(self, number: int, lines: int) -> list[str] | None:
        """The translations of a part; None if it is missing or damaged, since it can be translated again."""
        try:
            found = self._path(number).read_text(encoding="utf-8").split("\n")[:-1]
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        return found if len(found) == lines else None

    def _write(self, number: int, translations: Sequence[str]) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            (whole := Path(folder) / "part").write_text("".join(f"{one}\n" for one in translations), encoding="utf-8")
            whole.replace(self._path(number))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.txt"

    def _translator(self) -> Callable[[Sequence[str], Callable[[int], None], int], list[str]]:
        model, beam = self.registry.run(self.asked.recipe), self.asked.spec.beam

        def translate(lines: Sequence[str], progress: Callable[[int], None], before: int) -> list[str]:
            found = model.translate(lines, beam=beam, progress=lambda count: progress(before + count))
            return [" ".join(one.split()) for one in found]  # a decoded text may have a line break

        return translate


def _selected(job: ResolvedJob, asked: BackTranslation, translations: _Translations) -> BackTranslatedText:
    """The translations that are kept, as two files that are written once."""
    key = _key({**asked.selection, "train": job.train.summary.digest})
    folder = translations.folder / f"kept-{key}"
    if not (folder / _COUNTS).exists():
        shutil.rmtree(folder, ignore_errors=True)  # without its last file it was damaged
        with tempfile.TemporaryDirectory(dir=translations.folder) as temporary:
            (whole := Path(temporary) / "kept").mkdir()
            _select(job, asked, translations, whole)
            whole.replace(folder)
    counts = json.loads((folder / _COUNTS).read_text(encoding="utf-8"))
    if not counts["kept"]:
        raise CorpusError(
            asked.text.path,
            f"no back-translation can be trained on: {described(counts)}. Fix: name a better recipe with "
            "back_translation.recipe, or raise back_translation.maximum_ratio",
        )
    spec = CorpusSpec(source=folder / "source", target=folder / "target", licence=asked.spec.licence)
    name = f"back-translations of {asked.text.path.name}"
    return BackTranslatedText(read_corpus(spec, job.pair, folder), name, counts)


def _select(job: ResolvedJob, asked: BackTranslation, translations: _Translations, folder: Path) -> None:
    language = job.pair.source
    is_foreign = (lambda line: are_off_target([line], language)[0]) if asked.spec.check_language else None
    chosen = TranslationFilter(character_ratio(job.train.corpus.read()), asked.spec.maximum_ratio, is_foreign)
    with (
        (folder / "source").open("w", encoding="utf-8") as source,
        (folder / "target").open("w", encoding="utf-8") as target,
    ):
        for translation, sentence in chosen.select(translations.pairs()):
            source.write(f"{translation}\n")
            target.write(f"{sentence}\n")
    (folder / _COUNTS).write_text(json.dumps(chosen.counts()), encoding="utf-8")


def _key(decides: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
