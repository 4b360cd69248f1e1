"""The job as a function for RQ: retries and the callback after a failure are said where it is
enqueued.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.handlers import keys
from skillrun.frameworks.common.reading import in_tests
from skillrun.frameworks.deaths import lost_with_its_worker
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Rewritten, Symbol
from skillrun.frameworks.publishing import publishes_on_commit, when_to_publish

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


def problems(facts: Facts) -> Iterator[str]:
    """What RQ cannot do of what the spec asks for, a sentence each."""
    if facts.facts["queue"] is None:
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
    for name in sorted(
        {field.name for field in facts.fields} & {"correlation_id", facts.facts["queue"]}
    ):
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
    found = _choose_queue(project, facts)
    return {
        "queue": found.written if found else None,
        "needed": found.needed if found else (),
        "in_app_context": found is not None and "current_app." in found.written,
        # All that a job may do is said where it is enqueued: this function is always written beside
        # the handler.
        "schedule": _place_schedule(project, facts) if facts.trigger != "event" else None,
        "workers": _rewrite_workers(project) if facts.retries.bounded else (),
        "publishes": True,  # a tick of the clock publishes too
        "due": f"due_{facts.name}",
        "tick_name": f"tick_{facts.name}",
        "enqueue": (
            facts.enqueue.name if facts.enqueue.module == facts.module else f"enqueue_{facts.name}"
        ),
    }


def _rewrite_workers(project: Project) -> tuple[Rewritten, ...]:
    """The lines that start workers, with the scheduler that moves a job on when its wait is
    over.
    """
    from skillrun.frameworks.rq.workers import unscheduled_workers, with_scheduler

    launches = unscheduled_workers(project)
    made = (Rewritten(path, launch.text, with_scheduler(launch.text)) for path, launch in launches)
    workers = []
    for one in made:
        if one.text != one.line:
            workers.append(one)
    return tuple(workers)


def _choose_queue(project: Project, facts: Facts) -> _Queue | None:
    """The repository's queue: Django's, an object, what a function returns, or what its `@job`
    decorators name.
    """
    texts = [
        module.text
        for path in facts.use.task_modules
        if (module := project.module(path)) is not None
    ]
    app = facts.app
    if any("django_rq" in text for text in texts) or (app is not None and app.name == "RQ_QUEUES"):
        return _Queue('django_rq.get_queue("default")', ("import django_rq",))
    if app is not None:
        made = _made_by(project, app)
        return _Queue(
            f"{app.name}.get_queue()" if made in _FLASK else app.name,
            (Symbol(app.module, app.name),),
        )
    return (
        next(_find_returned_queue(project, facts.use.app), None)
        or next(_of_flask(project, facts.use.app), None)
        or next(_find_decorated_queue(project, facts.use.task_modules), None)
        or next(_in_functions(project), None)
    )


def _made_by(project: Project, app: Symbol) -> str:
    """What an object of a module is an instance of."""
    found = project.lookup(f"{app.module}.{app.name}")
    value = None
    if found and found.binding:
        value = found.binding.value
    if found is None or found.module is None or not isinstance(value, ast.Call):
        return ""
    return project.origin(found.module.resolve(value.func) or "")


def _find_returned_queue(project: Project, path: str | None) -> Iterator[_Queue]:
    """A function that makes the queue and needs no arguments."""
    module = project.module(path) if path else None
    for node in module.tree.body if module else ():
        if module is not None and isinstance(node, ast.FunctionDef) and not _needs_arguments(node):
            returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return)]
            made = []
            for n in returned:
                if isinstance(n, ast.Call):
                    made.append(project.origin(module.resolve(n.func) or ""))
            if any(origin in _QUEUES for origin in made):
                yield _Queue(f"{node.name}()", (Symbol(module.name, node.name),))


def _needs_arguments(node: ast.FunctionDef) -> bool:
    return len(node.args.posonlyargs + node.args.args) > len(node.args.defaults) or bool(
        node.args.kwonlyargs
    )


def _of_flask(project: Project, path: str | None) -> Iterator[_Queue]:
    """`app.task_queue = rq.Queue(...)` where a Flask app is made: `current_app.task_queue`."""
    module = project.module(path) if path else None
    for node in module.all_nodes if module else ():
        if (
            module is None
            or not isinstance(node, ast.Assign)
            or not isinstance(node.value, ast.Call)
        ):
            continue
        target = node.targets[0]
        if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
            continue
        made = project.origin(module.resolve(node.value.func) or "")
        if made in _QUEUES and _is_flask(module, target.value.id):
            yield _Queue(f"current_app.{target.attr}", ("from flask import current_app",))


def _is_flask(module: Code, name: str) -> bool:
    """`name = Flask(...)` somewhere in the module."""
    assigned = []
    for node in module.all_nodes:
        if isinstance(node, ast.Assign):
            assigned.append(node)
    made = [node.value for node in assigned if ast.unparse(node.targets[0]) == name]
    return any(
        isinstance(value, ast.Call) and module.resolve(value.func) == "flask.Flask"
        for value in made
    )


def _find_decorated_queue(project: Project, paths: tuple[str, ...]) -> Iterator[_Queue]:
    """`@job("mail", connection=redis)`: that queue, over that connection."""
    from skillrun.frameworks.rq.sends import is_job_decorator

    for module in (found for path in paths if (found := project.module(path)) is not None):
        functions = (node for node in module.all_nodes if isinstance(node, ast.FunctionDef))
        for call in (
            one for node in functions for one in node.decorator_list if isinstance(one, ast.Call)
        ):
            connection = next((k.value for k in call.keywords if k.arg == "connection"), None)
            name = project.literal(call.args[0], module) if call.args else None
            if (
                isinstance(name, str)
                and isinstance(connection, ast.Name)
                and is_job_decorator(project, call, module)
            ):
                home, _, attribute = (module.resolve(connection) or "").rpartition(".")
                needed = ("from rq import Queue", Symbol(home, attribute))
                yield _Queue(f'Queue("{name}", connection={connection.id})', needed)


def _in_functions(project: Project) -> Iterator[_Queue]:
    """A queue that functions make anew each time, over a connection that any module could name."""
    for module in project.modules_with("Queue"):
        if not in_tests(module.path):
            calls = []
            for node in module.all_nodes:
                if isinstance(node, ast.Call):
                    calls.append(node)
        else:
            calls = []
        for call in (
            one for one in calls if project.origin(module.resolve(one.func) or "") in _QUEUES
        ):
            given = next(
                (k.value for k in call.keywords if k.arg == "connection"), None
            ) or _find_connection_around(module, call)
            needed = _list_globals(module, given) if given else None
            name = project.literal(call.args[0], module) if call.args else None
            if (
                given is not None
                and needed is not None
                and (isinstance(name, str) or not call.args)
            ):
                named = f'"{name}", ' if name else ""
                written = ast.get_source_segment(module.text, given) or ""
                if not written or "\n" in written:
                    written = ast.unparse(given)
                yield _Queue(
                    f"Queue({named}connection={written})", ("from rq import Queue", *needed)
                )


def _find_connection_around(module: Code, call: ast.Call) -> ast.expr | None:
    """The connection of the `with Connection(...):` around a call, as RQ before 2 has it."""
    for above in module.parents(call):
        if isinstance(above, ast.With):
            items = [item.context_expr for item in above.items]
        else:
            items = []
        for made in (one for one in items if isinstance(one, ast.Call) and one.args):
            if module.resolve(made.func) in ("rq.Connection", "rq.connections.Connection"):
                return made.args[0]
    return None


def _list_globals(module: Code, expression: ast.expr) -> tuple[Symbol | str, ...] | None:
    """What another module imports to write the expression; None where a name is a function's
    own.
    """
    inner = []
    for above in module.parents(expression):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            inner.append(above)
    needed: list[Symbol | str] = []
    for name in sorted({node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}):
        bound = module.bindings(module.tree).get(name)
        if not bound or any(name in module.bindings(scope) for scope in inner):
            return None
        home, _, last = (bound[-1].target or f"{module.name}.{name}").rpartition(".")
        # A request's: neither a worker nor a test has it.
        if last != name or home == "flask":
            return None
        needed.append(Symbol(home, name) if home else f"import {name}")
    return tuple(needed)


# -- the schedule


def _place_schedule(project: Project, facts: Facts) -> Symbol:
    """The module of the repository's schedule, or the one that is written beside the queue."""
    for module in project.modules_with("cron"):
        if any(origin == "rq.cron" for origin in _list_imported(module)) and not in_tests(
            module.path
        ):
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
    place: Symbol = facts.facts["schedule"]
    needed = [
        "from rq import cron",
        Symbol(facts.module, facts.facts["tick_name"]),
        *facts.facts["needed"],
    ]
    interval = max(1, round(facts.every_s or 60))
    return Module(
        place.path,
        render("schedule.py.jinja", facts, module=place.module, needed=needed, interval=interval),
    )


# -- what is written


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    mocked = "from unittest.mock import MagicMock"
    needed = (
        mocked,
        "from rq import Queue",
        "from rq.job import Job",
        Symbol(facts.module, facts.facts["enqueue"]),
    )
    ticks = facts.trigger != "event" and not case
    if ticks:
        return (*needed, Symbol(facts.module, facts.name, path=facts.path))
    return needed


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...]:
    """What `over_broker.jinja` imports: the queue, and RQ's own worker."""
    needed = (
        "from uuid import uuid4",
        "from redis.exceptions import RedisError",
        "from rq import Queue, SimpleWorker",
    )
    return (*needed, *facts.facts["needed"], Symbol(facts.module, facts.facts["enqueue"]))


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, what is done after a failed attempt, and the one place that enqueues."""
    text = render(
        "handler.py.jinja",
        replace(facts, transient=(*facts.transient, _ABANDONED)),
        needed=_list_needed(facts),
        waits=[int(delay) for delay in facts.retries.delays],
        killed=_KILLED if facts.dead_letter == "table" else "",
        **keys(facts),
        commits=publishes_on_commit(facts),
        publishing=when_to_publish(facts),
    )
    clocked = [_write_schedule_entry(facts, render)] if facts.trigger != "event" else []
    return [Module(facts.path, text), *clocked, *facts.facts["workers"]]


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "from redis import Redis",
        "from rq import Callback, get_current_job",
        "from rq.job import Job",
        *facts.facts["needed"],
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
