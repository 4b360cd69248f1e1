"""What a write of several files is about to do, kept on the disk: a later writing command finishes
it or drops it.

The journal lies in the user's state folder, one for each folder that is written in (`Place`): what
lies in a repository may come from anybody. It is written twice for each write. Drafting: the drafts
that will be made; after a crash they are removed, and the tree is the old one. Ready: every draft
is whole and on the disk, and what is left to do is a rename of each; after a crash that is done,
and the tree is the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from skillrun.core.beneath import hash_file, is_beneath, move_file, remove_file, remove_folder
from skillrun.core.canonical import sha256
from skillrun.core.errors import Refused
from skillrun.core.file_locks import is_locked_by_another, wait_for_lock
from skillrun.core.state import make_own_folder, read_own, state_dir, write_private
from skillrun.core.text import visible

FOLDER = ".skillrun"
"""Below the folder that is written in: what is locked meanwhile."""

LEFTOVER = f"{FOLDER}/writing.json"
"""Where earlier versions kept the journal. It is never read."""

# The folder of the journals, in the state folder.
_JOURNALS = "writing"
_DRAFT = re.compile(r"\.(?P<name>.+)\.skillrun-[0-9]+\Z")
# A write takes milliseconds.
_PATIENCE_S = 10.0
_NAMES = 5  # of files in a line


@dataclass(frozen=True)
class Step:
    """A file below the base, its draft (None: it is removed), and its sha256 before and after."""

    path: str
    draft: str | None
    before: str | None  # None: there is no such file
    after: str | None


@dataclass(frozen=True)
class Intent:
    """What a write does: its steps, every draft that may lie about, and the folders that it makes;
    by real paths.
    """

    steps: tuple[Step, ...] = ()
    drafts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A folder as one user writes in it. A copy, or what was moved to the same path, is another
    place.
    """

    path: str
    device: int
    inode: int
    user: int

    @classmethod
    def find(cls, base: Path) -> Place:
        """The place of a folder, which must be resolved. Raises OSError."""
        status = base.stat()
        return cls(str(base), status.st_dev, status.st_ino, os.geteuid())

    @property
    def key(self) -> str:
        """The name of the journal of this place, as a file's name."""
        text = f"{self.device} {self.inode} {self.user} {self.path}"
        return sha256(os.fsencode(text))[:32]


class Journal:
    """The journal of one write below `base`, which must be resolved. Only its holder writes
    there.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._place = Place.find(base)
        self._path = state_dir() / _JOURNALS / f"{self._place.key}.json"
        self._next = self._path.with_name(f"{self._path.name}-ready")

    def exists(self) -> bool:
        """Whether a write is at work, or has died."""
        return os.path.lexists(self._path)

    def note_drafting(self, intent: Intent) -> None:
        """Notes that drafts and folders are about to be made. Half a text of it says that none has
        been made yet.

        Raises Refused where it cannot be kept: then nothing may be begun.
        """
        try:
            make_own_folder(self._path.parent)
            write_private(self._path, self._render_state("drafting", intent))
            sync_folder(self._path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                # Half a text, on a full disk.
                self.close()
            what = (
                f"{error.filename or self._path.parent}: what is about to be written cannot be"
                " noted there"
            )
            hint = "set SKILLRUN_STATE_DIR to a folder outside the repository that you can write"
            raise Refused(f"{what}: {error.strerror}; nothing was written", hint=hint) from None

    def ready(self, intent: Intent) -> None:
        """From here on the tree is the new one."""
        write_private(self._next, self._render_state("ready", intent))
        self._next.replace(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Removes the journal, since nothing is left to do."""
        for path in (self._next, self._path):
            path.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    def read(self) -> tuple[bool, Intent]:
        """Whether the write is ready, and what it is about; an empty intent for what skillrun has
        not written.

        Only drafts are moved or removed, and only inside of the folder, whatever the text says.
        """
        try:
            value = json.loads(read_own(self._path) or b"")
            steps = tuple(Step(**step) for step in value["steps"])
            drafts, folders = (tuple(map(str, value[name])) for name in ("drafts", "folders"))
            ready = value["state"] == "ready"
            is_here = value["place"] == asdict(self._place)
        except (ValueError, KeyError, TypeError, RecursionError):
            return False, Intent()
        intent = Intent(steps, drafts, folders)
        if is_here and _is_allowed(intent):
            return (ready, intent)
        return (False, Intent())

    def drop(self, intent: Intent) -> None:
        """Removes the drafts that are left, the folders that are empty, and the journal."""
        for name in intent.drafts:
            # What cannot be reached any more is no draft of ours: a link has taken the place of its
            # folder.
            with contextlib.suppress(OSError):
                remove_file(self.base, name)
        # The innermost first: a folder goes only when it is empty.
        for name in sorted(intent.folders, reverse=True):
            remove_folder(self.base, name)
        self.close()

    def _render_state(self, state: str, intent: Intent) -> bytes:
        """The text of a journal."""
        value = {"version": 2, "state": state, "place": asdict(self._place), **asdict(intent)}
        return json.dumps(value, indent=1).encode()


def draft_name(path: str) -> str:
    """The path of a file's draft, which this process makes beside it."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.skillrun-{os.getpid()}"


def _is_allowed(intent: Intent) -> bool:
    """Whether an intent moves drafts alone, each to its own file, inside of the folder."""
    names = [*(step.path for step in intent.steps), *intent.drafts, *intent.folders]
    for step in intent.steps:
        if step.draft is not None and not _is_draft(step.draft, of=step.path):
            return False
    return all(map(_is_draft, intent.drafts)) and all(map(is_beneath, names))


def _is_draft(name: str, of: str | None = None) -> bool:
    """Whether a name is that of a draft; with `of`, whether it is a draft of that file."""
    folder, _, last = name.rpartition("/")
    found = _DRAFT.match(last)
    return found is not None and (
        of is None or (folder, found["name"]) == (of.rpartition("/")[0], Path(of).name)
    )


@contextlib.contextmanager
def hold_journal(base: Path) -> Iterator[Journal]:
    """Gives the journal of a folder, which must be resolved, and lets nobody else write there
    meanwhile. What somebody left there is finished first.

    Raises Refused while somebody else is writing, OSError where there can be no lock.
    """
    with _hold_lock(base) as alone:
        if not alone:
            what = f"{base}: another skillrun is writing here; nothing was written"
            raise Refused(what, hint="wait for it, then run the same command again")
        _finish_write(Journal(base))
        yield Journal(base)


def finish_leftover(base: Path) -> str | None:
    """Finishes or drops what a write that died has left below `base`; what a person should know of
    it, in one line.

    For commands that write. Waits a little where it has not died and is at work.
    """
    base = base.resolve()
    if not base.is_dir():
        return None
    journal = Journal(base)
    if not journal.exists():
        return None
    try:
        with _hold_lock(base) as alone:
            if not alone:
                return None
            return _finish_write(journal)
    except OSError as error:
        return f"{base}: an interrupted write cannot be finished: {error.strerror}"


def find_leftover(base: Path) -> str | None:
    """What a write that died has left below `base`, in one line; for commands that read, and change
    nothing.
    """
    base = base.resolve()
    if not base.is_dir():
        return None
    journal = Journal(base)
    if not journal.exists() or _is_at_work(base):
        return None
    ready, intent = journal.read()
    names = [step.path for step in intent.steps]
    if ready and names:
        shown = ", ".join(names[:_NAMES])
        more = ""
        if len(names) > _NAMES:
            more = f" and {len(names) - _NAMES} more"
        said = (
            f"an interrupted skillrun has written half of {shown}{more}; the next command that"
            " writes finishes it"
        )
    else:
        said = (
            "an interrupted skillrun has left drafts here; the next command that writes removes"
            " them"
        )
    return visible(said, limit=2_000)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, if it is still there. Some file systems
    cannot say so.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def remove_empty(folders: Iterable[Path]) -> list[Path]:
    """Removes those of the folders that are empty, the innermost first, and returns them."""
    gone = []
    for folder in sorted(folders, reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
            gone.append(folder)
    return gone


@contextlib.contextmanager
def _hold_lock(base: Path) -> Iterator[bool]:
    """Holds the lock of a folder, whose own folder is made for it. Gives False where somebody else
    has it.

    The system releases the lock when its holder dies. Where the file system has no such locks,
    nobody is seen.
    """
    folder = base / FOLDER
    made = not os.path.lexists(folder)
    if folder.is_symlink():
        raise Refused(
            f"{folder}: a symbolic link; nothing was written", hint="replace it by a folder"
        )
    folder.mkdir(exist_ok=True)
    try:
        fd = os.open(folder, _LOCKED)
        try:
            yield _try_lock(fd)
        finally:
            os.close(fd)
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


_LOCKED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _is_at_work(base: Path) -> bool:
    """Whether somebody holds the lock. It is asked for a moment: who comes then waits for
    longer.
    """
    try:
        fd = os.open(base / FOLDER, _LOCKED)
    except OSError:
        return False
    try:
        return is_locked_by_another(fd)
    except OSError:
        return False  # a file system without locks: nobody is seen there
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    """Waits a little for a lock. False where somebody else keeps it."""
    try:
        return wait_for_lock(fd, _PATIENCE_S)
    except OSError:
        return True  # a file system without locks: nobody is seen there


def _finish_write(journal: Journal) -> str | None:
    """Finishes or drops the write of a journal, under the lock; what a person should know of it, in
    one line. None where there is none.
    """
    if not journal.exists():
        return None
    ready, intent = journal.read()
    edited = []
    for step in intent.steps:
        if not _can_be_done(journal.base, step):
            edited.append(step.path)
    said = None
    if ready and edited:
        said = (
            f"{edited[0]}: changed after skillrun was interrupted while writing; what it had not"
            " written is dropped"
        )
    elif ready:
        said = (
            "finished what an interrupted skillrun was writing:"
            f" {', '.join(step.path for step in intent.steps)}"
        )
        take_steps(journal.base, intent.steps)
    journal.drop(intent)
    if said is None:
        return None
    return visible(said, limit=2_000)


def _can_be_done(base: Path, step: Step) -> bool:
    """Whether a step is done already, or can be: the file is as it was, and its draft is there."""
    now = hash_file(base, step.path)
    if now == step.after:
        return True
    return now == step.before and (step.draft is None or hash_file(base, step.draft) == step.after)


def take_steps(base: Path, steps: Collection[Step]) -> None:
    """Does the steps that are not done yet."""
    for step in steps:
        take_step(base, step)
    for folder in {(base / step.path).parent for step in steps}:
        sync_folder(folder)


def take_step(base: Path, step: Step) -> None:
    """Puts a draft in the place of its file, or removes the file; nothing where that is done."""
    if step.draft is None:
        remove_file(base, step.path)
    else:
        move_file(base, step.draft, step.path)
