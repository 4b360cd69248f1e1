"""Where the tests' own database and folders lie in a proof: in its scratch folder, and whatever the
tests set to lead there leads there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DATABASE = "{scratch}/app.db"
# A file's name, or what SQLite calls a database that has none.
_IN_MEMORY = re.compile(r"|.*(?::memory:|mode=memory).*")
# "sqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///file::memory:?cache=shared&uri=true"
_ADDRESS_IN_MEMORY = re.compile(
    r"(?P<driver>sqlite\w*(?:\+\w+)?)://(?:/|.*(?::memory:|mode=memory).*)?"
)
_TEMPORARY = re.compile(r"(?:/private)?/(?:tmp|var/folders|dev/shm)/[^\s:;?,]*")
# As macOS spells a temporary folder once its links are followed.
_FOLLOWED = "/private"


def is_in_memory(store: str) -> bool:
    """Whether a database of this name is gone with its process."""
    return _IN_MEMORY.fullmatch(store) is not None


@dataclass(frozen=True)
class Mover:
    """`store`: the name of the database that the tests showed; None where they showed none."""

    store: str | None

    def move(self, value: Any) -> Any:
        """The value with the database and temporary folders moved into the scratch."""
        if isinstance(value, str):
            return self._move_text(value)
        if isinstance(value, dict):
            return {key: self.move(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.move(inner) for inner in value]
        return value

    def find_database(self, said: Mapping[str, Any]) -> str | None:
        """Where the job finds the database, by what the tests set; None where nothing of that leads
        to it. `said`: name -> value, as the tests have it.
        """
        if self.store is None:
            return None
        for text in _list_texts(said.values()):
            if DATABASE in self._move_text(text):
                return DATABASE
        for text in _list_texts(said.values()):
            folder = text.rstrip("/")
            # The application names the file itself: HOME_FOLDER=/tmp/x, and its code x/app.db.
            for spelled in (folder, _FOLLOWED + folder):
                if _TEMPORARY.fullmatch(folder) and self.store.startswith(f"{spelled}/"):
                    return self._move_text(folder) + self.store.removeprefix(spelled)
        return None

    def _move_text(self, text: str) -> str:
        if self.store is not None and is_in_memory(self.store):
            address = _ADDRESS_IN_MEMORY.fullmatch(text)
            if address is not None:
                return f"{address['driver']}:///{DATABASE}"
        if self.store:
            text = text.replace(self.store, DATABASE)
        return _TEMPORARY.sub(_move_aside, text)


def _list_texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _list_texts(value.values())
        elif isinstance(value, list):
            yield from _list_texts(value)


def _move_aside(found: re.Match[str]) -> str:
    """The same name in the scratch."""
    return f"{{scratch}}/{found[0].rstrip('/').rpartition('/')[2]}"
