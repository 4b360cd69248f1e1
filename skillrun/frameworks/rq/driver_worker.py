"""RQ's worker in the process that is its work horse already.

Runs in the zygote, beside the driver.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from typing import Any

import rq.utils
from rq import Queue, Worker
from rq.job import Job

_HANDS_ON = "execution" in inspect.signature(Worker.perform_job).parameters


class InProcess(Worker):
    """RQ's forking worker, as it is, except that this process is its work horse already."""

    def wait_for_horse(self) -> Any:
        """As waitpid says it of a process that was killed."""
        return os.getpid(), int(signal.SIGKILL), None

    def procline(self, message: str) -> None:
        """The process keeps its title."""

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Nobody asks for this worker: it leaves no record of itself."""

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """As `set_state`."""

    def work_on(self, job: Job, queue: Queue) -> None:
        """What a work horse does; RQ before 2 keeps no record of each execution."""
        execution = None
        if hasattr(self, "prepare_execution"):
            execution = self.prepare_execution(job)
        self.perform_job(job, queue, *self._hand_execution(execution))

    def horse_died(self, job: Job, queue: Queue) -> None:
        """What a worker does whose work horse was killed."""
        execution = None
        # RQ before 2 keeps no record of each execution.
        if hasattr(job, "get_executions"):
            execution = next(iter(reversed(job.get_executions())), None)
            # The horse may have taken its record away before it died; the worker still has it.
            execution = execution or _make_execution(job)
        self.monitor_work_horse(job, queue, *self._hand_execution(execution))

    def _hand_execution(self, execution: Any) -> tuple[Any, ...]:
        """RQ 3 hands an execution on; in RQ 2 the worker holds it."""
        if _HANDS_ON:
            return (execution,)
        self.execution = execution
        return ()


def _make_execution(job: Job) -> Any:
    """The record of the job's execution that the worker holds."""
    kind = rq.utils.import_attribute("rq.executions.Execution")
    return kind(f"{job.id}-gone", job.id, connection=job.connection)


def make_class(begun: Any) -> type[InProcess]:
    """The class of the worker that the repository begins: it may do more around a job."""
    kind = type(begun)
    if begun is None or issubclass(InProcess, kind):
        return InProcess
    return type(InProcess.__name__, (InProcess, kind), {})


def make_worker(begun: Any, queue: Queue, version: Any) -> InProcess:
    """Of this queue, as the repository's own worker is. `version`: the server's."""
    worker: Any = make_class(begun)(
        [queue],
        name="proof",
        connection=queue.connection,
        prepare_for_work=False,
        job_class=queue.job_class,
        queue_class=type(queue),
        serializer=queue.serializer,
    )
    if begun is not None:
        worker._exc_handlers = begun._exc_handlers
        worker.disable_default_exception_handler = begun.disable_default_exception_handler
    worker.redis_server_version = version
    # Registries are cleaned when a worker died, see `Driver.died`, and not here.
    worker.last_cleaned_at = read_time()
    made: InProcess = worker
    return made


def read_time() -> Any:
    """The time as the worker takes it: without a time zone before RQ 2."""
    before = getattr(sys.modules[Worker.__module__], "utcnow", None)
    return (before or rq.utils.now)()
