"""Additions that restore noised text of the new language, through a frozen side of it that exists already."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from continual_mt.cli.main import main
from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.errors import ContinualMTError, CorpusError, IncompatibleError, SpecError, StoppedError
from continual_mt.home import Home
from ray_jobs import Driver
from ray_jobs.planning.job_from_record import recall
from ray_jobs.reproduction.reproduce import reproduce
from registry import ModuleRecord
from tests.ray_jobs.interrupting import Interrupting

pytestmark = pytest.mark.slow

Values = dict[str, Any]
AdditionOf = Callable[..., AdditionSpec]
FEW: Values = {"training": {"updates": 4, "validate_every": 2}, "scope": "half"}


@pytest.fixture(scope="module")
def standing(untrained_home: Path, addition_spec: AdditionOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which pt is a source and de is a target."""
    home = Path(shutil.copytree(untrained_home, tmp_path_factory.mktemp("standing") / "home"))
    with Driver(Home(home), in_process=True) as driver:
        for pair in ("pt-en", "es-de"):
            driver.add_language(addition_spec(pair, FEW))
    return home


@pytest.fixture
def home(standing: Path, tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(standing, tmp_path / "home")))


@pytest.fixture
def driver(home: Home) -> Iterator[Driver]:
    with Driver(home, in_process=True) as opened:
        yield opened


@pytest.fixture
def texts(corpora: Path, tmp_path: Path) -> dict[str, str]:
    """A file of a language's sentences, by language; copies, which tests may change."""
    return {one: str(shutil.copy(corpora / f"test.{one}", tmp_path / f"more.{one}")) for one in ("pt", "de")}


def made(driver: Driver, spec: AdditionSpec) -> ModuleRecord:
    record = driver.add_language(spec).record
    assert isinstance(record, ModuleRecord)
    return record


@pytest.mark.parametrize(
    ("pair", "new", "scope", "through"),
    [
        ("es-pt", "target", "half", "es-en/pt-en:1"),
        ("es-pt", "target", "half-lora:rank=2", "es-en/pt-en:1"),
        ("de-en", "source", "half", "es-en/es-de:1"),
        ("de-en", "source", "xattn", "es-en/es-de:1"),
        ("de-en", "source", "embeddings", "es-en/es-de:1"),
    ],
)
def test_both_directions(
    driver: Driver,
    addition_spec: AdditionOf,
    texts: dict[str, str],
    pair: str,
    new: str,
    scope: str,
    through: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    registry, language = driver.registry, "pt" if pair == "es-pt" else "de"
    before = {name: registry.load_module(name).digest for name in ("pt-en:1", "es-de:1")}
    plain = addition_spec(pair, {**FEW, "scope": scope}, monolingual=texts[language])
    job = driver.resolve(addition_spec(pair, {**FEW, "scope": scope}, monolingual=texts[language], denoising={}))
    module = driver.run(job).record
    assert isinstance(module, ModuleRecord)
    assert module.side == new
    assert "20% of the batches are noised sentences" in capfd.readouterr().err
    (used,) = module.lineage.named("trained-through")
    assert (used.module, used.digest) == (through, before[through.partition("/")[2]])
    assert [corpus.name for role, corpus in module.lineage.corpora if role == "monolingual"] == [f"more.{language}"]
    assert module.lineage.spec["denoising"] == {
        **{"text": texts[language], "licence": None, "through": through, "share": 0.2, "drop": 0.1, "distance": 3}
    }
    assert recall(registry, module, driver.home.cache).digest == job.digest
    assert made(driver, plain).digest != module.digest  # it was trained on it
    with pytest.raises(ContinualMTError, match=r"was trained through it"):
        registry.annotations.delete(through)


def test_an_interrupted_job_continues_and_is_reproduced(
    home: Home, addition_spec: AdditionOf, texts: dict[str, str]
) -> None:
    spec = addition_spec("es-pt", FEW, denoising={"text": texts["pt"], "share": 0.5, "drop": 0.3})
    with (
        pytest.raises(StoppedError, match=r"stopped at update 2; a checkpoint was written"),
        Driver(home, in_process=True, display=Interrupting(update=2)) as driver,
    ):
        driver.add_language(spec)
    with Driver(home, in_process=True) as driver:
        continued = made(driver, spec)
        assert continued.lineage.spec["monolingual"] == texts["pt"]  # text of the new language trains its tokenizer
        assert reproduce(driver, continued).verdict == "bit for bit"
        Path(texts["pt"]).write_text("Outro texto.\n", encoding="utf-8")
        with pytest.raises(SpecError, match=r"the monolingual file more.pt was not found as it was"):
            recall(driver.registry, continued, driver.home.cache)


def test_the_own_side_of_a_parent(
    home: Home, joint_spec: Callable[..., ParentSpec], addition_spec: AdditionOf, texts: dict[str, str]
) -> None:
    """The parent translates into pt; pt-en is a new source beside it."""
    with Driver(home, in_process=True) as driver:
        driver.train_parent(joint_spec(training=FEW["training"]))
        spec = addition_spec("pt-en", FEW, parent="joint", denoising={"text": texts["pt"]})
        module = made(driver, spec)
        assert module.lineage.named("trained-through") == ()
        assert recall(driver.registry, module, driver.home.cache).denoising is not None


def test_every_setting_decides_the_identity(driver: Driver, addition_spec: AdditionOf, texts: dict[str, str]) -> None:
    changes: list[Values] = [{"share": 0.3}, {"drop": 0.2}, {"distance": 0}, {}]
    specs = [addition_spec("es-pt", FEW, monolingual=texts["pt"], denoising=change) for change in changes]
    specs.append(addition_spec("es-pt", FEW, monolingual=texts["pt"]))
    specs.append(addition_spec("es-pt", FEW, monolingual=texts["pt"], denoising={"text": texts["de"]}))
    assert len({driver.resolve(spec).digest for spec in specs}) == len(specs)
    named = addition_spec("es-pt", FEW, monolingual=texts["pt"], denoising={"through": "pt-en:1"})
    assert driver.resolve(named).digest == driver.resolve(specs[3]).digest


@pytest.mark.parametrize(
    ("pair", "change", "problem"),
    [
        ("es-fr", {}, r"no encoder reads fr: neither es-en nor its modules have it as a source, .* Fix: add a pair"),
        ("fr-en", {}, r"no decoder writes fr: neither es-en nor its modules have it as a target"),
        ("es-pt", {"scope": "body"}, r"the scope body also trains the half .* expected one of embeddings, xattn"),
        (
            "es-pt",
            {"denoising": {"through": "es-de:1"}},
            r"es-de:1, .* is no module of es-en that brings pt as a source",
        ),
        ("es-pt", {"monolingual": None}, r"no text of the new language is given. Fix: give it with --monolingual"),
        ("pt-de", {"scope": "xattn"}, r"denoising: a bridge has no new language. Fix: leave it out"),
        ("de-pt", {"scope": "xattn", "both_new": True}, r"denoising: it needs a side of one new language"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    driver: Driver, addition_spec: AdditionOf, texts: dict[str, str], pair: str, change: Values, problem: str
) -> None:
    values = {**FEW, "monolingual": texts["pt"], "denoising": {}, **change}
    with pytest.raises((IncompatibleError, SpecError), match=problem):
        driver.resolve(addition_spec(pair, values))


def test_text_that_changed_ends_the_job(driver: Driver, addition_spec: AdditionOf, texts: dict[str, str]) -> None:
    job = driver.resolve(addition_spec("es-pt", FEW, monolingual=texts["pt"], denoising={}))
    Path(texts["pt"]).write_text("Outro texto.\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"more.pt: the text changed after it was inspected. Fix: start again"):
        driver.run(job)


def test_the_command_line(home: Home, corpora: Path, texts: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    files = [str(corpora / f"{role}.{language}") for role in ("train", "dev") for language in ("es", "fr")]
    words = ["add", "es-fr", "--train", *files[:2], "--dev", *files[2:], "--denoise", "--in-process"]
    assert main([*words, "--monolingual", texts["pt"], "--home", str(home.path)]) == 2
    assert "denoising: no encoder reads fr" in capfd.readouterr().err
    share = ["--set", "denoising.share=0.5", "--back-translate", texts["pt"]]
    assert main([*words, *share, "--home", str(home.path)]) == 2
    assert "denoising: share 0.5 and that of back_translation, 0.5, leave no batches" in capfd.readouterr().err
