"""The folder of one proof: its scratch, put back to the snapshot before every schedule, and what
lies beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skillrun.core.errors import Blocked
from skillrun.core.file_locks import is_locked_by_another

_MOST = 512 * 1024 * 1024  # bytes of a snapshot: it is kept in memory
SHARED_MEMORY = Path("/dev/shm")
_OURS = re.compile(r"skillrun-\d+-\w+")
# A proof holds a lock on this file for as long as it lives. The number in the folder's name tells
# nothing to who counts processes otherwise: another container may share the folder above.
_ALIVE = "alive"
# Seconds in which a folder that was just made gets its lock.
_YOUNG_S = 60.0


def remove_left_folders(base: Path) -> None:
    """Removes from a folder what proofs have left there that were killed."""
    for path in base.glob("skillrun-*-*"):
        # One that has ended removes its own since the folder was listed.
        with contextlib.suppress(OSError):
            is_ours = _OURS.fullmatch(path.name) and not path.is_symlink()
            if is_ours and path.stat().st_uid == os.getuid() and _is_left(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether the proof that a folder belongs to lives no more."""
    # Its lock is taken only once it is there, and must not be taken away in between.
    if time.time() - folder.stat().st_mtime <= _YOUNG_S:
        return False
    try:
        alive = os.open(folder / _ALIVE, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        # A release before locks has made it: "skillrun-4711-abc" -> 4711
        return not _is_running(int(folder.name.split("-")[1]))
    try:
        return not is_locked_by_another(alive)
    finally:
        os.close(alive)


def _is_running(number: int) -> bool:
    """Whether there is a process of that number here."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it is somebody else's
    return True


def _explain_no_room(base: str | None, error: OSError) -> Blocked:
    """The error that says where no folder can be made, and what to do."""
    where = base or tempfile.gettempdir()
    hint = "make room there, or set TMPDIR to a folder with room"
    return Blocked(f"no scratch folder can be made in {where}: {error.strerror}", hint=hint)


@dataclass(frozen=True)
class _Marks:
    """What a file or a folder carries besides its content."""

    mode: int
    changed_ns: int
    attributes: dict[str, bytes]

    @classmethod
    def read(cls, path: Path) -> _Marks:
        status = path.stat()
        return cls(stat.S_IMODE(status.st_mode), status.st_mtime_ns, _read_attributes(path))

    def put_on(self, path: Path) -> None:
        """Gives a file or a folder these again, and no others."""
        if stat.S_IMODE(path.stat().st_mode) != self.mode:
            path.chmod(self.mode)
        now = _read_attributes(path)
        # Some systems let nobody change what they hold of their own.
        for name in now.keys() - self.attributes.keys():
            with contextlib.suppress(OSError):
                os.removexattr(path, name)
        for name, value in self.attributes.items():
            if now.get(name) != value:
                with contextlib.suppress(OSError):
                    os.setxattr(path, name, value)


def _read_attributes(path: Path) -> dict[str, bytes]:
    """The extended attributes of a file; none where the system has none."""
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except (OSError, AttributeError):
        return {}


@dataclass(frozen=True)
class _Snapshot:
    """What the scratch held, by paths within it: the content of files, folders, and where links
    lead.
    """

    files: dict[str, bytes]
    folders: frozenset[str]
    links: dict[str, str]
    # Of files and folders: a job may remember by these as by what stands in a file.
    marks: dict[str, _Marks] = field(default_factory=dict)

    def move(self, there: bytes, here: bytes) -> _Snapshot:
        """The same with another folder's path in the place of `there`."""
        links = _replace_path(
            {name: os.fsencode(to) for name, to in self.links.items()}, there, here
        )
        targets = {name: os.fsdecode(to) for name, to in links.items()}
        files = _replace_path(self.files, there, here)
        return _Snapshot(files, self.folders, targets, self.marks)


class Folders:
    """The folders of one proof. `scratch` is what a spec calls {scratch}; `home` and `tmp` are the
    deliveries' own; `run` holds sockets and output.
    """

    def __init__(self) -> None:
        shm = SHARED_MEMORY
        base = str(shm) if shm.is_dir() and os.access(shm, os.W_OK | os.X_OK) else None
        remove_left_folders(Path(base or tempfile.gettempdir()))
        try:
            self.folder = Path(tempfile.mkdtemp(prefix=f"skillrun-{os.getpid()}-", dir=base))
        except OSError as error:
            raise _explain_no_room(base, error) from error
        self._alive: int | None = None
        self.scratch, self.home = self.folder / "scratch", self.folder / "home"
        self.tmp, self.run = self.folder / "tmp", self.folder / "run"
        try:
            self._alive = os.open(self.folder / _ALIVE, os.O_CREAT | os.O_RDONLY, 0o600)
            fcntl.flock(self._alive, fcntl.LOCK_EX)
            for part in (self.scratch, self.home, self.tmp, self.run):
                part.mkdir(mode=0o700)
            if os.geteuid() == 0:
                # A server that root starts is somebody else, and must pass here to reach its own
                # folder; `tmp` is /tmp inside, and an interpreter may lie below that.
                for part in (self.folder, self.run, self.tmp):
                    part.chmod(0o711)
        except OSError as error:
            self.remove()
            raise _explain_no_room(base, error) from error
        self._now = _Snapshot({}, frozenset(), {})
        self._first: _Snapshot | None = None
        self._second = self._now

    def snapshot(self) -> dict[str, bytes]:
        """Remembers the scratch as it is, and returns its files: path -> content. Raises Blocked
        where they are more than can be kept.
        """
        self._now = self._read_scratch()
        self._first = self._first or self._now
        return self._now.files

    def keep_second(self) -> None:
        """Remembers the scratch as it is, beside the snapshot. Raises Blocked as `snapshot`
        does.
        """
        self._second = self._read_scratch()

    def _read_scratch(self) -> _Snapshot:
        """What is in the scratch. Raises Blocked where it is more than can be kept."""
        size = sum((self.scratch / name).stat().st_size for name in self._list_files())
        if size > _MOST:
            said = (
                f"the scratch holds {size >> 20} MB after proof.setup; at most {_MOST >> 20} MB can"
                " be kept"
            )
            raise Blocked(said, hint="let the setup write less into {scratch}")
        files = {name: (self.scratch / name).read_bytes() for name in self._list_files()}
        folders, links = set(), {}
        for path in self.scratch.rglob("*"):
            name = str(path.relative_to(self.scratch))
            if path.is_symlink():
                links[name] = str(path.readlink())
            elif path.is_dir():
                folders.add(name)
        marks = {name: _Marks.read(self.scratch / name) for name in (*files, *folders)}
        return _Snapshot(files, frozenset(folders), links, marks)

    @property
    def kept(self) -> dict[str, bytes]:
        """The files of the last snapshot: path -> content."""
        return self._now.files

    def adopt(self, other: Folders) -> None:
        """Takes over another workplace's snapshot, and its first one: what a setup draws at random
        is the same in both, also before the application's own call. Where the setup has written
        that workplace's path into a file, such as a database's path in a module of settings, this
        one's is put in its place.
        """
        there, here = os.fsencode(other.folder), os.fsencode(self.folder)
        if other._first is not None:
            self._first = other._first.move(there, here)
        self._now = other._now.move(there, here)
        self.restore()

    def adopt_second(self, other: Folders) -> None:
        """Takes over what another workplace has kept beside its snapshot, as `adopt` does."""
        there, here = os.fsencode(other.folder), os.fsencode(self.folder)
        self._second = other._second.move(there, here)

    def restore(self, *, first: bool = False) -> None:
        """Puts the scratch back as the last snapshot has it; `first`: as the first one has it."""
        kept = self._now
        if first and self._first:
            kept = self._first
        self._put_back(kept)

    def restore_second(self) -> None:
        """Puts the scratch back as it was kept beside the snapshot."""
        self._put_back(self._second)

    def _put_back(self, kept: _Snapshot) -> None:
        """Makes the scratch hold what was kept, and nothing else.

        No sandbox stands around this process: nothing is written through a link that a delivery has
        put in the place of a file, and no pipe is waited for.
        """
        for folder, inner, names in os.walk(self.scratch):
            for name in (*inner, *names):
                # A server may take away a file of its own meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    self._remove_stray(Path(folder) / name, kept)
        for name in sorted(kept.folders):
            (self.scratch / name).mkdir(parents=True, exist_ok=True)
        for name, target in kept.links.items():
            if not os.path.lexists(self.scratch / name):
                (self.scratch / name).symlink_to(target)
        for name, content in kept.files.items():
            # A link leads outside, or to a file that is kept by its own name.
            if name not in kept.links:
                path = self.scratch / name
                path.write_bytes(content)
                if name in kept.marks:
                    # It was made anew where a delivery had removed it.
                    kept.marks[name].put_on(path)
                    os.utime(path, ns=(kept.marks[name].changed_ns,) * 2)
        # Last, since a folder may let nobody write in it.
        for name in kept.folders & kept.marks.keys():
            kept.marks[name].put_on(self.scratch / name)
        for path in sorted(self.scratch.rglob("*"), reverse=True):
            if path.is_dir() and str(path.relative_to(self.scratch)) not in kept.folders:
                # What could not be removed holds something that is no file of ours.
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _remove_stray(self, path: Path, kept: _Snapshot) -> None:
        """Removes a file or a link that the snapshot does not have, and whatever has taken the
        place of what it has. A pipe or a socket of its own name is left alone.
        """
        name = str(path.relative_to(self.scratch))
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            is_kept = kept.links.get(name) == str(path.readlink())
        elif name in kept.links:
            is_kept = False
        elif stat.S_ISREG(mode):
            is_kept = name in kept.files
        elif stat.S_ISDIR(mode):
            is_kept = name not in kept.files
        else:
            is_kept = name not in kept.files and name not in kept.folders
        if not is_kept and stat.S_ISDIR(mode):
            shutil.rmtree(path)
        elif not is_kept:
            path.unlink()
        elif name in kept.marks and not stat.S_ISLNK(mode):
            # Before anything is written into it.
            kept.marks[name].put_on(path)

    def _list_files(self) -> list[str]:
        """The files of the scratch, as paths within it."""
        found = []
        for folder, _, names in os.walk(self.scratch):
            for name in names:
                path = Path(folder) / name
                if path.is_file():
                    found.append(str(path.relative_to(self.scratch)))
        return found

    def digest_file(self, name: str) -> str | None:
        """The digest of a file's content; None where there is no such file."""
        path = self.scratch / name
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def find_loss(self) -> Blocked | None:
        """The error that says what somebody has removed while the proof ran; None where all is
        there. A database that is gone looks like one that was never written.
        """
        parts = (self.folder / _ALIVE, self.scratch, self.home, self.tmp, self.run)
        for part in parts:
            if not part.exists():
                hint = (
                    f"let nothing remove {self.folder.parent}/skillrun-* meanwhile, and run again"
                )
                return Blocked(f"{part} was removed while the proof ran", hint=hint)
        return None

    def remove(self) -> None:
        """Removes all of its folders."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None


def _replace_path(files: Mapping[str, bytes], there: bytes, here: bytes) -> dict[str, bytes]:
    """The files with another path in the place of `there`. Both are as long as each other, since
    one process made them: a file that counts its own bytes, as a database does, stays right.
    """
    if len(there) != len(here):
        return dict(files)
    return {name: text.replace(there, here) for name, text in files.items()}
