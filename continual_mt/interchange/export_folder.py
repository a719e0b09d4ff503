"""The folder that an export writes: complete or absent, and never in the place of something else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from continual_mt.errors import InputError, StorageError

DESCRIPTION = "continual-mt.json"
"""What was exported, in every export. A folder that has this file is an earlier export."""


def check_destination(folder: Path, *, force: bool) -> None:
    """Raise InputError unless ``folder`` is absent or empty, or an earlier export that ``force`` allows to replace."""
    try:
        above = next(path for path in folder.absolute().parents if path.exists())
        if not above.is_dir():
            raise InputError(f"{above}: is not a folder, so {folder} cannot be made. Fix: choose another path")
        if not folder.exists() and not folder.is_symlink():
            return
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder; expected a new or an empty one. Fix: choose another path")
        if not any(folder.iterdir()):
            return
        is_export = (folder / DESCRIPTION).is_file()
    except OSError as error:
        raise StorageError(f"{folder}: cannot be read ({error.strerror or error})") from error
    if not is_export:
        raise InputError(
            f"{folder}: has files that no export wrote; expected a new or an empty folder. Fix: choose another path"
        )
    if not force:
        raise InputError(
            f"{folder}: has an earlier export; expected a new or an empty folder. Fix: --force, which replaces it"
        )


@contextmanager
def written_folder(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``folder`` to write to, and put it in its place at the end.

    If writing fails, nothing of it is left, and an earlier export stays. Raises as `check_destination` does, and
    StorageError if files cannot be written.
    """
    check_destination(folder, force=force)
    folder = folder.resolve()
    partial: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        content = partial / "new"
        content.mkdir()  # not mkdtemp's own folder, which only its owner may read
        yield content
        if folder.exists() and any(folder.iterdir()):
            check_destination(folder, force=force)
            folder.rename(partial / "old")
        content.rename(folder)
    except (OSError, SafetensorError) as error:
        problem = getattr(error, "strerror", None) or error
        raise StorageError(f"{folder}: cannot be written ({problem}). Nothing is left of this export") from error
    finally:
        if partial is not None:
            _put_back(partial / "old", folder)
            shutil.rmtree(partial, ignore_errors=True)


def _put_back(earlier: Path, folder: Path) -> None:
    """Move an earlier export back to its place, unless another export is there now."""
    if not earlier.exists() or folder.exists():
        return
    try:
        earlier.rename(folder)
    except OSError as error:
        raise StorageError(
            f"{folder}: the earlier export cannot be moved back ({error.strerror or error}). Fix: move {earlier} there"
        ) from error
