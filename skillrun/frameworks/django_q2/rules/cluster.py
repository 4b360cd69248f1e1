"""Rules about Q_CLUSTER: what it lets run twice, for ever, or never again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_q2.again import find_again
from skillrun.frameworks.django_q2.cluster import Cluster, read_cluster
from skillrun.frameworks.django_q2.policy import ends_at_failure, first_sends, is_cached
from skillrun.frameworks.django_q2.sends import ASYNC_TASK
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import is_known
from skillrun.repo.uses import Place

_NO_RECEIPTS = ("redis", "")


def _cluster_of(job: Job) -> Cluster:
    return read_cluster(job.project, job.use)


def _sends_of(job: Job) -> tuple[Send | None, ...]:
    return first_sends(job.project, job.handler)


def _count_wanted(job: Job) -> int | None:
    """The attempts of the spec; None where it promises no retry."""
    retry = job.spec.retry
    if retry is not None and retry.kind is None:
        return retry.max_attempts
    return None


def _read_number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None


def _list_timeouts(job: Job) -> Iterator[tuple[float, Place | None]]:
    """(seconds, where) of Q_CLUSTER's and of each send's own time limit."""
    cluster = _cluster_of(job)
    values = [(cluster.value("timeout"), cluster.source("timeout"))]
    for send in _sends_of(job):
        option = None
        if send is not None and send.via == ASYNC_TASK:
            option = send.options.get("timeout")
        if send is not None and option is not None:
            values.append((job.project.literal(*option), send.place))
    for value, place in values:
        if (number := _read_number(value)) is not None:
            yield (number, place)


@rule(
    "django-q2.retry-below-timeout",
    stage="retry",
    rests_on="setup",
    source=(
        "Koed00/django-q#183: retry 120 s, timeout 600 s, each report made and mailed twice;"
        " django_q/conf.py"
    ),
)
def retry_below_timeout(job: Job) -> Iterator[Finding]:
    """A job that runs for longer than `retry` is taken a second time while the first run is still
    at it.
    """
    cluster = _cluster_of(job)
    retry = _read_number(cluster.value("retry"))
    if cluster.broker in _NO_RECEIPTS or retry is None:
        return
    for timeout, place in _list_timeouts(job):
        if timeout >= retry:
            given = " by default"
            if cluster.source("retry"):
                given = ""
            message = (
                f"a job may run for {seconds(timeout)}, and after {seconds(retry)}{given} it is"
                " taken again: a slow one runs twice at once"
            )
            hint = f"retry above every timeout, e.g. {timeout * 1.5:g}"
            where = at(job, place or cluster.place)
            yield tell(job, "retry-below-timeout", Severity.ERROR, where, message, hint)


@rule(
    "django-q2.no-timeout",
    stage="retry",
    source="the warning in django_q/conf.py; timeout in Django Q2's documentation",
)
def no_timeout(job: Job) -> Iterator[Finding]:
    """Without a timeout nothing ends a job that hangs, and after `retry` seconds another worker
    runs it as well.

    Neither Q_CLUSTER nor the send says how long a job may run.
    """
    cluster = _cluster_of(job)
    if (
        cluster.broker in _NO_RECEIPTS
        or not is_known(cluster.value("timeout"))
        or cluster.value("timeout")
    ):
        return
    if any(send is None or send.options.get("timeout") is None for send in _sends_of(job)):
        message = (
            "no timeout: a job that hangs is never ended, and is taken once more while it hangs"
        )
        hint = "timeout: the longest that a job may take, and retry above it"
        yield tell(job, "no-timeout", Severity.WARNING, at(job, cluster.place), message, hint)


@rule(
    "django-q2.unbounded-attempts",
    stage="retry",
    rests_on="setup",
    source="Koed00/django-q#194, #495, #602; max_attempts in django_q/conf.py",
)
def unbounded_attempts(job: Job) -> Iterator[Finding]:
    """max_attempts is 0 by default: a job that fails is run again every `retry`
    seconds, for ever.
    """
    cluster = _cluster_of(job)
    most = cluster.value("max_attempts")
    if cluster.broker in _NO_RECEIPTS or not is_known(most) or most:
        return
    acked = [ends_at_failure(job.project, cluster, send) for send in _sends_of(job)]
    if all(is_known(value) and not value for value in acked):
        given = "is not set"
        if cluster.source("max_attempts"):
            given = "is 0"
        message = f"max_attempts {given}: a job that fails is run again for ever"
        place = at(job, cluster.source("max_attempts") or cluster.place)
        hint = f"max_attempts: {_count_wanted(job) or 5}"
        yield tell(job, "unbounded-attempts", Severity.ERROR, place, message, hint)


@rule(
    "django-q2.cached-unbounded",
    stage="retry",
    rests_on="setup",
    source="save_cached in django_q/monitor.py",
)
def cached_unbounded(job: Job) -> Iterator[Finding]:
    """A result that goes to the cache counts no attempt: max_attempts does not end such a job."""
    cluster = _cluster_of(job)
    if cluster.broker in _NO_RECEIPTS:
        return
    for send in _sends_of(job):
        cached, acked = (read(job.project, cluster, send) for read in (is_cached, ends_at_failure))
        if is_known(cached) and cached and is_known(acked) and not acked:
            own = send is not None and send.options.get("cached") is not None
            if own and send is not None:
                place = send.place
            else:
                place = at(job, cluster.source("cached"))
            message = (
                "its result goes to the cache, where no attempt is counted: a failure is run again"
                " for ever"
            )
            hint = "leave cached out, or add ack_failure=True"
            yield tell(job, "cached-unbounded", Severity.ERROR, place, message, hint)
            return


@rule(
    "django-q2.one-attempt",
    stage="retry",
    source="django-q2#298; save_task in django_q/monitor.py of 1.6",
)
def one_attempt(job: Job) -> Iterator[Finding]:
    """Before Django Q2 1.8 the first failure is not compared with max_attempts: 1 is
    two attempts.
    """
    cluster = _cluster_of(job)
    if cluster.broker in _NO_RECEIPTS or cluster.value("max_attempts") != 1:
        return
    acked = [ends_at_failure(job.project, cluster, send) for send in _sends_of(job)]
    if all(is_known(value) and not value for value in acked):
        message = "max_attempts: 1 is two attempts before Django Q2 1.8"
        place = at(job, cluster.source("max_attempts"))
        yield tell(
            job,
            "one-attempt",
            Severity.NOTE,
            place,
            message,
            "ack_failures: True ends it in every version",
        )


@rule(
    "django-q2.redis-gives-nothing-back",
    stage="retry",
    rests_on="setup",
    source=(
        "Redis broker in Django Q2's documentation (no delivery receipts);"
        " django_q/brokers/redis_broker.py"
    ),
)
def redis_gives_nothing_back(job: Job) -> Iterator[Finding]:
    """The Redis broker pops a job: one that fails, or whose worker dies, is not run again, whatever
    `retry` says.

    The spec promises attempts that this broker cannot give.
    """
    cluster, wanted = _cluster_of(job), _count_wanted(job)
    if (
        cluster.broker == "redis"
        and wanted
        and wanted > 1
        and not find_again(job.project, job.handler)
    ):
        message = (
            "the Redis broker gives nothing back: a failed job is not run again, and the spec asks"
            f" for {wanted}"
        )
        hint = '"orm": "default" in Q_CLUSTER; or the handler schedules itself again'
        yield tell(
            job, "redis-gives-nothing-back", Severity.ERROR, at(job, cluster.place), message, hint
        )


@rule(
    "django-q2.failures-acknowledged",
    stage="retry",
    rests_on="setup",
    source="ack_failures in Django Q2's documentation; monitor in django_q/monitor.py",
)
def failures_acknowledged(job: Job) -> Iterator[Finding]:
    """With ack_failures a job that failed counts as delivered: nothing runs it again.

    The spec promises attempts, and a failure is the end.
    """
    cluster, wanted = _cluster_of(job), _count_wanted(job)
    if (
        cluster.broker in _NO_RECEIPTS
        or not wanted
        or wanted < 2
        or find_again(job.project, job.handler)
    ):
        return
    for send in _sends_of(job):
        acked = ends_at_failure(job.project, cluster, send)
        if is_known(acked) and acked:
            own = send is not None and send.options.get("ack_failure") is not None
            if own and send is not None:
                place = send.place
            else:
                place = at(job, cluster.source("ack_failures"))
            message = (
                "a failure is acknowledged, so nothing runs it again, and the spec asks for"
                f" {wanted} attempts"
            )
            hint = (
                f"leave it out, with max_attempts: {wanted}; or let the handler schedule itself"
                " again"
            )
            yield tell(job, "failures-acknowledged", Severity.ERROR, place, message, hint)
            return


@rule(
    "django-q2.fractional-timeout",
    stage="handler",
    rests_on="setup",
    source="TimeoutHandler in django_q/timeout.py",
)
def fractional_timeout(job: Job) -> Iterator[Finding]:
    """The timeout goes to signal.alarm, which takes whole seconds: with a fraction every run fails
    with TypeError.
    """
    for timeout, place in _list_timeouts(job):
        if isinstance(timeout, float):
            message = (
                f"timeout {timeout:g} is no whole number: signal.alarm refuses it, and every run"
                " fails"
            )
            hint = f"timeout: {max(1, round(timeout))}"
            yield tell(job, "fractional-timeout", Severity.ERROR, at(job, place), message, hint)


@rule(
    "django-q2.sync-left-on",
    stage="handler",
    rests_on="setup",
    source="sync in Django Q2's documentation; _sync in django_q/tasks.py",
)
def sync_left_on(job: Job) -> Iterator[Finding]:
    """With sync the job runs where it is called, in the caller's transaction, and its exception is
    the caller's.

    A test's option in what runs for users.
    """
    cluster = _cluster_of(job)
    place = cluster.source("sync")
    if cluster.value("sync") is True and place is not None and not is_plainly_test(place.path):
        message = "sync is on: jobs run where they are queued, and no worker sees one"
        yield tell(
            job,
            "sync-left-on",
            Severity.ERROR,
            place,
            message,
            "sync in the settings of tests alone",
        )
    for send in _sends_of(job):
        option = None
        if send is not None and send.via == ASYNC_TASK:
            option = send.options.get("sync")
        if option is not None and job.project.literal(*option) is True:
            message = "sync=True: the job runs in the caller, and an error of it is the caller's"
            where = place_of(option[1], option[0])
            yield tell(job, "sync-left-on", Severity.ERROR, where, message, "leave it out")
