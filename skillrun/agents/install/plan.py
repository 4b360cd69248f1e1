"""What an install or uninstall would change, worked out in memory; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from skillrun.agents.install import jsontext, present, record
from skillrun.agents.install.record import Entry
from skillrun.agents.interface import Addition
from skillrun.core.errors import Refused
from skillrun.core.files import Change, Files
from skillrun.core.resources import resource

if TYPE_CHECKING:
    from skillrun.agents.interface import Agent

_T = TypeVar("_T")
SKILLS = ("job-worker-orchestration", "skillrun")
_EDITED = "edited since skillrun wrote it: left as it is"
_OTHERS = "something else of that name is there: left as it is"


@dataclass(frozen=True)
class Plan:
    """The changes to write; every file that was looked at; a note for what is left as it is;
    folders to take away.
    """

    changes: tuple[Change, ...]
    unchanged: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()  # (path, what a person should know)
    folders: tuple[Path, ...] = ()


def wanted(agent: Agent, *, user: bool) -> tuple[Addition, ...]:
    """Everything that an install of this agent adds: the skills as they ship, then its own
    files.
    """
    skills = (
        Addition(
            f"{folder}/{name}/SKILL.md",
            "file",
            (),
            resource("skills", name, "SKILL.md").read_text("utf-8"),
        )
        for folder in agent.SKILLS
        for name in SKILLS
    )
    return (*skills, *(agent.USER if user else agent.PROJECT))


def plan_install(agent: Agent, base: Path, *, user: bool) -> Plan:
    """What is missing of an agent's additions below `base`, the repository's root or the home
    folder.

    What is there already stays byte for byte. Raises Refused for a file that cannot be merged into.
    """
    work = _Work(base)
    additions = wanted(agent, user=user)
    places = {(one.path, one.how, one.keys) for one in additions}
    for entry in reversed(work.record.of(agent.ID)):
        # An older version of skillrun added it.
        if entry.place not in places:
            work.give_up(entry, agent.ID)
    for one in additions:
        work.add(one, agent.ID)
    return work.plan(record_first=True)


def plan_uninstall(agent: Agent, base: Path) -> Plan:
    """What the record says was added for an agent, taken back where it is as it was. Raises Refused
    as above.
    """
    work = _Work(base)
    for entry in reversed(work.record.of(agent.ID)):
        work.give_up(entry, agent.ID)
    return work.plan(record_first=False)


class _Work:
    """Files and record, while additions go in and out."""

    def __init__(self, base: Path) -> None:
        self.files = Files(base)
        self.record = record.read(self.files.text(record.PATH))
        self.notes: list[tuple[str, str]] = []
        self.seen: dict[str, None] = {}

    def add(self, one: Addition, agent: str) -> None:
        entry = self.record.at((one.path, one.how, one.keys))
        agents = tuple(sorted({agent, *(entry.agents if entry else ())}))
        if entry and self._is_older(entry, one) and not self._take_out(entry):
            self.notes.append((one.path, _EDITED))
            return
        text = self._text(one.path)
        there = _fitting(one.path, lambda: present.presence(text, one))
        if there == "none":
            self._put_in(text, one, agents, entry)
        elif entry:
            self.record = self.record.put(replace(entry, agents=agents))
        if there == "other":
            self.notes.append((one.path, _EDITED if entry else _OTHERS))

    def give_up(self, entry: Entry, agent: str) -> None:
        others = tuple(name for name in entry.agents if name != agent)
        if others:
            self.record = self.record.put(replace(entry, agents=others))
            self.notes.append((entry.path, f"stays for {', '.join(others)}"))
            return
        if not self._take_out(entry):
            self.notes.append((entry.path, _EDITED))
        self.record = self.record.drop(entry)

    def plan(self, *, record_first: bool) -> Plan:
        """`record_first`: whoever is killed in between leaves a record that says too much, never
        too little.
        """
        before = self.record.folders
        self.files.put(record.PATH, b"")
        folders = tuple(sorted({*before, *self.files.missing_folders()}))
        self.record = replace(self.record, folders=folders)
        self.files.put(
            record.PATH, record.dump(self.record).encode() if self.record.entries else None
        )
        changes = sorted(
            self.files.changes(), key=lambda change: (change.name == record.PATH) != record_first
        )
        changed = {change.path for change in changes}
        unchanged = tuple(name for name in self.seen if self.files.folder(name) not in changed)
        gone = tuple(self.files.folder(name) for name in before)
        return Plan(tuple(changes), unchanged, tuple(dict.fromkeys(self.notes)), gone)

    def _text(self, path: str) -> str | None:
        self.seen[path] = None
        return self.files.text(path)

    def _is_older(self, entry: Entry, one: Addition) -> bool:
        """A table's entry keeps the text with its surroundings, and a table is never replaced: only
        Codex has one.
        """
        return one.how != "table" and entry.value != present.stored(one)

    def _put_in(
        self, text: str | None, one: Addition, agents: tuple[str, ...], old: Entry | None
    ) -> None:
        new, entry = _fitting(one.path, lambda: present.put_in(text, one, agents))
        if old:
            entry = replace(entry, made=tuple(sorted({*old.made, *entry.made}, key=len)))
        if text is None:
            self.record = replace(
                self.record, created=tuple(sorted({*self.record.created, one.path}))
            )
        self.files.put(one.path, new.encode())
        self.record = self.record.put(entry)

    def _take_out(self, entry: Entry) -> bool:
        """False where it was edited since; True where it is out, or was already."""
        text = self._text(entry.path)
        if text is None:
            return True
        created = entry.path in self.record.created
        new = _fitting(entry.path, lambda: present.take_out(text, entry, created=created))
        if new is None:
            return False
        gone = entry.how == "file" or (created and present.is_empty(new, entry.how))
        if gone:
            left = tuple(path for path in self.record.created if path != entry.path)
            self.record = replace(self.record, created=left)
        self.files.put(entry.path, None if gone else new.encode())
        return True


def _fitting(path: str, work: Callable[[], _T]) -> _T:
    try:
        return work()
    except jsontext.Unfit as error:
        hint = "mend the file, or make the entry by hand: docs/agents.md"
        raise Refused(f"{path}: {error}; nothing was written", hint=hint) from None


def diff(change: Change) -> Iterator[str]:
    """One file as lines of a unified diff."""
    import difflib

    before, after = (
        (data or b"").decode("utf-8", "replace").splitlines()
        for data in (change.before, change.after)
    )
    names = ("/dev/null" if change.before is None else f"a/{change.name}", f"b/{change.name}")
    yield from difflib.unified_diff(before, after, *names, lineterm="")
