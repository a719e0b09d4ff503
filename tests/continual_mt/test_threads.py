"""Processes of their own: what an import does to the environment cannot be undone in this one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

import pytest

from continual_mt import threads

PRODUCT = "torch.randn(600, 600) @ torch.randn(600, 600)"


def python(code: str, environment: Mapping[str, str] | None = None) -> str:
    names = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | (environment or {}), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", ["continual_mt", "registry", "ray_jobs", "dashboards", "continual_mt.cli.main"])
def test_threads_wait_passively_from_the_first_import(package: str) -> None:
    show = f"import os, sys, {package}; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"
    assert python(show) == "PASSIVE False"


@pytest.mark.parametrize(
    "own", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5000"}, {"KMP_BLOCKTIME": "200"}], ids=str
)
def test_a_setting_of_the_user_stays(own: dict[str, str]) -> None:
    show = "import os, continual_mt; print({name: os.environ.get(name) for name in ('OMP_WAIT_POLICY', *%s)})" % [*own]
    assert python(show, own) == str({"OMP_WAIT_POLICY": None} | own)


@pytest.mark.parametrize("first", ["torch, continual_mt", "continual_mt, torch"])
def test_a_program_that_imported_torch_first_parks_threads(first: str) -> None:
    """They make GNU's OpenMP spin briefly; without them, translation beside other work takes ten times as long."""
    code = f"""
import {first}, threading
from continual_mt.threads import computing
torch.set_num_threads(2)
for _ in range(2):
    with computing():
        {PRODUCT}
print({{thread.name for thread in threading.enumerate()}} - {{"MainThread"}})
"""
    assert python(code) == ("{'parked for OpenMP'}" if first.startswith("torch") else "set()")


def test_a_fork_of_a_process_with_threads_computes() -> None:
    code = f"""
import continual_mt, multiprocessing, os, torch
torch.set_num_threads(2)
{PRODUCT}
def product(_):
    {PRODUCT}
    return torch.get_num_threads()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(product, range(3)), torch.get_num_threads())
"""
    assert python(code) == "[1, 1, 1] 2"


def test_a_fork_waits_until_no_other_thread_computes() -> None:
    started, finished = threading.Event(), threading.Event()

    def compute() -> None:
        with threads.computing(), threads.computing():
            started.set()
            time.sleep(0.5)
            finished.set()

    thread = threading.Thread(target=compute)
    thread.start()
    started.wait()
    process = os.fork()
    if process == 0:
        os._exit(0 if finished.is_set() else 7)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    thread.join()


def test_a_thread_may_fork_while_it_computes_and_its_child_may_compute() -> None:
    with threads.computing():
        process = multiprocessing.get_context("fork").Process(target=_compute)
        process.start()
        process.join(60)
    assert process.exitcode == 0


def _compute() -> None:
    with threads.computing():
        pass
    child = multiprocessing.get_context("fork").Process(target=threading.active_count)
    child.start()
    child.join()


def test_computing_goes_on_after_forks_from_several_threads() -> None:
    def fork() -> None:
        for _ in range(5):
            with threads.computing():
                pass
            process = os.fork()
            if process == 0:
                os._exit(0)
            os.waitpid(process, 0)

    forking = [threading.Thread(target=fork) for _ in range(4)]
    for thread in forking:
        thread.start()
    for thread in forking:
        thread.join(60)
    assert not any(thread.is_alive() for thread in forking)
