"""The repository's modules that a library would be told of on its worker's command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

_NOT_OWN = {"node_modules", "site-packages", "tests", "test", "testing", "docs", "examples", "migrations"}
_MOST_FILES = 20_000


def with_words(root: str, near: str, words: Sequence[bytes]) -> Iterator[str]:
    """Import names of the files below `root` that hold every word, those closest to the file `near` first."""
    found = [path for path in _files(root) if _holds(path, words)]
    for path in sorted(found, key=lambda path: (-_shared(path, near), path.count("/"), path)):
        name = _import_name(path)
        if name:
            yield name


def _files(root: str) -> Iterator[str]:
    seen = 0
    for folder, folders, files in os.walk(root):
        here = [name for name in folders if name not in _NOT_OWN and not name.startswith((".", "venv"))]
        folders[:] = sorted(name for name in here if not os.path.exists(os.path.join(folder, name, "pyvenv.cfg")))
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith(("test_", "conftest")):
                seen += 1
                if seen > _MOST_FILES:
                    return
                yield os.path.join(folder, name)


def _holds(path: str, words: Sequence[bytes]) -> bool:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    return all(word in data for word in words)


def _import_name(path: str) -> str:
    """Below the longest folder of `sys.path` that it lies in; "" where it lies in none."""
    folders = [entry for entry in sys.path if entry and path.startswith(entry.rstrip("/") + "/")]
    if not folders:
        return ""
    inside = path[len(max(folders, key=len).rstrip("/")) + 1 : -len(".py")]
    parts = inside.split("/")
    parts = parts[:-1] if parts[-1] in ("__init__", "__main__") else parts
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""


def _shared(path: str, other: str) -> int:
    return len(os.path.commonpath([path, other]).split("/"))
