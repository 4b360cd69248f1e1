"""Who publishes or schedules a Celery task: calls, signatures, names sent as text, and beat
entries.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.celery.config import place_of
from skillrun.frameworks.celery.tasks import Task, names_of, read_task, run_node
from skillrun.frameworks.common.arguments import drop_first, read_call, read_containers
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.sender import (
    Pickling,
    Sender,
    Unkeyed,
    calls_method,
    hold_options,
    is_sent_by_others,
    order_sends,
)
from skillrun.frameworks.common.serializers import REFUSED_BY_KOMBU
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Call, Definition, Module, Project, Use
from skillrun.repo.source import FunctionNode, last_word
from skillrun.repo.syntax import name_method, read_entries
from skillrun.repo.uses import FrameworkUse, Place

PUBLISHING = {
    "delay": ".delay(...)",
    "apply_async": ".apply_async(...)",
    "delay_on_commit": (
        ".delay_on_commit(...)"
    ),  # celery/contrib/django/task.py: published after the commit
    "apply_async_on_commit": ".apply_async_on_commit(...)",
}
_SIGNATURES = {
    "s": ".s(...)",
    "si": ".si(...)",
    "signature": ".signature(...)",
    "subtask": ".subtask(...)",
    "chunks": ".chunks(...)",
    "map": ".map(...)",
    "starmap": ".starmap(...)",
}
_BY_NAME = ("send_task", "signature", "subtask", "Signature")
_SCHEDULED_MODELS = (
    "PeriodicTask",
    "create",
    "get_or_create",
    "update_or_create",
    "RedBeatSchedulerEntry",
)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    key = ("celery.sends", use.app, handler.path, handler.name)
    return project.remember(key, lambda: order_sends(_find_all(project, use, handler)))


def _find_all(project: Project, use: FrameworkUse, handler: Definition) -> list[Send]:
    task = read_task(project, use, handler)
    every = list(_find_named(project, task))
    if not is_sent_by_others(every):
        every += _handed_on(project, task)
    if not any(send.kind == "schedule" for send in every):
        every += _find_ticks(project, use, every)
    return every


def _find_named(project: Project, task: Task) -> Iterator[Send]:
    for dotted in (task.handler.dotted, *_registered_names(project, task)):
        for use in project.uses(dotted):
            own = task.handler.node in use.module.parents(use.node)
            for send in _by_object(project, use):
                yield replace(send, own=own)
    for name in names_of(task):
        yield from _by_name(project, name)
    yield from _find_fixtures(project, names_of(task))


def _registered_names(project: Project, task: Task) -> Iterator[str]:
    """`send = app.task(_send)`, `send = app.register_task(Send())`: the variables that hold the
    task.
    """
    for use in project.uses(task.handler.dotted):
        for above in list(use.module.parents(use.node))[:3]:
            if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
                yield f"{use.module.name}.{above.targets[0].id}"


def _handed_on(project: Project, task: Task) -> Iterator[Send]:
    """The task as a value, in a mapping or an argument: somebody publishes it, but the text does
    not say where.
    """
    for use in project.uses(task.handler.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not is_plainly_test(
            use.path
        ):
            yield _make_send("enqueue", use.module, use.node, "handed on as a value")


def _find_ticks(project: Project, use: FrameworkUse, enqueued: list[Send]) -> Iterator[Send]:
    """Schedules of another task that enqueues this one: by itself, or by the function that does."""
    for send in enqueued:
        if send.in_tests or send.own:
            continue
        module = project.module(send.place.path)
        publisher = None
        if module is not None:
            publisher = _function_at(module, send.place.line)
        if module is None or publisher is None:
            continue
        own = project.define(module, publisher)
        for tick in (own, *callers_of(project, own)):
            task = read_task(project, use, tick)
            if task.registered is not None:
                for name in names_of(task):
                    for one in _by_name(project, name):
                        if one.kind == "schedule":
                            yield one


def _function_at(module: Module, line: int) -> FunctionNode | None:
    """The function whose body holds a line."""
    found = (
        node
        for node in module.all_nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for node in found:
        if node.lineno <= line <= (node.end_lineno or 0):
            return node
    return None


def _by_object(project: Project, use: Use) -> Iterator[Send]:
    above = next(use.module.parents(use.node), None)
    if not isinstance(above, ast.Attribute):
        return
    if above.attr in PUBLISHING:
        yield _read_publish(project, use.module, above)
    elif above.attr in _SIGNATURES:
        signature = _make_send("enqueue", use.module, above, _SIGNATURES[above.attr])
        yield _read_periodic_task(use.module, above) or signature
    elif above.attr == "name":
        yield from _named_by(use.module, above)


def _read_publish(project: Project, module: Module, method: ast.Attribute) -> Send:
    """`task.delay(...)`, `task.apply_async(...)`, or `on_commit(partial(task.delay, ...))`."""
    send = replace(
        _make_send("enqueue", module, method, PUBLISHING[method.attr]),
        via=method.attr,
        waits_for_commit=method.attr.endswith("_on_commit"),
    )
    call = next(module.parents(method), None)
    if not isinstance(call, ast.Call):
        return send
    takes_all = method.attr.startswith("delay")
    if call.func is method and takes_all:
        arguments = read_call(call)
    elif call.func is method:
        return _read_message(project, module, call, send)
    elif takes_all and _is_partial_for_on_commit(module, call, method):
        arguments = read_call(call, skipped=1)
    else:
        return send
    return replace(send, call=project.call_at(module, call), arguments=arguments)


def _read_message(project: Project, module: Module, call: ast.Call, send: Send) -> Send:
    """`apply_async((1, 2), {"a": 3}, countdown=5)`."""
    named = {}
    for keyword in call.keywords:
        if keyword.arg:
            named[keyword.arg] = keyword.value
    hidden = len(named) < len(call.keywords)
    args, kwargs = named.pop("args", None), named.pop("kwargs", None)
    if call.args:
        args = call.args[0]
    if len(call.args) > 1:
        kwargs = call.args[1]
    arguments = read_containers(args, kwargs)
    serializer = project.literal(named.get("serializer"), module)
    return replace(
        send,
        call=project.call_at(module, call),
        arguments=replace(arguments, partly_hidden=arguments.partly_hidden or hidden),
        options=hold_options(named, module),
        options_hidden=hidden,
        serializer=serializer if isinstance(serializer, str) else None,
    )


def _is_partial_for_on_commit(module: Module, call: ast.Call, method: ast.Attribute) -> bool:
    """`on_commit(partial(task.delay, 1))` adds no argument of its own."""
    if module.resolve(call.func) != "functools.partial" or call.args[:1] != [method]:
        return False
    above = next(module.parents(call), None)
    return isinstance(above, ast.Call) and last_word(above.func) == "on_commit"


def _read_periodic_task(module: Module, node: ast.expr) -> Send | None:
    """A signature handed to `add_periodic_task`."""
    for above in module.parents(node):
        if isinstance(above, ast.stmt):
            return None
        if name_method(above) == "add_periodic_task":
            return _make_send("schedule", module, above, "add_periodic_task(...)")
    return None


def _by_name(project: Project, name: str) -> Iterator[Send]:
    """Text constants that are the task's name."""
    for module in project.modules_with(name.rpartition(".")[2]):
        for node in module.nodes(ast.Constant):
            if node.value == name:
                yield from _named_by(module, node)


def _named_by(module: Module, node: ast.expr) -> Iterator[Send]:
    """What a task's name is used for, at the place where it stands."""
    above = next(module.parents(node), None)
    if isinstance(above, ast.Dict):
        yield from _read_beat_entry(module, above, node)
    elif isinstance(above, ast.keyword) and above.arg in ("task", "name"):
        call = next(module.parents(above), None)
        word = ""
        if isinstance(call, ast.Call):
            word = last_word(call.func)
        if above.arg == "task" and word in _SCHEDULED_MODELS:
            yield _make_send("schedule", module, node, f"{word}(task=...)")
        elif word in _BY_NAME:
            yield _make_send("enqueue", module, node, f"{word}({_quote_text(node)})")
    elif (
        isinstance(above, ast.Call)
        and above.args[:1] == [node]
        and last_word(above.func) in _BY_NAME
    ):
        yield _read_periodic_task(module, node) or _make_send(
            "enqueue", module, node, f"{last_word(above.func)}({_quote_text(node)})"
        )


def _read_beat_entry(module: Module, entry: ast.Dict, node: ast.expr) -> Iterator[Send]:
    """`{"task": "shop.tasks.send", "schedule": ...}` inside a beat schedule."""
    keys = read_entries(entry)
    if keys.get("task") is not node or "schedule" not in keys:
        return
    yield _make_send("schedule", module, node, f"beat_schedule[{_entry_name(module, entry)!r}]")


def _entry_name(module: Module, entry: ast.Dict) -> str:
    above = next(module.parents(entry), None)
    if isinstance(above, ast.Dict):
        key = above.keys[above.values.index(entry)]
        if not isinstance(key, ast.Constant):
            return "..."
        return str(key.value)
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Subscript):
        key = above.targets[0].slice
        if not isinstance(key, ast.Constant):
            return "..."
        return str(key.value)
    return "..."


def _find_fixtures(project: Project, names: tuple[str, ...]) -> Iterator[Send]:
    """django-celery-beat rows that ship as JSON fixtures."""
    for name in names:
        for path in project.tree.search(name, ".json"):
            lines = (project.tree.read(path) or b"").decode("utf-8", "replace").splitlines()
            if not any("django_celery_beat" in line for line in lines):
                continue
            for number, line in enumerate(lines, 1):
                if f'"{name}"' in line:
                    yield Send(
                        "schedule",
                        _place_at(path, number, line),
                        "django_celery_beat fixture",
                        is_plainly_test(path),
                    )


def _place_at(path: str, line: int, text: str) -> Place:
    return Place(path, line, text.strip())


def _make_send(kind: str, module: Module, node: ast.AST, how: str) -> Send:
    return Send(kind, place_of(module, node), how, is_plainly_test(module.path))


def _quote_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return repr(node.value)
    return ast.unparse(node)


def find_parameters(job: Job) -> ast.arguments | None:
    """What a delivery gives the task; None where it is hidden, or Celery is not to compare it."""
    task = read_task(job.project, job.use, job.handler)
    node = run_node(job.handler)
    if node is None or node.args.vararg or node.args.kwarg:
        return None
    decorated = not job.handler.is_class and len(node.decorator_list) > 1
    if decorated or task.options.get("typing") is not None:
        return None
    if task.self_name is not None:
        return drop_first(node.args)
    return node.args


def publishes_another(job: Job, call: Call) -> bool:
    """Celery's calls, in a job that is delivered or tried more than once."""
    once = not job.policy.acks_late and job.policy.max_attempts == 1
    return not once and calls_method(call, ("delay", "apply_async", "send_task"), key="task_id")


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="publishing",
    sent="published",
    misfit="publishing raises TypeError, because Celery checks the arguments against the task",
    taker="the task takes",
    after_commit="transaction.on_commit(lambda: ...), delay_on_commit, or publish after the block",
    not_json=REFUSED_BY_KOMBU,
    # kombu.utils.json.register_type
    has_plain_json=lambda job: not job.project.tree.search("register_type", ".py"),
    unkeyed=Unkeyed(
        publishes_another,
        again="each run publishes once more, without a task_id",
        hint=(
            "apply_async(..., task_id=<derived from the job's key>), and let the receiver"
            " de-duplicate"
        ),
    ),
    pickling=Pickling(
        "the serializer is pickle: whoever can write to the broker runs code here, and a moved"
        " class breaks queued jobs",
        hint="use json",
        is_default=False,
    ),
)
