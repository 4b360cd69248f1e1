"""The effective policy of an arq job: what its entries in the worker's settings and its own code
say together.

Defaults are those of arq/worker.py: five tries, 300 s, results kept for an hour, pickle. Where
entries differ, the most tries and the longest time count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from skillrun.frameworks.arq.deadletter import find_record
from skillrun.frameworks.arq.retries import find_retries, raises_retry
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.again import Path
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.listed import Entry, Found
from skillrun.frameworks.common.reading import import_path, place_of
from skillrun.frameworks.common.serializers import name_serializer
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.python import UNKNOWN, Definition, Project, is_known
from skillrun.repo.uses import Place

MAX_TRIES, TIMEOUT_S, KEEP_S = 5, 300.0, 3600.0
# Beyond the timeout: until another worker takes over the job of one that died.
IN_PROGRESS_S = 10.0


def read_policy(project: Project, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("arq.policy", handler.dotted), lambda: _Reader(project, handler).read()
    )


def max_tries(project: Project, entry: Entry) -> Any:
    """How often arq begins a job of this entry; an `Unknown` where it cannot be read."""
    if entry.kind == "cron" and "max_tries" not in entry.options:
        return UNKNOWN if entry.unread else 1  # arq/cron.py
    return _read_value(project, entry, entry.option("max_tries"), MAX_TRIES)


def timeout_s(project: Project, entry: Entry) -> Any:
    """After how long arq cancels it."""
    return _read_value(project, entry, entry.option("timeout", "job_timeout"), TIMEOUT_S)


def keep_result_s(project: Project, entry: Entry) -> Any:
    """For how long its result, and with it its job id, is kept; infinite where it is kept for
    ever.
    """
    if entry.kind == "cron" and not entry.options.keys() & {"keep_result", "keep_result_forever"}:
        if not entry.unread:
            return 0.0
        return UNKNOWN
    forever = entry.option("keep_result_forever")
    if forever is not None and project.literal(*forever) is True:
        return float("inf")
    return _read_value(project, entry, entry.option("keep_result"), KEEP_S)


def _read_value(project: Project, entry: Entry, found: Found | None, default: float) -> Any:
    if found is None:
        if entry.unread:
            return UNKNOWN
        return default
    value = project.literal(*found)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return UNKNOWN


def retries_on(project: Project, entry: Entry) -> bool:
    """Without `retry_jobs` a Retry is a failure like any other."""
    found = entry.worker.option("retry_jobs")
    return found is None or project.literal(*found) is not False


def counted(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Those that an error leads to: a Retry because a lock is taken is no attempt that failed."""
    return tuple(path for path in paths if path.clause is not None) or paths


def _drop_own_cap(backoff: Backoff, attempts: int) -> Backoff:
    """`(5, 15, 45)[job_try - 1]` ends with its list: that is no cap."""
    last = backoff.base_s * backoff.factor ** max(attempts - 2, 0)
    if backoff.cap_s == last:
        return replace(backoff, cap_s=None)
    return backoff


@dataclass
class _Reader:
    project: Project
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        self.entries = find_entries(self.project, self.handler)
        on = all(retries_on(self.project, entry) for entry in self.entries)
        paths = counted(find_retries(self.project, self.handler)) if on else ()
        attempts = self._count_attempts(paths) if paths else 1
        retried = self._import_paths(
            name for path in paths if path.clause for name in path.clause.exceptions
        )
        if any(path.clause is not None and path.clause.bare for path in paths):
            retried = ("builtins:BaseException",)
        limit = self._read_time_limit("time_limit_s", "timeout", "job_timeout", TIMEOUT_S)
        record = find_record(self.project, self.handler)
        self.sources["dead_letter"] = record.place if record else None
        self.sources["retried"] = paths[0].place if paths else None
        return Policy(
            max_attempts=attempts,
            backoff=self._backoff(paths, attempts),
            retried=retried,
            not_retried=self._list_spared(),
            acks_late=True,
            reject_on_worker_lost=True,
            visibility_timeout_s=limit + IN_PROGRESS_S if limit is not None else None,
            time_limit_s=limit,
            serializer=self._read_serializer(),
            dead_letter=record.place if record else None,
            sources=self.sources,
            unknown=self.unknown,
        )

    def _count_attempts(self, paths: tuple[Path, ...]) -> int:
        """The handler's own bound where it has one, and never more than arq's."""
        most = self._most_tries()
        bounds = [path.bound if path.bound is not None else most for path in paths]
        for path in paths:
            if path.bound is None and path.bound_unread:
                self.unknown["max_attempts"] = path.place
        own = [path for path in paths if path.bound is not None]
        if own and len(own) < len(paths):
            # It counts on one way and on another, such as a store that is away, it does not: how
            # often that one is taken cannot be read.
            self.unknown["max_attempts"] = next(p.place for p in paths if p.bound is None)
        longest = max(bounds)
        if longest < most:
            self.sources["max_attempts"] = next(
                path.bound_place for path in paths if path.bound == longest
            )
            (
                self.unknown.pop("max_attempts", None)
                if all(p.bound is not None for p in paths)
                else None
            )
        return max(1, min(longest, most))

    def _most_tries(self) -> int:
        found = [(max_tries(self.project, entry), entry) for entry in self.entries]
        for value, entry in found:
            if not is_known(value):
                self.unknown["max_attempts"] = entry.place
        values = [(int(value), entry) for value, entry in found if is_known(value)]
        if not values:
            self.sources["max_attempts"] = None
            return MAX_TRIES
        most, chosen = max(values, key=lambda pair: pair[0])
        option = chosen.option("max_tries")
        if option:
            self.sources["max_attempts"] = place_of(option[1], option[0])
        else:
            self.sources["max_attempts"] = chosen.place
        return most

    def _read_time_limit(
        self, source: str, own: str, of_worker: str, default: float
    ) -> float | None:
        self.sources[source] = None
        found: list[float] = []
        for entry in self.entries:
            option = entry.option(own, of_worker)
            value = _read_value(self.project, entry, option, default)
            if not is_known(value):
                if option:
                    self.unknown[source] = place_of(option[1], option[0])
                else:
                    self.unknown[source] = entry.place
                continue
            found.append(float(value))
            if option is not None:
                self.sources[source] = place_of(option[1], option[0])
        return max(found, default=default)

    def _backoff(self, paths: tuple[Path, ...], attempts: int) -> Backoff:
        self.sources["backoff"] = paths[0].place if paths else None
        read = []
        for path in paths:
            if path.backoff is not None:
                read.append(path.backoff)
        unread = next((path for path in paths if path.backoff is None), None)
        if unread is not None or len(set(read)) > 1:
            self.unknown["backoff"] = (unread or paths[-1]).place
            return Backoff("none")
        if read:
            return _drop_own_cap(read[0], attempts)
        return Backoff("none")

    def _list_spared(self) -> tuple[str, ...]:
        """Exceptions that a clause takes without a Retry."""
        found = clauses(self.project, self.handler)
        return self._import_paths(
            n for c in found if not raises_retry(self.project, c) for n in c.exceptions
        )

    def _import_paths(self, names: Iterator[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(import_path(self.project, name) for name in names))

    def _read_serializer(self) -> str:
        """pickle, unless a worker is given another deserializer (arq/jobs.py)."""
        self.sources["serializer"] = None
        for entry in self.entries:
            option = entry.worker.option("job_deserializer")
            if option is not None:
                self.sources["serializer"] = place_of(option[1], option[0])
                return name_serializer(self.project, *option)
        return "pickle"
