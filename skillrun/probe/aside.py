"""A file in the scratch folder stands in for each SQLite file of the machine, so that a proof opens
none of them.

Standard library alone: it is also loaded by path in the processes of `proof.setup` (see
`workplace.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from typing import Any

_PERCENT = re.compile(r"%([0-9a-fA-F]{2})")


class Aside:
    """`free`: folders whose files are opened as they are. `kept`: files that are the repository's,
    such as reference data; what stands in for one of them begins as its copy, everything else
    begins empty.
    """

    def __init__(
        self, root: str, scratch: str, free: Sequence[str] = (), kept: Sequence[str] = ()
    ) -> None:
        self.root, self.scratch, self.kept = (
            os.path.realpath(root),
            os.path.realpath(scratch),
            frozenset(kept),
        )
        folders = (scratch, *free, sys.prefix, sys.base_prefix)
        self.free = tuple(os.path.realpath(folder) + "/" for folder in folders)

    def name_stand_in(self, database: Any) -> str | None:
        """What the stand-in is called below the scratch folder; None where the database is opened
        as it is.
        """
        if not isinstance(database, (str, bytes, os.PathLike)):
            return None
        path, is_read = path_and_mode(os.fsdecode(database))
        if path in ("", ":memory:") or is_read:
            return None
        real = os.path.realpath(path)
        if real.startswith(self.free) or "/site-packages/" in real:
            return None
        if real.startswith(self.root + "/"):
            return os.path.relpath(real, self.root)
        return real.lstrip("/")

    def make_stand_in(self, given: Any) -> Any:
        """What is opened instead. Its folder is made, so that it can be."""
        name = self.name_stand_in(given)
        if name is None:
            return given
        path, text = os.path.join(self.scratch, name), os.fsdecode(given)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if name in self.kept and not os.path.exists(path):
            shutil.copyfile(os.path.join(self.root, name), path)
        if text.startswith("file:"):
            _, mark, query = text.partition("?")
        else:
            _, mark, query = ("", "", "")
        if text.startswith("file:"):
            return f"file:{path}{mark}{query}"
        return path


def path_and_mode(database: str) -> tuple[str, bool]:
    """(path, whether it is only read) of a database's name or URI, as SQLite reads it.

    >>> path_and_mode("file:a%20b.db?mode=rwc&note=mode=ro")
    ('a b.db', False)
    """
    if not database.startswith("file:"):
        return database, False
    path, _, query = database[5:].partition("#")[0].partition("?")
    words = [word.partition("=") for word in query.split("&")]
    options = [(_decode_percent(name), _decode_percent(value)) for name, _, value in words]
    modes = {value for name, value in options if name == "mode"}
    if "memory" in modes:
        return ":memory:", False
    is_read = modes == {"ro"} or ("immutable", "1") in options
    return _decode_percent(path), is_read


def _decode_percent(text: str) -> str:
    """As SQLite does."""
    return _PERCENT.sub(lambda found: chr(int(found[1], 16)), text)


def install_aside(aside: Aside) -> None:
    """Makes `sqlite3.connect` of this process open the stand-ins."""
    real: Callable[..., Any] = sqlite3.connect

    def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
        return real(aside.make_stand_in(database), *args, **kwargs)

    sqlite3.connect = sqlite3.dbapi2.connect = connect
