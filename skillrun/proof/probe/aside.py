"""A file in the scratch folder stands in for each SQLite file of the machine, so that a proof opens none of them.

Standard library alone: it is also loaded by path in the processes of `proof.setup` (see `setting.py`).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from typing import Any

_READS = ("mode=ro", "immutable=1")


class Aside:
    """`free`: folders whose files are opened as they are. `kept`: files that are the repository's, such as reference
    data; what stands in for one of them begins as its copy, everything else begins empty.
    """

    def __init__(self, root: str, scratch: str, free: Sequence[str] = (), kept: Sequence[str] = ()) -> None:
        self.root, self.scratch, self.kept = os.path.realpath(root), os.path.realpath(scratch), frozenset(kept)
        folders = (scratch, *free, sys.prefix, sys.base_prefix)
        self.free = tuple(os.path.realpath(folder) + "/" for folder in folders)

    def name(self, database: Any) -> str | None:
        """What the stand-in is called below the scratch folder; None where the database is opened as it is."""
        if not isinstance(database, (str, bytes, os.PathLike)):
            return None
        text = os.fsdecode(database)
        path, _, query = text.partition("?") if text.startswith("file:") else (text, "", "")
        path = path[5:] if text.startswith("file:") else path
        if path in ("", ":memory:") or "mode=memory" in query or any(word in query for word in _READS):
            return None
        real = os.path.realpath(path)
        if real.startswith(self.free) or "/site-packages/" in real:
            return None
        return os.path.relpath(real, self.root) if real.startswith(self.root + "/") else real.lstrip("/")

    def database(self, given: Any) -> Any:
        """What is opened instead. Its folder is made, so that it can be."""
        name = self.name(given)
        if name is None:
            return given
        path, text = os.path.join(self.scratch, name), os.fsdecode(given)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if name in self.kept and not os.path.exists(path):
            shutil.copyfile(os.path.join(self.root, name), path)
        _, mark, query = text.partition("?") if text.startswith("file:") else ("", "", "")
        return f"file:{path}{mark}{query}" if text.startswith("file:") else path


def install(aside: Aside) -> None:
    """Makes `sqlite3.connect` of this process open the stand-ins."""
    real: Callable[..., Any] = sqlite3.connect

    def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
        return real(aside.database(database), *args, **kwargs)

    sqlite3.connect = sqlite3.dbapi2.connect = connect
