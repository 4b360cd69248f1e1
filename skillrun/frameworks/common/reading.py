"""Where things stand, and which of them are tests."""

from __future__ import annotations

import ast

from skillrun.frameworks.interface import Place
from skillrun.repo.python import Module


def place_of(module: Module, node: ast.AST) -> Place:
    """Where a node stands."""
    line = getattr(node, "lineno", 1)
    return Place(module.path, line, module.line_text(line))


def in_tests(path: str) -> bool:
    """A path that belongs to tests."""
    parts = path.split("/")
    name = parts[-1]
    in_folder = any(part in ("test", "tests", "testing") for part in parts[:-1])
    return in_folder or name.startswith("test_") or name.endswith("_test.py") or name in ("conftest.py", "tests.py")
