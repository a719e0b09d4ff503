from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from continual_mt.errors import StorageError
from ray_jobs.cluster.machine_cache import usable_folder


def test_the_drivers_folder_is_used_where_it_can_be(tmp_path: Path) -> None:
    assert usable_folder(tmp_path / "home" / "cache") == tmp_path / "home" / "cache"
    assert (tmp_path / "home" / "cache").is_dir()


def test_elsewhere_it_is_a_folder_of_this_user_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("a file, in which no folder can be made")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = tmp_path / f"continual-mt-cache-{os.getuid()}"
    for name in ("cache", "blobs"):
        for _ in range(2):
            assert usable_folder(tmp_path / "home" / name) == own / name
    assert own.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    own.rename(tmp_path / "continual-mt-cache-12345")
    with pytest.raises(StorageError, match=r"continual-mt-cache-12345: belongs to another user\. Fix: remove it"):
        usable_folder(tmp_path / "home" / "cache")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "home"))
    with pytest.raises(StorageError, match=r"home/cache: cannot be made on a machine of the cluster, nor can .*12345"):
        usable_folder(tmp_path / "home" / "cache")
