"""What an install or uninstall would change, worked out in memory; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from skillrun.agents.install import jsontext, present, record
from skillrun.agents.install.program import own_program, with_program
from skillrun.agents.install.record import Entry
from skillrun.agents.interface import Addition
from skillrun.core.errors import Refused
from skillrun.core.files import Change, Files
from skillrun.core.resources import resource

if TYPE_CHECKING:
    from skillrun.agents.interface import Installable

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


def list_additions(agent: Installable, *, user: bool) -> tuple[Addition, ...]:
    """Everything that an install of this agent adds: the skills as they ship, then its own
    files. Those of a home folder start this skillrun by its full path.
    """
    additions = []
    for folder in agent.SKILLS:
        for name in SKILLS:
            text = resource("skills", name, "SKILL.md").read_text("utf-8")
            additions.append(Addition(f"{folder}/{name}/SKILL.md", "file", (), text))
    if not user:
        return (*additions, *agent.PROJECT)
    program = own_program()
    for one in agent.USER:
        additions.append(with_program(one, program))
    return tuple(additions)


def plan_install(agent: Installable, base: Path, *, user: bool) -> Plan:
    """What is missing of an agent's additions below `base`, the repository's root or the home
    folder.

    What is there already stays byte for byte. Raises Refused for a file that cannot be merged into.
    """
    work = _Work(base)
    additions = list_additions(agent, user=user)
    places = {(one.path, one.how, one.keys) for one in additions}
    for entry in reversed(work.record.entries_of(agent.ID)):
        # An older version of skillrun added it.
        if entry.place not in places:
            work.give_up(entry, agent.ID)
    for one in additions:
        work.add_for(agent.ID, one)
    return work.make_plan(record_first=True)


def plan_uninstall(agent: Installable, base: Path) -> Plan:
    """What the record says was added for an agent, taken back where it is as it was. Raises Refused
    as above.
    """
    work = _Work(base)
    for entry in reversed(work.record.entries_of(agent.ID)):
        work.give_up(entry, agent.ID)
    return work.make_plan(record_first=False)


class _Work:
    """Files and record, while additions go in and out."""

    def __init__(self, base: Path) -> None:
        self.files = Files(base)
        self.record = record.read_record(self.files.text(record.PATH))
        self.notes: list[tuple[str, str]] = []
        self.seen: dict[str, None] = {}

    def add_for(self, agent: str, one: Addition) -> None:
        """Puts an addition into its file, unless it or something else of its name is there.

        What an older version of skillrun wrote there is replaced, as long as nobody has edited it.
        """
        entry = self.record.entry_at((one.path, one.how, one.keys))
        if entry and self._is_older(entry, one) and not self._take_out(entry):
            self.notes.append((one.path, _EDITED))
            return
        agents = {agent}
        if entry:
            agents.update(entry.agents)
        in_order = tuple(sorted(agents))
        text = self._read_text(one.path)
        there = _refuse_unfit(one.path, lambda: present.find_presence(text, one))
        if there == "none":
            self._put_in(text, one, in_order, entry)
            return
        if entry:
            self.record = self.record.with_entry(replace(entry, agents=in_order))
        if there == "other":
            self.notes.append((one.path, _EDITED if entry else _OTHERS))

    def give_up(self, entry: Entry, agent: str) -> None:
        """Takes an agent's entry out of its file and of the record; it stays where another agent
        needs it, too.
        """
        others = tuple(name for name in entry.agents if name != agent)
        if others:
            self.record = self.record.with_entry(replace(entry, agents=others))
            self.notes.append((entry.path, f"stays for {', '.join(others)}"))
            return
        if not self._take_out(entry):
            self.notes.append((entry.path, _EDITED))
        self.record = self.record.without_entry(entry)

    def make_plan(self, *, record_first: bool) -> Plan:
        """The plan, with the record as its first or its last change.

        It comes first in an install and last in an uninstall: whoever is killed in between leaves a
        record that says too much, never too little.
        """
        before = self.record.folders
        # The record's own folder may be missing, too: it must be among the changes when they are
        # asked.
        self.files.put(record.PATH, b"")
        folders = tuple(sorted({*before, *self.files.missing_folders()}))
        self.record = replace(self.record, folders=folders)
        content = None
        if self.record.entries:
            content = record.dump_record(self.record).encode()
        self.files.put(record.PATH, content)
        changes = self.files.changes()
        of_record = [change for change in changes if change.name == record.PATH]
        of_others = [change for change in changes if change.name != record.PATH]
        in_order = [*of_others, *of_record]
        if record_first:
            in_order = [*of_record, *of_others]
        changed = {change.path for change in changes}
        unchanged = tuple(name for name in self.seen if self.files.folder(name) not in changed)
        gone = tuple(self.files.folder(name) for name in before)
        return Plan(tuple(in_order), unchanged, tuple(dict.fromkeys(self.notes)), gone)

    def _read_text(self, path: str) -> str | None:
        """The text of a file as it is by now, None where there is none; the plan then names it."""
        self.seen[path] = None
        return self.files.text(path)

    def _is_older(self, entry: Entry, one: Addition) -> bool:
        """Whether what was added then is not what is added now; a table's entry keeps the text with
        its surroundings.
        """
        if one.how == "table":
            return one.value not in entry.value.replace("\r\n", "\n")
        return bool(entry.value != present.recorded_value(one))

    def _put_in(
        self, text: str | None, one: Addition, agents: tuple[str, ...], old: Entry | None
    ) -> None:
        """Writes an addition that is missing; the record also keeps what was made for the `old` one
        in its place, so that an uninstall takes that away.
        """
        new, entry = _refuse_unfit(one.path, lambda: present.put_in(text, one, agents))
        if old:
            # The outermost container first, as `Entry` has them.
            entry = replace(entry, made=tuple(sorted({*old.made, *entry.made}, key=len)))
        if text is None:
            created = {*self.record.created, one.path}
            self.record = replace(self.record, created=tuple(sorted(created)))
        self.files.put(one.path, new.encode())
        self.record = self.record.with_entry(entry)

    def _take_out(self, entry: Entry) -> bool:
        """Takes an entry out of its file. False where it was edited since; True where it is out, or
        was already.
        """
        text = self._read_text(entry.path)
        if text is None:
            return True
        created = entry.path in self.record.created
        new = _refuse_unfit(entry.path, lambda: present.take_out(text, entry, created=created))
        if new is None:
            return False
        gone = entry.how == "file" or (created and present.is_empty(new, entry.how))
        if gone:
            left = tuple(path for path in self.record.created if path != entry.path)
            self.record = replace(self.record, created=left)
        self.files.put(entry.path, None if gone else new.encode())
        return True


def _refuse_unfit(path: str, work: Callable[[], _T]) -> _T:
    """What `work` gives for a file. Raises Refused with the file's name where it has no room."""
    try:
        return work()
    except jsontext.Unfit as error:
        hint = "mend the file, or make the entry by hand: docs/agents.md"
        raise Refused(f"{path}: {error}; nothing was written", hint=hint) from None


def diff_lines(change: Change) -> Iterator[str]:
    """The change of one file as the lines of a unified diff."""
    import difflib

    before, after = _split_lines(change.before), _split_lines(change.after)
    old_name = f"a/{change.name}"
    if change.before is None:
        old_name = "/dev/null"
    yield from difflib.unified_diff(before, after, old_name, f"b/{change.name}", lineterm="")


def _split_lines(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8", "replace").splitlines()
