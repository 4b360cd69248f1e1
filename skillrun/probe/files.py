"""Files that a delivery writes: those of the proof's scratch folder are said, foreign ones are
refused, and what it leaves in its temporary folder or its home is said at its end.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .frames import Frames
from .listing import Listing
from .recorder import Recorder

_WRITING = frozenset("wax+")  # letters of a mode
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_NAMELESS = getattr(os, "O_TMPFILE", 0)
_LOCKS = (".lock", ".lck", ".pid")
_LONGEST_LOCK = 256  # bytes: a process's number, and its machine's name
_IMPORT = "<frozen importlib._bootstrap_external>"
LOGS = ("logging",)
# By the name an application's log is told from what it keeps: `app.log`, and what rotating makes of
# it.
_LOG_NAME = re.compile(r"\.log([._-][0-9_-]+)?(\.gz)?$")
# Modules that copy or unpack a file with its times.
COPYING = ("shutil", "tarfile", "zipfile")
# How a file of the scratch is called in an event.
IN_SCRATCH = "{scratch}/"
METRICS = ("statsd.client", "datadog.dogstatsd", "prometheus_client")
# Nothing that is written there is kept by anybody.
_DEVICES = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/tty",
    "/dev/random",
    "/dev/urandom",
    "/dev/fd/",
)
_ON_THE_FLY = ("/memfd:", "/dev/pts/")
# Where the sandbox shows the folder of TMPDIR a second time.
_TEMPORARY = ("/tmp", "/var/tmp")
# What a process may set of its own without any effect: what it is called.
_OWN_SETTINGS = ("/comm",)

# audit event -> (which arguments are paths that it changes, which ones are the folders that these
# are relative to)
CHANGES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "os.rename": ((0, 1), (2, 3)),
    "os.link": (
        (0, 1),
        (2, 3),
    ),  # what is written through the second name is the first one's content
    "os.symlink": ((1,), (2,)),
    "os.remove": ((0,), (1,)),
    "os.rmdir": ((0,), (1,)),
    "os.mkdir": ((0,), (2,)),
    "os.truncate": ((0,), ()),
    "os.chmod": ((0,), (2,)),
    "os.chown": ((0,), (3,)),
    "os.utime": ((0,), (3,)),
    "os.setxattr": ((0,), ()),
    "os.removexattr": ((0,), ()),
    "os.chflags": ((0,), ()),
    "shutil.rmtree": ((0,), (1,)),
    "shutil.move": ((0, 1), ()),
}


# Of those that change no content: where what a file is given begins and ends in the arguments.
_GIVEN = {
    "os.chmod": (1, 2),
    "os.chown": (1, 3),
    "os.chflags": (1, 2),
    "os.setxattr": (1, 4),
    "os.removexattr": (1, 2),
    "os.utime": (1, 3),
}


class Door:
    """Stands in for a function of C: in a class it becomes no method, as theirs do not."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


class Files:
    """`scratch`: files there are the job's store. `own`: name -> folder of the delivery's own, its
    home and TMPDIR.

    `free`: folders where writing is nobody's business.
    """

    def __init__(
        self,
        recorder: Recorder,
        frames: Frames,
        tell: Callable[..., bool],
        scratch: str,
        own: dict[str, str],
        free: tuple[str, ...],
        shared: str | None,
    ) -> None:
        """`shared`: the folder of shared memory, where it is the sandbox's own."""
        self.recorder, self.frames, self.tell = recorder, frames, tell
        self.scratch = scratch.rstrip("/") + "/"
        self.own = {name: folder.rstrip("/") + "/" for name, folder in own.items()}
        self.aliases = _find_aliases(self.own["tmp"])
        self.free = tuple(folder.rstrip("/") + "/" for folder in free)
        self.relative = threading.local()  # .folder: what the path of an `os.open` is relative to
        self.left: dict[str, Any] = {}  # path -> the line that wrote it
        self.locks: dict[str, Any] = {}  # the same of what is called like a lock
        # What was opened for writing at import, with the line that did.
        self.early: dict[str, Any] = {}
        # What is not the proof's, and was meant at import.
        self.refused: dict[str, Any] = {}
        places = [*self.own.values(), self.scratch]
        if shared is not None:
            places.append(shared.rstrip("/") + "/")
        self.forking = False  # see `Audit.at_fork`
        self.listing = Listing(tuple(places), os.path.dirname(self.scratch.rstrip("/")))

    def install(self) -> None:
        """`os.open` raises an audit event that does not say which folder its path is relative
        to.
        """
        real: Callable[..., int] = os.open

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if dir_fd is None:
                return real(path, flags, mode)
            self.relative.folder = dir_fd
            try:
                return real(path, flags, mode, dir_fd=dir_fd)
            finally:
                self.relative.folder = None

        os.open = Door(open_)
        os.supports_dir_fd.add(os.open)

    def announce_write(self, event: str, args: tuple[Any, ...]) -> None:
        """Whoever it is that writes, a library or this probe: no listing need find it."""
        if event == "open":
            path, mode, flags = args
            writes = isinstance(mode, str) and not _WRITING.isdisjoint(mode)
            if not writes and not (isinstance(flags, int) and flags & _WRITE_FLAGS):
                return
            names = [self.real_name(path, getattr(self.relative, "folder", None))]
        else:
            names = list(self._changed_names(event, args))
        for name in names:
            if name is not None:
                self.listing.announce_name(self._spell_as_listed(name))

    def _spell_as_listed(self, name: str) -> str:
        """As the listing finds it, under whichever name of its folder it was opened."""
        for alias in self.aliases:
            if name.startswith(alias):
                return self.own["tmp"] + name[len(alias) :]
        return name

    def see_open(self, args: tuple[Any, ...]) -> None:
        """At the event "open"."""
        path, mode, flags = args
        # What C opens for a library (a key log of TLS) has a mode and no flags.
        writes = isinstance(mode, str) and not _WRITING.isdisjoint(mode)
        if isinstance(flags, int) and not flags & _WRITE_FLAGS and not writes:
            self._see_read(path)
            return
        if not isinstance(flags, int):
            return
        if isinstance(path, int) or (_NAMELESS and flags & _NAMELESS == _NAMELESS):
            return
        name = self.real_name(path, getattr(self.relative, "folder", None))
        # A temporary file's folder, which an opener opens in.
        if name is not None and not os.path.isdir(name):
            self.see_write(name, reads=flags & os.O_RDWR != 0)

    def see_change(self, event: str, args: tuple[Any, ...]) -> None:
        """At an event that changes files by their names."""
        for name in self._changed_names(event, args):
            is_there = event == "os.mkdir" and name is not None and os.path.isdir(name)
            if name is not None and not (is_there and self.recorder.channel is None):
                self.see_write(name, given=self._find_given(event, args))

    def _find_given(self, event: str, args: tuple[Any, ...]) -> str:
        """What a file is given besides its content, so that whoever compares can compare it: a
        mode, an owner, an attribute, times. "" for the time of the call itself, which any writing
        leaves.
        """
        first, behind = _GIVEN.get(event, (0, 0))
        given: Any = args[first:behind]
        if event == "os.utime":
            given = args[1] or args[2]
        # The times that are copied with a file are those of its source: nobody chose them, and a
        # source that this very delivery wrote has other ones each time.
        if not given or (event == "os.utime" and self.frames.is_done_by(COPYING)):
            return ""
        return hashlib.sha256(f"{event}{given!r}".encode()).hexdigest()

    def _changed_names(self, event: str, args: tuple[Any, ...]) -> Iterator[str | None]:
        paths, folders = CHANGES[event]
        for number, at in enumerate(paths):
            folder = None
            if number < len(folders) and folders[number] < len(args):
                folder = args[folders[number]]
            yield self.real_name(args[at], folder)

    def real_name(self, path: Any, folder: Any = None) -> str | None:
        """The absolute name of what a path or a descriptor stands for; None where it has none."""
        if isinstance(path, int):
            return _name_of_descriptor(path)
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        name = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0 and not name.startswith("/"):
            held = _name_of_descriptor(folder)
            if held is not None:
                name = os.path.join(held, name)
        return os.path.realpath(name)

    def see_write(self, name: str, reads: bool = False, given: str = "") -> None:
        """Raises OSError for a file that is not the proof's. `given`: what it gets besides content,
        as a digest.
        """
        if self._is_nobodys(name) or name in self.left:
            return
        if self.forking:
            self.tell("file", self._describe_file(name))
            return
        if self.recorder.channel is None:
            self._wrote_early(name, reads)
            return
        if not self.recorder.is_own_act or self._is_log(name, reads):
            return
        folder = self._own_folder(name)
        if folder is not None:
            self._may_leave(name, folder)
        elif name.startswith(self.scratch):
            if name.endswith(_LOCKS):
                self.locks.setdefault(name, self.recorder.find_place())
            elif not self._is_compiled():
                self.tell("file", self._shorten_name(name, None), given=given)
        else:
            self.tell("file", self._show_name(name))
            raise OSError(errno.EROFS, "skillrun lets the proof write in {scratch} alone", name)

    def see_lock(self, descriptor: int) -> None:
        """A lock on a file that all workplaces share, such as the repository's folder: two
        deliveries of different schedules would hold each other up.
        """
        name = _name_of_descriptor(descriptor)
        if name is None or not self.recorder.is_own_doing or self._own_folder(name) is not None:
            return
        if not name.startswith(self.scratch):
            self.recorder.emit("locked", path=name, place=self.recorder.find_place())

    def _is_log(self, name: str, reads: bool) -> bool:
        """Whether it is an application's log, and nothing else that `logging` is made to write.

        In the job's own store that is a log which was set up at import, or one that a record opens.
        """
        if reads or not _LOG_NAME.search(name) or not self.frames.is_done_by(LOGS):
            return False
        in_store = name.startswith(self.scratch) and self._own_folder(name) is None
        return not in_store or self.recorder.channel is None or self.recorder.log_depth > 0

    def _see_read(self, path: Any) -> None:
        """A log that the job reads again is what it remembers by."""
        if not isinstance(path, (str, bytes, os.PathLike)) or not _LOG_NAME.search(
            os.fsdecode(path)
        ):
            return
        name = self.real_name(path, getattr(self.relative, "folder", None))
        if name is None or not self.recorder.is_own_act or not os.path.exists(name):
            return
        folder = self._own_folder(name)
        if folder is None and not name.startswith(self.scratch):
            return  # nothing that a delivery wrote
        if self.frames.is_called_by_us():
            self.tell("file", f"{self._shorten_name(name, folder)}, a log that is read")

    def _shorten_name(self, name: str, folder: str | None) -> str:
        if folder is not None:
            return f"{{{folder}}}/{name[len(self.own[folder]) :]}"
        return IN_SCRATCH + name[len(self.scratch) :]

    def _show_name(self, name: str) -> str:
        root = self.recorder.root
        if name.startswith(root):
            return os.path.relpath(name, root)
        return name

    def _is_nobodys(self, name: str) -> bool:
        if name.startswith((*_DEVICES, *_ON_THE_FLY)):
            return True
        if name.startswith("/proc/"):
            return name.startswith(f"/proc/{os.getpid()}/") and name.endswith(_OWN_SETTINGS)
        return name.startswith(self.free) and self._own_folder(name) is None

    def _own_folder(self, name: str) -> str | None:
        return next((own for own, folder in self.own.items() if name.startswith(folder)), None)

    def _wrote_early(self, name: str, reads: bool) -> None:
        """At import: a log, a lock and what a library keeps open for itself are no effect."""
        if self._is_compiled() or self._is_log(name, reads):
            return
        if self.frames.is_called_by_us() or self.frames.is_done_by(LOGS):
            if name.endswith(_LOCKS):
                early = self.locks
            else:
                early = self.early
            early[name] = self.recorder.find_place()
            if not name.startswith(self.listing.places):
                self.refused[name] = self.recorder.find_place()

    # -- what stays

    def _may_leave(self, name: str, folder: str) -> None:
        """A library may keep a cache in a hidden folder of the home, and a count anywhere."""
        if self.recorder.effect_depth or self._is_compiled():
            return
        hidden = "/." in name[len(self.own[folder]) - 1 :]
        if (
            folder == "home" and hidden and not self.frames.is_called_by_us()
        ) or self.frames.is_done_by(METRICS):
            return
        if name.endswith(_LOCKS):
            kept = self.locks
        else:
            kept = self.left
        kept.setdefault(name, self.recorder.find_place())

    def _is_compiled(self) -> bool:
        """Whether `import` keeps a compiled module, or makes the folder for it."""
        return self.frames.is_innermost(_IMPORT)

    def note_left(self, name: str) -> None:
        """A file without an audit event of its own was made."""
        self.listing.announce_name(name)
        if self.recorder.is_own_act and not self.recorder.effect_depth:
            self.left.setdefault(name, self.recorder.find_place())

    def tell_left(self) -> None:
        """At the end of a delivery: what it wrote and did not remove."""
        self.listing.collect_changes()
        for name, place in self._list_standing():
            self._tell_one(f"{self._describe_file(name)}, which stays", place)
        for name, place in self.locks.items():
            if not _is_bare_lock(name):
                self._tell_one(
                    f"{self._describe_file(name)}, which holds more than a lock does", place
                )
        for name in self.listing.still_there():
            self._tell_one(f"{self._describe_file(name)}, which stays and which C code wrote", None)
        self.left.clear()

    def _tell_one(self, detail: str, place: Any) -> None:
        self.recorder.emit("undeclared", kind="file", detail=detail, place=place)

    def _describe_file(self, name: str) -> str:
        folder = self._own_folder(name)
        is_short = folder is not None or name.startswith(self.scratch)
        if is_short:
            return self._shorten_name(name, folder)
        return name

    def _list_standing(self) -> Iterator[tuple[str, Any]]:
        """Of a file that stays, and not of the folder that was made for it as well."""
        standing = {name: place for name, place in self.left.items() if os.path.lexists(name)}
        for name, place in standing.items():
            if not any(other.startswith(name + "/") for other in standing):
                yield name, place

    def list_held(self) -> Iterator[tuple[str, Any]]:
        """What was opened for writing at import and is still open: no event says when something is
        written to it.
        """
        names: set[str | None] = set()
        if self.early:
            names.update(_name_of_descriptor(int(fd)) for fd in os.listdir("/proc/self/fd"))
        for name, place in self.early.items():
            if name in names:
                yield f"{self._show_name(name)}, opened at import", place
        for name, place in self.refused.items():
            if name not in names:
                yield f"{self._show_name(name)}, at import", place


def _is_bare_lock(name: str) -> bool:
    """Whether a file is gone, empty, or says no more than whose it is."""
    if not os.path.lexists(name):
        return True
    try:
        with open(name, "rb") as file:
            words = os.fsdecode(file.read(_LONGEST_LOCK)).split()
    except OSError:
        return False
    return set(words) <= {str(os.getpid()), str(os.getppid()), os.uname().nodename}


def _find_aliases(folder: str) -> tuple[str, ...]:
    """The other names of a folder for temporary files."""
    found = []
    for name in _TEMPORARY:
        with contextlib.suppress(OSError):
            if os.path.samefile(name, folder) and not folder.startswith(name + "/"):
                found.append(name + "/")
    return tuple(found)


def _name_of_descriptor(fd: int) -> str | None:
    """None for what has no name, or has lost it."""
    try:
        name = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
    if name.startswith("/") and not name.endswith(" (deleted)"):
        return name
    return None
