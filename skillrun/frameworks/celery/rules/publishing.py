"""Rules about how a job is published: without a key, pickled, and under a lost name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.config import in_tests, place_of
from skillrun.frameworks.celery.rules.facts import say, task_of
from skillrun.frameworks.celery.tasks import names_of
from skillrun.frameworks.common.facts import at, call_place, calls_of
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Module, is_known
from skillrun.verdict import Finding, Severity


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that publishes again does so once for every delivery and attempt."""
    if not job.policy.acks_late and job.policy.max_attempts == 1:
        return
    for call in calls_of(job):
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr not in (
            "delay",
            "apply_async",
            "send_task",
        ):
            continue
        if call.argument(None, "task_id") is not None or any(
            k.arg is None for k in call.node.keywords
        ):
            continue
        message = (
            f"{ast.unparse(func)}(...) in a job that may run again: each run publishes once more,"
            " without a task_id"
        )
        hint = (
            "apply_async(..., task_id=<derived from the job's key>), and let the receiver"
            " de-duplicate"
        )
        yield say("publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def pickle_serializer(job: Job) -> Iterator[Finding]:
    """pickle runs code from the broker, and breaks old messages when a class moves."""
    if job.policy.serializer not in ("pickle", "application/x-python-serialize"):
        return
    message = (
        "the serializer is pickle: whoever can write to the broker runs code here, and a moved"
        " class breaks queued jobs"
    )
    yield say(
        "pickle-serializer",
        Severity.WARNING,
        at(job, job.policy.sources.get("serializer")),
        message,
        "use json",
    )


def task_name_missing(job: Job) -> Iterator[Finding]:
    """Without `name=` the module path is the task's name: moving the function orphans queued
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


def task_name_renamed(job: Job) -> Iterator[Finding]:
    """A name sent as text that no task has: the worker discards the message as unregistered."""
    names = names_of(task_of(job))
    last = job.handler.name.rpartition(".")[2]
    for module in job.project.modules_with(last):
        if in_tests(module.path):
            continue
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.Constant)
                and _sent_as_text(module, node)
                and _lost(job, node, names, last)
            ):
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
        word = above.func.attr if isinstance(above.func, ast.Attribute) else ""
        return word == "send_task" and above.args[:1] == [node]
    if isinstance(above, ast.Dict):
        keys = [k.value for k in above.keys if isinstance(k, ast.Constant)]
        value = dict(zip(keys, above.values, strict=False)).get("task")
        return value is node and "schedule" in keys
    return False


def _lost(job: Job, node: ast.Constant, names: tuple[str, ...], last: str) -> bool:
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
