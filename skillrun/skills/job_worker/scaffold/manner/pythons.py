"""The oldest Python that a repository says it runs on: code for it must not be newer."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.scaffold.manner.configured import (
    above,
    option,
    read_text,
    read_toml,
    within,
)

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_FROM = re.compile(r"(?:>=|~=|===?|\^|~|>)?\s*3\.(\d+)")
_SETUP = re.compile(r"python_requires\s*=\s*[\"']([^\"']+)")


def find_python(tree: Tree, handler_path: str) -> tuple[int, int] | None:
    """(3, 9) for `requires-python = ">=3.9,<4"`, from the nearest file that says it; None where
    none does.

    `requires-python`, Poetry's `python`, `python_requires` of setup.cfg and setup.py, then
    `.python-version`.
    """
    for folder in above(handler_path):
        for said in _said(tree, folder):
            found = _FROM.match(said.strip())
            if found:
                return 3, int(found[1])
    return None


def _said(tree: Tree, folder: str) -> Iterator[str]:
    pyproject = read_toml(tree, within(folder, "pyproject.toml"))
    yield str(option(pyproject.get("project"), "requires-python") or "")
    poetry = option(option(pyproject.get("tool"), "poetry"), "dependencies")
    yield str(option(poetry, "python") or "")
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(read_text(tree, within(folder, "setup.cfg")))
        yield parser.get("options", "python_requires", fallback="")
    except configparser.Error:
        yield ""
    yield from _SETUP.findall(read_text(tree, within(folder, "setup.py")))
    yield read_text(tree, within(folder, ".python-version"))
