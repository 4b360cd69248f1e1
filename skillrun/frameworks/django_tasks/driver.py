"""Django's tasks in the repository's interpreter: real rows in the proof's own database, claimed
and run by db_worker.

Runs in the zygote (see probe/main.py); standard library, Django and
django-tasks-db alone.
A message is a task's row as it was published, so that any copy of the database can have it.
`Worker.run` claims it and
`Worker.run_task` does the rest; its end is what that left in the row. The row of a worker that dies
stays RUNNING, and
nothing runs it again. A row that is written in a transaction is there with its commit: until then
nothing is published.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...probe.commits import Commits
from ...probe.consuming import QueueWords
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe, Publish
from ...probe.facts import Facts
from ...probe.names import NotThere, find_object, set_up_django
from ...probe.shapes import make_shape
from ...probe.starting import Ways
from ...probe.swap import swap_code

_ON_KILL = (
    "the row of a worker that dies stays RUNNING, and no worker takes it again: the job is lost"
)
_NO_BACKEND = "{handler} goes to {backend}, and the proof knows django_tasks_db.DatabaseBackend: set TASKS by proof.env"
_NO_LIBRARY = "there is no django_tasks_db from 0.12 on, the backend that the proof knows: {error}"
_NO_TABLE = "the table of django_tasks_db is not there, have proof.setup migrate: {error}"


class Library:
    """What the driver needs of Django and django-tasks-db; made when the settings were read. Raises
    NotThere.
    """

    def __init__(self) -> None:
        self.backend = self._name_of_kind("django_tasks_db.backend")
        self.compat = self._name_of_kind("django_tasks_db.compat")
        if not self._name_of_kind("django.apps").apps.is_installed("django_tasks_db"):
            raise NotThere(_NO_LIBRARY.format(error="INSTALLED_APPS does not have it"))
        self.models = self._name_of_kind("django_tasks_db.models")
        self.worker = self._name_of_kind("django_tasks_db.management.commands.db_worker")
        self.db = self._name_of_kind("django.db")
        self.serializers = self._name_of_kind("django.core.serializers")
        self.version = str(self._name_of_kind("django_tasks_db").__version__)

    def _name_of_kind(self, name: str) -> Any:
        try:
            return importlib.import_module(name)
        except (ImportError, ValueError) as error:
            raise NotThere(_NO_LIBRARY.format(error=error)) from error


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    WAYS = Ways(queues=(QueueWords("manage.py", "db_worker", options=("--queue-name",)),))

    CONTROL: tuple[str, ...] = ()
    LOGGERS = ("django_tasks", "django.tasks")

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.task: Any = None
        self.wanted: Any = None  # the id of the row that a worker may take
        self.delivered: str | None = None  # the id of the row that is run
        self.parent: str | None = None  # of the retry that is being published

    # -- the beginning

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        self._only_wanted()
        self._compile_queries()
        return Facts(
            library=f"django-tasks-db {self.library.version}",
            redelivery_s=1.0,
            acks_late=False,
            lossy=True,
            bounded_kills=True,
            max_attempts=1,
            same_process=True,
            counts_dead=True,
            keeps_rows=True,
            on_kill=_ON_KILL,
            broker_error="django.db.utils:OperationalError",
        )

    def list_default_queues(self) -> Sequence[str]:
        """django_tasks, DEFAULT_TASK_QUEUE_NAME."""
        return ("default",)

    def prepare(self, handler: str) -> None:
        """Reads the settings, finds the task, and hears of every task that is enqueued. Raises
        NotThere.
        """
        if not os.environ.get("DJANGO_SETTINGS_MODULE"):
            raise NotThere("Django has no settings: proof.env does not name DJANGO_SETTINGS_MODULE")
        set_up_django()
        self.library = Library()
        self.commits = Commits(self.probe.recorder, self.library.db)
        self._hook_publishing()
        _, _, self.task = find_object(handler)
        if not isinstance(self.task, self.library.compat.Task):
            raise NotThere(f"{handler} is no Django task but {type(self.task).__name__}")
        backend = self.task.get_backend()
        if not isinstance(backend, self.library.backend.DatabaseBackend):
            kind = type(backend)
            raise NotThere(
                _NO_BACKEND.format(
                    handler=handler, backend=f"{kind.__module__}.{kind.__qualname__}"
                )
            )
        self.takes = _without_context(self.function(), self.task.takes_context)
        # As db_worker does.
        for name in (self.library.compat.TASKS_LOGGER, "django_tasks_db"):
            logging.getLogger(name).setLevel(logging.INFO)

    def function(self) -> Any:
        return inspect.unwrap(self.task.func)

    def _only_wanted(self) -> None:
        """A worker may find other rows: of retries that wait, of jobs that a caller left."""
        queries = self.library.models.DBTaskResultQuerySet
        before: Callable[..., Any] = swap_code(
            queries.get_locked, lambda rows: before(rows.filter(pk=self.wanted))
        )

    def _compile_queries(self) -> None:
        """What Django compiles on first use is there before the forks; no connection outlives
        this.
        """
        try:
            self.library.models.DBTaskResult.objects.ready().first()
        except self.library.db.DatabaseError as error:
            raise NotThere(_NO_TABLE.format(error=error)) from error
        self.library.db.connections.close_all()

    # -- publishing

    def _hook_publishing(self) -> None:
        """Every row that a backend makes is a publish."""
        kind = self.library.backend.DatabaseBackend

        def made(backend: Any, task: Any, args: Any, kwargs: Any) -> Any:
            if not self.probe.recorder.is_listening:
                return before(backend, task, args, kwargs)
            return self._publish_row(
                lambda: before(backend, task, args, kwargs), task, args, kwargs
            )

        async def amade(backend: Any, task: Any, args: Any, kwargs: Any) -> Any:
            """The same row, in the thread where Django would make it."""
            adapted = importlib.import_module("asgiref.sync").sync_to_async
            return await adapted(backend._task_to_db_task)(task, args, kwargs)

        before: Callable[..., Any] = swap_code(kind._task_to_db_task, made)
        swap_code(kind._atask_to_db_task, amade)

    def _publish_row(self, send: Callable[[], Any], task: Any, args: Any, kwargs: Any) -> Any:
        mine = task.func is self.task.func
        arguments = None
        if mine:
            arguments = self.probe.bind_arguments(self.takes, args, kwargs)
        one = Publish(task.module_path, mine)
        with self.probe.around_publish(one, self._once_committed):
            row = send()
            one.message = {
                "id": str(row.pk),
                "row": self.library.serializers.serialize("json", [row]),
                "queue": row.queue_name,
                "arguments": arguments,
            }
            one.delay = self._read_wait(row)
            if mine:
                self.parent = self.delivered
            else:
                self.parent = None
        return row

    def _read_wait(self, row: Any) -> float:
        """Seconds until it may be run."""
        if row.run_after is None or row.run_after == self.library.models.get_date_max():
            return 0.0
        left: float = (row.run_after - _read_time(row.run_after)).total_seconds()
        return max(0.0, round(left, 2))

    def _once_committed(self, tell: Callable[[], None]) -> None:
        """At once, or with the transaction that the row is in."""
        parent = self.parent

        def both() -> None:
            tell()
            if parent is not None:
                self._mark_retried(parent)

        using = self.library.db.router.db_for_write(self.library.models.DBTaskResult)
        self.commits.wait_for_commit(using)(both)

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """Into the queue, and with the priority, of the application's own row."""
        args, kwargs = self.probe.make_arguments(payload, self.takes)
        task = self.task
        if like is not None:
            row = self._make_row(like).object
            task = task.using(
                priority=row.priority, queue_name=row.queue_name, backend=row.backend_name
            )
        task.enqueue(*args, **kwargs)

    # -- delivering

    def _make_row(self, message: dict[str, Any]) -> Any:
        """The row as it was published, not yet saved."""
        return next(iter(self.library.serializers.deserialize("json", message["row"])))

    def deliver(self, message: dict[str, Any]) -> None:
        self.delivered = message["id"]
        worker, row = self._claim_row(message)
        try:
            worker.run_task(row)
        except Exception as error:  # what the row cannot be told of ends the worker
            self.probe.settle(
                "lost",
                why=f"the worker ends with {type(error).__name__}, and the row stays RUNNING",
            )
            return
        if row.status == self.library.compat.TaskResultStatus.FAILED:
            self.probe.settle("dead", why="its row is FAILED")
        else:
            self.probe.settle("acked")

    def _claim_row(self, message: dict[str, Any]) -> tuple[Any, Any]:
        """(worker, row): brought as it was published, and taken by the worker's own loop."""
        taken: list[Any] = []
        brought = self._make_row(message)
        self.wanted = brought.object.pk
        with self.probe.recorder.quiet():
            # A worker may be late, but not early.
            time.sleep(self._read_wait(brought.object))
            # Another copy at its end may close what was brought for this one.
            while not taken:
                brought.save()
                worker = self._make_worker(brought.object.backend_name)
                worker.run_task = taken.append
                worker.run()
            del worker.run_task
        return worker, taken[0]

    def _make_worker(self, backend: str) -> Any:
        """One that looks once."""
        return self.library.worker.Worker(
            queue_names=["*"],
            interval=0,
            batch=False,
            backend_name=backend,
            startup_delay=False,
            max_tasks=0,
            worker_id=f"proof-{os.getpid()}",
            excluded_queue_names=[],
        )

    # -- deaths

    def _mark_retried(self, id_: str) -> None:
        """Whoever dies after the publish of its retry has lost nothing."""
        with self.probe.recorder.quiet(), open(self._find_mark(id_), "wb"):
            pass

    def _find_mark(self, id_: str) -> str:
        return os.path.join(self.probe.settings["scratch"], f".retried-{id_}")

    def died(self, message: dict[str, Any], who: str) -> None:
        if os.path.exists(self._find_mark(message["id"])):
            self.probe.settle("acked", why="its retry was in the queue already")
        else:
            self.probe.settle("lost", why="its row stays RUNNING")

    def rehearse(self) -> None:
        """Nothing: the database is put in place after the process was forked."""

    def dead_letters(self) -> int | None:
        """The FAILED rows."""
        return int(self.library.models.DBTaskResult.objects.failed().count())


def _read_time(like: Any) -> Any:
    return type(like).now(like.tzinfo)


def _without_context(function: Any, takes_context: bool) -> Callable[..., None]:
    """Has the handler's parameters but for `context`, which the worker gives."""
    given = list(inspect.signature(function).parameters.values())
    return make_shape(function, given[1:] if takes_context else given)
