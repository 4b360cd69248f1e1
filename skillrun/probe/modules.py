"""The repository's modules that a library would be told of on its worker's command line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

_NOT_OWN = {
    "node_modules",
    "site-packages",
    "tests",
    "test",
    "testing",
    "docs",
    "examples",
    "migrations",
}
_MOST_FILES = 20_000


def whose_text(fits: Callable[[bytes], bool], root: str, near: str) -> Iterator[str]:
    """Import names of the files below `root` whose text fits, those closest to the file `near`
    first.
    """
    found = [path for path in _list_files(root) if fits(_read_text(path))]
    for path in sorted(found, key=lambda path: (-_count_shared(path, near), path.count("/"), path)):
        name = _import_name(path)
        if name:
            yield name


def import_whose_text(
    fits: Callable[[bytes], bool], root: str, near: str, broken: list[str]
) -> Iterator[Any]:
    """Those files as modules. Why one cannot be imported is added to `broken`, in words."""
    for name in whose_text(fits, root, near):
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:
            broken.append(f"; {name} cannot be imported: {type(error).__name__}: {error}")
            continue
        yield module


def _list_files(root: str) -> Iterator[str]:
    seen = 0
    for folder, folders, files in os.walk(root):
        here = [
            name for name in folders if name not in _NOT_OWN and not name.startswith((".", "venv"))
        ]
        folders[:] = sorted(
            name for name in here if not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(("test_", "conftest")):
                seen += 1
                if seen > _MOST_FILES:
                    return
                yield os.path.join(folder, name)


def _read_text(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _import_name(path: str) -> str:
    """Below the longest folder of `sys.path` that it lies in; "" where it lies in none."""
    folders = []
    for entry in sys.path:
        if entry and path.startswith(entry.rstrip("/") + "/"):
            folders.append(entry)
    if not folders:
        return ""
    inside = path[len(max(folders, key=len).rstrip("/")) + 1 : -len(".py")]
    parts = inside.split("/")
    if parts[-1] in ("__init__", "__main__"):
        parts = parts[:-1]
    if all(part.isidentifier() for part in parts):
        return ".".join(parts)
    return ""


def _count_shared(path: str, other: str) -> int:
    return len(os.path.commonpath([path, other]).split("/"))
