"""The effective policy of an arq job: what its entries in the worker's settings and its own code
say together.

Defaults are those of arq/worker.py: five tries, 300 s, results kept for an hour, pickle. Where
entries differ, the most tries and the longest time count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skillrun.frameworks.arq.retries import find_left, find_retries, raises_retry
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.again import Path
from skillrun.frameworks.common.listed import Entry, Found
from skillrun.frameworks.common.policy_reader import Limit, PolicyReader, read_limit
from skillrun.frameworks.common.reading import import_paths
from skillrun.frameworks.interface import Backoff, Policy
from skillrun.repo.python import UNKNOWN, Definition, Project, remembered

MAX_TRIES, TIMEOUT_S, KEEP_S = 5, 300.0, 3600.0
# Beyond the timeout: until another worker takes over the job of one that died.
IN_PROGRESS_S = 10.0


def read_tries(project: Project, entry: Entry) -> Limit:
    """How often arq begins a job of this entry."""
    if entry.kind == "cron" and "max_tries" not in entry.options:
        # arq/cron.py: one try, whatever the worker says.
        value = UNKNOWN if entry.unread else 1
        return Limit(value, entry.place, by_default=True)
    return _read_limit(project, entry, entry.option("max_tries"), MAX_TRIES)


def _read_limit(project: Project, entry: Entry, found: Found | None, default: float) -> Limit:
    return read_limit(project, found, default, entry.place, is_hidden=entry.unread)


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
    return _read_limit(project, entry, entry.option("keep_result"), KEEP_S).value


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


@remembered
def read_policy(project: Project, handler: Definition) -> Policy:
    """What cannot be read is named in `unknown`."""
    entries = find_entries(project, handler)
    runs_again = all(retries_on(project, entry) for entry in entries)
    if runs_again:
        paths = counted(find_retries(project, handler))
    else:
        paths = ()
    reader = PolicyReader(project, handler, paths)
    if paths:
        reader.sources["retried"] = paths[0].place
    else:
        reader.sources["retried"] = None
    ended = []
    for entry in entries:
        option = entry.option("timeout", "job_timeout")
        ended.append(_read_limit(project, entry, option, TIMEOUT_S))
    attempts = 1
    if paths:
        tried = [read_tries(project, entry) for entry in entries]
        most = reader.read_most("max_attempts", tried, MAX_TRIES)
        attempts = reader.count_attempts(int(most))
    return reader.conclude(
        attempts,
        retried=_list_retried(project, paths),
        is_again=lambda clause: raises_retry(project, clause),
        backoff=_drop_own_cap(reader.agree_backoff(paths), attempts),
        limit_s=reader.read_most("time_limit_s", ended, TIMEOUT_S),
        taken_over_s=IN_PROGRESS_S,
        serializer=reader.read_serializer(
            _find_option(entries, "job_deserializer"),
            "pickle",
            _find_option(entries, "job_serializer"),
        ),
        record=find_left(project, handler),
    )


def _list_retried(project: Project, paths: tuple[Path, ...]) -> tuple[str, ...]:
    """Exceptions whose clauses raise Retry."""
    names: list[str] = []
    for path in paths:
        if path.clause is not None and path.clause.bare:
            return ("builtins:BaseException",)
        if path.clause is not None:
            names += path.clause.exceptions
    return import_paths(project, names)


def _find_option(entries: tuple[Entry, ...], name: str) -> Found | None:
    """What a worker is given instead of pickle (arq/jobs.py)."""
    for entry in entries:
        option = entry.worker.option(name)
        if option is not None:
            return option
    return None
