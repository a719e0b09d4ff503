"""``registry verify``, ``gc``, ``backup``, ``fill``, ``export`` and ``import``, as they are typed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from registry import Registry


def blob(home: Path, piece: str = "source.safetensors") -> Path:
    with Registry.open(home) as registry:
        digest = registry.module("pt-en").pieces[piece]
    return home / "blobs" / digest[:2] / digest


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_verify_of_what_is_whole(run: Any, home: Path) -> None:
    result = run("registry", "verify", "--fingerprints", "--home", home)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("are as their digests say\n")
    found = json.loads(run("registry", "verify", "--json", "--home", home).out)
    assert (found["problems"], found["orphans"], found["leftovers"]) == ([], [], [])


@pytest.mark.parametrize("keep", [[], ["--keep"]])
def test_verify_says_what_is_damaged_and_exits_1(run: Any, home: Path, keep: list[str]) -> None:
    path = blob(home)
    damage(path)
    result = run("registry", "verify", "--home", home, *keep)
    assert result.code == 1
    assert result.err.startswith(
        f"error: 1 problem: {path.name}. A blob comes back when the same content is registered"
    )
    assert f"\ndamaged {path.name}\n" in result.out
    assert "\n  needed by es-en/pt-en:1 (source.safetensors)\n" in result.out
    assert (f"\n  moved to {home}/blobs/quarantine/{path.name}-" in result.out) == (not keep)
    assert path.exists() == bool(keep)
    again = run("registry", "verify", "--json", "--home", home)
    assert again.code == 1
    (problem,) = json.loads(again.out)["problems"]
    assert problem["kind"] == ("damaged" if keep else "missing")


def test_gc_says_so_when_there_is_nothing_to_do(run: Any, home: Path) -> None:
    for words in ([], ["--delete"]):
        done = run("registry", "gc", *words, "--home", home)
        assert (done.code, done.out, done.err) == (0, "", "nothing to remove\n")


def test_gc_says_and_does(run: Any, home: Path) -> None:
    with Registry.open(home) as registry:
        old, young = registry.blobs.put(b"old"), registry.blobs.put(b"young")
    path = home / "blobs" / old[:2] / old
    os.utime(path, (time.time() - 8 * 86400,) * 2)
    dry = run("registry", "gc", "--home", home)
    assert (dry.code, dry.out.splitlines()[1].split()) == (0, ["blob", old, "3", "B"])
    assert dry.err == "3 B would be removed; 1 more blob younger than 7d; nothing was: give --delete to do it\n"
    assert path.exists()
    done = run("registry", "gc", "--delete", "--home", home)
    assert (done.code, done.err) == (0, "removed 3 B; 1 more blob younger than 7d\n")
    assert not path.exists()
    found = json.loads(run("registry", "gc", "--delete", "--grace", "0h", "--json", "--home", home).out)
    assert [blob["digest"] for blob in found["blobs"]] == [young]


@pytest.mark.parametrize("grace", ["7", "d", "-1d", "7w", "1.5d", "999999d", ""])
def test_gc_wants_a_time(run: Any, home: Path, grace: str) -> None:
    result = run("registry", "gc", f"--grace={grace}", "--home", home)
    assert (result.code, result.out) == (2, "")
    assert (
        result.err
        == f"error: --grace {grace!r} is not a duration; expected a number of days or hours, such as 7d or 12h\n"
    )


def test_backup_and_back(run: Any, home: Path, tmp_path: Path) -> None:
    made = run("registry", "backup", tmp_path / "backup", "--json", "--home", home)
    assert made.code == 0
    assert f" to {tmp_path}/backup; 0 blobs existed already\n" in made.err
    assert json.loads(made.out)["blobs_there_already"] == 0
    assert run("registry", "verify", "--home", tmp_path / "backup").code == 0
    filled = run("registry", "load-backup", tmp_path / "backup", "--home", tmp_path / "new")
    assert (filled.code, filled.out) == (0, "")
    listed = [run("registry", "list", "--json", "--home", place).out for place in (home, tmp_path / "new")]
    assert listed[0] == listed[1]
    # The verb by its name in earlier versions.
    again = run("registry", "fill", tmp_path / "backup", "--home", tmp_path / "new")
    assert again.code == 2
    assert f"error: the registry in {tmp_path}/new/registry.db is not empty" in again.err


def test_a_folder_without_a_registry_cannot_be_loaded(run: Any, home: Path, tmp_path: Path) -> None:
    result = run("registry", "load-backup", tmp_path / "none", "--home", tmp_path / "new")
    assert (result.code, not (tmp_path / "new").exists()) == (2, True)
    assert f"error: no registry in {tmp_path}/none: registry.db not found" in result.err


def test_export_and_import(run: Any, home: Path, tmp_path: Path) -> None:
    written = run("registry", "export", "pt-en", "es-de:1", "all.tar", "--home", home)
    assert (written.code, written.out) == (0, "")
    assert written.err.startswith("wrote es-en, es-en/pt-en:1, es-en/es-de:1 with 4 scores to all.tar, ")
    imported = run("registry", "import", "all.tar", "--parent", "theirs", "--home", tmp_path / "new")
    assert (imported.code, imported.err) == (0, "4 new scores\n")
    lines = [line.split() for line in imported.out.splitlines()]
    assert lines[3] == ["es-en/es-de:1", "theirs/es-de:1", "imported"]
    again = json.loads(run("registry", "import", "all.tar", "--json", "--home", tmp_path / "new").out)
    assert {artifact["state"] for artifact in again["artifacts"]} == {"there already"}
    assert again["scores"] == 0


def test_what_is_no_bundle_makes_no_registry(run: Any, tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no bundle")
    for file in ("text.tar", "missing.tar"):
        result = run("registry", "import", tmp_path / file, "--home", tmp_path / "new")
        assert result.code in (1, 2)
        assert str(tmp_path / file) in result.err
    assert not (tmp_path / "new").exists()


def test_a_bundle_that_was_changed_exits_1(run: Any, home: Path, tmp_path: Path) -> None:
    run("registry", "export", "pt-en", "all.tar", "--home", home)
    damage(tmp_path / "all.tar")
    result = run("registry", "import", "all.tar", "--home", home)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: the bundle all.tar is refused, and nothing was changed: ")
    assert run("registry", "export", "zz-en", "none.tar", "--home", home).code == 2
