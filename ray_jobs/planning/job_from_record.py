"""From a record back to its job: the spec, the texts by their digests, and the modules that it continued from.

Texts are found by digest, never by name alone: another text under an old name would be another job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from continual_mt.artifacts.parent_languages import ENDS
from continual_mt.artifacts.stored.optional_pieces import WORD_TRANSLATIONS
from continual_mt.config.corpus_spec import CorpusSpec, TrainedPair
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, merge
from continual_mt.data.corpora.text_url import TextPlace
from continual_mt.errors import IncompatibleError, MisuseError, SpecError, UnknownNameError
from continual_mt.languages import Pair
from ray_jobs.planning.back_translation import BackTranslation, back_translation
from ray_jobs.planning.base import NO_BASE, Base, recorded_base
from ray_jobs.planning.denoising import Denoising, find_frozen_side
from ray_jobs.planning.initialisation import ResolvedText, read_monolingual, read_word_list
from ray_jobs.planning.resolve import ReplayedPair, ResolvedJob, architecture_of
from ray_jobs.planning.resolved_pairs import resolved_pairs
from ray_jobs.planning.starting_language import pair_of_init_text
from ray_jobs.tracking.lineage import Registered, name_of
from registry import CorpusRecord, Input, ModuleRecord, ParentRecord, Registry
from registry.corpora import ResolvedCorpus, read_recorded
from registry.records.corpora import Role


def recall(
    registry: Registry,
    record: Registered,
    cache: Path,
    *,
    corpora: Path | None = None,
    resources: Mapping[str, object] | None = None,
) -> ResolvedJob:
    """The job that made a record, without test sets. Texts are read from their recorded places, or else ``corpora``.

    ``resources`` replace the recorded ones; otherwise the number of threads is the recorded one, if it is known. Raises
    IncompatibleError for a record that no job made, and SpecError with every problem.
    """
    name = name_of(record)
    if origin := record.lineage.named("quantised-from"):
        first = origin[0].module
        raise IncompatibleError(
            f"{name} was converted from {first} to {record.precision}, and not trained. "
            f"Fix: reproduce {first}, then convert it again, which gives the same"
        )
    if imported := record.lineage.imported:
        raise IncompatibleError(
            f"{name} was imported from {imported.described}, and not trained here. "
            f"Fix: import it again into another registry (--home) and compare: {imported.command}"
        )
    if record.lineage.job is None:
        raise IncompatibleError(
            f"{name} was not trained by a job of this project (it was imported, or registered from Python), so there "
            "is no record of a training that could be done again"
        )
    spec = _spec(record, resources or {})
    search = _Search(registry, cache, corpora)
    job = search.job(record, spec)
    if job is None or search.problems:
        raise SpecError(f"{name} cannot be trained again", search.problems)
    return job


def _spec(record: Registered, resources: Mapping[str, object]) -> ParentSpec | AdditionSpec:
    threads = (record.lineage.environment or {}).get("threads")
    known = {} if threads is None else {"resources": {"cpus": threads}}
    # The registry keeps the texts of test sets, so their files are not needed.
    values = merge(merge(record.lineage.spec, known), {"resources": dict(resources), "tests": []})
    origin = f"the spec on record of {name_of(record)}"
    # A record without these keys is from before there were others.
    values = {"tokenizer": "identity"} | values
    if isinstance(record, ParentRecord):
        return validate(ParentSpec, values, origin=origin, base=None)
    values = {"scope": "xattn", "initialisation": "random"} | values
    return validate(AdditionSpec, values, origin=origin, base=None)


class _Search:
    """``problems`` has a line for each text or module that is missing or has changed."""

    def __init__(self, registry: Registry, cache: Path, folder: Path | None) -> None:
        self.problems: list[str] = []
        self._registry, self._cache, self._folder = registry, cache, folder

    def job(self, record: Registered, spec: ParentSpec | AdditionSpec) -> ResolvedJob | None:
        """None if a text cannot be read or is not recorded."""
        lineage = record.lineage
        parent = None if isinstance(record, ParentRecord) else self._registry.parent(record.parent)
        pairs = spec.trained_pairs
        trained_on = self._on_record(record, "train")
        chosen_on = self._on_record(record, "dev")
        if len(trained_on) < len(pairs) or len(chosen_on) < len(pairs):
            self.problems.append("no training or development text is on record")
            return None
        found = [self._pair(*texts) for texts in zip(pairs, trained_on, chosen_on, strict=False)]
        earlier = lineage.named("replayed")
        texts_of_earlier = trained_on[len(pairs) : len(pairs) + len(earlier)]
        replayed = [self._replayed(one, text) for one, text in zip(earlier, texts_of_earlier, strict=True)]
        start = next((self._module(one, "it continued from") for one in lineage.named("start")), None)
        base = self._base(record)
        lexicon, monolingual = self._beside(record, spec)
        translated = self._back_translation(record, spec, base)
        denoised = self._denoising(record, spec, parent, base)
        table = self._table(record, parent)
        init_text = self._init_text(record, spec, parent)
        texts = [texts for texts in found if texts is not None]
        if self.problems or len(texts) < len(pairs):
            return None
        return ResolvedJob(
            _reading(spec, texts),
            resolved_pairs(spec, texts),
            parent,
            architecture_of(spec, parent),
            (),
            start=start,
            replay=lineage.replay or 0.0,
            replayed=tuple(pair for pair in replayed if pair is not None),
            initialisation=(isinstance(spec, AdditionSpec) and spec.initialisation) or "random",
            lexicon=lexicon,
            monolingual=monolingual,
            init_text=init_text,
            word_translations=table,
            back_translation=translated,
            denoising=denoised,
            base=base,
        )

    def _base(self, record: Registered) -> Base:
        """What an addition was trained against."""
        if not isinstance(record, ModuleRecord):
            return NO_BASE
        found = [self._module(used, "rests on") for used in record.lineage.named("rests-on")]
        return NO_BASE if None in found else recorded_base(self._registry, record)

    def _back_translation(
        self, record: Registered, spec: ParentSpec | AdditionSpec, base: Base
    ) -> BackTranslation | None:
        """The text that an addition back-translated, and the recipe that did, by its digest."""
        asked = spec.back_translation if isinstance(spec, AdditionSpec) else None
        if asked is None:
            return None
        text = self._text_beside(record, "monolingual", asked.text, read_monolingual)
        try:
            recipe = self._registry.recipe_catalog.recipe_of(asked.recipe or "")
        except UnknownNameError as error:
            self.problems.append(f"the recipe that back-translated {asked.text.name} cannot be run: {error}")
            return None
        return None if text is None else back_translation(asked, text, recipe, base.side)

    def _denoising(
        self, record: Registered, spec: ParentSpec | AdditionSpec, parent: ParentRecord | None, base: Base
    ) -> Denoising | None:
        """The text that an addition restored from noise, and the side through which it did."""
        asked = spec.denoising if isinstance(spec, AdditionSpec) else None
        if asked is None or asked.text is None or parent is None:
            return None
        assert isinstance(spec, AdditionSpec)
        text = self._text_beside(record, "monolingual", asked.text, read_monolingual)
        used = record.lineage.named("trained-through")
        if None in [self._module(one, "it was trained through") for one in used]:
            return None
        return None if text is None else Denoising(asked, text, find_frozen_side(self._registry, parent, spec, base))

    def _pair(
        self, one: TrainedPair, trained_on: CorpusRecord, chosen_on: CorpusRecord
    ) -> tuple[Pair, ResolvedCorpus, ResolvedCorpus] | None:
        pair = Pair.parse(one.pair)
        train = self._text("training text", one.train, pair, trained_on)
        dev = self._text("development text", one.dev, pair, chosen_on)
        return None if train is None or dev is None else (pair, train, dev)

    def _init_text(
        self, record: Registered, spec: ParentSpec | AdditionSpec, parent: ParentRecord | None
    ) -> ResolvedCorpus | None:
        """The text of the parent's pair that an addition's embeddings started from."""
        recorded = self._on_record(record, "initialisation")
        if parent is None or not isinstance(spec, AdditionSpec) or spec.init_text is None or not recorded:
            return None
        if not isinstance(record, ModuleRecord) or record.side not in ENDS:
            return None
        pair = pair_of_init_text(spec.init_text, parent, Pair.parse(spec.pair), record.side)
        return self._text("text that its embeddings started from", spec.init_text, pair, recorded[0])

    def _table(self, record: Registered, parent: ParentRecord | None) -> str | None:
        """The digest of the parent's word translation table, if the record's embeddings started from it."""
        start = None if parent is None else self._registry.start_of(record)
        wanted = None if start is None else start.get("word_translations")
        found = None if parent is None else parent.pieces.get(WORD_TRANSLATIONS)
        if wanted is not None and parent is not None and wanted != found:
            self.problems.append(
                f"the word translations of {parent.name} with the digest {str(wanted)[:12]}, which its embeddings "
                f"started from, are not in {self._registry.name}"
                f"{'' if found is None else f', which has those with the digest {found[:12]}'}; import a bundle of it "
                "with its parent"
            )
        return found if wanted is not None else None

    def _beside(
        self, record: Registered, spec: ParentSpec | AdditionSpec
    ) -> tuple[ResolvedText | None, ResolvedText | None]:
        """The lexicon and the text of one language that an addition used."""
        if not isinstance(spec, AdditionSpec):
            return None, None
        readers: dict[Role, tuple[TextPlace | None, Callable[[TextPlace], ResolvedText]]] = {
            "lexicon": (spec.lexicon, lambda path: read_word_list(path)[0]),
            "monolingual": (spec.monolingual, read_monolingual),
        }
        lexicon, monolingual = (self._text_beside(record, role, *reader) for role, reader in readers.items())
        return lexicon, monolingual

    def _text_beside(
        self, record: Registered, role: Role, path: TextPlace | None, read: Callable[[TextPlace], ResolvedText]
    ) -> ResolvedText | None:
        if path is None:
            return None
        recorded = {corpus.digest for corpus in self._on_record(record, role)}
        seen = []
        for place in _file_places(path, self._folder):
            try:
                found = read(place)
            except MisuseError as error:
                seen.append(str(error))
                continue
            if found.digest in recorded:
                return found
            seen.append(f"{place}: another text, with the digest {found.digest[:12]}")
        self.problems.append(f"the {role} file {path.name} was not found as it was ({'; '.join(seen)})")
        return None

    @staticmethod
    def _on_record(record: Registered, wanted: Role) -> list[CorpusRecord]:
        return [corpus for role, corpus in record.lineage.corpora if role == wanted]

    def _find(self, used: Input) -> Registered | None:
        with suppress(UnknownNameError):
            return self._registry.catalog.find(str(used.module))
        return None

    def _module(self, used: Input, why: str) -> ModuleRecord | None:
        found = self._find(used)
        if not isinstance(found, ModuleRecord):
            self.problems.append(f"the module {used.module}, which {why}, is no longer in {self._registry.name}")
        elif used.digest not in (None, found.digest):
            self.problems.append(
                f"the module {used.module}, which {why}, had the digest {used.digest}; the one of this name in "
                f"{self._registry.name} has {found.digest}"
            )
        else:
            return found
        return None

    def _replayed(self, used: Input, text: CorpusRecord) -> ReplayedPair | None:
        """An earlier pair: the parent's own, or the one that a module brought."""
        name, owner = used.module, self._find(used)
        if not isinstance(owner, ParentRecord):
            owner = self._module(used, "was replayed")
        if owner is None:
            return None
        try:
            spec = CorpusSpec.model_validate(owner.lineage.spec.get("train"))
        except ValueError as error:
            self.problems.append(
                f"the text of {name}, which was replayed: its record does not say where it lies ({error})"
            )
            return None
        train = self._text(f"text of {name}, which was replayed", spec, owner.pair, text)
        return None if train is None else ReplayedPair(train, owner if isinstance(owner, ModuleRecord) else None)

    def _text(self, what: str, spec: CorpusSpec, pair: Pair, record: CorpusRecord) -> ResolvedCorpus | None:
        """The text with the recorded digest, at the first of its places that has it."""
        seen = []
        for place in _places(spec, self._folder):
            try:
                found = read_recorded(place, pair, record.digest, self._cache)
            except MisuseError as error:
                seen.append(str(error))
                continue
            if found.summary.digest == record.digest:
                return found
            seen.append(f"{_where(place)}: another text, with the digest {found.summary.digest[:12]}")
        way_out = "put it back as it was" + ("" if self._folder else ", or say with --corpora FOLDER where it lies now")
        self.problems.append(
            f"the {what}, {record.name} with the digest {record.digest[:12]}, was not found ({'; '.join(seen)}); "
            + way_out
        )
        return None


def _reading(
    spec: ParentSpec | AdditionSpec, texts: Sequence[tuple[Pair, ResolvedCorpus, ResolvedCorpus]]
) -> ParentSpec | AdditionSpec:
    """The spec with the places where the texts of its pairs were found."""
    if isinstance(spec, ParentSpec) and spec.pairs:
        found = {str(pair): {"train": train.spec, "dev": dev.spec} for pair, train, dev in texts}
        return spec.model_copy(update={"pairs": tuple(one.model_copy(update=found[one.pair]) for one in spec.pairs)})
    ((_, train, dev),) = texts
    return spec.model_copy(update={"train": train.spec, "dev": dev.spec})


def _places(spec: CorpusSpec, folder: Path | None) -> Iterator[CorpusSpec]:
    """A corpus at its recorded place, then its files in ``folder``, under the ends of their recorded paths."""
    yield spec
    files = {key: path for key in ("source", "target", "tsv") if (path := getattr(spec, key)) is not None}
    if folder is None or not files:
        return
    for parts in range(1, min(len(path.parts) for path in files.values())):
        moved = {key: folder.absolute().joinpath(*path.parts[-parts:]) for key, path in files.items()}
        if all(path.is_file() for path in moved.values()):
            yield spec.model_copy(update=moved)


def _file_places(path: TextPlace, folder: Path | None) -> Iterator[TextPlace]:
    """A file at its recorded place, then in ``folder``, under the ends of its recorded path."""
    yield path
    for parts in range(1, len(path.parts) if folder is not None else 1):
        moved = Path(folder or "").absolute().joinpath(*path.parts[-parts:])
        if moved.is_file():
            yield moved


def _where(spec: CorpusSpec) -> str:
    files = [str(path) for path in (spec.source, spec.target, spec.tsv) if path]
    return " + ".join(files) or f"the catalogs' {spec.catalogs}"
