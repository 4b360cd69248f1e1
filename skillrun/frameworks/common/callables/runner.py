"""A module beside the handler's that looks for work, and the line of a crontab or a Procfile that
starts it.

In a Django project a management command starts it, so that Django is set up before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables import scaffold as callables
from skillrun.frameworks.common.callables.scaffold import Ticked
from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts, Line, Module, Piece, Render, Symbol
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.frameworks.common.callables.starts import Start
    from skillrun.repo.python import Project


_WHERE = "# APP is the folder in which the application is installed."
# A folder with one of these files is an app of Django.
_APP_FILES = ("models.py", "models/__init__.py", "apps.py", "migrations/__init__.py")
# " >> /var/log/sweep.log 2>&1": where the output of a command goes.
_REDIRECTION = re.compile(r"\s*(?:[>|;&]|2>).*$")
# Seconds between two looks for work where the spec says nothing.
_TICK_S = 60


def problems(facts: Facts) -> Iterator[str]:
    """Why nothing could start the module; facts as `read` gives them."""
    if facts.django and facts.of_library["command"] is None:
        yield (
            f"{facts.module} lies in no app of Django, whose management command would start the job"
        )


def read(project: Project, facts: Facts, worker: re.Pattern[str] | None = None) -> dict[str, Any]:
    """What the templates need to know beyond `Facts`.

    - `tick` and `due`
    - `command`: the file of the management command in a Django project
    - `start`: how it is started; `lines`: (file, text) of what starts it

    `worker` finds, in a line of a Procfile, the command that starts the library's worker: Python is
    started where that is.
    """
    tick = callables.beside(facts)
    command = _write_command_path(project, facts)
    name, start = tick.module, f"python -m {tick.module}"
    if command:
        name, start = facts.name, f"python {_find_manage(project)} {facts.name}"
    lines = _write_start(project, facts, name, start, worker)
    return {**callables.ticks(tick, "due"), "command": command, "start": start, "lines": lines}


def _find_manage(project: Project) -> str:
    """The path of Django's manage.py; its name where the repository has none."""
    for path in project.tree.files:
        if f"/{path}".endswith("/manage.py"):
            return path
    return "manage.py"


def _write_command_path(project: Project, facts: Facts) -> str | None:
    """The file of the management command, in the app around the handler; None where there is no
    app, and outside Django.
    """
    if not facts.django:
        return None
    folder = facts.path.rpartition("/")[0]
    while folder:
        if any(f"{folder}/{name}" in project.tree.files for name in _APP_FILES):
            return f"{folder}/management/commands/{facts.name}.py"
        folder = folder.rpartition("/")[0]
    return None


# -- the line that starts it


def _write_start(
    project: Project, facts: Facts, name: str, command: str, worker: re.Pattern[str] | None
) -> list[tuple[str, str]]:
    """(file, line) of what starts the job: a line like one that starts a job of this kind already;
    a new file where the repository has none of the kind.
    """
    starts = list(_find_own_starts(project))
    line = _write_similar_line(facts, starts, name)
    if line is None:
        line = next(_write_beside_worker(project, facts, command, worker), None)
    if line is None:
        has_crontab = any(start.how == "crontab" for start in starts)
        return _write_new_file(project, facts, command, has_crontab)
    path, _ = line
    return [*((path, note) for note in _note_zone(facts)), line]


def _write_similar_line(facts: Facts, starts: list[Start], name: str) -> tuple[str, str] | None:
    """(file, line) after the first line that can be written for this job too."""
    for start in starts:
        line = _write_start_line(facts, start, name)
        if line is not None:
            return start.path, line
    return None


def _find_own_starts(project: Project) -> Iterator[Start]:
    """What the repository's crontabs, Procfiles and the like start."""
    from skillrun.frameworks.common.callables.starts import find_starts, is_start_file

    for path in _list_files(project, is_start_file):
        yield from find_starts(path, _read_text(project, path))


def _list_files(project: Project, is_wanted: Callable[[str], bool]) -> list[str]:
    """The files that are wanted, without those of tests and examples."""
    wanted = filter(is_wanted, project.tree.files)
    return sorted(path for path in wanted if not is_aside(path))


def _read_text(project: Project, path: str) -> str:
    return (project.tree.read(path) or b"").decode("utf-8", "replace")


def _write_start_line(facts: Facts, start: Start, name: str) -> str | None:
    """An existing line of a crontab, a Procfile or uWSGI's daemons, as it starts this job; None for
    any other.
    """
    kind = "module"
    if facts.django:
        kind = "command"
    if start.kind != kind:
        return None
    if facts.trigger == "cron" and start.how == "crontab":
        if not facts.schedule or not start.text.startswith(start.when):
            return None
        return _replace_start(start.text.replace(start.when, facts.schedule, 1), start, name)
    if facts.trigger != "poller":
        return None
    if _is_procfile(start.path):
        # "mail: python -m shop.mail"
        command = start.text.partition(":")[2]
        return f"{facts.job}:{_replace_start(command, start, name)}"
    if start.text.startswith("attach-daemon"):
        return _replace_start(start.text, start, name)
    return None


def _is_procfile(path: str) -> bool:
    return path.rpartition("/")[2] == "Procfile"


def _replace_start(text: str, start: Start, name: str) -> str:
    """The line with another module or command, without the arguments of the old one; its output
    goes where the old one's goes.
    """
    head, _, rest = text.partition(f" {start.name}")
    return f"{head} {name}{_find_redirection(rest)}"


def _find_redirection(text: str, begin: int = 0) -> str:
    """Where the output of a command goes, with what follows it: " >> /var/log/mail.log"."""
    found = _REDIRECTION.search(text, begin)
    if found is None:
        return ""
    return found[0]


def _write_beside_worker(
    project: Project, facts: Facts, command: str, worker: re.Pattern[str] | None
) -> Iterator[tuple[str, str]]:
    """(file, line) for a poller beside each line of a Procfile that starts the library's worker;
    one in quotes is no example.
    """
    if worker is None or facts.trigger != "poller":
        return
    for path in _list_files(project, _is_procfile):
        for line in _read_text(project, path).splitlines():
            if re.search(r"^\s*#|[\"']", line):
                continue
            found = worker.search(line)
            if found is None:
                continue
            # "worker: cd src && venv/bin/rq worker": what stands in front stays.
            before = line[: found.start()].partition(":")[2] + (found["folder"] or "")
            after = _find_redirection(line, found.end())
            yield path, f"{facts.job}:{before}{command}{after}"


def _write_new_file(
    project: Project, facts: Facts, command: str, has_crontab: bool
) -> list[tuple[str, str]]:
    """A crontab for a cron job, a Procfile for a poller; nothing beside one whose lines are of
    another kind.
    """
    if facts.trigger == "poller":
        if "Procfile" in project.tree.files:
            return []
        return [("Procfile", f"{facts.job}: {command}")]
    if has_crontab or "crontab" in project.tree.files or not facts.schedule:
        return []
    lines = (_WHERE, "APP=/srv/app", *_note_zone(facts), f'{facts.schedule} cd "$APP" && {command}')
    return [("crontab", line) for line in lines]


def _note_zone(facts: Facts) -> list[str]:
    """A comment for a schedule that is meant in another time zone than most machines have."""
    if facts.trigger != "cron" or facts.timezone in (None, "UTC", "Etc/UTC"):
        return []
    return [
        f"# The hours of {facts.job} are meant in {facts.timezone}; cron goes by the clock of its"
        " machine."
    ]


# -- what is written


def tests_need(facts: Facts, *, case: bool) -> list[Symbol | str]:
    """What the tests of the module import, which functions of pytest alone have."""
    if case:
        return []
    needed = [facts.of_library["tick"]]
    if facts.trigger == "cron":
        needed.append("import fcntl")
    return needed


def pieces(facts: Facts, render: Render, ticked: Ticked) -> Iterator[Piece]:
    """The module, in a Django project its management command, and the line that starts it."""
    needed: list[Symbol | str] = ["import fcntl"]
    if facts.conventions.log_style == "percent":
        needed.append("import logging")
    if facts.trigger == "poller":
        needed += ["import random", "import time"]
        if facts.django:
            needed += ["from django.db import close_old_connections"]
        every = seconds(facts.every_s or _TICK_S)
        yield callables.ticking(
            facts, render, "runner_poller.py.jinja", needed, ticked, every=every
        )
    else:
        yield callables.ticking(facts, render, "runner_cron.py.jinja", needed, ticked)
    if facts.of_library["command"] is not None:
        yield from _django_command(facts, render)
    for path, text in facts.of_library["lines"]:
        yield Line(path, text)


def _django_command(facts: Facts, render: Render) -> Iterator[Piece]:
    """The command that sets up Django before it looks for work, in a package that Django finds."""
    path, tick = facts.of_library["command"], facts.of_library["tick"]
    folder = path.rpartition("/")[0]
    for package in (folder.rpartition("/")[0], folder):
        yield Module(f"{package}/__init__.py", "")
    root = facts.path.removesuffix(f"{facts.module.replace('.', '/')}.py")
    module = path.removeprefix(root).removesuffix(".py").replace("/", ".")
    needed = ["from typing import Any", "from django.core.management.base import BaseCommand", tick]
    yield Module(path, render("runner_command.py.jinja", facts, module=module, needed=needed))
