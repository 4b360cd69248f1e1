"""Is Huey used, and where: its objects, task modules, storage, periodic tasks, and the lines that
show it.

Installed is not used: an instrumentation that patches Huey, a plug-in, a test or an example is no
user of it. What counts is a Huey object or a task in the code that the repository runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.huey.seen import Line, Names, Source, read_source
from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.text import excerpt

ID = "huey"
_DISTRIBUTIONS = ("huey", "django-huey", "django-huey-monitor", "bx-django-utils-huey")
_APP = re.compile(r"huey\.(?:\w+\.)*\w*Huey")
_MAKES_TASK = re.compile(r"(?:db_)?(?:periodic_)?task|context_task|on_commit_task")
_DJANGO = ("huey.contrib.djhuey.", "django_huey.")
_OPTIONAL = frozenset(
    (
        "integration",
        "integrations",
        "contrib",
        "ext",
        "extensions",
        "plugins",
        "backends",
        "adapters",
        "compat",
    )
)
_LAUNCH = re.compile(
    r"huey_consumer(?:\.py)?\b(?P<rest>.*)|\brun_huey\b|\brun_djangohuey\b|\bdjangohuey\b"
)
_OBJECT = re.compile(
    r"(?<![\w/.-])[A-Za-z_]\w*(?:[.:]\w+)+(?![\w/])"
)  # path.to.huey among the arguments
_STORAGES = {
    "redis": "redis",
    "sqlite": "sqlite",
    "postgres": "postgres",
    "memory": "memory",
    "file": "filesystem",
    "sql": "sql",
}
_FEW = 3  # evidence lines of one sort


@dataclass(frozen=True)
class _App:
    path: str
    name: str
    line: Line
    made_by: str  # "huey.RedisHuey"; "" where it is computed

    @property
    def id(self) -> str:
        return f"{self.path}:{self.name}"


class HueyRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    words: tuple[bytes, ...] = (b"huey", b"Huey", b"HUEY", b"task(")
    text_files: tuple[str, ...] = (
        *(
            "procfile*",
            "dockerfile*",
            "*.dockerfile",
            "makefile",
            "justfile",
            "*.mk",
            "*.sh",
            "*.bash",
            "run",
            "start*",
        ),
        *(
            "*.yml",
            "*.yaml",
            "*.toml",
            "*.service",
            "*.service.*",
            "*.conf",
            "*.conf.*",
            "*.ini",
            "*.cfg",
            "*.tf",
        ),
        *("*entrypoint*", "*huey*", "*worker*", "*consumer*", "dev"),
    )

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._launches: list[tuple[Place, str]] = []
        self._own_library = False

    def wants(self, path: str, data: bytes) -> bool:
        """Code of the repository itself that names Huey, or that decorates with some
        `task(...)`.
        """
        if is_aside(path):
            return False
        return (
            b"uey" in data
            or b"HUEY" in data
            or (path.endswith(".py") and re.search(rb"@[\w.]*task\(", data) is not None)
        )

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes imports, Huey objects, tasks and settings of one file."""
        self._own_library |= path in ("huey/api.py", "src/huey/api.py")
        self._sources.append(
            read_source(path, module, data.decode("utf-8", "replace").splitlines())
        )

    def see_text(self, path: str, data: bytes) -> None:
        """Notes command lines that start a consumer."""
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if not line.lstrip().startswith(("#", "//", ";")) and _LAUNCH.search(line):
                self._launches.append((Place(path, number, line.strip()), consumer_object(line)))

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use of Huey, or None where only tests, examples or an optional integration know
        it.
        """
        names = Names(self._sources)
        makers = _makers(names)
        apps = list({app.id: app for app in _apps(names, makers)}.values())
        tasks = list(_tasks(names, {app.id for app in apps}, makers))
        declared = manifests.find(*_DISTRIBUTIONS)
        if self._own_library or not self._in_use(apps, tasks, declared, manifests):
            return None
        apps.sort(key=lambda app: self._rank(app, names, tasks))
        lines = [line for _, line, _ in tasks]
        periodic = any("periodic_task" in origin for _, _, origin in tasks)
        return FrameworkUse(
            id=ID,
            app=apps[0].id if apps else None,
            apps=tuple(app.id for app in apps),
            task_modules=tuple(sorted({source.path for source, _, _ in tasks})),
            scheduler="huey" if periodic else None,
            broker=(
                _storage(apps[0].made_by) if apps else "redis" if manifests.find("redis") else None
            ),
            evidence=self._evidence(
                apps, [(s.path, n) for (s, _, _), n in zip(tasks, lines, strict=True)], declared
            ),
        )

    def _in_use(
        self,
        apps: list[_App],
        tasks: list[tuple[Source, Line, str]],
        declared: tuple[Dependency, ...],
        manifests: Manifests,
    ) -> bool:
        paths = [app.path for app in apps] + [source.path for source, _, _ in tasks]
        if not paths:
            return False
        if (
            self._launches
            or any(dependency.main for dependency in declared)
            or not manifests.dependencies
        ):
            return True
        return bool(apps) and any(_OPTIONAL.isdisjoint(path.split("/")[:-1]) for path in paths)

    def _rank(
        self, app: _App, names: Names, tasks: list[tuple[Source, Line, str]]
    ) -> tuple[object, ...]:
        """The object that consumers are started with comes first, then the one with the most
        tasks.
        """
        started = any(
            value and names.follow(value, app.path) == app.id for _, value in self._launches
        )
        used = sum(origin.startswith(f"{app.id}.") for _, _, origin in tasks)
        return (not started, -used, app.path.count("/"), app.path, app.line.line)

    def _evidence(
        self, apps: list[_App], tasks: list[tuple[str, Line]], declared: tuple[Dependency, ...]
    ) -> tuple[Place, ...]:
        """Where it is declared, made, used and started: a few lines of each."""
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += [Place(app.path, app.line.line, app.line.text) for app in apps[:_FEW]]
        first = dict(reversed(tasks))
        found += [Place(path, first[path].line, first[path].text) for path in sorted(first)][:_FEW]
        found += [place for place, _ in self._launches][:_FEW]
        lines = {(place.path, place.line): place for place in found}
        return tuple(Place(one.path, one.line, excerpt(one.text)) for one in lines.values())


def consumer_object(line: str) -> str:
    """The Huey object that a command line starts a consumer with, "shop.tasks.huey"; "" where it
    names none.
    """
    found = _LAUNCH.search(line)
    named = _OBJECT.search(found["rest"] or "") if found else None
    return named[0].replace(":", ".") if named else ""


def _makers(names: Names) -> dict[str, str]:
    """Origin of a class or function of the repository that makes a Huey object -> the library's
    class behind it.
    """
    known: dict[str, str] = {}
    for _ in range(3):
        for source in names.sources.values():
            pairs = [(name, base) for name, bases in source.bases.items() for base in bases]
            for name, made in (*pairs, *source.returned.items()):
                origin = names.origin(made, source)
                library = origin if _APP.fullmatch(origin) else known.get(origin)
                if library:
                    known[f"{source.path}:{name}"] = library
    return known


def _apps(names: Names, makers: dict[str, str]) -> Iterator[_App]:
    imported = (origin for s in names.sources.values() for origin in s.names.values())
    django = any(origin.startswith(("huey.contrib.djhuey", "django_huey")) for origin in imported)
    kept = [app for s in names.sources.values() for app in _made(names, makers, s, s.made)]
    kept += [
        _App(s.path, line.target, line, line.name)
        for s in names.sources.values()
        if django
        for line in s.settings
    ]
    yield from kept or [
        app for s in names.sources.values() for app in _made(names, makers, s, s.local)
    ]


def _made(
    names: Names, makers: dict[str, str], source: Source, lines: list[Line]
) -> Iterator[_App]:
    for line in lines:
        origin = names.origin(line.name, source)
        library = origin if _APP.fullmatch(origin) else makers.get(origin)
        if library and line.target and "." not in line.target:
            yield _App(source.path, line.target, line, library)


def _tasks(
    names: Names, apps: set[str], makers: dict[str, str]
) -> Iterator[tuple[Source, Line, str]]:
    """(file, line, origin of what makes the task) of each task."""
    for source in names.sources.values():
        for line in source.used:
            owner, _, method = line.name.rpartition(".")
            origin = names.origin(line.name, source)
            if not _MAKES_TASK.fullmatch(origin.rpartition(".")[2].rpartition(":")[2]):
                continue
            if origin.startswith(_DJANGO) or origin.rpartition(".")[0] in apps:
                yield source, line, origin
            elif (
                method
                and "huey" in owner.rpartition(".")[2].lower()
                and not origin.startswith(f"{source.path}:")
            ):
                yield source, line, origin  # a Huey object whose making is out of sight


def _storage(made_by: str) -> str | None:
    name = made_by.rpartition(".")[2].lower().removesuffix("huey")
    return next(
        (kind for word, kind in _STORAGES.items() if word in name),
        "redis" if made_by and not name else None,
    )
