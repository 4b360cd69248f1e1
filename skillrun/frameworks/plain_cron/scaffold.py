"""The job as a plain function, with a poller's loop or a cron line that looks for work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables.scaffold import MESSAGE as MESSAGE
from skillrun.frameworks.common.callables.scaffold import TESTS as TESTS
from skillrun.frameworks.common.callables.scaffold import beside, handler, ticking, ticks
from skillrun.frameworks.common.callables.scaffold import broker_needs as broker_needs
from skillrun.frameworks.common.callables.scaffold import problems as problems
from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts, Line, Piece, Render, Symbol

if TYPE_CHECKING:
    from skillrun.frameworks.common.callables.starts import Start
    from skillrun.repo.python import Project


_WHERE = "# APP is the folder in which the application is installed."


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: `tick`, `due`, and `lines`, (file, text) of what starts it."""
    tick = beside(facts)
    return {**ticks(tick, "due"), "lines": _starting(project, facts, tick.module)}


def _starting(project: Project, facts: Facts, module: str) -> list[tuple[str, str]]:
    """A line like one that starts a job of this kind already; a new file where the repository has none of the kind."""
    from skillrun.frameworks.common.callables.starts import find_starts, is_start_file
    from skillrun.repo.places import is_aside

    known = False
    for path in sorted(path for path in project.tree.files if is_start_file(path) and not is_aside(path)):
        text = (project.tree.read(path) or b"").decode("utf-8", "replace")
        for start in find_starts(path, text):
            known = known or start.how == "crontab"
            line = _line(facts, start, module)
            if line is not None:
                return [(path, line)]
    return _new_file(project, facts, module, known)


def _new_file(project: Project, facts: Facts, module: str, known: bool) -> list[tuple[str, str]]:
    """A crontab for a cron job, a Procfile for a poller; nothing beside one whose lines are of another kind."""
    if facts.trigger == "poller":
        return [] if "Procfile" in project.tree.files else [("Procfile", f"{facts.job}: python -m {module}")]
    if known or "crontab" in project.tree.files or not facts.schedule:
        return []
    lines = (_WHERE, "APP=/srv/app", f'{facts.schedule} cd "$APP" && python -m {module}')
    return [("crontab", line) for line in lines]


def runs_need(facts: Facts) -> list[Symbol | str]:
    """What the tests import beside the handler."""
    return [facts.facts["tick"], *(["import fcntl"] if facts.trigger == "cron" else [])]


def _line(facts: Facts, start: Start, module: str) -> str | None:
    """An existing crontab line, or one of a Procfile, as it starts this job; None for any other command."""
    if start.kind != "module":
        return None
    if facts.trigger == "cron" and start.how == "crontab" and facts.schedule and start.text.startswith(start.when):
        return start.text.replace(start.when, facts.schedule, 1).replace(start.name, module)
    if facts.trigger == "poller" and start.path.rpartition("/")[2] == "Procfile":
        command = start.text.partition(":")[2]
        return f"{facts.job}:{command.replace(start.name, module)}"
    return None


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, the module that looks for work, and the line that starts it."""
    made: list[Piece] = [handler(facts, render)]
    needed: list[Symbol | str] = ["import fcntl"]
    if facts.conventions.log_style == "percent":
        needed.append("import logging")
    if facts.trigger == "poller":
        needed += ["import random", "import time"]
        made.append(ticking(facts, render, "poller.py.jinja", needed, every=seconds(facts.every_s or 60)))
    else:
        made.append(ticking(facts, render, "cron.py.jinja", needed))
    return [*made, *(Line(path, text) for path, text in facts.facts["lines"])]
