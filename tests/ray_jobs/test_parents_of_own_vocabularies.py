"""A parent trained on several pairs, each language with its own vocabulary: resumed, done again, and extended."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.artifacts.parent import Parent
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.errors import MisuseError
from continual_mt.home import Home
from continual_mt.languages import Pair
from ray_jobs import Driver, Outcome, add_sequence
from ray_jobs.execution import local_backend
from ray_jobs.execution.backend import Share
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.execution.local_backend import LocalBackend
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.reproduction.reproduce import reproduce
from registry import ParentRecord, Registry
from registry.maintenance.verify import verify

Values = dict[str, Any]
OWN = ("en-es", "es-en", "es-pt")


@pytest.fixture(scope="module")
def own_home(
    own_spec: Callable[..., ParentSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome, list[str]]:
    """A home with the parent, what its driver returned, and what it said."""
    home, said = tmp_path_factory.mktemp("own") / "home", list[str]()
    with Driver(Home(home), in_process=True) as driver:
        driver.display.say = said.append  # type: ignore[method-assign]
        return home, driver.train_parent(own_spec()), said


@pytest.fixture
def home(own_home: tuple[Path, Outcome, list[str]], tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(own_home[0], tmp_path / "own")))


def test_its_pairs_are_scored_and_its_vocabularies_recorded(own_home: tuple[Path, Outcome, list[str]]) -> None:
    home, outcome, said = own_home
    assert (outcome.name, outcome.trained_now) == ("apart", True)
    assert [str(one.recipe) for one in outcome.evaluations] == [
        f"original {pair}: source apart:{pair[:2]}, xattn apart, target apart:{pair[3:]}" for pair in OWN
    ]
    assert any(
        line.endswith("140 source en, 140 source es, 150 target en, 150 target es, 150 target pt types")
        for line in said
    )
    assert sum("parent apart: development text, target pt" in line for line in said) == 1
    assert outcome.record.to_json()["vocabularies"] == "own"
    assert outcome.record.lineage.spec["vocabularies"] == "own"
    with Registry.open(home) as registry:
        # English into Portuguese was not trained, and is one of its pairs.
        assert {str(entry.pair) for entry in registry.pairs()} == {*OWN, "en-pt"}
        assert verify(registry, set_aside=False, fingerprints=True).problems == ()
        parent = registry.load_parent()
        translations = registry.assemble("en", "pt").translate(["Add a file."])
    assert isinstance(translations[0], str)
    assert {part: table.size for part, table in parent.tokenizers.items()} == {
        **dict.fromkeys(("source.en", "source.es"), 140),
        **dict.fromkeys(("target.en", "target.es", "target.pt"), 150),
    }
    # No sentence needs a token of its language.
    source, target = parent.sides(Pair("es", "pt"))
    assert (source.tokenizer.before_source, target.tokenizer.before_target) == ((), (target.tokenizer.start,))


def test_the_key_is_part_of_the_identity_only_where_it_is_own(
    own_spec: Callable[..., ParentSpec], joint_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    own, shared = (resolve(spec(), None, tmp_path).identity for spec in (own_spec, joint_spec))
    assert own["vocabularies"] == "own"
    assert "vocabularies" not in shared
    assert "vocabularies" not in joint_spec().model_dump(mode="json")


def test_the_same_spec_only_reports_and_the_record_is_done_again_bit_for_bit(
    home: Home, own_spec: Callable[..., ParentSpec]
) -> None:
    with Driver(home, in_process=True) as driver:
        assert not driver.train_parent(own_spec()).trained_now
        found = reproduce(driver, driver.registry.parent())
    assert found.verdict == "bit for bit"
    assert found.tokenizers == dict.fromkeys(("source.en", "source.es", "target.en", "target.es", "target.pt"), True)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_training_on_ray_gives_the_same_and_two_workers_nearly(
    own_home: tuple[Path, Outcome, list[str]], own_spec: Callable[..., ParentSpec], tmp_path: Path
) -> None:
    with Driver(Home(tmp_path / "ray")) as driver:
        record = driver.train_parent(own_spec()).record
    first = own_home[1].record
    assert isinstance(record, ParentRecord)
    assert isinstance(first, ParentRecord)
    assert record.fingerprint == first.fingerprint
    with Driver(Home(tmp_path / "two")) as driver:
        driver.train_parent(own_spec({"training": {"dropout": 0.0}, "resources": {"workers": 2}}))
        two = driver.registry.load_parent()
    with Driver(Home(tmp_path / "one"), in_process=True) as driver:
        driver.train_parent(own_spec({"training": {"dropout": 0.0}}))
        one = driver.registry.load_parent()
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], tensor, atol=1e-4, rtol=1e-3)


def test_a_stopped_training_goes_on_bit_for_bit(
    own_spec: Callable[..., ParentSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make_task(resolve(own_spec(), None, tmp_path))

    def trained(name: str, stop_at: int | None = None) -> RunCheckpoints:
        checkpoints, stop = RunCheckpoints(str(tmp_path), name), threading.Event()
        training = LocalBackend().start(task, checkpoints, Share(1, 1, 0), 0, lambda update: None)
        updates = 0

        def stopping(self: object) -> bool:
            nonlocal updates
            updates += 1
            return updates == stop_at

        monkeypatch.setattr(local_backend.LocalTraining, "stopping", stopping)
        training.poll(stop, 0)
        return checkpoints

    assert trained("stopped", stop_at=3).update() == 3
    resumed, whole = trained("stopped").finished(), trained("whole").finished()
    assert resumed.progress == whole.progress
    assert all(torch.equal(resumed.best[name], tensor) for name, tensor in whole.best.items())


def test_new_languages_go_into_and_come_from_all_of_its_languages(
    home: Home, addition_values: Callable[..., Values], parallel: Callable[[str, str], Values]
) -> None:
    """A sequence of a new source and a new target; retention is measured on the parent's pairs that have tests."""
    source, target = (addition_values(pair, parent="apart", training={"updates": 2}) for pair in ("de-en", "es-de"))
    source["tests"] += [{"pair": pair, **parallel("test", pair)} for pair in ("de-es", "de-pt")]
    target["tests"].append({"pair": "en-de", **parallel("test", "en-de")})
    values = {"name": "both", "parent": "apart", "additions": [source, target]}
    with Driver(home, in_process=True) as driver:
        outcomes = add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=home.path))
        registry = driver.registry
        kinds = {str(entry.pair): entry.kind for entry in registry.pairs(pivot=False)}
        own = dict.fromkeys((*OWN, "en-pt"), "original")
        zero_shot = dict.fromkeys(("de-es", "de-pt", "en-de"), "zero-shot")
        assert kinds == own | {"de-en": "supervised", "es-de": "supervised"} | zero_shot
        scored = [{(one.recipe.kind, str(one.recipe.pair)) for one in outcome.evaluations} for outcome in outcomes]
        retained = {("retention", pair) for pair in OWN}
        assert scored[0] == {("supervised", "de-en"), ("zero-shot", "de-es"), ("zero-shot", "de-pt")} | retained
        assert scored[1] == {("supervised", "es-de"), ("zero-shot", "en-de")} | retained
        (sequence,) = registry.catalog.sequences("apart")
        cells = [cell for cell in registry.catalog.cells(sequence.digest) if cell.position == 2]
        # What was there before did not change by a bit.
        assert all(cell.carried for cell in cells if (cell.view, cell.kind) == ("routed", "original"))
        assert reproduce(driver, registry.module("de-en")).verdict == "bit for bit"
        tables = registry.assemble("de", "pt", pivot=False).transformer.state_dict()
        parent, module = registry.load_parent(), registry.load_module("de-en")
    assert tables["target.bias"].data_ptr() == parent.tensors["target.pt.bias"].data_ptr()
    assert tables["source.embedding"].data_ptr() == module.tensors["source.embedding"].data_ptr()
    assert "target.embedding" not in module.tensors


@pytest.mark.parametrize("scope", ["embeddings", "half", "half-lora:rank=2", "adapter:size=4", "body", "scratch"])
def test_every_scope_adds_to_it(home: Home, addition_spec: Callable[..., AdditionSpec], scope: str) -> None:
    spec = addition_spec("de-en", {"training": {"updates": 1}}, parent="apart", scope=scope)
    with Driver(home, in_process=True) as driver:
        outcome = driver.add_language(spec)
        expected = {"supervised"} | ({"retention"} if scope not in ("embeddings", "scratch") else set())
        assert {one.recipe.kind for one in outcome.evaluations if str(one.recipe.pair) != "en-pt"} >= expected
        model = driver.registry.assemble("de", "en")
        module, parent = driver.registry.load_module("de-en"), driver.registry.load_parent()
    sizes = len(model.transformer.source.embedding), len(model.transformer.target.embedding)
    assert sizes == (module.new_side.tokenizer.size, parent.tokenizer("target", "en").size)
    is_from_parent = model.transformer.target.bias.data_ptr() == parent.tensors["target.en.bias"].data_ptr()
    assert is_from_parent == (scope != "scratch")


def side(parent: Parent, language: str) -> torch.Tensor:
    return parent.tensors[f"source.{language}.embedding"]


@pytest.mark.parametrize(
    ("pair", "changes", "language"),
    [
        ("de-en", {}, "es"),  # the parent was trained to translate it into English
        ("de-es", {}, "en"),
        ("de-es", {"init_language": "es"}, "es"),  # Spanish is a source of the parent, too
        ("de-en", {"init_text": {"pair": "es-en"}}, "es"),
        ("de-en", {"initialisation": "shared"}, "en"),
        ("de-pt", {"initialisation": None}, None),  # Portuguese is no source
    ],
)
def test_embeddings_start_from_the_table_of_a_language(
    home: Home,
    addition_spec: Callable[..., AdditionSpec],
    parallel: Callable[[str, str], Values],
    pair: str,
    changes: Values,
    language: str | None,
) -> None:
    values = {"initialisation": "lexical", "parent": "apart", "scope": "embeddings", "tests": []} | changes
    if "init_text" in values:
        values["init_text"] = {**values["init_text"], **parallel("train", "es-en")}
    spec = addition_spec(pair, {"training": {"updates": 0}}, **values)
    with Driver(home, in_process=True) as driver:
        outcome = driver.add_language(spec)
        registry = driver.registry
        parent, module = registry.load_parent(), registry.load_module(outcome.name)
        start = registry.start_of(registry.module(outcome.name))
        assert reproduce(driver, registry.module(outcome.name)).verdict == "bit for bit"
    assert start is not None
    assert start["types"]["noise"] < sum(start["types"].values()) / 2
    # The end of a sentence starts as that of the language's own table.
    new = module.new_side.tokenizer
    if language is None:  # then the vocabulary with the most pieces in common
        common = {tag: {*new.pieces} & {*parent.tokenizer("source", tag).pieces} for tag in ("en", "es")}
        language = max(common, key=lambda tag: len(common[tag]))
    own = parent.tokenizer("source", language)
    ends = module.tensors["source.embedding"][new.end], side(parent, language)[own.end]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {},
            r"its word translations cannot be counted: it has several pairs\. Fix: give text of one of its pairs with",
        ),
        (
            {"lexicon": "words.tsv"},
            r"--lexicon: each language of apart has its own embeddings, and nothing tells to which of en, es the "
            r"lexicon leads\. Fix: name it with --init-language; or give text of a pair of that language, too, with "
            "--init-text and --init-pair",
        ),
    ],
)
def test_a_lexical_start_without_a_language_is_refused_before_work_starts(
    home: Home,
    addition_spec: Callable[..., AdditionSpec],
    tmp_path: Path,
    changes: dict[str, str],
    message: str,
) -> None:
    (tmp_path / "words.tsv").write_text("Datei\tfile\nnicht\tnot\n", encoding="utf-8")
    paths = {key: str(tmp_path / name) for key, name in changes.items()}
    spec = addition_spec("de-pt", parent="apart", initialisation="lexical", tests=[], **paths)
    with Driver(home, in_process=True) as driver:
        with pytest.raises(MisuseError, match=message):
            driver.add_language(spec)
        assert driver.registry.modules() == []


def test_additions_to_it_are_replayed_and_it_is_left_out(
    home: Home, addition_spec: Callable[..., AdditionSpec]
) -> None:
    additions = tuple(
        addition_spec(pair, {"training": {"updates": 2}}, parent="apart", tests=[]) for pair in ("de-en", "es-de")
    )
    spec = SequenceSpec(name="replaying", parent="apart", mode="shared", replay=0.5, additions=additions)
    said: list[str] = []
    with Driver(home, in_process=True) as driver:
        driver.display.say = said.append  # type: ignore[method-assign]
        outcomes = add_sequence(driver, spec)
        assert "the parent apart has several pairs: only additions are replayed" in said
        assert any("of the batches are replayed: de-en" in line for line in said)
        assert [outcome.record.lineage.replay for outcome in outcomes] == [None, 0.5]
        assert reproduce(driver, outcomes[1].record).verdict == "bit for bit"
