"""Is RQ used, and where: queue objects, decorated and enqueued functions, workers, and the lines
that show it.

Installed is not used, and an instrumentation that patches RQ's classes is no user: what counts is a
queue, a decorated function or an enqueued one in the code that the repository runs.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.frameworks.rq.workers import FILES, Launch, find_launches
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside
from skillrun.text import excerpt

ID = "rq"

_DISTRIBUTIONS = ("rq", "django-rq", "flask-rq", "flask-rq2", "rq-scheduler")
_LIBRARIES = ("rq", "django_rq", "flask_rq", "flask_rq2", "rq_scheduler")
_QUEUES = frozenset(
    {
        *(
            "rq.Queue",
            "rq.queue.Queue",
            "django_rq.get_queue",
            "django_rq.queues.get_queue",
            "django_rq.queues.DjangoRQ",
        ),
        *("flask_rq.get_queue", "flask_rq.RQ", "flask_rq2.RQ"),
    }
)
_FLASK = ("flask_rq.RQ", "flask_rq2.RQ")
_DECORATORS = frozenset(
    {"rq.decorators.job", "django_rq.job", "django_rq.decorators.job", "flask_rq.job"}
)
_METHODS = ("enqueue", "enqueue_call", "enqueue_at", "enqueue_in", "prepare_data")
_WORTH_PARSING = re.compile(
    rb"(?m)^[ \t]*(?:from|import)["
    rb" \t][^\n]*\brq(?:_scheduler)?\b|(?:django|flask)_rq|@\w*rq\w*\.job\b|\bRQ_QUEUES\b"
    rb"|\.enqueue(?:_call|_at|_in)?\("
)
_OPTIONAL_FOLDERS = frozenset(
    {"integration", "integrations", "contrib", "ext", "plugins", "backends", "adapters"}
)
_FEW = 3  # evidence lines of one sort


@dataclass
class _File:
    """What one Python file says. `names`: local name -> dotted origin, "/" in front of what is
    relative.
    """

    path: str
    lines: list[str]
    names: dict[str, str] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)  # class -> its bases
    queues: list[tuple[str, str, str, int]] = field(
        default_factory=list
    )  # function, variable, maker, line
    decorated: list[tuple[str, int]] = field(default_factory=list)
    handed: list[tuple[str, str, str, int]] = field(
        default_factory=list
    )  # receiver, method, function, line
    settings: list[int] = field(default_factory=list)  # lines of RQ_QUEUES

    @property
    def imports_rq(self) -> bool:
        """It imports the library itself."""
        return any(origin.partition(".")[0] in _LIBRARIES for origin in self.names.values())

    @property
    def has_scheduler(self) -> bool:
        """It imports rq-scheduler, or asks django-rq for it."""
        origins = set(self.names.values())
        asks = "django_rq" in origins and any(
            "django_rq.get_scheduler(" in line for line in self.lines
        )
        return asks or any(
            one.startswith(("rq_scheduler", "django_rq.get_scheduler")) for one in origins
        )

    def origin(self, name: str) -> str:
        """The dotted origin of a name; "path:name" for what this file defines."""
        first, dot, rest = name.partition(".")
        known = self.names.get(first)
        return f"{self.path}:{name}" if known is None else known + dot + rest

    def line_of(self, name: str) -> int:
        """The line that defines a class."""
        return next(
            (n for n, text in enumerate(self.lines, 1) if re.match(rf"\s*class {name}\b", text)), 1
        )

    def place(self, line: int) -> Place:
        """A line with its text."""
        return Place(self.path, line, self.lines[line - 1] if line <= len(self.lines) else "")


class RqRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    words: tuple[bytes, ...] = (
        b"rq",
        b"RQ_QUEUES",
        b".enqueue",
        b".py",
    )  # the path of every module is of use
    text_files: tuple[str, ...] = FILES

    def __init__(self) -> None:
        self._files: list[_File] = []
        self._paths: set[str] = set()
        self._launches: list[tuple[str, Launch]] = []
        self._own_library = False

    def wants(self, path: str, data: bytes) -> bool:
        """Code that may use RQ. Of every other module only the path is kept, to tell where a job's
        function is.
        """
        if not path.endswith(".py"):
            return b"rq" in data and not is_aside(path)
        self._paths.add(path)
        self._own_library |= path in ("rq/__init__.py", "src/rq/__init__.py")
        likely = b"rq" in data or b".enqueue" in data or b"RQ_QUEUES" in data
        return likely and not is_aside(path) and _WORTH_PARSING.search(data) is not None

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes imports, queues, decorated and enqueued functions of one file."""
        file = _File(path, data.decode("utf-8", "replace").splitlines())
        _Reader(file).read(module)
        self._files.append(file)

    def see_text(self, path: str, data: bytes) -> None:
        """Notes command lines that start RQ."""
        self._launches += [
            (path, launch) for launch in find_launches(data.decode("utf-8", "replace"))
        ]

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use of RQ, or None where only tests, examples or an optional integration know it."""
        found = _Concluding(self._files, self._paths)
        declared = manifests.find(*_DISTRIBUTIONS)
        apps, tasks = found.apps(), found.tasks()
        if self._own_library or not self._in_use(apps, tasks, declared, manifests):
            return None
        apps = (
            apps or found.own_classes()
        )  # an app where jobs are handed over, and no use by itself
        modules = {place.path for place in tasks} | found.task_paths()
        return FrameworkUse(
            id=ID,
            app=next(iter(apps), None),
            apps=tuple(apps),
            task_modules=tuple(sorted(path for path in modules if not is_aside(path))),
            scheduler=self._scheduler(found),
            broker="redis",
            evidence=self._evidence(apps, tasks, declared),
        )

    def _in_use(
        self,
        apps: dict[str, Place],
        tasks: list[Place],
        declared: tuple[Dependency, ...],
        manifests: Manifests,
    ) -> bool:
        if not apps and not tasks:
            return False
        if (
            self._launches
            or any(dependency.main for dependency in declared)
            or not manifests.dependencies
        ):
            return True
        paths = [place.path for place in (*apps.values(), *tasks)]
        optional = all(not _OPTIONAL_FOLDERS.isdisjoint(path.split("/")[:-1]) for path in paths)
        return bool(apps) and not declared and not optional

    def _scheduler(self, found: _Concluding) -> str | None:
        modes = {launch.mode for _, launch in self._launches}
        if "cron" in modes or found.has_cron():
            return "rq cron"
        scheduled = any(file.has_scheduler for file in self._files)
        return "rq-scheduler" if "scheduler" in modes or scheduled else None

    def _evidence(
        self, apps: dict[str, Place], tasks: list[Place], declared: tuple[Dependency, ...]
    ) -> tuple[Place, ...]:
        """Where it is declared, made, used and started: a few lines of each."""
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += list(apps.values())[:_FEW] + _one_a_file(tasks)
        found += [Place(path, launch.line, launch.text) for path, launch in self._launches][:_FEW]
        lines = {(place.path, place.line): place for place in found}
        return tuple(Place(one.path, one.line, excerpt(one.text)) for one in lines.values())


class _Concluding:
    """Follows names across the files that were seen."""

    def __init__(self, files: list[_File], paths: set[str]) -> None:
        self._files = {file.path: file for file in files}
        self._paths = paths
        self._by_tail: dict[str, list[str]] = {}
        for path in sorted(paths, key=lambda p: (p.count("/"), p)):
            self._by_tail.setdefault(_tail(path), []).append(path)

    def apps(self) -> dict[str, Place]:
        """ "path:object" -> its line: a Flask object, RQ_QUEUES, queues of modules, else files that
        make one.
        """
        ranked: list[tuple[tuple[int, int, str, int], str, Place]] = []
        for file in self._files.values():
            for line in file.settings:
                ranked.append(
                    (
                        (1, file.path.count("/"), file.path, line),
                        f"{file.path}:RQ_QUEUES",
                        file.place(line),
                    )
                )
            for function, variable, maker, line in file.queues:
                origin = self._follow(file.origin(maker))
                if not self._makes_queue(origin):
                    continue
                rank = 0 if origin in _FLASK else 2 if not function else 3
                name = function or variable
                if (
                    name
                ):  # queues that only functions make have no object: their file stands for them
                    app = file.path if function else f"{file.path}:{name}"
                    ranked.append(
                        ((rank, file.path.count("/"), file.path, line), app, file.place(line))
                    )
        many = Counter(name for _, name, _ in ranked)
        best = [one for one in sorted(ranked) if one[0][0] < 3] or sorted(
            ranked, key=lambda one: (-many[one[1]], one[0])
        )
        found: dict[str, Place] = {}
        for _, name, place in best:
            found.setdefault(name, place)
        return found

    def own_classes(self) -> dict[str, Place]:
        """ "path:class" -> its line, of queue classes that derive from RQ's and from which no other
        derives here.
        """
        found: dict[str, Place] = {}
        for file in sorted(
            self._files.values(), key=lambda file: (file.path.count("/"), file.path)
        ):
            based = {base for bases in file.bases.values() for base in bases}
            for name in sorted(file.bases.keys() - based):
                if self._makes_queue(f"{file.path}:{name}"):
                    found[f"{file.path}:{name}"] = file.place(file.line_of(name))
        return found

    def tasks(self) -> list[Place]:
        """The lines that decorate, enqueue or schedule a function."""
        found = []
        for file in self._files.values():
            found += [
                file.place(line) for name, line in file.decorated if self._decorates(file, name)
            ]
            found += [
                file.place(line)
                for receiver, method, _, line in file.handed
                if self._hands(file, receiver, method)
            ]
        return found

    def task_paths(self) -> set[str]:
        """The files of the functions that are enqueued or scheduled."""
        found = set()
        for file in self._files.values():
            for receiver, method, function, _ in file.handed:
                if function and self._hands(file, receiver, method):
                    path = self._path_of(file, function)
                    found |= {path} if path else set()
        return found

    def has_cron(self) -> bool:
        """`cron.register(...)` of RQ."""
        return any(
            self._is_cron(file, receiver, method)
            for file in self._files.values()
            for receiver, method, *_ in file.handed
        )

    def _decorates(self, file: _File, name: str) -> bool:
        origin = self._follow(file.origin(name))
        made = self._maker(origin)
        if self._derives(origin, _DECORATORS) or (made and self._derives(made, _DECORATORS)):
            return True
        owner, _, method = origin.rpartition(".")
        return method == "job" and self._is_flask(owner)

    def _maker(self, origin: str) -> str:
        """What a variable of a module is made from; of `partial(job, ...)`, the function; else
        "".
        """
        path, _, name = origin.partition(":")
        file = self._files.get(path)
        makers = (
            [maker for held, variable, maker, _ in file.queues if variable == name and not held]
            if file
            else []
        )
        return self._follow(file.origin(makers[0])) if file and makers else ""

    def _is_flask(self, origin: str) -> bool:
        path, _, name = origin.partition(":")
        file = self._files.get(path)
        made = file.queues if file else ()
        return any(
            variable == name and file and self._follow(file.origin(m)) in _FLASK
            for _, variable, m, _ in made
        )

    def _hands(self, file: _File, receiver: str, method: str) -> bool:
        """A function is handed to RQ: by a queue in a file that imports RQ, or by a queue of
        another module.
        """
        if self._is_cron(file, receiver, method):
            return True
        if method not in _METHODS:
            return False
        origin = self._follow(file.origin(receiver)) if receiver else ""
        path, _, name = origin.partition(":")
        kept = self._files.get(path) if name else None
        made = [maker for _, variable, maker, _ in kept.queues if variable == name] if kept else []
        elsewhere = kept is not None and any(
            self._makes_queue(self._follow(kept.origin(maker))) for maker in made
        )
        local = file.imports_rq and path in ("", file.path)
        return local or origin.partition(".")[0] in _LIBRARIES or elsewhere

    def _is_cron(self, file: _File, receiver: str, method: str) -> bool:
        return method == "register" and file.origin(receiver) in (
            "rq.cron",
            "rq.CronScheduler",
            "rq.cron.CronScheduler",
        )

    def _makes_queue(self, origin: str) -> bool:
        """RQ's own class or function, or a class of the repository that derives from it."""
        return self._derives(origin, _QUEUES)

    def _derives(self, origin: str, wanted: frozenset[str], hops: int = 3) -> bool:
        if origin in wanted:
            return True
        path, _, name = origin.partition(":")
        file = self._files.get(path)
        bases = file.bases.get(name, []) if file else []
        return hops > 0 and any(
            file and self._derives(self._follow(file.origin(b)), wanted, hops - 1) for b in bases
        )

    def _follow(self, origin: str, hops: int = 6) -> str:
        """An origin followed through the imports of other files."""
        if ":" in origin:
            path, _, name = origin.partition(":")
            file = self._files.get(path)
            inner = file.names.get(name.partition(".")[0]) if file else None
            return self._follow(file.origin(name), hops - 1) if file and inner and hops else origin
        if origin.partition(".")[0] in _LIBRARIES or not hops:
            return origin
        parts = origin.lstrip("/").split(".")
        for length in range(len(parts) - 1, 0, -1):
            path = self._locate(parts[:length], origin.startswith("/"))
            if path:
                return self._follow(f"{path}:{'.'.join(parts[length:])}", hops - 1)
        return origin

    def _locate(self, parts: list[str], rooted: bool) -> str:
        """The file of a module, the one nearest to the root of several."""
        for path in self._by_tail.get(parts[-1], ()):
            known = _parts(path)
            if known == parts if rooted else known[-len(parts) :] == parts:
                return path
        return ""

    def _path_of(self, file: _File, function: str) -> str | None:
        """The file of a function, by its local name or by its dotted path as a text."""
        origin = (
            function
            if function.partition(".")[0] not in file.names and "." in function
            else file.origin(function)
        )
        path = self._follow(origin).partition(":")[0]
        return path if path in self._paths else None


class _Reader:
    """Walks one file."""

    def __init__(self, file: _File) -> None:
        self._file = file

    def read(self, module: ast.Module) -> None:
        for node in ast.walk(module):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._file.names.update(_imports(self._file.path, node))
            elif isinstance(node, ast.Call):
                self._call(node)
        self._scope(module.body, "")

    def _scope(self, body: list[ast.stmt], function: str) -> None:
        for node in body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                self._kept(function, [_dotted(target) for target in targets], node.value)
            elif isinstance(node, ast.Return) and node.value is not None:
                self._kept(function, [""], node.value)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._definition(node, function)
            else:
                for part in (*_bodies(node),):
                    self._scope(part, function)

    def _definition(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, function: str
    ) -> None:
        if isinstance(node, ast.ClassDef):
            self._file.bases[node.name] = [_dotted(base) for base in node.bases]
        else:
            decorators = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
            self._file.decorated += [(_dotted(d), d.lineno) for d in decorators if _dotted(d)]
        self._scope(node.body, f"{function}.{node.name}".lstrip("."))

    def _kept(self, function: str, names: list[str], value: ast.expr) -> None:
        if "RQ_QUEUES" in names and not function:
            self._file.settings.append(value.lineno)
        if (
            isinstance(value, ast.Call)
            and _dotted(value.func) in ("partial", "functools.partial")
            and value.args
        ):
            value = ast.copy_location(ast.Call(value.args[0], [], []), value)
        if isinstance(value, ast.Call) and _dotted(value.func):
            self._file.queues += [
                (function, name, _dotted(value.func), value.lineno) for name in names
            ]

    def _call(self, node: ast.Call) -> None:
        method = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        if method not in (*_METHODS, "register"):
            return
        position = 1 if method in ("enqueue_at", "enqueue_in") else 0
        named = next((k.value for k in node.keywords if k.arg in ("func", "f")), None)
        function = node.args[position] if len(node.args) > position else named
        text = function.value if isinstance(function, ast.Constant) else None
        name = text if isinstance(text, str) else _dotted(function) if function is not None else ""
        receiver = (
            _dotted(node.func.value) if isinstance(node.func, ast.Attribute) else _dotted(node.func)
        )
        self._file.handed.append((receiver, method, name, node.lineno))


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, None) or []
    for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield holder.body


def _dotted(node: ast.expr) -> str:
    """ "a.b.c" of a name or attribute; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _imports(path: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {
            a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
            for a in node.names
        }
    base = node.module or ""
    if node.level:
        folders = path.split("/")[: -node.level]
        base = "/" + ".".join([*folders, *([node.module] if node.module else [])])
    return {a.asname or a.name: f"{base}.{a.name}".replace("/.", "/") for a in node.names}


def _parts(path: str) -> list[str]:
    parts = path.removesuffix(".py").split("/")
    return parts[:-1] if parts[-1] == "__init__" else parts


def _tail(path: str) -> str:
    return (_parts(path) or [""])[-1]


def _one_a_file(places: Iterable[Place]) -> list[Place]:
    first = {place.path: place for place in reversed(list(places))}
    return [first[path] for path in sorted(first, key=lambda path: (path.count("/"), path))][:_FEW]
