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
from skillrun.frameworks.common.reading import held_value, options_of, place_of
from skillrun.frameworks.common.sender import Sender, find_function, hold_options, order_sends
from skillrun.frameworks.django_q2.cluster import read_cluster
from skillrun.frameworks.interface import Job, Send
from skillrun.repo.places import is_plainly_test
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
        "ack_failure",
        "broker",
        "cached",
        "chain",
        "cluster",
        "group",
        "hook",
        "iter_cached",
        "iter_count",
        "q_options",
        "save",
        "sync",
        "task_name",
        "timeout",
    }
)
SCHEDULE_OPTIONS = frozenset(
    {
        "cluster",
        "cron",
        "hook",
        "intended_date_kwarg",
        "minutes",
        "name",
        "next_run",
        "q_options",
        "repeats",
        "schedule_type",
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
    publisher = find_function(project, send)
    if publisher is None or send.in_tests or send.own or send.kind != "enqueue":
        return
    for function in (publisher, *callers_of(project, publisher)):
        for publish in find_publishes(project, function):
            if publish.kind == "schedule" and not publish.in_tests:
                yield Send("schedule", publish.place, f"{publish.how} of {function.name}")


def find_publishes(project: Project, handler: Definition) -> tuple[Send, ...]:
    """The calls that publish the handler, those in tests and its own included."""
    key = ("django-q2.publishes", handler.dotted)
    return project.remember(key, lambda: tuple(_find_publishes(project, handler)))


def find_real_publishes(project: Project, handler: Definition) -> tuple[Send, ...]:
    """The calls outside tests that publish the handler."""
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
    for _, module in sorted(modules.items()):
        for call in module.nodes(ast.Call):
            style = style_of(project, module, call)
            if style is not None:
                yield module, call, style


def style_of(project: Project, module: Module, call: ast.Call) -> str | None:
    """What kind of publish a call is: async_task, schedule, row, or other; None where it is
    none.
    """
    func = called(module, call)
    origin = project.origin_of(module, func)
    last = origin.rpartition(".")[2]
    if origin.startswith("django_q.") and last in (*ENQUEUE, SCHEDULE, *_CHAINS):
        if last in ("async_task", "async_"):
            return ASYNC_TASK
        if last == SCHEDULE:
            return SCHEDULE
        return "other"
    if last == "append" and ".Chain()" in origin:
        return "other"
    if origin.startswith("django_q.models.") and origin.endswith(_ROWS):
        return ROW
    # A migration's Schedule is what `apps.get_model` gives: its name has to do.
    if ast.unparse(func) in _ROWS and _find_keyword(call, "func") is not None:
        return ROW
    return None


def called(module: Module, call: ast.Call) -> ast.expr:
    """What a call calls; of `partial(async_task, ...)`, what will be called."""
    if call.args and module.resolve(call.func) == _PARTIAL:
        return call.args[0]
    return call.func


def _list_functions(module: Module, call: ast.Call, style: str) -> Iterator[ast.expr]:
    """What stands for the function: the first argument or `func`; in a chain, the first of each
    tuple.
    """
    function = _find_keyword(call, "func")
    arguments = call.args
    if called(module, call) is not call.func:
        # `partial(async_task, function)`
        arguments = call.args[1:]
    if function is None and arguments and style != ROW:
        function = arguments[0]
    if isinstance(function, ast.List | ast.Tuple):
        for link in function.elts:
            if isinstance(link, ast.Tuple | ast.List) and link.elts:
                yield link.elts[0]
    elif function is not None:
        yield function


def _find_keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword, also of one in the `defaults` of `update_or_create`."""
    found = find_keyword(call, name)
    defaults = find_keyword(call, "defaults")
    if found is None and isinstance(defaults, ast.Dict):
        found = read_entries(defaults).get(name)
    return found


def means(project: Project, node: ast.expr, module: Module, handler: Definition) -> bool:
    """Whether an expression is the function itself, or its dotted path as text."""
    name = module.resolve(node)
    if name and project.origin(name) == handler.dotted:
        return True
    text = project.literal(node, module)
    return isinstance(text, str) and project.origin(text) == handler.dotted


def _read_publish(project: Project, module: Module, call: ast.Call, style: str) -> Send:
    """The send of one call; its arguments are read only where they are the function's."""
    options, hidden = _read_options(project, module, call, style)
    func = called(module, call)
    kind = "enqueue"
    if style in (SCHEDULE, ROW):
        kind = "schedule"
    arguments = None
    if func is call.func and style in _PLAIN:
        arguments = read_call(call, skipped=1, options=reserved_names(style))
        unnamed = arguments.partly_hidden or not call.args
        arguments = replace(arguments, partly_hidden=unnamed)
    return Send(
        kind,
        place_of(module, call),
        f"{ast.unparse(func)}(...)",
        is_plainly_test(module.path),
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
    if "q_options" in options:
        held = held_value(project, options["q_options"], module)
        if held is not None and isinstance(held[0], ast.Dict):
            for key, value in read_entries(held[0]).items():
                options[str(key)] = value
    if style == ROW:
        for name in ("hook", "func", "kwargs"):
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
    function = module.function_of(call)
    if function is None:
        return
    wrapper = project.define(module, function)
    if parameter not in wrapper.parameters:
        return
    inner = _read_publish(project, module, call, style)
    parameters = [name for name in wrapper.parameters if name not in ("self", "cls")]
    position = parameters.index(parameter)
    for use in project.uses(wrapper.dotted):
        outer = use.module.find_call_of(use.node)
        if outer is None:
            continue
        argument = find_keyword(outer, parameter)
        if argument is None and position < len(outer.args):
            argument = outer.args[position]
        if argument is not None and means(project, argument, use.module, handler):
            yield replace(
                inner,
                place=place_of(use.module, outer),
                how=f"{ast.unparse(outer.func)}(...)",
                in_tests=is_plainly_test(use.module.path),
                call=project.call_at(use.module, outer),
                arguments=None,
            )


def find_parameters(job: Job) -> ast.arguments | None:
    """The parameters of the function, which are what is queued for it."""
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
