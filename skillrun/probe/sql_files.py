"""Other files that a connection of SQLite would get at: ATTACH, VACUUM INTO, a copy of pages,
another image.
"""

from __future__ import annotations

import os
import re
import sqlite3
from typing import Any

from .aside import path_and_mode
from .recorder import Recorder

_COMMENTS = r"(?:\s|;|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_ATTACH = re.compile(
    rf"{_COMMENTS}attach\b\s*(?:database\b)?(?P<what>.+?)\bas\b", re.IGNORECASE | re.DOTALL
)
_VACUUM = re.compile(rf"{_COMMENTS}vacuum\b.*?\binto\b(?P<what>.+)", re.IGNORECASE | re.DOTALL)
# Numbers in the header of a database, in which a job can remember something that no query of a
# table shows.
_HEADER = re.compile(
    rf"{_COMMENTS}pragma\s+(?:\w+\.)?(?P<name>user_version|application_id)\s*[=(]", re.IGNORECASE
)
_BEGINS = re.compile(rf"{_COMMENTS}(?:attach|vacuum|pragma)\b", re.IGNORECASE | re.DOTALL)
_TEXT = re.compile(
    r"""\s*(?P<mark>['"])(?P<text>(?:(?!(?P=mark)).|(?P=mark){2})*)(?P=mark)[\s;]*""", re.DOTALL
)
_GIVEN = re.compile(r"\s*(?:\?(?P<number>\d*)|[:@$](?P<name>\w+))[\s;]*")
_UNKNOWN = "a file that only the statement knows"


class OtherFiles:
    """Says what a connection does to another file than its own, and refuses it outside of the
    scratch folder.
    """

    def __init__(self, recorder: Recorder, scratch: str) -> None:
        self.recorder, self.scratch = recorder, os.path.realpath(scratch) + "/"

    def check_statement(self, sql: str, args: tuple[Any, ...]) -> None:
        """Before a statement runs. Raises sqlite3.OperationalError."""
        if not _BEGINS.match(sql) or self.recorder.quiet_depth:
            return
        header = _HEADER.match(sql)
        if header:
            self.tell_use(f"PRAGMA {header['name']}, which no query of proof.state reads")
        for verb, form in (("ATTACH of", _ATTACH), ("VACUUM INTO", _VACUUM)):
            found = form.match(sql)
            if found:
                self._meet_file(verb, _read_value(found["what"], args))

    def _meet_file(self, verb: str, database: str | None) -> None:
        if database is not None:
            path, is_read = path_and_mode(database)
        else:
            path, is_read = ("", False)
        if database is not None and path in ("", ":memory:"):
            return
        if is_read and verb == "ATTACH of":
            return
        if path:
            name = os.path.realpath(path)
        else:
            name = _UNKNOWN
        self.tell_use(f"{verb} {self._show_name(name)}")
        if not name.startswith(self.scratch):
            raise sqlite3.OperationalError(f"skillrun lets a proof open no other database: {name}")

    def _show_name(self, name: str) -> str:
        if name.startswith(self.scratch):
            return "{scratch}/" + name[len(self.scratch) :]
        root = self.recorder.root
        if name.startswith(root):
            return name[len(root) :]
        return name

    def tell_use(self, what: str) -> None:
        """At import, each delivery is to say it."""
        told = {"kind": "store", "detail": what[:200], "place": self.recorder.find_place()}
        if self.recorder.channel is None:
            self.recorder.early.append(told)
        elif self.recorder.is_own_doing:
            self.recorder.emit("undeclared", **told)

    # -- what no statement says

    def list_methods(self, base: type) -> dict[str, Any]:
        """Those of a connection class that write whole pages, as far as this Python has them."""

        def backup(connection: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(target, "_skillrun_store", "") != ":memory:":
                self.tell_use("a backup into another database")
            return base.backup(connection, target, *args, **kwargs)  # type: ignore[attr-defined]

        def deserialize(connection: Any, *args: Any, **kwargs: Any) -> Any:
            self.tell_use("another database in place of the connection's own")
            return base.deserialize(connection, *args, **kwargs)  # type: ignore[attr-defined]

        def blobopen(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if not kwargs.get("readonly"):
                self.tell_use("a blob that is opened for writing")
            return base.blobopen(connection, *args, **kwargs)  # type: ignore[attr-defined]

        made = {"backup": backup, "deserialize": deserialize, "blobopen": blobopen}
        found = {}
        for name, method in made.items():
            if hasattr(base, name):
                found[name] = method
        return found


def _read_value(text: str, args: tuple[Any, ...]) -> str | None:
    """What an expression stands for; None where that is not to be seen."""
    literal = _TEXT.fullmatch(text)
    if literal:
        return literal["text"].replace(literal["mark"] * 2, literal["mark"])
    given = _GIVEN.fullmatch(text)
    if given is None or not args:
        return None
    try:
        if given["name"]:
            held = args[0][given["name"]]
        else:
            held = args[0][int(given["number"] or 1) - 1]
    except (LookupError, TypeError):
        return None
    if isinstance(held, (str, bytes)):
        return os.fsdecode(held)
    return None
