"""Real jobs, made small: tiny models on Django's catalogs, most of them trained in the process of the tests.

What needs Ray shares one cluster. Drivers that a test kills run as programs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A token of our own, set before Ray is imported, so that no test touches the one in the user's home.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

import pytest

from continual_mt.artifacts.parent import Parent
from continual_mt.config.loading import validate
from continual_mt.config.spec import AdditionSpec, ParentSpec, SequenceSpec, merge
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE, TRACKING_VARIABLE, Home
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.initial_values import initial_tensors
from ray_jobs.cluster import connection
from ray_jobs.driver import Driver
from ray_jobs.entrypoint import INSIDE_JOB_VARIABLE
from ray_jobs.execution.job import Outcome
from ray_jobs.planning.resolve import ResolvedJob
from ray_jobs.planning.stored import StoredParent
from ray_jobs.planning.tokenizers import tokenizers
from ray_jobs.planning.training_task import TrainingTask
from ray_jobs.sequence import add_sequence
from ray_jobs.tracking.mlflow_tracker import Tracker
from registry import Lineage, Registry
from tests.ray_jobs.heads import Head, started_head
from tests.ray_jobs.programs import Program, Values

DEV, TEST = 10, 6
JOINT_PAIRS = ("es-en", "en-es", "es-pt")
ValuesOf = Callable[..., Values]

TRAINING: Values = {
    "updates": 8,
    "batch_tokens": 384,
    "accumulate": 2,
    "learning_rate": 0.003,
    "warmup": 2,
    "validate_every": 4,
    "development_sentences": 4,
    "precision": "float32",
}
ARCHITECTURE: Values = {
    "width": 32,
    "heads": 2,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "feed_forward": 64,
    "maximum_positions": 40,
}


@pytest.fixture(autouse=True, scope="session")
def _no_variables() -> Iterator[None]:
    variables = (
        HOME_VARIABLE,
        DATABASE_VARIABLE,
        BLOBS_VARIABLE,
        TRACKING_VARIABLE,
        "RAY_ADDRESS",
        INSIDE_JOB_VARIABLE,
    )
    with pytest.MonkeyPatch.context() as patch:
        for variable in variables:
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def corpora(django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of train, dev and test files, ``train.es`` and so on, aligned over all languages."""
    folder = tmp_path_factory.mktemp("corpora")
    for language, sentences in django_catalogs.items():
        parts = {"dev": sentences[:DEV], "test": sentences[DEV : DEV + TEST], "train": sentences[DEV + TEST :]}
        for name, part in parts.items():
            (folder / f"{name}.{language}").write_text("".join(f"{text}\n" for text in part), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def parallel(corpora: Path) -> Callable[[str, str], Values]:
    """The corpus of a role and a pair, as a spec names it: ``parallel("train", "es-en")``."""

    def files(role: str, pair: str) -> Values:
        source, target = pair.split("-")
        return {"source": str(corpora / f"{role}.{source}"), "target": str(corpora / f"{role}.{target}")}

    return files


@pytest.fixture(scope="session")
def addition_values(parallel: Callable[[str, str], Values]) -> ValuesOf:
    """The keys of an addition's spec: ``addition_values("pt-en", {"training": {"updates": 4}}, seed=2)``."""

    def values(pair: str, changes: Mapping[str, Any] | None = None, **more: Any) -> Values:
        base = {
            "pair": pair,
            "parent": "es-en",
            "train": parallel("train", pair),
            "dev": parallel("dev", pair),
            "tests": [{"pair": pair, **parallel("test", pair)}],
            "training": TRAINING,
            "vocabulary": 150,
            "beam": 1,
            "resources": {"cpus": 1},
            "scope": "xattn",
            "initialisation": "random",
        }
        return merge(merge(base, changes or {}), more)

    return values


@pytest.fixture(scope="session")
def parent_values(addition_values: ValuesOf) -> ValuesOf:
    """The same of the parent es-en."""

    def values(changes: Mapping[str, Any] | None = None, **more: Any) -> Values:
        base = addition_values("es-en")
        for key in ("parent", "scope", "initialisation"):
            del base[key]
        base |= {"name": "es-en", "architecture": ARCHITECTURE, "vocabulary": {"source": 160, "target": 170}}
        return merge(merge(base, changes or {}), more)

    return values


@pytest.fixture(scope="session")
def joint_values(parent_values: ValuesOf, addition_values: ValuesOf, corpora: Path) -> ValuesOf:
    """The keys of a parent of three pairs, of which es-pt has little text."""
    for language in ("es", "pt"):
        lines = (corpora / f"train.{language}").read_text(encoding="utf-8").splitlines(keepends=True)
        (corpora / f"few.{language}").write_text("".join(lines[:40]), encoding="utf-8")

    def values(changes: Mapping[str, Any] | None = None, **more: Any) -> Values:
        pairs = [{key: addition_values(pair)[key] for key in ("pair", "train", "dev")} for pair in JOINT_PAIRS]
        pairs[2]["train"] = {end: str(corpora / f"few.{tag}") for end, tag in (("source", "es"), ("target", "pt"))}
        base = parent_values() | {"name": "joint", "pairs": pairs}
        base["tests"] = [test for pair in JOINT_PAIRS for test in addition_values(pair)["tests"]]
        for key in ("pair", "train", "dev"):
            del base[key]
        return merge(merge(base, changes or {}), more)

    return values


@pytest.fixture(scope="session")
def joint_spec(joint_values: ValuesOf) -> Callable[..., ParentSpec]:
    return lambda *given, **more: validate(ParentSpec, joint_values(*given, **more), origin="the test", base=Path.cwd())


@pytest.fixture(scope="session")
def own_spec(joint_spec: Callable[..., ParentSpec]) -> Callable[..., ParentSpec]:
    """The parent of three pairs, each of whose languages has its own vocabulary."""
    usual = {"name": "apart", "vocabularies": "own", "vocabulary": {"source": 140, "target": 150}}
    return lambda *given, **more: joint_spec(*given, **{**usual, **more})


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of MLflow in a home, which takes seconds to make; tests copy it."""
    home = Home(tmp_path_factory.mktemp("template"))
    assert Tracker(home, print).start(None, experiment="Another parent", name="pt-en", tags={}) is not None
    return home.path / "mlflow.db"


@pytest.fixture(scope="session")
def untrained_home(django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an untrained parent es-en, for tests that need no Ray. Tests copy it."""
    source, target = (train_tokenizer(lambda name=name: django_catalogs[name], 160) for name in ("es", "en"))  # type: ignore[misc]
    architecture = Architecture(**ARCHITECTURE)
    sizes = {"source": source.size, "target": target.size}
    tensors = initial_tensors(architecture, parameter_names(architecture), sizes, seed=1)
    parent = Parent.of_pair(Pair("es", "en"), architecture, tensors, source, target)
    home = tmp_path_factory.mktemp("untrained") / "home"
    with Registry.open(home, create=True) as registry:
        registry.register_parent("es-en", parent, lineage=Lineage(corpora=(), spec={}, code_version="0.1.0"))
    return home


@pytest.fixture
def registry(untrained_home: Path, tmp_path: Path) -> Iterator[Registry]:
    with Registry.open(Path(shutil.copytree(untrained_home, tmp_path / "home"))) as opened:
        yield opened


@pytest.fixture(scope="session")
def addition_spec(addition_values: ValuesOf) -> Callable[..., AdditionSpec]:
    """The same as a checked spec."""
    return lambda *given, **more: validate(
        AdditionSpec, addition_values(*given, **more), origin="the test", base=Path.cwd()
    )


@pytest.fixture(scope="session")
def parent_spec(parent_values: ValuesOf) -> Callable[..., ParentSpec]:
    return lambda *given, **more: validate(
        ParentSpec, parent_values(*given, **more), origin="the test", base=Path.cwd()
    )


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with closing(socket.socket()) as listener:
            listener.bind((connection.LOOPBACK, 0))
            return int(listener.getsockname()[1])

    return find


@pytest.fixture
def make_task(registry: Registry, tmp_path: Path) -> Callable[[ResolvedJob], TrainingTask]:
    """The training task of a parent, or of an addition to the untrained parent, for one worker with one thread."""

    def make(job: ResolvedJob) -> TrainingTask:
        parent = StoredParent.of(registry, job.parent) if job.parent else None
        source, target = tokenizers(job, parent, tmp_path)
        return TrainingTask.of(job, parent, source, target, threads=1, cache=tmp_path)

    return make


@pytest.fixture(scope="session")
def ray_program() -> Path:
    """Ray's command line, of this environment."""
    return Path(sys.executable).with_name("ray")


@pytest.fixture(scope="session")
def head(ray_program: Path, free_port: Callable[[], int]) -> Iterator[Head]:
    """Shared by all tests."""
    with started_head(ray_program, free_port(), free_port()) as started:
        yield started


@pytest.fixture(scope="session")
def ray_cluster(head: Head) -> Iterator[Head]:
    """This process connected to the shared cluster: every Driver of a test that is on Ray uses the connection."""
    with connection.connected(head.address):
        yield head


@pytest.fixture(scope="session")
def trained_home(
    parent_spec: Callable[..., ParentSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """A home with the parent es-en, trained in the process, and what its driver returned. Tests copy it."""
    home = tmp_path_factory.mktemp("trained") / "home"
    with Driver(Home(home), in_process=True) as driver:
        outcome = driver.train_parent(parent_spec())
    return home, outcome


@pytest.fixture
def home(trained_home: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the home with the trained parent."""
    return Path(shutil.copytree(trained_home[0], tmp_path / "home"))


@pytest.fixture(scope="session")
def sequence_spec(addition_values: ValuesOf, parallel: Callable[[str, str], Values]) -> Callable[..., SequenceSpec]:
    """Adds pt-en (a new source), then es-de (a new target), with a test set for pt-de, which is never trained."""

    def spec(name: str = "both", **changes: Any) -> SequenceSpec:
        target = addition_values("es-de")
        target["tests"].append({"pair": "pt-de", "name": "zero", **parallel("test", "pt-de")})
        values = {"name": name, "parent": "es-en", "additions": [addition_values("pt-en"), target]}
        return validate(SequenceSpec, values | changes, origin="the test", base=Path.cwd())

    return spec


@dataclass(frozen=True)
class TrainedSequence:
    """A home in which the sequence ``both`` was trained in the process, and what its driver returned."""

    home: Path
    spec: SequenceSpec
    outcomes: list[Outcome]
    logits_before: str
    """The digest of the original pair's logits before the additions."""


@pytest.fixture(scope="session")
def trained_sequence(
    trained_home: tuple[Path, Outcome],
    sequence_spec: Callable[..., SequenceSpec],
    corpora: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedSequence:
    """Shared by all tests that only read it; others copy its home."""
    home = Path(shutil.copytree(trained_home[0], tmp_path_factory.mktemp("sequence") / "home"))
    before, spec = logits_digest(home, corpora), sequence_spec()
    with Driver(Home(home), in_process=True) as driver:
        outcomes = add_sequence(driver, spec)
    return TrainedSequence(home, spec, outcomes, before)


def logits_digest(home: Path, corpora: Path) -> str:
    """The digest of the original pair's float32 logits on fixed sentences, computed by a separate process."""
    program = """
import sys
from pathlib import Path
import torch
from registry import Registry
torch.set_num_threads(1)
sources, references = (Path(name).read_text(encoding="utf-8").splitlines() for name in sys.argv[2:])
with Registry.open(sys.argv[1]) as registry:
    print(registry.assemble("es", "en", recipe="original").logits_digest(sources, references))
"""
    command = [sys.executable, "-c", program, str(home), str(corpora / "test.es"), str(corpora / "test.en")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


StartProgram = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartProgram]:
    """``start("add_language", values, home)`` gives a `Program`; it is killed at the end of the test."""
    programs: list[Program] = []

    def run(name: str, values: Values, home: Path, words: Sequence[str] = (), **options: Any) -> Program:
        programs.append(Program(name, values, home, tmp_path / f"program-{len(programs)}", words, **options))
        return programs[-1]

    yield run
    for program in programs:
        program.end()
