"""Rules about what is run again, how often, and after which wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import at, call_place, calls_of, tell
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Rerunning,
    find_permanent_retried,
)
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.taskiq.brokers import Broker, Part
from skillrun.frameworks.taskiq.retries import asks, has_source, types
from skillrun.frameworks.taskiq.schedulers import class_of, find_schedulers
from skillrun.frameworks.taskiq.tasks import Task, read_task
from skillrun.repo.python import Call, Module
from skillrun.repo.uses import Place

# Labels of a task that a retrying middleware reads.
_RETRY_LABELS = ("retry_on_error", "max_retries", "types_of_exceptions")
_CONTEXT = ("taskiq.Context", "taskiq.context.Context")


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.handler)


def _find_retrying(job: Job) -> tuple[Broker, Part] | None:
    """The task's broker, and the middleware that retries: the last of several is asked first."""
    broker = _task_of(job).broker
    if broker is not None and broker.retrying:
        return broker, broker.retrying[-1]
    return None


def _count_wanted(job: Job) -> int:
    """The attempts that the spec asks for."""
    retry = job.spec.retry
    if retry is not None and retry.kind is None:
        return retry.max_attempts or 1
    return 1


@rule(
    "taskiq.no-retry-middleware",
    stage="retry",
    rests_on="setup",
    source="Receiver.run_task in taskiq/receiver/receiver.py; SimpleRetryMiddleware",
)
def no_retry_middleware(job: Job) -> Iterator[Finding]:
    """taskiq retries nothing by itself: labels such as max_retries are read by a retrying
    middleware alone.

    The task is to be retried, and no middleware of its broker does that.
    """
    task = _task_of(job)
    broker = task.broker
    if broker is None or broker.unread or broker.retrying:
        return
    # What a part that was not read, or that is of the house, does with a failure is not known.
    if any(part.unread or part.own for part in broker.parts or ()):
        return
    labels = [task.labels[name] for name in _RETRY_LABELS if name in task.labels]
    if labels:
        node, module = labels[0]
        place, reason = place_of(module, node), "this label is read by nobody"
    elif _count_wanted(job) > 1:
        place, reason = broker.place, f"the spec asks for {_count_wanted(job)} attempts"
    else:
        return
    message = (
        f"no middleware of the broker retries, and {reason}: a task that fails is acknowledged"
        " and done with"
    )
    hint = (
        "broker.with_middlewares(SmartRetryMiddleware(default_retry_count=5, schedule_source=...))"
    )
    yield tell(job, "no-retry-middleware", Severity.ERROR, place, message, hint)


@rule(
    "taskiq.retry-not-asked",
    stage="retry",
    source=(
        "on_error in taskiq/middlewares/simple_retry_middleware.py and smart_retry_middleware.py"
    ),
)
def retry_not_asked(job: Job) -> Iterator[Finding]:
    """A middleware retries only tasks with the label retry_on_error, unless default_retry_label
    says otherwise.

    `max_retries` alone asks for nothing.
    """
    task, found = _task_of(job), _find_retrying(job)
    if found is None:
        return
    _, part = found
    if asks(job.project, task, part) is not False:
        return
    count = task.labels.get("max_retries")
    if count is not None:
        node, module = count
        place = place_of(module, node)
    elif _count_wanted(job) > 1 and "retry_on_error" not in task.labels:
        place = at(job, task.registered)
    else:
        # `retry_on_error=False` alone: whoever wrote it means it.
        return
    message = (
        "the task does not ask for retries (retry_on_error), and the middleware retries by"
        " request alone"
    )
    hint = "@broker.task(retry_on_error=True), or default_retry_label=True in the middleware"
    yield tell(job, "retry-not-asked", Severity.ERROR, place, message, hint)


@rule(
    "taskiq.runs-not-retries",
    stage="retry",
    rests_on="setup",
    source=(
        "`retries < max_retries` in taskiq/middlewares/simple_retry_middleware.py; seen in a"
        " run of our own"
    ),
)
def runs_not_retries(job: Job) -> Iterator[Finding]:
    """max_retries and default_retry_count count runs: 3 is the first run and two retries."""
    if _find_retrying(job) is None or "max_attempts" in job.policy.unknown:
        return
    most = job.policy.max_attempts
    if most is not None and most > 1 and most == _count_wanted(job) - 1:
        message = (
            f"max_retries is {most}, and taskiq counts runs: {most} attempts, where the spec asks"
            f" for {most + 1}"
        )
        place = at(job, job.policy.sources.get("max_attempts"))
        yield tell(
            job, "runs-not-retries", Severity.ERROR, place, message, f"max_retries={most + 1}"
        )


@rule(
    "taskiq.delay-unread",
    stage="retry",
    rests_on="setup",
    source="on_send in smart_retry_middleware.py; kick in taskiq_redis/redis_broker.py",
)
def delay_unread(job: Job) -> Iterator[Finding]:
    """SmartRetryMiddleware without a schedule source waits by a label, which no broker of
    taskiq-redis reads.
    """
    found = _find_retrying(job)
    if found is None:
        return
    broker, part = found
    if part.kind != "SmartRetryMiddleware" or part.unread or has_source(part):
        return
    if not broker.waits and job.policy.max_attempts != 1:
        name = broker.kind.rpartition(".")[2]
        message = (
            f"without schedule_source the wait is the label `delay`, which {name} does not read: it"
            " runs at once"
        )
        hint = "schedule_source=ListRedisScheduleSource(...), and a TaskiqScheduler that reads it"
        yield tell(job, "delay-unread", Severity.ERROR, part.place, message, hint)


@rule(
    "taskiq.no-wait",
    stage="retry",
    source="on_error in taskiq/middlewares/simple_retry_middleware.py",
)
def no_wait(job: Job) -> Iterator[Finding]:
    """SimpleRetryMiddleware has no wait between the runs.

    All runs are over before an outage can pass.
    """
    found = _find_retrying(job)
    if found is None or job.policy.max_attempts == 1:
        return
    _, part = found
    if part.kind == "SimpleRetryMiddleware":
        message = (
            "SimpleRetryMiddleware kicks the task again at once: all runs are over before an outage"
            " can pass"
        )
        hint = "SmartRetryMiddleware with a schedule_source"
        yield tell(job, "no-wait", Severity.WARNING, part.place, message, hint)


@rule(
    "taskiq.source-takes-none",
    stage="retry",
    rests_on="setup",
    source="add_schedule in taskiq/abc/schedule_source.py",
)
def source_takes_none(job: Job) -> Iterator[Finding]:
    """LabelScheduleSource cannot keep the schedule of a retry: on_error raises NotImplementedError.

    A source that knows the tasks' labels alone.
    """
    found = _find_retrying(job)
    if found is None:
        return
    _, part = found
    source = part.options.get("schedule_source")
    if source is None or class_of(job.project, source, part.module) != "LabelScheduleSource":
        return
    message = (
        "LabelScheduleSource takes no schedules: on_error ends in NotImplementedError, and no retry"
        " is sent"
    )
    hint = "ListRedisScheduleSource(...), which keeps what is added to it"
    place = place_of(part.module, source)
    yield tell(job, "source-takes-none", Severity.ERROR, place, message, hint)


@rule(
    "taskiq.source-unread",
    stage="retry",
    rests_on="setup",
    source="TaskiqScheduler in taskiq/scheduler/scheduler.py",
)
def source_unread(job: Job) -> Iterator[Finding]:
    """A retry in a schedule source is sent by a scheduler that has this source, and by nothing
    else.
    """
    found = _find_retrying(job)
    if found is None:
        return
    _, part = found
    if not has_source(part):
        return
    kind = class_of(job.project, part.options["schedule_source"], part.module)
    read = set()
    for scheduler in find_schedulers(job.project):
        # A list of sources that cannot be read may have it.
        if scheduler.sources is None:
            return
        for source in scheduler.sources:
            read.add(class_of(job.project, *source))
    if kind and kind not in read:
        message = (
            "no TaskiqScheduler has this schedule source among its sources: the retries are kept,"
            " and never sent"
        )
        hint = (
            "TaskiqScheduler(broker, sources=[...]), and `taskiq scheduler module:scheduler` beside"
            " the workers"
        )
        place = place_of(part.module, part.options["schedule_source"])
        yield tell(job, "source-unread", Severity.ERROR, place, message, hint)


@rule(
    "taskiq.product-of-delays",
    stage="retry",
    source="make_delay in taskiq/middlewares/smart_retry_middleware.py",
)
def product_of_delays(job: Job) -> Iterator[Finding]:
    """use_delay_exponent multiplies the delay by the number of the retry; in a label, it multiplies
    the product.
    """
    found = _find_retrying(job)
    if found is None:
        return
    _, part = found
    if job.project.literal(part.options.get("use_delay_exponent"), part.module) is not True:
        return
    # The label goes along with the message, and is multiplied again.
    waits = "5, 10, 30, 60 s: each wait is made of the one before"
    if has_source(part):
        waits = "5, 10, 15 s"
    message = (
        f"use_delay_exponent multiplies the wait by the number of the retry ({waits}), it does not"
        " double it"
    )
    hint = "a subclass with make_delay(self, message, retries), where the waits are to double"
    yield tell(job, "product-of-delays", Severity.WARNING, part.place, message, hint)


@rule(
    "taskiq.retries-twice",
    stage="retry",
    source="run_task in taskiq/receiver/receiver.py: every on_error is called",
)
def retries_twice(job: Job) -> Iterator[Finding]:
    """Two retrying middlewares both send a retry of each failure."""
    task = _task_of(job)
    if task.broker is None:
        return
    asked = []
    for part in task.broker.retrying:
        if asks(job.project, task, part) is not False:
            asked.append(part)
    if len(asked) > 1:
        message = "two middlewares retry this task: each failure is sent again twice"
        hint = "keep one of them"
        yield tell(job, "retries-twice", Severity.ERROR, asked[1].place, message, hint)


@rule(
    "taskiq.permanent-retried",
    stage="retry",
    source=(
        "open-wearables#1053: 462 attempts in a week; types_of_exceptions in"
        " smart_retry_middleware.py"
    ),
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """Without types_of_exceptions a middleware retries whatever leaves the task."""
    return find_permanent_retried(job, _RERUNNING)


def _read_left(job: Job, error: str) -> Answer:
    """The retrying middleware decides by the class of the error."""
    found = _find_retrying(job)
    if found is None or job.policy.max_attempts == 1:
        return "ends"
    bases = ancestors(job.project, error)
    # Both middlewares leave it alone.
    if not bases.isdisjoint(_NO_RESULT):
        return "ends"
    if "retried" in job.policy.unknown:
        return "unsure"
    retried = types(job.project, _task_of(job), found[1])
    # None: it retries after any exception.
    if retried is None or not bases.isdisjoint(map(short, retried)):
        return "again"
    return "ends"


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    found = _find_retrying(job)
    if found is not None and job.policy.max_attempts != 1:
        for name in types(job.project, _task_of(job), found[1]) or ():
            yield name, found[1].place


_NO_RESULT = ("taskiq.NoResultError", "taskiq.exceptions.NoResultError")
_RERUNNING = Rerunning(
    title="the middleware",
    read_clause=lambda job, clause: None,
    read_left=_read_left,
    hint=(
        "types_of_exceptions=(...) with the transient errors, in the middleware or as a label of"
        " the task"
    ),
    list_named=_list_named,
)


@rule("taskiq.reject", stage="retry", source="taskiq-python/taskiq#322, #371; taskiq/context.py")
def reject(job: Job) -> Iterator[Finding]:
    """context.reject() raises TaskRejectedError: the message is acknowledged, and no dead-letter
    queue has it.
    """
    for call in calls_of(job):
        if call.node.func and _of_context(job, call, "reject"):
            retried = ""
            if job.policy.max_attempts != 1:
                retried = " and is retried like any other"
            message = (
                f"reject() raises TaskRejectedError, which taskiq acknowledges{retried}: no broker"
                " keeps the message"
            )
            hint = "record the dead letter, and return"
            yield tell(job, "reject", Severity.ERROR, call_place(call), message, hint)


@rule("taskiq.requeue", stage="retry", source="requeue in taskiq/context.py")
def requeue(job: Job) -> Iterator[Finding]:
    """context.requeue() sends the message again at once, and its count bounds nothing."""
    for call in calls_of(job):
        if _of_context(job, call, "requeue"):
            message = (
                "requeue() sends the same message at once and counts nothing: a lasting error turns"
                " into a loop"
            )
            hint = "raise the error, and let SmartRetryMiddleware wait and count"
            yield tell(job, "requeue", Severity.ERROR, call_place(call), message, hint)


def _of_context(job: Job, call: Call, word: str) -> bool:
    """Whether a call is of that method of the parameter that is taskiq's context."""
    func = call.node.func
    if not isinstance(func, ast.Attribute) or func.attr != word:
        return False
    function = call.module.function_of(call.node)
    if not isinstance(func.value, ast.Name) or function is None:
        return False
    args = function.args
    for parameter in (*args.posonlyargs, *args.args, *args.kwonlyargs):
        if parameter.arg == func.value.id:
            return _names_context(job, call.module, parameter.annotation)
    return False


def _names_context(job: Job, module: Module, annotation: ast.expr | None) -> bool:
    """Whether taskiq's context is named in an annotation: `Context`, `Annotated[Context, ...]`."""
    if annotation is None:
        return False
    for node in ast.walk(annotation):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        if job.project.origin_of(module, node) in _CONTEXT:
            return True
    return False


@rule(
    "taskiq.thread-timeout",
    stage="retry",
    source="`Timeouts for sync tasks don't work in python well` in taskiq/receiver/receiver.py",
)
def thread_timeout(job: Job) -> Iterator[Finding]:
    """A plain function runs in a thread, which no timeout ends."""
    label = _task_of(job).labels.get("timeout")
    if label is None or not isinstance(job.handler.node, ast.FunctionDef):
        return
    node, module = label
    message = (
        "timeout cancels nothing in a plain function: it goes on in its thread, while the task"
        " counts as failed and may be retried beside it"
    )
    hint = "async def, or a timeout in the client that it calls"
    yield tell(job, "thread-timeout", Severity.WARNING, place_of(module, node), message, hint)


SWALLOWING = declare_swallowing_rules(
    "taskiq",
    says="taskiq takes the task for done, and does not run it again",
    source="run_task in taskiq/receiver/receiver.py",
)
