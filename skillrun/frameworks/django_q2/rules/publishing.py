"""Rules about how a job is queued or scheduled: what never runs, what arrives broken, and what is
queued twice.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.common.facts import call_place, calls_of, tell
from skillrun.frameworks.common.guards import tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.rows import name_row
from skillrun.frameworks.common.send_rules import find_called_sends, find_given_arguments
from skillrun.frameworks.django_q2.again import find_again
from skillrun.frameworks.django_q2.sends import (
    ROW,
    SCHEDULE,
    SENDER,
    published,
    reserved_names,
    style_of,
)
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module
from skillrun.repo.source import last_word
from skillrun.repo.uses import Place

_NO_LITERALS = ("datetime.", "django.utils.timezone.", "decimal.Decimal", "uuid.")


@rule(
    "django-q2.never-runs",
    stage="handler",
    source="`res = f(*task['args'], **task['kwargs'])` in django_q/worker.py",
)
def never_runs(job: Job) -> Iterator[Finding]:
    """A coroutine or a generator function is called and never run: its result cannot be pickled
    either.

    Calling it makes a coroutine or a generator, and nobody goes on with that.
    """
    node, place = job.handler.node, Place(job.handler.path, job.handler.line)
    if job.handler.decorators:
        return
    if isinstance(node, ast.AsyncFunctionDef):
        message = (
            f"{job.handler.name} is a coroutine function: Django Q2 calls it and awaits nothing"
        )
        hint = "def, with asgiref.sync.async_to_sync around what is asynchronous"
        yield tell(job, "never-runs", Severity.ERROR, place, message, hint)
    elif isinstance(node, ast.FunctionDef) and _is_generator(node):
        message = (
            f"{job.handler.name} is a generator function: Django Q2 calls it and runs none of it"
        )
        yield tell(
            job, "never-runs", Severity.ERROR, place, message, "return what it makes, or nothing"
        )


def _is_generator(function: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


@rule("django-q2.unknown-name", stage="handler", source="pydoc.locate in django_q/worker.py")
def unknown_name(job: Job) -> Iterator[Finding]:
    """A job is found by its dotted path when it runs: with another one each attempt fails.

    A text that ends in the handler's name, and names nothing.
    """
    for module, call, style in published(job.project):
        first = None
        if call.args and style != ROW:
            first = call.args[0]
        text = None
        if first is not None:
            text = job.project.literal(first, module)
        if (
            not isinstance(text, str)
            or is_plainly_test(module.path)
            or text.replace(":", ".").rpartition(".")[2] != job.handler.name
        ):
            continue
        package = job.handler.dotted.partition(".")[0]
        unknown = job.project.lookup(text) is None and text.partition(".")[0] in (
            package,
            job.handler.name,
        )
        if unknown or ":" in text:
            message = f"{text} names no function: each run fails with ValueError"
            hint = f'"{job.handler.dotted}"'
            yield tell(job, "unknown-name", Severity.ERROR, place_of(module, call), message, hint)


@rule(
    "django-q2.option-taken",
    stage="handler",
    rests_on="setup",
    source="opt_keys in async_task, kwargs.pop in schedule, django_q/tasks.py",
)
def option_taken(job: Job) -> Iterator[Finding]:
    """async_task and schedule keep some keywords for themselves: the function never sees an
    argument of that name.
    """
    for send, call, _ in find_given_arguments(job, SENDER):
        taken = call.keywords.keys() & reserved_names(send.via)
        for name in sorted(taken & {*job.handler.parameters}):
            message = f"{name}= is an option of {send.how}: the function never sees it"
            hint = "give it by position, or name the parameter otherwise"
            yield tell(job, "option-taken", Severity.ERROR, send.place, message, hint)


@rule(
    "django-q2.publish-unkeyed",
    stage="idempotency",
    source="posthog#62708 (review): publishing inside something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that queues another one does so again on every run."""
    again = find_again(job.project, job.handler)
    own = set()
    for one in again:
        if one.send.call is not None:
            own.add(one.send.call.node)
    for call in calls_of(job):
        if call.node in own or style_of(job.project, call.module, call.node) is None:
            continue
        message = (
            f"{ast.unparse(call.node.func)}(...) in a job that may run again: each run queues once"
            " more"
        )
        hint = "let the other job de-duplicate by a key among its arguments"
        yield tell(job, "publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


@rule(
    "django-q2.scheduled-at-start",
    stage="idempotency",
    rests_on="setup",
    source=(
        "schedule in django_q/tasks.py: a name that exists raises IntegrityError, none makes"
        " one more"
    ),
)
def scheduled_at_start(job: Job) -> Iterator[Finding]:
    """A schedule that is created when a module is imported, or in ready(), is another row at every
    start.
    """
    for send, call in find_called_sends(job, SENDER):
        around = call.module.function_of(call.node)
        at_start = around is None or around.name == "ready"
        keeps_one = last_word(call.node.func) in ("get_or_create", "update_or_create")
        if send.kind != "schedule" or not at_start or keeps_one:
            continue
        tests = tests_before(call.module, call.node)
        if any("Schedule" in ast.unparse(test) for test, _ in tests):
            continue
        message = (
            "this makes another row of Schedule at each start of each process: the job runs that"
            " many times"
        )
        hint = "Schedule.objects.update_or_create(name=..., defaults={...}), in a migration"
        yield tell(job, "scheduled-at-start", Severity.ERROR, send.place, message, hint)


@rule(
    "django-q2.schedule-argument",
    stage="contract",
    rests_on="setup",
    source=(
        "ast.literal_eval in scheduler, django_q/scheduler.py: one transaction and one except"
        " around all of them"
    ),
)
def schedule_argument(job: Job) -> Iterator[Finding]:
    """A schedule keeps its arguments as text and reads them as literals: anything else stops every
    schedule.
    """
    for send, call, arguments in find_given_arguments(job, SENDER):
        if send.via != SCHEDULE:
            continue
        for node in arguments.values:
            if _is_literal(job, call.module, node):
                continue
            message = (
                f"{ast.unparse(node)} is no literal once it is text: the scheduler stops at it,"
                " for every schedule"
            )
            hint = "give an id, a number or a text, e.g. when.isoformat()"
            yield tell(job, "schedule-argument", Severity.ERROR, send.place, message, hint)
            break


def _is_literal(job: Job, module: Module, node: ast.expr) -> bool:
    """Nothing speaks against it."""
    if name_row(job.project, module, node) is not None:
        return False
    made = None
    if isinstance(node, ast.Call | ast.Name):
        made = module.resolve(node)
    origin = job.project.origin((made or "").removesuffix("()"))
    return "()" in origin or not origin.startswith(_NO_LITERALS)


@rule("django-q2.wrong-arguments", stage="handler", source="async_task in django_q/tasks.py")
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Django Q2 does not compare arguments when a job is queued: what does not fit fails in the
    worker.
    """
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "django-q2.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source=(
        "saleor#5457, sentry#89284; the ORM broker's row is part of the transaction:"
        " django_q/brokers/orm.py"
    ),
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """On Redis a job that is queued in a transaction can run before the commit, or although it is
    rolled back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "django-q2.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument is pickled as it was when it was queued, and is stale when the
    job runs.
    """
    return send_rules.object_argument(job, SENDER)
