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
_DEEPEST_CALL = 8


@dataclass
class Renames:
    """The code of both sides, parsed where a spec names it."""

    before: CommitSources
    after: CommitSources

    @cached_property
    def _old(self) -> Project:
        return self.before.project

    @cached_property
    def _new(self) -> Project:
        return self.after.project

    def is_renamed(self, old: Any, new: Any) -> bool:
        """Whether the base's definition stands in HEAD unchanged under the new name, and the old
        name is gone.

        In another module the names in it may mean something else: then the whole module must be the
        same, or each of the names means what it meant.
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
        """Whether an error is a library's, and the base's code names it, so that it does something
        about it already.
        """
        if not isinstance(error, str) or self._new.find(error) is not None:
            return False
        # "BadAddress" of "shop.mailer:BadAddress".
        class_name = error.replace(":", ".").rpartition(".")[2]
        return any(path.endswith(".py") for path in self.before.search(class_name))

    def is_reached(self, handler: Any, call: str) -> bool:
        """Whether the base's handler calls a function, directly or through others."""
        if not isinstance(handler, str):
            return False
        start, target = self._old.find(handler), self._old.find(call)
        if start is None or target is None:
            return False
        names = {target.dotted, call.replace(":", ".")}
        for reached in self._old.calls(start, depth=_DEEPEST_CALL):
            if not names.isdisjoint((reached.origin, *reached.via)):
                return True
        return False


def _spell_dotted(error: str) -> str:
    """The name of a class of errors as the readers of code spell it: `shop.mailer.BadAddress` for a
    spec's `shop.mailer:BadAddress`, `builtins.ValueError` for `ValueError`.
    """
    if ":" in error:
        return error.replace(":", ".")
    return f"builtins.{error}"


def _spell_call(dotted: str) -> str:
    """`shop.mailer.send` -> `shop.mailer:send`, as a spec spells it."""
    module, _, function = dotted.rpartition(".")
    return f"{module}:{function}"


def _mean_same(was: Definition, now: Definition, compared: tuple[str, ...]) -> bool:
    """Whether the names that two equal definitions use mean the same in their modules: the same
    import, the same value, or a function that has moved along. `compared` are the functions that
    are being compared already.
    """
    for name in sorted(_list_names(was.node)):
        old, new = _find_binding(was.module, name), _find_binding(now.module, name)
        if old is None and new is None:
            continue  # a name of its own, or a built-in one
        if old is None or new is None:
            return False
        if _name_origin(was.module, name, old) == _name_origin(now.module, name, new):
            continue
        if old.kind != new.kind or not _is_moved_along(was, now, name, (old, new), compared):
            return False
    return True


def _is_moved_along(
    was: Definition,
    now: Definition,
    name: str,
    bindings: tuple[Binding, Binding],
    compared: tuple[str, ...],
) -> bool:
    """Whether a name that two definitions use has the same value, or is the same function, in both
    of their modules.
    """
    old, new = bindings
    if old.value is not None and new.value is not None:
        return ast.dump(old.value) == ast.dump(new.value)
    if not isinstance(old.node, FunctionNode) or not isinstance(new.node, FunctionNode):
        return False
    if ast.dump(old.node) != ast.dump(new.node):
        return False
    # Two functions may call each other.
    if name in compared:
        return True
    old_function, new_function = replace(was, node=old.node), replace(now, node=new.node)
    return _mean_same(old_function, new_function, (*compared, name))


def _list_names(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def _find_binding(module: Module, name: str) -> Binding | None:
    """What a name is at the top of a module, the last one where there are several."""
    bindings = module.bindings(module.tree).get(name, [])
    if not bindings:
        return None
    return bindings[-1]


def _name_origin(module: Module, name: str, binding: Binding) -> str:
    """The dotted name of what a name stands for: what was imported, else its own."""
    return binding.target or f"{module.name}.{name}"


def _without_name(definition: Definition) -> str:
    """The definition in a form that can be compared, with a blank for its name."""
    return ast.dump(_put_blank(definition.node, definition.node.name))


def _module_without_name(definition: Definition) -> str:
    """The definition's module in a form that can be compared, with a blank for its name."""
    return ast.dump(_put_blank(definition.module.tree, definition.node.name))


class _Blanking(ast.NodeTransformer):
    """Puts a blank in the place of a name, where it is defined and where it is used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name == self.name:
                node.name = "_"
        elif isinstance(node, ast.Name) and node.id == self.name:
            node.id = "_"
        return self.generic_visit(node)


def _put_blank(node: ast.AST, name: str) -> ast.AST:
    """A copy of some code with a blank for a name."""
    copy = ast.parse(ast.unparse(node))
    return _Blanking(name).visit(copy)
