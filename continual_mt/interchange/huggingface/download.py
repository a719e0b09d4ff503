"""Models of the Hugging Face Hub as local folders, one per revision, kept in the home's cache.

huggingface_hub lists the files, sends the requests and explains errors. The transfer itself is done in ``transfer``,
because huggingface_hub begins a file again if the process that downloaded it ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import quote

from filelock import FileLock

from continual_mt.errors import (
    CorruptionError,
    DownloadError,
    InputError,
    StorageError,
    UnknownNameError,
)
from continual_mt.extras import require
from continual_mt.interchange.huggingface.checkpoint import PICKLED_ONLY
from continual_mt.interchange.huggingface.transfer import fetch

Progress = Callable[[int, int], None]
"""Is called with the bytes that exist and those of all files."""

MODEL_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""The names of models on the Hub: ORGANISATION/NAME."""

READ = frozenset(
    {
        "README.md",
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "tokenizer.json",
        "vocab.json",
        "target_vocab.json",
        "source.spm",
        "target.spm",
        "sentencepiece.bpe.model",
    }
)
"""The files that an import reads, weights left out."""

_SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_PICKLES = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?")
_COMMIT = re.compile("[0-9a-f]{40}")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """A local folder with the files of one revision, which is a commit's hash."""

    folder: Path
    revision: str


@dataclass(frozen=True)
class _File:
    """A file on the Hub: its size in bytes, and its SHA-256 or, if that is unknown, the SHA-1 of its Git blob."""

    name: str
    size: int
    sha256: str | None
    blob: str | None

    def is_valid(self) -> bool:
        """Whether the values, which come from JSON, have the types above."""
        texts = all(text is None or isinstance(text, str) for text in (self.sha256, self.blob))
        return isinstance(self.name, str) and type(self.size) is int and texts

    def is_in(self, folder: Path) -> bool:
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size


def download(
    model: str,
    cache: Path,
    revision: str | None = None,
    *,
    pickled: bool = False,
    weights: bool = True,
    progress: Progress | None = None,
) -> Snapshot:
    """Download what an import reads of a model, or find it in ``cache``.

    ``revision`` is a branch, a tag or a commit's hash; the default is the main branch. ``pickled`` allows weights in
    ``pytorch_model.bin`` if the model has no others. Without ``weights``, these are left out, and nothing else. An
    interrupted download continues where it ended.
    ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` have their usual meaning.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        UnknownNameError: the model or the revision does not exist, or is private.
        InputError: the model has no weights that can be read.
        DownloadError: the Hub cannot be reached, denies access, or the transfer fails.
        CorruptionError: a file is not the one that the Hub lists.
        StorageError: the cache cannot be written.
    """
    require("hf", "importing a model of the Hub")
    place = cache / "hugging-face" / model.replace("/", "--")
    hub = _Hub(model, revision or "main")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / "lock"):
            commit, files = _listing(hub, place)
            chosen = _chosen(files, hub, pickled, weights)
            folder = place / commit
            folder.mkdir(exist_ok=True)
            _fetch_all(hub, commit, chosen, folder, progress or (lambda done, total: None))
    except OSError as error:
        raise StorageError(f"{place}: cannot be written: {error.strerror or error}") from error
    return Snapshot(folder, commit)


class _Hub:
    """The Hub's answers about one model."""

    def __init__(self, model: str, revision: str) -> None:
        from huggingface_hub import HfApi, constants

        self.model, self.revision = model, revision
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self._api = HfApi(endpoint=self.endpoint)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the errors of requests into this project's."""
        from huggingface_hub import errors

        transport: Any = errors.HTTPError  # type: ignore[attr-defined]  # httpx's, or that of its successor
        try:
            yield
        except errors.GatedRepoError as error:
            raise DownloadError(
                f"{self.model}: access is restricted, and this user has none. "
                f"Fix: ask for access at {self.endpoint}/{self.model}, and set HF_TOKEN to your token"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise UnknownNameError(
                f"{self.model}: no folder, and no public model at {self.endpoint}; expected the path of a folder, or "
                "ORGANISATION/NAME as on the Hub. Fix: check the name; for a private model set HF_TOKEN"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise UnknownNameError(
                f"{self.model}: unknown revision {self.revision!r}; expected a branch, a tag or a commit's hash"
            ) from error
        except errors.OfflineModeIsEnabled as error:
            raise DownloadError(
                f"{self.model}: not in the cache at revision {self.revision}, and HF_HUB_OFFLINE is set. "
                "Fix: unset it, or give the path of a folder"
            ) from error
        except errors.HFValidationError as error:
            raise InputError(f"{self.model}: not a name of the Hub; expected ORGANISATION/NAME") from error
        except (transport, ValueError, KeyError, TypeError) as error:  # the last three: an answer that is not the Hub's
            raise DownloadError(
                f"{self.model}: download from {self.endpoint} failed ({_first_line(error)}). Fix: check the network, "
                "HF_ENDPOINT and proxies, and run the command again: it continues where it ended"
            ) from error

    def listing(self) -> tuple[str, dict[str, _File]]:
        """Return the commit and the files of the revision."""
        with self.errors():
            info = self._api.model_info(self.model, revision=self.revision, files_metadata=True)
        if info.sha is None or info.siblings is None:
            raise DownloadError(
                f"{self.model}: the answer of {self.endpoint} is not the Hub's: it has no list of files"
            )
        files = [
            _File(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None, one.blob_id)
            for one in info.siblings
        ]
        # The commit is the name of a folder.
        if not _is_commit(info.sha) or not all(file.is_valid() for file in files):
            raise DownloadError(
                f"{self.model}: the answer of {self.endpoint} is not the Hub's: the commit is {info.sha!r:.80}; "
                "expected 40 hexadecimal digits, and names, sizes and digests of files"
            )
        return info.sha, {file.name: file for file in files}

    def url(self, commit: str, name: str) -> str:
        return f"{self.endpoint}/{self.model}/resolve/{commit}/{quote(name)}"


def _listing(hub: _Hub, place: Path) -> tuple[str, dict[str, _File]]:
    """The commit and its files: as noted in the cache if the commit is given, or if the Hub cannot be asked."""
    noted = place / "revisions.json"
    if _COMMIT.fullmatch(hub.revision) and (known := _read_files(place, hub.revision)):
        return hub.revision, known
    revisions = _read_json(noted)
    try:
        commit, files = hub.listing()
    except DownloadError:
        last = revisions.get(hub.revision)
        if not _is_commit(last) or not (known := _read_files(place, last)):
            raise
        return last, known
    _write_json(place / f"{commit}.json", {name: asdict(file) for name, file in files.items()})
    _write_json(noted, {**revisions, hub.revision: commit})
    return commit, files


def _is_commit(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _COMMIT.fullmatch(value) is not None


def _read_files(place: Path, commit: str) -> dict[str, _File]:
    """The files that are noted in the cache; empty if the note is missing or damaged."""
    try:
        files = {name: _File(**values) for name, values in _read_json(place / f"{commit}.json").items()}
    except TypeError:
        return {}
    return files if all(file.is_valid() and file.name == name for name, file in files.items()) else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_json(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
    temporary.replace(path)


def _chosen(files: dict[str, _File], hub: _Hub, pickled: bool, with_weights: bool) -> list[_File]:
    weights = weight_files(files)
    if not weights:
        raise InputError(f"{hub.model}: has no weights in safetensors or pytorch_model.bin; expected a PyTorch model")
    if not pickled and _PICKLES.fullmatch(weights[0]):
        raise InputError(f"{hub.model}: {PICKLED_ONLY}")
    return [files[name] for name in sorted(READ.intersection(files)) + (weights if with_weights else [])]


def weight_files(names: Collection[str]) -> list[str]:
    """The files that have the weights: safetensors if there are any, in one file if possible; else pickles."""
    for pattern, whole in ((_SAFETENSORS, "model.safetensors"), (_PICKLES, "pytorch_model.bin")):
        if found := sorted(filter(pattern.fullmatch, names)):
            return [whole] if whole in found else found
    return []


def _fetch_all(hub: _Hub, commit: str, files: list[_File], folder: Path, progress: Progress) -> None:
    """Fetch the files that the folder lacks."""
    total = sum(file.size for file in files)
    finished = sum(file.size for file in files if file.is_in(folder))
    progress(finished, total)
    for file in files:
        if file.is_in(folder):
            continue
        partial = folder / f"{file.name}.partial"
        before = finished

        def report(size: int, before: int = before) -> None:
            progress(before + size, total)

        with hub.errors():
            fetch(hub.url(commit, file.name), file.size, partial, report)
        _verify(hub, file, partial)
        partial.replace(folder / file.name)
        finished += file.size


def _verify(hub: _Hub, file: _File, path: Path) -> None:
    with path.open("rb") as content:
        if file.sha256 is not None:
            expected, found = file.sha256, hashlib.file_digest(content, "sha256").hexdigest()
        else:
            blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
            while chunk := content.read(_CHUNK):
                blob.update(chunk)
            expected, found = file.blob or "", blob.hexdigest()
    if found != expected:
        path.unlink()
        raise CorruptionError(
            f"{hub.model}: {file.name} arrived with the digest {found}; expected {expected}. Fix: run the command again"
        )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
