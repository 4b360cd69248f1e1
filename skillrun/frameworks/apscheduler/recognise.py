"""Is APScheduler used, and where: its scheduler objects, the modules that add jobs, its job store.

A scheduler of ours that something adds jobs to is a use. Importing a trigger to read cron
expressions is none, and neither is a library that only offers a scheduler as an extra.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from skillrun.core.text import excerpt
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import FrameworkUse, Place

ID = "apscheduler"
SCHEDULERS = frozenset(
    {
        *(
            "BackgroundScheduler",
            "BlockingScheduler",
            "AsyncIOScheduler",
            "GeventScheduler",
            "TornadoScheduler",
        ),
        *("TwistedScheduler", "QtScheduler", "APScheduler", "Scheduler", "AsyncScheduler"),
    }
)
# The last word is of flask_apscheduler: `@scheduler.task`.
ADDING = (
    "add_job",
    "scheduled_job",
    "add_schedule",
    "task",
)

_DISTRIBUTIONS = ("apscheduler", "flask-apscheduler", "django-apscheduler")
_IMPORTED = re.compile(
    rb"(?m)^[ \t]*(?:from|import)[ \t]+"
    rb"(?:apscheduler\.schedulers|flask_apscheduler|apscheduler[ \t]+import[^\n]*Scheduler)"
)
_OPTIONAL_FOLDERS = frozenset(
    {"integration", "integrations", "contrib", "ext", "plugins", "backends", "instrumentation"}
)
# An application that is installed by its processes has an extra for each; a library's are named for
# what they add.
_PROCESSES = frozenset(
    f"extra:{name}" for name in ("scheduler", "worker", "server", "backend", "app", "api")
)
_STORES = {
    "SQLAlchemyJobStore": "sqlalchemy",
    "RedisJobStore": "redis",
    "MongoDBJobStore": "mongodb",
}
_STORES |= {"DjangoJobStore": "django", "EtcdJobStore": "etcd", "ZooKeeperJobStore": "zookeeper"}
_STORES |= {"SQLAlchemyDataStore": "sqlalchemy", "MongoDBDataStore": "mongodb"}
_FEW = 3


class APSchedulerRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    words: tuple[bytes, ...] = (
        b"apscheduler",
        b"scheduled_job",
        b"add_job",
        b"add_schedule",
        b"scheduler.task",
    )
    text_files: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._apps: list[tuple[str, Place]] = []
        self._jobs: list[Place] = []
        self._stores: list[str] = []

    def wants(self, path: str, data: bytes) -> bool:
        """The application's own code."""
        return path.endswith(".py") and not is_aside(path)

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes scheduler objects and what adds jobs to something named like one."""
        lines = data.decode("utf-8", "replace").splitlines()
        if _IMPORTED.search(data):
            for name, node in _find_schedulers(module):
                self._apps.append((f"{path}:{name}", _place_of_line(path, node, lines)))
        if b"apscheduler" in data:
            for word, store in _STORES.items():
                if word.encode() in data:
                    self._stores.append(store)
        for added in _find_added_functions(module):
            self._jobs.append(_place_of_line(path, added, lines))

    def see_text(self, path: str, data: bytes) -> None:
        """Nothing: a scheduler runs inside the application."""

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use, or None where no scheduler of the application's own gets jobs."""
        declared = manifests.find(*_DISTRIBUTIONS)
        if not self._apps or not self._comes_along(declared):
            return None
        busy = Counter(place.path for place in self._jobs)
        apps = sorted(self._apps, key=lambda one: _rank_app(one[1], busy))
        names = list(dict.fromkeys(name for name, _ in apps))
        return FrameworkUse(
            id=ID,
            app=names[0],
            apps=tuple(names),
            task_modules=tuple(sorted(busy)),
            scheduler=ID,
            broker=next(iter(self._stores), None),
            evidence=tuple(_list_evidence(declared, [place for _, place in apps], self._jobs)),
        )

    def _comes_along(self, declared: tuple[Dependency, ...]) -> bool:
        """Declared for the application itself; where it is declared nowhere, the code is no
        plug-in's.
        """
        if declared:
            return any(map(_is_of_application, declared))
        folders = [place.path.split("/")[:-1] for _, place in self._apps]
        return any(map(_OPTIONAL_FOLDERS.isdisjoint, folders))


def _rank_app(place: Place, busy: Counter[str]) -> tuple[object, ...]:
    """The file with the most jobs first, then the one nearest to the root."""
    return -busy[place.path], place.path.count("/"), place.path


def _is_of_application(one: Dependency) -> bool:
    return one.main or (one.group in _PROCESSES and not is_aside(one.path))


def _find_schedulers(module: ast.Module) -> Iterator[tuple[str, ast.expr | ast.ClassDef]]:
    """(name, call): the variable of a module, or the class or function that holds the scheduler."""
    names = set(_imported_schedulers(module))
    for outer in module.body:
        for call in find_nodes(outer, ast.Call):
            if _is_scheduler(call.func, names):
                yield _name_scheduler(outer, call), call
        if isinstance(outer, ast.ClassDef) and any(
            _is_scheduler(base, names) for base in outer.bases
        ):
            yield outer.name, outer


def _imported_schedulers(module: ast.Module) -> Iterator[str]:
    """The names by which a module has imported scheduler classes."""
    for node in find_nodes(module, ast.ImportFrom):
        if "apscheduler" not in (node.module or ""):
            continue
        for alias in node.names:
            if alias.name in SCHEDULERS:
                yield alias.asname or alias.name


def _is_scheduler(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in SCHEDULERS and "apscheduler" in ast.unparse(node)
    return isinstance(node, ast.Name) and node.id in names


def _name_scheduler(outer: ast.stmt, call: ast.Call) -> str:
    target = getattr(outer, "target", None)
    if isinstance(outer, ast.Assign):
        target = outer.targets[0]
    if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return outer.name
    if isinstance(target, ast.expr) and last_word(target):
        return last_word(target)
    return last_word(call.func)


def _find_added_functions(module: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(module):
        called = None
        if isinstance(node, ast.Call):
            called = node.func
        if (
            isinstance(called, ast.Attribute)
            and called.attr in ADDING
            and "sched" in ast.unparse(called.value).lower()
        ):
            yield called


def _place_of_line(path: str, node: ast.expr | ast.ClassDef, lines: list[str]) -> Place:
    return Place(path, node.lineno, lines[node.lineno - 1])


def _list_evidence(declared: Iterable[Dependency], *groups: list[Place]) -> Iterator[Place]:
    found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
    for group in groups:
        for place in group[:_FEW]:
            found.append(place)
    lines = {(place.path, place.line): place for place in found}
    for one in lines.values():
        yield Place(one.path, one.line, excerpt(one.text))
