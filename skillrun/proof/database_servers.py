"""Which database server a repository's own application speaks to, by the drivers that
it asks for.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from skillrun.core.errors import RepoUnusable
from skillrun.repo.tree import Tree

_DRIVERS = {
    "PostgreSQL": re.compile(rb"\b(?:psycopg[23]?|asyncpg|aiopg)\b", re.IGNORECASE),
    "MySQL": re.compile(rb"\b(?:mysqlclient|pymysql|asyncmy|aiomysql)\b", re.IGNORECASE),
}
# Where a repository writes down what it needs.
_ASKED_IN = ("*requirements*.txt", "requirements/*.txt", "pyproject.toml", "Pipfile", "setup.*")


def find_server(root: Path) -> str:
    """The name of the database server whose driver a repository asks for; "" where it asks for
    none.
    """
    tree = Tree(root)
    with contextlib.suppress(RepoUnusable):
        for path in _list_asking_files(tree):
            text = tree.read(path) or b""
            for server, drivers in _DRIVERS.items():
                if drivers.search(text):
                    return server
    return ""


def _list_asking_files(tree: Tree) -> list[str]:
    """The files that say what is to be installed, at the root and in folders below it."""
    found: list[str] = []
    for glob in _ASKED_IN:
        found += [*tree.match(glob), *tree.match(f"**/{glob}")]
    return sorted(set(found))
