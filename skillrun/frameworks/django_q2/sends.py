"""Where a function is handed to Django Q2, and with which options.

Sources: django_q/tasks.py (`async_task`, `schedule`, `async_iter`, `AsyncTask`, `Iter`, `Chain`),
django_q/models.py (`Schedule`); `async_` is what Django Q called it before 0.9.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.common.arguments import read_call, read_parameters
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import held_value, in_tests, options_of, place_of
from skillrun.frameworks.common.sender import Sender, find_function, hold_options, order_sends
from skillrun.frameworks.django_q2.cluster import read_cluster
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_keyword, read_entries
from skillrun.repo.uses import FrameworkUse

ENQUEUE = ("async_task", "async_", "async_iter", "AsyncTask", "Async", "Iter")
SCHEDULE = "schedule"
ROW = "row"
# What async_task and schedule keep for themselves: the function never sees an argument of that
# name.
OPTIONS = frozenset(
    {
        *(
            "hook",
            "group",
            "save",
            "sync",
            "cached",
            "ack_failure",
            "iter_count",
            "iter_cached",
            "chain",
            "broker",
        ),
        *("cluster", "timeout", "task_name", "q_options"),
    }
)
SCHEDULE_OPTIONS = frozenset(
    {
        *("name", "hook", "schedule_type", "minutes", "repeats", "next_run", "cron", "cluster"),
        *("intended_date_kwarg", "q_options"),
    }
)
_ROWS = (
    "Schedule",
    "Schedule.objects.create",
    "Schedule.objects.get_or_create",
    "Schedule.objects.update_or_create",
)
_CHAINS = ("Chain", "async_chain")
_PARTIAL = "functools.partial"
_WORDS = (*ENQUEUE, SCHEDULE, "Schedule", *_CHAINS)


# The ways of a `Send` whose further arguments are the function's.
ASYNC_TASK = "async_task"
_PLAIN = (ASYNC_TASK, SCHEDULE)


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that queues or schedules the handler."""
    # The row of the ORM broker is part of the transaction, where that is of the same database.
    waits = read_cluster(project, use).broker in ("", "orm")
    found = []
    for send in find_publishes(project, handler):
        found.append(replace(send, waits_for_commit=waits))
        found += _find_ticks(project, send)
    return order_sends(found)


def _find_ticks(project: Project, send: Send) -> Iterator[Send]:
    """The schedules that come to an enqueueing call: of its own function, or of one that calls
    that.
    """
    around = find_function(project, send)
    if around is None or send.in_tests or send.own or send.kind != "enqueue":
        return
    for function in (around, *callers_of(project, around)):
        for found in find_publishes(project, function):
            if found.kind == "schedule" and not found.in_tests:
                yield Send("schedule", found.place, f"{found.how} of {function.name}")


def find_publishes(project: Project, handler: Definition) -> tuple[Send, ...]:
    """The calls that publish the handler, those in tests and its own included."""
    key = ("django-q2.publishes", handler.dotted)
    return project.remember(key, lambda: tuple(_find_publishes(project, handler)))


def find_real_publishes(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Those outside tests."""
    publishes = []
    for send in find_publishes(project, handler):
        if not send.in_tests:
            publishes.append(send)
    return tuple(publishes)


def _find_publishes(project: Project, handler: Definition) -> Iterator[Send]:
    for module, call, style in published(project):
        for node in _list_functions(module, call, style):
            if means(project, node, module, handler):
                send = _read_publish(project, module, call, style)
                yield replace(send, own=handler.node in module.parents(call))
            elif isinstance(node, ast.Name):
                for send in _follow_wrapper(project, module, call, style, node.id, handler):
                    own = send.call and handler.node in send.call.module.parents(send.call.node)
                    yield replace(send, own=bool(own))


def published(project: Project) -> Iterator[tuple[Module, ast.Call, str]]:
    """(file, call, style) of every call of Django Q2 that publishes something."""
    modules = {}
    for word in _WORDS:
        for module in project.modules_with(word):
            modules[module.path] = module
    for path in sorted(modules):
        for node in ast.walk(modules[path].tree):
            style = None
            if isinstance(node, ast.Call):
                style = style_of(project, modules[path], node)
            if style is not None and isinstance(node, ast.Call):
                yield modules[path], node, style


def style_of(project: Project, module: Module, call: ast.Call) -> str | None:
    """What kind of publish a call is; None where it is none. A migration's Schedule is what
    `apps.get_model` gives.
    """
    func = called(module, call)
    origin = project.origin_of(module, func)
    last = origin.rpartition(".")[2]
    written = ast.unparse(func)
    if origin.startswith("django_q.") and last in (*ENQUEUE, SCHEDULE, *_CHAINS):
        if last in ("async_task", "async_"):
            return "async_task"
        if last != SCHEDULE:
            return "other"
        return last
    in_chain = last == "append" and ".Chain()" in origin
    if in_chain or (origin.startswith("django_q.models.") and origin.endswith(_ROWS)):
        if in_chain:
            return "other"
        return "row"
    if written in _ROWS and _find_keyword(call, "func") is not None:
        return "row"
    return None


def called(module: Module, call: ast.Call) -> ast.expr:
    """What a call calls; of `partial(async_task, ...)`, what it will."""
    if call.args and module.resolve(call.func) == _PARTIAL:
        return call.args[0]
    return call.func


def _list_functions(module: Module, call: ast.Call, style: str) -> Iterator[ast.expr]:
    """What stands for the function: the first argument or `func`; in a chain, the first of each
    tuple.
    """
    named = _find_keyword(call, "func")
    if called(module, call) is call.func:
        given = call.args
    else:
        given = call.args[1:]
    first = named or (given[0] if given and style != "row" else None)
    if isinstance(first, ast.List | ast.Tuple):
        for one in first.elts:
            if isinstance(one, ast.Tuple | ast.List) and one.elts:
                yield one.elts[0]
    elif first is not None:
        yield first


def _find_keyword(call: ast.Call, name: str) -> ast.expr | None:
    """A keyword, also one in the `defaults` of `update_or_create`."""
    found = find_keyword(call, name)
    defaults = find_keyword(call, "defaults")
    if found is None and isinstance(defaults, ast.Dict):
        found = read_entries(defaults).get(name)
    return found


def means(project: Project, node: ast.expr, module: Module, handler: Definition) -> bool:
    """The function itself, or its dotted path as text."""
    name = module.resolve(node)
    if name and project.origin(name) == handler.dotted:
        return True
    text = project.literal(node, module)
    return isinstance(text, str) and project.origin(text) == handler.dotted


def _read_publish(project: Project, module: Module, call: ast.Call, style: str) -> Send:
    options, hidden = _read_options(project, module, call, style)
    func = called(module, call)
    arguments = None
    if func is call.func and style in _PLAIN:
        arguments = read_call(call, skipped=1, options=reserved_names(style))
        unnamed = arguments.partly_hidden or not call.args
        arguments = replace(arguments, partly_hidden=unnamed)
    return Send(
        "schedule" if style in (SCHEDULE, ROW) else "enqueue",
        place_of(module, call),
        f"{ast.unparse(func)}(...)",
        in_tests(module.path),
        call=project.call_at(module, call),
        via=style,
        arguments=arguments,
        options=hold_options(options, module),
        options_hidden=hidden,
    )


def _read_options(
    project: Project, module: Module, call: ast.Call, style: str
) -> tuple[dict[str, ast.expr], bool]:
    """(option -> expression, whether there may be more); those of `q_options` included."""
    options, hidden = options_of(project, call, module)
    inner = options.get("q_options")
    held = None
    if inner is not None:
        held = held_value(project, inner, module)
    if held is not None and isinstance(held[0], ast.Dict):
        for key, value in read_entries(held[0]).items():
            options[str(key)] = value
    for name in ("hook", "func", "kwargs"):
        node = None
        if style == ROW:
            node = _find_keyword(call, name)
        if node is not None:
            options[name] = node
    return options, hidden


def reserved_names(style: str) -> frozenset[str]:
    """The keyword arguments that Django Q2 takes for itself."""
    if style == SCHEDULE:
        return SCHEDULE_OPTIONS
    return OPTIONS


def _follow_wrapper(
    project: Project,
    module: Module,
    call: ast.Call,
    style: str,
    parameter: str,
    handler: Definition,
) -> Iterator[Send]:
    """`def enqueue(func, *args): async_task(func, *args, ...)`: whoever calls it says the
    function.
    """
    around = module.function_of(call)
    own = None
    if around is not None:
        own = project.define(module, around)
    if own is None or parameter not in own.parameters:
        return
    inner = _read_publish(project, module, call, style)
    position = [name for name in own.parameters if name not in ("self", "cls")].index(parameter)
    for use in project.uses(own.dotted):
        above = use.module.find_call_of(use.node)
        if above is None:
            continue
        named = find_keyword(above, parameter)
        given = named or (above.args[position] if position < len(above.args) else None)
        if given is not None and means(project, given, use.module, handler):
            yield replace(
                inner,
                place=place_of(use.module, above),
                how=f"{ast.unparse(above.func)}(...)",
                in_tests=in_tests(use.module.path),
                call=project.call_at(use.module, above),
                arguments=None,
            )


def find_parameters(job: Job) -> ast.arguments | None:
    """What is queued for the function."""
    return read_parameters(job.handler, decorators=0)


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="queueing",
    sent="queued",
    misfit="Django Q2 does not look when it is queued, the job fails with TypeError in the worker",
    taker="the function takes",
    after_commit="transaction.on_commit, or the ORM broker",
)
