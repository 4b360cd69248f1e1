"""Is Celery used, and where: its app objects, task modules, broker, beat, and the lines that show
it.

Installed is not used: a library with an optional integration, a demo project or a test that needs
Celery is no user of it. What counts is an app object or a task in the code that the repository
runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from itertools import islice

from skillrun.frameworks.celery.apps import App, Names, Task
from skillrun.frameworks.celery.launchers import Launch, find_broker, find_launches
from skillrun.frameworks.celery.sources import Source, read_source
from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.text import excerpt

ID = "celery"

_DISTRIBUTIONS = (
    "celery",
    "django-celery",
    "django-celery-beat",
    "flask-celeryext",
    "flask-celery-helper",
)
_OPTIONAL_FOLDERS = frozenset(
    {
        *(
            "integration",
            "integrations",
            "contrib",
            "ext",
            "extensions",
            "plugins",
            "backends",
            "executors",
        ),
        *("adapters", "instrumentation", "providers", "extras", "compat"),
    }
)
_WORTH_PARSING = re.compile(
    rb"(?i:\bcelery\b|celery(?:_|app|beat|d_)|_celery)|shared_task|register_task|^["
    rb" \t]*@[\w.]+\.task\b",
    re.MULTILINE,
)
_BEAT = re.compile(
    rb"\b_?beat_schedule\b|\bCELERY_?BEAT_SCHEDULER?\b|\badd_periodic_task\b|\bdjango_celery_beat\b|\bredbeat\b"
    rb"|@[\w.]*\bperiodic_task\b"
)
_BEAT_WORDS = (b"beat", b"BEAT", b"periodic_task")
_SETTINGS = re.compile(rb"(?m)^[ \t]*(?:CELERY_[A-Z_]+|BROKER_URL|broker_url)\s*=")
_SETTING_WORDS = (b"CELERY_", b"BROKER_URL", b"broker_url")
_FEW = 3  # evidence lines of one sort


class CeleryRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    words: tuple[bytes, ...] = (b"celery", b"Celery", b"CELERY", b".task", b"shared_task")
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
        *(
            "*entrypoint*",
            "*celery*",
            "*worker*",
            "*beat*",
            ".env*",
            "*.env",
            "*env*sample*",
            "*env*example*",
            "dev",
        ),
    )

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._launches: list[tuple[str, Launch]] = []
        self._beat: list[Place] = []
        self._settings: list[Place] = []
        self._brokers: list[tuple[int, str, Place]] = []
        self._own_library = False

    def wants(self, path: str, data: bytes) -> bool:
        """Code that may use Celery. Of tests and examples, only what may hold the one app of a
        library.
        """
        if not path.endswith(".py"):
            return not is_aside(path)
        if is_aside(path):
            return b"Celery(" in data
        return "celery" in path.lower() or _WORTH_PARSING.search(data) is not None

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes imports, app objects, tasks, settings and schedules of one file."""
        self._own_library |= path in ("celery/__init__.py", "src/celery/__init__.py")
        lines = data.decode("utf-8", "replace").splitlines()
        self._sources.append(read_source(path, module, lines))
        if is_aside(path):
            return
        if any(word in data for word in _BEAT_WORDS):
            self._beat += _matches(path, _BEAT, data, lines)
        if any(word in data for word in _SETTING_WORDS):
            self._settings += _matches(path, _SETTINGS, data, lines)
        self._note_broker(path, "\n".join(lines), lines, 0)

    def see_text(self, path: str, data: bytes) -> None:
        """Notes command lines that start Celery, and broker addresses."""
        text = data.decode("utf-8", "replace")
        self._launches += [(path, launch) for launch in find_launches(text)]
        self._note_broker(path, text, text.splitlines(), 1)

    def _note_broker(self, path: str, text: str, lines: list[str], rank: int) -> None:
        found = find_broker(text) if "broker" in text.lower() else None
        if found:
            self._brokers.append((rank, found[0], _place(path, found[1], lines)))

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use of Celery, or None where only tests, examples or an optional integration know
        it.
        """
        names = Names(self._sources)
        apps = names.apps()
        tasks = names.tasks(apps)
        declared = manifests.find(*_DISTRIBUTIONS)
        if self._own_library or not self._in_use(apps, tasks, declared, manifests):
            return None
        ordered = sorted(apps, key=lambda app: self._rank(app, names, tasks))
        return FrameworkUse(
            id=ID,
            app=ordered[0].id if ordered else None,
            apps=tuple(app.id for app in ordered if not is_aside(app.path)),
            task_modules=tuple(sorted({task.path for task in tasks if not is_aside(task.path)})),
            scheduler=self._scheduler(declared, manifests),
            broker=self._broker(manifests),
            evidence=self._evidence(
                ordered, [Place(task.path, task.line, task.text) for task in tasks], declared
            ),
        )

    def _in_use(
        self,
        apps: list[App],
        tasks: list[Task],
        declared: tuple[Dependency, ...],
        manifests: Manifests,
    ) -> bool:
        """An app or a task of ours; and the library comes along, or workers are started, or the app
        is no plug-in.
        """
        paths = [app.path for app in apps] + [task.path for task in tasks]
        ours = [path for path in paths if not is_aside(path)]
        if not ours:
            return False
        if (
            self._launches
            or any(dependency.main for dependency in declared)
            or not manifests.dependencies
        ):
            return True
        optional = all(not _OPTIONAL_FOLDERS.isdisjoint(path.split("/")[:-1]) for path in ours)
        has_app = any(not is_aside(app.path) for app in apps)
        return not optional and has_app

    def _rank(self, app: App, names: Names, tasks: list[Task]) -> tuple[object, ...]:
        """The app that workers are started with comes first, then the one that is set up and used
        most.
        """
        launched = any(names.is_app(launch.app, app) for _, launch in self._launches if launch.app)
        used = sum(task.app == app.id for task in tasks)
        return (
            is_aside(app.path),
            not launched,
            not names.is_set_up(app),
            "celery" not in app.path.lower(),
            -used,
            app.path.count("/"),
            app.path,
            app.line,
        )

    def _scheduler(self, declared: tuple[Dependency, ...], manifests: Manifests) -> str | None:
        started = any(launch.beat for _, launch in self._launches)
        installed = any(one.main for one in manifests.find("django-celery-beat", "celery-redbeat"))
        return "celery-beat" if started or installed or self._beat else None

    def _broker(self, manifests: Manifests) -> str | None:
        if self._brokers:
            return min(self._brokers, key=lambda found: (found[0], found[2].path.count("/")))[1]
        extras = {extra for one in manifests.find("celery", "kombu") for extra in one.extras}
        by_extra = {"redis": "redis", "sqs": "sqs", "librabbitmq": "rabbitmq", "kafka": "kafka"}
        named = next((broker for extra, broker in by_extra.items() if extra in extras), None)
        return named or ("redis" if manifests.find("redis", "django-redis") else None)

    def _evidence(
        self, apps: list[App], tasks: list[Place], declared: tuple[Dependency, ...]
    ) -> tuple[Place, ...]:
        """Where it is declared, made, used, started, scheduled and connected: a few lines of
        each.
        """
        texts = {source.path: source.texts for source in self._sources}
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += [Place(app.path, app.line, texts[app.path][app.line]) for app in apps[:_FEW]]
        found += _one_a_file(tasks)
        found += [Place(path, launch.line, launch.text) for path, launch in self._launches][:_FEW]
        found += _one_a_file(self._beat) + _one_a_file(self._settings)
        found += [place for _, _, place in sorted(self._brokers, key=lambda one: one[0])][:1]
        lines = {(place.path, place.line): place for place in found}
        return tuple(Place(one.path, one.line, excerpt(one.text)) for one in lines.values())


def _one_a_file(places: Iterable[Place]) -> list[Place]:
    first = {place.path: place for place in reversed(list(places)) if not is_aside(place.path)}
    return [first[path] for path in sorted(first, key=lambda path: (path.count("/"), path))][:_FEW]


def _place(path: str, line: int, lines: list[str]) -> Place:
    return Place(path, line, lines[line - 1] if line <= len(lines) else "")


def _matches(path: str, pattern: re.Pattern[bytes], data: bytes, lines: list[str]) -> list[Place]:
    """The first few lines that match and are no comments."""
    found = (
        _place(path, data.count(b"\n", 0, one.end() - 1) + 1, lines)
        for one in pattern.finditer(data)
    )
    return list(islice((place for place in found if not place.text.lstrip().startswith("#")), _FEW))
