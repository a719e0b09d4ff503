from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from continual_mt.config.spec import AdditionSpec, ParentSpec
from continual_mt.data.tokenized_corpus import tokens_folder
from continual_mt.errors import StorageError
from ray_jobs.cluster.progress_actor import Channel
from ray_jobs.cluster.text_transfer import TextReceiver, TextSender
from ray_jobs.execution.checkpoints import RunCheckpoints
from ray_jobs.planning.resolve import ResolvedJob, resolve
from ray_jobs.planning.training_task import TrainingTask
from registry import Registry

pytestmark = pytest.mark.slow


@pytest.fixture
def task(
    registry: Registry,
    addition_spec: Callable[..., AdditionSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
) -> TrainingTask:
    return make_task(resolve(addition_spec("pt-en"), registry.parent("es-en"), tmp_path))


def fetched(sender: TextSender, channel: Channel, receiver: TextReceiver, key: str, folder: Path) -> list[str]:
    """Fetch as a worker does, while the driver polls; return what the driver was told."""
    errors: list[Exception] = []

    def work() -> None:
        folder.mkdir()
        try:
            receiver.fetch(key, folder)
        except Exception as error:
            errors.append(error)

    worker, notes = threading.Thread(target=work), list[str]()
    worker.start()
    while worker.is_alive():
        worker.join(0.1)
        update = channel.take_update()
        notes += update.notes
        sender.send(update.wanted)
    for error in errors:
        raise error
    return notes


@pytest.mark.parametrize("remote", [False, True])
def test_a_text_goes_through_the_storage_and_is_sent_once(
    ray_cluster: Any, task: TrainingTask, bucket: str, tmp_path: Path, remote: bool
) -> None:
    checkpoints = RunCheckpoints(f"s3://{bucket}/jobs" if remote else str(tmp_path / "storage"), "addition-1")
    channel, key = Channel.open(), task.text.key
    sender, receiver = TextSender(task, checkpoints, channel), TextReceiver(checkpoints, channel)
    (note,) = fetched(sender, channel, receiver, key, tmp_path / "one")
    assert note.startswith("the text of pt-en, ")
    assert "sentence pairs, was sent to machines that cannot read it (" in note
    assert fetched(sender, channel, receiver, key, tmp_path / "other") == []
    # After a restart, too.
    channel = Channel.open()
    again, receiver = TextSender(task, checkpoints, channel), TextReceiver(checkpoints, channel)
    assert fetched(again, channel, receiver, key, tmp_path / "third") == []
    files = {file.name: file.read_bytes() for file in tokens_folder(task.cache, key).iterdir()}
    for name in ("one", "other", "third"):
        assert {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} == files
    sender.delete()
    again.delete()
    with pytest.raises(StorageError, match=r"a text cannot be copied from .*/addition-1/text to "):
        receiver.fetch(key, tmp_path / "one")


def test_the_texts_of_several_pairs_go_as_one(
    ray_cluster: Any,
    joint_spec: Callable[..., ParentSpec],
    make_task: Callable[[ResolvedJob], TrainingTask],
    tmp_path: Path,
) -> None:
    task = make_task(resolve(joint_spec(), None, tmp_path))
    checkpoints, channel = RunCheckpoints(str(tmp_path / "storage"), "parent-1"), Channel.open()
    sender, receiver = TextSender(task, checkpoints, channel), TextReceiver(checkpoints, channel)
    (note,) = fetched(sender, channel, receiver, task.text.key, tmp_path / "one")
    assert note.startswith("the text of en-es, es-en, es-pt, ")
    files = {file.name: file.read_bytes() for file in tokens_folder(task.cache, task.text.key).iterdir()}
    assert {file.name: file.read_bytes() for file in (tmp_path / "one").iterdir()} == files


def test_a_storage_that_cannot_be_written_ends_the_training(
    ray_cluster: Any, task: TrainingTask, tmp_path: Path
) -> None:
    (tmp_path / "storage").write_text("a file")
    checkpoints, channel = RunCheckpoints(str(tmp_path / "storage"), "addition-1"), Channel.open()
    sender, receiver = TextSender(task, checkpoints, channel), TextReceiver(checkpoints, channel)
    with pytest.raises(StorageError, match=r"a text cannot be written to .*storage/addition-1/text, through which"):
        fetched(sender, channel, receiver, task.text.key, tmp_path / "one")
    assert isinstance(channel.take_update().error, StorageError)
