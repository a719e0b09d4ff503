"""How a driver and its workers talk while training runs: progress one way, a request to stop the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import ray
from ray.actor import ActorHandle

from continual_mt.errors import ContinualMTError
from continual_mt.training.progress import ProgressReport

if TYPE_CHECKING:  # the mailbox is a process of its own, which needs no PyTorch
    from continual_mt.training.environment import Environment


@dataclass(frozen=True)
class ProgressUpdate:
    """What happened since the driver last asked. ``error`` is one that another try would meet again.

    ``environment`` is what the first worker last said that it computes in.
    """

    reports: list[ProgressReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: ContinualMTError | None = None
    environment: Environment = field(default_factory=dict)


class Mailbox:
    """Runs as an actor that lives and dies with the driver, on the driver's machine."""

    def __init__(self) -> None:
        self._reports: list[ProgressReport] = []
        self._notes: list[str] = []
        self._error: ContinualMTError | None = None
        self._environment: Environment = {}
        self._stopping = False

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

    def stop(self) -> None:
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    def news(self) -> ProgressUpdate:
        news = ProgressUpdate(self._reports, self._notes, self._error, self._environment)
        self._reports, self._notes = [], []
        return news


class Channel:
    """A handle on the mailbox that can be shipped to workers."""

    def __init__(self, mailbox: ActorHandle[Mailbox]) -> None:
        self._mailbox = mailbox
        self._question: ray.ObjectRef[bool] | None = None
        self._answer = False

    @classmethod
    def open(cls) -> Channel:
        node = ray.get_runtime_context().get_node_id()
        options = ray.remote(Mailbox).options(num_cpus=0, label_selector={"ray.io/node-id": node})
        return cls(cast("ActorHandle[Mailbox]", options.remote()))

    def __reduce__(self) -> tuple[type[Channel], tuple[ActorHandle[Mailbox]]]:
        return Channel, (self._mailbox,)

    def report(self, report: ProgressReport) -> None:
        self._mailbox.report.remote(report)

    def note(self, text: str) -> None:
        self._mailbox.note.remote(text)

    def report_environment(self, environment: Environment) -> None:
        """Say what this worker computes in."""
        ray.get(self._mailbox.report_environment.remote(environment))

    def fail(self, error: ContinualMTError) -> None:
        ray.get(self._mailbox.fail.remote(error))

    def failed(self) -> bool:
        return bool(ray.get(self._mailbox.failed.remote()))

    def stop(self) -> None:
        ray.get(self._mailbox.stop.remote())

    def stopping(self) -> bool:
        """What the mailbox last said; asked anew as each answer arrives, so that no update ever waits for one."""
        if self._question is None:
            self._question = self._mailbox.stopping.remote()
        answered, _ = ray.wait([self._question], timeout=0)
        if answered:
            self._question, self._answer = None, bool(ray.get(answered[0]))
        return self._answer

    def news(self) -> ProgressUpdate:
        return cast(ProgressUpdate, ray.get(self._mailbox.news.remote()))
