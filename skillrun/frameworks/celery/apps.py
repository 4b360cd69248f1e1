"""Follows names across files: which objects are Celery apps, and which functions are their
tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.frameworks.celery.sources import SET_UP, TASK_METHODS, Call, Source

_LIBRARY = "celery"
_APP_CLASSES = frozenset({"celery.Celery", "celery.app.Celery", "celery.app.base.Celery"})
_TASK_DECORATORS = frozenset(
    {
        *(
            "celery.shared_task",
            "celery.app.shared_task",
            "celery.task",
            "celery.task.task",
            "celery.decorators.task",
        ),
        *("celery.task.periodic_task", "celery.decorators.periodic_task"),
    }
)
_HOPS = 8  # imports of imports that are followed


@dataclass(frozen=True)
class App:
    """An app object, or a factory of one that no module of the repository calls."""

    path: str
    name: str
    line: int

    @property
    def id(self) -> str:
        """E.g. "shop/celery.py:app"."""
        return f"{self.path}:{self.name}"


@dataclass(frozen=True)
class Task:
    """A place where a task is defined or registered; `app` is the id of its app, "" where any app
    may take it.
    """

    path: str
    line: int
    text: str
    app: str


class Names:
    """Where names come from, over all files that were seen."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {source.path: source for source in sources}
        self._modules: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for path in self._sources:
            parts = module_parts(path)
            self._modules.setdefault(parts[-1] if parts else "", []).append((parts, path))
        self._origins: dict[tuple[str, str], str] = {}
        self._made = [
            (s, call, self.origin(call, s)) for s in self._sources.values() for call in s.made
        ]
        self._returned = [
            (s, call, self.origin(call, s)) for s in self._sources.values() for call in s.returned
        ]
        called = (self.origin(call, s) for s in self._sources.values() for call in s.called)
        self._set_up = frozenset(origin for origin in called if origin.endswith(SET_UP))

    def origin(self, call: Call, source: Source) -> str:
        """Where a called name comes from: "celery.X" for the library, "path:object" for something
        of ours.
        """
        return self._named(call.function, source)

    def _named(self, name: str, source: Source) -> str:
        key = (source.path, name)
        if key not in self._origins:
            self._origins[key] = self.follow(source.imported(name), source.path)
        return self._origins[key]

    def follow(self, name: str, near: str, hops: int = _HOPS) -> str:
        """An origin followed through the imports of other files; the name itself where they end out
        of sight.
        """
        if ":" in name or hops == 0 or name.partition(".")[0] == _LIBRARY:
            return self._through(name, hops)
        rooted, parts = name.startswith("/"), tuple(name.lstrip("/").split("."))
        for length in range(len(parts) - 1, 0, -1):
            path = self._locate(parts[:length], near, rooted)
            if path:
                return self._through(f"{path}:{'.'.join(parts[length:])}", hops)
        return name

    def _through(self, name: str, hops: int) -> str:
        """Follows "path:object" where that object was itself imported."""
        path, _, inner = name.partition(":")
        source = self._sources.get(path)
        if not source or hops == 0 or inner.partition(".")[0] not in source.names:
            return name
        return self.follow(source.imported(inner), path, hops - 1)

    def _locate(self, parts: tuple[str, ...], near: str, rooted: bool) -> str | None:
        """The file of a module; of several with the same last parts, the nearest."""
        found = [
            (known, path)
            for known, path in self._modules.get(parts[-1], ())
            if (known == parts if rooted else known[-len(parts) :] == parts)
        ]
        return (
            min(found, key=lambda one: (-_shared(one[1], near), len(one[0])))[1] if found else None
        )

    def apps(self) -> list[App]:
        """Instances of Celery or of a subclass, and what a factory of them gave to a name of a
        module.
        """
        makers = set(_APP_CLASSES) | self._subclasses()
        makers |= self._factories(makers)
        ours = [(source, call, origin) for source, call, origin in self._made if origin in makers]
        kept = [
            App(source.path, call.target, call.line) for source, call, _ in ours if not call.scope
        ]
        used = {origin for _, call, origin in ours if not call.scope}
        unused = [app for app in self._unused_factories(makers) if app.id not in used]
        local = [App(source.path, call.scope, call.line) for source, call, _ in ours if call.scope]
        return list({app.id: app for app in reversed(kept + unused or local)}.values())

    def _unused_factories(self, makers: set[str]) -> Iterator[App]:
        for source, call, origin in (*self._made, *self._returned):
            if origin in makers and call.scope and f"{source.path}:{call.scope}" in makers:
                yield App(source.path, call.scope, call.line)

    def _subclasses(self) -> set[str]:
        known: set[str] = set()
        for _ in range(3):
            for source in self._sources.values():
                for name, bases in source.classes.items():
                    if any(self._named(base, source) in _APP_CLASSES | known for base in bases):
                        known.add(f"{source.path}:{name}")
        return known

    def _factories(self, makers: set[str]) -> set[str]:
        """Functions that return an app directly, or a local name that holds one."""
        known: set[str] = set()
        for _ in range(3):
            all_makers = makers | known
            held = {
                (s.path, c.scope, c.target)
                for s, c, origin in self._made
                if c.scope and origin in all_makers
            }
            for source, call, origin in self._returned:
                if origin in all_makers or (source.path, call.scope, call.function) in held:
                    known.add(f"{source.path}:{call.scope}")
        return known

    def tasks(self, apps: Iterable[App]) -> list[Task]:
        """Every task: decorated, registered, or made by calling the decorator."""
        ids = {app.id for app in apps}
        found = []
        for source in self._sources.values():
            for call in (*source.decorated, *source.made, *source.called):
                owner = self._owner(call, source, ids)
                if owner is not None:
                    found.append(Task(source.path, call.line, source.texts[call.line], owner))
        return found

    def _owner(self, call: Call, source: Source, apps: set[str]) -> str | None:
        """The app of a task, "" where any may take it; None where the call makes no task."""
        origin = self.origin(call, source)
        if origin in _TASK_DECORATORS:
            return ""
        method = next((one for one in TASK_METHODS if origin.endswith(one)), None)
        if method is None:
            return None
        owner = origin.removesuffix(method)
        if owner in apps or owner == "celery.current_app":
            return owner
        return "" if _is_likely_app(call, source, owner, apps) else None

    def is_app(self, value: str, app: App) -> bool:
        """Whether the value of -A means this app: its module, its package, or module and object."""
        module = (*module_parts(app.path), *app.name.split("."))
        parts = tuple(
            value.replace(":", ".").replace("/", ".").removesuffix(".py").strip(".").split(".")
        )
        choices = (parts, (*parts, app.name), (*parts, "celery", app.name))
        if any(module[-len(choice) :] == choice for choice in choices):
            return True
        names = (parts, *((*parts, name) for name in ("app", "celery", "celery_app")))
        return any(self.follow(".".join(name), app.path) == app.id for name in names)

    def is_set_up(self, app: App) -> bool:
        """Something configures this app or makes it discover tasks."""
        return any(app.id + ending in self._set_up for ending in SET_UP)


def _is_likely_app(call: Call, source: Source, owner: str, apps: set[str]) -> bool:
    """A function's own name for an app, or a name that says celery and comes from out of sight."""
    path, _, name = owner.partition(":")
    if path == source.path and call.scope and f"{path}:{call.scope}" in apps:
        return any(one.scope == call.scope and one.target == name for one in source.made)
    return _LIBRARY in owner.rpartition(":")[2].rpartition(".")[2].lower()


def module_parts(path: str) -> tuple[str, ...]:
    """("shop", "celery") of "shop/celery.py"; a package's name of its `__init__.py`."""
    parts = path.removesuffix(".py").split("/")
    return tuple(parts[:-1] if parts[-1] == "__init__" else parts)


def _shared(path: str, other: str) -> int:
    """How many leading folders two paths share."""
    count = 0
    for one, two in zip(path.split("/"), other.split("/"), strict=False):
        if one != two:
            break
        count += 1
    return count
