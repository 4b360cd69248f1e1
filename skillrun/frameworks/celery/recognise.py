"""Is Celery used, and where: its app objects, task modules, broker, beat, and the lines that show it.

Installed is not used: a library with an optional integration, a demo project or a test that needs Celery is no
user of it. What counts is an app object or a task in the code that the repository runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.celery.launchers import Launch, find_broker, find_launches
from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.repo.survey import statements
from skillrun.text import masked

ID = "celery"

_APP_CLASSES = frozenset({"celery.Celery", "celery.app.Celery", "celery.app.base.Celery"})
_TASK_DECORATORS = frozenset(
    {
        *("celery.shared_task", "celery.app.shared_task", "celery.task", "celery.task.task", "celery.decorators.task"),
        *("celery.task.periodic_task", "celery.decorators.periodic_task"),
    }
)
_TASK_METHODS = (".task", ".periodic_task", ".register_task", ".tasks.register")
_SET_UP = (".config_from_object", ".autodiscover_tasks", ".conf.update", ".set_default")
_DISTRIBUTIONS = ("celery", "django-celery", "django-celery-beat", "flask-celeryext", "flask-celery-helper")
_OPTIONAL_FOLDERS = frozenset(
    {
        *("integration", "integrations", "contrib", "ext", "extensions", "plugins", "backends", "executors"),
        *("adapters", "instrumentation", "providers", "extras", "compat"),
    }
)
_WORTH_PARSING = re.compile(
    rb"(?i:\bcelery\b|celery(?:_|app|beat|d_)|_celery)|shared_task|register_task|^[ \t]*@[\w.]+\.task\b", re.MULTILINE
)
_BEAT = re.compile(
    rb"(?m)^[^#\n]*(\b_?beat_schedule\b|\bCELERY_?BEAT_SCHEDULER?\b|\badd_periodic_task\b"
    rb"|\bdjango_celery_beat\b|\bredbeat\b|@\w*\.?periodic_task\b)"
)
_SETTINGS = re.compile(rb"(?m)^\s*(CELERY_[A-Z_]+|BROKER_URL|broker_url)\s*=")
_FEW = 3  # evidence lines of one sort


@dataclass(frozen=True)
class _Call:
    """`target = function(...)` or `return function(...)`, inside `scope` ("" is the module)."""

    function: str
    line: int
    scope: str = ""
    target: str = ""


@dataclass
class _Source:
    """What one Python file says; every name is an origin such as "celery.Celery" or "shop/celery.py:app"."""

    path: str
    names: dict[str, str] = field(default_factory=dict)  # local name -> dotted origin of an import
    classes: dict[str, list[str]] = field(default_factory=dict)
    made: list[_Call] = field(default_factory=list)
    returned: list[_Call] = field(default_factory=list)
    decorated: list[_Call] = field(default_factory=list)
    called: list[_Call] = field(default_factory=list)
    places: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _App:
    path: str
    name: str
    line: int

    @property
    def id(self) -> str:
        return f"{self.path}:{self.name}"


class CeleryRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
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
        *("*.yml", "*.yaml", "*.toml", "*.service", "*.service.*", "*.conf", "*.conf.*", "*.ini", "*.cfg", "*.tf"),
        *("*entrypoint*", "*celery*", "*worker*", "*beat*", ".env*", "*.env", "*env*sample*", "*env*example*", "dev"),
    )

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._launches: list[tuple[str, Launch]] = []
        self._beat: list[Place] = []
        self._settings: list[Place] = []
        self._brokers: list[tuple[int, str, Place]] = []
        self._own_library = False

    def wants(self, path: str, data: bytes) -> bool:
        """Code that may use Celery. Of tests and examples, only what may hold the one app of a library."""
        if not path.endswith(".py"):
            return not is_aside(path)
        if is_aside(path):
            return b"Celery(" in data
        return "celery" in path.lower() or _WORTH_PARSING.search(data) is not None

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes imports, app objects, tasks, settings and schedules of one file."""
        self._own_library |= path in ("celery/__init__.py", "src/celery/__init__.py")
        lines = data.decode("utf-8", "replace").splitlines()
        self._sources[path] = _read(path, module, lines)
        if is_aside(path):
            return
        self._beat += _matches(path, _BEAT, data, lines)
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
        """The use of Celery, or None where only tests, examples or an optional integration know it."""
        names = _Names(self._sources)
        apps = names.apps()
        tasks = names.tasks({app.id for app in apps})
        declared = manifests.find(*_DISTRIBUTIONS)
        if self._own_library or not self._in_use(apps, tasks, declared, manifests):
            return None
        ordered = sorted(apps, key=lambda app: self._rank(app, names, tasks))
        return FrameworkUse(
            id=ID,
            app=ordered[0].id if ordered else None,
            apps=tuple(app.id for app in ordered if not is_aside(app.path)),
            task_modules=tuple(sorted({place.path for place, _ in tasks if not is_aside(place.path)})),
            scheduler=self._scheduler(declared, manifests),
            broker=self._broker(manifests),
            evidence=self._evidence(ordered, [place for place, _ in tasks], declared),
        )

    def _in_use(
        self, apps: list[_App], tasks: list[tuple[Place, str]], declared: tuple[Dependency, ...], manifests: Manifests
    ) -> bool:
        """An app or a task of ours; and the library comes along, or workers are started, or the app is no plug-in."""
        paths = [app.path for app in apps] + [place.path for place, _ in tasks]
        ours = [path for path in paths if not is_aside(path)]
        if not ours:
            return False
        if self._launches or any(dependency.main for dependency in declared) or not manifests.dependencies:
            return True
        optional = all(not _OPTIONAL_FOLDERS.isdisjoint(path.split("/")[:-1]) for path in ours)
        has_app = any(not is_aside(app.path) for app in apps)
        return not optional and has_app

    def _rank(self, app: _App, names: _Names, tasks: list[tuple[Place, str]]) -> tuple[object, ...]:
        """The app that workers are started with comes first, then the one that is set up and used most."""
        launched = any(names.is_app(launch.app, app) for _, launch in self._launches if launch.app)
        used = sum(owner == app.id for _, owner in tasks)
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

    def _evidence(self, apps: list[_App], tasks: list[Place], declared: tuple[Dependency, ...]) -> tuple[Place, ...]:
        """Where it is declared, made, used, started, scheduled and connected: a few lines of each."""
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += [Place(app.path, app.line, self._sources[app.path].places[app.line]) for app in apps[:_FEW]]
        found += _one_a_file(tasks)
        found += [Place(path, launch.line, launch.text) for path, launch in self._launches][:_FEW]
        found += _one_a_file(self._beat) + _one_a_file(self._settings)
        found += [place for _, _, place in sorted(self._brokers, key=lambda one: one[0])][:1]
        lines = {(place.path, place.line): place for place in found}
        return tuple(Place(one.path, one.line, masked(one.text.strip())[:200]) for one in lines.values())


def _one_a_file(places: Iterable[Place]) -> list[Place]:
    first = {place.path: place for place in reversed(list(places)) if not is_aside(place.path)}
    return [first[path] for path in sorted(first, key=lambda path: (path.count("/"), path))][:_FEW]


def _place(path: str, line: int, lines: list[str]) -> Place:
    return Place(path, line, lines[line - 1] if line <= len(lines) else "")


def _matches(path: str, pattern: re.Pattern[bytes], data: bytes, lines: list[str]) -> list[Place]:
    return [_place(path, data.count(b"\n", 0, found.start(1)) + 1, lines) for found in pattern.finditer(data)][:_FEW]


def _read(path: str, module: ast.Module, lines: list[str]) -> _Source:
    source = _Source(path)
    for node in statements(module.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            source.names |= _imported(path, node)
    _Reader(source, lines).read(module.body, "")
    return source


def _imported(path: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Local name -> dotted origin; a relative import begins with "/", so that it is never the library."""
    if isinstance(node, ast.Import):
        return {
            one.asname or one.name.partition(".")[0]: one.name if one.asname else one.name.partition(".")[0]
            for one in node.names
        }
    base = node.module or ""
    if node.level:
        folders = path.split("/")[: -node.level]
        base = "/" + ".".join([*folders, *([node.module] if node.module else [])])
    return {one.asname or one.name: f"{base}.{one.name}".replace("/.", "/") for one in node.names}


class _Reader:
    """Walks the statements of one file, with the scope that each stands in."""

    def __init__(self, source: _Source, lines: list[str]) -> None:
        self._source = source
        self._lines = lines

    def read(self, body: list[ast.stmt], scope: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._definition(node, scope)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._assignment(node, scope)
            elif isinstance(node, ast.Return) and node.value is not None:
                self._note(self._source.returned, node.value, scope)
            elif isinstance(node, ast.Expr):
                self._note(self._source.called, node.value, scope)
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    self._inner(getattr(node, part, []), scope)

    def _inner(self, nodes: list[ast.AST], scope: str) -> None:
        for node in nodes:
            self.read([node] if isinstance(node, ast.stmt) else getattr(node, "body", []), scope)

    def _definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, scope: str) -> None:
        name = f"{scope}.{node.name}" if scope else node.name
        if isinstance(node, ast.ClassDef):
            self._source.classes[name] = [base for one in node.bases if (base := self._origin(one))]
        for decorator in node.decorator_list:
            self._note(self._source.decorated, decorator, scope, name)
        self.read(node.body, name)

    def _assignment(self, node: ast.Assign | ast.AnnAssign, scope: str) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
        for target in targets:
            for value in values:
                if isinstance(value, ast.Call) and isinstance(target, ast.Name | ast.Attribute):
                    self._note(self._source.made, value, scope, ast.unparse(target))

    def _note(self, where: list[_Call], node: ast.expr, scope: str, target: str = "") -> None:
        function = node.func if isinstance(node, ast.Call) else node
        origin = self._origin(function)
        if origin is None and isinstance(function, ast.Call):
            origin = self._origin(function.func)  # shared_task(...)(function)
        if origin:
            where.append(_Call(origin, node.lineno, scope, target))
            self._source.places[node.lineno] = _place("", node.lineno, self._lines).text

    def _origin(self, node: ast.expr) -> str | None:
        """A dotted name with its first part replaced by where it comes from; None for anything else."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        first = self._source.names.get(node.id, f"{self._source.path}:{node.id}")
        return ".".join([first, *reversed(parts)])


class _Names:
    """Follows names across the files that were seen."""

    def __init__(self, sources: dict[str, _Source]) -> None:
        self._sources = sources
        self._modules: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for path in sources:
            parts = _module_parts(path)
            self._modules.setdefault(parts[-1] if parts else "", []).append((parts, path))

    def origin(self, name: str, near: str, hops: int = 8) -> str:
        """ "celery.X" for the library, "path:object" for something defined here, else the name itself."""
        if ":" in name or hops == 0 or name.partition(".")[0] == ID:
            return self._through(name, hops)
        rooted, parts = name.startswith("/"), name.lstrip("/").split(".")
        for length in range(len(parts), 0, -1):
            path = self._locate(tuple(parts[:length]), near, rooted)
            if path and length < len(parts):
                return self._through(f"{path}:{'.'.join(parts[length:])}", hops)
        return name

    def _through(self, name: str, hops: int) -> str:
        """Follows "path:object" where that object was itself imported."""
        path, _, inner = name.partition(":")
        first, dot, rest = inner.partition(".")
        source = self._sources.get(path)
        if not source or hops == 0 or first not in source.names:
            return name
        return self.origin(source.names[first] + dot + rest, path, hops - 1)

    def _locate(self, parts: tuple[str, ...], near: str, rooted: bool) -> str | None:
        found = [
            (known, path)
            for known, path in self._modules.get(parts[-1], [])
            if (known == parts if rooted else known[-len(parts) :] == parts)
        ]
        return min(found, key=lambda one: (-_shared(one[1], near), len(one[0])))[1] if found else None

    def apps(self) -> list[_App]:
        """App objects: instances of Celery or a subclass, and what a factory of them returned to a module's name."""
        makers = set(_APP_CLASSES) | self._subclasses()
        makers |= self._factories(makers)
        made = [(source, call) for source in self._sources.values() for call in source.made]
        ours = [(source, call) for source, call in made if self.origin(call.function, source.path) in makers]
        kept = [_App(source.path, call.target, call.line) for source, call in ours if not call.scope]
        used = {self.origin(call.function, source.path) for source, call in ours if not call.scope}
        unused = [app for app in self._made_by_functions(makers) if app.id not in used]
        local = [_App(source.path, call.scope, call.line) for source, call in ours if call.scope]
        return list({app.id: app for app in reversed(kept + unused or local)}.values())

    def _made_by_functions(self, makers: set[str]) -> Iterator[_App]:
        """Factories, each as the app that it returns: they count where no module keeps what they made."""
        for source in self._sources.values():
            for call in (*source.made, *source.returned):
                made_here = self.origin(call.function, source.path) in makers
                if made_here and call.scope and f"{source.path}:{call.scope}" in makers:
                    yield _App(source.path, call.scope, call.line)

    def _subclasses(self) -> set[str]:
        known: set[str] = set()
        for _ in range(3):
            for source in self._sources.values():
                for name, bases in source.classes.items():
                    origins = {self.origin(base, source.path) for base in bases}
                    if origins & (_APP_CLASSES | known):
                        known.add(f"{source.path}:{name}")
        return known

    def _factories(self, makers: set[str]) -> set[str]:
        known: set[str] = set()
        for _ in range(3):
            for source in self._sources.values():
                known |= self._factories_of(source, makers | known)
        return known

    def _factories_of(self, source: _Source, makers: set[str]) -> set[str]:
        """Functions that return an app directly, or a local name that holds one."""
        held = {(c.scope, c.target) for c in source.made if c.scope and self.origin(c.function, source.path) in makers}
        found = set()
        for call in source.returned:
            local = call.function.partition(":")[2]
            if (call.scope, local) in held or self.origin(call.function, source.path) in makers:
                found.add(f"{source.path}:{call.scope}")
        return found

    def tasks(self, apps: set[str]) -> list[tuple[Place, str]]:
        """(place, id of the app or "") of every task: decorated, registered, or made by calling the decorator."""
        found = []
        for source in self._sources.values():
            for call in (*source.decorated, *source.made, *source.called):
                owner = self._task_owner(call, source, apps)
                if owner is not None:
                    found.append((Place(source.path, call.line, source.places[call.line]), owner))
        return found

    def _task_owner(self, call: _Call, source: _Source, apps: set[str]) -> str | None:
        origin = self.origin(call.function, source.path)
        if origin in _TASK_DECORATORS:
            return ""
        method = next((one for one in _TASK_METHODS if origin.endswith(one)), None)
        if method is None:
            return None
        owner = origin.removesuffix(method)
        if owner in apps or owner == "celery.current_app":
            return owner
        return "" if self._is_local_app(call, source, owner, apps) else None

    def _is_local_app(self, call: _Call, source: _Source, owner: str, apps: set[str]) -> bool:
        """An app in a function's own name, or a name that says celery and comes from out of sight."""
        path, _, name = owner.partition(":")
        if path == source.path and call.scope and f"{path}:{call.scope}" in apps:
            return any(one.scope == call.scope and one.target == name for one in source.made)
        return "celery" in owner.rpartition(":")[2].rpartition(".")[2].lower()

    def is_app(self, value: str, app: _App) -> bool:
        """Whether the value of -A means this app: its module, its package, or module and object."""
        module = (*_module_parts(app.path), *app.name.split("."))
        parts = tuple(value.replace(":", ".").replace("/", ".").removesuffix(".py").strip(".").split("."))
        choices = (parts, (*parts, app.name), (*parts, "celery", app.name))
        if any(module[-len(choice) :] == choice for choice in choices):
            return True
        return any(
            self.origin(".".join((*parts, name)), app.path) == app.id for name in ("app", "celery", "celery_app")
        ) or (self.origin(".".join(parts), app.path) == app.id)

    def is_set_up(self, app: _App) -> bool:
        """Something configures this app or makes it discover tasks."""
        names = {app.id + ending for ending in _SET_UP}
        return any(
            self.origin(call.function, source.path) in names
            for source in self._sources.values()
            for call in source.called
        )


def _module_parts(path: str) -> tuple[str, ...]:
    parts = path.removesuffix(".py").split("/")
    return tuple(parts[:-1] if parts[-1] == "__init__" else parts)


def _shared(path: str, other: str) -> int:
    """How many leading folders two paths share."""
    pairs: Iterator[tuple[str, str]] = zip(path.split("/"), other.split("/"), strict=False)
    count = 0
    for one, two in pairs:
        if one != two:
            break
        count += 1
    return count
