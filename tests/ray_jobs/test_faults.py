"""Workers and drivers that are killed during training, on Ray and in the process.

Nothing is lost, and the result is the same as undisturbed, on whichever back end it is finished.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from continual_mt.training.checkpoint import STATE_FILE, TENSOR_FILES, Checkpoint
from ray_jobs import Outcome, add
from registry import Registry
from tests.ray_jobs.programs import Program, last_checkpoint

pytestmark = pytest.mark.slow

UPDATES, VALIDATE_EVERY = 300, 20
LONG = {"training": {"updates": UPDATES, "validate_every": VALIDATE_EVERY, "patience": 0, "dropout": 0.2}}
# A third report is made only when Ray has taken the first checkpoint.
MIDDLE = rf"update {3 * VALIDATE_EVERY} of {UPDATES}"
WORKER = r"worker (\d+) on cpu: starts"
CONTINUES = r"worker (\d+) on cpu: continues from update (\d+)"
FULL_BYTES = 400_000

Values = dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(
    trained_home: tuple[Path, Outcome],
    addition_values: Callable[..., Values],
    tmp_path_factory: pytest.TempPathFactory,
) -> Checkpoint:
    """The last checkpoint of the addition when nothing happens to it, trained in the process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    home = shutil.copytree(trained_home[0], folder / "home")
    values = addition_values("pt-en", LONG, resources={"storage": str(folder / "storage")})
    add(values, home=home, in_process=True)
    return last_checkpoint(folder / "storage")


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    """Parameters, best parameters, optimizer, generators and counters, bit by bit."""
    assert asdict(one.progress) == asdict(other.progress)
    for file in TENSOR_FILES:
        ours, theirs = getattr(one, file), getattr(other, file)
        assert set(ours) == set(theirs)
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), f"{file}: {name}"


def assert_one_module(home: Path, run: str | None) -> None:
    with Registry.open(home) as registry:
        (module,) = registry.modules()
        assert module.full_name == "es-en/pt-en:1"
        assert module.lineage.run == run
        assert module.lineage.job is not None
        job = registry.jobs.get(module.lineage.job)
        assert job is not None
        assert (job.state, job.run, job.holder) == ("finished", run, None)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_killed_drivers_and_workers_are_replaced_and_the_result_is_the_same(
    ray_cluster: Any,
    start: Any,
    home: Path,
    addition_values: Callable[..., Values],
    undisturbed: Checkpoint,
    tmp_path: Path,
) -> None:
    storage = tmp_path / "storage"
    values = addition_values("pt-en", LONG, resources={"storage": str(storage)})
    # Without an address the driver starts a separate Ray, which ends with it.
    program = start("add_language", values, home)
    worker = int(program.await_message(WORKER)[1])
    program.await_message(MIDDLE)
    kill(program, home)
    deadline = time.monotonic() + 300
    while is_alive(worker):
        assert time.monotonic() < deadline, "a worker outlived its driver"
        time.sleep(0.1)
    update = last_checkpoint(storage).progress.update

    program = start("add_language", values, home, ["--in-process"])
    assert int(program.await_message(CONTINUES)[2]) == update
    program.await_message(f"update {update + VALIDATE_EVERY} of {UPDATES}")
    kill(program, home)
    update = last_checkpoint(storage).progress.update
    leave_incomplete_checkpoint(storage)

    program = start("add_language", values, home, environment={"RAY_ADDRESS": ray_cluster.address})
    continued = program.await_message(CONTINUES)
    assert int(continued[2]) == update
    os.kill(int(continued[1]), signal.SIGKILL)
    (outcome,) = program.outcomes()
    incomplete = r"checkpoint .*checkpoint_9999-in-process: cannot be read \(.*\); using the checkpoint before it"
    assert re.search(incomplete, program.messages)
    replaced, update = (int(number) for number in re.findall(CONTINUES, program.messages)[-1])
    assert replaced != int(continued[1])
    assert 0 < update < UPDATES
    assert outcome["trained_now"]
    shutil.rmtree(next(storage.glob("addition-*/checkpoint_9999-in-process")))
    assert_same(last_checkpoint(storage), undisturbed)
    assert_one_module(home, outcome["run"])


def kill(program: Program, home: Path) -> None:
    program.send(signal.SIGKILL)
    assert program.exit_code() == -signal.SIGKILL
    with Registry.open(home) as registry:
        assert registry.modules() == []


def leave_incomplete_checkpoint(storage: Path) -> None:
    """Leave what a process leaves that is killed while it copies a checkpoint, with more updates than the newest."""
    newest = max(storage.glob("addition-*/checkpoint_*-in-process"))
    incomplete = Path(shutil.copytree(newest, newest.with_name("checkpoint_9999-in-process")))
    state = json.loads((incomplete / STATE_FILE).read_text())
    (incomplete / STATE_FILE).write_text(json.dumps(state | {"update": UPDATES}))
    (incomplete / "best.safetensors").write_bytes(b"")


def only(found: list[Any]) -> Any:
    (one,) = found
    return one


def stopped_at(program: Program, home: Path, storage: Path) -> int:
    """Assert that a program ended after a signal, with a checkpoint and no module; return the update it reached."""
    assert program.exit_code() == 1
    stopped = re.search(
        r"error: stopped at update (\d+); a checkpoint was written: start the same job", program.messages
    )
    assert stopped is not None, program.messages
    assert last_checkpoint(storage).progress.update == int(stopped[1])
    with Registry.open(home) as registry:
        assert registry.modules() == []
    return int(stopped[1])


def test_a_signal_ends_the_job_after_a_checkpoint_and_the_other_back_end_continues(
    ray_cluster: Any,
    start: Any,
    home: Path,
    addition_values: Callable[..., Values],
    undisturbed: Checkpoint,
    tmp_path: Path,
) -> None:
    """From Ray to the process and back to Ray."""
    storage = tmp_path / "storage"
    values = addition_values("pt-en", LONG, resources={"storage": str(storage)})
    # --in-process beats the variable.
    here = {"RAY_ADDRESS": ray_cluster.address}
    program = start("add_language", values, home, environment=here)
    program.await_message(WORKER)
    program.send(signal.SIGINT)
    first = stopped_at(program, home, storage)

    program = start("add_language", values, home, ["--in-process"], environment=here)
    program.await_message(rf"update {3 * VALIDATE_EVERY} of {UPDATES}")
    program.send(signal.SIGTERM)
    second = stopped_at(program, home, storage)
    assert 0 < first < second < UPDATES
    assert [int(number) for number in only(re.findall(CONTINUES, program.messages))] == [program.process.pid, first]

    program = start("add_language", values, home, environment=here)
    (outcome,) = program.outcomes()
    worker, update = (int(number) for number in only(re.findall(CONTINUES, program.messages)))
    assert worker != program.process.pid
    assert update == second
    assert_same(last_checkpoint(storage), undisturbed)
    assert_one_module(home, outcome["run"])


def test_two_workers_are_stopped_resumed_and_replaced(
    ray_cluster: Any, start: Any, home: Path, addition_values: Callable[..., Values], tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    values = addition_values("pt-en", LONG, resources={"workers": 2, "storage": str(storage)})
    here = {"RAY_ADDRESS": ray_cluster.address}
    program = start("add_language", values, home, environment=here)
    program.await_message(MIDDLE)
    program.send(signal.SIGTERM)
    update = stopped_at(program, home, storage)

    program = start("add_language", values, home, environment=here)
    continued = program.await_message(CONTINUES)
    assert int(continued[2]) == update
    os.kill(int(continued[1]), signal.SIGKILL)
    program.await_message(rf"{CONTINUES}\n(?s:.*){CONTINUES}")
    (outcome,) = program.outcomes()
    assert last_checkpoint(storage).progress.finished
    # One machine has all text: nothing is copied.
    assert "was sent to machines" not in program.messages
    assert_one_module(home, outcome["run"])


def test_a_full_disk_and_a_tracking_server_that_is_down_cost_nothing(
    ray_cluster: Any, start: Any, parent_values: Callable[..., Values], tmp_path: Path
) -> None:
    # On Ray, so that the limit is the driver's alone and checkpoints are written.
    # Wide enough for embeddings that are larger than the database, so that the limit meets blobs alone.
    values = parent_values(architecture={"width": 256}, vocabulary={"source": 700, "target": 170})
    environment = {"RAY_ADDRESS": ray_cluster.address, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    home = tmp_path / "home"

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))

    program = start("train_parent", values, home, environment=environment, preexec_fn=fill)
    assert program.exit_code() == 1
    assert re.search(r"error: .*blobs.*(space|large|limit)", program.messages), program.messages
    assert "Traceback" not in program.messages
    with Registry.open(home) as registry:
        assert registry.parents() == []
        assert registry.scores() == []

    program = start("train_parent", values, home, ["--in-process"], environment=environment)
    (outcome,) = program.outcomes()
    assert outcome["name"] == "es-en"
    assert outcome["run"] is None
    assert "continues from update 8" in program.messages
    assert "MLflow could not start the run" in program.messages
    with Registry.open(home) as registry:
        registry.assemble("es", "en").translate(["Portugués de Brasil"])
