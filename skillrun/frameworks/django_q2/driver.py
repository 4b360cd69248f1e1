"""Django Q2 in the repository's interpreter: its own pusher, worker and monitor, one after the
other, for one package.

Runs in the zygote (see probe/main.py); standard library, Django and Django Q2 alone.
A package is a row of OrmQ in the application's database: it is there with the commit of its
publisher, is locked for `retry` seconds when it is taken, and deleted when it is acknowledged. What
becomes of it is read from that row, after a delivery and after a death alike. The Redis broker pops
a package: nobody gives it back.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import datetime
import importlib
import inspect
import operator
import os
import pickle
import pydoc
import signal
import traceback
import types
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ...probe.commits import Commits
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe, Publish, seconds_left
from ...probe.facts import Facts
from ...probe.names import NotThere, find_object, set_up_django
from ...probe.swap import swap_code

# What stays of a message when it becomes another one.
_KEPT = ("arguments", "redelivered", "later")
_LOOKS_S = 30.0  # between two looks of the scheduler
_ON_KILL = "nobody acknowledges it: it is taken again {retry:g} s after it was taken, and no attempt is counted"
_POPPED = "it was popped from Redis: it is lost"
_NO_SETTINGS = "Django Q2 reads Django's settings: name DJANGO_SETTINGS_MODULE in proof.env"
_NO_BROKER = "the proof knows Django Q2's ORM and Redis brokers, and Q_CLUSTER names {name}"
_NO_TABLE = "Django Q2's tables are not there, have proof.setup migrate: {error}"
_NO_FUNCTION = "{handler} is no function but {kind}"


class Line:
    """What multiprocessing's queue between two processes of a cluster does: it pickles, and drops
    what it cannot.
    """

    def __init__(self) -> None:
        self.packed: list[bytes] = []
        self.last: Any = None

    def put(self, value: Any) -> None:
        """Takes a value. Of one that cannot be pickled only the error is printed, as the thread
        that feeds a real queue does.
        """
        try:
            self.packed.append(bytes(ForkingPickler.dumps(value)))
        except Exception:
            traceback.print_exc()

    def get(self) -> Any:
        """The next value; at the end "STOP", which ends the process that reads it."""
        if not self.packed:
            return "STOP"
        self.last = pickle.loads(self.packed.pop(0))
        return self.last


class Timer:
    """The value by which a worker tells the sentinel what it does."""

    value = -1.0

    @contextlib.contextmanager
    def get_lock(self) -> Iterator[None]:
        """Holds nothing: no sentinel looks."""
        yield


class Stopped:
    """The pusher's event: it looks once."""

    def is_set(self) -> bool:
        return True


class Alarms(types.ModuleType):
    """`signal` without the machine's own time, which a delivery that stands still would use up."""

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def alarm(self, seconds: int) -> int:
        """Refuses what is no whole number, as the real one does."""
        operator.index(seconds)
        return 0


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL: tuple[str, ...] = ()
    LOGGERS = ("django-q", "traceback")

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.target: Any = None
        self.collected: list[str] | None = None  # what the scheduler queues, while it runs

    # -- the beginning

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        self._hook_publishing()
        # Before Django Q2 1.8 there is no such module: the sentinel alone keeps the time.
        with contextlib.suppress(ImportError):
            timeout: Any = importlib.import_module("django_q.timeout")
            timeout.signal = Alarms("signal")
        self._compile_queries()
        return self.read_facts()

    def prepare(self, handler: str) -> None:
        """Reads the settings and finds the function. Raises NotThere."""
        if not os.environ.get("DJANGO_SETTINGS_MODULE"):
            raise NotThere(_NO_SETTINGS)
        set_up_django()
        load = importlib.import_module
        self.cluster, self.conf = load("django_q.cluster"), load("django_q.conf").Conf
        self.models, self.tasks = load("django_q.models"), load("django_q.tasks")
        self.signing, self.db = load("django_q.signing").SignedPackage, load("django.db")
        self.now: Callable[[], Any] = load("django.utils.timezone").now
        # A development setting may run jobs where they are queued.
        self.conf.SYNC = False
        self.broker = load("django_q.brokers").get_broker()
        self.orm = self._is_of_module("orm")
        if not self.orm and not self._is_of_module("redis_broker"):
            raise NotThere(_NO_BROKER.format(name=type(self.broker).__qualname__))
        _, _, self.target = find_object(handler)
        if not inspect.isroutine(self.target):
            raise NotThere(_NO_FUNCTION.format(handler=handler, kind=type(self.target).__name__))
        self.commits = Commits(self.probe.recorder, self.db)

    def _is_of_module(self, module: str) -> bool:
        """Whether the broker is one of Django Q2's, or derived from it."""
        modules = [kind.__module__ for kind in type(self.broker).__mro__]
        return f"django_q.brokers.{module}" in modules

    def _compile_queries(self) -> None:
        """Lets Django compile before the forks what it compiles on first use. No connection
        outlives this. Raises NotThere where Django Q2's tables are missing.
        """
        try:
            for model in (self.models.Task, self.models.Schedule):
                model.objects.first()
            if self.orm:
                self._list_rows().first()
        except self.db.DatabaseError as error:
            raise NotThere(_NO_TABLE.format(error=error)) from error
        self.db.connections.close_all()

    def read_facts(self) -> Facts:
        version = ".".join(map(str, importlib.import_module("django_q").VERSION))
        redelivery_s = 1.0
        on_kill = _POPPED
        broker_error = "redis.exceptions:ConnectionError"
        if self.orm:
            redelivery_s = float(self.conf.RETRY)
            on_kill = _ON_KILL.format(retry=self.conf.RETRY)
            broker_error = "django.db.utils:OperationalError"
        return Facts(
            library=f"django-q2 {version}",
            redelivery_s=redelivery_s,
            acks_late=self.orm,
            bounded_kills=not self.orm,
            lossy=not self.orm,
            same_process=self.conf.RECYCLE != 1,
            counts_dead=True,
            keeps_rows=self.orm,
            on_kill=on_kill,
            broker_error=broker_error,
        )

    def function(self) -> Any:
        wrapped = inspect.unwrap(self.target)
        return getattr(wrapped, "__func__", wrapped)

    # -- publishing

    def _hook_publishing(self) -> None:
        """Reports every package that a broker takes as a publish, and every new row of Schedule."""

        def enqueue(broker: Any, pack: Any) -> Any:
            def send() -> Any:
                if self.orm:
                    return before(broker, pack)
                return None

            if self.collected is not None:
                self.collected.append(pack)
                return send()
            if self.probe.recorder.is_listening:
                return self._publish_package(broker, pack, send)
            return send()

        def save(row: Any, *args: Any, **kwargs: Any) -> Any:
            # Before Django Q2 1.7 Schedule has no `save` of its own: it is that of every model.
            is_new_schedule = isinstance(row, self.models.Schedule) and row._state.adding
            if not is_new_schedule or not self.probe.recorder.is_listening:
                return saved(row, *args, **kwargs)
            return self._publish_schedule(row, lambda: saved(row, *args, **kwargs))

        before: Callable[..., Any] = swap_code(type(self.broker).enqueue, enqueue)
        saved: Callable[..., Any] = swap_code(self.models.Schedule.save, save)

    def _publish_package(self, broker: Any, pack: str, send: Callable[[], Any]) -> Any:
        """Reports a package that `send` puts into the broker; a row is there with its commit."""
        task = self.signing.loads(pack)
        one = self._make_publish(task["func"], task["args"], task["kwargs"])
        one.message |= {"pack": pack, "id": task["id"], "key": broker.list_key}
        if self.orm:
            when = self.commits.wait_for_commit(self.conf.ORM)
        else:
            when = _at_once
        with self.probe.around_publish(one, when):
            return send()

    def _publish_schedule(self, row: Any, send: Callable[[], Any]) -> Any:
        """Reports a row of Schedule that `send` saves: the scheduler queues it when it is due, and
        never where it has no time. To save one with a cron expression sets its time.
        """
        args, kwargs = _read_arguments(row.args, row.kwargs)
        one = self._make_publish(row.func, args, kwargs)
        with self.probe.around_publish(
            one, self.commits.wait_for_commit(self.db.router.db_for_write(self.models.Schedule))
        ):
            result = send()
            one.message |= {"schedule": _serialise_row(row), "group": row.name or row.pk}
            if row.next_run is None or row.repeats == 0:
                one.to_handler = False
            else:
                one.delay = seconds_left(row.next_run - self.now())
        return result

    def _make_publish(self, func: Any, args: Any, kwargs: Any) -> Publish:
        """What is reported of a call that is published; its message is not whole yet."""
        called = func
        if not callable(func):
            called = pydoc.locate(str(func))
        to_handler = False
        if callable(called):
            to_handler = inspect.unwrap(called) is inspect.unwrap(self.target)
        arguments = None
        if to_handler:
            arguments = self.probe.bind_arguments(self.function(), args, kwargs)
        if isinstance(func, str):
            label = func
        else:
            label = f"{func.__module__}.{func.__qualname__}"
        return Publish(label, to_handler, {"arguments": arguments})

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """`like`: the application's own message: its hook, its timeout and its other options belong
        to every one.
        """
        args, kwargs = self.probe.make_arguments(payload, self.function())
        if like is None:
            self.tasks.async_task(
                f"{self.target.__module__}.{self.target.__qualname__}", *args, **kwargs
            )
        elif "schedule" in like:
            row = _make_row(like["schedule"])
            row.pk, row.name, row._state.adding = None, None, True
            row.args, row.kwargs = str(tuple(args)), str(kwargs)
            row.save()
        else:
            name, id_ = self.tasks.uuid()
            task = {
                **self.signing.loads(like["pack"]),
                "id": id_,
                "name": name,
                "started": self.now(),
            }
            pack = self.signing.dumps({**task, "args": tuple(args), "kwargs": kwargs})
            importlib.import_module("django_q.brokers").get_broker(task.get("cluster")).enqueue(
                pack
            )

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        if "schedule" in message:
            queued = self._make_queued(message)
            if queued is None:
                self.probe.settle(
                    "requeued", delay=_LOOKS_S, why="the scheduler could not read its row"
                )
                return
            message = queued
        broker = self._lend_broker(message)
        if broker is None:
            # Another delivery has done it, or has it.
            self.probe.settle("acked", why="ignored")
            return
        tasks, results = Line(), Line()
        self.cluster.pusher(tasks, Stopped(), broker)
        worked = self._ends_well(
            lambda: self.cluster.worker(tasks, results, Timer(), self.conf.TIMEOUT)
        )
        self._ends_well(lambda: self.cluster.monitor(results, broker))
        done = results.last is not None and results.last["success"]
        self._tell_end(message, failed=not (worked and done))

    def _ends_well(self, process: Callable[[], None]) -> bool:
        """Whether a process of the cluster ends as it should; else the sentinel begins another
        one.
        """
        try:
            process()
        except (Exception, SystemExit) as error:
            self.probe.tell_uncaught_error(error)
            return False
        return True

    def _lend_broker(self, message: dict[str, Any]) -> Any:
        """A broker that gives this package alone; None where a package that came back is there no
        more.
        """
        pk = None
        if self.orm:
            with self.probe.recorder.quiet():
                pk = self._take_row(message)
            if pk is None:
                return None
        broker = copy.copy(self.broker)
        broker.list_key, broker.dequeue = message["key"], lambda: [(pk, message["pack"])]
        return broker

    def _list_rows(self) -> Any:
        """The rows of all packages, as a query."""
        return self.models.OrmQ.objects.using(self.conf.ORM)

    def _find_held_row(self, message: dict[str, Any]) -> Any:
        """The row of a message; None where it is gone. Packages are told apart by their text, which
        holds the task's id.
        """
        return self._list_rows().filter(payload=message["pack"]).first()

    def _take_row(self, message: dict[str, Any]) -> Any:
        """Locks the row of a message for as long as `retry` says, as the broker's `dequeue` does,
        and returns its primary key; None where another delivery has it or has done it.
        """
        row = self._find_held_row(message)
        if message.get("again") and (row is None or row.lock > self.now()):
            return None
        row = row or self._list_rows().create(
            key=message["key"], payload=message["pack"], lock=self.now()
        )
        self._list_rows().filter(pk=row.pk).update(
            lock=self.now() + datetime.timedelta(seconds=self.conf.RETRY)
        )
        return row.pk

    def _make_queued(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """What the scheduler makes of a row of Schedule, or has made of it; None where it fails."""
        with self.probe.recorder.quiet():
            made = self._find_queued(message)
            if made is not None:
                return made
            row = _make_row(message["schedule"])
            row.next_run = min(row.next_run, self.now() - datetime.timedelta(seconds=1))
            row.save()
            found = self._run_scheduler(row.pk)
        if found:
            return self._make_message(found[0], message)
        return None

    def _run_scheduler(self, pk: Any) -> list[str]:
        """The packages that the scheduler makes of one row: others that are due have messages of
        their own.
        """
        manager, self.collected = self.models.Schedule.objects, []
        manager.select_for_update = lambda: manager.filter(pk=pk)
        try:
            self.cluster.scheduler(self.broker)
            return self.collected
        finally:
            del manager.select_for_update
            self.collected = None

    def _find_queued(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """The message of the package that the scheduler made of a row; None where there is none. It
        groups what it queues by the name of the schedule, or by its id.
        """
        if self.orm:
            for row in self._list_rows().all():
                if self.signing.loads(row.payload).get("group") == message["group"]:
                    return self._make_message(row.payload, message)
        return None

    def _make_message(self, pack: str, message: dict[str, Any]) -> dict[str, Any]:
        """The message of a package that was made of another message's schedule."""
        kept: dict[str, Any] = {name: message[name] for name in _KEPT if name in message}
        return {
            **kept,
            "pack": pack,
            "id": self.signing.loads(pack)["id"],
            "key": self.broker.list_key,
        }

    def _tell_end(self, message: dict[str, Any], *, failed: bool, died: bool = False) -> None:
        """Reports what became of a package, by its row and the Task that is kept of it. A delivery
        that succeeded while another one of the same package kept a failed Task has succeeded.
        """
        row = None
        if self.orm:
            row = self._find_held_row(message)
        if row is not None:
            delay = seconds_left(row.lock - self.now())
            if died and delay:
                # Nothing passed since it was taken but the proof's own steps.
                delay = float(self.conf.RETRY)
            self.probe.settle("requeued", delay=delay, message={**message, "again": True})
            return
        kept_tasks = self.models.Task.objects.filter(id=message["id"])
        has_succeeded = kept_tasks.values_list("success", flat=True).first()
        if has_succeeded is False and failed:
            self.probe.settle("dead", why="a failed Task")
        elif failed and has_succeeded is None:
            self.probe.settle("lost", why="nothing keeps it")
        elif failed:
            self.probe.settle("acked", why="raised")
        else:
            self.probe.settle("acked")

    def died(self, message: dict[str, Any], who: str) -> None:
        with self.probe.recorder.quiet():
            if "schedule" in message:
                kept_tasks = self.models.Task.objects.filter(group=message["group"])
                done = kept_tasks.values_list("id", flat=True).first()
                message = self._find_queued(message) or {**message, "pack": "", "id": done or ""}
            self._tell_end(message, failed=True, died=True)

    def dead_letters(self) -> int | None:
        """How many failed Tasks there are, those of a job that comes again among them."""
        return int(self.models.Failure.objects.count())


def _at_once(tell: Callable[[], None]) -> None:
    """Reports a publish without waiting for a commit."""
    tell()


def _read_arguments(args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in a row of Schedule, which are text, as the scheduler reads them; none where
    it cannot read them.
    """
    given: Any = ()
    named: Any = {}
    try:
        if args:
            given = ast.literal_eval(str(args))
        if kwargs:
            named = ast.literal_eval(str(kwargs))
    except (SyntaxError, ValueError):
        return (), {}
    if not isinstance(given, tuple):
        given = (given,)
    if not isinstance(named, dict):
        named = {}
    return given, named


def _serialise_row(row: Any) -> str:
    """A row of Schedule as text, from which `_make_row` makes it again."""
    text: str = importlib.import_module("django.core.serializers").serialize("json", [row])
    return text


def _make_row(text: str) -> Any:
    """A row of Schedule, not yet saved."""
    serializers: Any = importlib.import_module("django.core.serializers")
    return next(iter(serializers.deserialize("json", text))).object
