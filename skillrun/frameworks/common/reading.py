"""Where things stand, and which of them are tests."""

from __future__ import annotations

import ast

from skillrun.frameworks.interface import Place
from skillrun.repo.python import Module, Project


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


def import_path(project: Project, name: str) -> str:
    """ "shop.mailer.Unavailable" as "shop.mailer:Unavailable"."""
    definition = project.definition(name)
    if definition is not None:
        return definition.import_path
    module, _, attribute = name.rpartition(".")
    return f"{module}:{attribute}" if module else name
