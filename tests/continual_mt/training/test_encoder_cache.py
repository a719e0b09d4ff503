from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from continual_mt.data.batching import epoch_batches, make_batch
from continual_mt.errors import StorageError
from continual_mt.training.encoder_cache import DIGEST_BYTES, EncodedSources, encode_sources, encoded_bytes
from continual_mt.training.pair_task import Task

MakeTask = Callable[..., Task]


@pytest.fixture
def task(make_task: MakeTask) -> Task:
    return make_task()


def encode(task: Task, cache: Path, dtype: torch.dtype = torch.float32) -> EncodedSources:
    return encode_sources(task.model.computing_in(dtype), task.corpus, task.source, cache)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cached_states_equal_computed_states(task: Task, tmp_path: Path, dtype: torch.dtype) -> None:
    encoded = encode(task, tmp_path, dtype)
    model = task.model.computing_in(dtype)
    for indices in epoch_batches(task.corpus, 300, 1, 0)[:3]:
        batch = make_batch(task.corpus, indices, task.source, task.target)
        found = encoded.rows(indices, batch.source_layout)
        expected = model.encode(batch.source, batch.source_layout)
        real = batch.source_layout.token_count
        assert (found.dtype, found.shape) == (dtype, expected.shape)
        tolerance = 1e-5 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(found[:real], expected[:real], atol=tolerance, rtol=tolerance)
        assert not found[real:].any()


def test_the_file_is_reproducible_and_has_the_predicted_size(task: Task, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        encode(task, tmp_path / name)
        (path,) = (path for path in (tmp_path / name / "encoded").iterdir() if not path.suffix)
        files.append(path.read_bytes())
    assert files[0] == files[1]
    expected = encoded_bytes(task.corpus, task.source, task.model.architecture.width, torch.float32)
    assert len(files[0]) == expected + DIGEST_BYTES


def test_the_cache_is_reused_and_a_damaged_file_is_written_again(task: Task, tmp_path: Path) -> None:
    encode(task, tmp_path)
    (path,) = (path for path in (tmp_path / "encoded").iterdir() if not path.suffix)
    whole, written = path.read_bytes(), path.stat().st_mtime_ns
    encode(task, tmp_path)
    assert path.stat().st_mtime_ns == written
    for damaged in (whole[:-1], whole[: len(whole) // 2] + b"\0" * 9 + whole[len(whole) // 2 + 9 :], b""):
        path.write_bytes(damaged)
        encode(task, tmp_path)
        assert path.read_bytes() == whole


def test_another_encoder_has_a_separate_file(task: Task, tmp_path: Path) -> None:
    encode(task, tmp_path)
    with torch.no_grad():
        dict(task.model.named_parameters())["encoder.0.attention.norm.bias"].add_(1.0)
    encode(task, tmp_path)
    assert len([path for path in (tmp_path / "encoded").iterdir() if not path.suffix]) == 2


def test_deleting_the_file_leaves_mapped_states_readable(task: Task, tmp_path: Path) -> None:
    encoded = encode(task, tmp_path)
    encoded.delete()
    assert not [path for path in (tmp_path / "encoded").iterdir() if not path.suffix]
    indices = np.array([0, 1])
    layout = make_batch(task.corpus, indices, task.source, task.target).source_layout
    assert encoded.rows(indices, layout).any()
    encoded.delete()


def test_a_full_disk_raises_and_leaves_no_partial_file(task: Task, tmp_path: Path) -> None:
    """A limit on the file size acts like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(
            StorageError, match=r"^encoder cache .*: cannot be written \(File too large\)\. Fix: .*encoder_cache_gb=0"
        ):
            encode(task, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.suffix for path in (tmp_path / "encoded").iterdir()] == [".lock"]
    assert encode(task, tmp_path)
