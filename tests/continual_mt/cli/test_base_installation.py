"""The wheel, in an environment that holds what ``pip install continual-mt`` brings, and no package of an extra.

The environment is a real one, with its own interpreter. Our wheel is built and installed into it by pip; what the wheel
requires, and what that requires, is linked from the environment that runs the tests, instead of fetched again.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from continual_mt.cli.main import app
from continual_mt.home import DEFAULT_HOME, HOME_VARIABLE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("continual_mt", "registry", "ray_jobs", "dashboards")
ABSENT = ("ctranslate2", "dash", "plotly", "polib", "transformers")  # matplotlib and flask come with MLflow

# All commands in one process: importing PyTorch takes seconds.
RUN_ALL = """
import importlib.util, io, json, sys
from continual_mt.cli.main import main

results = []
for words in json.loads(sys.argv[1]):
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code, texts = main(words), []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    results.append([code, *texts])
found = [name for name in sys.argv[2:] if importlib.util.find_spec(name)]
json.dump({"results": results, "found": found}, sys.__stdout__)
"""
WORK = (
    ("pairs",),
    ("doctor",),
    ("registry", "verify"),
    ("align", "pt", "es", "--lexicon", "lexicon.tsv"),
    ("translate", "pt-de", "--beam", "1", "--input", "text"),
    ("export", "pt-de", "exported", "--format", "hf", "--json"),
    (
        *("add", "es-de", "--in-process", "--train", "text.es", "text.de", "--dev", "text.es", "text.de"),
        *("--set", "training.updates=1", "--set", "training.validate_every=1", "--set", "vocabulary=150"),
        *("--set", "training.development_sentences=2", "--set", "beam=1", "--set", "resources.cpus=1"),
    ),
)
REFUSED = {
    ("report", "out.html"): ("the report", "dashboard"),
    ("dashboard",): ("the page", "dashboard"),
    ("align", "pt", "es", "--lexicon", "lexicon.tsv", "--map", "map.png"): ("--map", "dashboard"),
    ("export", "pt-de", "other", "--format", "mlflow"): ("--format mlflow", "fast"),
    ("demo",): ("reading the embedded catalogs", "demo"),
}


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every verb and group."""
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from verbs(below, (*words, name))


HELP = [(*words, "--help") for words in verbs(get_command(app))]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: the build leaves its own folders beside the code."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(target), str(source)]
    subprocess.run(pip, check=True, env=_environment())
    (built,) = target.glob("*.whl")
    return built


def _environment(**variables: str) -> dict[str, str]:
    left_out = ("PYTHONPATH", "PYTHONHOME", HOME_VARIABLE)
    return {name: value for name, value in os.environ.items() if name not in left_out} | variables


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environment's programs."""
    return _installed(wheel, PROJECT["dependencies"], tmp_path_factory.mktemp("base"))


def _installed(wheel: Path, requirements: list[str], folder: Path) -> Path:
    """Make an environment of the wheel and what is required; returns the folder of its programs."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    _link(_required(requirements), site)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, env=_environment())
    return folder / "bin"


def _required(requirements: list[str]) -> set[str]:
    """The names of all distributions that the requirements bring, theirs among them."""
    waiting, seen = [(Requirement(text), "") for text in requirements], set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            found = canonicalize_name(requirement.name), wanted
            if found not in seen:
                seen.add(found)
                theirs = importlib.metadata.distribution(requirement.name).requires or []
                waiting += [(Requirement(text), wanted) for text in theirs]
    return {name for name, _ in seen}


def _link(names: set[str], site: Path) -> None:
    """Link what the distributions installed into ``site``: a folder as a whole where it belongs to one of them."""
    tops: dict[str, set[str]] = {}
    files: dict[str, list[Path]] = {}
    for distribution in importlib.metadata.distributions():
        name = canonicalize_name(distribution.name)
        for file in distribution.files or []:
            if ".." not in file.parts:
                tops.setdefault(file.parts[0], set()).add(name)
                files.setdefault(name, []).append(Path(file))
    places = {name: Path(str(importlib.metadata.distribution(name).locate_file(""))) for name in names}
    for name in names:
        for file in set(files[name]):
            top = file.parts[0]
            part = Path(top) if tops[top] <= names and len(tops[top]) == 1 else file
            if not (site / part).exists():
                (site / part).parent.mkdir(parents=True, exist_ok=True)
                (site / part).symlink_to(places[name] / part)


def test_the_wheel_has_code_migrations_and_markers_of_types_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist()}
    ours = {file.relative_to(ROOT) for file in _files()}
    assert {file for file in held if not file.parts[0].endswith(".dist-info")} == ours
    assert {Path(name, "py.typed") for name in PACKAGES} <= held
    assert any(file.match("registry/database/migrations/versions/*_first_tables.py") for file in held)


def _files() -> Iterator[Path]:
    for name in PACKAGES:
        yield from (file for file in (ROOT / name).rglob("*") if file.is_file() and "__pycache__" not in file.parts)


@pytest.fixture(scope="module")
def answers(
    base: Path, shared_home: Path, django_text_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Answer]:
    """What each command does there, and under ``()`` which packages of the extras it finds."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copytree(shared_home, folder / DEFAULT_HOME)
    (folder / "text").write_text("Adicionar\n")
    for path in django_text_files.values():
        shutil.copy(path, folder)
    (folder / "lexicon.tsv").write_text("nome\tnombre\n")
    commands = [*HELP, *WORK, *REFUSED]
    program = [str(base / "python"), "-c", RUN_ALL, json.dumps(commands), *ABSENT]
    done = subprocess.run(program, capture_output=True, text=True, cwd=folder, env=_environment(), check=False)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    found = {words: Answer(*result) for words, result in zip(commands, printed["results"], strict=True)}
    return found | {(): Answer(0, " ".join(printed["found"]), "")}


def test_packages_of_extras_are_absent(answers: dict[tuple[str, ...], Answer]) -> None:
    assert answers[()].out == ""


def test_the_program_that_pip_installs_starts(base: Path) -> None:
    """Its version is the project's."""
    program = [str(base / "continual-mt"), "--version"]
    done = subprocess.run(program, capture_output=True, text=True, env=_environment(), check=False)
    assert (done.stdout, done.stderr) == (f"continual-mt {PROJECT['version']}\n", "")


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_every_verb_has_its_help(answers: dict[tuple[str, ...], Answer], words: tuple[str, ...]) -> None:
    assert answers[words].code == 0, answers[words].err
    assert "Usage: continual-mt" in answers[words].out


@pytest.mark.parametrize("words", WORK, ids=" ".join)
def test_a_verb_of_the_base_works(answers: dict[tuple[str, ...], Answer], words: tuple[str, ...]) -> None:
    assert answers[words].code == 0, answers[words].err
    assert answers[words].out


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_verb_that_needs_more_names_the_extra(answers: dict[tuple[str, ...], Answer], words: tuple[str, ...]) -> None:
    (subject, extra), found = REFUSED[words], answers[words]
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: {subject} needs the extra '{extra}' (")
    assert found.err.endswith(f"not installed). Fix: pip install 'continual-mt[{extra}]'\n")
    assert found.err.count("\n") == 1


def test_doctor_works_without_ray_and_mlflow(wheel: Path, tmp_path: Path) -> None:
    """What is not configured is then no problem; what is, is one."""
    requirements = [text for text in PROJECT["dependencies"] if not text.startswith(("ray", "mlflow"))]
    program = [str(_installed(wheel, requirements, tmp_path / "lean") / "continual-mt"), "doctor", "--json"]

    def run(**variables: str) -> tuple[int, dict[str, Any]]:
        environment = _environment(**variables)
        done = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    code, found = run()
    assert (code, found["problems"]) == (0, [])
    assert (found["versions"]["ray"], found["versions"]["mlflow"]) == (None, None)
    assert found["versions"]["torch"] is not None
    refused = {usage["work"]: usage["refused"] for usage in found["used"]}
    assert refused["training"] == "Ray: not installed: train with --in-process"
    assert refused["training with --in-process"] is None
    code, found = run(RAY_ADDRESS="host:6379", MLFLOW_TRACKING_URI="http://host:5000")
    assert code == 1
    assert [problem.partition(". Fix: ")[0] for problem in found["problems"]] == [
        "Ray: jobs use the cluster at host:6379, but Ray is not installed",
        "MLflow: MLFLOW_TRACKING_URI is set, but MLflow is not installed",
    ]
