"""The effective policy of a taskiq task: what its labels, its senders and its broker's middlewares
say together.

Defaults are those of taskiq 0.13: nothing is retried unless the task or the middleware says so,
three runs, 5 s. Where a task may have several brokers, one that is no memory counts.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import import_path, place_of
from skillrun.frameworks.common.serializers import name_serializer
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.frameworks.taskiq.brokers import Broker, Part, find_serializer
from skillrun.frameworks.taskiq.deadletter import clause_record, find_record
from skillrun.frameworks.taskiq.retries import NONE, backoff, own_bound, runs, types
from skillrun.frameworks.taskiq.sends import label
from skillrun.frameworks.taskiq.tasks import read_task
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.source import last_word
from skillrun.repo.uses import Place

IDLE_S = 600.0  # taskiq_redis/redis_broker.py: idle_timeout
_DEFAULT_RUNS = 3
# What publishes a message, now or later.
_SENDS = ("kiq", "kick", "schedule_by_time", "add_schedule", "schedule_by_cron")


def read_policy(project: Project, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("taskiq.policy", handler.dotted), lambda: _Reader(project, handler).read()
    )


def ack_type(project: Project, handler: Definition) -> tuple[str, Place | None]:
    """When a message is acknowledged: when_saved, unless the label says otherwise."""
    value, place = label(project, read_task(project, handler), "ack_type", "when_saved")
    if isinstance(value, str):
        text = value
    elif place is not None:
        text = place.text
    else:
        text = ""
    found = (word for word in ("when_received", "when_executed", "manual") if word in text.lower())
    return next(found, "when_saved"), place


def idle_s(project: Project, broker: Broker) -> tuple[Any, Place | None]:
    """After how many seconds a stream's pending message may be claimed; None for a broker that has
    no such time.
    """
    if not broker.kind.endswith("RedisStreamBroker"):
        return None, None
    node = broker.options.get("idle_timeout")
    if node is not None:
        value = project.literal(node, broker.module)
    else:
        value = IDLE_S * 1000
    place = None
    if node is not None:
        place = place_of(broker.module, node)
    return (value / 1000 if isinstance(value, int | float) else value), place


@dataclass
class _Reader:
    project: Project
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        self.task = read_task(self.project, self.handler)
        broker = self.task.broker
        if broker is not None:
            retrying = broker.retrying
        else:
            retrying = ()
        if broker is None or broker.unread:
            if broker is not None:
                self.unknown["middlewares"] = broker.place
            else:
                self.unknown["middlewares"] = self._place_of_task()
        attempts = self._read_attempts(retrying, broker)
        part = None
        if retrying and attempts > 1:
            part = retrying[-1]
        record = find_record(self.project, self.task)
        permanent = clause_record(self.project, self.handler)
        self.sources |= {"dead_letter": record, "dead_letter_permanent": permanent}
        late = broker is not None and broker.gives_back and self._read_ack() != "when_received"
        return Policy(
            max_attempts=attempts,
            backoff=self._read_backoff(part, broker, attempts),
            retried=self._list_retried(part),
            not_retried=("taskiq.exceptions:NoResultError",) if part else (),
            acks_late=late,
            reject_on_worker_lost=late,
            visibility_timeout_s=self._read_number(
                "visibility_timeout_s", *idle_s(self.project, broker)
            )
            if broker
            else None,
            time_limit_s=self._read_number(
                "time_limit_s", *label(self.project, self.task, "timeout")
            ),
            serializer=self._read_serializer(),
            dead_letter=record or (permanent if attempts == 1 else None),
            sources=self.sources,
            unknown=self.unknown,
        )

    def _read_serializer(self) -> str:
        """JSON (taskiq/abc/broker.py), unless the broker is given another serializer."""
        broker = self.task.broker
        found = None
        if broker is not None:
            found = find_serializer(self.project, broker)
        if found is not None:
            self.sources["serializer"] = place_of(found[1], found[0])
        else:
            self.sources["serializer"] = None
        if found is None:
            return "json"
        return name_serializer(self.project, *found)

    def _place_of_task(self) -> Place:
        return self.task.registered or Place(self.handler.path, self.handler.line)

    def _read_ack(self) -> str:
        found, self.sources["acks_late"] = ack_type(self.project, self.handler)
        return found

    def _read_attempts(self, retrying: tuple[Part, ...], broker: Broker | None) -> int:
        """The most that any middleware lets run, and never more than the handler's own count."""
        most = self._count_runs(retrying)
        if "middlewares" in self.unknown:
            self.unknown["max_attempts"] = self.unknown["middlewares"]
        if broker is not None:
            for part in broker.parts:
                if part.own is not None and _sends_again(part.own):
                    self.unknown["max_attempts"] = part.place
        bound = own_bound(self.project, self.handler)
        if bound is None or most == 1:
            return most
        place = place_of(bound.module, bound.node)
        if bound.runs is None:
            self.unknown["max_attempts"] = place
        elif bound.runs < most:
            self.sources["max_attempts"] = place
        return min(bound.runs or most, most)

    def _count_runs(self, retrying: tuple[Part, ...]) -> int:
        """The most that any of them lets run."""
        self.sources["max_attempts"] = None
        most: list[int] = []
        for part in retrying:
            self.sources["max_attempts"] = self._said_at(part)
            value = runs(self.project, self.task, part)
            if is_known(value):
                most.append(int(value))
            else:
                self.unknown["max_attempts"] = part.place
                most.append(_DEFAULT_RUNS)
        return max(most, default=1)

    def _said_at(self, part: Part) -> Place:
        found = self.task.labels.get("max_retries")
        if found is not None:
            return place_of(found[1], found[0])
        node = part.options.get("default_retry_count")
        if node is not None:
            return place_of(part.module, node)
        return part.place

    def _read_backoff(self, part: Part | None, broker: Broker | None, attempts: int) -> Backoff:
        if part:
            self.sources["backoff"] = part.place
        else:
            self.sources["backoff"] = None
        if part is None or broker is None:
            return NONE
        found = backoff(self.project, self.task, part, broker, attempts)
        if found is None:
            self.unknown["backoff"] = part.place
        return found or NONE

    def _list_retried(self, part: Part | None) -> tuple[str, ...]:
        if part:
            self.sources["retried"] = part.place
        else:
            self.sources["retried"] = None
        if part is None:
            return ()
        if part.unread and "types_of_exceptions" not in {*part.options, *self.task.labels}:
            self.unknown["retried"] = part.place
        named = types(self.project, self.task, part)
        return tuple(import_path(self.project, name) for name in named or ("builtins.Exception",))

    def _read_number(self, name: str, value: Any, place: Place | None) -> float | None:
        self.sources[name] = place
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            if value is None:
                return None
            return float(value)
        if not is_known(value) and place is not None:
            self.unknown[name] = place
        return None


def _sends_again(own: Definition) -> bool:
    """A middleware of the house that publishes may be its way of trying again."""
    return any(
        isinstance(node, ast.Call) and last_word(node.func) in _SENDS for node in ast.walk(own.node)
    )
