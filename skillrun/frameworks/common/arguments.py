"""Do the arguments that a job is published with fit its function?"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping

from skillrun.frameworks.common.reading import held_value
from skillrun.frameworks.interface import Arguments
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import is_given, read_entries


def read_call(call: ast.Call, skipped: int = 0, options: Collection[str] = ()) -> Arguments:
    """The arguments of a call that are the job's own: not the first `skipped` of them, and not
    those that the library keeps for itself.
    """
    positional: list[ast.expr] = []
    named: dict[str, ast.expr] = {}
    hidden = any(isinstance(node, ast.Starred) for node in call.args[:skipped])
    for node in call.args[skipped:]:
        if isinstance(node, ast.Starred):
            hidden = True
        else:
            positional.append(node)
    for keyword in call.keywords:
        if keyword.arg is None:
            hidden = True
        elif keyword.arg not in options:
            named[keyword.arg] = keyword.value
    return Arguments(tuple(positional), named, hidden)


def read_containers(args: ast.expr | None, kwargs: ast.expr | None) -> Arguments:
    """The arguments that a list and a mapping hold: `args=(1, 2), kwargs={"a": 3}`."""
    positional: tuple[ast.expr, ...] = ()
    named: Mapping[str, ast.expr] = {}
    hidden = False
    if isinstance(args, ast.List | ast.Tuple):
        positional = tuple(node for node in args.elts if not isinstance(node, ast.Starred))
        hidden = len(positional) < len(args.elts)
    elif is_given(args):
        hidden = True
    if is_given(kwargs):
        named, named_hidden = _read_mapping(kwargs)
        hidden = hidden or named_hidden
    return Arguments(positional, named, hidden)


def _read_mapping(node: ast.expr | None) -> tuple[Mapping[str, ast.expr], bool]:
    """(name -> value, whether there may be more) of `{"a": 3}` and `dict(a=3)`."""
    is_dict_call = isinstance(node, ast.Call) and ast.unparse(node.func) == "dict"
    if isinstance(node, ast.Call) and is_dict_call:
        read = read_call(node)
        return read.named, read.partly_hidden or bool(read.positional)
    if not isinstance(node, ast.Dict):
        return {}, True
    named = {str(key): value for key, value in read_entries(node).items()}
    return named, len(named) < len(node.keys)


def read_parameters(handler: Definition, decorators: int | None = 1) -> ast.arguments | None:
    """What a function takes; None where a class, `*args`, `**kwargs`, or more than that many
    decorators hide it. With `decorators=None` there may be any.
    """
    node = handler.node
    if isinstance(node, ast.ClassDef) or node.args.vararg or node.args.kwarg:
        return None
    if decorators is not None and len(node.decorator_list) > decorators:
        return None
    return node.args


def drop_named(args: ast.arguments, name: str) -> ast.arguments:
    """Without the parameter of a name, which the library fills."""
    return _drop_parameters(args, lambda arg, default: arg.arg == name)


def drop_injected(project: Project, module: Module, args: ast.arguments) -> ast.arguments:
    """Without the parameters that the library fills (`TaskiqDepends`)."""
    return _drop_parameters(args, lambda arg, default: is_injected(project, module, arg, default))


def _drop_parameters(
    args: ast.arguments, is_filled: Callable[[ast.arg, ast.expr | None], bool]
) -> ast.arguments:
    """Without the parameters for which that holds, by their name and default."""
    positional = [*args.posonlyargs, *args.args]
    without_default: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    taken: list[ast.arg] = []
    defaults: list[ast.expr] = []
    for arg, default in zip(positional, [*without_default, *args.defaults], strict=True):
        if is_filled(arg, default):
            continue
        taken.append(arg)
        if default is not None:
            defaults.append(default)
    only_named: list[ast.arg] = []
    named_defaults: list[ast.expr | None] = []
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        if not is_filled(arg, default):
            only_named.append(arg)
            named_defaults.append(default)
    return ast.arguments([], taken, None, only_named, named_defaults, None, defaults)


def drop_first(args: ast.arguments) -> ast.arguments:
    """Without the first parameter, which the library fills: a context, or `self`."""
    positional = [*args.posonlyargs, *args.args][1:]
    defaults = []
    if positional:
        defaults = args.defaults[-len(positional) :]
    return ast.arguments([], positional, None, args.kwonlyargs, args.kw_defaults, None, defaults)


def find_mismatch(taken: ast.arguments, given: Arguments) -> str | None:
    """What is wrong with a call of something that takes these parameters; None where it fits."""
    positional = [arg.arg for arg in (*taken.posonlyargs, *taken.args)]
    only_named = [arg.arg for arg in taken.kwonlyargs]
    count = len(given.positional)
    unknown = [name for name in given.named if name not in (*positional, *only_named)]
    if unknown:
        return f"the task takes no {', '.join(unknown)}"
    if count > len(positional):
        return f"{count} arguments for a task that takes {len(positional)}"
    twice = [name for name in given.named if name in positional[:count]]
    if twice:
        return f"{', '.join(twice)} is given twice"
    missing = [name for name in _list_needed(taken, count) if name not in given.named]
    if not missing:
        return None
    return f"{', '.join(missing)} is missing"


def _list_needed(taken: ast.arguments, count: int) -> list[str]:
    """The parameters without a default that so many arguments by position leave over."""
    positional = [arg.arg for arg in (*taken.posonlyargs, *taken.args)]
    needed = positional[count : len(positional) - len(taken.defaults)]
    for parameter, default in zip(taken.kwonlyargs, taken.kw_defaults, strict=True):
        if default is None:
            needed.append(parameter.arg)
    return needed


def is_injected(project: Project, module: Module, arg: ast.arg, default: ast.expr | None) -> bool:
    """A parameter that the library fills (`TaskiqDepends`): by its default, its annotation, or an
    alias of that.
    """
    note = arg.annotation
    told = [note, default]
    if isinstance(note, ast.Name | ast.Attribute):
        held = held_value(project, note, module)
        if held:
            alias, _ = held
            told.append(alias)
    return any("Depends(" in ast.unparse(node) for node in told if node is not None)


def shown(taken: ast.arguments) -> str:
    """Parameters in words for a reader."""
    return ast.unparse(taken) or "no argument"
