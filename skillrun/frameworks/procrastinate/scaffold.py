"""The job as a Procrastinate task: a strategy says what is run again, the handler keeps what is
given up.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import names_hours, write_croniter
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.common.reading import options_of
from skillrun.frameworks.layout import seconds, source
from skillrun.frameworks.pieces import Entry, Facts, Module, Piece, Render, Retries, Symbol
from skillrun.frameworks.procrastinate.loading import loads
from skillrun.frameworks.procrastinate.recovery import find_recoveries
from skillrun.frameworks.procrastinate.tasks import read_task
from skillrun.frameworks.publishing import IN_TRANSACTION, publishes_on_commit, when_to_publish
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse

MESSAGE = "kwargs"
# What holds by itself; see `awaits`.
AWAITS = False
TESTS = (
    "run by Procrastinate's own worker over its database in memory: only the waits are left out."
)
"""What the tests' docstring says of how they run the job."""

DEATHS = 20
"""How often a job is given back whose workers died, at most."""
_OPEN = "The app has to be open."
_CONTRIB = "procrastinate.contrib.django"
_OURS = ("context", "correlation_id")
# What a periodic task is given.
_TAKEN = ("timestamp",)
_BLUEPRINT = ("procrastinate.Blueprint", "procrastinate.blueprints.Blueprint")


def awaits(project: Project, use: FrameworkUse, handler: str) -> bool:
    """Whether most tasks of the handler's module, else of all, are coroutine functions; in Django
    none is.

    There the store is Django's, whose connections are a thread's own.
    """
    if any(not is_aside(path) for path in project.tree.search("INSTALLED_APPS")):
        return False
    own = project.locate(handler.partition(":")[0])
    giving = set()
    for one in find_recoveries(project, use):
        if one.function is not None:
            giving.add(one.function.name)
    tasks = [one for one in _find_tasks(project, use) if one.name not in giving]
    near = [one for one in tasks if one.path == own] or tasks
    return 2 * sum(isinstance(one.node, ast.AsyncFunctionDef) for one in near) > len(near)


def _find_tasks(project: Project, use: FrameworkUse) -> Iterator[Definition]:
    for module in filter(None, map(project.module, use.task_modules)):
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = project.define(module, node)
                if read_task(project, use, found).registered is not None:
                    yield found


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `app`: what a module imports; `contrib`: it is Django's, whose jobs are rows of Django's own
    database; `owner`: what
    makes a function a task there, the app or a blueprint; `loading`: the entry that has the worker
    import a new module,
    `found`: it needs none; `queue`: the option that all other tasks have; `recovers`: something
    gives back the jobs of
    dead workers; `publisher`: what defers the job, where it is written; of a clock, `tick` and
    `due`.
    """
    contrib = facts.app is None and any(
        not is_aside(path) for path in project.tree.search(_CONTRIB)
    )
    app = Symbol(_CONTRIB, "app") if contrib else facts.app
    made: dict[str, Any] = {
        "app": app,
        "contrib": contrib,
        "queue": _read_common_queue(project, facts.use),
        "found": facts.path in facts.use.task_modules or facts.module.endswith("tasks"),
        "owner": _find_blueprint(project, facts) or (app.name if app is not None else ""),
        "loading": _plan_loading(project, facts),
        "recovers": bool(find_recoveries(project, facts.use)),
        "publishes": True,  # a tick of the clock publishes too
    }
    return {**made, **published(facts)}


def _read_common_queue(project: Project, use: FrameworkUse) -> list[str]:
    """`queue=` as all other tasks say it: a worker may read no other."""
    read = [read_task(project, use, one) for one in _find_tasks(project, use)]
    named = [
        project.literal(*option) if (option := task.option("queue")) else None for task in read
    ]
    name = None
    if named and all(one == named[0] for one in named):
        name = named[0]
    if not isinstance(name, str):
        return []
    return [f"queue={source(name)}"]


def _find_blueprint(project: Project, facts: Facts) -> str | None:
    """The blueprint that the handler's module makes for its tasks."""
    module = project.module(facts.path)
    if module is not None:
        for node in module.tree.body:
            if (
                module is not None
                and isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
            ):
                target = node.targets[0]
                if isinstance(target, ast.Name) and module.resolve(node.value.func) in _BLUEPRINT:
                    return target.id
    return None


def _plan_loading(project: Project, facts: Facts) -> Entry | None:
    """A module that no worker imports yet is named where the app is made."""
    app = None
    if facts.app is not None:
        app = project.module(facts.app.path)
    if app is None or facts.path in facts.use.task_modules:
        return None
    calls = []
    for node in app.nodes(ast.Call):
        calls.append(node)
    made = None
    for call in calls:
        if ast.unparse(call.func).rpartition(".")[2] == "App":
            made = call
            break
    option = None
    if made is not None:
        option = options_of(project, made, app)[0].get("import_paths")
    paths = []
    if option is not None:
        paths = project.literal(option, app)
    if isinstance(paths, list | tuple) and loads(project, app, map(str, paths), facts.path):
        return None
    return Entry(app.path, "App(import_paths=)", source(facts.module))


def problems(facts: Facts) -> Iterator[str]:
    """What Procrastinate cannot do of what the spec asks for, a sentence each."""
    if facts.facts["app"] is None:
        yield (
            "no app of Procrastinate was found that a module could import: app ="
            " procrastinate.App(connector=...)"
        )
    if facts.facts["contrib"] and not facts.facts["found"]:
        name = f"{facts.package}.tasks".removeprefix(".")
        yield (
            "Django's Procrastinate looks for tasks in modules of that name: write handler:"
            f" {name}:{facts.name}"
        )
    if facts.dead_letter == "queue":
        yield (
            "Procrastinate's workers would take the dead letters out of a queue: dead_letter.kind"
            " is to be table, framework, for the jobs that it keeps as failed, or none"
        )
    if facts.retries.max_attempts >= DEATHS:
        yield (
            f"a job of which {DEATHS} attempts failed is given back to nobody: lower"
            " retry.max_attempts"
        )
    if facts.message == "kwargs":
        for field in facts.fields:
            if field.name in _OURS:
                yield (
                    f"the handler has a use of its own for the name {field.name}: rename the field, or"
                    " message: payload"
                )
    yield from _clock_problems(facts)


def _clock_problems(facts: Facts) -> Iterator[str]:
    if facts.trigger == "poller" and _spell_cron(facts) is None:
        yield (
            "Procrastinate's cron names seconds, minutes and hours: trigger.every is to divide a"
            " minute in seconds, an hour in minutes, or a day in hours"
        )
    if (
        facts.trigger == "cron"
        and facts.timezone not in (None, "UTC", "Etc/UTC")
        and names_hours(facts.schedule)
    ):
        yield f"Procrastinate's clock is UTC: say trigger.schedule in UTC, not in {facts.timezone}"


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    known = facts.facts
    sent: tuple[Symbol, ...] = ()
    if known["publisher"]:
        sent = (Symbol(facts.module, known["publisher"].name),)
    ticks: tuple[Symbol | str, ...] = ()
    if facts.trigger != "event" and not case:
        ticks = (known["tick"],)
    loop: tuple[str, ...] = ()
    if facts.awaits and (sent or ticks):
        loop = ("import asyncio",)
    if facts.awaits and ticks:
        loop = (*loop, "from unittest.mock import AsyncMock")
    return (
        *loop,
        "from procrastinate.testing import InMemoryConnector",
        _by_name(known["app"]),
        *sent,
        *ticks,
    )


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports; None in Django, whose tests have a database of their
    own.
    """
    known = facts.facts
    if known["contrib"] or facts.django or not known["publisher"]:
        return None
    sent = Symbol(facts.module, known["publisher"].name)
    needed = ("import asyncio", "from uuid import uuid4", Symbol(facts.module, facts.name), sent)
    return (*needed, _by_name(known["app"]))


def _by_name(symbol: Symbol) -> Symbol:
    return Symbol(symbol.module, symbol.name)


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with its strategy, its publisher and tick, what gives jobs back, and what the
    worker imports.
    """
    clocked = facts.trigger != "event"
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_imports(facts),
        given=_list_parameters(facts),
        clocked=clocked,
        cron=_spell_cron(facts),
        queue=facts.facts["queue"],
        keeps_failed=_keeps_failed(facts),
        retries_name=_retries_name(facts),
        strategy=_spell_strategy(facts),
        wait=longest_wait(facts.retries, "job.attempts"),
        publisher=facts.facts["publisher"],
        publishing=_say_when_published(facts),
        left_out=_left_out(facts) if clocked else "",
        **awaiting.names(facts, coroutine=facts.awaits),
    )
    entry = facts.facts["loading"]
    return [
        Module(facts.path, text),
        *_write_recovery(facts, render),
        *([entry] if entry is not None else []),
    ]


def _keeps_failed(facts: Facts) -> bool:
    """The tick leaves out what is `failed`; a mark that it was handled would come before that
    status is written.
    """
    return facts.dead_letter == "framework"


def _left_out(facts: Facts) -> str:
    """What is due no more, in the docstring of `due`."""
    if not _keeps_failed(facts):
        return left_out(facts)
    if facts.store.kind == "receiver":
        return "It leaves out what is done."
    return f"It may leave out what has a row in {facts.store.name}: that is done."


def _say_when_published(facts: Facts) -> str:
    """What the publisher's docstring says of the open transaction."""
    if facts.facts["contrib"]:
        return IN_TRANSACTION
    return f"{when_to_publish(facts)} {_OPEN}"


def _write_recovery(facts: Facts, render: Render) -> Iterator[Piece]:
    """Beside the app, where the repository makes it, for all its jobs: Procrastinate itself gives
    back none.
    """
    app = facts.facts["app"]
    if app.path:
        home = app
    else:
        home = Symbol(facts.module, "", path=facts.path)
    if not facts.facts["recovers"]:
        needed: list[Symbol | str] = [
            facts.conventions.logger_import,
            "from procrastinate.jobs import Status",
        ]
        needed += [] if app.path else [_by_name(app)]
        text = render(
            "recovery.py.jinja",
            facts,
            needed=needed,
            app=app,
            home=home.module,
            deaths=DEATHS,
            queue=facts.facts["queue"],
        )
        yield Module(home.path, text)


def _retries_name(facts: Facts) -> str:
    return f"{facts.name.upper()}_RETRIES"


def _spell_strategy(facts: Facts) -> list[str] | None:
    """The arguments of a `RetryStrategy`; None where it has no words for the waits, or for what is
    tried again.
    """
    retries = facts.retries
    waits = _own_words(retries)
    # What a worker aborts when it is shut down is no Exception.
    if waits is None or facts.awaits:
        return None
    errors = ", ".join(error.written if error.path else error.name for error in facts.transient)
    return [f"max_attempts={_retries_name(facts)}", *waits, f"retry_exceptions=[{errors}]"]


def _own_words(retries: Retries) -> list[str] | None:
    """`wait` or `exponential_wait`, whole seconds; the latter is base and factor at once, and has
    no cap.
    """
    if retries.kind == "none":
        return []
    if retries.jitter or not float(retries.base_s).is_integer():
        return None
    if retries.kind == "fixed":
        return [f"wait={seconds(retries.base_s)}"]
    capped = any(delay != retries.base_s ** (n + 1) for n, delay in enumerate(retries.delays))
    if capped:
        return None
    return [f"exponential_wait={seconds(retries.base_s)}"]


def _spell_cron(facts: Facts) -> str | None:
    return write_croniter(facts.trigger, facts.schedule, facts.every_s)


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks an argument ends without a record, so none must
    be given.
    """
    if facts.message == "payload":
        return ["payload: Any = None"]
    return [f"{field.name}: Any = None" for field in facts.fields]


def _list_imports(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "from procrastinate import JobContext",
        *awaiting.needed(facts),
    ]
    if facts.awaits and (facts.retries.bounded or awaiting.blocks(facts)):
        needed.append("import asyncio")
    if facts.facts["owner"] == facts.facts["app"].name:
        # By name, as tasks are written.
        needed.append(_by_name(facts.facts["app"]))
    if publishes_on_commit(facts) and not facts.facts["contrib"]:
        needed.append("from django.db import transaction")
    if facts.retries.bounded:
        needed += [*facts.transient, *_list_for_retries(facts)]
    if facts.trigger != "event":
        needed += ["from collections.abc import Iterable", _by_name(facts.facts["app"])]
    return needed


def _list_for_retries(facts: Facts) -> list[str]:
    """The library's strategy, or what one of the job's own is made of."""
    if _spell_strategy(facts) is not None:
        return ["from procrastinate import RetryStrategy"]
    own = [
        "from procrastinate import BaseRetryStrategy, RetryDecision",
        "from procrastinate.jobs import Job",
    ]
    if facts.retries.jitter:
        own.append("import random")
    return own
