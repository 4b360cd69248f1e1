"""Does something start plain Python code by the clock: a crontab, a timer, a scheduler object, a
poller?

A script alone is no job. A line of a crontab counts where it starts a Python file of the
repository; a loop that polls counts where a Procfile, compose file, unit or script starts its file.
"""

from __future__ import annotations

import ast
import re

from skillrun.core.text import excerpt
from skillrun.frameworks.common.callables.loops import poll_loops
from skillrun.frameworks.common.callables.starts import (
    TEXT_FILES,
    Start,
    find_starts,
    is_start_file,
    resolve,
    timer,
    with_timers,
)
from skillrun.repo.manifests import Manifests
from skillrun.repo.places import is_aside
from skillrun.repo.uses import FrameworkUse, Place

ID = "plain-cron"

_CODE = re.compile(
    rb"(?m)^[^#\n]*?(?P<schedule>\bschedule\.every\(|@(?:schedule\.)?repeat\((?:schedule\.)?every\()"
    rb"|^[ \t]*(?P<django>CRONJOBS)\s*=\s*[\[(]|^[^#\n]*(?P<aiocron>@?\baiocron\.crontab\()"
    rb"|^[^#\n]*(?P<crontab>\bCronTab\()"
)
_IMPORTED = {
    "schedule": rb"(?m)^\s*(?:import|from)\s+schedule\b",
    "aiocron": rb"\baiocron\b",
    "crontab": (
        rb"(?m)^\s*(?:import|from)\s+crontab\b"
    ),  # python-crontab writes the crontab of a user
    "django": rb"CRONJOBS",
}
_IMPORT = re.compile(rb"(?m)^\s*(?:from\s+([\w.]+)\s+import\s+([\w, ]+)|import\s+([\w.]+))")
_NAMES = {
    "schedule": "schedule",
    "django": "django-crontab",
    "aiocron": "aiocron",
    "crontab": "python-crontab",
}
_SERVES = re.compile(rb"\b(?:uvicorn\.run|web\.run_app|socketio\.run|run_simple)\(")
# A loop beside a scheduler keeps it company: the scheduler is the clock.
_CLOCKED = re.compile(rb"\bscheduler\.start\(")
_FEW = 3


class PlainCronRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    # A name in a crontab may mean any Python file, so every one that defines something is noted by
    # its path.
    words: tuple[bytes, ...] = (
        b"def ",
        b"import ",
        b"python",
        b"manage.py",
        b"cron",
        b"CRON",
        b"OnCalendar",
        b"OnUnit",
    )
    text_files: tuple[str, ...] = TEXT_FILES

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._starts: list[Start] = []
        self._timers: dict[str, str] = {}
        self._loops: dict[str, Place] = {}
        self._imports: dict[str, set[str]] = {}
        self._code: list[tuple[str, Place]] = []

    def wants(self, path: str, data: bytes) -> bool:
        """Notes the path of every Python file of the application; only those with a loop that
        sleeps are parsed.
        """
        if is_aside(path):
            return False
        if not path.endswith(".py"):
            return is_start_file(path)
        self._paths.append(path)
        self._note_code(path, data)
        if b"__main__" in data or path.endswith("/__main__.py") or "/management/commands/" in path:
            # What a web server imports runs beside its requests: only a loop of its own makes it a
            # poller.
            if _SERVES.search(data):
                self._imports[path] = set()
            else:
                self._imports[path] = set(_imported_modules(data))
        return (
            b"while " in data
            and not _CLOCKED.search(data)
            and (b"sleep(" in data or b".wait(" in data)
        )

    def _note_code(self, path: str, data: bytes) -> None:
        if b"schedule" not in data and b"cron" not in data and b"CRONJOBS" not in data:
            return
        for found in _CODE.finditer(data):
            name = found.lastgroup or ""
            if re.search(_IMPORTED[name], data):
                line = data.count(b"\n", 0, found.start(name)) + 1
                text = data.splitlines()[line - 1].decode("utf-8", "replace")
                self._code.append((_NAMES[name], Place(path, line, text)))

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes the first loop that polls."""
        loop = next(poll_loops(module), None)
        if loop is not None:
            lines = data.decode("utf-8", "replace").splitlines()
            self._loops[path] = Place(path, loop.lineno, lines[loop.lineno - 1])

    def see_text(self, path: str, data: bytes) -> None:
        """Notes commands and timers."""
        text = data.decode("utf-8", "replace")
        self._starts += find_starts(path, text)
        found = timer(path, text)
        if found:
            self._timers[found[0]] = found[1]

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use, or None where nothing is started by the clock."""
        timed, polling = self._list_timed(), self._list_polling()
        if not timed and not polling and not self._code:
            return None
        places = [Place(start.path, start.line, start.text) for start, _ in timed[:_FEW]]
        places += [place for _, place in self._code[:_FEW]]
        for pair in polling[:_FEW]:
            places += pair
        modules = {path for _, path in timed}
        modules |= {place.path for _, place in (*self._code, *polling)}
        return FrameworkUse(
            id=ID,
            task_modules=tuple(sorted(modules)),
            scheduler=self._name_scheduler(timed),
            evidence=tuple(map(_shorten_place, dict.fromkeys(places))),
        )

    def _name_scheduler(self, timed: list[tuple[Start, str]]) -> str:
        """What is written in a file of its own comes before what code says, and that
        before a loop.
        """
        if timed:
            return timed[0][0].how
        if self._code:
            return self._code[0][0]
        return "poller"

    def _list_resolved(self) -> list[tuple[Start, str]]:
        starts = with_timers(self._starts, self._timers)
        found = []
        for start in starts:
            if path := resolve(start, self._paths):
                found.append((start, path))
        return found

    def _list_timed(self) -> list[tuple[Start, str]]:
        found = []
        for start, path in self._list_resolved():
            if start.scheduled:
                found.append((start, path))
        return found

    def _list_polling(self) -> list[tuple[Place, Place]]:
        """(the command, the loop): the started file polls, or imports a module that does."""
        found = []
        for start, path in self._list_resolved():
            loop = self._loops.get(path) or next(
                filter(None, map(self._loop_of, sorted(self._imports.get(path, ())))), None
            )
            if loop and not start.scheduled:
                found.append((Place(start.path, start.line, start.text), loop))
        return found

    def _loop_of(self, module: str) -> Place | None:
        tail = module.strip(".").replace(".", "/") + ".py"
        for path, loop in self._loops.items():
            if path == tail or path.endswith(f"/{tail}"):
                return loop
        return None


def _shorten_place(place: Place) -> Place:
    return Place(place.path, place.line, excerpt(place.text))


def _imported_modules(data: bytes) -> list[str]:
    """ "shop.poller" of `from shop.poller import run`, `from shop import poller` and `import
    shop.poller`.
    """
    found = []
    for source, names, plain in _IMPORT.findall(data):
        base = (source or plain).decode()
        found.append(base)
        for name in filter(str.strip, names.decode().split(",")):
            found.append(f"{base}.{name.strip()}")
    return found
