from __future__ import annotations

import errno
from pathlib import Path

import pytest

from continual_mt.errors import InputError, StorageError
from continual_mt.interchange.export_folder import DESCRIPTION, check_destination, written_folder


def write(folder: Path, text: str, *, force: bool = False) -> None:
    with written_folder(folder, force=force) as content:
        (content / DESCRIPTION).write_text("{}", encoding="utf-8")
        (content / "weights").write_text(text, encoding="utf-8")


def fill_disk(folder: Path) -> None:
    with written_folder(folder, force=True) as content:
        (content / "weights").write_text("half", encoding="utf-8")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_new_and_an_empty_folder_are_written(tmp_path: Path) -> None:
    write(tmp_path / "made" / "new", "one")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", "two")
    assert (tmp_path / "made" / "new" / "weights").read_text("utf-8") == "one"
    assert (tmp_path / "empty" / "weights").read_text("utf-8") == "two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "made"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["new"]


def test_an_earlier_export_is_replaced_only_by_force(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder, "one")
    (folder / "old").touch()
    with pytest.raises(InputError, match=r"export: has an earlier export; .* Fix: --force, which replaces it$"):
        write(folder, "two")
    assert (folder / "weights").read_text("utf-8") == "one"
    write(folder, "two", force=True)
    assert sorted(path.name for path in folder.iterdir()) == [DESCRIPTION, "weights"]
    assert (folder / "weights").read_text("utf-8") == "two"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("force", [False, True])
def test_what_no_export_wrote_is_never_replaced(force: bool, tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(InputError, match=r"has files that no export wrote; expected a new or an empty folder"):
        check_destination(tmp_path, force=force)
    with pytest.raises(InputError, match=r"letter: is not a folder; expected a new or an empty one"):
        check_destination(tmp_path / "letter", force=force)


def test_a_failure_leaves_an_earlier_export_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder, "one")
    with pytest.raises(StorageError, match=r"export: cannot be written \(No space left on device\)\. Nothing is left"):
        fill_disk(folder)
    assert (folder / "weights").read_text("utf-8") == "one"
    assert list(tmp_path.iterdir()) == [folder]


def lose_content(folder: Path) -> None:
    with written_folder(folder, force=True) as content:
        content.rmdir()  # it cannot be moved to its place then


def test_an_earlier_export_comes_back_if_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder, "one")
    with pytest.raises(
        StorageError, match=r"export: cannot be written \(No such file or directory\)\. Nothing is left"
    ):
        lose_content(folder)
    assert (folder / "weights").read_text("utf-8") == "one"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file: is not a folder, so .*file/a/export cannot be made\. Fix: choose"):
        check_destination(tmp_path / "file" / "a" / "export", force=False)
