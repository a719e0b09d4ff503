"""The programs of ray_jobs as processes that tests watch, signal and kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from continual_mt.training.checkpoint import Checkpoint
from ray_jobs.execution.checkpoints import RunCheckpoints

Values = dict[str, Any]


def last_checkpoint(storage: Path, pair: str = "") -> Checkpoint:
    """Return the newest checkpoint of the only addition, or of the only one for ``pair``, under a storage path."""
    (run,) = storage.glob(f"addition-{pair}*")
    checkpoint = RunCheckpoints(str(storage), run.name).newest()
    assert checkpoint is not None
    return checkpoint


class Program:
    """``python -m ray_jobs.NAME`` as a process; ``words`` are further arguments.

    ``inside`` are words before the command, which may lead to another machine.
    """

    def __init__(
        self,
        name: str,
        values: Values,
        home: Path,
        folder: Path,
        words: Sequence[str] = (),
        inside: Sequence[str] = (),
        **options: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        spec = folder / "spec.yaml"
        spec.write_text(json.dumps(values))
        self._out, self._err = folder / "out", folder / "err"
        environment = {**os.environ, **options.pop("environment", {})}
        command = [*inside, sys.executable, "-m", f"ray_jobs.{name}", str(spec), "--home", str(home), *words]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, cwd=folder, **options)

    @property
    def messages(self) -> str:
        """Everything it has printed to standard error."""
        return self._err.read_text(encoding="utf-8")

    def await_message(self, pattern: str, seconds: float = 300) -> re.Match[str]:
        """Wait for a message that matches the pattern; fail if the program ends without one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.messages):
                return found
            if ended:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} was not printed: {self.messages}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def outcomes(self, seconds: float = 240) -> list[Values]:
        """Wait for its end and return the outcomes it printed; fail unless it ended with 0."""
        assert self.exit_code(seconds) == 0, self.messages
        printed = self._out.read_text(encoding="utf-8")
        lines = printed.splitlines()
        assert all(line.startswith("{") for line in lines), printed
        return [json.loads(line) for line in lines]

    def exit_code(self, seconds: float = 240) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
