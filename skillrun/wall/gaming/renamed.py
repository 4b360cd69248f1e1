"""Functions that only have another name in HEAD: what a spec says of the one holds for the
other.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from skillrun.repo.python import Definition, Project
from skillrun.repo.source import Binding, FunctionNode, Module
from skillrun.wall.sources import CommitSources

# Calls are followed this deep from a handler to what it reaches.
_DEEP = 8


@dataclass
class Renames:
    """The code of both sides, parsed where a spec names it."""

    before: CommitSources
    after: CommitSources

    @cached_property
    def _old(self) -> Project:
        return Project(self.before)

    @cached_property
    def _new(self) -> Project:
        return Project(self.after)

    def is_renamed(self, old: Any, new: Any) -> bool:
        """Whether the base's definition stands in HEAD unchanged under the new name, and the old
        name is gone.

        In another module its names may mean something else: then the whole module must be the same,
        or each of them means what it meant.
        """
        if not isinstance(old, str) or not isinstance(new, str):
            return False
        was, now = self._old.find(old), self._new.find(new)
        if was is None or now is None or self._new.lookup(old) is not None:
            return False
        if was.path == now.path:
            return _without_name(was) == _without_name(now)
        if _module_without_name(was) == _module_without_name(now):
            return True
        return _without_name(was) == _without_name(now) and _mean_same(was, now, ())

    def names_same(self, old: str, new: str) -> bool:
        """Whether two dotted names are one function of the repository, which may have moved."""
        if old == new:
            return True
        return self.is_renamed(_spell_call(old), _spell_call(new))

    def is_kind_of(self, error: Any, other: Any) -> bool:
        """Whether HEAD's class of an error is another one, or below it."""
        if not isinstance(error, str) or not isinstance(other, str):
            return False
        wanted = self._new.origin(_spell_dotted(other))
        return wanted in self._new.ancestors(_spell_dotted(error))

    def is_known_elsewhere(self, error: Any) -> bool:
        """Whether an error is a library's, and the base's code names it: it does something with it."""
        if not isinstance(error, str) or self._new.find(error) is not None:
            return False
        word = error.replace(":", ".").rpartition(".")[2]
        return any(path.endswith(".py") for path in self.before.search(word))

    def is_reached(self, handler: Any, call: str) -> bool:
        """Whether the base's handler calls a function, directly or through others."""
        start = self._old.find(handler) if isinstance(handler, str) else None
        target = self._old.find(call)
        if start is None or target is None:
            return False
        names = {target.dotted, call.replace(":", ".")}
        reached: set[str] = set()
        for found in self._old.calls(start, depth=_DEEP):
            reached |= {found.origin, *found.via}
        return not names.isdisjoint(reached)


def _spell_dotted(error: str) -> str:
    """`shop.mailer:BadAddress` or a builtin's short name, as the readers of code spell it."""
    return error.replace(":", ".") if ":" in error else f"builtins.{error}"


def _spell_call(dotted: str) -> str:
    """`shop.mailer.send` -> `shop.mailer:send`, as a spec spells it."""
    return ":".join(dotted.rpartition(".")[::2])


def _mean_same(was: Definition, now: Definition, seen: tuple[str, ...]) -> bool:
    """Whether the names that two equal definitions use mean the same in their modules: the same
    import, the same value, or a function that has moved along.
    """
    for name in sorted(_list_names(was.node)):
        old, new = _find_binding(was.module, name), _find_binding(now.module, name)
        if old is None and new is None:
            continue  # a name of its own, or a built-in one
        if old is None or new is None:
            return False
        if _name_origin(was.module, name, old) == _name_origin(now.module, name, new):
            continue
        if old.kind != new.kind or not _is_moved_along(was, now, name, (old, new), seen):
            return False
    return True


def _is_moved_along(
    was: Definition,
    now: Definition,
    name: str,
    both: tuple[Binding, Binding],
    seen: tuple[str, ...],
) -> bool:
    old, new = both
    if old.value is not None and new.value is not None:
        return ast.dump(old.value) == ast.dump(new.value)
    if not isinstance(old.node, FunctionNode) or not isinstance(new.node, FunctionNode):
        return False
    if ast.dump(old.node) != ast.dump(new.node):
        return False
    if name in seen:
        return True
    there = replace(was, node=old.node), replace(now, node=new.node)
    return _mean_same(*there, (*seen, name))


def _list_names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _find_binding(module: Module, name: str) -> Binding | None:
    """What a name is at the top of a module, the last one where there are several."""
    found = module.bindings(module.tree).get(name, [])
    return found[-1] if found else None


def _name_origin(module: Module, name: str, binding: Binding) -> str:
    return binding.target or f"{module.name}.{name}"


def _without_name(definition: Definition) -> str:
    """The definition as text, whatever it is called."""
    return ast.dump(_anonymous(definition.node, definition.node.name))


def _module_without_name(definition: Definition) -> str:
    return ast.dump(_anonymous(definition.module.tree, definition.node.name))


class _Anonymous(ast.NodeTransformer):
    def __init__(self, name: str) -> None:
        self.name = name

    def visit(self, node: ast.AST) -> ast.AST:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and node.name == self.name
        ):
            node.name = "_"
        elif isinstance(node, ast.Name) and node.id == self.name:
            node.id = "_"
        return self.generic_visit(node)


def _anonymous(node: ast.AST, name: str) -> ast.AST:
    """A copy in which a name is blank."""
    copy = ast.parse(ast.unparse(node))
    return _Anonymous(name).visit(copy)
