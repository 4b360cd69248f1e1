"""Where a function is handed to RQ, and with which options: that is where its retries and callbacks
are said.

Sources: rq/queue.py (`enqueue`, `enqueue_call`, `enqueue_at`, `enqueue_in`, `prepare_data`,
`parse_args`), rq/decorators.py, rq/cron.py, rq_scheduler/scheduler.py, django_rq/decorators.py,
flask_rq.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from skillrun.frameworks.common.arguments import read_call, read_containers, read_parameters
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import options_of, place_of
from skillrun.frameworks.common.sender import (
    Pickling,
    Sender,
    Unkeyed,
    calls_method,
    find_function,
    hold_options,
    is_sent_by_others,
    order_sends,
)
from skillrun.frameworks.interface import (
    Arguments,
    Job,
    Send,
)
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Call, Definition, Module, Project, Use
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, find_nodes, list_given
from skillrun.repo.uses import FrameworkUse, Place

# method -> position of the function among its arguments
ENQUEUE = {
    "enqueue": 0,
    "enqueue_call": 0,
    "enqueue_at": 1,
    "enqueue_in": 1,
    "prepare_data": 0,
    "create_job": 0,
}
_ELSEWHERE = {"schedule": 1, "cron": 1, "create": 0}  # rq_scheduler's, and Job.create
_FUNCTION = ("func", "f", "func_name")
DECORATORS = frozenset(
    {
        *(
            "rq.decorators.job",
            "rq.job.job",
            "django_rq.job",
            "django_rq.decorators.job",
            "flask_rq.job",
        ),
        *(
            "rq.decorators.job.job",
            "flask_rq2.RQ.job",
            "flask_rq2.RQ().job",
            "flask_rq.RQ.job",
            "flask_rq.RQ().job",
        ),
    }
)
# A worker's process alone has one.
_CURRENT_JOB = frozenset({"rq.get_current_job", "rq.job.get_current_job"})
# A decorator, and the file that it stands in.
Decorator = tuple[ast.expr, Module]
_OF_A_TASK = {
    "delay": "enqueue",
    "enqueue": "enqueue",
    "queue": "enqueue",
    "schedule": "schedule",
    "cron": "schedule",
}

# The ways of a `Send`: its options stand in the call, or (task: `send.delay()`) in the decorator;
# cron and scheduler take no Retry; what becomes of a value that is handed on cannot be read.
QUEUE, TASK, CRON, SCHEDULER, VALUE = "queue", "task", "cron", "scheduler", "value"
# The schedule of a send that is there as an enqueueing too.
REPEAT = "repeat"

# They take args= and kwargs=, and nothing else for the function.
EXPLICIT = ("enqueue_call", "prepare_data", "create_job")
_OF_RQ = """
    job_timeout description result_ttl ttl failure_ttl depends_on job_id at_front meta retry repeat
    on_success on_failure on_stopped rate_limit webhooks pipeline unique args kwargs"""
_RESERVED = frozenset(_OF_RQ.split())
_RESERVED_BY_TASKS = frozenset({"depends_on", "job_id", "at_front"})


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    direct = find_direct_sends(project, handler)
    return (*direct, *_find_schedules(project, direct))


def find_direct_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Those that name the handler, without the schedules of what enqueues it."""
    key = ("rq.sends", handler.path, handler.name)
    return project.remember(key, lambda: order_sends(_find_all(project, handler)))


def find_effective_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Those by which somebody else says how the job is run: a `repeat` is not counted twice."""
    found = []
    for send in find_direct_sends(project, handler):
        if not send.in_tests and not send.own and send.via != REPEAT:
            found.append(send)
    return tuple(found)


def reserved_names(send: Send) -> frozenset[str]:
    """The keyword arguments that RQ takes for itself."""
    if send.via == TASK:
        return _RESERVED_BY_TASKS
    return _RESERVED


def _find_all(project: Project, handler: Definition) -> Iterator[Send]:
    every = list(_find_named(project, handler))
    if not is_sent_by_others(every):
        every += _handed_on(project, handler)
    # django-rq may wait for the commit by itself (COMMIT_MODE).
    waits = any(True for _ in project.modules_with("django_rq"))
    for found in every:
        send = replace(_hide_reserved(found, handler), waits_for_commit=waits)
        yield send
        # A job with `repeat` is enqueued, and scheduled as well.
        if send.kind == "enqueue" and "repeat" in send.options:
            how = f"{send.how} with repeat"
            yield replace(send, kind="schedule", how=how, call=None, via=REPEAT)


def _hide_reserved(send: Send, handler: Definition) -> Send:
    """An argument whose name RQ keeps for itself may be meant for either."""
    if send.arguments is None or not set(handler.parameters) & reserved_names(send):
        return send
    return replace(send, arguments=replace(send.arguments, partly_hidden=True))


def _find_named(project: Project, handler: Definition) -> Iterator[Send]:
    decorator = job_decorator(project, handler)
    for use in project.uses(handler.dotted):
        own = handler.node in use.module.parents(use.node)
        for send in _by_object(project, use, decorator):
            yield replace(send, own=own)
    for variable, made in _made_by_call(project, handler):
        for use in project.uses(variable):
            yield from _by_object(project, use, made)
    for name in (handler.dotted, handler.import_path):
        yield from _by_name(project, name)


def _find_schedules(project: Project, direct: Iterable[Send]) -> Iterator[Send]:
    """A schedule calls the function that enqueues the handler, or one that calls that: RQ's takes
    no retries itself.
    """
    for send in direct:
        around = find_function(project, send)
        if around is None or send.in_tests or send.own or send.kind != "enqueue":
            continue
        for function in (around, *callers_of(project, around)):
            for found in _calls_with(project, function):
                if found.kind == "schedule":
                    how = f"{found.how} of {function.name}"
                    yield Send("schedule", found.place, how, found.in_tests)


def _calls_with(project: Project, function: Definition) -> Iterator[Send]:
    """The calls that are given a function."""
    for use in project.uses(function.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.keyword):
            call = next(use.module.parents(above), None)
        else:
            call = above
        if isinstance(call, ast.Call):
            yield from _in_call(project, use.module, call, use.node)


def job_decorator(project: Project, handler: Definition) -> Decorator | None:
    """The `@job(...)` of the handler, and its file."""
    for node in handler.decorators:
        if is_job_decorator(project, node, handler.module):
            return node, handler.module
    return None


def is_job_decorator(project: Project, node: ast.expr, module: Module) -> bool:
    """`@job`, `@job("default", ...)`, `@rq.job`."""
    name = module.resolve(node.func if isinstance(node, ast.Call) else node) or ""
    return project.origin(name) in DECORATORS


def registration(project: Project, handler: Definition) -> Place | None:
    """The decorator, else the function; None for what a worker cannot import."""
    found = job_decorator(project, handler)
    if found is not None:
        return place_of(found[1], found[0])
    inner = handler.module.function_of(handler.node) is not None
    if inner:
        return None
    return find_house_decorator(project, handler) or place_of(handler.module, handler.node)


def find_house_decorator(project: Project, handler: Definition) -> Place | None:
    """The repository's own decorator that makes a job of the handler."""
    for node in handler.decorators:
        if _makes_job_of_what_it_decorates(project, node, handler.module):
            return place_of(handler.module, node)
    return None


def _makes_job_of_what_it_decorates(project: Project, node: ast.expr, module: Module) -> bool:
    """A decorator of the repository, whose own code hands the function to a queue, or asks around
    it which job is being done.
    """
    name = module.resolve(node.func if isinstance(node, ast.Call) else node) or ""
    own = project.definition(name)
    if own is None or own.is_class:
        return False
    for call in find_nodes(own.node, ast.Call):
        if project.origin(own.module.resolve(call.func) or "") in _CURRENT_JOB:
            return True
    return _enqueues_what_it_takes(own)


def _enqueues_what_it_takes(own: Definition) -> bool:
    taken = set[str]()
    for inner in ast.walk(own.node):
        if isinstance(inner, ast.arg):
            taken.add(inner.arg)
    for call in find_nodes(own.node, ast.Call):
        position = ENQUEUE.get(last_word(call.func))
        if position is not None and len(call.args) > position:
            given = call.args[position]
            if isinstance(given, ast.Name) and given.id in taken:
                return True
    return False


def _made_by_call(project: Project, handler: Definition) -> Iterator[tuple[str, Decorator]]:
    """`send_job = job("default")(send)`: the variable, and the decorator."""
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if not isinstance(above, ast.Call) or above.args[:1] != [use.node]:
            continue
        around = next(use.module.parents(above), None)
        if not isinstance(around, ast.Assign):
            continue
        if is_job_decorator(project, above.func, use.module):
            for target in around.targets:
                if isinstance(target, ast.Name):
                    yield f"{use.module.name}.{target.id}", (above.func, use.module)


def _by_object(project: Project, use: Use, decorator: Decorator | None) -> Iterator[Send]:
    above = next(use.module.parents(use.node), None)
    if isinstance(above, ast.Attribute) and above.attr in _OF_A_TASK and decorator is not None:
        yield _of_task(project, use.module, above, decorator)
    elif isinstance(above, ast.Call):
        yield from _in_call(project, use.module, above, use.node, decorator)
    elif isinstance(above, ast.keyword) and above.arg:
        call = next(use.module.parents(above), None)
        if isinstance(call, ast.Call):
            yield from _in_call(project, use.module, call, use.node, decorator)


def _of_task(project: Project, module: Module, node: ast.Attribute, decorator: Decorator) -> Send:
    how = f".{node.attr}(...)"
    made = _read_decorator(project, decorator)
    send = replace(_make_send(_OF_A_TASK[node.attr], TASK, how, module, node), **made)
    call = module.find_call_of(node)
    if call is None:
        return send
    sent = replace(send, place=place_of(module, call), call=project.call_at(module, call))
    if node.attr not in ("delay", "enqueue"):
        return sent
    return replace(sent, arguments=_read_arguments(call, "", 0, _RESERVED_BY_TASKS))


def _read_decorator(project: Project, decorator: Decorator | None) -> dict[str, Any]:
    """The options that `@job(...)` gives to what it decorates."""
    if decorator is None or not isinstance(decorator[0], ast.Call):
        return {}
    return _read_options(project, decorator[0], decorator[1])


def _read_options(project: Project, call: ast.Call, module: Module) -> dict[str, Any]:
    options, hidden = options_of(project, call, module)
    return {"options": hold_options(options, module), "options_hidden": hidden}


def _read_arguments(
    call: ast.Call, method: str, skipped: int, reserved: frozenset[str]
) -> Arguments:
    """The function's own."""
    named = {}
    for keyword in call.keywords:
        if keyword.arg:
            named[keyword.arg] = keyword.value
    hidden = len(named) < len(call.keywords)
    if method not in EXPLICIT and not named.keys() & {"args", "kwargs"}:
        return read_call(call, skipped, {*reserved, *_FUNCTION})
    args, kwargs = named.get("args"), named.get("kwargs")
    if method in EXPLICIT and len(call.args) > 1:
        args = call.args[1]
    if method in EXPLICIT and len(call.args) > 2:
        kwargs = call.args[2]
    read = read_containers(args, kwargs)
    return replace(read, partly_hidden=read.partly_hidden or hidden)


def _in_call(
    project: Project,
    module: Module,
    call: ast.Call,
    node: ast.expr,
    decorator: Decorator | None = None,
) -> Iterator[Send]:
    """A call that receives the function: one of RQ's, a partial of it, or a helper of the
    repository around it.
    """
    name = project.call_name(module, call)
    own = None
    if name:
        own = project.definition(name)
    word = last_word(call.func)
    if own is not None and not own.is_class:
        yield from _follow_wrapper(project, module, call, node, own, decorator)
    elif word == "partial" and _is_partial_of(call, node):
        how = f"partial({last_word(call.args[0])}, ...)"
        yield _make_queued(project, module, call, call, how, module)
    elif word in ENQUEUE and _receives_function(call, node, ENQUEUE[word]):
        arguments = _read_arguments(call, word, ENQUEUE[word] + 1, _RESERVED)
        queued = _make_queued(project, module, call, call, f".{word}(...)", module)
        yield replace(queued, arguments=arguments)
    else:
        yield from _put_off(project, module, call, node)


def _is_partial_of(call: ast.Call, node: ast.expr) -> bool:
    """`partial(queue.enqueue, send, ...)`"""
    if not call.args or node not in call.args:
        return False
    position = ENQUEUE.get(last_word(call.args[0]))
    return position is not None and call.args.index(node) == position + 1


def _put_off(project: Project, module: Module, call: ast.Call, node: ast.expr) -> Iterator[Send]:
    """A call by which RQ's cron, or rq-scheduler, enqueues the function at some time."""
    word = last_word(call.func)
    if word == "register" and _receives_function(call, node, 0):
        if "rq.cron" not in project.origin(project.call_name(module, call) or ""):
            return
        send = _make_send("schedule", CRON, "cron.register(...)", module, call)
    elif word in _ELSEWHERE and _receives_function(call, node, _ELSEWHERE[word]):
        kind = "schedule"
        if word == "create":
            kind = "enqueue"
        send = _make_send(kind, SCHEDULER, f".{word}(...)", module, call)
    else:
        return
    yield replace(send, **_read_options(project, call, module))


def _make_queued(
    project: Project, module: Module, node: ast.Call, given: ast.Call, how: str, holder: Module
) -> Send:
    """The call at `node`, with the options of the one that goes to RQ."""
    send = _make_send("enqueue", QUEUE, how, module, node)
    call = project.call_at(module, node)
    return replace(send, call=call, **_read_options(project, given, holder))


def _make_send(kind: str, via: str, how: str, module: Module, node: ast.AST) -> Send:
    return Send(kind, place_of(module, node), how, is_plainly_test(module.path), via=via)


def _receives_function(call: ast.Call, node: ast.expr, position: int) -> bool:
    if call.args[position : position + 1] == [node]:
        return True
    return any(find_keyword(call, name) is node for name in _FUNCTION)


def _follow_wrapper(
    project: Project,
    module: Module,
    call: ast.Call,
    node: ast.expr,
    own: Definition,
    decorator: Decorator | None,
) -> Iterator[Send]:
    """`enqueue_later(send, ...)` of the repository: a call inside it hands that parameter to RQ."""
    parameter = _find_parameter(call, node, own)
    if parameter is None:
        return
    for inner in find_nodes(own.node, ast.Call):
        word = last_word(inner.func)
        if word in ENQUEUE and _receives_parameter(inner, parameter, ENQUEUE[word]):
            yield _make_queued(project, module, call, inner, f"{own.name}(...)", own.module)
            return
        of_task = isinstance(inner.func, ast.Attribute) and _names_parameter(
            inner.func.value, parameter
        )
        if of_task and word in ("delay", "enqueue"):
            send = _make_send("enqueue", TASK, f"{own.name}(...)", module, call)
            sent = project.call_at(module, call)
            yield replace(send, call=sent, **_read_decorator(project, decorator))
            return


def _receives_parameter(inner: ast.Call, parameter: str, position: int) -> bool:
    for given in list_given(inner):
        if _names_parameter(given, parameter) and _receives_function(inner, given, position):
            return True
    return False


def _find_parameter(call: ast.Call, node: ast.expr, own: Definition) -> str | None:
    for keyword in call.keywords:
        if keyword.value is node:
            return keyword.arg
    names = [name for name in own.parameters if name not in ("self", "cls")]
    if node in call.args:
        position = call.args.index(node)
    else:
        position = len(names)
    if position < len(names):
        return names[position]
    return None


def _names_parameter(node: ast.expr, parameter: str) -> bool:
    return isinstance(node, ast.Name) and node.id == parameter


def _by_name(project: Project, name: str) -> Iterator[Send]:
    """The function's name as text: RQ imports it in the worker."""
    for module in project.modules_with(name.rpartition(".")[2].rpartition(":")[2]):
        for node in module.nodes(ast.Constant):
            if node.value == name:
                above = next(module.parents(node), None)
                if isinstance(above, ast.keyword):
                    call = next(module.parents(above), None)
                else:
                    call = above
                if isinstance(call, ast.Call):
                    yield from _in_call(project, module, call, node)


def _handed_on(project: Project, handler: Definition) -> Iterator[Send]:
    """The function as a value, in a mapping or an argument: somebody enqueues it, but the text does
    not say where.
    """
    for use in project.uses(handler.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not is_plainly_test(
            use.path
        ):
            send = _make_send("enqueue", VALUE, "handed on as a value", use.module, use.node)
            yield replace(send, options_hidden=True)


def find_parameters(job: Job) -> ast.arguments | None:
    """What the function takes; a method's `self` is nobody's to tell."""
    in_class = job.handler.module.class_of(job.handler.node) is not None
    if in_class:
        return None
    return read_parameters(job.handler)


def publishes_another(job: Job, call: Call) -> bool:
    """RQ's calls, in a job that is tried more than once."""
    methods = ("enqueue", "enqueue_call", "enqueue_in", "enqueue_at")
    return job.policy.max_attempts != 1 and calls_method(call, methods, key="job_id")


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit=("RQ does not look at enqueue time, every attempt fails with TypeError in the worker"),
    taker="the function takes",
    after_commit="enqueue after the block, or in transaction.on_commit",
    unkeyed=Unkeyed(
        publishes_another,
        again="each run enqueues once more, without a job_id",
        hint="job_id=<derived from the job's key>, unique=True, and let the receiver de-duplicate",
    ),
    pickling=Pickling(
        "jobs are pickled (RQ's default): whoever can write to Redis runs code in the worker",
        hint="serializer=JSONSerializer for queue and worker, where the arguments allow it",
        is_default=True,
    ),
)
