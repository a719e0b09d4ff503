from __future__ import annotations

import re
from pathlib import Path

import pytest

from continual_mt.errors import InputError
from continual_mt.home import (
    BLOBS_VARIABLE,
    DATABASE_VARIABLE,
    HOME_VARIABLE,
    TRACKING_VARIABLE,
    Home,
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (HOME_VARIABLE, DATABASE_VARIABLE, BLOBS_VARIABLE, TRACKING_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_precedence_of_argument_variable_and_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Home.resolve().path == tmp_path / "continual-mt-home"
    monkeypatch.setenv(HOME_VARIABLE, "/srv/home")
    assert Home.resolve().path == Path("/srv/home")
    assert Home.resolve("elsewhere").path == tmp_path / "elsewhere"
    assert Home.resolve(Path("/other")).path == Path("/other")
    monkeypatch.setenv(HOME_VARIABLE, "")
    assert Home.resolve().path == tmp_path / "continual-mt-home"


def test_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.resolve("~/mt").path == tmp_path / "mt"


def test_a_current_folder_that_was_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Home.resolve("/other").path == Path("/other")
    message = "home: the current folder was deleted; expected an existing one. Fix: change to another folder ('cd')"
    with pytest.raises(InputError, match=re.escape(message)):
        Home.resolve("home")


def test_locations_in_the_home(tmp_path: Path) -> None:
    home = Home.resolve()
    root = tmp_path / "continual-mt-home"
    assert home.database == f"sqlite:///{root}/registry.db"
    assert home.tracking == f"sqlite:///{root}/mlflow.db"
    assert (home.blobs, home.artifacts, home.cache, home.jobs) == (
        str(root / "blobs"),
        root / "mlflow-artifacts",
        root / "cache",
        root / "jobs",
    )


def test_variables_override_locations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://somewhere/registry")
    monkeypatch.setenv(BLOBS_VARIABLE, "blobs-elsewhere")
    monkeypatch.setenv(TRACKING_VARIABLE, "http://mlflow:5000")
    home = Home.resolve()
    assert home.database == "postgresql://somewhere/registry"
    assert home.blobs == str(tmp_path / "blobs-elsewhere")
    assert home.tracking == "http://mlflow:5000"
    monkeypatch.setenv(BLOBS_VARIABLE, "s3://bucket/blobs")
    assert home.blobs == "s3://bucket/blobs"


def test_nothing_is_created(tmp_path: Path) -> None:
    home = Home.resolve()
    assert home.database
    assert home.blobs
    assert list(tmp_path.iterdir()) == []


def test_a_url_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for url in ("s3://bucket/home", "s3:bucket"):
        with pytest.raises(InputError, match="is a URL; expected a local path"):
            Home.resolve(url)
    assert Home.resolve(tmp_path / "s3:bucket").path == tmp_path / "s3:bucket"
    monkeypatch.setenv(BLOBS_VARIABLE, "s3:bucket/blobs")
    with pytest.raises(
        InputError,
        match=r"CONTINUAL_MT_BLOBS: malformed URL s3:bucket/blobs; expected a folder, or a URL such as s3://",
    ):
        _ = Home.resolve().blobs


def test_a_file_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "registry.db"
    file.touch()
    with pytest.raises(
        InputError, match=f"^{re.escape(str(file))}: is a file; expected the home folder, which contains registry"
    ):
        Home.resolve(file)
