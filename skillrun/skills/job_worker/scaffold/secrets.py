"""Secrets that the repository's settings demand of the environment: a proof gives them a harmless
value.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.scaffold.stores.variables import read_variable

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

VALUE = "only-for-the-proof"
_SECRET = re.compile(r"[A-Z0-9_]*(?:SECRET|TOKEN|PASSWORD|SALT|_KEY)[A-Z0-9_]*")
_HOME = re.compile(
    r"(?:^|/)(?:settings|config|conf)(?:/[^/]+)?\.py$|(?:^|/)(?:settings|config|conf)/"
)
_LENIENT = ("get", "getenv", "setdefault")


def find_secrets(project: Project) -> dict[str, str]:
    """Name -> "path:line" of each secret that settings read at their import and that has no default
    there.
    """
    found: dict[str, str] = {}
    for module in _settings(project):
        for node, bound in _read_at_import(module):
            variable = read_variable(project, module, node)
            if (
                variable is None
                or not _SECRET.fullmatch(variable.name)
                or not _is_needed(node, bound)
            ):
                continue
            found.setdefault(variable.name, f"{module.path}:{node.lineno}")
    return found


def _settings(project: Project) -> Iterator[Module]:
    """Django's settings, and modules called settings or config."""
    named = {module.path: module for module in project.settings_modules()}
    paths = set[str]()
    for word in ("environ", "getenv", "env", "config"):
        paths.update(project.tree.search(word))
    for path in sorted(paths):
        if path not in named and _HOME.search(path) and not is_aside(path):
            module = project.module(path)
            if module is not None:
                named[path] = module
    yield from named.values()


def _read_at_import(module: Module) -> Iterator[tuple[ast.Call | ast.Subscript, str]]:
    """(expression, the name that its statement binds): what stands in no function."""
    for statement in module.all_nodes:
        if (
            not isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr)
            or module.function_of(statement) is not None
        ):
            continue
        bound = ""
        if isinstance(statement, ast.Assign):
            bound = ast.unparse(statement.targets[0])
        for node in ast.walk(statement):
            if isinstance(node, ast.Call | ast.Subscript):
                yield node, bound


def _is_needed(node: ast.Call | ast.Subscript, bound: str) -> bool:
    """Whether its absence is an error: `os.getenv` gives None, which Django alone refuses, for its
    SECRET_KEY.
    """
    if isinstance(node, ast.Subscript):
        return True
    if len(node.args) > 1 or any(keyword.arg == "default" for keyword in node.keywords):
        return False
    return ast.unparse(node.func).rpartition(".")[2] not in _LENIENT or bound == "SECRET_KEY"
