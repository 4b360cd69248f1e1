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
from skillrun.repo.source import last_word

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.python import Module as PythonModule
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
_CONTRIB = "procrastinate.contrib.django"
# Parameters that the handler needs for itself.
_OWN_PARAMETERS = ("context", "correlation_id")
_BLUEPRINT = ("procrastinate.Blueprint", "procrastinate.blueprints.Blueprint")


def awaits(project: Project, use: FrameworkUse, handler: str) -> bool:
    """Whether most tasks of the handler's module, else of all, are coroutine functions; in Django
    none is.

    There the store is Django's, whose connections are a thread's own.
    """
    if any(not is_aside(path) for path in project.tree.search("INSTALLED_APPS")):
        return False
    path = project.locate(handler.partition(":")[0])
    recovering = set()
    for recovery in find_recoveries(project, use):
        if recovery.function is not None:
            recovering.add(recovery.function.name)
    # What gives back the jobs of dead workers says nothing of how the others are written.
    tasks = [task for task in _find_tasks(project, use) if task.name not in recovering]
    compared = [task for task in tasks if task.path == path] or tasks
    coroutines = [task for task in compared if isinstance(task.node, ast.AsyncFunctionDef)]
    return 2 * len(coroutines) > len(compared)


def _find_tasks(project: Project, use: FrameworkUse) -> Iterator[Definition]:
    """The functions at the left margin that are tasks of Procrastinate."""
    for module in filter(None, map(project.module, use.task_modules)):
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found = project.define(module, node)
                if read_task(project, use, found).registered is not None:
                    yield found


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    - `app`: what a module imports
    - `contrib`: it is Django's, whose jobs are rows of Django's own database
    - `owner`: the name of what makes a function a task there, the app or a blueprint
    - `loading`: the entry that has the worker import a new module; `found`: it needs none
    - `queue`: the option that all other tasks have
    - `recovers`: something gives back the jobs of dead workers
    - `publisher`: what defers the job, where it is written; of a clock, `tick` and `due`
    """
    app = facts.app
    contrib = False
    if app is None and any(not is_aside(path) for path in project.tree.search(_CONTRIB)):
        contrib = True
        app = Symbol(_CONTRIB, "app")
    owner = _find_blueprint(project, facts)
    if owner is None:
        owner = ""
        if app is not None:
            owner = app.name
    return {
        "app": app,
        "contrib": contrib,
        "queue": _read_common_queue(project, facts.use),
        "found": facts.path in facts.use.task_modules or facts.module.endswith("tasks"),
        "owner": owner,
        "loading": _plan_loading(project, facts),
        "recovers": bool(find_recoveries(project, facts.use)),
        "publishes": True,  # a tick of the clock publishes too
        **published(facts),
    }


def _read_common_queue(project: Project, use: FrameworkUse) -> list[str]:
    """`queue=` as all other tasks say it, since a worker may read no other; [] where they have none
    or several.
    """
    queues: list[Any] = []
    for definition in _find_tasks(project, use):
        option = read_task(project, use, definition).option("queue")
        if option is None:
            return []
        queues.append(project.literal(*option))
    if not queues or any(queue != queues[0] for queue in queues):
        return []
    if not isinstance(queues[0], str):
        return []
    return [f"queue={source(queues[0])}"]


def _find_blueprint(project: Project, facts: Facts) -> str | None:
    """The blueprint that the handler's module makes for its tasks."""
    module = project.module(facts.path)
    if module is None:
        return None
    for node in module.tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name) and module.resolve(node.value.func) in _BLUEPRINT:
            return target.id
    return None


def _plan_loading(project: Project, facts: Facts) -> Entry | None:
    """The entry in `App(import_paths=...)` for a module that no worker imports yet."""
    home = None
    if facts.app is not None:
        home = project.module(facts.app.path)
    if home is None or facts.path in facts.use.task_modules:
        return None
    paths = _read_import_paths(project, home)
    if isinstance(paths, list | tuple) and loads(project, home, map(str, paths), facts.path):
        return None
    return Entry(home.path, "App(import_paths=)", source(facts.module))


def _read_import_paths(project: Project, module: PythonModule) -> Any:
    """What the first `App(...)` of a module is given as `import_paths`; [] where it has none."""
    for call in module.nodes(ast.Call):
        if last_word(call.func) == "App":
            options, _ = options_of(project, call, module)
            if "import_paths" in options:
                return project.literal(options["import_paths"], module)
            return []
    return []


def problems(facts: Facts) -> Iterator[str]:
    """What Procrastinate cannot do of what the spec asks for, a sentence each."""
    if facts.of_library["app"] is None:
        yield (
            "no app of Procrastinate was found that a module could import: app ="
            " procrastinate.App(connector=...)"
        )
    if facts.of_library["contrib"] and not facts.of_library["found"]:
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
            if field.name in _OWN_PARAMETERS:
                yield (
                    f"the handler has a use of its own for the name {field.name}: rename the field, or"
                    " message: payload"
                )
    yield from _clock_problems(facts)


def _clock_problems(facts: Facts) -> Iterator[str]:
    """What Procrastinate's clock cannot do of the spec's."""
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
    known = facts.of_library
    publisher, has_tick = known["publisher"], facts.trigger != "event" and not case
    needed: list[Symbol | str] = []
    if facts.awaits and (publisher or has_tick):
        needed.append("import asyncio")
    if facts.awaits and has_tick:
        needed.append("from unittest.mock import AsyncMock")
    needed += ["from procrastinate.testing import InMemoryConnector", _by_name(known["app"])]
    if publisher:
        needed.append(Symbol(facts.module, publisher.name))
    if has_tick:
        needed.append(known["tick"])
    return tuple(needed)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports; None in Django, whose tests have a database of their
    own.
    """
    known = facts.of_library
    if known["contrib"] or facts.django or not known["publisher"]:
        return None
    sent = Symbol(facts.module, known["publisher"].name)
    needed = ("import asyncio", "from uuid import uuid4", Symbol(facts.module, facts.name), sent)
    return (*needed, _by_name(known["app"]))


def _by_name(symbol: Symbol) -> Symbol:
    """The symbol without its path, so that it is imported by its name: `from shop import app`."""
    return Symbol(symbol.module, symbol.name)


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with its strategy, its publisher and tick, what gives jobs back, and what the
    worker imports.
    """
    clocked = facts.trigger != "event"
    left_out_words = ""
    if clocked:
        left_out_words = _left_out(facts)
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_imports(facts),
        given=_list_parameters(facts),
        clocked=clocked,
        cron=_spell_cron(facts),
        queue=facts.of_library["queue"],
        keeps_failed=_keeps_failed(facts),
        retries_name=_retries_name(facts),
        strategy=_spell_strategy(facts),
        wait=longest_wait(facts.retries, "job.attempts"),
        publisher=facts.of_library["publisher"],
        publishing=_say_when_published(facts),
        left_out=left_out_words,
        **awaiting.names(facts, coroutine=facts.awaits),
    )
    written = [Module(facts.path, text), *_write_recovery(facts, render)]
    loading = facts.of_library["loading"]
    if loading is not None:
        written.append(loading)
    return written


def _keeps_failed(facts: Facts) -> bool:
    """Whether Procrastinate keeps what is given up, as jobs whose status is `failed`.

    The tick then leaves those out by their status: a mark that the handler writes would come before
    it.
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
    if facts.of_library["contrib"]:
        return IN_TRANSACTION
    return f"{when_to_publish(facts)} The app has to be open."


def _write_recovery(facts: Facts, render: Render) -> Iterator[Piece]:
    """The task that gives back the jobs of dead workers, of all handlers: Procrastinate itself
    gives back none. It stands beside the app where the repository makes that, else beside the job.
    """
    if facts.of_library["recovers"]:
        return
    app = facts.of_library["app"]
    home = app
    needed: list[Symbol | str] = [
        facts.conventions.logger_import,
        "from procrastinate.jobs import Status",
    ]
    # Django's app has no file here.
    if not app.path:
        home = Symbol(facts.module, "", path=facts.path)
        needed.append(_by_name(app))
    text = render(
        "recovery.py.jinja",
        facts,
        needed=needed,
        app=app,
        home=home.module,
        deaths=DEATHS,
        queue=facts.of_library["queue"],
    )
    yield Module(home.path, text)


def _retries_name(facts: Facts) -> str:
    """The constant with the number of attempts: SEND_RECEIPT_RETRIES."""
    return f"{facts.name.upper()}_RETRIES"


def _spell_strategy(facts: Facts) -> list[str] | None:
    """The arguments of a `RetryStrategy`; None where it has no words for the waits, or for what is
    tried again.
    """
    waits = _spell_waits(facts.retries)
    # A coroutine that a worker aborts at its shutdown ends with what is no Exception.
    if waits is None or facts.awaits:
        return None
    errors = []
    for error in facts.transient:
        name = error.name
        if error.path:
            name = error.written
        errors.append(name)
    return [
        f"max_attempts={_retries_name(facts)}",
        *waits,
        f"retry_exceptions=[{', '.join(errors)}]",
    ]


def _spell_waits(retries: Retries) -> list[str] | None:
    """`wait=` or `exponential_wait=` for the waits; None where the strategy has no words for them.

    Both take whole seconds, and `exponential_wait=3` is 3, 9, 27 seconds, without an end.
    """
    if retries.kind == "none":
        return []
    if retries.jitter or not float(retries.base_s).is_integer():
        return None
    if retries.kind == "fixed":
        return [f"wait={seconds(retries.base_s)}"]
    for number, delay in enumerate(retries.delays, 1):
        if delay != retries.base_s**number:
            return None
    return [f"exponential_wait={seconds(retries.base_s)}"]


def _spell_cron(facts: Facts) -> str | None:
    """The clock as croniter reads it, which may have a sixth field for seconds."""
    return write_croniter(facts.trigger, facts.schedule, facts.every_s)


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks an argument ends without a record, so none must
    be given.
    """
    if facts.message == "payload":
        return ["payload: Any = None"]
    return [f"{field.name}: Any = None" for field in facts.fields]


def _list_imports(facts: Facts) -> list[Symbol | str]:
    """What the handler's module imports."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "from procrastinate import JobContext",
        *awaiting.needed(facts),
    ]
    if facts.awaits and (facts.retries.bounded or awaiting.blocks(facts)):
        needed.append("import asyncio")
    if facts.of_library["owner"] == facts.of_library["app"].name:
        # By name, as tasks are written.
        needed.append(_by_name(facts.of_library["app"]))
    if publishes_on_commit(facts) and not facts.of_library["contrib"]:
        needed.append("from django.db import transaction")
    if facts.retries.bounded:
        needed += [*facts.transient, *_list_for_retries(facts)]
    if facts.trigger != "event":
        needed += ["from collections.abc import Iterable", _by_name(facts.of_library["app"])]
    return needed


def _list_for_retries(facts: Facts) -> list[str]:
    """The library's strategy, or what one of the job's own is made of."""
    if _spell_strategy(facts) is not None:
        return ["from procrastinate import RetryStrategy"]
    needed = [
        "from procrastinate import BaseRetryStrategy, RetryDecision",
        "from procrastinate.jobs import Job",
    ]
    if facts.retries.jitter:
        needed.append("import random")
    return needed
