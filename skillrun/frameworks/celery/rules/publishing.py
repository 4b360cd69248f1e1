"""Rules about the name under which a job is published."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.config import place_of
from skillrun.frameworks.celery.rules.facts import say, task_of
from skillrun.frameworks.celery.sends import SENDER
from skillrun.frameworks.celery.tasks import names_of
from skillrun.frameworks.common import send_rules
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module, is_known


@rule("celery.task-name-missing", stage="handler", source="celery/celery#2092; flake8-pie PIE783")
def task_name_missing(job: Job) -> Iterator[Finding]:
    """Without name= the module path is the name, and moving the function orphans the queued
    messages.
    """
    task = task_of(job)
    if task.registered is None or task.options.get("name") is not None or task.unread:
        return
    message = (
        f'the task is named after its place, "{names_of(task)[0]}": once it is moved, queued'
        " messages are discarded"
    )
    yield say("task-name-missing", Severity.NOTE, task.registered, message, "give it a name=")


@rule("celery.task-name-renamed", stage="handler", source="celery/celery#2092, tapir#485")
def task_name_renamed(job: Job) -> Iterator[Finding]:
    """A message under a name that no task has is discarded by the worker as unregistered."""
    names = names_of(task_of(job))
    last = job.handler.name.rpartition(".")[2]
    for module in job.project.modules_with(last):
        if is_plainly_test(module.path):
            continue
        for node in module.nodes(ast.Constant):
            if _sent_as_text(module, node) and _leads_nowhere(job, node, names, last):
                message = (
                    f"{node.value!r} is sent by name, but the task is called"
                    f" {names[0]!r}: the worker discards it as unregistered"
                )
                yield say(
                    "task-name-renamed",
                    Severity.WARNING,
                    place_of(module, node),
                    message,
                    f"send {names[0]!r}",
                )


def _sent_as_text(module: Module, node: ast.Constant) -> bool:
    above = next(module.parents(node), None)
    if isinstance(above, ast.Call):
        word = ""
        if isinstance(above.func, ast.Attribute):
            word = above.func.attr
        return word == "send_task" and above.args[:1] == [node]
    if isinstance(above, ast.Dict):
        keys = []
        for k in above.keys:
            if isinstance(k, ast.Constant):
                keys.append(k.value)
        value = dict(zip(keys, above.values, strict=False)).get("task")
        return value is node and "schedule" in keys
    return False


def _leads_nowhere(job: Job, node: ast.Constant, names: tuple[str, ...], last: str) -> bool:
    """The text ends in the handler's name, is none of its names, and leads to no other function."""
    text = node.value
    if (
        not isinstance(text, str)
        or text in names
        or text.rpartition(".")[2] != last
        or not is_known(names[0])
    ):
        return False
    return job.project.definition(text) is None or job.project.definition(text) == job.handler


@rule(
    "celery.publish-in-transaction",
    stage="handler",
    rests_on="setup",
    source=(
        "saleor#5457, sentry#89284, zamboni#1307; DjangoTask.delay_on_commit in"
        " celery/contrib/django/task.py"
    ),
)
def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A message published inside a transaction can be worked on before the commit, or although it
    is rolled back.
    """
    return send_rules.publish_in_transaction(job, SENDER)


@rule(
    "celery.wrong-arguments",
    stage="handler",
    source="Task.typing and apply_async in celery/app/task.py",
)
def wrong_arguments(job: Job) -> Iterator[Finding]:
    """Celery compares the arguments with the task's signature when it publishes: a wrong call
    raises in the caller.
    """
    return send_rules.wrong_arguments(job, SENDER)


@rule(
    "celery.publish-unkeyed",
    stage="idempotency",
    source="posthog#62708 (review): .delay() without a task_id in something that is retried",
)
def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A job that publishes another one does so again on every redelivery and attempt."""
    return send_rules.publish_unkeyed(job, SENDER)


@rule(
    "celery.object-argument",
    stage="contract",
    rests_on="setup",
    source="mozilla/experimenter#1631, mytardis#1420, osidb#682",
)
def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument cannot be sent as JSON, and as pickle it is stale when the job
    runs.
    """
    return send_rules.object_argument(job, SENDER)


@rule(
    "celery.pickle-serializer",
    stage="contract",
    source="Security section of Celery's user guide",
)
def pickle_serializer(job: Job) -> Iterator[Finding]:
    """pickle lets whoever writes to the broker run code in the worker, and breaks queued jobs when
    a class moves.
    """
    return send_rules.pickle_serializer(job, SENDER)
