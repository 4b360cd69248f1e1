"""What code gives a name: how settings are written, whatever reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Project
from skillrun.repo.source import Module
from skillrun.wall.diff import Diff, File


def list_named(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Everything that is given a name, as an argument, an entry or a variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            yield from list_keys(node)
        elif isinstance(node, ast.Assign):
            yield from _list_targets(node)


def _list_targets(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, node.value
        elif isinstance(target, ast.Attribute):
            yield target.attr, node.value


def list_keys(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(key, value) of a dictionary's keys that are texts; nothing of any other expression."""
    if not isinstance(node, ast.Dict):
        return
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, value


def list_changed_modules(
    diff: Diff, project: Project, *, is_new: bool
) -> Iterator[tuple[File, Module]]:
    """The application's own modules that a branch changes, as they are on one side."""
    for file in diff.python_files():
        path = file.path if is_new else file.old_path
        module = project.module(path)
        if module is not None and not is_taken_for_tests(path):
            yield file, module
