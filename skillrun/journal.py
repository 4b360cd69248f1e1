"""What a write of several files is about to do, kept on the disk: whoever comes after a crash finishes it or drops it.

`.skillrun/writing.json` below the folder that is written in, twice for each write. Drafting: the drafts that will be
made; after a crash they are removed, and the tree is the old one. Ready: every draft is whole and on the disk, and what
is left to do is a rename of each; after a crash that is done, and the tree is the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from skillrun.canonical import sha256
from skillrun.errors import Refused
from skillrun.text import visible

FOLDER = ".skillrun"
NAME = f"{FOLDER}/writing.json"
_DRAFT = re.compile(r"\.(?P<name>.+)\.skillrun-[0-9]+\Z")
_PATIENCE_S = 10.0  # a write takes milliseconds


@dataclass(frozen=True)
class Step:
    """A file below the base, its draft (None: it is removed), and its sha256 before and after."""

    path: str
    draft: str | None
    before: str | None  # None: there is no such file
    after: str | None


@dataclass(frozen=True)
class Intent:
    """What a write does: its steps, every draft that may lie about, and the folders that it makes; by real paths."""

    steps: tuple[Step, ...] = ()
    drafts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


class Journal:
    """The journal of one write below `base`, which must be resolved. Only its holder writes there."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._path = base / NAME
        self._next = self._path.with_name(f"{self._path.name}-ready")

    def drafting(self, intent: Intent) -> None:
        """Drafts and folders will be made. Half a text of it says that none has been made yet."""
        put(self._path, _text("drafting", intent))
        sync_folder(self._path.parent)

    def ready(self, intent: Intent) -> None:
        """From here on the tree is the new one."""
        put(self._next, _text("ready", intent))
        self._next.replace(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Nothing is left to do."""
        for path in (self._next, self._path):
            path.unlink(missing_ok=True)
        sync_folder(self._path.parent)

    def read(self) -> tuple[bool, Intent]:
        """(whether it is ready, what it is about); nothing at all for what skillrun has not written.

        A text in a repository may say anything: only drafts are moved or removed, and only inside of it.
        """
        try:
            value = json.loads(self._path.read_bytes())
            steps = tuple(Step(**step) for step in value["steps"])
            drafts, folders = (tuple(map(str, value[name])) for name in ("drafts", "folders"))
            ready = value["state"] == "ready"
            names = [step.path for step in steps]
            fits = all(step.draft is None or _is_draft(step.draft, of=step.path) for step in steps)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False, Intent()
        fits = fits and all(map(_is_draft, drafts)) and all(map(self._is_inside, (*names, *drafts, *folders)))
        return (ready, Intent(steps, drafts, folders)) if fits else (False, Intent())

    def drop(self, intent: Intent) -> None:
        """Removes the drafts that are left, the folders that are empty, and the journal."""
        for name in intent.drafts:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (self.base / name).unlink()
        remove_empty(self.base / name for name in intent.folders)
        self.close()

    def _is_inside(self, name: str) -> bool:
        path = self.base / name
        if ".git" in (part.casefold() for part in Path(name).parts):
            return False
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            return path.is_relative_to(self.base) and path.parent.resolve() == path.parent
        return False


def draft_name(path: str) -> str:
    """Beside a file: its draft of this process."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.skillrun-{os.getpid()}"


def _is_draft(name: str, of: str | None = None) -> bool:
    folder, _, last = name.rpartition("/")
    found = _DRAFT.match(last)
    return found is not None and (of is None or (folder, found["name"]) == (of.rpartition("/")[0], Path(of).name))


def _text(state: str, intent: Intent) -> bytes:
    return json.dumps({"version": 1, "state": state, **asdict(intent)}, indent=1).encode()


@contextlib.contextmanager
def held(base: Path) -> Iterator[Journal]:
    """The journal below a folder, which must be resolved; what somebody left there is finished first.

    Raises Refused while somebody else is writing, OSError where there can be no journal.
    """
    folder = base / FOLDER
    made = not folder.exists()
    if folder.resolve() != folder:
        raise Refused(f"{folder}: a symbolic link; nothing was written", hint="replace it by a folder")
    folder.mkdir(exist_ok=True)
    try:
        with _alone(folder) as alone:
            if not alone:
                what = f"{base}: another skillrun is writing here; nothing was written"
                raise Refused(what, hint="wait for it, then run the same command again")
            _finish(base)
            yield Journal(base)
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def finish_leftover(base: Path) -> str | None:
    """Finishes or drops what a write that died has left below `base`; what a person should know of it, in one line.

    Waits a little where it has not died and is at work.
    """
    if not os.path.lexists(base / NAME):
        return None
    base = base.resolve()
    if (base / FOLDER).is_symlink():
        return None
    try:
        with _alone(base / FOLDER) as alone:
            return _finish(base) if alone else None
    except OSError as error:
        return f"{base / NAME}: an interrupted write cannot be finished: {error.strerror}"


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk, if it is still there. Some file systems cannot say so."""
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
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds the folder's lock, which the system releases when its holder dies.

    Where the file system has no such locks, nobody is seen.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        except OSError:
            return True
        else:
            return True


def _finish(base: Path) -> str | None:
    journal = Journal(base)
    if not os.path.lexists(base / NAME):
        return None
    ready, intent = journal.read()
    edited = [step.path for step in intent.steps if not _can_be_done(base, step)]
    said = None
    if ready and edited:
        said = f"{edited[0]}: changed after skillrun was interrupted while writing; what it had not written is dropped"
    elif ready:
        said = f"finished what an interrupted skillrun was writing: {', '.join(step.path for step in intent.steps)}"
        take(base, intent.steps)
    journal.drop(intent)
    return None if said is None else visible(said, limit=2_000)


def _can_be_done(base: Path, step: Step) -> bool:
    """It is done already, or the file is as it was and its draft is there."""
    now = _hash(base / step.path)
    if now == step.after:
        return True
    return now == step.before and (step.draft is None or _hash(base / step.draft) == step.after)


def take(base: Path, steps: Collection[Step]) -> None:
    """Does the steps that are not done yet."""
    for step in steps:
        take_one(base, step)
    for folder in {(base / step.path).parent for step in steps}:
        sync_folder(folder)


def take_one(base: Path, step: Step) -> None:
    """Puts a draft in the place of its file, or removes the file; nothing where that is done."""
    path = base / step.path
    if step.draft is None:
        path.unlink(missing_ok=True)
    elif os.path.lexists(base / step.draft):
        (base / step.draft).replace(path)


def _hash(path: Path) -> str | None:
    """sha256 of a file; None where there is none; "" for what is no file of its own."""
    try:
        return "" if path.is_symlink() else sha256(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        return ""


def put(path: Path, data: bytes) -> None:
    """A new file with these bytes, on the disk; a leftover of that name is replaced, a symbolic link not followed."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
