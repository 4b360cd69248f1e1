"""Which environment variable an expression reads: how a proof points a repository's database
elsewhere.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrun.repo.literals import is_known
from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_keyword, find_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_READERS = ("os.environ.get", "os.getenv", "os.environ.setdefault", "environ.get", "getenv")
# Django-environ, environs, python-decouple: env("X"), env.str("X").
_OTHER_READERS = (
    "env",
    "config",
    "environ",
)
_SETTINGS = ("BaseSettings", "pydantic_settings.BaseSettings", "pydantic.BaseSettings")
_HOPS = 5


@dataclass(frozen=True)
class Variable:
    """An environment variable, and the value that stands in for it where the code writes one."""

    name: str
    default: str | None = None
    # The scheme of a URL that is put together: "sqlite" of f"sqlite:///{os.environ['SHOP_DB']}".
    part: str = ""


def variable_of(
    project: Project, module: Module, node: ast.expr | None, hops: int = _HOPS
) -> Variable | None:
    """The first variable that an expression reads, through names, attributes and functions of the
    repository.
    """
    if node is None:
        return None
    for inner in ast.walk(node):
        variable = read_variable(project, module, inner)
        if variable is None and isinstance(inner, ast.Name | ast.Attribute | ast.Call) and hops:
            variable = _follow_name(project, module, inner, hops)
        if variable is not None:
            return replace(variable, part=variable.part or _find_scheme(node, inner))
    return None


def file_of(project: Project, module: Module, node: ast.expr | None, hops: int = _HOPS) -> str:
    """The last part of the path of a file that an expression puts together; "" where that is not to
    be read.
    """
    if node is None:
        return ""
    value = project.literal(node, module)
    if isinstance(value, str):
        if value.endswith(":memory:"):
            return ""
        return value.rpartition("/")[2].partition("?")[0]
    if not hops:
        return ""
    held = _find_held(project, module, node)
    if held is not None:
        return file_of(project, *held, hops - 1)
    last = _last_part(node)
    if last is not None:
        return file_of(project, module, last, hops - 1)
    return ""


def _find_held(
    project: Project, module: Module, node: ast.expr | None
) -> tuple[Module, ast.expr | None] | None:
    """(module, value) of what a name of the repository is bound to."""
    if not isinstance(node, ast.Name | ast.Attribute):
        return None
    found = project.lookup(module.resolve(node) or "")
    if found is None or found.module is None or found.binding is None:
        return None
    return found.module, found.binding.value


def _last_part(node: ast.expr) -> ast.expr | None:
    """What comes last in a path that is put together: BASE / "x", BASE + "x",
    os.path.join(BASE, "x"), str(x), f"{BASE}/x".
    """
    if isinstance(node, ast.BinOp):
        return node.right
    if isinstance(node, ast.Call) and node.args:
        return node.args[-1]
    if isinstance(node, ast.JoinedStr) and node.values:
        return node.values[-1]
    return None


def scheme_of(project: Project, module: Module, node: ast.expr | None, hops: int = _HOPS) -> str:
    """The dialect of a URL that an expression gives, without its driver; "" where that is not to be
    read.
    """
    value = None
    if node is not None:
        value = project.literal(node, module)
    text = _find_scheme(node)
    if isinstance(value, str) and "://" in value:
        text = value.partition("://")[0]
    held = None
    if hops and not text:
        held = _find_held(project, module, node)
    if held is not None:
        return scheme_of(project, *held, hops - 1)
    # "postgresql" of postgresql+psycopg://
    return text.partition("+")[0]


def _find_scheme(node: ast.expr | None, read: ast.AST | None = None) -> str:
    """What stands before "://" in a text that the expression puts before something, `read`; ""
    where it puts none.
    """
    if node is None:
        return ""
    for inner in ast.walk(node):
        if read is not None and not any(one is read for one in ast.walk(inner)):
            continue
        for part in _list_text_parts(inner):
            if isinstance(part, ast.Constant) and "://" in str(part.value):
                return str(part.value).partition("://")[0]
    return ""


def _list_text_parts(node: ast.AST) -> list[ast.expr]:
    """What a text is put together of, as far as a scheme may stand there."""
    if isinstance(node, ast.JoinedStr):
        return node.values
    if isinstance(node, ast.BinOp):
        return [node.left]
    return []


def read_variable(project: Project, module: Module, node: ast.AST) -> Variable | None:
    """The variable that is read at this very node: os.environ["X"], os.environ.get("X", ...),
    os.getenv("X"), env("X"), env.str("X"), config("X", default=...). None for anything else.
    """
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("os.environ", "environ"):
        name = project.literal(node.slice, module)
        if isinstance(name, str):
            return Variable(name)
        return None
    if not isinstance(node, ast.Call):
        return None
    called = ast.unparse(node.func)
    if called.rpartition(".")[2] == "config" and called.startswith("dj_database_url"):
        return _read_dj_database_url(project, module, node)
    if called not in _READERS and called.partition(".")[0] not in _OTHER_READERS:
        return None
    return _read_reader(project, module, node, called)


def _read_reader(project: Project, module: Module, node: ast.Call, called: str) -> Variable | None:
    """What a call of one of the known readers asks for."""
    name = None
    if node.args:
        name = project.literal(node.args[0], module)
    if not isinstance(name, str):
        if called in ("env.db", "env.db_url"):
            return Variable("DATABASE_URL")
        return None
    # configparser's: config.get("storage", "database")
    if called.startswith("config.") and not name.isupper():
        return None
    return Variable(name, _read_default(project, module, node))


def _read_dj_database_url(project: Project, module: Module, node: ast.Call) -> Variable:
    """What `dj_database_url.config(env=...)` reads, DATABASE_URL where it names nothing."""
    named = find_keyword(node, "env")
    name = None
    if named is not None:
        name = project.literal(named, module)
    if not isinstance(name, str):
        name = "DATABASE_URL"
    return Variable(name, _read_default(project, module, node))


def _read_default(project: Project, module: Module, node: ast.Call) -> str | None:
    """The text that a call of a reader gives where the variable is not set."""
    written = find_keyword(node, "default")
    if written is None and len(node.args) > 1:
        written = node.args[1]
    value = None
    if written is not None:
        value = project.literal(written, module)
    if not isinstance(value, str):
        return None
    return value


def _follow_name(
    project: Project, module: Module, node: ast.Name | ast.Attribute | ast.Call, hops: int
) -> Variable | None:
    """The variable behind what a name of the repository holds, what a function of it returns, or a
    field of pydantic's settings.
    """
    target: ast.expr = node
    if isinstance(node, ast.Call):
        target = node.func
    name = module.resolve(target)
    found = None
    if name:
        found = project.lookup(name)
    if found is not None and found.module is not None:
        if found.binding is not None and found.binding.value is not None:
            held = variable_of(project, found.module, found.binding.value, hops - 1)
            if held is not None:
                return held
        called = None
        if isinstance(node, ast.Call):
            called = found.definition
        if called is not None and not called.is_class:
            return _find_in_returned(project, found.module, called.node, hops - 1)
    if not isinstance(node, ast.Attribute):
        return None
    return _find_setting(project, node.attr) or _find_constant(project, node.attr, hops - 1)


def _find_in_returned(
    project: Project, module: Module, function: ast.AST, hops: int
) -> Variable | None:
    """The first variable that something reads which a function returns."""
    for node in find_nodes(function, ast.Return):
        variable = variable_of(project, module, node.value, hops)
        if variable is not None:
            return variable
    return None


def _find_setting(project: Project, field: str) -> Variable | None:
    """The variable of a field of a `BaseSettings` class: its name in capitals, behind the
    prefix.
    """
    for module, node in _find_settings_classes(project):
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign):
                continue
            if not isinstance(statement.target, ast.Name) or statement.target.id != field:
                continue
            default = None
            if statement.value is not None:
                default = project.literal(statement.value, module)
            known = None
            if isinstance(default, str) and is_known(default):
                known = default
            return Variable(f"{_read_prefix(project, module, node)}{field}".upper(), known)
    return None


def _find_constant(project: Project, name: str, hops: int) -> Variable | None:
    """The variable behind what a class of plain settings holds under a name in capitals:
    `settings.DATABASE_URL` of `class Config`.
    """
    if not name.isupper():
        return None
    for module in project.modules_with(name):
        if is_aside(module.path):
            continue
        for value in _list_class_values(module, name):
            variable = variable_of(project, module, value, hops)
            if variable is not None:
                return variable
    return None


def _list_class_values(module: Module, name: str) -> Iterator[ast.expr | None]:
    """What the classes of a module bind a name to."""
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if not isinstance(statement, ast.Assign | ast.AnnAssign):
                continue
            if _bound_name(statement) == name:
                yield statement.value


def _bound_name(statement: ast.Assign | ast.AnnAssign) -> str:
    """What an assignment sets, as it is written."""
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0])
    return ast.unparse(statement.target)


def _find_settings_classes(project: Project) -> Iterator[tuple[Module, ast.ClassDef]]:
    """The classes that derive from pydantic's BaseSettings; not those of tests and examples."""
    for module in project.modules_with("BaseSettings"):
        if is_aside(module.path):
            continue
        for node in module.all_nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            if any(ast.unparse(base) in _SETTINGS for base in node.bases):
                yield module, node


def _read_prefix(project: Project, module: Module, node: ast.ClassDef) -> str:
    """`env_prefix` of `model_config = SettingsConfigDict(...)`, or of the inner class Config."""
    for inner in ast.walk(node):
        named = None
        if isinstance(inner, ast.keyword):
            named = inner.arg
        if isinstance(inner, ast.Assign):
            named = ast.unparse(inner.targets[0])
        if named == "env_prefix" and isinstance(inner, ast.keyword | ast.Assign):
            value = project.literal(inner.value, module)
            if not isinstance(value, str):
                return ""
            return value
    return ""
