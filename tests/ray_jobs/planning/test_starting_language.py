"""From which language of a parent, whose languages have their own vocabularies, the embeddings of an addition start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import CorpusError, IncompatibleError
from continual_mt.home import Home
from continual_mt.languages import Pair
from ray_jobs import Driver
from ray_jobs.planning.job_from_record import recall
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.tokenizers import tokenizers
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.reproduction.reproduce import reproduce
from ray_jobs.tracking.lineage import lineage
from registry import JobRecord, Lineage, ModuleRecord, Registry
from registry.records.values import now

Values = dict[str, Any]
AdditionOf = Callable[..., AdditionSpec]
START: Values = {"initialisation": "lexical", "scope": "embeddings", "training": {"updates": 0}, "tests": []}
EARLIER = ("architecture", "dev", "initialisation", "kind", "parent", "spec", "tokenizer", "train", "version")
"""The keys of the identity of such an addition in earlier versions, which started it from the pair's other language."""


class Untrained:
    """A home with untrained parents of es-en, en-es and pt-en, on record as if they were trained on the text."""

    def __init__(
        self,
        driver: Driver,
        texts: Path,
        addition_spec: AdditionOf,
        own_spec: Callable[..., ParentSpec],
    ) -> None:
        self.driver, self.texts, self.said = driver, texts, list[str]()
        self._addition, self._parent = addition_spec, own_spec

    def corpus(self, pair: str, lines: int | None = None) -> Values:
        """The first lines of a pair's text, in files that a test may change."""
        files = {}
        for end, tag in zip(("source", "target"), pair.split("-"), strict=True):
            text = (self.texts / f"train.{tag}").read_text(encoding="utf-8").splitlines(keepends=True)
            path = self.texts / f"{pair}.{lines}.{tag}"
            path.write_text("".join(text[:lines]), encoding="utf-8")
            files[end] = str(path)
        return files

    def register(self, name: str, sizes: Mapping[str, int | None]) -> None:
        """Register a parent of these pairs, each with the number of its sentence pairs, None for all."""
        pairs = [
            {"pair": pair, "train": self.corpus(pair, lines), "dev": self.corpus("es-en", 5)}
            for pair, lines in sizes.items()
        ]
        spec = self._parent(name=name, pairs=pairs, tests=[])
        job = resolve(spec, None, self.texts)
        held = JobRecord(job.digest, "parent", "finished", 1, None, None, None, now(), now())
        self._register(name, job, lineage(job, held, None, [], {"threads": 1}))

    def register_without_lineage(self, name: str) -> None:
        pairs = [{"pair": one, "train": self.corpus(one), "dev": self.corpus(one, 5)} for one in ("es-en", "en-es")]
        self._register(
            name, resolve(self._parent(name=name, pairs=pairs, tests=[]), None, self.texts), Lineage((), {}, "0.1")
        )

    def _register(self, name: str, job: ResolvedJob, made_from: Lineage) -> None:
        vocabularies = tokenizers(job, None, self.texts)
        tensors = TrainingTask.of(job, None, *vocabularies, 1, self.texts).starting_tensors()
        parent = Parent(job.architecture, tensors, *vocabularies, job.languages, job.form)
        self.driver.registry.register_parent(name, parent, lineage=made_from)

    def spec(self, pair: str, parent: str = "many", **keys: Any) -> AdditionSpec:
        return self._addition(pair, parent=parent, **START | keys)

    def resolve(self, pair: str, parent: str = "many", **keys: Any) -> ResolvedJob:
        """Resolve an addition; ``said`` has what that reports."""
        self.said.clear()
        return self.driver.resolve(self.spec(pair, parent, **keys))

    @property
    def note(self) -> str:
        (note,) = [line for line in self.said if ": embeddings start from " in line]
        return note.partition(": ")[2]


@pytest.fixture(scope="module")
def untrained(
    tmp_path_factory: pytest.TempPathFactory,
    corpora: Path,
    addition_spec: AdditionOf,
    own_spec: Callable[..., ParentSpec],
) -> Iterator[Untrained]:
    folder = tmp_path_factory.mktemp("starting")
    for path in corpora.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    Registry.open(folder / "home", create=True).close()
    with Driver(Home(folder / "home"), in_process=True) as driver:
        found = Untrained(driver, folder, addition_spec, own_spec)
        driver.display.say = found.said.append  # type: ignore[method-assign]
        found.register("many", {"en-es": None, "es-en": 150, "pt-en": 180})
        yield found


def init_pair(job: ResolvedJob) -> str | None:
    return None if job.init_text is None else str(job.init_text.corpus.pair)


@pytest.mark.parametrize(
    ("pair", "expected", "note"),
    [
        (
            "de-en",
            "pt-en",
            "embeddings start from those of pt, by the text of pt-en that many was trained on (180 sentence pairs); "
            "--init-language en starts from those of en, as earlier versions did",
        ),
        (
            "es-de",
            "es-en",
            "embeddings start from those of en, by the text of es-en that many was trained on (150 sentence pairs); "
            "--init-language es starts from those of es, as earlier versions did",
        ),
        # Portuguese is no target of the parent: nothing else could be started from.
        (
            "pt-de",
            "pt-en",
            "embeddings start from those of en, by the text of pt-en that many was trained on (180 sentence pairs)",
        ),
    ],
)
def test_by_default_from_a_language_that_the_parent_translates_into_or_from_the_other(
    untrained: Untrained, pair: str, expected: str, note: str
) -> None:
    """The one with the most text. It is written into the spec, and the same job as that text given by hand."""
    job = untrained.resolve(pair, initialisation=None)
    assert untrained.note == note
    assert isinstance(job.spec, AdditionSpec)
    assert job.spec.init_text is not None
    assert (job.spec.init_text.pair, job.spec.init_language, job.initialisation) == (expected, None, "lexical")
    language = Pair.parse(expected).language("source" if pair == "de-en" else "target")
    sizes = {"pt-en": 180, "es-en": 150}
    same = [
        {"init_language": language},
        {"init_text": {"pair": expected, **untrained.corpus(expected, sizes[expected])}},
    ]
    assert {untrained.resolve(pair, **keys).digest for keys in same} == {job.digest}
    assert not any("embeddings start from" in line for line in untrained.said)  # the spec says it


def test_of_equal_texts_the_first_by_tag_and_none_that_is_too_small(untrained: Untrained) -> None:
    untrained.register("equal", {"pt-en": 150, "es-en": 150, "en-es": 100, "en-pt": 99})
    assert init_pair(untrained.resolve("de-en", "equal")) == "es-en"
    assert init_pair(untrained.resolve("de-es", "equal")) == "en-es"
    by_default = untrained.resolve("de-pt", "equal")
    assert (init_pair(by_default), by_default.initialisation) == (None, "lexical")
    assert untrained.note == (
        "embeddings start from those of pt, because equal has no text of pt and another language on record with at "
        "least 100 sentence pairs"
    )
    # A language that is named may have less text.
    assert init_pair(untrained.resolve("de-pt", "equal", init_language="en")) == "en-pt"
    # Too little text of the new language to find word translations in, so that the parent's is not needed.
    assert init_pair(untrained.resolve("de-en", train=untrained.corpus("de-en", 99), initialisation=None)) is None


def test_from_the_other_language_where_that_is_named_as_in_earlier_versions(untrained: Untrained) -> None:
    job = untrained.resolve("de-en", init_language="en")
    assert untrained.said == []
    assert tuple(sorted(job.identity)) == EARLIER
    driver = untrained.driver
    record = driver.run(job).record
    assert isinstance(record, ModuleRecord)
    assert record.lineage.spec["init_language"] == "en"
    # A record of an earlier version has neither key.
    spec = {key: value for key, value in record.lineage.spec.items() if key != "init_language"}
    assert spec["init_text"] is None
    earlier = replace(record, lineage=replace(record.lineage, spec=spec))
    for one in (record, earlier):
        assert recall(driver.registry, one, driver.home.cache).digest == job.digest
        assert reproduce(driver, one).verdict == "bit for bit"
    # The end of a sentence starts as that of the language's own table.
    parent, module = driver.registry.load_parent("many"), driver.registry.load_module(record.full_name)
    new, own = module.new_side.tokenizer, parent.tokenizer("source", "en")
    tables = module.tensors["source.embedding"], parent.tensors["source.en.embedding"]
    torch.testing.assert_close(tables[0][new.end], tables[1][own.end])


def test_the_recorded_spec_of_the_default_is_the_same_job(untrained: Untrained) -> None:
    driver = untrained.driver
    record = driver.run(untrained.resolve("de-en", seed=2)).record
    assert isinstance(record, ModuleRecord)
    assert "init_language" not in record.lineage.spec
    assert AdditionSpec.model_validate(record.lineage.spec).init_text is not None
    assert recall(driver.registry, record, driver.home.cache).digest == record.lineage.job
    assert driver.resolve(AdditionSpec.model_validate(record.lineage.spec)).digest == record.lineage.job


def test_text_on_record_that_is_gone_or_another_is_an_error_with_ways_out(untrained: Untrained) -> None:
    untrained.register("moved", {"es-en": 140, "en-es": None, "pt-en": 110})
    path = untrained.texts / "es-en.140.en"
    text = path.read_text(encoding="utf-8")
    way_out = (
        r"Fix: put it back as it was, or give such text with --init-text and --init-pair es-en; or name another "
        r"language with --init-language: pt, en; or --init shared starts from"
    )
    path.write_text(text.replace("a", "b"), encoding="utf-8")
    with pytest.raises(
        CorpusError, match=rf"its text has changed since the parent moved was trained on it\. {way_out}"
    ):
        untrained.resolve("de-en", "moved")
    path.unlink()
    with pytest.raises(
        CorpusError, match=rf"the parent moved was trained on it, and it cannot be read \(.*\)\. {way_out}"
    ):
        untrained.resolve("de-en", "moved", initialisation=None)
    assert init_pair(untrained.resolve("de-en", "moved", init_language="pt")) == "pt-en"
    assert init_pair(untrained.resolve("de-en", "moved", init_language="en")) is None
    assert untrained.resolve("de-en", "moved", initialisation="shared").initialisation == "shared"


def test_without_text_on_record_it_is_the_other_language_which_is_reported(untrained: Untrained) -> None:
    untrained.register_without_lineage("bare")
    job = untrained.resolve("de-en", "bare")
    assert tuple(sorted(job.identity)) == EARLIER
    assert untrained.note.startswith("embeddings start from those of en, because bare has no text of en and another")
    message = (
        r"--init-language es: no text of es and en is on record for bare; expected one of en\. Fix: name one of these, "
        "or give such text with --init-text and --init-pair"
    )
    with pytest.raises(IncompatibleError, match=message):
        untrained.resolve("de-en", "bare", init_language="es")


def test_a_lexicon_leads_to_the_other_language_unless_one_is_named(untrained: Untrained) -> None:
    words = untrained.texts / "words.tsv"
    words.write_text("Datei\tfile\nund\tand\nder\tthe\n", encoding="utf-8")
    assert init_pair(untrained.resolve("de-en", lexicon=str(words))) is None
    assert untrained.note == "embeddings start from those of en, which the lexicon leads to"
    assert init_pair(untrained.resolve("de-en", lexicon=str(words), init_language="pt")) == "pt-en"


def test_a_language_that_nothing_leads_to_is_refused(untrained: Untrained, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(
        IncompatibleError, match=r"fr: no text of fr and en is on record for many; expected one of es, pt, en\."
    ):
        untrained.resolve("de-en", init_language="fr")
    with pytest.raises(IncompatibleError, match=r"^--init-language: of two new languages, it would be for one"):
        untrained.resolve("de-fr", both_new=True, init_language="en", initialisation=None, scope="xattn")
    untrained.driver.run(untrained.resolve("en-de"))
    with pytest.raises(
        IncompatibleError,
        match=r"^--init-language en: the addition is trained against many/en-de:1; expected one against the parent's "
        r"own languages\. Fix: leave it out, or give text with --init-text$",
    ):
        untrained.resolve("fr-de", init_language="en")
    with pytest.raises(
        IncompatibleError,
        match=r"^--init-language es: embeddings start from the one vocabulary of es-en; expected a parent whose "
        r"languages have their own \(vocabularies: own\)\. Fix: leave it out$",
    ):
        resolve(untrained.spec("pt-en", "es-en", init_language="es"), registry.parent("es-en"), tmp_path)


def test_text_that_is_given_and_not_used_is_left_out_of_the_record(untrained: Untrained) -> None:
    """With too little text the default start is another one; the record can be recalled all the same."""
    keys = {"train": untrained.corpus("de-en", 99), "initialisation": None}
    for given in ({"init_text": {"pair": "es-en", **untrained.corpus("es-en", 150)}}, {"init_language": "pt"}):
        record = untrained.driver.run(untrained.resolve("de-en", **keys, **given)).record
        assert isinstance(record, ModuleRecord)
        assert (record.initialisation, record.lineage.spec["init_text"]) == ("shared", None)
        assert recall(untrained.driver.registry, record, untrained.driver.home.cache).digest == record.lineage.job
