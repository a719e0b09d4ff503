"""Jobs that train at the same time: begun while there is room for them, heard by one loop, stopped by one signal."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress

from continual_mt.errors import ClusterError, ContinualMTError, StoppedError
from ray_jobs.cluster import connection
from ray_jobs.cluster.ray_trainer import Training, TrainingMonitor
from ray_jobs.execution.work import Work
from ray_jobs.planning.resolve import ResolvedJob


@contextmanager
def trained(
    queue: deque[ResolvedJob], begin: Callable[[ResolvedJob], Work], say: Callable[[str], None]
) -> Iterator[list[Work]]:
    """Take jobs from the left of a queue and train them, as many at the same time as the cluster has room for.

    Yields them in their order, registered, to be scored, once none of them trains: where only one fits, that is after
    each. One that failed has its ``error``, and the others went on. An error that concerns all, a signal too, ends all
    that train after a checkpoint, and is raised. What is not scored at the end of the context is left as stopped.
    """
    together = _Together(queue, begin, say)
    try:
        # Ray tells of lost workers on standard output, which is left to what was asked for.
        with redirect_stdout(sys.stderr):
            together.train()
        yield together.works
    finally:
        together.close()


class _Together:
    def __init__(
        self, queue: deque[ResolvedJob], begin: Callable[[ResolvedJob], Work], say: Callable[[str], None]
    ) -> None:
        self.works: list[Work] = []
        self._queue, self._begin, self._say = queue, begin, say
        self._running: dict[Training, Work] = {}
        self._watch = TrainingMonitor()

    def train(self) -> None:
        try:
            self._begin_next()
            while self._running:
                while self._queue and self._has_room(self._queue[0]):
                    self._begin_next()
                for training in self._watch.ended(self._running):
                    self._go_on(self._running.pop(training))
            if self._watch.stopping:
                raise StoppedError("stopped as training ended; start the same job again and it goes on with scoring")
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            try:
                # Who interrupts a second time does not wait for checkpoints.
                if not (interrupted and self._watch.stopping):
                    self._stop()
            finally:
                self.close()
            stopped = [work.error for work in self.works if isinstance(work.error, StoppedError)]
            if interrupted and stopped:  # by a signal that came while the watch looked away
                raise stopped[0] from error
            raise

    def close(self) -> None:
        for work in self.works:
            work.close()

    def _has_room(self, job: ResolvedJob) -> bool:
        shares = [training.share for training in self._running]
        coming = [training.share for training in self._running if not training.has_workers]
        return not self._watch.stopping and connection.has_room(connection.share_of(job.spec.resources), shares, coming)

    def _begin_next(self) -> None:
        work = self._begin(self._queue.popleft())
        self.works.append(work)
        self._go_on(work)

    def _go_on(self, work: Work) -> None:
        """Let a job go on to where it waits next. What it fails with is raised where it concerns all."""
        try:
            work.go_on()
        except ContinualMTError as error:
            if self._queue or len(self.works) > 1:
                self._say(f"{work.job.title}: {error}")
            if work.ends_all(error):
                raise
        if work.training is not None:
            self._running[work.training] = work

    def _stop(self) -> None:
        """End all that train after a checkpoint, and wait for it."""
        self._watch.stop()
        with suppress(ClusterError):
            while self._running:
                for training in self._watch.ended(self._running):
                    with suppress(ContinualMTError):
                        self._go_on(self._running.pop(training))
