"""What settings say of a schedule: the values of constants that stand in for numbers and crons.

`crontab(minute=config.RESCUE_EVERY)` says what `RESCUE_EVERY = int(os.environ.get("EVERY", "15"))`
says: a machine that sets nothing has the default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.source import Module
from skillrun.wall.sources import CommitSources

_CASTS = ("int", "float", "str")


class Constants:
    """The values that an application's modules give at their top level, on one side of a branch.
    What a test gives a name is no setting of the application's.
    """

    def __init__(self, sources: CommitSources) -> None:
        self._project = sources.project
        self._by_origin: dict[str, Any] = {}  # "shop.config.EVERY"
        self._by_name: dict[str, set[Any]] = {}
        for path in sources.files:
            for origin, value in self.list_of(path):
                self._by_origin[origin] = value
                self._by_name.setdefault(origin.rpartition(".")[2], set()).add(value)

    def list_of(self, path: str) -> Iterator[tuple[str, Any]]:
        """Yields (origin, value) of a module's own."""
        module = self.find_module(path)
        if module is None or is_taken_for_tests(path):
            return
        for node in module.tree.body:
            for name, value in _read_assignment(node):
                yield f"{module.name}.{name}", value

    def find_module(self, path: str) -> Module | None:
        """The parsed file; None where it is no valid Python."""
        if not path.endswith(".py"):
            return None
        return self._project.module(path)

    def read(self, module: Module, node: ast.expr) -> Any:
        """What a name of that module stands for, by its import. Where that leads to nothing: by the
        name alone, if it has one value in all modules. None of whatever is no constant by its
        name: it may be given another value on the way.
        """
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        # Whatever is no constant by its name may be given another value on the way.
        name = node.id if isinstance(node, ast.Name) else node.attr
        if not name.isupper():
            return None
        origin = module.resolve(node)
        if origin in self._by_origin:
            return self._by_origin[origin]
        # `django.conf.settings.EVERY`, or an object that has the settings.
        values = self._by_name.get(name, set())
        if len(values) != 1:
            return None
        return next(iter(values))


def _read_assignment(node: ast.stmt) -> Iterable[tuple[str, Any]]:
    """(name, value) of `NAME = 5`; nothing of any other statement."""
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        return
    value = _read_value(node.value)
    if value is None:
        return
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value


def _read_value(node: ast.expr | None) -> Any:
    """Of a literal, of a variable of the environment that has a default, and of either that is made
    a number; None of anything else.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    if isinstance(node.func, ast.Name) and node.func.id in _CASTS and len(node.args) == 1:
        value = _read_value(node.args[0])
        try:
            return {"int": int, "float": float, "str": str}[node.func.id](value)
        except (TypeError, ValueError):
            return None
    # os.environ.get("EVERY", "15"), os.getenv("EVERY", "15")
    is_variable = ast.unparse(node.func).endswith(("environ.get", "getenv"))
    if is_variable and len(node.args) == 2:
        return _read_value(node.args[1])
    return None
