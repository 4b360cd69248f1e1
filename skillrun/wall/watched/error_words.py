"""What an error says: `str(error)`, `error.args`, a text that is made of it."""

from __future__ import annotations

import ast
import re

from skillrun.repo.source import FunctionNode, Module, last_word

_TEXTS = ("str", "repr", "format", "format_exc", "format_exception_only", "force_str")
_ATTRIBUTES = ("args", "message", "msg")
_ERROR_NAME = re.compile(r"^(exc|exception|err|error|ex)$")
_ERROR_TYPE = re.compile(r"(Error|Exception|Unavailable|Failure)$")


def says_error(module: Module, node: ast.AST) -> bool:
    """Whether an expression is an error's text, and no code that it carries."""
    if isinstance(node, ast.Call):
        if last_word(node.func) == "format_exc":
            return True
        is_text = last_word(node.func) in _TEXTS and bool(node.args)
        return is_text and _is_error(module, node.args[0])
    if isinstance(node, ast.FormattedValue):
        return _is_error(module, node.value)
    if isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
        return _is_error(module, node.value) and not _is_number(module, node)
    return False


def _is_error(module: Module, node: ast.expr) -> bool:
    """A name that an `except` clause or an error's parameter binds."""
    if isinstance(node, ast.Attribute) and node.attr in ("__cause__", "__context__"):
        return _is_error(module, node.value)
    if not isinstance(node, ast.Name):
        return False
    for above in module.parents(node):
        if isinstance(above, ast.ExceptHandler) and above.name == node.id:
            return True
        if isinstance(above, FunctionNode):
            arguments = above.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                if argument.arg == node.id:
                    return _is_error_parameter(argument)
    return False


def _is_error_parameter(argument: ast.arg) -> bool:
    if argument.annotation is None:
        return bool(_ERROR_NAME.match(argument.arg))
    return bool(_ERROR_TYPE.search(ast.unparse(argument.annotation)))


def _is_number(module: Module, node: ast.expr) -> bool:
    """`error.args[0] == 1213` asks for a database's code, which is no text."""
    compared: ast.AST = node
    for above in module.parents(node):
        if isinstance(above, ast.Compare):
            sides = [side for side in (above.left, *above.comparators) if side is not compared]
            return bool(sides) and all(map(_holds_number, sides))
        compared = above
    return False


def _holds_number(node: ast.expr) -> bool:
    parts = getattr(node, "elts", [node])
    return all(isinstance(part, ast.Constant) and isinstance(part.value, int) for part in parts)
