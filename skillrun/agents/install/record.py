"""`.skillrun/installed.json`: which files and entries an install has added, and for which
agents.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from skillrun.core.errors import Refused

PATH = ".skillrun/installed.json"
_VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One addition that is in a file. `value`: as it was added; for a file, the sha256 of its
    bytes.

    `made`: the containers that were made for it. `blank`: what stood between the brackets that it
    was put in.
    """

    path: str
    how: str  # see agents.interface.Addition
    keys: tuple[str, ...]
    value: Any
    agents: tuple[str, ...]
    made: tuple[tuple[str, ...], ...] = ()
    blank: str = ""

    @property
    def place(self) -> tuple[str, str, tuple[str, ...]]:
        """No two entries are in the same place."""
        return self.path, self.how, self.keys


@dataclass(frozen=True)
class Record:
    """All entries of one repository or home folder; the files and folders that did not exist
    before.
    """

    entries: tuple[Entry, ...] = ()
    created: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def entry_at(self, place: tuple[str, str, tuple[str, ...]]) -> Entry | None:
        """The entry in that place; None where there is none."""
        for entry in self.entries:
            if entry.place == place:
                return entry
        return None

    def entries_of(self, agent: str) -> tuple[Entry, ...]:
        """The entries that an agent needs."""
        found = []
        for entry in self.entries:
            if agent in entry.agents:
                found.append(entry)
        return tuple(found)

    def agents(self) -> tuple[str, ...]:
        """Every agent that something was installed for."""
        found = set[str]()
        for entry in self.entries:
            found.update(entry.agents)
        return tuple(sorted(found))

    def with_entry(self, entry: Entry) -> Record:
        """A record with this entry instead of the one in its place, or behind all others."""
        entries = list(self.entries)
        is_new = True
        for number, other in enumerate(self.entries):
            if other.place == entry.place:
                entries[number] = entry
                is_new = False
        if is_new:
            entries.append(entry)
        return replace(self, entries=tuple(entries))

    def without_entry(self, entry: Entry) -> Record:
        """A record without the entry in this one's place."""
        others = tuple(other for other in self.entries if other.place != entry.place)
        return replace(self, entries=others)


def dump_record(record: Record) -> str:
    """The record as the text of its file."""
    value = {
        "schema_version": _VERSION,
        "entries": [_as_json(entry) for entry in record.entries],
        "created": sorted(record.created),
        "folders": sorted(record.folders),
    }
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _as_json(entry: Entry) -> dict[str, Any]:
    value = {"path": entry.path, "how": entry.how, "keys": list(entry.keys), "value": entry.value}
    value["agents"] = sorted(entry.agents)
    if entry.made:
        value["made"] = [list(keys) for keys in entry.made]
    if entry.blank:
        value["blank"] = entry.blank
    return value


def read_record(text: str | None) -> Record:
    """The record of a file's text; an empty one for None. Raises Refused for what skillrun has not
    written.
    """
    if text is None:
        return Record()
    try:
        value = json.loads(text)
        if value["schema_version"] != _VERSION:
            raise ValueError("a newer version")
        entries = tuple(_from_json(entry) for entry in value["entries"])
        return Record(entries, _check_texts(value["created"]), _check_texts(value["folders"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        hint = (
            "take it back from git, or remove it: skillrun then forgets what it has installed here"
        )
        raise Refused(f"{PATH}: not as skillrun wrote it", hint=hint) from None


def _from_json(value: dict[str, Any]) -> Entry:
    """The entry that `_as_json` wrote. Raises ValueError, KeyError or TypeError for anything else:
    somebody may have edited the file.
    """
    path, how, blank = _check_texts([value["path"], value["how"], value.get("blank", "")])
    keys, agents = _check_texts(value["keys"]), _check_texts(value["agents"])
    made = tuple(_check_texts(container) for container in value.get("made", ()))
    if how not in ("member", "element", "default", "table", "file"):
        raise ValueError(how)
    # It is put back between brackets: anything but white space there would be a change of the file.
    if blank.strip(" \t\r\n"):
        raise ValueError(how)
    if how in ("table", "file"):
        _check_texts([value["value"]])
    return Entry(path, how, keys, value["value"], agents, made, blank)


def _check_texts(value: Any) -> tuple[str, ...]:
    """A list of texts as a tuple. Raises ValueError for any other value."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of texts")
    return tuple(value)
