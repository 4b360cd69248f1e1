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
# logging.getLogger, structlog.get_logger, get_task_logger
_MAKER = re.compile(r"(^|\.)(getLogger|get_(\w+_)?logger|getlogger)$")
_LEVELS = {"debug", "info", "warning", "warn", "error", "exception", "critical"}
# The keywords that `logging` itself takes: they are no values of a log line.
_OF_LOGGING = {"exc_info", "extra", "stack_info", "stacklevel"}
# Libraries whose log lines carry their values as keywords.
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
    loggers = {file.path: _choose_logger(project, file) for file in files}
    uses = Counter(logger.value for logger in loggers.values() if logger)

    def read(file: Neighbour) -> Iterator[Logger]:
        logger = loggers[file.path]
        if logger is None:
            return
        is_of_one_file = uses[logger.value] == 1 and not file.own
        if is_of_one_file and _names_module(logger.value):
            yield _by_dunder_name(logger)
        else:
            yield logger

    return majority(files, read)


def _choose_logger(project: Project, file: Neighbour) -> Logger | None:
    """A file's logger: one that is named as loggers are before others, then the one that is used
    most.
    """
    if file.module is None:
        return None
    uses = Counter[str]()
    for node in file.nodes:
        if isinstance(node, ast.expr) and _is_level(node):
            uses[_find_root(node)] += 1

    def rank(logger: Logger) -> tuple[bool, int]:
        return _NAME.fullmatch(logger.name) is None, -uses[logger.name]

    return min(_find_loggers(project, file, uses), key=rank, default=None)


def _names_module(value: str) -> bool:
    """Whether a logger is asked for by a text: `getLogger("shop.mail")`."""
    return re.search(r"\([\"'][\w.-]+[\"']", value) is not None


def _by_dunder_name(logger: Logger) -> Logger:
    """The logger with `__name__` in place of the text: a file has written out its own name."""
    value = re.sub(r"\(([\"'])[\w.-]+\1", "(__name__", logger.value)
    return Logger(logger.name, logger.imported, value)


def _find_loggers(project: Project, file: Neighbour, uses: Mapping[str, int]) -> Iterator[Logger]:
    """The loggers that a file imports and uses, then those that it makes."""
    imports = _list_imports(project, file)
    for name, line in imports.items():
        if name in uses and _NAME.fullmatch(name):
            yield Logger(name, line, "")
    if not file.module:
        return
    for node in file.module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        else:
            target = node.target
        line = imports.get(_find_root(node.value), "")
        if isinstance(target, ast.Name) and line and _makes_logger(target.id, node.value):
            yield Logger(target.id, line, ast.unparse(node.value).replace("'", '"'))


def _makes_logger(name: str, call: ast.Call) -> bool:
    """Whether a call gives a logger, which is bound to a name that says so."""
    if _MAKER.search(ast.unparse(call.func)) is None:
        return False
    return _NAME.fullmatch(name) is not None or "log" in name.lower()


def _find_root(node: ast.expr) -> str:
    """`logging` of `logging.getLogger("shop").info`; "" where it begins with no name."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call):
            node = node.func
        else:
            node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return node.id


def _is_level(node: ast.AST) -> bool:
    """Whether it is `log.info`, or another level of something that has a name."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in _LEVELS
        and isinstance(node.value, ast.Name)
    )


def _list_imports(project: Project, file: Neighbour) -> dict[str, str]:
    """Bound name -> the import line that binds it, written as an absolute one."""
    if file.module is None:
        return {}
    lines: dict[str, str] = {}
    for node in file.module.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                lines[name] = f"import {_write_alias(alias)}"
        elif isinstance(node, ast.ImportFrom):
            origin = _find_absolute_name(project, file.path, node)
            for alias in node.names:
                name = alias.asname or alias.name
                lines[name] = f"from {origin} import {_write_alias(alias)}"
    return lines


def _write_alias(alias: ast.alias) -> str:
    if alias.asname:
        return f"{alias.name} as {alias.asname}"
    return alias.name


def _find_absolute_name(project: Project, path: str, node: ast.ImportFrom) -> str:
    """The module that a file imports from, also where it names it by its place (`from ..`)."""
    if not node.level:
        return node.module or ""
    parts = project.import_name(path).split(".")
    # A package is its own first level.
    above = parts[: len(parts) - node.level + path.endswith("/__init__.py")]
    if node.module:
        above.append(node.module)
    return ".".join(above)


def find_log_style(logger: Logger | None, project: Project, files: tuple[Neighbour, ...]) -> str:
    """How log lines carry their values: "structlog" as keywords, or else "percent"."""
    if logger is None:
        return "percent"
    # The second word of `from shop.logs import log`.
    origin = logger.imported.split()[1]
    library = origin.partition(".")[0]
    if library in _BY_KEYWORD:
        return "structlog"
    if library in ("logging", "celery"):
        return "percent"
    style = majority(files, _make_style_reader(logger.name))
    if style is not None:
        return style
    if _wraps_keyword_library(project, origin):
        return "structlog"
    return "percent"


def _make_style_reader(name: str) -> Callable[[Neighbour], Iterator[str]]:
    """A function that reads how each call on the logger of this name in a file gives its values."""

    def read(file: Neighbour) -> Iterator[str]:
        for node in file.nodes:
            if not isinstance(node, ast.Call) or not _is_level(node.func):
                continue
            if _find_root(node.func) != name:
                continue
            if {keyword.arg for keyword in node.keywords} - _OF_LOGGING:
                yield "structlog"
            elif len(node.args) > 1:
                yield "percent"

    return read


def _wraps_keyword_library(project: Project, module: str) -> bool:
    """Whether the repository's own logging module is built on a library that takes keywords."""
    path = project.locate(module)
    data = None
    if path:
        data = project.tree.read(path)
    if data is None:
        return False
    return re.search(rb"(?m)^\s*(import|from) (structlog|loguru)\b", data) is not None
