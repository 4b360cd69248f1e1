"""Rules about what is run again, how often, and after which wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import at, call_place, calls_of, effect_calls, spec_name, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.frameworks.taskiq.brokers import Broker, Part
from skillrun.frameworks.taskiq.retries import asks, has_source, types
from skillrun.frameworks.taskiq.schedulers import class_of, find_schedulers
from skillrun.frameworks.taskiq.tasks import Task, read_task
from skillrun.repo.python import Call
from skillrun.repo.uses import Place

_WANTED = ("retry_on_error", "max_retries", "types_of_exceptions")
_CONTEXT = ("taskiq.Context", "taskiq.context.Context")


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.handler)


def _find_retrying(job: Job) -> tuple[Broker, Part] | None:
    """The middleware that counts: the last of the list is asked first."""
    broker = _task_of(job).broker
    if broker is not None and broker.retrying:
        return (broker, broker.retrying[-1])
    return None


def _count_wanted(job: Job) -> int:
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
    named = next((task.labels[name] for name in _WANTED if name in task.labels), None)
    if named is not None:
        place, said = place_of(named[1], named[0]), "this label is read by nobody"
    elif _count_wanted(job) > 1:
        place, said = broker.place, f"the spec asks for {_count_wanted(job)} attempts"
    else:
        return
    message = (
        f"no middleware of the broker retries, and {said}: a task that fails is acknowledged"
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
    if found is None or asks(job.project, task, found[1]) is not False:
        return
    count = task.labels.get("max_retries")
    if count is not None or (_count_wanted(job) > 1 and "retry_on_error" not in task.labels):
        if count is not None:
            place = place_of(count[1], count[0])
        else:
            place = at(job, task.registered)
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
    if (
        found is None
        or found[1].kind != "SmartRetryMiddleware"
        or found[1].unread
        or has_source(found[1])
    ):
        return
    broker, part = found
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
    if (
        found is not None
        and found[1].kind == "SimpleRetryMiddleware"
        and job.policy.max_attempts != 1
    ):
        message = (
            "SimpleRetryMiddleware kicks the task again at once: all runs are over before an outage"
            " can pass"
        )
        hint = "SmartRetryMiddleware with a schedule_source"
        yield tell(job, "no-wait", Severity.WARNING, found[1].place, message, hint)


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
    node = None
    if found is not None:
        node = found[1].options.get("schedule_source")
    if (
        found is None
        or node is None
        or class_of(job.project, node, found[1].module) != "LabelScheduleSource"
    ):
        return
    message = (
        "LabelScheduleSource takes no schedules: on_error ends in NotImplementedError, and no retry"
        " is sent"
    )
    hint = "ListRedisScheduleSource(...), which keeps what is added to it"
    yield tell(
        job, "source-takes-none", Severity.ERROR, place_of(found[1].module, node), message, hint
    )


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
    if found is None or not has_source(found[1]):
        return
    part, lists = found[1], [one.sources for one in find_schedulers(job.project)]
    kind = class_of(job.project, part.options["schedule_source"], part.module)
    known = set()
    for sources in lists:
        for source in sources or ():
            known.add(class_of(job.project, *source))
    if kind and None not in lists and kind not in known:
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
    if (
        found is None
        or job.project.literal(found[1].options.get("use_delay_exponent"), found[1].module)
        is not True
    ):
        return
    part = found[1]
    said = "5, 10, 30, 60 s: each wait is made of the one before"
    if has_source(part):
        said = "5, 10, 15 s"
    message = (
        f"use_delay_exponent multiplies the wait by the number of the retry ({said}), it does not"
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
    broker = _task_of(job).broker
    if broker is not None and len(broker.retrying) > 1:
        asking = []
        for part in broker.retrying:
            if asks(job.project, _task_of(job), part) is not False:
                asking.append(part)
        if len(asking) > 1:
            message = "two middlewares retry this task: each failure is sent again twice"
            yield tell(
                job, "retries-twice", Severity.ERROR, asking[1].place, message, "keep one of them"
            )


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
    found, failures = _find_retrying(job), job.spec.failures
    if (
        found is None
        or failures is None
        or job.policy.max_attempts == 1
        or "retried" in job.policy.unknown
    ):
        return
    named = types(job.project, _task_of(job), found[1])
    for written in dict.fromkeys(error.type for error in failures.permanent):
        bases = ancestors(job.project, short(spec_name(job, written)))
        if named is not None and not bases & {short(name) for name in named}:
            continue
        call = next((call for call in effect_calls(job) if not _is_taken(call, bases)), None)
        if call is not None:
            message = (
                f"{written} is permanent in the spec, and leaves the task: the middleware retries"
                " it like any other"
            )
            hint = (
                "types_of_exceptions=(...) with the transient errors, in the middleware or as a"
                " label of the task"
            )
            yield tell(job, "permanent-retried", Severity.ERROR, call_place(call), message, hint)
            return


def _is_taken(call: Call, bases: frozenset[str]) -> bool:
    """A clause around the call lets it end there, as far as can be told."""
    for clause in call.in_try:
        names = {short(name) for name in clause.exceptions}
        if clause.bare or bases & names:
            return not clause.always_raises
    return False


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
    """A method of the parameter that is taskiq's context."""
    func = call.node.func
    owner = None
    if isinstance(func, ast.Attribute) and func.attr == word:
        owner = func.value
    function = call.module.function_of(call.node)
    if not isinstance(owner, ast.Name) or function is None:
        return False
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given = next((one.annotation for one in every if one.arg == owner.id), None)
    if given is not None:
        words = []
        for node in ast.walk(given):
            if isinstance(node, ast.Name | ast.Attribute):
                words.append(node)
    else:
        words = []
    return any(job.project.origin_of(call.module, one) in _CONTEXT for one in words)


@rule(
    "taskiq.thread-timeout",
    stage="retry",
    source="`Timeouts for sync tasks don't work in python well` in taskiq/receiver/receiver.py",
)
def thread_timeout(job: Job) -> Iterator[Finding]:
    """A plain function runs in a thread, which no timeout ends."""
    found = _task_of(job).labels.get("timeout")
    if found is not None and isinstance(job.handler.node, ast.FunctionDef):
        message = (
            "timeout cancels nothing in a plain function: it goes on in its thread, while the task"
            " counts as failed and may be retried beside it"
        )
        place: Place = place_of(found[1], found[0])
        yield tell(
            job,
            "thread-timeout",
            Severity.WARNING,
            place,
            message,
            "async def, or a timeout in the client that it calls",
        )


SWALLOWING = declare_swallowing_rules(
    "taskiq",
    says="taskiq takes the task for done, and does not run it again",
    source="run_task in taskiq/receiver/receiver.py",
)
