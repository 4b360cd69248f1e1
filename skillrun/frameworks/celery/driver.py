"""Celery 5 in the repository's interpreter: real messages, the worker's own request and tracer, and
no broker.

Runs in the zygote (see probe/main.py); standard library and Celery alone. What
the worker does with a message whose process died is Celery's own code too: `Request.on_failure`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from celery import Task, _state, current_app, signals
from celery.app import trace
from celery.exceptions import Ignore, Retry
from celery.worker.request import Request
from kombu.message import Message
from kombu.messaging import Producer

from ...probe.consuming import QueueWords, TimerWords
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe
from ...probe.facts import Facts
from ...probe.names import NotThere, find_object, import_beside_django, set_up_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.starting import Importer, Ways
from ...probe.swap import swap_code


def change_settings(app: Any, **values: Any) -> None:
    """Changes settings. Before Celery 5.7 one under the app's namespace hides a change of the plain
    name.
    """
    app.conf.update(values)
    if not app.namespace:
        return
    # "CELERY" and "CELERY_": CELERY_BROKER_URL; "celery": celery_broker_url
    prefix = f"{app.namespace.rstrip('_')}_"
    under_namespace = {}
    for name, value in values.items():
        full_name = prefix + name
        if prefix.isupper():
            full_name = full_name.upper()
        under_namespace[full_name] = value
    app.conf.update(under_namespace)


def _name_queue(declare: Any, exchange: Any, routing_key: Any) -> str:
    """The queue that a message goes to; "" where an exchange decides. Celery declares it with the
    message (celery/app/amqp.py, send_task_message).
    """
    for queue in declare or ():
        return str(getattr(queue, "name", ""))
    if exchange:
        return ""
    return str(routing_key or "")


_SOFT_LIMIT = "celery.exceptions:SoftTimeLimitExceeded"
_VISIBILITY_TIMEOUT_S = 3600  # kombu.transport.redis.Channel.visibility_timeout
_AT_ONCE_S = 1.0  # a second of virtual time stands for "at once"


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = ("celery.exceptions.Retry", "celery.exceptions.Ignore", "celery.exceptions.Reject")
    LOGGERS = ("celery.", "kombu.", "amqp.", "billiard.")
    # The parent of what `get_task_logger` gives: TaskFormatter writes the task's id.
    TASK_LOGGERS = ("celery.task",)
    WAYS = Ways(
        entries=("celery.app.base:Celery.worker_main", "celery.app.base:Celery.start"),
        importers=(Importer("celery", options=("-A", "--app")),),
        queues=(QueueWords("celery", "worker", options=("-Q", "--queues")),),
        timers=(
            TimerWords("celery", "beat"),
            TimerWords("celery", "worker", ("-B", "--beat")),
        ),
        timer_code=("PersistentScheduler", "EmbeddedService", ".Beat("),
    )

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.task: Any = None
        self.app: Any = None
        self.scheme = "amqp"
        self.made_late = False

    def boot(self, handler: str) -> Facts:
        found = find_task(handler)
        if not isinstance(found, Task):
            raise NotThere(f"{handler} is no Celery task but {type(found).__name__}")
        self.app = found.app or current_app._get_current_object()
        self._start_as_worker()
        self.task = self.app.tasks[found.name]
        if self.probe.settings.get("acks_late") and not self.task.acks_late:
            self._acknowledge_late()
        self._prepare_tracer()
        self._hook_publishing()
        self._run_once()
        return self.read_facts()

    def _acknowledge_late(self) -> None:
        """Lets the task acknowledge late, as a proof was asked to try it.

        `acks_late` alone would let a child that dies fail its task for good.
        """
        self.task.acks_late = self.task.reject_on_worker_lost = True
        self.made_late = True

    def _start_as_worker(self) -> None:
        """Imports all task modules, as a worker does that starts. No message and no result leaves
        the process.
        """
        app = self.app
        broker_url = str(app.conf.broker_url or app.conf.broker_read_url or "amqp")
        # "redis://localhost/0" -> "redis"
        self.scheme = broker_url.partition(":")[0]
        for other in _state._get_active_apps():
            change_settings(
                other, broker_url="memory://", broker_read_url=None, broker_write_url=None
            )
        # In messages of protocol 1, which an application may ask for, the headers name no task.
        change_settings(
            app, result_backend="cache+memory://", task_always_eager=False, task_protocol=2
        )
        # A backend that was made already is that of the application's own settings.
        if hasattr(app, "_backend_cache"):
            app._backend_cache = None
        with contextlib.suppress(AttributeError):
            del app._local.backend
        app.finalize(auto=True)
        app.loader.init_worker()
        app.finalize(auto=True)

    def _prepare_tracer(self) -> None:
        """Gives the tracer what a pool's child gives it when it starts
        (celery/app/trace.py, setup_worker_optimizations).
        """
        app = self.app
        trace._localized[:] = [
            app.tasks,
            trace.prepare_accept_content(app.conf.accept_content),
            "proof@skillrun",
        ]
        app.use_fast_trace_task = True

    def _make_tracer(self, task: Any) -> None:
        """Makes the function that runs a task. As in a worker, the logs are set up before: here it
        is decided whether it logs that a task succeeded.
        """
        app = self.app
        task.__trace__ = trace.build_tracer(
            task.name, task, app.loader, "proof@skillrun", app=app, propagate=False
        )

    def _run_once(self) -> None:
        """Lets Celery make what it makes on first use, once and before the forks."""
        app = self.app
        assert app.backend and self.task.backend and app.amqp.send_task_message and app.timezone
        with app.producer_pool.acquire(block=True) as producer:
            assert producer
        self._make_request(_make_example(self.task.name), _Settled())

    def rehearse(self) -> None:
        """Touches what a delivery touches, in a child that waits for its order."""
        self._make_request(_make_example(self.task.name), _Settled())

    def read_facts(self) -> Facts:
        task = self.task
        max_attempts = None
        if task.max_retries is not None:
            max_attempts = task.max_retries + 1
        retries_lost = bool(getattr(task, "retry_on_worker_lost", False))
        limit_error = ""
        if self._has_soft_limit():
            limit_error = _SOFT_LIMIT
        timed: tuple[str, ...] = ()
        if self._is_in_beat():
            timed = ("schedule",)
        return Facts(
            library=f"celery {find_object('celery:__version__')[2]}",
            redelivery_s=self._redelivery_s(),
            acks_late=bool(task.acks_late),
            made_late=self.made_late,
            same_process=self.app.conf.worker_max_tasks_per_child != 1,
            bounded_kills=retries_lost and max_attempts is not None,
            max_attempts=max_attempts,
            on_kill=self._on_kill(),
            victims_differ=True,
            # celery.app.log: the worker gives the root logger its own level, whatever handlers it
            # has, unless the application configures logs by this signal.
            sets_log_level=not signals.setup_logging.receivers,
            ends_stuck=self._has_time_limit(),
            exhausted_error="celery.exceptions:MaxRetriesExceededError",
            limit_error=limit_error,
            timed=timed,
            broker_error="kombu.exceptions:OperationalError",
        )

    def _is_in_beat(self) -> bool:
        """Whether the application's own schedule names the task."""
        entries = dict(self.app.conf.beat_schedule or {}).values()
        return any(dict(entry).get("task") == self.task.name for entry in entries)

    def _has_time_limit(self) -> bool:
        """Whether the task, or every task, has a time limit. What a worker's command line says is
        not known here.
        """
        hard = (self.task.time_limit, self.app.conf.task_time_limit)
        return self._has_soft_limit() or any(limit is not None for limit in hard)

    def _has_soft_limit(self) -> bool:
        """Whether the task has a time limit that is raised in it; a hard one ends its process."""
        soft = (self.task.soft_time_limit, self.app.conf.task_soft_time_limit)
        return any(limit is not None for limit in soft)

    def _redelivery_s(self) -> float:
        """Seconds after which a broker gives a dead worker's message to another one: Redis and SQS
        after the visibility timeout, AMQP at once.
        """
        if not self.scheme.startswith(("redis", "valkey", "unix", "sentinel", "sqs")):
            return _AT_ONCE_S
        options = self.app.conf.broker_transport_options or {}
        return float(options.get("visibility_timeout", _VISIBILITY_TIMEOUT_S))

    def _on_kill(self) -> str:
        """What a report says of a process that dies at the task."""
        task = self.task
        if not task.acks_late:
            return "acknowledged before it runs: a worker that dies loses it"
        if getattr(task, "retry_on_worker_lost", False):
            return (
                "a child that dies is retried and counts as an attempt; a worker that dies gives"
                " the message back"
            )
        if task.reject_on_worker_lost:
            return "a child or a worker that dies gives the message back; that counts as no attempt"
        return (
            "a worker that dies gives the message back; a child that dies fails the task for good"
        )

    def list_default_queues(self) -> Sequence[str]:
        """The queues that the settings name: `task_queues`, else the default one alone."""
        return sorted(self.app.amqp.queues)

    def function(self) -> Any:
        # autoretry_for puts its own function in the place of `run`, and keeps the task's.
        run = getattr(self.task, "_orig_run", None) or self.task.run
        # A method is bound to its task, also below the decorators.
        below_decorators = inspect.unwrap(getattr(run, "__func__", run))
        return getattr(below_decorators, "__func__", below_decorators)

    # -- publishing

    def _hook_publishing(self) -> None:
        """Stops every publish of any Celery app, and reports it serialised as it would be sent."""
        driver = self

        def publish(
            producer: Any,
            body: Any,
            routing_key: Any = None,
            delivery_mode: Any = None,
            mandatory: Any = False,
            immediate: Any = False,
            priority: Any = 0,
            content_type: Any = None,
            content_encoding: Any = None,
            serializer: Any = None,
            headers: Any = None,
            compression: Any = None,
            exchange: Any = None,
            retry: Any = False,
            retry_policy: Any = None,
            declare: Any = None,
            expiration: Any = None,
            timeout: Any = None,
            confirm_timeout: Any = None,
            **properties: Any,
        ) -> Any:
            headers = dict(headers or {})
            arguments = None
            if headers.get("task") == driver.task.name:
                arguments = driver._read_arguments(body)
            body, content_type, content_encoding = producer._prepare(
                body, serializer, content_type, content_encoding, compression, headers
            )
            message = {
                "body": pack_bytes(_as_bytes(body)),
                "headers": headers,
                "content_type": content_type,
                "content_encoding": content_encoding,
                "properties": _keep_plain({**properties, "priority": priority}),
                "routing_key": routing_key,
                "queue": _name_queue(declare, exchange, routing_key),
                "arguments": arguments,
            }
            driver._report_publish(message)

        swap_code(Producer.publish, publish)

    def _report_publish(self, message: dict[str, Any]) -> None:
        """Reports one message; one to the handler also as the copy that its broker may make."""
        headers = message["headers"]
        to_handler = headers.get("task") == self.task.name
        label = str(headers.get("task") or message["routing_key"] or "message")
        delay = read_delay(headers)
        self.probe.publish(lambda: None, message, to_handler=to_handler, delay=delay, label=label)
        if to_handler:
            self._report_copy_of_late(message, delay)

    def _report_copy_of_late(self, message: dict[str, Any], delay: float) -> None:
        """Reports one message more where Redis gives one that waits for longer than the visibility
        timeout to other workers as well.

        Each of them keeps it until its time has come: celery/kombu#337. Two copies show it as well
        as twenty.
        """
        if delay > self._redelivery_s() > _AT_ONCE_S:
            self.probe.recorder.emit(
                "published",
                name="given-back",
                message={**message, "redelivered": True},
                to_handler=True,
                delay=delay,
                label="visibility timeout",
                in_handler=False,
                in_effect=False,
                place=None,
            )

    def _read_arguments(self, body: Any) -> str | None:
        """The arguments in a body, as text; None where it is not that of protocol 2:
        (args, kwargs, embed).
        """
        if not isinstance(body, (tuple, list)) or len(body) < 2:
            return None
        args, kwargs = body[:2]
        function = self.function()
        if next(iter(inspect.signature(function).parameters), "") == "self":
            args = (None, *args)
        return self.probe.bind_arguments(function, args, kwargs)

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        args, kwargs = self.probe.make_arguments(payload, self.function())
        with self._skip_argument_check():
            self.task.apply_async(args=args, kwargs=kwargs)

    @contextlib.contextmanager
    def _skip_argument_check(self) -> Any:
        """Lets a poison message pass the publisher's own check of its arguments."""
        typing, self.task.typing = self.task.typing, False
        try:
            yield
        finally:
            self.task.typing = typing

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        settled = _Settled()
        named = self._find_named(message)
        if named is None:
            # celery/worker/consumer/consumer.py, on_unknown_task.
            self.probe.settle("lost", why="its worker knows no task of that name, and discards it")
            return
        if named.__trace__ is None:
            self._make_tracer(named)
        request = self._make_request(message, settled)
        _log_receipt(request)
        if request.revoked():
            self.probe.settle("lost", why="it had expired, and its worker discarded it")
            return
        request.on_accepted(os.getpid(), time.monotonic())
        try:
            result = trace.fast_trace_task(
                named.name,
                request.id,
                request.request_dict,
                message_body(message),
                message["content_type"],
                message["content_encoding"],
            )
        except (SystemExit, KeyboardInterrupt):
            os._exit(1)
        except Exception:
            # Out of the task's own `on_failure`: the pool's child hands it to the request.
            self._handle_error(request)
            self._tell_end(settled, message, "raised")
            return
        request.on_success(result)
        self._tell_end(settled, message, _describe_end(result))

    def _find_named(self, message: dict[str, Any]) -> Any:
        """The task that a message names; None where there is none. That of another commit may be
        one that only hands the job on.
        """
        return self.app.tasks.get(message["headers"].get("task"))

    def _handle_error(self, request: Any) -> None:
        """Hands the exception that is being handled to the request, as the pool does."""
        from billiard.einfo import ExceptionInfo

        request.on_failure(ExceptionInfo())

    def _tell_end(self, settled: _Settled, message: dict[str, Any], how: str = "") -> None:
        """Reports what the worker told the broker of a message. `how`: what became of its task."""
        if settled.requeue:
            self.probe.settle("requeued", message={**message, "redelivered": True})
            return
        if settled.how == "rejected":
            how = "rejected"
        self.probe.settle("acked", why=how)

    def _make_request(self, message: dict[str, Any], settled: _Settled) -> Any:
        """The worker's own request for a message."""
        received = Message(  # type: ignore[no-untyped-call,unused-ignore]
            body=message_body(message),
            delivery_tag="1",
            channel=None,
            headers=dict(message["headers"]),
            content_type=message["content_type"],
            content_encoding=message["content_encoding"],
            properties=dict(message["properties"]),
            accept=trace._localized[1],
            delivery_info={
                "exchange": "",
                "routing_key": message.get("routing_key"),
                "redelivered": bool(message.get("redelivered")),
            },
        )
        return Request(
            received,
            on_ack=settled.ack,
            on_reject=settled.reject,
            app=self.app,
            hostname="proof@skillrun",
            eventer=None,
            task=self._find_named(message) or self.task,
            connection_errors=(),
            body=received.body,
            headers=received.headers,
            decoded=False,
            utc=self.app.uses_utc_timezone(),
        )

    def died(self, message: dict[str, Any], who: str) -> None:
        if who == "worker":
            if not self.task.acks_late:
                self.probe.settle("lost", why="it was acknowledged before it ran")
                return
            self.probe.settle(
                "requeued", delay=self._redelivery_s(), message={**message, "redelivered": True}
            )
            return
        from billiard.exceptions import WorkerLostError

        settled = _Settled()
        request = self._make_request(message, settled)
        request.on_accepted(os.getpid(), time.monotonic())
        try:
            raise WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 0.")
        except WorkerLostError:
            self._handle_error(request)
        self._tell_end(settled, message)


def _log_receipt(request: Any) -> None:
    """Logs what a worker logs when it takes a message (celery/worker/strategy.py), since Celery
    5.1.
    """
    received = getattr(trace, "LOG_RECEIVED", None)
    if received is not None:
        logger = logging.getLogger("celery.worker.strategy")
        logger.info(received, {"id": request.id, "name": request.name})


class _Settled:
    """What the worker told the broker."""

    def __init__(self) -> None:
        self.how, self.requeue = "", False

    def ack(self, *_: Any, **__: Any) -> None:
        self.how = self.how or "acked"

    def reject(self, *args: Any) -> None:
        """Takes what `on_reject(logger, connection_errors, requeue)` is told."""
        self.how = "rejected"
        self.requeue = bool(args and args[-1])


def find_task(handler: str) -> Any:
    """What a handler's name stands for, once the modules of the apps beside it are imported."""
    # "shop.tasks:send_receipt" -> "shop"
    load_apps(handler.partition(":")[0].partition(".")[0])
    _, _, found = find_object(handler)
    # `shared_task` gives a stand-in that finds its task when it is used.
    if hasattr(found, "_get_current_object"):
        return found._get_current_object()
    return found


def load_apps(package: str) -> None:
    """Imports the module of the app and then sets up Django, as `celery -A` does; the modules of
    tasks come after that.
    """
    for name in _list_app_modules(package):
        import_beside_django(name)
    set_up_django()


def _list_app_modules(package: str) -> Iterator[str]:
    """Yields the module `celery` of the first package that has one: that of Django's settings
    before the handler's own.
    """
    packages = [package]
    settings = os.environ.get("DJANGO_SETTINGS_MODULE")
    if settings:
        # "shop.settings" -> "shop"
        packages.insert(0, settings.partition(".")[0])
    for name in packages:
        spec = importlib.util.find_spec(name)
        # A module by itself has no module beside it.
        if spec is None or spec.submodule_search_locations is None:
            continue
        if importlib.util.find_spec(f"{name}.celery") is not None:
            yield f"{name}.celery"
            return


def _describe_end(result: Any) -> str:
    """What became of a task: "raised", "ignored", or "" for any other end. `result`: the tracer's
    (failed, value, runtime).
    """
    failed, value = result[:2]
    error = None
    if failed:
        error = getattr(value, "exception", None)
    if type(error).__name__ == "ExceptionWithTraceback":
        error = getattr(error, "exc", error)
    if error is None or isinstance(error, Retry):
        return ""
    if isinstance(error, Ignore):
        return "ignored"
    return "raised"


def _make_example(task: str) -> dict[str, Any]:
    """A message without arguments, of which a request can be made."""
    headers = {"task": task, "id": "0", "lang": "py", "argsrepr": "()", "kwargsrepr": "{}"}
    body = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
    return {
        "body": pack_bytes(body),
        "headers": headers,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "properties": {"correlation_id": "0", "reply_to": ""},
    }


def message_body(message: dict[str, Any]) -> bytes:
    """The serialised body as it was sent."""
    return unpack_bytes(message["body"])


def read_delay(headers: dict[str, Any]) -> float:
    """Seconds from the process's own clock to the message's eta; 0.0 without one."""
    eta = headers.get("eta")
    if not eta:
        return 0.0
    import datetime

    # Before Python 3.11 `fromisoformat` knows no "Z".
    due = datetime.datetime.fromisoformat(str(eta).replace("Z", "+00:00"))
    if due.tzinfo is None:
        due = due.replace(tzinfo=datetime.timezone.utc)
    now = datetime.datetime.now(due.tzinfo)
    return max(0.0, (due - now).total_seconds())


def _as_bytes(body: Any) -> bytes:
    """A serialized body; JSON comes as text."""
    if isinstance(body, bytes):
        return body
    return bytes(body.encode())


def _keep_plain(properties: dict[str, Any]) -> dict[str, Any]:
    """Those of a message's properties that JSON has a word for."""
    plain = (str, int, float, bool, type(None))
    return {name: value for name, value in properties.items() if isinstance(value, plain)}
