"""Jobs that train at the same time: started while there is room for them, polled by one loop, stopped by one signal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from types import FrameType
from typing import Generic, Protocol, TypeVar

from continual_mt.config.spec import Resources
from continual_mt.errors import ClusterError, ContinualMTError, StoppedError
from ray_jobs.execution.backend import RunningTraining, TrainingBackend

POLL_SECONDS = 0.5


class Trainable(Protocol):
    """A `Job`, as far as its training goes."""

    error: ContinualMTError | None

    @property
    def title(self) -> str: ...

    @property
    def resources(self) -> Resources: ...

    def start(self) -> RunningTraining | None: ...

    def finish(self) -> object: ...

    def affects_others(self, error: ContinualMTError) -> bool: ...

    def close(self) -> None: ...


Jobs = TypeVar("Jobs", bound=Trainable)


def train_together(jobs: Sequence[Jobs], backend: TrainingBackend, say: Callable[[str], None]) -> Sequence[Jobs]:
    """Start and finish jobs in their order, as many at the same time as there is room for, until none trains.

    Returns the first jobs of ``jobs`` that were started; if there is room for one only, that is the first. A job that
    failed has its ``error``, and the others continue. An error that affects all, such as a signal, ends all that train
    after a checkpoint, closes all, and is raised.
    """
    # Ray reports lost workers on standard output, which is kept for the result.
    with redirect_stdout(sys.stderr):
        return _Scheduler(jobs, backend, say).train()


class _Scheduler(Generic[Jobs]):
    def __init__(self, jobs: Sequence[Jobs], backend: TrainingBackend, say: Callable[[str], None]) -> None:
        self._jobs, self._backend, self._say = jobs, backend, say
        self._started = 0
        self._running: dict[RunningTraining, Jobs] = {}
        self._monitor = TrainingMonitor()

    def train(self) -> Sequence[Jobs]:
        try:
            self._start_next()
            while self._running:
                while self._can_start_next():
                    self._start_next()
                for training in self._monitor.ended(self._running):
                    self._finish(self._running.pop(training))
            if self._monitor.stopping:
                raise StoppedError(
                    "stopped when training had ended; start the same job again and it continues with scoring"
                )
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            try:
                # A second signal does not wait for checkpoints.
                if not (interrupted and self._monitor.stopping):
                    self._stop_all()
            finally:
                for job in self._jobs:
                    job.close()
            stopped = [job.error for job in self._jobs if isinstance(job.error, StoppedError)]
            if interrupted and stopped:  # the signal came while the monitor did not handle signals
                raise stopped[0] from error
            raise
        return self._jobs[: self._started]

    def _can_start_next(self) -> bool:
        if self._monitor.stopping or self._started == len(self._jobs):
            return False
        return self._backend.has_room(self._jobs[self._started].resources)

    def _start_next(self) -> None:
        job = self._jobs[self._started]
        self._started += 1
        with self._failing_alone(job):
            training = job.start()
            if training is None:
                job.finish()
            else:
                self._running[training] = job

    def _finish(self, job: Jobs) -> None:
        with self._failing_alone(job):
            job.finish()

    @contextmanager
    def _failing_alone(self, job: Jobs) -> Iterator[None]:
        """ProgressReport the error of one of several jobs; raise it if it affects all."""
        try:
            yield
        except ContinualMTError as error:
            if len(self._jobs) > 1:
                self._say(f"{job.title}: {error}")
            if job.affects_others(error):
                raise

    def _stop_all(self) -> None:
        """End all trainings after a checkpoint, and wait for it."""
        self._monitor.stop()
        with suppress(ClusterError):
            while self._running:
                for training in self._monitor.ended(self._running):
                    with suppress(ContinualMTError):
                        self._finish(self._running.pop(training))


class TrainingMonitor:
    """Polls several trainings, in one thread. While it does, SIGINT and SIGTERM stop all of them."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def ended(self, running: Iterable[RunningTraining]) -> list[RunningTraining]:
        """Those that have ended; waits half a second at most for the first. Raises ClusterError for a lost cluster."""
        with _signals(self._stop):
            return [
                training
                for index, training in enumerate(running)
                if training.poll(self._stop, 0.0 if index else POLL_SECONDS)
            ]


@contextmanager
def _signals(event: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set the event; a second signal acts as it did before. Only the main thread handles signals."""
    if event.is_set() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
