"""How the files near a handler get their logger, and how they write a log line."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.scaffold.manner.habits import majority
from skillrun.skills.job_worker.scaffold.manner.neighbours import Neighbour

if TYPE_CHECKING:
    from skillrun.repo.python import Project

_NAME = re.compile(r"(?i)_*(log|logger)")
_MAKER = re.compile(r"(^|\.)(getLogger|get_(\w+_)?logger|getlogger)$")
_LEVELS = {"debug", "info", "warning", "warn", "error", "exception", "critical"}
_OF_LOGGING = {"exc_info", "extra", "stack_info", "stacklevel"}
_BY_KEYWORD = ("structlog", "loguru")


@dataclass(frozen=True)
class Logger:
    """A module's logger: its name, the import that it takes, and its value; "" where the import
    alone binds it.
    """

    name: str
    imported: str
    value: str


def find_logger(project: Project, files: tuple[Neighbour, ...]) -> Logger | None:
    """The logger that most of the files have; None where they have none."""
    found = {file.path: _logger(project, file) for file in files}
    values = Counter(logger.value for logger in found.values() if logger)

    def read(file: Neighbour) -> Iterator[Logger]:
        if logger := found[file.path]:
            shared = values[logger.value] > 1 or file.own or not _names_one_module(logger.value)
            if shared:
                yield logger
            else:
                yield _with_name(logger)

    return majority(files, read)


def _logger(project: Project, file: Neighbour) -> Logger | None:
    """The one that is named as loggers are; of several the one that is used most."""
    if file.module is None:
        return None
    uses = Counter(
        _root(node) for node in file.nodes if isinstance(node, ast.expr) and _is_level(node)
    )
    named = sorted(
        _loggers(project, file, uses),
        key=lambda one: (_NAME.fullmatch(one.name) is None, -uses[one.name]),
    )
    if not named:
        return None
    return named[0]


def _names_one_module(value: str) -> bool:
    """`getLogger("shop.mail")` in one file alone: that is the file's own name, written out."""
    return re.search(r"\([\"'][\w.-]+[\"']", value) is not None


def _with_name(logger: Logger) -> Logger:
    return Logger(
        logger.name, logger.imported, re.sub(r"\(([\"'])[\w.-]+\1", "(__name__", logger.value)
    )


def _loggers(project: Project, file: Neighbour, uses: Mapping[str, int]) -> Iterator[Logger]:
    imports = _imports(project, file)
    for name, line in imports.items():
        if name in uses and _NAME.fullmatch(name):
            yield Logger(name, line, "")
    if not file.module:
        return
    for node in file.module.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            if isinstance(node, ast.Assign):
                target = node.targets[0]
            else:
                target = node.target
            line = imports.get(_root(node.value), "")
            if isinstance(target, ast.Name) and line and _makes_logger(target.id, node.value):
                yield Logger(target.id, line, ast.unparse(node.value).replace("'", '"'))


def _makes_logger(name: str, call: ast.Call) -> bool:
    made = _MAKER.search(ast.unparse(call.func)) is not None
    return made and (_NAME.fullmatch(name) is not None or "log" in name.lower())


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call):
            node = node.func
        else:
            node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return node.id


def _is_level(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _LEVELS
        and isinstance(node.value, ast.Name)
    )


def _imports(project: Project, file: Neighbour) -> dict[str, str]:
    """Bound name -> the import line that binds it, written as an absolute one."""
    found: dict[str, str] = {}
    for node in file.module.body if file.module else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = f"import {_alias(alias)}"
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(project, file.path, node)
            found |= {
                alias.asname or alias.name: f"from {origin} import {_alias(alias)}"
                for alias in node.names
            }
    return found


def _alias(alias: ast.alias) -> str:
    if alias.asname:
        return f"{alias.name} as {alias.asname}"
    return alias.name


def _absolute(project: Project, path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = project.import_name(path).split(".")
    above = parts[: len(parts) - node.level + path.endswith("/__init__.py")]
    return ".".join([*above, *([node.module] if node.module else [])])


def find_log_style(logger: Logger | None, project: Project, files: tuple[Neighbour, ...]) -> str:
    """percent, or structlog where log lines carry their values as keywords."""
    if logger is None:
        return "percent"
    origin = logger.imported.split()[1]
    if origin.partition(".")[0] in _BY_KEYWORD:
        return "structlog"
    if origin.partition(".")[0] in ("logging", "celery"):
        return "percent"
    return majority(files, _styles(logger.name)) or (
        "structlog" if _wraps(project, origin) else "percent"
    )


def _styles(name: str) -> Callable[[Neighbour], Iterator[str]]:
    def read(file: Neighbour) -> Iterator[str]:
        for node in file.nodes:
            if isinstance(node, ast.Call) and _is_level(node.func) and _root(node.func) == name:
                if {k.arg for k in node.keywords} - _OF_LOGGING:
                    yield "structlog"
                elif len(node.args) > 1:
                    yield "percent"

    return read


def _wraps(project: Project, module: str) -> bool:
    """The repository's own logging module is built on a library that takes keywords."""
    path = project.locate(module)
    data = None
    if path:
        data = project.tree.read(path)
    return (
        data is not None
        and re.search(rb"(?m)^\s*(import|from) (structlog|loguru)\b", data) is not None
    )
