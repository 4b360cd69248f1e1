"""The effective policy of a Django Q2 job: Q_CLUSTER, the options where it is queued, and the
handler's own publishes.

Sources: django_q/monitor.py (`save_task`: what ends a job), django_q/brokers (which of them give a
job back), django_q/conf.py (defaults). Where sites differ, the most attempts and the longest time
count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.reading import import_paths
from skillrun.frameworks.django_q2.again import Again, find_again
from skillrun.frameworks.django_q2.cluster import Cluster, read_cluster
from skillrun.frameworks.django_q2.deadletter import find_record
from skillrun.frameworks.django_q2.sends import ASYNC_TASK, find_real_publishes
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
    Send,
    find_wiring,
)
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.uses import FrameworkUse, Place


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    key = ("django-q2.policy", handler.dotted)
    return project.remember(
        key, lambda: _Reader(project, read_cluster(project, use), handler).read()
    )


def send_value(
    project: Project, cluster: Cluster, send: Send | None, name: str, default: str
) -> Any:
    """An option of a send, else Q_CLUSTER's `default`; an `Unknown` where it cannot be read."""
    found = None
    if send is not None and send.via == ASYNC_TASK:
        found = send.options.get(name)
    if found is not None:
        return project.literal(*found)
    return cluster.value(default)


def ends_at_failure(project: Project, cluster: Cluster, send: Send | None) -> Any:
    """Whether a failure is acknowledged, so that nothing runs it again."""
    return send_value(project, cluster, send, "ack_failure", "ack_failures")


def is_cached(project: Project, cluster: Cluster, send: Send | None) -> Any:
    """Whether the result goes to the cache, where no attempt is counted."""
    return send_value(project, cluster, send, "cached", "cached")


def first_sends(project: Project, handler: Definition) -> tuple[Send | None, ...]:
    """What publishes the handler's first attempt; None stands for one that nobody publishes yet."""
    found = find_wiring(find_real_publishes(project, handler))
    return found or (None,)


@dataclass
class _Reader:
    project: Project
    cluster: Cluster
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        self.sends = first_sends(self.project, self.handler)
        # Redis gives a job to one worker and forgets it; "" is a broker that cannot be read.
        gives_back = self.cluster.broker not in ("redis", "")
        again = find_again(self.project, self.handler)
        attempts: int | None = 1
        backoff = Backoff("none")
        if gives_back:
            attempts, backoff = self._read_library_retry()
        if again:
            attempts, backoff = self._read_own_retry(again, attempts)
        elif not self.cluster.broker:
            self._not_read("max_attempts", "orm")
        elif attempts != 1:
            self.sources["retried"] = self.cluster.source("max_attempts") or self.cluster.place
        dead_letter = None
        record = find_record(self.project, self.handler)
        if record is not None:
            dead_letter = record.place
        self.sources |= {"dead_letter": dead_letter, "serializer": None}
        visibility_s = None
        if gives_back:
            visibility_s = self._retry_s()
        return Policy(
            max_attempts=attempts,
            backoff=backoff,
            retried=self._list_retried(again, attempts),
            not_retried=self._list_spared(again),
            acks_late=gives_back,
            reject_on_worker_lost=gives_back,
            visibility_timeout_s=visibility_s,
            time_limit_s=self._read_limit(),
            serializer="pickle",
            dead_letter=dead_letter,
            sources=self.sources,
            unknown=self.unknown,
        )

    def _not_read(self, name: str, option: str) -> None:
        place = self.cluster.source(option) or self.cluster.place
        self.unknown[name] = place or Place(self.handler.path, self.handler.line)

    def _read_library_retry(self) -> tuple[int | None, Backoff]:
        """The most that any send leaves to Django Q2's own retry."""
        self.sources["max_attempts"] = self.sources["backoff"] = self.cluster.place
        bounded: list[int] = []
        is_endless = False
        for send in self.sends:
            attempts = self._count_attempts(send)
            if attempts is None:
                is_endless = True
            else:
                bounded.append(attempts)
        most = None
        if not is_endless:
            most = max(bounded)
        if most == 1:
            return 1, Backoff("none")
        return most, Backoff("fixed", self._retry_s())

    def _count_attempts(self, send: Send | None) -> int | None:
        """The attempts that Django Q2 makes of one send; None: no bound, or one that cannot be
        read, which `unknown` then says.
        """
        acked = ends_at_failure(self.project, self.cluster, send)
        most = self.cluster.value("max_attempts")
        if not is_known(acked):
            self._not_read("max_attempts", "ack_failures")
        elif acked:
            said_at = self.cluster.source("ack_failures")
            if not said_at and send:
                said_at = send.place
            self.sources["max_attempts"] = said_at
            return 1
        cached = is_cached(self.project, self.cluster, send)
        if is_known(cached) and cached:
            return None
        if not isinstance(most, int | float):
            self._not_read("max_attempts", "max_attempts")
            return None
        self.sources["max_attempts"] = self.cluster.source("max_attempts") or self.cluster.place
        if most > 0:
            return int(most)
        return None

    def _read_own_retry(
        self, again: tuple[Again, ...], library: int | None
    ) -> tuple[int | None, Backoff]:
        """The handler's own count; what it then lets out is Django Q2's to run again."""
        first = again[0]
        self.sources |= {"max_attempts": first.bound_place or first.place, "backoff": first.place}
        self.sources["retried"] = first.place
        most = max((one.attempts for one in again if one.attempts is not None), default=1)
        is_read = all(one.attempts is not None for one in again)
        if not is_read:
            self.unknown["max_attempts"] = first.place
        if any(one.backoff is None for one in again):
            self.unknown["backoff"] = first.place
        # Two counts that multiply: ours is not all that there is.
        if library != 1 and is_read:
            self.unknown.setdefault("max_attempts", first.place)
        return most, first.backoff or Backoff("none")

    def _retry_s(self) -> float:
        """The seconds after which a job that nobody has acknowledged is given out again."""
        value = self.cluster.value("retry")
        if not isinstance(value, int | float):
            self._not_read("backoff", "retry")
            return 0.0
        self.sources.setdefault("backoff", self.cluster.source("retry"))
        return float(value)

    def _read_limit(self) -> float | None:
        """The longest time limit of all sends; None where one has none."""
        values = []
        for send in self.sends:
            values.append(send_value(self.project, self.cluster, send, "timeout", "timeout"))
        self.sources["time_limit_s"] = self.cluster.source("timeout")
        if not all(is_known(value) for value in values):
            self._not_read("time_limit_s", "timeout")
        known = []
        for value in values:
            if isinstance(value, int | float) and value > 0:
                known.append(value)
        if len(known) != len(values):
            return None
        return float(max(known))

    def _list_retried(self, again: tuple[Again, ...], attempts: int | None) -> tuple[str, ...]:
        """The exceptions after which the job runs again: by the handler's clauses, else any."""
        if again:
            names: list[str] = []
            for one in again:
                names += one.clause.exceptions
            return import_paths(self.project, names)
        if attempts == 1:
            return ()
        return ("builtins:Exception",)

    def _list_spared(self, again: tuple[Again, ...]) -> tuple[str, ...]:
        """What a clause takes and does not raise, where it is no clause that runs it again."""
        again_nodes = {one.clause.node for one in again}
        names: list[str] = []
        for clause in self.project.handlers(self.handler, depth=1):
            if clause.node not in again_nodes and not clause.reraises:
                names += clause.exceptions
        return import_paths(self.project, names)
