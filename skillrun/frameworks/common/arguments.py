"""Do the arguments that a job is published with fit its function?"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from skillrun.frameworks.common.reading import held_value
from skillrun.repo.python import Module, Project


@dataclass(frozen=True)
class Given:
    """The arguments that one call site gives to the task."""

    node: ast.expr
    positional: int
    named: tuple[str, ...]


def count_in(node: ast.expr | None) -> int | None:
    """How many arguments a written-out list or tuple holds; None where that cannot be told."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return 0
    if not isinstance(node, ast.List | ast.Tuple) or any(
        isinstance(item, ast.Starred) for item in node.elts
    ):
        return None
    return len(node.elts)


def names_in(node: ast.expr | None) -> tuple[str, ...] | None:
    """The keys of a written-out mapping; None where they cannot be told."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return ()
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "dict"
        and not node.args
    ):
        names = [keyword.arg for keyword in node.keywords]
    elif isinstance(node, ast.Dict):
        names = [str(key.value) if isinstance(key, ast.Constant) else None for key in node.keys]
    else:
        return None
    return None if None in names else tuple(str(name) for name in names)


def mismatch(taken: ast.arguments, given: Given) -> str | None:
    """What is wrong with a call of something that takes these parameters; None where it fits."""
    positional = [arg.arg for arg in (*taken.posonlyargs, *taken.args)]
    only_named = [arg.arg for arg in taken.kwonlyargs]
    unknown = [name for name in given.named if name not in (*positional, *only_named)]
    if unknown:
        return f"the task takes no {', '.join(unknown)}"
    if given.positional > len(positional):
        return f"{given.positional} arguments for a task that takes {len(positional)}"
    twice = [name for name in given.named if name in positional[: given.positional]]
    if twice:
        return f"{', '.join(twice)} is given twice"
    needed = positional[: len(positional) - len(taken.defaults)][given.positional :]
    needed += [
        name for name, value in zip(only_named, taken.kw_defaults, strict=True) if value is None
    ]
    missing = [name for name in needed if name not in given.named]
    return f"{', '.join(missing)} is missing" if missing else None


def is_injected(project: Project, module: Module, arg: ast.arg, default: ast.expr | None) -> bool:
    """A parameter that the library fills (`TaskiqDepends`): by its default, its annotation, or an
    alias of that.
    """
    note = arg.annotation
    held = held_value(project, note, module) if isinstance(note, ast.Name | ast.Attribute) else None
    return any(
        "Depends(" in ast.unparse(node)
        for node in (note, default, held[0] if held else None)
        if node is not None
    )


def shown(taken: ast.arguments) -> str:
    """Parameters for a reader."""
    return ast.unparse(taken) or "no argument"
