"""Is Dramatiq used, and where: its broker object, actors, workers, scheduler, and the lines that
show it.

Installed is not used: an instrumentation library that patches it, an optional integration, a demo
or a test is no user of it. What counts is an actor, or a broker together with a worker, in the code
that the repository runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.frameworks.interface import FrameworkUse, Place
from skillrun.repo.manifests import Dependency, Manifests
from skillrun.repo.places import is_aside, is_test
from skillrun.repo.survey import statements
from skillrun.text import excerpt

ID = "dramatiq"

_DISTRIBUTIONS = (
    "dramatiq",
    "django-dramatiq",
    "flask-dramatiq",
    "flask-melodramatiq",
    "dramatiq-pg",
    "dramatiq-sqs",
)
_OPTIONAL = (
    "integration integrations contrib ext extensions plugins backends adapters instrumentation"
    " providers compat"
)
_OPTIONAL_FOLDERS = frozenset(_OPTIONAL.split())
_LIBRARIES = (
    "dramatiq",
    "flask_dramatiq",
    "flask_melodramatiq",
    "dramatiq_pg",
    "dramatiq_sqs",
    "django_dramatiq",
)
_SCHEDULERS = (
    ("periodiq", "periodiq"),
    ("dramatiq_crontab", "dramatiq-crontab"),
    ("apscheduler", "apscheduler"),
)
_LIKELY = re.compile(rb"(?m)^[ \t]*@[\w.]*\bactor\b|\badd_job\b|\bscheduled_job\b")
_LAUNCH = re.compile(
    r"(?<![\w.@/-])(?:[\w./-]*/)?(?:dramatiq(?:-gevent)?|rundramatiq|periodiq)(?![\w.:=@/-])[\"',]*(?P<rest>.*)"
)
_NO_LAUNCH = re.compile(
    r"\b(?:import|from|install|add|image|uses|name|hostname|container_name)\b|^\s*(?:#|//|;)"
)
_MODULE = re.compile(r"(?<![-\w.:=/])[A-Za-z_][\w.]*(?::[\w.]+)?(?![\w/=])")
_FLASK_WORKER = re.compile(r"\bflask\b.*\bworker\b")
_KINDS = {
    "redis": "redis",
    "rabbit": "rabbitmq",
    "sqs": "sqs",
    "postgres": "postgres",
    "stub": None,
}
_FEW = 3  # evidence lines of one sort
_HOPS = 4


@dataclass(frozen=True)
class _Seen:
    """A line that shows a broker object, an actor, or a setting. `name` is the object, "" where
    there is none.
    """

    path: str
    line: int
    text: str
    name: str = ""
    kind: str | None = None
    around: str = ""  # the function that it stands in

    @property
    def place(self) -> Place:
        return Place(self.path, self.line, self.text)


@dataclass
class _Source:
    """What one file says: imports, assigned and decorating calls by their dotted names as written,
    classes.
    """

    path: str
    lines: list[str]
    names: dict[str, str] = field(default_factory=dict)
    made: list[tuple[str, ast.expr, str, int]] = field(
        default_factory=list
    )  # (target, value, function around, line)
    decorated: list[tuple[str, int]] = field(default_factory=list)
    classes: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    wrapping: dict[str, list[str]] = field(default_factory=dict)  # function -> names that it calls
    settings: list[tuple[str, int, str | None]] = field(default_factory=list)
    scheduling: list[int] = field(default_factory=list)

    def text(self, line: int) -> str:
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""


class DramatiqRecogniser:
    """Collects from one pass over the files; see `repo.survey.Recogniser`."""

    id = ID
    language = "python"
    words: tuple[bytes, ...] = (
        b"dramatiq",
        b"Dramatiq",
        b"DRAMATIQ",
        b"periodiq",
        b"apscheduler",
        b"actor",
    )
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
            "run",
        ),
        *("*entrypoint*", "*dramatiq*", "*worker*"),
    )

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}
        self._launches: list[
            tuple[Place, str | None]
        ] = []  # the line, the module that the worker imports
        self._periodic_launch = False
        self._own_library = False

    def wants(self, path: str, data: bytes) -> bool:
        """Code that may use Dramatiq. Of examples, only what may hold the broker of an app in a
        folder so named.
        """
        self._own_library |= path in ("dramatiq/__init__.py", "src/dramatiq/__init__.py")
        if is_aside(path):
            return not is_test(path) and (b"DRAMATIQ_BROKER" in data or b"Broker(" in data)
        if not path.endswith(".py"):
            return b"dramatiq" in data or b"periodiq" in data or b"flask" in data
        words = (b"ramatiq", b"DRAMATIQ", b"periodiq")
        return any(word in data for word in words) or _LIKELY.search(data) is not None

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """Notes imports, brokers, actors, settings and schedules of one file."""
        lines = data.decode("utf-8", "replace").splitlines()
        self._sources[path] = _read(path, module, lines)

    def see_text(self, path: str, data: bytes) -> None:
        """Notes command lines that start a worker or the scheduler."""
        lines = data.decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines, 1):
            found = _LAUNCH.search(line)
            if (
                found
                and not _NO_LAUNCH.search(line[: found.start() + 1])
                and _starts(found, path, lines, number)
            ):
                rest = found["rest"].strip(" \"'") or " ".join(lines[number : number + 4])
                self._periodic_launch |= "periodiq" in found[0].split()[0]
                module = _MODULE.search(rest.replace("-", " -"))
                self._launches.append(
                    (Place(path, number, line.strip()), module[0] if module else None)
                )
            elif _FLASK_WORKER.search(line) and not _NO_LAUNCH.search(line):
                self._launches.append((Place(path, number, line.strip()), None))

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """The use of Dramatiq, or None where only an integration or a patch of it is there."""
        brokers, actors = self._brokers(), self._actors()
        declared = manifests.find(*_DISTRIBUTIONS)
        if self._own_library or not self._in_use(brokers, actors, declared, manifests):
            return None
        ordered = sorted(brokers, key=self._rank)
        return FrameworkUse(
            id=ID,
            app=_id(ordered[0]) if ordered else None,
            apps=tuple(_id(broker) for broker in ordered if not is_aside(broker.path)),
            task_modules=tuple(sorted({actor.path for actor in actors})),
            scheduler=self._scheduler(manifests),
            broker=self._broker(ordered, manifests),
            evidence=self._evidence(ordered, actors, declared),
        )

    def _in_use(
        self,
        brokers: list[_Seen],
        actors: list[_Seen],
        declared: tuple[Dependency, ...],
        manifests: Manifests,
    ) -> bool:
        """Actors of ours; and the library comes along or a worker is started, or it is no optional
        part.
        """
        brokers = [broker for broker in brokers if not is_aside(broker.path)]
        ours = [*brokers, *actors]
        is_declared = any(dependency.main for dependency in declared)
        if not actors and not (brokers and self._is_started()):
            return False
        if self._is_started() or is_declared or not manifests.dependencies:
            return True
        optional = all(not _OPTIONAL_FOLDERS.isdisjoint(one.path.split("/")[:-1]) for one in ours)
        return bool(brokers) and bool(actors) and not optional

    def _is_started(self) -> bool:
        return any("flask" not in place.text for place, _ in self._launches)

    def _rank(self, broker: _Seen) -> tuple[object, ...]:
        """Not a test's stub, one that a worker is started with, one that has a kind; the shortest
        path.
        """
        started = any(_is_module(module, broker) for _, module in self._launches if module)
        return (
            is_aside(broker.path),
            "stub" in broker.text.lower(),
            not started,
            broker.path.count("/"),
            broker.path,
            broker.line,
        )

    def _scheduler(self, manifests: Manifests) -> str | None:
        names = {
            origin.partition(".")[0]
            for source in self._sources.values()
            for origin in source.names.values()
        }
        for module, name in _SCHEDULERS[:2]:
            if module in names or (name == "periodiq" and self._periodic_launch):
                return name
        return (
            "apscheduler" if any(source.scheduling for source in self._sources.values()) else None
        )

    def _broker(self, brokers: list[_Seen], manifests: Manifests) -> str | None:
        kind = next((broker.kind for broker in brokers if broker.kind), None)
        if kind:
            return kind
        extras = {extra for one in manifests.find("dramatiq") for extra in one.extras}
        named = {"rabbitmq": "rabbitmq", "redis": "redis"}
        return next((broker for extra, broker in named.items() if extra in extras), None)

    def _evidence(
        self, brokers: list[_Seen], actors: list[_Seen], declared: Iterable[Dependency]
    ) -> tuple[Place, ...]:
        """Where it is declared, set up, used, started and scheduled: a few lines of each."""
        found = [Place(one.path, one.line, one.text) for one in declared if one.main][:_FEW]
        found += [broker.place for broker in brokers[:_FEW]]
        first = {actor.path: actor.place for actor in reversed(actors)}
        found += [first[path] for path in sorted(first, key=lambda path: (path.count("/"), path))][
            :_FEW
        ]
        found += [place for place, _ in self._launches if "flask" not in place.text][:_FEW]
        lines = {(place.path, place.line): place for place in found}
        return tuple(Place(one.path, one.line, excerpt(one.text)) for one in lines.values())

    # what names mean across files

    def _origin(self, name: str, source: _Source, hops: int = _HOPS) -> str:
        """ "dramatiq.actor" for the library's own, "path:name" for something of ours, else the name
        as imported.
        """
        first, dot, rest = name.partition(".")
        imported = source.names.get(first)
        if imported is None:
            target = next(
                (
                    value
                    for target, value, around, _ in source.made
                    if target == first and not around
                ),
                None,
            )
            inner = (
                _dotted(target.func if isinstance(target, ast.Call) else target)
                if target is not None
                else ""
            )
            if inner and inner != first and dot and hops:
                return self._origin(f"{inner}.{rest}", source, hops - 1)
            return f"{source.path}:{name}"
        full = imported + dot + rest
        if full.partition(".")[0] in _LIBRARIES or hops == 0:
            return full
        found = self._locate(full)
        return self._origin(found[1], self._sources[found[0]], hops - 1) if found else full

    def _locate(self, full: str) -> tuple[str, str] | None:
        """(path, name in it) of a dotted name, where the file was seen."""
        parts = full.strip("/").split(".")
        for cut in range(len(parts) - 1, 0, -1):
            tail = "/".join(parts[:cut])
            for ending in (f"{tail}.py", f"{tail}/__init__.py"):
                path = next(
                    (p for p in self._sources if p == ending or p.endswith("/" + ending)), None
                )
                if path:
                    return path, ".".join(parts[cut:])
        return None

    def _brokers(self) -> list[_Seen]:
        """Objects of a broker class, also of a subclass or of a factory of ours; and Django's
        setting.
        """
        found = []
        for source in self._sources.values():
            for target, value, around, line in source.made:
                kind = self._broker_kind(value, source)
                if kind is not None and target:
                    shown = _KINDS.get(kind)
                    found.append(
                        _Seen(source.path, line, source.text(line), around or target, shown, around)
                    )
            for name, line, kind in source.settings:
                found.append(_Seen(source.path, line, source.text(line), name, kind))
        kept = [
            one for one in found if not one.around
        ] or found  # a factory counts where nothing here calls it
        kept.sort(key=lambda one: (one.kind is not None, -one.line))
        return list({_id(one): one for one in kept}.values())

    def _broker_kind(self, value: ast.expr, source: _Source, hops: int = 2) -> str | None:
        """A word for the kind of a broker that an expression makes; None where it makes none."""
        if not isinstance(value, ast.Call):
            return None
        origin = self._origin(_dotted(value.func), source)
        path, _, name = origin.partition(":")
        if path in self._sources and name in self._sources[path].classes:
            bases = self._sources[path].classes[name][0]
            return next(
                (k for base in bases if (k := _kind(self._origin(base, self._sources[path])))), None
            )
        if path in self._sources and hops:
            inner = [one for one in self._sources[path].made if one[2] == name and one[0]]
            kinds = (self._broker_kind(one[1], self._sources[path], hops - 1) for one in inner)
            return next((kind for kind in kinds if kind), None)
        return _kind(origin)

    def _actors(self) -> list[_Seen]:
        """Decorated functions, functions handed to `actor(...)`, and subclasses of GenericActor."""
        makers = {
            f"{source.path}:{name}"
            for source in self._sources.values()
            for name, called in source.wrapping.items()
            if any(_makes_actor(self._origin(one, source)) for one in called)
        }
        return list(self._each_actor(makers))

    def _each_actor(self, makers: set[str]) -> Iterator[_Seen]:
        for source in (one for one in self._sources.values() if not is_aside(one.path)):
            for name, line in source.decorated:
                origin = self._origin(name, source)
                if _makes_actor(origin) or origin in makers or self._is_partial(origin):
                    yield _Seen(source.path, line, source.text(line))
            for _, value, _, line in source.made:
                function = value.func if isinstance(value, ast.Call) else None
                function = function.func if isinstance(function, ast.Call) else function
                handed = isinstance(value, ast.Call) and bool(value.args)
                if (
                    function is not None
                    and handed
                    and _makes_actor(self._origin(_dotted(function), source))
                ):
                    yield _Seen(source.path, line, source.text(line))
            for bases, line in source.classes.values():
                if any(
                    self._origin(base, source).endswith("dramatiq.GenericActor") for base in bases
                ):
                    yield _Seen(source.path, line, source.text(line))

    def _is_partial(self, origin: str) -> bool:
        """`job = functools.partial(dramatiq.actor, max_retries=3)`."""
        path, _, name = origin.partition(":")
        source = self._sources.get(path)
        for target, value, _, _ in source.made if source else ():
            if source and target == name and isinstance(value, ast.Call) and value.args:
                partial = _dotted(value.func).rpartition(".")[2] == "partial"
                return partial and _makes_actor(self._origin(_dotted(value.args[0]), source))
        return False


def _makes_actor(origin: str) -> bool:
    """`dramatiq.actor`, and `actor` of an extension's object: `Dramatiq(app).actor`."""
    return origin in ("dramatiq.actor", "dramatiq.actor.actor") or (
        origin.partition(".")[0] in _LIBRARIES and origin.endswith(".actor")
    )


def _kind(origin: str) -> str | None:
    """ "redis" of "dramatiq.brokers.redis.RedisBroker"; None where the class is no broker of a
    Dramatiq library.
    """
    library, _, rest = origin.partition(".")
    last = rest.rpartition(".")[2]
    if library not in _LIBRARIES and not library.endswith("dramatiq"):
        return None
    if library == "flask_dramatiq" and last == "Dramatiq":
        return "flask"
    if not last.endswith("Broker"):
        return None
    return next((word for word in _KINDS if word in last.lower()), "own")


def _starts(found: re.Match[str], path: str, lines: list[str], number: int) -> bool:
    """A word of a command line; in a manifest it is a dependency, in YAML a key or a service's
    name.
    """
    before, word = found.string[: found.start()], found[0].split()[0].strip("\"',")
    if path.endswith((".toml", ".cfg", ".ini")) and not re.search(
        r"(?:command|cmd|run|worker|=)\s*[=\"'\[]", before
    ):
        return "rundramatiq" in word
    if not before.strip(" -\"'[") and path.endswith((".yml", ".yaml")):
        command = any(
            re.search(r"\b(?:command|entrypoint|args):", line)
            for line in lines[max(0, number - 4) : number - 1]
        )
        return before.rstrip().endswith(("-", '"', "'")) and command
    return word.endswith("rundramatiq") or bool(found["rest"].strip(" \"',]")) or word != "dramatiq"


def _is_module(module: str, broker: _Seen) -> bool:
    parts = module.replace(":", ".").split(".")
    own = [*broker.path.removesuffix(".py").removesuffix("/__init__").split("/"), broker.name]
    return any(
        own[-len(cut) - extra : len(own) - extra] == cut
        for cut in (parts, parts[:-1])
        if cut
        for extra in (0, 1)
    )


def _id(broker: _Seen) -> str:
    return f"{broker.path}:{broker.name}"


def _read(path: str, module: ast.Module, lines: list[str]) -> _Source:
    source = _Source(path, lines)
    spans: list[tuple[int, int, str]] = []
    for node in statements(module.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            spans.append((node.lineno, node.end_lineno or node.lineno, node.name))
            source.decorated += [
                (_dotted(d.func if isinstance(d, ast.Call) else d), d.lineno)
                for d in node.decorator_list
            ]
            calls = (n for n in ast.walk(node) if isinstance(n, ast.Call))
            source.wrapping[node.name] = [name for call in calls if (name := _dotted(call.func))]
        elif isinstance(node, ast.ClassDef):
            spans.append((node.lineno, node.end_lineno or node.lineno, node.name))
            source.classes[node.name] = (
                [name for base in node.bases if (name := _dotted(base))],
                node.lineno,
            )
        elif isinstance(node, ast.Import | ast.ImportFrom):
            source.names.update(_imports(path, node))
        else:
            inside = [name for first, last, name in reversed(spans) if first <= node.lineno <= last]
            around = next(
                (name for name in inside if not name.startswith("__")), ""
            )  # `__init__`: the class
            _statement(source, node, around)
    if re.search(r"\.send\b", "\n".join(lines)):
        source.scheduling = [
            n
            for n, line in enumerate(lines, 1)
            if re.search(r"\b(?:add_job|scheduled_job)\(", line)
        ]
    return source


def _statement(source: _Source, node: ast.stmt, around: str) -> None:
    value = getattr(node, "value", None)
    if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for one in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                source.made.append((_dotted(target), one, around, node.lineno))
            if _dotted(target) == "DRAMATIQ_BROKER" and isinstance(value, ast.Dict):
                text = ast.unparse(value).lower()
                source.settings.append(
                    (
                        "DRAMATIQ_BROKER",
                        node.lineno,
                        next((k for w, k in _KINDS.items() if w in text), None),
                    )
                )
    elif isinstance(node, ast.Return) and isinstance(value, ast.Call) and around:
        source.made.append((around, value, around, node.lineno))
    elif isinstance(node, ast.Expr) and isinstance(value, ast.Call):
        inner = (
            value.args[0] if value.args and _dotted(value.func).endswith("set_broker") else value
        )
        source.made.append(("" if inner is value else "set_broker", inner, around, node.lineno))


def _dotted(node: ast.AST | None) -> str:
    """ "a.b.c" of a name or attribute; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value.func if isinstance(node.value, ast.Call) else node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _imports(path: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {
            one.asname or one.name.partition(".")[0]: one.name
            if one.asname
            else one.name.partition(".")[0]
            for one in node.names
        }
    base = node.module or ""
    if node.level:  # a relative import is never the library
        folders = path.split("/")[: -node.level]
        base = "/" + ".".join([*folders, *([node.module] if node.module else [])])
    return {one.asname or one.name: f"{base}.{one.name}" for one in node.names}
