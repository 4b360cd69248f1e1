"""Rules about the name under which a job is published."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.config import in_tests, place_of
from skillrun.frameworks.celery.rules.facts import say, task_of
from skillrun.frameworks.celery.tasks import names_of
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Module, is_known


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
