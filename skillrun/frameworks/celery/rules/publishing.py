"""Rules about how a job is published: too early, without a key, under a lost name, with an object for an argument."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.config import in_tests, place_of
from skillrun.frameworks.celery.rules.facts import publishers, say, task_of
from skillrun.frameworks.celery.tasks import names_of
from skillrun.frameworks.common.facts import at, atomic_function, call_place, calls_of, is_atomic
from skillrun.frameworks.interface import Job, Wiring
from skillrun.repo.python import Call, Module, is_known
from skillrun.verdict import Finding, Severity

_MODEL_CLASSES = ("django.db.models.Model", "sqlalchemy.orm.DeclarativeBase", "peewee.Model", "mongoengine.Document")
_MODEL_MAKERS = ("declarative_base()", ".Model")
_ROW_METHODS = (".objects.get()", ".objects.create()", ".objects.first()", ".objects.last()", ".objects.latest()")
_SQLALCHEMY = ("sqlalchemy.", "sqlmodel.")
_NOT_AN_ARGUMENT = frozenset(
    {"countdown", "eta", "expires", "queue", "task_id", "link", "link_error", "headers", "priority", "connection"}
)


def publish_in_transaction(job: Job) -> Iterator[Finding]:
    """A worker may take the message before the commit, or although the transaction is rolled back."""
    for wiring, call in publishers(job):
        if call.node.func.attr.endswith("_on_commit") or _deferred(call):  # type: ignore[attr-defined]
            continue
        opened = next((name for name in call.in_with if _opens_transaction(job, name)), None)
        if opened is None and not atomic_function(job.project, call.module, call.node):
            yield from _in_request(job, wiring, call)
            continue
        certain = opened is None or is_atomic(job.project, opened) or _is_sqlalchemy(job, opened)
        message = (
            f"{wiring.how} inside a transaction: a worker may start before the commit, or although it is rolled back"
        )
        hint = "transaction.on_commit(lambda: ...), delay_on_commit, or publish after the block"
        yield say(
            "publish-in-transaction", Severity.ERROR if certain else Severity.WARNING, wiring.place, message, hint
        )


def _deferred(call: Call) -> bool:
    """Inside a lambda or an inner function that `on_commit` receives."""
    for above in call.module.parents(call.node):
        if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute) and above.func.attr == "on_commit":
            return True
        if isinstance(above, ast.FunctionDef):
            return _handed_to_on_commit(call.module, above)
    return False


def _handed_to_on_commit(module: Module, function: ast.FunctionDef) -> bool:
    outer = module.function_of(function)
    calls = (n for n in ast.walk(outer or module.tree) if isinstance(n, ast.Call))
    decorated = any("on_commit" in ast.unparse(d) for d in function.decorator_list)
    return decorated or any(
        isinstance(c.func, ast.Attribute)
        and c.func.attr == "on_commit"
        and any(isinstance(a, ast.Name) and a.id == function.name for a in c.args)
        for c in calls
    )


def _opens_transaction(job: Job, name: str) -> bool:
    if is_atomic(job.project, name):
        return True
    last = name.rpartition(".")[2]
    return last in ("begin", "begin_nested", "transaction") and "." in name


def _is_sqlalchemy(job: Job, name: str) -> bool:
    """`Session.begin()` of a sessionmaker, `engine.begin()`: the block is the transaction."""
    origin = job.project.origin(name.removesuffix("()"))
    return origin.startswith(_SQLALCHEMY) and origin.endswith((".begin", ".begin_nested"))


def _in_request(job: Job, wiring: Wiring, call: Call) -> Iterator[Finding]:
    """ATOMIC_REQUESTS makes every view one transaction."""
    if not (_looks_like_view(call.path) or _called_from_view(job, call)) or not _atomic_requests(job):
        return
    message = (
        f"{wiring.how} in a view, and ATOMIC_REQUESTS makes the whole request one transaction; not certain, because"
        " a view can be exempt (non_atomic_requests), and other callers have no request"
    )
    yield say("publish-in-transaction", Severity.WARNING, wiring.place, message, "publish with transaction.on_commit")


def _called_from_view(job: Job, call: Call) -> bool:
    """The function that publishes is used by a module of views."""
    function = call.module.function_of(call.node)
    name = f"{call.module.name}.{call.module.qualname(function)}" if function else ""
    return bool(name) and any(_looks_like_view(use.path) for use in job.project.uses(name))


def _looks_like_view(path: str) -> bool:
    return "views" in path.removesuffix(".py").split("/") or path.endswith(("views.py", "viewsets.py"))


def _atomic_requests(job: Job) -> bool:
    for module in job.project.settings_modules():
        databases = job.project.variable(module, "DATABASES")
        options = databases.values() if isinstance(databases, dict) else ()
        if any(isinstance(one, dict) and one.get("ATOMIC_REQUESTS") is True for one in options):
            return True
    return False


def publish_unkeyed(job: Job) -> Iterator[Finding]:
    """A handler that publishes again does so once for every delivery and attempt."""
    if not job.policy.acks_late and job.policy.max_attempts == 1:
        return
    for call in calls_of(job):
        func = call.node.func
        if not isinstance(func, ast.Attribute) or func.attr not in ("delay", "apply_async", "send_task"):
            continue
        if call.argument(None, "task_id") is not None or any(k.arg is None for k in call.node.keywords):
            continue
        message = (
            f"{ast.unparse(func)}(...) in a job that may run again: each run publishes once more, without a task_id"
        )
        hint = "apply_async(..., task_id=<derived from the job's key>), and let the receiver de-duplicate"
        yield say("publish-unkeyed", Severity.WARNING, call_place(call), message, hint)


def object_argument(job: Job) -> Iterator[Finding]:
    """A database row as an argument: JSON cannot carry it, pickle carries it as it was when it was sent."""
    pickled = job.policy.serializer == "pickle"
    for wiring, call in publishers(job):
        for node in _arguments(call.node):
            what = _row(job, call.module, node)
            if what is None:
                continue
            consequence = "it will be stale when the job runs" if pickled else "JSON cannot carry it: publishing raises"
            message = f"{ast.unparse(node)} is {what}, given to {wiring.how}: {consequence}"
            severity = Severity.WARNING if pickled else Severity.ERROR
            yield say("object-argument", severity, wiring.place, message, "send its primary key and load it in the job")


def _arguments(call: ast.Call) -> Iterator[ast.expr]:
    """What reaches the job: the arguments of delay, or `args=` and `kwargs=` of apply_async."""
    named = call.func.attr.startswith("apply_async") if isinstance(call.func, ast.Attribute) else False
    given = [*call.args, *(k.value for k in call.keywords if k.arg not in _NOT_AN_ARGUMENT)]
    for node in given:
        if named and isinstance(node, ast.List | ast.Tuple):
            yield from node.elts
        elif named and isinstance(node, ast.Dict):
            yield from node.values
        elif not named:
            yield node


def _row(job: Job, module: Module, node: ast.expr) -> str | None:
    """What kind of row an expression is; None where it is none or cannot be told."""
    name = module.resolve(node) if isinstance(node, ast.Name | ast.Call) else None
    if not name:
        return None
    if name.endswith(_ROW_METHODS):
        return f"a row of {name.partition('.objects')[0]}"
    if name == "self":
        owner = module.class_of(node)
        name = f"{module.name}.{module.qualname(owner)}()" if owner else ""
    if not name.endswith("()"):
        return None
    classes = job.project.ancestors(name.removesuffix("()"))
    if any(c in _MODEL_CLASSES or c.endswith(_MODEL_MAKERS) for c in classes[1:]):
        return f"a row of {classes[0]}"
    return None


def pickle_serializer(job: Job) -> Iterator[Finding]:
    """pickle runs code from the broker, and breaks old messages when a class moves."""
    if job.policy.serializer not in ("pickle", "application/x-python-serialize"):
        return
    message = (
        "the serializer is pickle: whoever can write to the broker runs code here, and a moved class breaks queued jobs"
    )
    yield say("pickle-serializer", Severity.WARNING, at(job, job.policy.sources.get("serializer")), message, "use json")


def task_name_missing(job: Job) -> Iterator[Finding]:
    """Without `name=` the module path is the task's name: moving the function orphans queued messages."""
    task = task_of(job)
    if task.registered is None or task.options.get("name") is not None or task.unread:
        return
    message = (
        f'the task is named after its place, "{names_of(task)[0]}": once it is moved, queued messages are discarded'
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
            if isinstance(node, ast.Constant) and _sent_as_text(module, node) and _lost(job, node, names, last):
                message = (
                    f"{node.value!r} is sent by name, but the task is called"
                    f" {names[0]!r}: the worker discards it as unregistered"
                )
                yield say("task-name-renamed", Severity.WARNING, place_of(module, node), message, f"send {names[0]!r}")


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
    if not isinstance(text, str) or text in names or text.rpartition(".")[2] != last or not is_known(names[0]):
        return False
    return job.project.definition(text) is None or job.project.definition(text) == job.handler
