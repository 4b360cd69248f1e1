"""The job as a plain function, with a poller's loop or a cron line that looks for work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables import scaffold as callables
from skillrun.frameworks.common.callables.scaffold import MESSAGE as MESSAGE
from skillrun.frameworks.common.callables.scaffold import TESTS as TESTS
from skillrun.frameworks.common.callables.scaffold import broker_needs as broker_needs
from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts, Line, Module, Piece, Render, Symbol

if TYPE_CHECKING:
    from skillrun.frameworks.common.callables.starts import Start
    from skillrun.repo.python import Project


_WHERE = "# APP is the folder in which the application is installed."
_IN_APP = ("models.py", "models/__init__.py", "apps.py", "migrations/__init__.py")
_REST = re.compile(r"\s*(?:[>|;&]|2>).*$")


def problems(facts: Facts) -> Iterator[str]:
    """What a plain function cannot do of what the spec asks for, a sentence each."""
    yield from callables.problems(facts)
    if facts.django and facts.facts["command"] is None:
        yield f"{facts.module} lies in no app of Django, whose management command would start the job"


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `tick` and `due`; `command`, the file of the management command in a Django project; `start`, how it is started;
    `lines`, (file, text) of what starts it.
    """
    tick = callables.beside(facts)
    command = _command(project, facts)
    manage = next((path for path in project.tree.files if f"/{path}".endswith("/manage.py")), "manage.py")
    start = f"python {manage} {facts.name}" if command else f"python -m {tick.module}"
    known = {**callables.ticks(tick, "due"), "command": command, "start": start}
    return {**known, "lines": _starting(project, facts, facts.name if command else tick.module, start)}


def _command(project: Project, facts: Facts) -> str | None:
    """In the app around the handler; None where there is none, and outside Django."""
    folder = facts.path.rpartition("/")[0] if facts.django else ""
    while folder:
        if any(f"{folder}/{part}" in project.tree.files for part in _IN_APP):
            return f"{folder}/management/commands/{facts.name}.py"
        folder = folder.rpartition("/")[0]
    return None


def _starting(project: Project, facts: Facts, name: str, command: str) -> list[tuple[str, str]]:
    """A line like one that starts a job of this kind already; a new file where the repository has none of the kind."""
    from skillrun.frameworks.common.callables.starts import find_starts, is_start_file
    from skillrun.repo.places import is_aside

    known = False
    for path in sorted(path for path in project.tree.files if is_start_file(path) and not is_aside(path)):
        text = (project.tree.read(path) or b"").decode("utf-8", "replace")
        for start in find_starts(path, text):
            known = known or start.how == "crontab"
            line = _line(facts, start, name)
            if line is not None:
                return [(path, line)]
    return _new_file(project, facts, command, known)


def _new_file(project: Project, facts: Facts, command: str, known: bool) -> list[tuple[str, str]]:
    """A crontab for a cron job, a Procfile for a poller; nothing beside one whose lines are of another kind."""
    if facts.trigger == "poller":
        return [] if "Procfile" in project.tree.files else [("Procfile", f"{facts.job}: {command}")]
    if known or "crontab" in project.tree.files or not facts.schedule:
        return []
    lines = (_WHERE, "APP=/srv/app", f'{facts.schedule} cd "$APP" && {command}')
    return [("crontab", line) for line in lines]


def runs_need(facts: Facts) -> list[Symbol | str]:
    """What the tests import beside the handler."""
    return [facts.facts["tick"], *(["import fcntl"] if facts.trigger == "cron" else [])]


def _line(facts: Facts, start: Start, name: str) -> str | None:
    """An existing line of a crontab, a Procfile or uWSGI's daemons, as it starts this job; None for any other."""
    if start.kind != ("command" if facts.django else "module"):
        return None
    if facts.trigger == "cron" and start.how == "crontab" and facts.schedule and start.text.startswith(start.when):
        return _instead(start.text.replace(start.when, facts.schedule, 1), start, name)
    if facts.trigger == "poller" and start.path.rpartition("/")[2] == "Procfile":
        return f"{facts.job}:{_instead(start.text.partition(':')[2], start, name)}"
    if facts.trigger == "poller" and start.text.startswith("attach-daemon"):
        return _instead(start.text, start, name)
    return None


def _instead(text: str, start: Start, name: str) -> str:
    """The line with another module or command; what was said to the old one is left out, where its output goes not."""
    head, _, rest = text.partition(f" {start.name}")
    kept = _REST.search(rest)
    return f"{head} {name}{kept[0] if kept else ''}"


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, the module that looks for work, and the line that starts it."""
    made: list[Piece] = [callables.handler(facts, render)]
    needed: list[Symbol | str] = ["import fcntl"]
    if facts.conventions.log_style == "percent":
        needed.append("import logging")
    if facts.trigger == "poller":
        needed += ["import random", "import time"]
        made.append(callables.ticking(facts, render, "poller.py.jinja", needed, every=seconds(facts.every_s or 60)))
    else:
        made.append(callables.ticking(facts, render, "cron.py.jinja", needed))
    if facts.facts["command"] is not None:
        made += _django_command(facts, render)
    return [*made, *(Line(path, text) for path, text in facts.facts["lines"])]


def _django_command(facts: Facts, render: Render) -> Iterator[Piece]:
    """The command that sets up Django before it looks for work, in a package that Django finds."""
    path, tick = facts.facts["command"], facts.facts["tick"]
    folder = path.rpartition("/")[0]
    yield from (Module(f"{package}/__init__.py", "") for package in (folder.rpartition("/")[0], folder))
    root = facts.path.removesuffix(f"{facts.module.replace('.', '/')}.py")
    module = path.removeprefix(root).removesuffix(".py").replace("/", ".")
    needed = ["from typing import Any", "from django.core.management.base import BaseCommand", tick]
    yield Module(path, render("command.py.jinja", facts, module=module, needed=needed))
