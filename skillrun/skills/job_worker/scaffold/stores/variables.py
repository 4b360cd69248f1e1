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
    part: str = (  # the scheme of a URL that is put together: "sqlite" of f"sqlite:///{os.environ['SHOP_DB']}"
        ""
    )


def variable_of(
    project: Project, module: Module, node: ast.expr | None, hops: int = _HOPS
) -> Variable | None:
    """The first variable that an expression reads, through names, attributes and functions of the
    repository.
    """
    if node is not None:
        for inner in ast.walk(node):
            found = read_variable(project, module, inner)
            if found is None and isinstance(inner, ast.Name | ast.Attribute | ast.Call) and hops:
                found = _followed(project, module, inner, hops)
            if found is not None:
                return replace(found, part=found.part or _scheme(node, inner))
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
    """BASE / "x", BASE + "x", os.path.join(BASE, "x"), str(x), f"{BASE}/x": what comes last."""
    if isinstance(node, ast.BinOp):
        return node.right
    if isinstance(node, ast.Call):
        if not node.args:
            return None
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
    if isinstance(value, str) and "://" in value:
        text = value.partition("://")[0]
    else:
        text = _scheme(node)
    held = None
    if hops and not text:
        held = _find_held(project, module, node)
    if held is not None:
        return scheme_of(project, *held, hops - 1)
    return text.partition("+")[0]


def _scheme(node: ast.expr | None, read: ast.AST | None = None) -> str:
    """What stands before "://" in a text that the expression puts before something, `read`; ""
    where it puts none.
    """
    if node is not None:
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
    """os.environ["X"], os.environ.get("X", ...), os.getenv("X"), env("X"), env.str("X"),
    config("X", default=...).
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
        return _dj_database_url(project, module, node)
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
    if called.startswith("config.") and not name.isupper():
        return None  # configparser's: config.get("storage", "database")
    return Variable(name, _default(project, module, node))


def _dj_database_url(project: Project, module: Module, node: ast.Call) -> Variable:
    named = find_keyword(node, "env")
    name = None
    if named is not None:
        name = project.literal(named, module)
    return Variable(
        name if isinstance(name, str) else "DATABASE_URL", _default(project, module, node)
    )


def _default(project: Project, module: Module, node: ast.Call) -> str | None:
    written = find_keyword(node, "default")
    if written is None and len(node.args) > 1:
        written = node.args[1]
    value = None
    if written is not None:
        value = project.literal(written, module)
    if not isinstance(value, str):
        return None
    return value


def _followed(
    project: Project, module: Module, node: ast.Name | ast.Attribute | ast.Call, hops: int
) -> Variable | None:
    """What a name of the repository holds, or a function of it returns; a field of pydantic's
    settings.
    """
    if isinstance(node, ast.Call):
        target = node.func
    else:
        target = node
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
            return _returned(project, found.module, called.node, hops - 1)
    if not isinstance(node, ast.Attribute):
        return None
    return _setting(project, node.attr) or _constant(project, node.attr, hops - 1)


def _returned(project: Project, module: Module, function: ast.AST, hops: int) -> Variable | None:
    values = []
    for node in find_nodes(function, ast.Return):
        values.append(node.value)
    return next(filter(None, (variable_of(project, module, value, hops) for value in values)), None)


def _setting(project: Project, field: str) -> Variable | None:
    """The variable of a field of a `BaseSettings` class: its name in capitals, behind the
    prefix.
    """
    for module, node in _settings_classes(project):
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(
                statement.target, ast.Name
            ):
                continue
            if statement.target.id == field:
                default = None
                if statement.value is not None:
                    default = project.literal(statement.value, module)
                known = None
                if isinstance(default, str) and is_known(default):
                    known = default
                return Variable(f"{_prefix(project, module, node)}{field}".upper(), known)
    return None


def _constant(project: Project, name: str, hops: int) -> Variable | None:
    """What a class of plain settings holds under a name in capitals: `settings.DATABASE_URL` of
    `class Config`.
    """
    if name.isupper():
        for module in project.modules_with(name):
            if is_aside(module.path):
                continue
            for value in _list_class_values(module, name):
                found = variable_of(project, module, value, hops)
                if found is not None:
                    return found
    return None


def _list_class_values(module: Module, name: str) -> Iterator[ast.expr | None]:
    """What the classes of a module bind a name to."""
    for node in module.tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and _bound(statement) == name:
                yield statement.value


def _bound(statement: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(
        statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    )


def _settings_classes(project: Project) -> Iterator[tuple[Module, ast.ClassDef]]:
    for module in project.modules_with("BaseSettings"):
        if not is_aside(module.path):
            for node in module.all_nodes:
                if isinstance(node, ast.ClassDef) and any(
                    ast.unparse(base) in _SETTINGS for base in node.bases
                ):
                    yield module, node


def _prefix(project: Project, module: Module, node: ast.ClassDef) -> str:
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
