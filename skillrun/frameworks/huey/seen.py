"""What one Python file says that may concern Huey: imports, calls that are kept, returned or used
to decorate.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.repo.survey import statements

_HOPS = 6  # imports of imports that are followed


@dataclass(frozen=True, slots=True)
class Line:
    """A called or decorating name as written, e.g. "huey.task", and its line; `target` is what is
    bound to it.
    """

    name: str
    line: int
    text: str
    target: str = ""


@dataclass(slots=True)
class Source:
    """One file. `names` maps a local name to where it was imported from; a relative import begins
    with "/".
    """

    path: str
    names: dict[str, str] = field(default_factory=dict)
    bases: dict[str, list[str]] = field(default_factory=dict)
    made: list[Line] = field(default_factory=list)  # name = function(...)
    local: list[Line] = field(
        default_factory=list
    )  # the same inside a function, which is then the target
    returned: dict[str, str] = field(
        default_factory=dict
    )  # function -> what it calls to make its result
    used: list[Line] = field(default_factory=list)  # decorators and calls that may make tasks
    settings: list[Line] = field(default_factory=list)  # HUEY = {...}; `name` is its huey_class


def read_source(path: str, module: ast.Module, lines: list[str]) -> Source:
    """One walk over the statements."""
    source = Source(path)
    inside: dict[int, str] = {}
    for node in statements(module.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {
                id(inner): inside.get(id(node), node.name) for inner in statements(node.body)
            }
        _note(source, node, lines, inside.get(id(node)))
    return source


def _note(source: Source, node: ast.stmt, lines: list[str], function: str | None) -> None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        source.names.update(_imports(source.path, node))
    elif isinstance(node, ast.ClassDef):
        source.bases[node.name] = [name for base in node.bases if (name := dotted(base))]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for decorator in node.decorator_list:
            _add(source.used, decorator, lines, node.name)
        source.returned.update((node.name, name) for name in _made_inside(node))
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        target = dotted(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        if isinstance(node.value, ast.Call):
            _add(source.local if function else source.made, node.value, lines, function or target)
            _add(source.used, node.value, lines, target)
        elif isinstance(node.value, ast.Dict) and target in ("HUEY", "DJANGO_HUEY"):
            source.settings.append(
                Line(_huey_class(node.value), node.lineno, _text(lines, node.lineno), target)
            )
    elif isinstance(node, ast.Expr | ast.Return) and isinstance(node.value, ast.Call):
        _add(source.used, node.value, lines)


def _add(where: list[Line], node: ast.expr, lines: list[str], target: str = "") -> None:
    while isinstance(node, ast.Call):
        node = node.func  # huey.task(...)(function)
    name = dotted(node)
    if name:
        where.append(Line(name, node.lineno, _text(lines, node.lineno), target))


def _text(lines: list[str], line: int) -> str:
    return lines[line - 1] if line <= len(lines) else ""


def _made_inside(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """`return RedisHuey(...)`, also by way of a local name."""
    local = {
        dotted(n.targets[0]): n.value for n in statements(node.body) if isinstance(n, ast.Assign)
    }
    for inner in statements(node.body):
        value = inner.value if isinstance(inner, ast.Return) else None
        value = local.get(value.id, value) if isinstance(value, ast.Name) else value
        if isinstance(value, ast.Call):
            yield dotted(value.func)


def _huey_class(node: ast.Dict) -> str:
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value in ("huey_class", "backend_class"):
            return str(value.value) if isinstance(value, ast.Constant) else ""
    return "huey.RedisHuey"


def dotted(node: ast.expr) -> str:
    """ "a.b.c" of a name or attribute; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    owner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{owner}.{node.attr}" if owner and isinstance(node, ast.Attribute) else ""


def _imports(path: str, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        first = {
            a.name.partition(".")[0]: a.name.partition(".")[0] for a in node.names if not a.asname
        }
        return first | {a.asname: a.name for a in node.names if a.asname}
    base = node.module or ""
    if node.level:
        folders = path.split("/")[: -node.level]
        base = "/" + ".".join([*folders, *([node.module] if node.module else [])])
    return {a.asname or a.name: f"{base}.{a.name}".replace("/.", "/") for a in node.names}


class Names:
    """Where names come from, over all files that were seen."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = {source.path: source for source in sources}
        self._modules = {path: _parts(path) for path in self.sources}

    def origin(self, name: str, source: Source, hops: int = _HOPS) -> str:
        """ "huey.RedisHuey" for the library, "path:object.attribute" for something of ours, else as
        imported.
        """
        first, dot, rest = name.partition(".")
        known = source.names.get(first)
        if known is None:
            return f"{source.path}:{name}"
        return self.follow(known + dot + rest, source.path, hops)

    def follow(self, name: str, near: str, hops: int = _HOPS) -> str:
        """A dotted name followed through the imports of other files; itself where they end out of
        sight.
        """
        if hops == 0 or name.partition(".")[0] in ("huey", "django_huey"):
            return name
        parts = tuple(name.lstrip("/").split("."))
        for length in range(len(parts) - 1, 0, -1):
            path = self._locate(parts[:length], near, name.startswith("/"))
            if path:
                return self.origin(".".join(parts[length:]), self.sources[path], hops - 1)
        return name

    def _locate(self, parts: tuple[str, ...], near: str, rooted: bool) -> str | None:
        found = [
            p
            for p, m in self._modules.items()
            if (m == parts if rooted else m[-len(parts) :] == parts)
        ]
        return min(
            found, key=lambda path: (-_shared(path, near), path.count("/"), path), default=None
        )


def _parts(path: str) -> tuple[str, ...]:
    parts = path.removesuffix(".py").split("/")
    return tuple(parts[:-1] if parts[-1] == "__init__" else parts)


def _shared(path: str, other: str) -> int:
    """How many leading folders two paths share."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return next((n for n, (one, two) in enumerate(pairs) if one != two), 0)
