"""The repository's own modules in this process."""

from __future__ import annotations

import errno
import importlib.machinery
import os
import sys
from typing import Any


def ignore_bytecode(root: str) -> None:
    """Lets Python run the source alone of the repository's own modules: a `.pyc` beside it may hold
    another program, and Python would believe it.
    """
    loader = importlib.machinery.SourceFileLoader
    read, folder = loader.get_data, os.path.join(root, "")

    def get_data(self: Any, path: str) -> bytes:
        is_own = path.startswith(folder) and "/site-packages/" not in path
        if is_own and path.endswith(".pyc"):
            raise FileNotFoundError(
                errno.ENOENT, "a proof reads no bytecode of the repository", path
            )
        return read(self, path)

    loader.get_data = get_data  # type: ignore[method-assign]


def list_own_files(root: str) -> list[str]:
    """The repository's files that are imported now, relative to its root: as they were imported,
    and what those lead to that are links.
    """
    found = set()
    for module in list(sys.modules.values()):
        found.update(list_files_of(module, root))
    return sorted(found)


def list_files_of(module: object, root: str) -> list[str]:
    """The repository's files that hold a module; none where it is a library's.

    A link is the repository's own wherever it leads, and so is a file that a link elsewhere leads
    to.
    """
    path = getattr(module, "__file__", None)
    if not isinstance(path, str):
        return []
    found = []
    for name in (os.path.abspath(path), os.path.realpath(path)):
        if name.startswith(root) and "/site-packages/" not in name:
            found.append(name[len(root) :])
    return found


def find_last_place(error: BaseException, root: str) -> str | None:
    """The last line of the repository that an exception passed through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename.replace(root, '')}:{error.lineno}"
    trace, place = error.__traceback__, None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        path = os.path.realpath(name)
        if name[:1] != "<" and path.startswith(root) and "/site-packages/" not in path:
            place = f"{path[len(root) :]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
