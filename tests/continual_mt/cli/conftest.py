"""A home with a tiny parent es-en, the modules pt-en and es-de, and scores; and the program, run in this process."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.cli.main import main
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE, TRACKING_VARIABLE
from continual_mt.languages import Pair
from registry import CorpusRecord, Lineage, Registry, ScoreRecord

VARIABLES = (HOME_VARIABLE, DATABASE_VARIABLE, BLOBS_VARIABLE, TRACKING_VARIABLE, "RAY_ADDRESS")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run each test in its own folder, without environment variables of the user."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Result(code, captured.out.decode(), captured.err.decode())

    return call


def score(registry: Registry, pair: str, metric: str, value: float, kind: str | None = None) -> ScoreRecord:
    recipe = registry.recipe_catalog.recipe(*pair.split("-"), kind=kind)
    return ScoreRecord.of(
        recipe,
        test="test",
        test_digest="d" * 64,
        metric=metric,
        value=value,
        copy_value=1.25,
        signature=f"{metric}|v",
        sentences=1012,
        beam=5,
    )


@pytest.fixture(scope="session")
def shared_home(parent: Parent, make_module: Callable[..., Module], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "home"
    corpus = CorpusRecord("c" * 64, Pair("es", "en"), "django", sentences=400, skipped=3, licence="BSD-3-Clause")
    lineage = Lineage(
        corpora=(("train", corpus),), spec={"seed": 1}, environment={"threads": 2}, code_version="0.1.0", run="run-7"
    )
    with Registry.open(folder, create=True) as registry:
        registry.register_parent("es-en", parent, lineage=lineage)
        registry.register_module("es-en", make_module("pt-en"), lineage=lineage)
        registry.register_module("es-en", make_module("es-de"), lineage=lineage)
        registry.register_scores(
            [
                score(registry, "es-en", "bleu", 30.04),
                score(registry, "es-en", "chrf", 55.5),
                score(registry, "pt-de", "bleu", 7.0),
                score(registry, "es-en", "bleu", 12.0, kind="retention:pt-en"),
            ]
        )
    return folder


@pytest.fixture
def home(shared_home: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(shared_home, tmp_path / "home"))


@pytest.fixture
def corpus_files(django_catalogs: dict[str, list[str]], tmp_path: Path) -> dict[str, Path]:
    """Twelve aligned sentences per language."""
    paths = {language: tmp_path / f"text.{language}" for language in django_catalogs}
    for language, path in paths.items():
        path.write_text("".join(f"{text}\n" for text in django_catalogs[language][:12]), encoding="utf-8")
    return paths


@pytest.fixture
def pivots(home: Path, make_module: Callable[..., Module]) -> Path:
    """The home with de-en, too, so that es-de and pt-de lead on into en."""
    with Registry.open(home) as registry:
        registry.register_module("es-en", make_module("de-en"), lineage=Lineage((), {}, "0.1.0"))
    return home
