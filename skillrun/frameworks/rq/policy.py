"""The effective policy of an RQ job: what the places that enqueue it say together.

Where they differ the most attempts and the slowest wait count, and the rule `retry-differs` says
so. Defaults are RQ 3's: no retry, 180 s (rq/queue.py), pickle (rq/serializers.py), failed jobs kept
for a year (rq/defaults.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from skillrun.frameworks.common.reading import import_paths, options_of, place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.common.serializers import name_serializer
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
    Send,
)
from skillrun.frameworks.rq.callbacks import (
    exception_handlers,
    failure_callbacks,
    nodes_beside,
    random_waits,
)
from skillrun.frameworks.rq.retry import NONE, Reading, backoff_of, read_retry, returned_retries
from skillrun.frameworks.rq.sends import (
    CRON,
    SCHEDULER,
    find_effective_sends,
    find_house_decorator,
    job_decorator,
)
from skillrun.frameworks.rq.workers import launches_of
from skillrun.repo.python import UNKNOWN, Definition, Handler, Module, Project, is_known
from skillrun.repo.syntax import find_nodes, read_entries
from skillrun.repo.uses import Place

TIMEOUT_S = 180.0  # Queue.DEFAULT_TIMEOUT
# Until another worker takes over a job whose worker was killed: its heartbeat
# (job_monitoring_interval 30 s + 60 s), and then the next maintenance of registries
# (maintenance_interval 600 s).
_TAKEN_OVER_S = 690.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_policy(project: Project, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("rq.policy", handler.path, handler.name), lambda: _Reader(project, handler).read()
    )


def read_send_retry(project: Project, send: Send) -> Reading:
    """The Retry that a send gives; cron entries and rq-scheduler's know none."""
    if send.via in (CRON, SCHEDULER):
        return NONE
    given = send.option("retry")
    if given is not None:
        return read_retry(project, *given)
    if send.options_hidden:
        return Reading(None, None, send.place)
    return NONE


@dataclass
class _Reader:
    project: Project
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        given = list(map(self._note_place, self._list_given()))
        house = find_house_decorator(self.project, self.handler)
        if not given and house is not None:
            # Somebody of the house enqueues it, in a way that names no function.
            self.unknown["options"] = house
        given = given or [NONE]
        returned = list(map(self._note_place, returned_retries(self.project, self.handler)))
        most = max(given, key=lambda one: (one.retries or 0, sum(one.waits or ())))
        again = max(returned, key=lambda one: one.retries or 0, default=NONE)
        self.sources["max_attempts"] = most.place or again.place
        self.sources["backoff"] = self.sources["max_attempts"]
        requeued = any(one.retries is None or one.retries > 0 for one in given)
        self.sources["retried"] = None
        if requeued:
            self.sources["retried"] = most.place
            # RQ itself logs the error and that it retries.
            self.sources["autoretry"] = most.place
        return Policy(
            max_attempts=1 + (most.retries or 0) + (again.retries or 0),
            backoff=self._read_backoff(most, again),
            retried=("builtins:Exception",) if requeued else self._list_asking(returned),
            not_retried=self._list_spared(),
            acks_late=requeued,
            reject_on_worker_lost=requeued,
            visibility_timeout_s=_TAKEN_OVER_S if requeued else None,
            time_limit_s=self._time_limit(),
            serializer=self._name_serializer(),
            dead_letter=self._find_letter(is_retried=bool(most.retries or again.retries)),
            sources=self.sources,
            unknown=self.unknown,
        )

    def _list_asking(self, returned: list[Reading]) -> tuple[str, ...]:
        """Exceptions of the clauses that return a Retry."""
        names: list[str] = []
        for reading in returned:
            names += reading.clause or ()
        return import_paths(self.project, names)

    def _list_spared(self) -> tuple[str, ...]:
        """Exceptions of the clauses after which the job is not run again."""
        names: list[str] = []
        for clause in filter(ends_job, self.project.handlers(self.handler, depth=1)):
            names += clause.exceptions
        return import_paths(self.project, names)

    def _find_letter(self, *, is_retried: bool) -> Place | None:
        """Where a job that is given up is recorded; a record of permanent errors alone is none of a
        job that is tried again.
        """
        dead, permanent = self._dead_letter(), self._find_permanent_record()
        self.sources |= {"dead_letter": dead, "dead_letter_permanent": permanent}
        if is_retried:
            return dead
        return dead or permanent

    def _list_given(self) -> Iterator[Reading]:
        """What each site says; the decorator where nothing enqueues the handler yet."""
        sends = find_effective_sends(self.project, self.handler)
        for send in sends:
            yield read_send_retry(self.project, send)
        decorator = job_decorator(self.project, self.handler)
        if not sends and decorator is not None and isinstance(decorator[0], ast.Call):
            options, _ = options_of(self.project, decorator[0], decorator[1])
            yield read_retry(self.project, options.get("retry"), decorator[1])

    def _note_place(self, reading: Reading) -> Reading:
        place = reading.place or Place(self.handler.path, self.handler.line)
        if reading.retries is None:
            self.unknown["max_attempts"] = place
        if reading.waits is None:
            self.unknown["backoff"] = place
        return reading

    def _read_backoff(self, given: Reading, returned: Reading) -> Backoff:
        backoff = backoff_of((*(given.waits or ()), *(returned.waits or ())))
        return replace(backoff, jitter=random_waits(self.project, self.handler))

    def _time_limit(self) -> float | None:
        """The longest `job_timeout` of all sites, else the queue's default; -1 is none."""
        limits: list[float | None] = []
        for send in find_effective_sends(self.project, self.handler):
            given = send.option("job_timeout", "timeout")
            if given is None:
                value, place = self._default_timeout(), None
            else:
                value, place = seconds_of(self.project, *given), place_of(given[1], given[0])
            if not is_known(value):
                self.unknown["time_limit_s"] = place or send.place
                continue
            self.sources["time_limit_s"] = place
            limits.append(None if value == -1 else value)
        self.sources.setdefault("time_limit_s", None)
        if None in limits:
            return None
        return max((one for one in limits if one is not None), default=TIMEOUT_S)

    def _default_timeout(self) -> Any:
        """`Queue(default_timeout=...)`, or DEFAULT_TIMEOUT in RQ_QUEUES, where all of them
        agree.
        """
        values = {str(value): value for value in _default_timeouts(self.project)} or {"": TIMEOUT_S}
        if len(values) == 1:
            return next(iter(values.values()))
        return UNKNOWN

    def _name_serializer(self) -> str:
        """pickle, unless a queue or a worker is given JSON."""
        self.sources["serializer"] = None
        for node, module in nodes_beside(self.project, "serializer"):
            if not isinstance(node, ast.keyword) or node.arg != "serializer":
                continue
            if "json" in ast.unparse(node.value).lower() and _of_rq(self.project, node, module):
                self.sources["serializer"] = place_of(module, node.value)
                is_own = self.project.definition(module.resolve(node.value) or "") is not None
                if is_own:
                    return name_serializer(self.project, node.value, module)
                return "json"
        for _, launch in launches_of(self.project):
            if "json" in " ".join(launch.words).lower():
                return "json"
        return "pickle"

    def _dead_letter(self) -> Place | None:
        """Where a record is written once RQ gives up: a callback, or a branch of the handler's
        own.
        """
        for hook in (
            *failure_callbacks(self.project, self.handler),
            *exception_handlers(self.project),
        ):
            record = first_record(self.project, getattr(hook.node, "body", []), hook.module)
            if record is not None:
                return place_of(hook.module, record)
        for node in find_nodes(self.handler.node, ast.If):
            if "retries_left" in ast.unparse(node.test):
                record = first_record(self.project, [node], self.handler.module)
                if record is not None:
                    return place_of(self.handler.module, record)
        return None

    def _find_permanent_record(self) -> Place | None:
        """A clause of the handler that takes an error and records it."""
        for clause in self.project.handlers(self.handler):
            record = first_record(self.project, clause.node.body, clause.module)
            if record is not None:
                return place_of(clause.module, record)
        return None


def ends_job(clause: Handler) -> bool:
    """What it catches is not run again: it lets the job end, or takes its retries away."""
    again = False
    for node in ast.walk(clause.node):
        if isinstance(node, ast.Assign) and "retries_left" in ast.unparse(node.targets[0]):
            return True
        if isinstance(node, ast.Return) and node.value is not None:
            again = again or "Retry" in ast.unparse(node.value)
    return not clause.reraises and not again


def seconds_of(project: Project, node: ast.expr | None, module: Module) -> Any:
    """A duration as RQ takes it: 90, "90", "15m", -1 for none; an `Unknown` where it cannot be
    read.
    """
    value = project.literal(node, module)
    if isinstance(value, str) and value[:-1].isdigit() and value[-1:].lower() in _UNITS:
        return float(value[:-1]) * _UNITS[value[-1:].lower()]
    if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit()):
        return float(value)
    return value


def _default_timeouts(project: Project) -> Iterator[Any]:
    for node, module in nodes_beside(project, "default_timeout"):
        if not isinstance(node, ast.keyword) or node.arg != "default_timeout":
            continue
        if _of_rq(project, node, module):
            yield seconds_of(project, node.value, module)
    for node, module in nodes_beside(project, "DEFAULT_TIMEOUT"):
        if not isinstance(node, ast.Dict):
            continue
        value = read_entries(node).get("DEFAULT_TIMEOUT")
        if value is not None:
            yield seconds_of(project, value, module)


def _of_rq(project: Project, node: ast.keyword, module: Module) -> bool:
    """The keyword stands in a call of RQ's own, such as `Queue(...)`, or of a subclass."""
    call = next(module.parents(node), None)
    name = None
    if isinstance(call, ast.Call):
        name = module.resolve(call.func)
    if name:
        packages = {one.partition(".")[0] for one in project.ancestors(name)}
    else:
        packages = set()
    return not packages.isdisjoint(("rq", "django_rq"))
