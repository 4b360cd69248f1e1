"""Rules about the end of a task: what nobody hears of, what is recorded too often, and what is gone
with its worker.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, calls_of, expects_record, seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.taskiq.brokers import Broker
from skillrun.frameworks.taskiq.deadletter import clause_record, find_record, hook_records
from skillrun.frameworks.taskiq.policy import ack_type, idle_s
from skillrun.frameworks.taskiq.sends import find_real_kicks
from skillrun.frameworks.taskiq.tasks import read_task
from skillrun.repo.python import Definition
from skillrun.repo.syntax import name_method
from skillrun.repo.uses import Place

_ASKS = ("NoResultError", "_retries")
# A task without a timeout may well take longer.
_SHORT_S = 60.0


@rule("taskiq.failure-unrecorded", stage="dead-letter", source="taskiq-python/taskiq#322, #371")
def failure_unrecorded(job: Job) -> Iterator[Finding]:
    """taskiq acknowledges a failed message: a dead-letter queue of the broker stays empty."""
    task = read_task(job.project, job.handler)
    if not expects_record(job) or (task.broker is not None and task.broker.unread):
        return
    if find_record(job.project, task) is None and clause_record(job.project, job.handler) is None:
        message = (
            "nothing is recorded when the task is given up: taskiq acknowledges it, and keeps no"
            " dead letters"
        )
        hint = "on_error of a middleware of your own, where result.error is no NoResultError"
        yield tell(
            job, "failure-unrecorded", Severity.WARNING, at(job, task.registered), message, hint
        )


@rule(
    "taskiq.record-each-time",
    stage="dead-letter",
    source=(
        "run_task in taskiq/receiver/receiver.py; no_result_on_retry in smart_retry_middleware.py"
    ),
)
def record_each_time(job: Job) -> Iterator[Finding]:
    """on_error is called at every failure, in reverse order of the list: only after the retries'
    own it is known whether the task is retried.
    """
    task = read_task(job.project, job.handler)
    broker = task.broker
    if broker is None or not broker.retrying or job.policy.max_attempts == 1:
        return
    for (name, method), place in hook_records(job.project, task):
        if name != "on_error":
            continue
        text = ast.unparse(method.node)
        if not any(word in text for word in _ASKS):
            message = (
                "on_error is called at every failure, also of one that is retried: each leaves a"
                " record"
            )
            hint = (
                "if not isinstance(result.error, NoResultError): the retrying middleware sets it"
                " where it retries"
            )
            yield tell(job, "record-each-time", Severity.ERROR, place, message, hint)
        elif "_retries" not in text and _is_called_before_retries(job, broker, method):
            message = (
                "on_error is called in reverse order: this one before that of the retries, when"
                " nothing says yet that the task is retried"
            )
            hint = "put it before the retries in the list"
            yield tell(job, "record-each-time", Severity.ERROR, place, message, hint)


def _is_called_before_retries(job: Job, broker: Broker, method: Definition) -> bool:
    """The first middleware that has the method stands behind the last one that retries."""
    retrying = max(number for number, part in enumerate(broker.parts) if part.retries)
    for number, part in enumerate(broker.parts):
        if part.own and job.project.member([part.own], "on_error") == method:
            return number > retrying
    return False


@rule(
    "taskiq.record-after-ack",
    stage="dead-letter",
    source="callback in taskiq/receiver/receiver.py",
)
def record_after_ack(job: Job) -> Iterator[Finding]:
    """post_execute and post_save come after the acknowledgement when ack_type is when_executed or
    when_received.

    The message is acknowledged before `post_execute`, and the record is written in it.
    """
    task = read_task(job.project, job.handler)
    acked, _ = ack_type(job.project, job.handler)
    for (name, _), place in hook_records(job.project, task):
        if name != "on_error" and acked in ("when_executed", "when_received"):
            message = (
                f"{name} comes after the acknowledgement ({acked}): a worker that dies in between"
                " leaves no record"
            )
            yield tell(
                job,
                "record-after-ack",
                Severity.WARNING,
                place,
                message,
                "on_error, or ack_type when_saved",
            )


@rule(
    "taskiq.loses-jobs",
    stage="handler",
    source=(
        "listen in taskiq_redis/redis_broker.py, redis_cluster_broker.py and"
        " redis_sentinel_broker.py; taskiq_pg"
    ),
)
def loses_jobs(job: Job) -> Iterator[Finding]:
    """Lists, channels, notifications and the stream brokers for clusters and sentinels give nothing
    back.

    A broker that has let go of a message when a worker takes it.
    """
    broker = read_task(job.project, job.handler).broker
    if broker is not None and not broker.gives_back and not broker.in_memory:
        name = broker.kind.rpartition(".")[2]
        message = (
            f"{name} gives no message back: a job whose worker dies, or is deployed over, is lost"
        )
        yield tell(
            job,
            "loses-jobs",
            Severity.WARNING,
            broker.place,
            message,
            "RedisStreamBroker, which acknowledges",
        )


@rule(
    "taskiq.in-memory",
    stage="handler",
    rests_on="setup",
    source="taskiq/brokers/inmemory_broker.py",
)
def in_memory(job: Job) -> Iterator[Finding]:
    """InMemoryBroker is for tests and development: its tasks die with the process
    that kicked them.
    """
    task = read_task(job.project, job.handler)
    if task.broker is not None and task.broker.in_memory:
        message = (
            "InMemoryBroker runs the task in the process that kicks it: no worker, nothing left"
            " after a restart"
        )
        yield tell(
            job,
            "in-memory",
            Severity.ERROR,
            task.broker.place,
            message,
            "a broker with a queue; this one for tests",
        )


@rule(
    "taskiq.acked-early",
    stage="handler",
    rests_on="setup",
    source="AcknowledgeType in taskiq/acks.py",
)
def acked_early(job: Job) -> Iterator[Finding]:
    """ack_type when_received acknowledges before the run: a worker that dies loses the job."""
    found, place = ack_type(job.project, job.handler)
    if found == "when_received":
        message = "acknowledged when it was received: a job whose worker dies is lost"
        yield tell(
            job,
            "acked-early",
            Severity.ERROR,
            at(job, place),
            message,
            "leave ack_type at when_saved",
        )


@rule(
    "taskiq.ack-type-enum",
    stage="handler",
    rests_on="setup",
    source=(
        "prepare_label in taskiq/labels.py, parse_acknowledge_type in taskiq/acks.py; seen in"
        " a run of our own"
    ),
)
def ack_type_enum(job: Job) -> Iterator[Finding]:
    """A label is sent as text: AcknowledgeType.WHEN_SAVED arrives as a word that the receiver
    refuses.

    A member of the enumeration, where its text is meant.
    """
    task = read_task(job.project, job.handler)
    kicks = find_real_kicks(job.project, job.handler)
    given = [send.options.get("ack_type") for send in kicks]
    for found in (task.labels.get("ack_type"), *given):
        if found is not None:
            node, module = found
        else:
            node, module = (None, None)
        if not isinstance(node, ast.Attribute) or module is None:
            continue
        if job.project.origin_of(module, node.value).endswith("AcknowledgeType"):
            message = (
                f"{ast.unparse(node)} is sent as the text {ast.unparse(node)!r}, which the receiver"
                " refuses: no message of this task is run, or acknowledged"
            )
            hint = f'ack_type="{node.attr.lower()}"'
            yield tell(job, "ack-type-enum", Severity.ERROR, place_of(module, node), message, hint)


@rule(
    "taskiq.never-acked",
    stage="handler",
    rests_on="setup",
    source="AcknowledgeType.MANUAL in taskiq/acks.py; taskiq-aio-pika#35, a crash loop",
)
def never_acked(job: Job) -> Iterator[Finding]:
    """With ack_type manual only context.ack() acknowledges; without it the message is claimed again
    and again.
    """
    found, place = ack_type(job.project, job.handler)
    acks = any(name_method(c.node) == "ack" for c in calls_of(job))
    if found == "manual" and not acks:
        message = (
            "ack_type manual, and the task never calls context.ack(): its message comes back for"
            " ever"
        )
        yield tell(
            job,
            "never-acked",
            Severity.ERROR,
            at(job, place),
            message,
            "await context.ack() when it is done",
        )


@rule(
    "taskiq.claimed-later",
    stage="handler",
    source=(
        "`if not fetched: continue` in listen, taskiq_redis/redis_broker.py; seen in a run of"
        " our own"
    ),
)
def claimed_later(job: Job) -> Iterator[Finding]:
    """RedisStreamBroker looks for pending messages only after it was given a new one.

    What a worker left pending waits for the next message.
    """
    broker = read_task(job.project, job.handler).broker
    if broker is not None and broker.kind.endswith("RedisStreamBroker"):
        message = (
            "a message that a dead worker left pending is claimed after another message has come,"
            " and not before: in a quiet stream it waits"
        )
        hint = "a task that is scheduled every minute in the same stream, or a sweep of your own"
        yield tell(job, "claimed-later", Severity.NOTE, broker.place, message, hint)


@rule(
    "taskiq.idle-timeout",
    stage="idempotency",
    rests_on="setup",
    source=(
        "xautoclaim in taskiq_redis/redis_broker.py; django-q#183: retry shorter than"
        " timeout, sent twice"
    ),
)
def idle_timeout(job: Job) -> Iterator[Finding]:
    """A message that is pending for longer than idle_timeout is claimed by another worker, also
    while it runs.
    """
    broker = read_task(job.project, job.handler).broker
    if broker is not None:
        idle, place = idle_s(job.project, broker)
    else:
        idle, place = (None, None)
    limit = job.policy.time_limit_s
    if not isinstance(idle, int | float) or idle >= (limit or _SHORT_S):
        return
    than = "the task has no timeout"
    if limit:
        than = f"the task's timeout is {seconds(limit)}"
    message = (
        f"idle_timeout is {seconds(idle)}, and {than}: another worker claims the message while this"
        " one runs it"
    )
    if limit:
        severity = Severity.ERROR
    else:
        severity = Severity.WARNING
    yield tell(
        job,
        "idle-timeout",
        severity,
        at(job, place),
        message,
        "longer than any run takes; it is in milliseconds",
    )


@rule(
    "taskiq.schedule-unread",
    stage="handler",
    rests_on="setup",
    source="taskiq/schedule_sources/label_based.py",
)
def schedule_unread(job: Job) -> Iterator[Finding]:
    """The label schedule is read by LabelScheduleSource, in a scheduler, and by nothing else."""
    found = read_task(job.project, job.handler).labels.get("schedule")
    if found is None or any(True for _ in job.project.modules_with("LabelScheduleSource")):
        return
    message = "no LabelScheduleSource reads this label: the task is never scheduled"
    hint = "TaskiqScheduler(broker, sources=[LabelScheduleSource(broker)])"
    place: Place = place_of(found[1], found[0])
    yield tell(job, "schedule-unread", Severity.ERROR, place, message, hint)
