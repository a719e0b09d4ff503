"""Languages added to a parent of several source and target languages, whose sentences name their languages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.parent_languages import ParentLanguages, ParentSide
from continual_mt.artifacts.sentence_form import SentenceForm
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, SequenceSpec
from continual_mt.data.control_pieces import with_control_pieces
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.errors import CorpusError, MisuseError
from continual_mt.home import Home
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from ray_jobs import Driver
from ray_jobs.planning.job_from_record import recall
from ray_jobs.sequence import add_sequence
from registry import Lineage, ModuleRecord, Registry
from registry.analysis.history import History
from registry.analysis.summary import summarize
from tests.ray_jobs.conftest import ARCHITECTURE, Values

AdditionOf = Callable[..., AdditionSpec]
TAGS = ("de", "en", "es")
SIDES = tuple(ParentSide(tag, f"{tag}_XX", f"<{tag}>") for tag in TAGS)
LEXICAL: Values = {"scope": "embeddings", "training": {"updates": 0}, "initialisation": None}
FORMS = {
    "m2m": SentenceForm(("source language", "text", "end"), ("start", "target language", "text", "end")),
    "opus": SentenceForm(("target language", "text", "end")),
}


@pytest.fixture(scope="module")
def driver(django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Untrained parents with one vocabulary for all languages; ``apart`` has es as a source alone, de as a target."""
    text = [line for tag in TAGS for line in django_catalogs[tag]]
    table = with_control_pieces(train_tokenizer(lambda: text, 200), [str(side.token) for side in SIDES])
    architecture = Architecture(**ARCHITECTURE)
    names, sizes = parameter_names(architecture), {"source": table.size, "target": table.size}
    home = Home(tmp_path_factory.mktemp("many") / "home")
    Registry.open(home.path, create=True).close()
    with Driver(home, in_process=True) as opened:
        for seed, (name, form) in enumerate(FORMS.items()):
            tensors = initial_tensors(architecture, names, sizes, seed)
            parent = Parent(architecture, tensors, table, table, ParentLanguages(SIDES, SIDES), form)
            opened.registry.register_parent(name, parent, lineage=Lineage((), {}, "0.1.0"))
        apart = ParentLanguages(SIDES[1:], SIDES[:2])
        parent = Parent(architecture, tensors, table, table, apart, FORMS["m2m"])
        opened.registry.register_parent("apart", parent, lineage=Lineage((), {}, "0.1.0"))
        yield opened


def added(driver: Driver, spec: AdditionSpec) -> ModuleRecord:
    record = driver.add_language(spec).record
    assert isinstance(record, ModuleRecord)
    return record


@pytest.mark.parametrize("pair", ["pt-en", "es-pt"])
def test_embeddings_start_from_the_language_that_they_are_translated_to(
    driver: Driver, addition_spec: AdditionOf, pair: str
) -> None:
    """No text of the parent is needed: it has the other language on the end that is new, too."""
    record = added(driver, addition_spec(pair, LEXICAL, parent="m2m"))
    start = driver.registry.start_of(record)
    assert start is not None
    assert start["types"]["lexical"] > 100
    assert (record.initialisation, start["word_translations"]) == ("lexical", None)
    assert recall(driver.registry, record, driver.home.cache).digest == record.lineage.job


def test_codes_of_the_parent_are_tags(driver: Driver, addition_spec: AdditionOf) -> None:
    by_tag = driver.resolve(addition_spec("pt-en", LEXICAL, parent="m2m"))
    tests = addition_spec("pt-en").tests
    in_codes = addition_spec("pt-en", LEXICAL, parent="m2m").model_copy(
        update={"pair": "pt-en_XX", "tests": tuple(test.model_copy(update={"pair": "pt-en_XX"}) for test in tests)}
    )
    found = driver.resolve(in_codes)
    assert (str(found.pair), found.digest) == ("pt-en", by_tag.digest)
    assert [str(test.pair) for test in found.tests] == ["pt-en"]


def test_a_trained_language_goes_into_all_languages_of_the_parent(driver: Driver, addition_spec: AdditionOf) -> None:
    record = added(driver, addition_spec("pt-en", parent="m2m", scope="half", initialisation=None))
    for target in ("de", "en", "es"):
        model = driver.registry.assemble("pt", target, parent="m2m", modules=[record.full_name])
        assert model.target.tokenizer.pieces[model.target.tokenizer.before_target[-1]] == f"<{target}>"
        assert len(model.translate(["Abrir", "Fechar o arquivo"], beam=2)) == 2


@pytest.mark.parametrize("start", ["random", "shared"])
def test_a_new_source_has_the_tokens_of_the_targets(driver: Driver, addition_spec: AdditionOf, start: str) -> None:
    """Also those that it was not trained with: they start as the parent's, whatever else starts as noise."""
    changes: Values = {} if start == "random" else {"scope": "embeddings", "training": {"updates": 0}}
    record = added(driver, addition_spec("pt-en", changes, parent="opus", initialisation=start))
    module, parent = driver.registry.load_module(record.full_name), driver.registry.load_parent("opus")
    new, own = module.new_side.tokenizer, parent.source_tokenizer
    rows = [(new.number(f"<{tag}>"), own.number(f"<{tag}>")) for tag in ("de", "es")]
    for row, own_row in rows:
        found = module.tensors["source.embedding"][row]
        assert torch.equal(found, parent.tensors["source.embedding"][own_row])
    for target in TAGS:
        source = driver.registry.assemble(
            "pt", target, parent="opus", modules=[record.full_name], pivot=False
        ).source.tokenizer
        assert [source.pieces[number] for number in source.side_tokens.before] == [f"<{target}>"]


def test_text_of_the_parents_pair_can_be_given(
    driver: Driver,
    addition_spec: AdditionOf,
    parallel: Callable[[str, str], Values],
    untrained_home: Path,
    tmp_path: Path,
) -> None:
    """A parent of one pair whose text is not on record, as an imported one."""
    with Driver(Home(Path(shutil.copytree(untrained_home, tmp_path / "home"))), in_process=True) as other:
        with pytest.raises(
            CorpusError, match=r"its text is not on record. Fix: give such text with --init-text; or --init"
        ):
            other.resolve(addition_spec("pt-en", LEXICAL | {"initialisation": "lexical"}))
        text: dict[str, Any] = {"init_text": parallel("train", "es-en")}
        record = added(other, addition_spec("pt-en", LEXICAL, **text))
        assert record.initialisation == "lexical"
        assert [role for role, _ in record.lineage.corpora][-1] == "initialisation"
        start = other.registry.start_of(record)
        assert start is not None
        assert start["types"]["lexical"] > 100
        assert recall(other.registry, record, other.home.cache).digest == record.lineage.job
        without = other.resolve(addition_spec("pt-en", LEXICAL | {"initialisation": "shared"}))
        assert without.digest != record.lineage.job


@pytest.mark.parametrize(("pair", "given"), [("pt-de", "es-de"), ("es-pt", "es-en_XX")])
def test_text_of_one_of_the_parents_pairs_leads_to_it(
    driver: Driver, addition_spec: AdditionOf, parallel: Callable[[str, str], Values], pair: str, given: str
) -> None:
    """The parent does not have the other language on the end that is new."""
    text = {"pair": given, **parallel("train", given.removesuffix("_XX"))}
    record = added(driver, addition_spec(pair, LEXICAL, parent="apart", init_text=text))
    start = driver.registry.start_of(record)
    assert start is not None
    assert start["types"]["lexical"] > 100
    assert start["initialisation"] == "lexical"
    (corpus,) = [corpus for role, corpus in record.lineage.corpora if role == "initialisation"]
    assert str(corpus.pair) == given.removesuffix("_XX")
    assert recall(driver.registry, record, driver.home.cache).digest == record.lineage.job


def test_text_of_the_parents_languages_adds_to_what_the_addition_says(
    driver: Driver, addition_spec: AdditionOf, parallel: Callable[[str, str], Values]
) -> None:
    """The parent has the other language on both ends: word translations go to it, and through the text further."""
    text = {"pair": "de-en", **parallel("train", "de-en")}
    alone = driver.resolve(addition_spec("pt-en", LEXICAL, parent="m2m"))
    record = added(driver, addition_spec("pt-en", LEXICAL, parent="m2m", init_text=text))
    assert record.lineage.job != alone.digest
    without = added(driver, addition_spec("pt-en", LEXICAL, parent="m2m"))
    tables = [driver.registry.load_module(one.full_name).tensors["source.embedding"] for one in (without, record)]
    assert tables[0].shape == tables[1].shape
    assert not torch.equal(*tables)


@pytest.mark.parametrize(
    ("pair", "text", "message"),
    [
        (
            "pt-de",
            None,
            r"^the parent apart: its word translations cannot be counted: it has several pairs. Fix: give "
            r"text of one of its pairs with --init-text and --init-pair; or --init shared",
        ),
        (
            "pt-de",
            {},
            r"^--init-text: the pair of the text is not named; expected a pair of apart between de and its source "
            r"languages: en-de, es-de. Fix: name it with --init-pair \(init_text: {pair: …}\)$",
        ),
        ("pt-de", {"pair": "es-en"}, r"^--init-text: text of es-en; .*: en-de, es-de. Fix: give text of such a pair$"),
        (
            "es-pt",
            {"pair": "de-es"},
            r"text of de-es; .* between es and its target languages: es-de, es-en. Fix: name the pair es-de, and give "
            "its two files in that order$",
        ),
    ],
)
def test_text_that_does_not_lead_to_the_new_language_is_refused(
    driver: Driver,
    addition_spec: AdditionOf,
    parallel: Callable[[str, str], Values],
    pair: str,
    text: Values | None,
    message: str,
) -> None:
    given = {} if text is None else {"init_text": {**text, **parallel("train", "es-en")}}
    with pytest.raises(MisuseError, match=message):
        driver.resolve(addition_spec(pair, LEXICAL | {"initialisation": "lexical"}, parent="apart", **given))


def test_retention_is_measured_on_the_parents_pairs_that_have_tests(
    driver: Driver, addition_values: Callable[..., Values], parallel: Callable[[str, str], Values]
) -> None:
    first, second = (addition_values(pair, parent="m2m") for pair in ("pt-en", "es-pt"))
    own = [{"pair": pair, "name": "own", **parallel("test", pair)} for pair in ("de-en", "es-en")]
    unseen = {"pair": "pt-es", "name": "unseen", **parallel("test", "pt-es")}
    first["tests"] += [*own, unseen]
    values = {"name": "both", "parent": "m2m", "additions": [first, second]}
    add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=Path.cwd()))
    catalog = driver.registry.catalog
    (record,) = catalog.sequences("m2m")
    history = History.read(catalog, record)
    assert [str(pair) for pair in history.originals] == ["de-en", "es-en"]
    kinds = {str(cell.pair): cell.kind for cell in history.cells if cell.view == "routed" and cell.position == 2}
    assert kinds == {
        "de-en": "original",
        "es-en": "original",
        "pt-en": "supervised",
        "es-pt": "supervised",
        "pt-es": "zero-shot",
    }
    summary = summarize(catalog, history)
    views = {view.view: view for view in summary.views}
    unchanged, retention = views["routed"].unchanged, views["through"].retention
    assert unchanged is not None
    assert retention is not None
    assert [str(pair) for pair in retention.pairs] == ["de-en", "es-en"]
    assert unchanged.worst in (None, pytest.approx(100))  # an untrained parent may have 0 BLEU
    # pt into de and es; de and en into pt.
    assert [(count.supervised, count.zero_shot) for count in summary.coverage] == [(0, 0), (1, 2), (2, 4)]
