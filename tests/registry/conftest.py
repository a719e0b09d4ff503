"""Real parts, made small: parents and modules of 16 dimensions with tokenizers trained on Django's catalogs.

What asks for a ``home`` runs twice: its records are in SQLite, and in a real PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from continual_mt.artifacts.module import Module
from continual_mt.artifacts.parent import Parent
from continual_mt.artifacts.stored.serialization import parameter_shapes
from continual_mt.data.tokenizer import Tokenizer
from continual_mt.data.tokenizer_training import train_tokenizer
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE
from continual_mt.languages import Pair
from continual_mt.model.architecture import Architecture, parameter_names
from continual_mt.model.scopes import Scope, trainable_names
from registry import CorpusRecord, Lineage, Registry
from registry.database.location import Location
from tests.registry.backends import Backend, InPostgreSQL, InSQLite
from tests.registry.server import Server

ARCHITECTURE = Architecture(
    width=16, heads=2, encoder_layers=1, decoder_layers=1, feed_forward=32, maximum_positions=64
)

VARIABLES = (HOME_VARIABLE, DATABASE_VARIABLE, BLOBS_VARIABLE)
# Imported once by the process that children are forked from, with PyTorch, which takes each child seconds otherwise.
PRELOADED = ("registry", "registry.maintenance.verify", "registry.maintenance.bundle.validate", "psycopg")

MakeParent = Callable[..., Parent]
MakeModule = Callable[..., Module]


@pytest.fixture(autouse=True, scope="session")
def _no_variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def tokenizers(django_catalogs: dict[str, list[str]]) -> dict[str, Tokenizer]:
    return {language: train_tokenizer(lambda text=text: text, 200) for language, text in django_catalogs.items()}


def random_tensors(names: tuple[str, ...], sizes: Mapping[str, int], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = parameter_shapes(ARCHITECTURE, sizes)
    return {name: torch.randn(shapes[name], generator=generator) / 8 for name in names}


@pytest.fixture(scope="session")
def make_parent(tokenizers: dict[str, Tokenizer]) -> MakeParent:
    def make(pair: str = "fr-en", seed: int = 0) -> Parent:
        languages = Pair.parse(pair)
        source, target = tokenizers[languages.source], tokenizers[languages.target]
        tensors = random_tensors(parameter_names(ARCHITECTURE), {"source": source.size, "target": target.size}, seed)
        return Parent.of_pair(languages, ARCHITECTURE, tensors, source, target)

    return make


@pytest.fixture(scope="session")
def make_module(tokenizers: dict[str, Tokenizer]) -> MakeModule:
    def make(parent: Parent, pair: str, scope: Scope = "xattn", seed: int = 1) -> Module:
        languages = Pair.parse(pair)
        side = parent.languages.new_side(languages)
        tokenizer = tokenizers[languages.language(side)]
        sizes = {"source": parent.source_tokenizer.size, "target": parent.target_tokenizer.size, side: tokenizer.size}
        tensors = random_tensors(trainable_names(ARCHITECTURE, scope, side), sizes, seed)
        return Module.of(parent, languages, scope, tensors, tokenizer)

    return make


@pytest.fixture(scope="session")
def parent(make_parent: MakeParent) -> Parent:
    return make_parent()


@pytest.fixture(scope="session")
def corpus() -> CorpusRecord:
    return CorpusRecord("c" * 64, Pair("de", "en"), "django", sentences=400, skipped=3, licence="BSD-3-Clause")


@pytest.fixture(scope="session")
def lineage(corpus: CorpusRecord) -> Lineage:
    return Lineage(corpora=(("train", corpus),), spec={"seed": 1, "rates": [0.1, 0.2]}, code_version="0.1.0")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        started = Server()
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
    yield started
    started.remove()


# What is not slow runs in SQLite alone, and needs no server.
@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest) -> Backend:
    return InSQLite() if request.param == "sqlite" else InPostgreSQL(request.getfixturevalue("server"))


@pytest.fixture
def home(backend: Backend, tmp_path: Path) -> Iterator[Path]:
    """Where a registry may be: ``Registry.open(home)`` takes the database from the variable, unless it is SQLite."""
    with backend.at(tmp_path / "home") as place:
        yield place
        backend.drop(place)


@pytest.fixture
def location(backend: Backend, home: Path) -> Location:
    """Where ``Database(location, create=True)`` makes a registry."""
    backend.create(home)
    return Location.resolve(home)


@pytest.fixture(scope="session")
def templates() -> dict[tuple[str, str], Path]:
    """Homes that tests copy, by content and backend. Each is made once, however often backends alternate."""
    return {}


@pytest.fixture(scope="session")
def empty_home(
    backend: Backend, templates: dict[tuple[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Made once and copied, which is faster than migrating a database for each test."""
    if made := templates.get(("empty", backend.name)):
        return made
    with backend.at(tmp_path_factory.mktemp("empty") / "home") as folder:
        backend.create(folder)
        Registry.open(folder, create=True).close()
        templates["empty", backend.name] = folder
        return folder


@pytest.fixture(scope="session")
def filled_home(
    backend: Backend,
    empty_home: Path,
    templates: dict[tuple[str, str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    parent: Parent,
    make_module: MakeModule,
    lineage: Lineage,
) -> Path:
    if made := templates.get(("filled", backend.name)):
        return made
    with backend.at(tmp_path_factory.mktemp("filled") / "home") as folder:
        backend.copy(empty_home, folder)
        with Registry.open(folder) as registry:
            registry.register_parent("base", parent, lineage=lineage)
            registry.register_module("base", make_module(parent, "de-en", seed=1), lineage=lineage)
            registry.register_module("base", make_module(parent, "fr-es", seed=2), lineage=lineage)
        templates["filled", backend.name] = folder
        return folder


@pytest.fixture
def registry(backend: Backend, empty_home: Path, home: Path) -> Iterator[Registry]:
    backend.copy(empty_home, home)
    with Registry.open(home) as opened:
        yield opened


@pytest.fixture
def filled(backend: Backend, filled_home: Path, home: Path) -> Iterator[Registry]:
    """A parent fr-en, a new source language (de-en) and a new target language (fr-es)."""
    backend.copy(filled_home, home)
    with Registry.open(home) as opened:
        yield opened


class Child:
    """Another process that runs Python text and may ``answers.send(...)``; forked from one that has imported all."""

    def __init__(self, text: str, names: Mapping[str, object]) -> None:
        context = get_context("forkserver")
        variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        text = f"import os\nos.environ.update({variables!r})\n{text}"  # a server that forks has its own
        context.set_forkserver_preload(list(PRELOADED))
        self._answers, answers = context.Pipe(duplex=False)
        self.process = context.Process(target=exec, args=(text, {"answers": answers, **names}))
        self.process.start()
        answers.close()

    def exit_code(self) -> int | None:
        self.process.join(60)
        return self.process.exitcode

    def answers(self) -> list[object]:
        """All that the process sent, when it has ended well."""
        received = self.received()
        assert self.exit_code() == 0
        return received

    def received(self) -> list[object]:
        """All that the process sent until it ended, however it did."""
        received = []
        with suppress(EOFError):
            while True:
                received.append(self._answers.recv())
        return received

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.process.close()
        self._answers.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Child]]:
    """``start(text, name=value, ...)`` gives a `Child`; it is killed at the end of the test."""
    children: list[Child] = []

    def run(text: str, **names: object) -> Child:
        children.append(Child(text, names))
        return children[-1]

    yield run
    for child in children:
        child.end()
