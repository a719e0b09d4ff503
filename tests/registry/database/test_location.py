from pathlib import Path

import pytest

from continual_mt.errors import RegistryError, SpecError
from continual_mt.home import BLOBS_VARIABLE, DATABASE_VARIABLE, HOME_VARIABLE
from registry.database.location import Location


def test_an_argument_beats_the_variable_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location.resolve().name == str(tmp_path / "continual-mt-home/registry.db")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "variable"))
    assert Location.resolve().name == str(tmp_path / "variable/registry.db")
    assert Location.resolve(tmp_path / "argument").name == str(tmp_path / "argument/registry.db")
    assert Location.resolve("argument").name == str(tmp_path / "argument/registry.db")
    assert list(tmp_path.iterdir()) == []


def test_the_variables_of_database_and_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"sqlite:///{tmp_path}/records.db")
    monkeypatch.setenv(BLOBS_VARIABLE, str(tmp_path / "elsewhere"))
    location = Location.resolve(tmp_path / "home")
    assert location.name == str(tmp_path / "records.db")
    assert location.blobs == str(tmp_path / "elsewhere")
    assert location.cache == tmp_path / "home/cache/blobs"


def test_a_database_url_keeps_its_blobs_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    location = Location.resolve("sqlite:///here/records.db")
    assert location.name == str(tmp_path / "here/records.db")
    assert location.blobs == str(tmp_path / "here/blobs")
    assert location.cache == tmp_path / "here/cache/blobs"


@pytest.mark.parametrize("folder", ["a?b", "a#b", "100%", "a b", "ü:x"])
def test_a_home_may_have_any_name(tmp_path: Path, folder: str) -> None:
    assert Location.resolve(tmp_path / folder).name == str(tmp_path / folder / "registry.db")


def test_blobs_are_named_relative_when_they_move_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Location.resolve(tmp_path / "home")
    assert inside.blobs_setting() == "blobs"
    assert inside.blobs_from("blobs") == str(tmp_path / "home/blobs")
    monkeypatch.setenv(BLOBS_VARIABLE, str(tmp_path / "outside"))
    outside = Location.resolve(tmp_path / "home")
    assert outside.blobs_setting() == str(tmp_path / "outside")
    assert outside.blobs_from(str(tmp_path / "outside")) == str(tmp_path / "outside")


def test_the_blobs_of_a_server_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    location = Location.resolve("postgresql+psycopg://me:secret@host/records")
    assert location.blobs_setting() == str(tmp_path / "blobs")
    assert location.blobs_from(str(tmp_path / "blobs")) == str(tmp_path / "blobs")


@pytest.mark.parametrize("records", ["home", "postgresql+psycopg://host/records"])
def test_blobs_at_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(BLOBS_VARIABLE, "s3://bucket/blobs/")
    location = Location.resolve(records)
    assert location.blobs_setting() == "s3://bucket/blobs"
    assert location.blobs_from("s3://bucket/blobs") == "s3://bucket/blobs"
    with pytest.raises(RegistryError, match=f"keeps its blobs in s3://other, but {BLOBS_VARIABLE} says s3://bucket"):
        location.blobs_from("s3://other")


def test_blobs_are_never_found_at_a_url_with_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BLOBS_VARIABLE, "s3://me:secret@bucket/blobs")
    with pytest.raises(SpecError, match="the URL holds a password or secret key") as caught:
        Location.resolve(tmp_path)
    assert "me:secret" not in str(caught.value)


def test_a_variable_that_contradicts_the_registry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = Location.resolve(tmp_path)
    monkeypatch.setenv(BLOBS_VARIABLE, "/elsewhere")
    with pytest.raises(
        RegistryError, match=f"keeps its blobs in {tmp_path}/blobs, but {BLOBS_VARIABLE} says /elsewhere"
    ):
        location.blobs_from("blobs")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_registry_in_memory_is_refused(url: str) -> None:
    with pytest.raises(RegistryError, match="names no file, so the records would be lost at exit"):
        Location.resolve(url)


def test_passwords_are_not_shown() -> None:
    assert Location.resolve("postgresql+psycopg://me:secret@host/records").name == (
        "postgresql+psycopg://me:***@host/records"
    )
    assert Location.resolve("postgresql+psycopg://me@host/records?password=secret&sslmode=require").name == (
        "postgresql+psycopg://me:***@host/records"
    )
    place = Location.resolve("postgresql+psycopg://me@host/records?sslpassword=hidden&options=-cfoo%3Dcovert")
    assert place.name == "postgresql+psycopg://me@host/records"
    assert place.without_secrets("no hidden, no covert") == "no ***, no ***"
    with pytest.raises(RegistryError, match=r"has several '@': in a password write %40") as caught:
        Location.resolve("postgresql+psycopg://me:half@secret/of@host/records")
    assert "secret" not in str(caught.value)
    with pytest.raises(RegistryError) as caught:
        Location.resolve("postgresql://me:secret@host:port/records")
    assert "the database URL cannot be read" in str(caught.value)
    assert "secret" not in str(caught.value)
