"""Jobs that are enqueued by the name of their function: the calls, and what name each gives."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.listed import Found
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_keyword, name_method


@dataclass(frozen=True)
class NamedCall:
    """A call that enqueues the function of a name.

    One that is not direct calls a function of the repository, which enqueues what it is told.
    """

    module: Module
    node: ast.Call
    name: str
    direct: bool = True


def find_named_calls(
    project: Project, handler: Definition, methods: Collection[str], keyword: str
) -> Iterator[NamedCall]:
    """Every call of one of these methods whose name can be told. It is the first argument, or that
    keyword.
    """
    for module in find_modules(project, methods):
        for node in module.nodes(ast.Call):
            if not _calls_method(node, methods):
                continue
            given = find_keyword(node, keyword)
            first = node.args[0] if node.args else given
            name = read_name(project, first, module, handler)
            if name is not None:
                yield NamedCall(module, node, name)
            elif isinstance(first, ast.Name):
                yield from _find_through(project, module, node, first.id, handler)


def find_modules(project: Project, words: Collection[str]) -> list[Module]:
    """Those that hold any of the words, in order of their paths."""
    found = {module.path: module for word in words for module in project.modules_with(word)}
    return [found[path] for path in sorted(found)]


def find_calls(
    project: Project, word: str, names: Collection[str]
) -> Iterator[tuple[Module, ast.Call]]:
    """Every call of what has one of these names, in the modules that hold a word."""
    for module in find_modules(project, (word,)):
        for node in module.nodes(ast.Call):
            if project.origin_of(module, node.func) in names:
                yield module, node


def find_option(project: Project, word: str, makers: Collection[str]) -> Found | None:
    """What the application first gives as the keyword `word` to what has one of these names."""
    for module, node in find_calls(project, word, makers):
        given = find_keyword(node, word)
        if given is not None and not is_plainly_test(module.path):
            return given, module
    return None


def _calls_method(node: ast.Call, methods: Collection[str]) -> bool:
    return name_method(node) in methods


def read_name(
    project: Project, node: ast.expr | None, module: Module, handler: Definition
) -> str | None:
    """A text, or `handler.__name__`."""
    if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__"):
        mine = project.origin_of(module, node.value) == handler.dotted
        if mine:
            return handler.name
        return None
    value = None
    if node is not None:
        value = project.literal(node, module)
    if isinstance(value, str):
        return value
    return None


def _find_through(
    project: Project, module: Module, call: ast.Call, parameter: str, handler: Definition
) -> Iterator[NamedCall]:
    """`async def enqueue(name, *args): await pool.enqueue_job(name, *args)`: whoever calls it says
    the name.
    """
    function = module.function_of(call)
    own = None
    if function is not None:
        own = project.define(module, function)
    if own is None or parameter not in own.parameters:
        return
    position = [name for name in own.parameters if name not in ("self", "cls")].index(parameter)
    for use in project.uses(own.dotted):
        above = use.module.find_call_of(use.node)
        if above is None:
            continue
        named = find_keyword(above, parameter)
        first = named or (above.args[position] if position < len(above.args) else None)
        name = read_name(project, first, use.module, handler)
        if name is not None:
            yield NamedCall(use.module, above, name, direct=False)
