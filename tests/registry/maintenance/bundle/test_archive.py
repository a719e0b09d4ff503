"""Hostile bundles. Each is refused with a clear error, and nothing is written anywhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continual_mt.errors import CorruptionError, InputError, StorageError, UnknownNameError
from registry import Registry
from registry.maintenance.backup import open_folder
from registry.maintenance.bundle.archive import open_bundle
from registry.maintenance.bundle.export import export
from registry.maintenance.bundle.validate import import_bundle

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def bundle(rich_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "all.tar"
    with open_folder(rich_folder) as registry:
        export(registry, ["base"], path)
    return path


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry, which has to stay empty."""
    with open_folder(tmp_path_factory.mktemp("receiver") / "home", create=True) as opened:
        yield opened


def refused(content: bytes, registry: Registry) -> str:
    """The message with which a bundle is refused; the registry is as empty as before, and nothing lies beside it."""
    folder = Path(registry.name).parent
    path = folder.parent / "hostile.tar"
    path.write_bytes(content)
    with pytest.raises(CorruptionError) as caught:
        import_bundle(registry, path)
    assert list(registry.blobs.digests()) == []
    assert (registry.parents(), registry.catalog.corpora()) == ([], [])
    assert {entry.name for entry in folder.parent.iterdir()} == {"hostile.tar", folder.name}
    message = str(caught.value)
    assert message.startswith(f"the bundle {path} is refused, and nothing was changed: ")
    return message


def members(bundle: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(bundle) as archive:
        return [(info, archive.extractfile(info).read()) for info in archive]  # type: ignore[union-attr]


def packed(found: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for info, content in found:
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def with_manifest(bundle: Path, change: Change) -> bytes:
    """The bundle with another manifest, whose digest is right."""
    found = members(bundle)
    manifest = json.loads(found[0][1])
    change(manifest)
    text = json.dumps(manifest).encode()
    info = tarfile.TarInfo(f"manifest-{hashlib.sha256(text).hexdigest()}.json")
    info.size = len(text)
    file = io.BytesIO(packed([(info, text), *found[1:]]))
    end = sum(512 + len(content) + -len(content) % 512 for _, content in [(info, text), *found[1:]])
    return file.getvalue()[: end + 1024]


def test_tar_reads_it_and_lists_each_blob_once(bundle: Path) -> None:
    names = [info.name for info, _ in members(bundle)]
    assert names[0].startswith("manifest-")
    blobs = {f"blobs/{hashlib.sha256(content).hexdigest()}" for _, content in members(bundle)[1:]}
    assert sorted(blobs) == names[1:]
    with open_bundle(bundle) as opened:
        opened.check()


@settings(max_examples=100, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_changed_bit_is_refused(bundle: Path, receiver: Registry, position: float, bit: int) -> None:
    content = bytearray(bundle.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    refused(bytes(content), receiver)


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, 2047), bit=st.integers(0, 7))
def test_any_changed_bit_of_the_headers_and_the_end_is_refused(
    bundle: Path, receiver: Registry, position: int, bit: int
) -> None:
    content = bytearray(bundle.read_bytes())
    content[position if position < 1024 else -(position - 1023)] ^= 1 << bit
    refused(bytes(content), receiver)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_any_end_that_is_cut_off_is_refused(bundle: Path, receiver: Registry, share: float) -> None:
    content = bundle.read_bytes()
    refused(content[: int(share * len(content))], receiver)


@pytest.mark.parametrize(
    ("name", "kind", "link", "words"),
    [
        ("../x", tarfile.REGTYPE, "", "a file '../x' of 4 bytes"),
        ("/etc/x", tarfile.REGTYPE, "", "a file '/etc/x' of 4 bytes"),
        ("blobs/x", tarfile.SYMTYPE, "/etc/passwd", "a symbolic link 'blobs/x' to '/etc/passwd'"),
        ("blobs/x", tarfile.LNKTYPE, "../../x", "a hard link 'blobs/x' to '../../x'"),
        ("blobs/x", tarfile.CHRTYPE, "", "a device or pipe 'blobs/x'"),
        ("blobs/x", tarfile.FIFOTYPE, "", "a device or pipe 'blobs/x'"),
        ("blobs", tarfile.DIRTYPE, "", "a folder 'blobs'"),
    ],
)
def test_a_member_that_is_none_of_a_bundle(
    bundle: Path, receiver: Registry, name: str, kind: bytes, link: str, words: str
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
    found = members(bundle)
    for place in (1, 2):
        message = refused(packed([*found[:place], (info, b"evil"), *found[place:]]), receiver)
        assert (
            f"blobs/{found[place][0].name[6:]} of {found[place][0].size:,} bytes was expected, found {words}" in message
        )
    assert words.removeprefix("is ") in refused(packed([*found, (info, b"evil")]), receiver)
    assert "it does not begin with its manifest, but with " + words.removeprefix("is ") in refused(
        packed([(info, b"evil"), *found]), receiver
    )


def test_members_that_are_doubled_left_out_or_in_another_order(bundle: Path, receiver: Registry) -> None:
    found = members(bundle)
    assert " bytes was expected, found " in refused(packed([*found[:2], *found[1:]]), receiver)
    assert "beside what its manifest lists" in refused(packed([*found, found[-1]]), receiver)
    assert "found an end" in refused(packed(found[:-1]), receiver)
    assert " bytes was expected, found " in refused(packed([found[0], *found[:0:-1]]), receiver)
    assert "it does not begin with its manifest" in refused(packed(found[1:]), receiver)
    assert "trailing data after the archive" in refused(bundle.read_bytes() + b"\0", receiver)


def test_what_is_no_tar_of_ours(receiver: Registry, bundle: Path) -> None:
    assert "it is cut off: it ends within its first header" in refused(b"", receiver)
    assert "it is no tar of `registry export`, or was damaged" in refused(b"PK\3\4" * 1000, receiver)
    assert "it is no tar" in refused(gzip.compress(bundle.read_bytes()), receiver)
    assert "with an extension" in refused(packed([(long_name(), b"")], tarfile.PAX_FORMAT), receiver)


def long_name() -> tarfile.TarInfo:
    return tarfile.TarInfo("x" * 300)


@pytest.mark.parametrize(("size", "words"), [(8**11 - 1, "at most 67,108,864 are read"), (2**70, "at most 67,108,864")])
def test_a_manifest_that_claims_to_be_huge_is_not_read(receiver: Registry, size: int, words: str) -> None:
    info = tarfile.TarInfo(f"manifest-{'0' * 64}.json")
    info.size = size
    assert words in refused(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048), receiver)


def huge(manifest: dict[str, Any]) -> None:
    manifest["blobs"][min(manifest["blobs"])] = 1 << 50


def other_format(manifest: dict[str, Any]) -> None:
    manifest["format"] = 3


def unknown_key(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["path"] = "../x"


def piece_outside(manifest: dict[str, Any]) -> None:
    pieces = manifest["modules"][0]["pieces"]
    pieces["../source.model"] = pieces.pop("source.model", None) or pieces.pop("target.model")


def other_module(manifest: dict[str, Any]) -> None:
    answers = next(score["hypotheses"] for score in manifest["scores"] if score["hypotheses"])
    manifest["modules"][0]["digest"] = "0" * 64
    # Its scores speak of other recipes then; their blobs have to be referred to all the same.
    manifest["scores"] = [score for score in manifest["scores"] if not score["source"]]
    for score in manifest["scores"][:1]:
        score["hypotheses"] = answers


def other_recipe(manifest: dict[str, Any]) -> None:
    manifest["scores"][0]["recipe"] = "0" * 64


def pair_of_others(manifest: dict[str, Any]) -> None:
    """What a digest does not tell."""
    score = next(score for score in manifest["scores"] if score["kind"] == "original")
    score["pair"] = "de-cs"


def pivot_of_one_model(manifest: dict[str, Any]) -> None:
    manifest["scores"][0]["kind"] = "pivot"


def score_of_a_stranger(manifest: dict[str, Any]) -> None:
    manifest["scores"][0]["target"] = "base/de-en:7"


def twice(manifest: dict[str, Any]) -> None:
    manifest["modules"].append(manifest["modules"][0])


def blob_of_nothing(manifest: dict[str, Any]) -> None:
    manifest["blobs"]["0" * 64] = 0


def wrong_parent(manifest: dict[str, Any]) -> None:
    manifest["parents"][0]["name"] = "../base"


def swapped_pieces(manifest: dict[str, Any]) -> None:
    pieces = manifest["parents"][0]["pieces"]
    pieces["source.model"], pieces["target.model"] = pieces["target.model"], pieces["source.model"]


def not_a_number(manifest: dict[str, Any]) -> None:
    manifest["scores"][0]["value"] = float("nan")


def huge_number(manifest: dict[str, Any]) -> None:
    manifest["scores"][0]["sentences"] = 10**30


def alias_of_the_newest(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["aliases"] = ["latest"]


def tag_of_two_words(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["tags"] = ["two words"]


def note_that_paints(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["notes"] = [{"text": "\x1b[31mred", "who": "ada", "moment": manifest["created"]}]


def corpus_that_paints(manifest: dict[str, Any]) -> None:
    manifest["corpora"][0]["name"] = "\x1b[31mred"


def before_all_time(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["created"] = "0001-01-01T00:00:00+05:00"


def endless_spec(manifest: dict[str, Any]) -> None:
    manifest["modules"][0]["spec"] = {"training": [{"clip": float("inf")}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (alias_of_the_newest, "'latest' is no alias"),
        (tag_of_two_words, "the tag 'two words'"),
        (note_that_paints, "the note "),
        (corpus_that_paints, "corpora.0.name"),
        (before_all_time, "modules.0.created"),
        (endless_spec, "holds a number that is not finite"),
        (huge, "it is cut off"),
        (other_format, "unknown format; this version reads 1 and 2"),
        (unknown_key, "modules.0.path: Extra inputs are not permitted"),
        (piece_outside, "modules.0.pieces"),
        (other_module, f"it claims the digest {'0' * 64}"),
        (other_recipe, "is not of the recipe that it names"),
        (pair_of_others, "a score of de-cs is original, which its parts cannot be"),
        (pivot_of_one_model, "is pivot, which its parts cannot be"),
        (score_of_a_stranger, "a score is of the module base/de-en:7, which is not in it"),
        (twice, "a module is listed twice"),
        (blob_of_nothing, "the blobs are not those that are referred to"),
        (wrong_parent, "the parent's name '../base'"),
        (swapped_pieces, "base: it claims the fingerprint"),
        (not_a_number, "scores.0.value"),
        (huge_number, "scores.0.sentences"),
    ],
)
def test_a_manifest_that_was_made_up(bundle: Path, receiver: Registry, change: Change, words: str) -> None:
    content = with_manifest(bundle, change)
    if change is huge:
        digest, _ = min(json.loads(members(bundle)[0][1])["blobs"].items())
        content = with_header(content, digest, 1 << 50)
    assert words in refused(content, receiver)


def with_header(content: bytes, digest: str, size: int) -> bytes:
    info = tarfile.TarInfo(f"blobs/{digest}")
    info.size = size
    start = content.index(f"blobs/{digest}".encode() + b"\0")
    return content[:start] + info.tobuf(tarfile.GNU_FORMAT) + content[start + 512 :]


def test_a_manifest_with_its_digest_and_a_deep_nest(bundle: Path, receiver: Registry) -> None:
    text = b'{"format": 1, "created": ' + b"[" * 100_000
    info = tarfile.TarInfo(f"manifest-{hashlib.sha256(text).hexdigest()}.json")
    info.size = len(text)
    assert "its manifest cannot be used" in refused(packed([(info, text)]), receiver)
    info.name = f"manifest-{'0' * 64}.json"
    assert "its digest is not the one in its name" in refused(packed([(info, text)]), receiver)


def test_files_that_are_not_there_or_cannot_be_written(rich: Registry, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"bundle {tmp_path}/x.tar: no such file"):
        import_bundle(rich, tmp_path / "x.tar")
    with pytest.raises(UnknownNameError, match="not a file"):
        import_bundle(rich, tmp_path)
    with pytest.raises(
        StorageError, match=f"cannot write the bundle {tmp_path}/none/x.tar: the folder {tmp_path}/none does not exist"
    ):
        export(rich, ["de-en"], tmp_path / "none/x.tar")


def test_only_a_bundle_is_replaced(rich: Registry, tmp_path: Path) -> None:
    digest = rich.module("de-en").pieces["source.safetensors"]
    blob = Path(rich.blobs.place) / digest[:2] / digest
    (tmp_path / "notes.txt").write_text("mine")
    for path in (blob, tmp_path / "notes.txt"):
        before = path.read_bytes()
        with pytest.raises(InputError, match=f"{path} exists and is not a bundle"):
            export(rich, ["de-en"], path)
        assert path.read_bytes() == before
    export(rich, ["de-en"], tmp_path / "x.tar")
    export(rich, ["de-en", "fr-es"], tmp_path / "x.tar")
    assert len(import_bundle(rich, tmp_path / "x.tar").artifacts) == 3


def test_a_damaged_blob_is_not_exported(rich: Registry, tmp_path: Path) -> None:
    digest = rich.module("de-en").pieces["source.safetensors"]
    path = Path(rich.blobs.place) / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    before = set(tmp_path.iterdir())
    with pytest.raises(CorruptionError, match=f"blob {digest} in .* is damaged.*no bundle was written"):
        export(rich, ["de-en"], tmp_path / "x.tar")
    assert set(tmp_path.iterdir()) == before
