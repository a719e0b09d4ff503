from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from continual_mt.errors import CorruptionError, DownloadError, InputError, StorageError, UnknownNameError
from continual_mt.interchange.huggingface.download import Snapshot, download, weight_files
from tests.continual_mt.interchange.huggingface.hub import Hub

MODEL = "some-org/opus-fr-en"
WEIGHTS = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "published"
    path.mkdir()
    for name, content in {
        "README.md": b"---\nlicence: x\n---\n",
        "config.json": json.dumps({"model_type": "marian"}).encode(),
        "source.spm": b"spm" * 100,
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"pickled",
        "flax_model.msgpack": b"another library",
        "train.py": b"print('never read')",
    }.items():
        (path / name).write_bytes(content)
    return path


def files(snapshot: Snapshot) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in snapshot.folder.iterdir()}


def test_only_what_is_read_is_downloaded(hub: Hub, folder: Path, tmp_path: Path) -> None:
    commit = hub.add(MODEL, folder)
    progress: list[tuple[int, int]] = []
    found = download(MODEL, tmp_path, progress=lambda done, total: progress.append((done, total)))
    wanted = ("README.md", "config.json", "source.spm", "model.safetensors")
    assert files(found) == {name: (folder / name).read_bytes() for name in wanted}
    assert (found.revision, found.folder) == (commit, tmp_path / "hugging-face" / "some-org--opus-fr-en" / commit)
    total = sum((folder / name).stat().st_size for name in wanted)
    assert progress[0] == (0, total)
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)
    assert len(progress) > len(wanted)
    assert hub.requests == [
        f"/api/models/{MODEL}/revision/main",
        *(f"/{MODEL}/resolve/{commit}/{name}" for name in wanted),
    ]


def test_what_is_there_is_not_downloaded_again(hub: Hub, folder: Path, tmp_path: Path) -> None:
    commit = hub.add(MODEL, folder)
    first = download(MODEL, tmp_path)
    hub.requests.clear()
    assert download(MODEL, tmp_path) == first
    assert hub.requests == [f"/api/models/{MODEL}/revision/main"]
    assert download(MODEL, tmp_path, commit) == first
    assert len(hub.requests) == 1  # a commit never changes, so that the Hub is not asked


def test_each_revision_is_kept(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    first = download(MODEL, tmp_path)
    (folder / "config.json").write_text("{}")
    hub.add(MODEL, folder, "refs/pr/7")
    second = download(MODEL, tmp_path, "refs/pr/7")
    assert files(first)["config.json"] == b'{"model_type": "marian"}'
    assert files(second)["config.json"] == b"{}"
    assert first.revision != second.revision


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_a_transfer_that_is_cut_continues(hub: Hub, folder: Path, tmp_path: Path, ignores_ranges: bool) -> None:
    hub.add(MODEL, folder)
    hub.ignores_ranges = ignores_ranges
    hub.cut["model.safetensors"] = [700_000]
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS
    assert hub.ranges == ([] if ignores_ranges else ["bytes=700000-"])


def test_a_killed_download_continues_in_another_process(hub: Hub, folder: Path, tmp_path: Path) -> None:
    commit = hub.add(MODEL, folder)
    hub.stalled["model.safetensors"] = 1_000_000
    program = (
        "import sys; from pathlib import Path; from continual_mt.interchange.huggingface.download import download; "
        "download(sys.argv[1], Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, MODEL, str(tmp_path)])
    partial = tmp_path / "hugging-face" / "some-org--opus-fr-en" / commit / "model.safetensors.partial"
    while not partial.exists() or partial.stat().st_size < 1_000_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.stalled.clear()
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS
    assert hub.ranges == ["bytes=1000000-"]


def test_a_transfer_that_does_not_go_on_fails(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    hub.cut["model.safetensors"] = [1000, *[0] * 20]
    with pytest.raises(DownloadError, match=rf"^{MODEL}: download from http://127.* failed \(.*it continues where it"):
        download(MODEL, tmp_path)
    hub.cut.clear()
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS
    assert hub.ranges[-1] == "bytes=1000-"


def test_answers_that_are_too_short(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    hub.ignores_ranges = True
    hub.changed["model.safetensors"] = b"<html>Please log in</html>"
    expected = f"^{hub.endpoint}/{MODEL}/resolve/.*/model.safetensors: answered with 26 of 2,097,152 bytes; expected"
    with pytest.raises(DownloadError, match=expected):
        download(MODEL, tmp_path)
    hub.changed.clear()
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS


@pytest.mark.parametrize("has_length", [True, False])
def test_an_answer_that_is_too_long(hub: Hub, folder: Path, tmp_path: Path, has_length: bool) -> None:
    hub.add(MODEL, folder)
    hub.changed["model.safetensors"] = WEIGHTS * 8
    hub.has_length = has_length
    progress: list[tuple[int, int]] = []
    with pytest.raises(DownloadError, match=r"model.safetensors: answered with [\d,]+ of 2,097,152 bytes"):
        download(MODEL, tmp_path, progress=lambda done, total: progress.append((done, total)))
    assert max(done for done, _ in progress) <= progress[0][1]


def interrupted(hub: Hub, folder: Path, cache: Path) -> Path:
    """A download that was cut after 700,000 bytes of the weights; returns what there is of them."""
    commit = hub.add(MODEL, folder)
    hub.cut["model.safetensors"] = [700_000, *[0] * 5]
    with pytest.raises(DownloadError, match="it continues where it ended"):
        download(MODEL, cache)
    hub.cut.clear()
    hub.ranges.clear()
    return cache / "hugging-face" / "some-org--opus-fr-en" / commit / "model.safetensors.partial"


PAGE = b"<html>Please log in</html>"
BROKEN = {
    "login page": PAGE,
    "login page without a length": PAGE,
    "long login page without a length": PAGE * 30_000,
    "range not satisfiable": PAGE,
    "cut early": b"",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_server_costs_nothing_of_what_was_downloaded(
    hub: Hub, folder: Path, tmp_path: Path, broken: str
) -> None:
    partial = interrupted(hub, folder, tmp_path)
    hub.ignores_ranges = broken != "range not satisfiable"
    hub.has_length = "without a length" not in broken
    if broken == "cut early":
        hub.cut["model.safetensors"] = [1000] * 5
    else:
        hub.changed["model.safetensors"] = BROKEN[broken]
    expected = {
        "login page without a length": "the answer differs from what was downloaded before; expected the same file",
        "long login page without a length": "the answer differs from what was downloaded before; expected the same",
        "cut early": "it continues where it ended",
    }.get(broken, r"answered with [\d,]+ of 2,097,152 bytes; exp")
    with pytest.raises(DownloadError, match=expected):
        download(MODEL, tmp_path)
    assert partial.read_bytes() == WEIGHTS[:700_000]
    hub.changed.clear()
    hub.cut.clear()
    hub.ignores_ranges = False
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS
    assert hub.ranges[-1] == "bytes=700000-"


def test_what_is_left_of_another_file_is_begun_again(hub: Hub, folder: Path, tmp_path: Path) -> None:
    """A file of the same size that changed between two tries, which a commit's file never does."""
    partial = interrupted(hub, folder, tmp_path)
    partial.write_bytes(b"x" * 700_000)
    with pytest.raises(
        CorruptionError, match=r"model.safetensors arrived with the digest [0-9a-f]+; expected .* again"
    ):
        download(MODEL, tmp_path)
    assert files(download(MODEL, tmp_path))["model.safetensors"] == WEIGHTS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_other_bytes_than_the_hub_lists(hub: Hub, folder: Path, tmp_path: Path, name: str) -> None:
    hub.add(MODEL, folder)
    hub.changed[name] = (folder / name).read_bytes()[::-1]
    with pytest.raises(CorruptionError, match=f"{name} arrived with the digest [0-9a-f]+; expected [0-9a-f]+"):
        download(MODEL, tmp_path)
    hub.changed.clear()
    assert files(download(MODEL, tmp_path))[name] == (folder / name).read_bytes()


@pytest.mark.parametrize(
    "listed",
    [
        *({"sha": sha} for sha in ("../../outside", "A" * 40, "a" * 39, "a" * 40 + "\n", 7)),
        {"siblings": [{"rfilename": "config.json", "size": "9"}]},
    ],
)
def test_a_listing_that_is_not_the_hubs(hub: Hub, folder: Path, tmp_path: Path, listed: dict[str, object]) -> None:
    hub.add(MODEL, folder)
    hub.listed = listed
    with pytest.raises(DownloadError, match=f"^{MODEL}: the answer of {hub.endpoint} is not the Hub's: the commit is "):
        download(MODEL, tmp_path)
    assert {path.name for path in (tmp_path / "hugging-face" / "some-org--opus-fr-en").iterdir()} <= {"lock"}


@pytest.mark.parametrize(
    ("note", "content"),
    [
        ("revisions", '{"main": "../outside"}'),
        ("revisions", '{"main": ["a"]}'),
        ("revisions", "[" * 100_000),
        ("commit", '{"config.json": {"name": "config.json"}}'),
        ("commit", '{"config.json": [1]}'),
        ("commit", '{"config.json": {"name": "../x", "size": 9, "sha256": null, "blob": null}}'),
        ("commit", '{"config.json": {"name": "config.json", "size": "9", "sha256": null, "blob": null}}'),
    ],
)
def test_a_damaged_note_in_the_cache(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str, content: str
) -> None:
    """It is ignored: the Hub is asked, and without the Hub the model is unknown."""
    commit = hub.add(MODEL, folder)
    found = download(MODEL, tmp_path)
    (tmp_path / "hugging-face" / "outside.json").write_text("{}")
    path = found.folder.parent / f"{commit if note == 'commit' else note}.json"
    path.write_text(content)
    with monkeypatch.context() as changed:
        changed.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(DownloadError, match=r"^some-org/opus-fr-en: download from http://127.0.0.1:9 failed"):
            download(MODEL, tmp_path)
    assert download(MODEL, tmp_path, commit if note == "commit" else None) == found


def test_a_cached_file_of_another_size(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    found = download(MODEL, tmp_path)
    (found.folder / "model.safetensors").write_bytes(WEIGHTS[:100])
    progress: list[tuple[int, int]] = []
    assert download(MODEL, tmp_path, progress=lambda done, total: progress.append((done, total))) == found
    assert files(found)["model.safetensors"] == WEIGHTS
    assert progress[0][0] == progress[0][1] - len(WEIGHTS)


def test_pickled_weights(hub: Hub, folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    hub.add(MODEL, folder)
    with pytest.raises(InputError, match=f"^{MODEL}: its weights are only in pytorch_model.bin, a pickle, .*--convert"):
        download(MODEL, tmp_path)
    assert len(hub.requests) == 1
    assert files(download(MODEL, tmp_path, pickled=True))["pytorch_model.bin"] == b"pickled"


def test_no_weights(hub: Hub, folder: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (folder / name).unlink()
    hub.add(MODEL, folder)
    with pytest.raises(InputError, match="has no weights in safetensors"):
        download(MODEL, tmp_path, pickled=True)


def test_which_files_have_the_weights() -> None:
    parts = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    assert weight_files(["model.safetensors", *parts, "pytorch_model.bin"]) == ["model.safetensors"]
    assert weight_files([*parts, "pytorch_model.bin"]) == parts
    shards = ["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"]
    assert weight_files([*shards, "consolidated.safetensors"]) == shards
    assert weight_files(["rust_model.ot"]) == []


def test_names_that_the_hub_does_not_know(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    with pytest.raises(UnknownNameError, match=r"^some-org/other: no folder, and no public model at http://127"):
        download("some-org/other", tmp_path)
    with pytest.raises(UnknownNameError, match=f"^{MODEL}: unknown revision 'v9'; expected a branch, a tag or a"):
        download(MODEL, tmp_path, "v9")
    with pytest.raises(InputError, match="not a name of the Hub; expected ORGANISATION/NAME"):
        download("some-org/a--b", tmp_path)


def test_a_gated_model(hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(MODEL, folder)
    hub.gated.add(MODEL)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(DownloadError, match=f"access is restricted.*ask for access at {hub.endpoint}/{MODEL}, and set"):
        download(MODEL, tmp_path)
    assert set(hub.authorized) == {"Bearer hf_secret"}


def test_no_network(hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add(MODEL, folder)
    found = download(MODEL, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert download(MODEL, tmp_path) == found
    with pytest.raises(DownloadError, match=r"download from http://127.0.0.1:9 failed \(.*Fix: check the network"):
        download("some-org/other", tmp_path)


def test_a_server_that_is_no_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{hub.endpoint}/lfs")
    with pytest.raises((DownloadError, UnknownNameError), match=MODEL):
        download(MODEL, tmp_path)


def test_offline(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    found = download(MODEL, tmp_path)
    hub.requests.clear()
    program = (
        "import sys; from pathlib import Path; from continual_mt.errors import DownloadError\n"
        "from continual_mt.interchange.huggingface.download import download\n"
        "for model in sys.argv[2:]:\n"
        "    try: print(download(model, Path(sys.argv[1])).revision)\n"
        "    except DownloadError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), MODEL, "some-org/other"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    revision, error = done.stdout.splitlines()
    assert revision == found.revision
    assert error.startswith("some-org/other: not in the cache at revision main, and HF_HUB_OFFLINE is set")
    assert hub.requests == []


def test_a_cache_that_cannot_be_written(hub: Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(MODEL, folder)
    (tmp_path / "hugging-face").write_text("a file")
    with pytest.raises(StorageError, match="hugging-face/some-org--opus-fr-en: cannot be written: "):
        download(MODEL, tmp_path)
