"""The job as a function for RQ: retries and the callback after a failure are said where it is
enqueued.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.handlers import keys
from skillrun.frameworks.deaths import lost_with_its_worker
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Rewritten, Symbol
from skillrun.frameworks.publishing import publishes_on_commit, when_to_publish
from skillrun.repo.places import is_plainly_test
from skillrun.repo.syntax import find_keyword, find_names, find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module as Code
    from skillrun.repo.source import Module as Source

MESSAGE = "kwargs"
AWAITS = False
TESTS = (
    "RQ's own job, with the retries and the callback that it is enqueued with; Redis and the waits"
    " are left out."
)
"""What the tests' docstring says of how they run the job."""
_ABANDONED = Symbol("rq.exceptions", "AbandonedJobError")
_KILLED = "One that dies with its process in the last attempt is among RQ's failed jobs alone."
_FLASK = ("flask_rq.RQ", "flask_rq2.RQ")
_QUEUES = ("rq.Queue", "rq.queue.Queue")
# Seconds between two ticks where the spec says nothing.
_TICK_S = 60


def problems(facts: Facts) -> Iterator[str]:
    """What RQ cannot do of what the spec asks for, a sentence each."""
    if facts.of_library["queue"] is None:
        yield (
            "no RQ queue was found that a module could import: make one, queue ="
            " Queue(connection=...), in a module"
        )
    if facts.dead_letter == "queue":
        yield (
            "RQ has no queue of dead letters: dead_letter.kind queue is to be table, framework or"
            " none"
        )
    if any(not delay.is_integer() for delay in facts.retries.delays):
        yield "RQ waits whole seconds: retry.backoff is to have a base and a factor that make such"
    fields = {field.name for field in facts.fields}
    for name in sorted(fields & {"correlation_id", facts.of_library["queue"]}):
        yield f"the handler has a use of its own for the name {name}: rename the field"
    yield from lost_with_its_worker(facts)


# -- the queue


@dataclass(frozen=True)
class _Queue:
    """An expression for the queue, and what it imports."""

    written: str
    needed: tuple[Symbol | str, ...] = ()


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: how the queue is written, and the function
    that enqueues.
    """
    written: str | None = None
    needed: tuple[Symbol | str, ...] = ()
    queue = _choose_queue(project, facts)
    if queue:
        written, needed = queue.written, queue.needed
    schedule = None
    if facts.trigger != "event":
        schedule = _place_schedule(project, facts)
    workers: tuple[Rewritten, ...] = ()
    if facts.retries.bounded:
        workers = _rewrite_workers(project)
    # All that a job may do is said where it is enqueued: this function is always written beside the
    # handler.
    enqueue = f"enqueue_{facts.name}"
    if facts.enqueue.module == facts.module:
        enqueue = facts.enqueue.name
    return {
        "queue": written,
        "needed": needed,
        "in_app_context": written is not None and "current_app." in written,
        "schedule": schedule,
        "workers": workers,
        "publishes": True,  # a tick of the clock publishes too
        "due": f"due_{facts.name}",
        "tick_name": f"tick_{facts.name}",
        "enqueue": enqueue,
    }


def _rewrite_workers(project: Project) -> tuple[Rewritten, ...]:
    """The lines that start workers, with the scheduler that moves a job on when its wait is
    over.
    """
    from skillrun.frameworks.rq.workers import unscheduled_workers, with_scheduler

    workers = []
    for path, launch in unscheduled_workers(project):
        text = with_scheduler(launch.text)
        if text != launch.text:
            workers.append(Rewritten(path, launch.text, text))
    return tuple(workers)


def _choose_queue(project: Project, facts: Facts) -> _Queue | None:
    """The repository's queue: Django's, an object, what a function returns, or what its `@job`
    decorators name.
    """
    app = facts.app
    if (app is not None and app.name == "RQ_QUEUES") or _uses_django_rq(project, facts):
        return _Queue('django_rq.get_queue("default")', ("import django_rq",))
    if app is not None:
        written = app.name
        if _made_by(project, app) in _FLASK:
            written = f"{app.name}.get_queue()"
        return _Queue(written, (Symbol(app.module, app.name),))
    # Each is looked for only where the one before it finds nothing.
    queues = itertools.chain(
        _find_returned_queue(project, facts.use.app),
        _find_flask_queue(project, facts.use.app),
        _find_decorated_queue(project, facts.use.task_modules),
        _find_local_queue(project),
    )
    return next(queues, None)


def _uses_django_rq(project: Project, facts: Facts) -> bool:
    """Whether a module with jobs has django_rq in it."""
    for path in facts.use.task_modules:
        module = project.module(path)
        if module is not None and "django_rq" in module.text:
            return True
    return False


def _made_by(project: Project, app: Symbol) -> str:
    """What an object of a module is an instance of."""
    found = project.lookup(f"{app.module}.{app.name}")
    value = None
    if found and found.binding:
        value = found.binding.value
    if found is None or found.module is None or not isinstance(value, ast.Call):
        return ""
    return project.origin_of(found.module, value.func)


def _find_returned_queue(project: Project, path: str | None) -> Iterator[_Queue]:
    """A function that makes the queue and needs no arguments."""
    module = None
    if path:
        module = project.module(path)
    if module is None:
        return
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or _needs_arguments(node):
            continue
        if any(_makes_queue(project, module, value) for value in _list_returned(node)):
            yield _Queue(f"{node.name}()", (Symbol(module.name, node.name),))


def _list_returned(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What a function returns."""
    for node in find_nodes(function, ast.Return):
        if node.value is not None:
            yield node.value


def _makes_queue(project: Project, module: Code, value: ast.expr) -> bool:
    """`Queue(...)`, by whatever way it is imported."""
    if not isinstance(value, ast.Call):
        return False
    return project.origin_of(module, value.func) in _QUEUES


def _needs_arguments(node: ast.FunctionDef) -> bool:
    """Whether a function cannot be called without arguments, as far as it matters here."""
    args = node.args
    if args.kwonlyargs:
        return True
    return len(args.posonlyargs + args.args) > len(args.defaults)


def _find_flask_queue(project: Project, path: str | None) -> Iterator[_Queue]:
    """`app.task_queue = rq.Queue(...)` where a Flask app is made: `current_app.task_queue`."""
    module = None
    if path:
        module = project.module(path)
    if module is None:
        return
    for node in module.nodes(ast.Assign):
        if not _makes_queue(project, module, node.value):
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
            continue
        if _is_flask(module, target.value.id):
            yield _Queue(f"current_app.{target.attr}", ("from flask import current_app",))


def _is_flask(module: Code, name: str) -> bool:
    """`name = Flask(...)` somewhere in the module."""
    for node in module.nodes(ast.Assign):
        if isinstance(node.value, ast.Call):
            is_flask = module.resolve(node.value.func) == "flask.Flask"
            if is_flask and ast.unparse(node.targets[0]) == name:
                return True
    return False


def _find_decorated_queue(project: Project, paths: tuple[str, ...]) -> Iterator[_Queue]:
    """`@job("mail", connection=redis)`: that queue, over that connection."""
    from skillrun.frameworks.rq.sends import is_job_decorator

    for module, call in _list_decorating_calls(project, paths):
        connection = find_keyword(call, "connection")
        name = None
        if call.args:
            name = project.literal(call.args[0], module)
        if not isinstance(name, str) or not isinstance(connection, ast.Name):
            continue
        if is_job_decorator(project, call, module):
            home, _, attribute = (module.resolve(connection) or "").rpartition(".")
            needed = ("from rq import Queue", Symbol(home, attribute))
            yield _Queue(f'Queue("{name}", connection={connection.id})', needed)


def _list_decorating_calls(
    project: Project, paths: tuple[str, ...]
) -> Iterator[tuple[Code, ast.Call]]:
    """The decorators of functions that are calls, with their modules."""
    for module in filter(None, map(project.module, paths)):
        for node in module.nodes(ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call):
                    yield module, decorator


def _find_local_queue(project: Project) -> Iterator[_Queue]:
    """A queue that functions make anew each time, over a connection that any module could name."""
    for module in project.modules_with("Queue"):
        if is_plainly_test(module.path):
            continue
        for call in module.nodes(ast.Call):
            if _makes_queue(project, module, call):
                yield from _write_anew(project, module, call)


def _write_anew(project: Project, module: Code, call: ast.Call) -> Iterator[_Queue]:
    """The same queue, written so that another module can make it; nothing where it cannot."""
    connection = find_keyword(call, "connection") or _find_connection_around(module, call)
    if connection is None:
        return
    needed = _list_globals(module, connection)
    if needed is None:
        return
    first_argument = ""
    if call.args:
        name = project.literal(call.args[0], module)
        if not isinstance(name, str):
            return
        if name:
            first_argument = f'"{name}", '
    written = ast.get_source_segment(module.text, connection) or ""
    if not written or "\n" in written:
        written = ast.unparse(connection)
    yield _Queue(f"Queue({first_argument}connection={written})", ("from rq import Queue", *needed))


def _find_connection_around(module: Code, call: ast.Call) -> ast.expr | None:
    """The connection of the `with Connection(...):` around a call, as RQ before 2 has it."""
    for above in module.parents(call):
        if not isinstance(above, ast.With):
            continue
        for item in above.items:
            made = item.context_expr
            if not isinstance(made, ast.Call) or not made.args:
                continue
            if module.resolve(made.func) in ("rq.Connection", "rq.connections.Connection"):
                return made.args[0]
    return None


def _list_globals(module: Code, expression: ast.expr) -> tuple[Symbol | str, ...] | None:
    """What another module imports to write the expression; None where a name is a function's
    own.
    """
    inner = set[str]()
    for above in module.parents(expression):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            inner.update(module.bindings(above))
    needed: list[Symbol | str] = []
    for name in sorted(find_names(expression)):
        bound = module.bindings(module.tree).get(name)
        if not bound or name in inner:
            return None
        home, _, last = (bound[-1].target or f"{module.name}.{name}").rpartition(".")
        # Flask's own names are a request's: neither a worker nor a test has it.
        if last != name or home == "flask":
            return None
        if home:
            needed.append(Symbol(home, name))
        else:
            needed.append(f"import {name}")
    return tuple(needed)


# -- the schedule


def _place_schedule(project: Project, facts: Facts) -> Symbol:
    """The module of the repository's schedule, or the one that is written beside the queue."""
    for module in project.modules_with("cron"):
        if "rq.cron" in _list_imported(module) and not is_plainly_test(module.path):
            return Symbol(module.name, "cron", path=module.path)
    folder, slash, _ = facts.path.rpartition("/")
    return Symbol(
        f"{facts.package}.schedule".lstrip("."), "cron", path=f"{folder}{slash}schedule.py"
    )


def _list_imported(module: Source) -> Iterator[str]:
    """The dotted names that `from ... import ...` binds in a module."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def _write_schedule_entry(facts: Facts, render: Render) -> Module:
    """The entry that starts the tick: RQ's schedule itself takes no retries and no callbacks."""
    place: Symbol = facts.of_library["schedule"]
    needed = [
        "from rq import cron",
        Symbol(facts.module, facts.of_library["tick_name"]),
        *facts.of_library["needed"],
    ]
    interval = max(1, round(facts.every_s or _TICK_S))
    text = render("schedule.py.jinja", facts, module=place.module, needed=needed, interval=interval)
    return Module(place.path, text)


# -- what is written


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    needed = (
        "from unittest.mock import MagicMock",
        "from rq import Queue",
        "from rq.job import Job",
        Symbol(facts.module, facts.of_library["enqueue"]),
    )
    has_tick = facts.trigger != "event" and not case
    if has_tick:
        return (*needed, Symbol(facts.module, facts.name, path=facts.path))
    return needed


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...]:
    """What `over_broker.jinja` imports: the queue, and RQ's own worker."""
    needed = (
        "from uuid import uuid4",
        "from redis.exceptions import RedisError",
        "from rq import Queue, SimpleWorker",
    )
    return (*needed, *facts.of_library["needed"], Symbol(facts.module, facts.of_library["enqueue"]))


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, what is done after a failed attempt, and the one place that enqueues."""
    killed = ""
    if facts.dead_letter == "table":
        killed = _KILLED
    text = render(
        "handler.py.jinja",
        # A job whose worker died is found by another worker, and fails with this.
        replace(facts, transient=(*facts.transient, _ABANDONED)),
        needed=_list_needed(facts),
        waits=[int(delay) for delay in facts.retries.delays],
        killed=killed,
        **keys(facts),
        commits=publishes_on_commit(facts),
        publishing=when_to_publish(facts),
    )
    written: list[Piece] = [Module(facts.path, text)]
    if facts.trigger != "event":
        written.append(_write_schedule_entry(facts, render))
    return [*written, *facts.of_library["workers"]]


def _list_needed(facts: Facts) -> list[Symbol | str]:
    """What the handler's module imports."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "from redis import Redis",
        "from rq import Callback, get_current_job",
        "from rq.job import Job",
        *facts.of_library["needed"],
        *(effect.call for effect in facts.effects),
        facts.invalid,
    ]
    if publishes_on_commit(facts):
        needed.append("from django.db import transaction")
    if facts.trigger != "event":
        needed.append("from collections.abc import Iterable")
    if facts.retries.bounded:
        needed += ["from rq import Retry", *facts.transient, _ABANDONED]
    if facts.retries.bounded and facts.retries.jitter:
        needed.append("import random")
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return needed
