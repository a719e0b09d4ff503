from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.errors import ProcessError
from continual_mt.inference.worker_processes import possible, shared_out


def test_every_batch_comes_back_once_from_processes_of_one_thread() -> None:
    def work(batch: list[int]) -> list[Any]:
        return [os.getpid(), torch.get_num_threads(), batch, "ä" * 200_000, float("nan")]

    batches = [[i, i + 1] for i in range(20)]
    found = list(shared_out(work, batches, 3))
    assert sorted(batch for _, _, batch, _, _ in found) == batches
    assert all(threads == 1 and len(text) == 200_000 and score != score for _, threads, _, text, score in found)
    assert len({process for process, *_ in found} - {os.getpid()}) == 3


def test_a_process_that_is_killed_is_named_and_the_others_end() -> None:
    def work(batch: list[int]) -> list[int]:
        if batch == [1]:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        return batch

    with pytest.raises(ProcessError, match=r"exit code -9 \(killed, possibly for lack of memory\) before .*\. Fix: "):
        list(shared_out(work, [[0], [1]], 2))
    assert multiprocessing.active_children() == []


def test_a_process_that_is_terminated_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """``timeout`` terminates a whole group; the handler of the first process must not run in the others."""

    def work(batch: list[int]) -> list[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return batch

    before = signal.signal(signal.SIGTERM, lambda number, frame: print("the first one's handler", file=sys.stderr))
    try:
        with pytest.raises(
            ProcessError, match=r"exit code -15 before .*\. Fix: use fewer processes, or smaller batches$"
        ):
            list(shared_out(work, [[0], [1]], 2))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == ""


def test_an_error_in_a_process_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def work(batch: list[int]) -> int:
        return 1 // batch[0]

    with pytest.raises(ProcessError, match="ended with exit code 1 before"):
        list(shared_out(work, [[1], [0]], 2))
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_consumer_that_leaves_early_leaves_no_process_running() -> None:
    def work(batch: list[int]) -> list[int]:
        time.sleep(60 * batch[0])
        return batch

    found = shared_out(work, [[0], [1]], 2)
    assert next(found) == [0]
    found.close()
    assert multiprocessing.active_children() == []


def test_an_interruption_is_left_to_the_first_process() -> None:
    """A terminal sends it to all of them; results that are done are still returned."""

    def work(batch: list[int]) -> list[int]:
        os.kill(os.getpid(), signal.SIGINT)
        return batch

    assert sorted(shared_out(work, [[0], [1]], 2)) == [[0], [1]]


def test_a_process_that_cannot_start_is_named_and_the_others_end() -> None:
    """As where a limit on a user's processes or files is reached."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_files = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(open_files) + 8, before[1]))
    try:
        with pytest.raises(ProcessError, match=r"process \d+ of 100: cannot start \(.*\)\. Fix: use fewer processes$"):
            list(shared_out(lambda batch: time.sleep(60), [[i] for i in range(100)], 100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert multiprocessing.active_children() == []


def test_processes_end_after_their_batch_when_the_first_process_is_killed(tmp_path: Path) -> None:
    """A killed process cannot end the others itself."""
    log = tmp_path / "log"

    def work(batch: list[int]) -> list[int]:
        with log.open("a") as file:
            file.write(f"{os.getpid()} {batch[0]}\n")
        time.sleep(0.1)
        return batch

    first = multiprocessing.get_context("fork").Process(
        target=lambda: list(shared_out(work, [[i] for i in range(10_000)], 3))
    )
    first.start()
    deadline = time.monotonic() + 300
    while len(members := {line.split()[0] for line in _lines(log)}) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.join()
    while any(Path(f"/proc/{member}").exists() and _state(member) != "Z" for member in members):
        assert time.monotonic() < deadline, "a process outlived the first one"
        time.sleep(0.05)
    assert len(_lines(log)) < 10_000


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _state(process: str) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.parametrize(("platform", "expected"), [("linux", True), ("darwin", False), ("win32", False)])
def test_worker_processes_need_linux(monkeypatch: pytest.MonkeyPatch, platform: str, expected: bool) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        found = possible()
    assert found == expected


def test_a_daemon_may_not_start_worker_processes() -> None:
    """Members of a ``multiprocessing.Pool`` are daemons."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert not pool.apply(possible)


def _doubled(batches: list[list[int]]) -> list[list[int]]:
    return sorted(shared_out(lambda batch: [2 * i for i in batch], batches, 2))


def test_any_thread_may_start_them(capfd: pytest.CaptureFixture[str]) -> None:
    async def ask() -> list[list[list[int]]]:
        return await asyncio.gather(*(asyncio.to_thread(_doubled, [[i], [i + 1], [i + 2]]) for i in range(4)))

    expected = [[[2 * i], [2 * i + 2], [2 * i + 4]] for i in range(4)]
    assert asyncio.run(ask()) == expected
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(_doubled, [[[i], [i + 1], [i + 2]] for i in range(4)])) == expected
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


def test_a_process_that_ends_without_its_results_is_an_error() -> None:
    def work(batch: list[int]) -> list[int]:
        os._exit(0)

    with pytest.raises(ProcessError, match="a worker process: ended with exit code 0 before its work was done"):
        list(shared_out(work, [[0], [1]], 2))
