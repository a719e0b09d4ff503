"""The registry and the bundle that revision 9be9dec wrote: see README.md in this folder."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE
from registry import Registry

FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True, scope="session")
def _no_variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in (HOME_VARIABLE, DATABASE_VARIABLE, BLOBS_VARIABLE):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As many as the logits were computed with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """The home as revision 9be9dec left it."""
    with lzma.open(FOLDER / "home.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def upgraded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    with lzma.open(FOLDER / "home.tar.xz") as packed, tarfile.open(fileobj=packed) as archive:
        archive.extractall(folder, filter="data")
    Registry.open(folder / "home", upgrade=True).close()
    return folder / "home"


@pytest.fixture
def golden(upgraded_home: Path) -> Iterator[Registry]:
    """The upgraded registry, to be read only."""
    with Registry.open(upgraded_home) as opened:
        yield opened


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.tar"
    with gzip.open(FOLDER / "bundle.tar.gz") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return path


@pytest.fixture(scope="session")
def corpora(django_catalogs: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training and development text that the golden registry was trained on, under the names in its specs."""
    folder = tmp_path_factory.mktemp("texts") / "corpora"
    folder.mkdir()
    for language, sentences in django_catalogs.items():
        for name, part in (("dev", sentences[:10]), ("train", sentences[10:])):
            (folder / f"{name}.{language}").write_text("".join(f"{text}\n" for text in part), encoding="utf-8")
    return folder.parent
