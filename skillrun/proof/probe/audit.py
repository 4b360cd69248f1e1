"""What the handler does to the world besides its declared effects, seen through CPython's audit events."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

from .recorder import Recorder

_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn")
_FILE_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
                 "shutil.rmtree", "shutil.move")  # fmt: skip
_MAIL = ("smtplib.connect", "ftplib.connect", "imaplib.open", "poplib.connect", "telnetlib.Telnet.open")
_NETWORK = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
_WATCHED = frozenset(("open", "os.fork", "os.forkpty", *_NETWORK, *_MAIL, *_PROCESS, *_FILE_CHANGES))
_LOCKS = (".lock", ".lck", ".pid")  # what is in them is no state of the job
_METRICS = ("statsd.client", "datadog.dogstatsd")


class Audit:
    """Reports connections, processes and written files of the handler; refuses writes outside of the scratch folder."""

    def __init__(self, recorder: Recorder, scratch: str, free: list[str]) -> None:
        """`scratch`: files there are the job's store. `free`: folders where writing is nobody's business."""
        self.recorder = recorder
        self.scratch = scratch.rstrip("/") + "/"
        self.free = (*(folder.rstrip("/") + "/" for folder in free), "/dev/", "/proc/self/")
        self.not_free = "/dev/shm/"
        self.servers: tuple[str, ...] = ()
        self.pid = os.getpid()

    def install(self) -> None:
        """Once, in the zygote. An audit hook cannot be taken back; it is idle there."""
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Called by the interpreter for every audit event."""
        recorder = self.recorder
        if event not in _WATCHED or recorder.channel is None or recorder.silent:
            return
        if event == "open":
            self.opened(args)
        elif event == "socket.connect" or event == "socket.sendto":
            if not self.is_done_by(_METRICS):
                self.connected(args[1])
        elif event in _PROCESS:
            self.tell("process", _text(args[0]))
        elif event in ("os.fork", "os.forkpty"):
            self.tell("process", event)
        elif event in _MAIL:
            self.tell("mail", f"{args[1]}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            if not self.is_done_by(_METRICS):
                self.tell("network", f"{_text(args[0])}")
        elif event in _FILE_CHANGES:
            self.changed(args)
        elif event == "urllib.Request":
            self.tell("network", _text(args[0]))

    def opened(self, args: tuple[Any, ...]) -> None:
        path, _, flags = args
        if not isinstance(flags, int) or not flags & _WRITE_FLAGS or not isinstance(path, (str, bytes, os.PathLike)):
            return
        self.wrote(path)

    def changed(self, args: tuple[Any, ...]) -> None:
        for path in args[:2]:
            if isinstance(path, (str, bytes, os.PathLike)):
                self.wrote(path)

    def wrote(self, path: Any) -> None:
        name = os.path.realpath(os.fsdecode(path))
        if self.is_free(name) or not self.recorder.mine or self.is_done_by(("logging",)):
            return
        if name.startswith(self.scratch):
            if not name.endswith(_LOCKS):
                self.tell("file", "{scratch}/" + name[len(self.scratch) :])
            return
        self.tell("file", os.path.relpath(name, self.recorder.root) if name.startswith(self.recorder.root) else name)
        raise OSError(errno.EROFS, "skillrun lets the proof write in {scratch} alone", name)

    def is_free(self, name: str) -> bool:
        """Whether writing there is nobody's business."""
        found = max((folder for folder in self.free if name.startswith(folder)), key=len, default="")
        return bool(found) and not (found == "/dev/" and name.startswith(self.not_free))

    def connected(self, address: Any) -> None:
        if isinstance(address, (str, bytes)) and os.fsdecode(address).startswith(self.servers or ("\0none",)):
            return
        where = f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) > 1 else _text(address)
        self.tell("network", where)

    def tell(self, kind: str, detail: str) -> None:
        if self.recorder.effect_depth or not self.recorder.mine:
            return  # a declared effect that is passed through, or the library's own work
        self.recorder.emit("undeclared", kind=kind, detail=detail[:200], place=self.recorder.place())

    def is_done_by(self, packages: tuple[str, ...]) -> bool:
        """Whether a frame of these packages, none of the repository's own, is at it: a log or a count is no effect."""
        frame = sys._getframe(2)
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            if module.startswith(packages) and not self.is_ours(frame.f_code.co_filename):
                return True
            frame = frame.f_back  # type: ignore[assignment]
        return False

    def is_ours(self, path: str) -> bool:
        """Whether a source file is the repository's."""
        return path.startswith(self.recorder.root) and "/site-packages/" not in path


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes)) else repr(value)
