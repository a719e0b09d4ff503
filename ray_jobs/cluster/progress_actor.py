"""The actor between a driver and its workers.

It passes on their progress, the texts that they need from the driver, and the driver's request to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import ray
from ray.actor import ActorHandle

from continual_mt.errors import ContinualMTError
from continual_mt.training.progress import ProgressReport
from ray_jobs.execution.backend import ProgressUpdate

if TYPE_CHECKING:  # the actor is a separate process, which needs no PyTorch
    from continual_mt.training.environment import Environment


class ProgressActor:
    """Runs on the driver's machine and ends with the driver."""

    def __init__(self) -> None:
        self._reports: list[ProgressReport] = []
        self._notes: list[str] = []
        self._error: ContinualMTError | None = None
        self._environment: Environment = {}
        self._stopping = False
        self._wanted: list[str] = []
        self._sent: set[str] = set()

    def report(self, report: ProgressReport) -> None:
        self._reports.append(report)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def report_environment(self, environment: Environment) -> None:
        self._environment = environment

    def fail(self, error: ContinualMTError) -> None:
        self._error = self._error or error

    def failed(self) -> bool:
        return self._error is not None

    def ask_for(self, text: str) -> bool | ContinualMTError:
        """Whether the driver has sent a text; otherwise it is asked to. After an error, the error."""
        if self._error is not None:
            return self._error
        if text not in self._sent and text not in self._wanted:
            self._wanted.append(text)
        return text in self._sent

    def sent(self, text: str) -> None:
        self._sent.add(text)

    def stop(self) -> None:
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    def take_update(self) -> ProgressUpdate:
        update = ProgressUpdate(self._reports, self._notes, self._error, self._environment, list(self._wanted))
        self._reports, self._notes = [], []
        return update


class Channel:
    """A handle on the actor that can be sent to workers."""

    def __init__(self, actor: ActorHandle[ProgressActor]) -> None:
        self._actor = actor
        self._question: ray.ObjectRef[bool] | None = None
        self._answer = False

    @classmethod
    def open(cls) -> Channel:
        node = ray.get_runtime_context().get_node_id()
        options = ray.remote(ProgressActor).options(num_cpus=0, label_selector={"ray.io/node-id": node})
        return cls(cast("ActorHandle[ProgressActor]", options.remote()))

    def __reduce__(self) -> tuple[type[Channel], tuple[ActorHandle[ProgressActor]]]:
        return Channel, (self._actor,)

    def report(self, report: ProgressReport) -> None:
        self._actor.report.remote(report)

    def note(self, text: str) -> None:
        self._actor.note.remote(text)

    def report_environment(self, environment: Environment) -> None:
        """ProgressReport what this worker computes in."""
        ray.get(self._actor.report_environment.remote(environment))

    def fail(self, error: ContinualMTError) -> None:
        ray.get(self._actor.fail.remote(error))

    def failed(self) -> bool:
        return bool(ray.get(self._actor.failed.remote()))

    def ask_for(self, text: str) -> bool:
        """Whether the driver has sent the text with a key; otherwise it is asked to. Raises the error of a worker."""
        answer = cast("bool | ContinualMTError", ray.get(self._actor.ask_for.remote(text)))
        if isinstance(answer, ContinualMTError):
            raise answer
        return answer

    def sent(self, text: str) -> None:
        ray.get(self._actor.sent.remote(text))

    def stop(self) -> None:
        ray.get(self._actor.stop.remote())

    def stopping(self) -> bool:
        """The actor's last answer; the next question follows each answer, so that no update waits for one."""
        if self._question is None:
            self._question = self._actor.stopping.remote()
        answered, _ = ray.wait([self._question], timeout=0)
        if answered:
            self._question, self._answer = None, bool(ray.get(answered[0]))
        return self._answer

    def take_update(self) -> ProgressUpdate:
        return cast(ProgressUpdate, ray.get(self._actor.take_update.remote()))
