"""Which conditions decide what value an expression has.

A value need not hold what it was chosen by: a key that begins with `night-` after six o'clock says
nothing of a clock, and is another key in the morning all the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.repo.source import Binding, FunctionNode, Module
from skillrun.wall.watched.flow import list_given
from skillrun.wall.watched.reach import Reach


@dataclass(frozen=True)
class _Part:
    """Something that a value comes from, or a condition by which it was chosen."""

    module: Module
    node: ast.AST
    is_condition: bool = False


@dataclass(frozen=True)
class Chooser:
    """Follows values through names, parameters and what functions return, in the code that handlers
    reach.
    """

    reach: Reach

    def list_conditions(self, module: Module, value: ast.expr) -> Iterator[tuple[Module, ast.AST]]:
        """Each condition once, with the module in which it stands."""
        waiting = [_Part(module, value)]
        met: set[tuple[ast.AST, bool]] = set()
        while waiting:
            part = waiting.pop()
            if (part.node, part.is_condition) in met:
                continue
            met.add((part.node, part.is_condition))
            if part.is_condition:
                yield part.module, part.node
            else:
                waiting += self._list_origins(part)

    def _list_origins(self, part: _Part) -> Iterator[_Part]:
        for node in ast.walk(part.node):
            if isinstance(node, ast.IfExp):
                yield _Part(part.module, node.test, is_condition=True)
            elif isinstance(node, ast.BoolOp):
                for tested in node.values[:-1]:
                    yield _Part(part.module, tested, is_condition=True)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._list_bound(part.module, node)
            elif isinstance(node, ast.Call):
                yield from self._list_returned(part.module, node)

    def _list_bound(self, module: Module, name: ast.Name) -> Iterator[_Part]:
        for scope in module.scopes_around(name):
            bound = module.bindings(scope).get(name.id)
            if bound:
                for binding in bound:
                    yield from self._read_binding(module, binding)
                return

    def _read_binding(self, module: Module, binding: Binding) -> Iterator[_Part]:
        node = binding.node
        if isinstance(node, ast.arg):
            yield from self._list_passed(module, node)
        elif isinstance(node, ast.AugAssign):
            yield from _list_around(module, node)
            yield _Part(module, node.value)
        elif binding.kind == "value" and binding.value is not None:
            yield from _list_around(module, node)
            yield _Part(module, binding.value)

    def _list_passed(self, module: Module, parameter: ast.arg) -> Iterator[_Part]:
        function = module.function_of(parameter)
        if function is None:
            return
        arguments = function.args
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        for there, call in self.reach.calls.get(function, ()):
            for given in list_given(call, parameter.arg, positional):
                yield _Part(there, given)

    def _list_returned(self, module: Module, call: ast.Call) -> Iterator[_Part]:
        definition = self.reach.definition(module, call.func)
        if definition is None or not isinstance(definition.node, FunctionNode):
            return
        for node in ast.walk(definition.node):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from _list_around(definition.module, node)
                yield _Part(definition.module, node.value)


def _list_around(module: Module, node: ast.AST) -> Iterator[_Part]:
    """The conditions under which a statement is run, within its own function or module."""
    below = node
    for above in module.parents(node):
        if isinstance(above, (FunctionNode, ast.Lambda)):
            return
        if isinstance(above, ast.If | ast.While) and below is not above.test:
            yield _Part(module, above.test, is_condition=True)
        elif isinstance(above, ast.Match) and below is not above.subject:
            yield _Part(module, above.subject, is_condition=True)
        below = above
