"""Additions that back-translate: text without a translation, in both directions of the method, by what exists."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from continual_mt.cli.main import main
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec
from continual_mt.data.back_translation import TAG
from continual_mt.errors import ContinualMTError, CorpusError, IncompatibleError, StoppedError, UnknownNameError
from continual_mt.home import Home
from ray_jobs import Driver, add_sequence
from ray_jobs.execution import back_translating
from ray_jobs.planning.job_from_record import recall
from ray_jobs.reproduction.reproduce import reproduce
from registry import ModuleRecord, Registry
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle
from registry.maintenance.verify import verify
from tests.ray_jobs.heads import Head
from tests.ray_jobs.interrupting import Interrupting

pytestmark = pytest.mark.slow

Values = dict[str, Any]
AdditionOf = Callable[..., AdditionSpec]
FEW: Values = {"training": {"updates": 4, "validate_every": 2}, "scope": "half"}
MANY: Values = {"training": {"updates": 100, "validate_every": 100, "learning_rate": 0.01}, "scope": "half"}
"""Enough to translate into something, however wrong."""
LONG = 1000.0
"""A ratio of lengths that keeps whatever such a model writes."""


@pytest.fixture(scope="module")
def standing(untrained_home: Path, addition_spec: AdditionOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which pt-de can be run, as a zero-shot recipe, and de is a source, too."""
    home = Path(shutil.copytree(untrained_home, tmp_path_factory.mktemp("standing") / "home"))
    with Driver(Home(home), in_process=True) as driver:
        for pair, training in (("pt-en", MANY), ("es-de", MANY), ("de-en", FEW)):
            driver.add_language(addition_spec(pair, training))
    return home


@pytest.fixture
def home(standing: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(standing, tmp_path / "home")))


@pytest.fixture
def driver(home: Home) -> Iterator[Driver]:
    with Driver(home, in_process=True) as opened:
        yield opened


def first_lines(corpora: Path, language: str, folder: Path) -> Path:
    """40 sentences, of which one is there twice, and a blank line."""
    lines = (corpora / f"train.{language}").read_text(encoding="utf-8").splitlines()[:40]
    path = folder / f"more.{language}"
    path.write_text("".join(f"{line}\n" for line in [*lines, lines[0], " "]), encoding="utf-8")
    return path


@pytest.fixture
def text(corpora: Path, tmp_path: Path) -> Path:
    return first_lines(corpora, "pt", tmp_path)


def back(text: Path, /, **more: Any) -> Values:
    return {"back_translation": {"maximum_ratio": LONG, "text": str(text), **more}}


def made(driver: Driver, spec: AdditionSpec) -> ModuleRecord:
    record = driver.add_language(spec).record
    assert isinstance(record, ModuleRecord)
    return record


def translators(module: ModuleRecord) -> list[str | None]:
    return [one.module for one in module.lineage.named("translated-by")]


@pytest.mark.parametrize("new", ["target", "source"])
def test_both_directions(
    driver: Driver, addition_spec: AdditionOf, text: Path, new: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """pt is a new target beside the source de, or de a new source beside the target pt."""
    if new == "source":
        driver.registry.annotations.delete("de-en:1")
        driver.add_language(addition_spec("es-pt", FEW))
    job = driver.resolve(addition_spec("de-pt", FEW, **back(text)))
    module = driver.run(job).record
    assert isinstance(module, ModuleRecord)
    assert module.side == new
    messages = capfd.readouterr().err
    assert messages.count("40 lines of more.pt were translated by zero-shot pt-de") == 1
    assert "40 back-translations of more.pt are kept\n" in messages
    assert "50% of the batches are back-translations" in messages
    (tokenizer,) = (side.tokenizer for side in driver.registry.load_module(module.full_name).new_sides.values())
    assert tokenizer.number(TAG) == tokenizer.size - 1
    texts = [(role, corpus.name, corpus.sentences) for role, corpus in module.lineage.corpora]
    assert texts[:2] == [("train", "train.de + train.pt", 219), ("train", "back-translations of more.pt", 40)]
    assert texts[4:] == [("monolingual", "more.pt", 41)]
    spec = module.lineage.spec
    assert spec["monolingual"] == (str(text) if new == "target" else None)  # text of the new language
    assert translators(module) == ["es-en/pt-en:1", "es-en/es-de:1"]
    assert {one.recipe for one in module.lineage.named("translated-by")} == {spec["back_translation"]["recipe"]}  # type: ignore[index, call-overload]
    assert recall(driver.registry, module, driver.home.cache).digest == job.digest
    run = MlflowClient(tracking_uri=driver.home.tracking).get_run(module.lineage.run or "")
    assert run.data.metrics["back_translation/kept"] == 40
    assert run.data.params["back_translated_by"].startswith("zero-shot pt-de")


def test_an_interrupted_job_continues_and_gives_the_same(
    home: Home, addition_spec: AdditionOf, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_translating, "PART_LINES", 10)
    spec = addition_spec("de-pt", FEW, **back(text))
    other = Home(Path(shutil.copytree(home.path, tmp_path / "other")))
    with Driver(other, in_process=True) as driver:
        whole = made(driver, spec)

    def parts() -> dict[str, int]:
        """When each was written."""
        found = (home.cache / back_translating.FOLDER).glob("*/*.txt")
        return {path.name: path.stat().st_mtime_ns for path in sorted(found)}

    problem = "stopped while text was back-translated; start the same job again"
    with (
        pytest.raises(StoppedError, match=problem),
        Driver(home, in_process=True, display=Interrupting()) as driver,
    ):
        driver.add_language(spec)
    first = parts()
    assert list(first) == ["000000.txt", "000001.txt"]
    with (
        pytest.raises(StoppedError, match=r"stopped at update 2; a checkpoint was written"),
        Driver(home, in_process=True, display=Interrupting(update=2)) as driver,
    ):
        driver.add_language(spec)
    assert list(all_parts := parts()) == [f"{number:06}.txt" for number in range(4)]
    assert first.items() <= all_parts.items()
    with Driver(home, in_process=True) as driver:
        continued = made(driver, spec)
        assert driver.add_language(spec).trained_now is False
    assert parts() == all_parts
    assert continued.digest == whole.digest
    assert continued.lineage.corpora == whole.lineage.corpora


def test_a_damaged_part_is_translated_again(
    driver: Driver, addition_spec: AdditionOf, text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    module = made(driver, addition_spec("de-pt", FEW, **back(text)))
    (part,) = (driver.home.cache / back_translating.FOLDER).glob("*/000000.txt")
    part.write_text("cut", encoding="utf-8")
    shutil.rmtree(next(part.parent.glob("kept-*")))
    capfd.readouterr()
    again = made(driver, addition_spec("de-pt", FEW, seed=2, **back(text)))
    assert "were translated by" in capfd.readouterr().err
    assert again.lineage.corpora[1] == module.lineage.corpora[1]


def test_every_setting_decides_the_identity_and_a_named_recipe_is_the_chosen_one(
    driver: Driver, addition_spec: AdditionOf, text: Path, corpora: Path
) -> None:
    def digest(**more: Any) -> str:
        return driver.resolve(addition_spec("de-pt", FEW, **back(text, **more))).digest

    driver.add_language(addition_spec("pt-de", {**FEW, "scope": "xattn"}))
    other = str(corpora / "dev.pt")
    changes: list[Values] = [{"share": 0.4}, {"tag": False}, {"beam": 2}, {"maximum_ratio": 2.0}]
    changes += [{"check_language": True}, {"text": other}, {"recipe": "zero-shot"}, {}]
    digests = [digest(**change) for change in changes]
    digests.append(driver.resolve(addition_spec("de-pt", FEW)).digest)
    assert len(set(digests)) == len(digests)
    chosen = driver.registry.recipe_catalog.recipe("pt", "de")
    named = [{"recipe": "pt-de:1"}, {"recipe": chosen.digest[:12]}, {"parent": "es-en"}]
    assert {digest(**one) for one in named} == {digest()}


def test_what_it_was_translated_by_is_held_carried_and_reproduced(
    driver: Driver, addition_spec: AdditionOf, text: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The text is restored from noise, too, since pt is a source already."""
    module = made(
        driver,
        addition_spec(
            "de-pt", FEW, **back(text, share=0.4, licence="CC0"), denoising={"text": str(text), "licence": "CC0"}
        ),
    )
    messages = capfd.readouterr().err
    assert "40% of the batches are back-translations" in messages
    assert "20% of the batches are noised sentences" in messages
    licences = {corpus.name: corpus.licence for _, corpus in module.lineage.corpora}
    assert (licences["back-translations of more.pt"], licences["more.pt"]) == ("CC0", "CC0")
    assert [one.role for one in module.lineage.inputs] == ["rests-on", *["translated-by"] * 2, "trained-through"]
    registry = driver.registry
    with pytest.raises(ContinualMTError, match=r"es-de:1.*was trained on its translations"):
        registry.annotations.delete("es-de:1")
    found = reproduce(driver, module)
    assert found.verdict == "bit for bit"
    rows = {one.name: one for one in found.surroundings}
    row = rows["back-translations of more.pt"]
    assert (row.recorded, row.now) == (module.lineage.corpora[1][1].digest[:12],) * 2
    assert rows["job"].recorded == rows["job"].now
    assert verify(registry).problems == ()
    export(registry, ["de-pt:1", "pt-en:1", "es-de:1"], tmp_path / "bundle.tar.gz")
    with Registry.open(tmp_path / "imported", create=True) as other:
        import_bundle(other, tmp_path / "bundle.tar.gz")
        imported = other.module("de-pt:1")
    assert imported.lineage.inputs == module.lineage.inputs
    assert imported.lineage.corpora == module.lineage.corpora
    text.write_text("Outro texto.\n", encoding="utf-8")
    with pytest.raises(ContinualMTError, match=r"the monolingual file more.pt was not found as it was"):
        recall(registry, module, driver.home.cache)


def test_ray_trains_on_the_same_text(
    home: Home, addition_spec: AdditionOf, text: Path, ray_cluster: Head, tmp_path: Path
) -> None:
    spec = addition_spec("de-pt", FEW, **back(text), denoising={})
    found = []
    for in_process in (True, False):
        copy = Home(Path(shutil.copytree(home.path, tmp_path / str(in_process))))
        with Driver(copy, in_process=in_process) as driver:
            found.append(made(driver, spec))
    assert found[0].digest == found[1].digest
    assert found[0].lineage.corpora == found[1].lineage.corpora


def test_rounds_are_additions_that_name_each_other(
    driver: Driver, addition_spec: AdditionOf, corpora: Path, tmp_path: Path
) -> None:
    texts = {language: first_lines(corpora, language, tmp_path) for language in ("pt", "de")}
    used: list[tuple[str, list[str | None]]] = []
    for pair, asked in (
        ("de-pt", {"recipe": "zero-shot"}),
        ("pt-de", {"recipe": "de-pt:1", "tag": False}),  # both sides exist: a bridge
        ("de-pt", {"recipe": "pt-de:1"}),
    ):
        training = FEW if len(used) == 2 else MANY
        scope = "xattn" if pair == "pt-de" else "half"
        spec = addition_spec(pair, {**training, "scope": scope}, **back(texts[pair[-2:]], **asked))
        module = made(driver, spec)
        used.append((module.full_name, translators(module)))
        assert driver.add_language(spec).trained_now is False
    assert used == [
        ("es-en/de-pt:1", ["es-en/pt-en:1", "es-en/es-de:1"]),
        ("es-en/pt-de:1", ["es-en/de-en:1", "es-en/de-pt:1"]),
        ("es-en/de-pt:2", ["es-en/pt-en:1", "es-en/pt-de:1", "es-en/es-de:1"]),
    ]


def test_a_parent_of_the_other_direction_translates_in_a_sequence_too(
    home: Home,
    parent_spec: Callable[..., ParentSpec],
    addition_values: Callable[..., Values],
    parallel: Callable[[str, str], Values],
    text: Path,
) -> None:
    """es-pt is added to es-en; only the parent pt-es translates from pt into es."""
    pairs: Values = {"pair": "pt-es", "train": parallel("train", "pt-es"), "dev": parallel("dev", "pt-es"), "tests": []}
    addition = addition_values("es-pt", {**FEW, **back(text)})
    values = {"name": "one", "parent": "es-en", "additions": [addition]}
    spec = validate(SequenceSpec, values, origin="the test", base=Path.cwd())
    with Driver(home, in_process=True) as driver:
        with pytest.raises(
            UnknownNameError, match=r"no recipe translates pt-es, so that text in pt has no way into es"
        ):
            add_sequence(driver, spec)
        for name, training in (("pt-es", MANY), ("other", FEW)):
            driver.train_parent(parent_spec(pairs, name=name, training=training["training"]))
        with pytest.raises(
            UnknownNameError, match=r"several parents translate pt-es: other, pt-es. Fix: .*parent=NAME"
        ):
            add_sequence(driver, spec)
        addition["back_translation"]["parent"] = "pt-es"
        (outcome,) = add_sequence(driver, validate(SequenceSpec, values, origin="the test", base=Path.cwd()))
        assert isinstance(outcome.record, ModuleRecord)
        assert translators(outcome.record) == ["pt-es"]
        with pytest.raises(ContinualMTError, match=r"es-pt:1.*was trained on its translations"):
            driver.registry.annotations.delete("pt-es")


def test_a_pivot_translates(driver: Driver, addition_spec: AdditionOf, text: Path) -> None:
    driver.add_language(addition_spec("en-de", FEW))
    job = driver.resolve(addition_spec("de-pt", FEW, **back(text, recipe="pivot:pt-en+en-de")))
    assert job.back_translation is not None
    assert job.back_translation.recipe.kind == "pivot"
    assert [one.module for one in job.back_translation.inputs] == [
        "es-en/pt-en:1",
        "es-en/en-de:1",
        "es-en/es-de:1",
    ]


@pytest.mark.parametrize(
    ("pair", "asked", "problem"),
    [
        ("es-pt", {}, r"no recipe translates pt-es, .* \(unknown pair 'pt-es'.*\). Fix: train pt-es first"),
        ("de-pt", {"recipe": "supervised"}, r"no recipe translates pt-de, .*has no supervised recipe"),
        ("de-pt", {"parent": "none"}, r"unknown parent 'none'"),
        ("de-pt", {"recipe": "12345678"}, r"unknown recipe 12345678"),
        ("pt-de", {"recipe": "de-en:1"}, r"de-en:1 was trained on de-en"),
        ("de-pt", {"check_language": True, "text": "blank"}, r"blank: no text; expected sentences, one per line"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    driver: Driver, addition_spec: AdditionOf, text: Path, tmp_path: Path, pair: str, asked: Values, problem: str
) -> None:
    (tmp_path / "blank").write_text("\n \n")
    if asked.get("text"):
        asked = {**asked, "text": str(tmp_path / "blank")}
    with pytest.raises((CorpusError, IncompatibleError, UnknownNameError), match=problem):
        driver.resolve(addition_spec(pair, FEW, **back(text, **asked)))
    assert driver.registry.jobs.records() == []


def test_a_bridge_has_no_tag_and_a_digest_is_of_the_opposite_pair(
    driver: Driver, addition_spec: AdditionOf, text: Path
) -> None:
    driver.add_language(addition_spec("es-pt", FEW))
    bridge = addition_spec("de-pt", {**FEW, "scope": "xattn"}, **back(text))
    with pytest.raises(IncompatibleError, match=r"tag: a bridge has no new vocabulary .* Fix: --set .*tag=false"):
        driver.resolve(bridge)
    driver.registry.assemble("pt", "en")
    other = driver.registry.recipe_catalog.recipe("pt", "en").digest
    with pytest.raises(IncompatibleError, match=rf"{other[:12]} translates pt-en; expected a recipe of pt-de"):
        driver.resolve(addition_spec("de-pt", {**FEW, "scope": "xattn"}, **back(text, recipe=other, tag=False)))


def test_text_that_changed_or_of_which_nothing_is_left_ends_the_job(
    driver: Driver, addition_spec: AdditionOf, text: Path
) -> None:
    with pytest.raises(CorpusError, match=r"no back-translation can be trained on: .* too long or too short"):
        driver.add_language(addition_spec("de-pt", FEW, **back(text, maximum_ratio=1.0001)))
    job = driver.resolve(addition_spec("de-pt", FEW, **back(text)))
    text.write_text("Outro texto.\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"more.pt: the text changed after it was inspected. Fix: start again"):
        driver.run(job)


def test_the_command_line_names_the_text(
    home: Home, corpora: Path, text: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [str(corpora / f"{role}.{language}") for role in ("train", "dev") for language in ("es", "pt")]
    words = ["add", "es-pt", "--train", *files[:2], "--dev", *files[2:], "--back-translate", str(text), "--in-process"]
    assert main([*words, "--set", "back_translation.share=0.2", "--home", str(home.path)]) == 2
    assert "back_translation: no recipe translates pt-es" in capfd.readouterr().err
    assert main([*words, "--updates", "0", "--home", str(home.path)]) == 2
    problem = "back_translation: nothing is trained on it with training.updates 0. Fix: leave out one of the two"
    assert problem in capfd.readouterr().err
