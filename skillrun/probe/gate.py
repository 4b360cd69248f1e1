"""Connections that C code makes: the kernel asks the zygote about each `connect` of a delivery,
before it happens.

A seccomp filter with a listener (Linux 5.0). It sees what no audit event tells: libpq, gRPC,
ctypes, and children. The filter is the delivery's own; the zygote holds its listener, reads the
address and answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

from .reach import Reach, is_quiet, name_of, read_address

# machine -> (AUDIT_ARCH, numbers of connect, sendto, seccomp)
_MACHINES = {
    "x86_64": (0xC000003E, 42, 44, 317),
    "aarch64": (0xC00000B7, 203, 206, 277),
}
# The same number on both architectures: it would make connections that no filter sees.
_IO_URING_SETUP = 425
_X32 = 0x40000000  # the other numbers of an x86_64
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ASK, _ERROR = 0x7FFF0000, 0x7FC00000, 0x00050000
_SET_FILTER, _SIZES = 1, 3
# The second from Linux 5.19: a signal does not take the question back.
_NEW_LISTENER, _WAIT_KILLABLE = (
    8,
    32,
)
_NO_NEW_PRIVS = 38
# The ioctl numbers of SECCOMP_IOCTL_NOTIF_RECV and _SEND.
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
# Id, pid, flags, number, architecture, instruction, arguments (struct seccomp_notif).
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags
_CONTINUE = 1
_LONGEST = 128  # bytes of a sockaddr
_INT = 0xFFFFFFFF  # the part of a register that its length is in
_TRIED = b"skillrun"
_LOOK_UPS = (0, 53)  # ports that C's own look-ups of names connect to


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def can_ask(libc: Any) -> bool:
    """Whether this machine's kernel can ask about a call, and lets what it is about be read: a
    child tries it.
    """
    known = _MACHINES.get(platform.machine())
    if known is None or not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        return False
    sizes = ctypes.create_string_buffer(16)
    if libc.syscall(known[3], _SIZES, 0, sizes) != 0:
        return False
    return _try_with_child(libc)


def _try_with_child(libc: Any) -> bool:
    """Whether a child's memory can be read (the machine may forbid it: ptrace_scope), and it gets
    its filter.
    """
    here, there = socket.socketpair()
    with here, there:
        word = ctypes.create_string_buffer(_TRIED, len(_TRIED))
        pid = os.fork()
        if pid == 0:
            here.close()  # else its own end would keep it waiting
            _take_part(libc, there)
        try:
            there.close()
            is_installed = here.recv(1) == b"+"
            is_read = _read_memory(pid, ctypes.addressof(word), len(_TRIED)) == _TRIED
        except OSError:
            return False
        finally:
            here.close()  # now it ends
            os.waitpid(pid, 0)
    return is_installed and is_read


def _take_part(libc: Any, parent: socket.socket) -> None:
    """The child of `_try_with_child`: never returns."""
    try:
        listener, _ = install_filter(libc)
        parent.send(b"-" if listener < 0 else b"+")
        parent.recv(1)
    finally:
        os._exit(0)


def install_filter(libc: Any) -> tuple[int, bool]:
    """(the listener's descriptor for this process and all below it, whether a signal does not take
    a question back).

    The descriptor is -1 where the kernel gives none.
    """
    arch, connect, sendto, seccomp = _MACHINES[platform.machine()]
    code = _write_filter(arch, connect, sendto)
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(held))
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return -1, False
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        fd = int(libc.syscall(seccomp, _SET_FILTER, flags, ctypes.byref(program)))
        if fd >= 0:
            return fd, bool(flags & _WAIT_KILLABLE)
    return -1, False


def _write_filter(arch: int, connect: int, sendto: int) -> bytes:
    """BPF: each jump counts instructions forward. A `sendto` without an address is asked about by
    nobody.
    """
    # Where they are in seccomp_data; the last two: the fifth argument.
    number, architecture, low, high = (
        0,
        4,
        48,
        52,
    )
    steps = [
        (_LOAD, 0, 0, architecture),
        (_EQUAL, 0, 9, arch),  # else: allow
        (_LOAD, 0, 0, number),
        (_AT_LEAST, 9, 0, _X32),  # no such call
        (_EQUAL, 8, 0, _IO_URING_SETUP),
        (_EQUAL, 6, 0, connect),
        (_EQUAL, 0, 4, sendto),
        (_LOAD, 0, 0, low),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, high),
        (_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ASK),
        (_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


class Gate:
    """In the zygote: answers for its deliveries. `told`: a file in memory that these read."""

    def __init__(self, servers: list[str]) -> None:
        self.reach = Reach(servers)
        self.told = os.memfd_create("skillrun-gate")
        self.listeners: dict[int, int] = {}  # descriptor -> the delivery's process
        # Those whose questions a signal takes back: they are answered before it is sent.
        self.late: set[int] = set()
        # By descriptor: whence a listener comes, and whose.
        self.awaited: dict[int, tuple[socket.socket, int]] = {}

    def list_watched(self) -> list[int]:
        """The descriptors that have something for `serve`."""
        return [*self.listeners, *self.awaited]

    def serve(self, ready: Iterable[int]) -> None:
        """Takes listeners, and answers questions."""
        for fd in ready:
            if fd in self.awaited:
                self.take_listener(fd)
            elif fd in self.listeners:
                self.answer_question(fd)

    def await_listener(self, whence: socket.socket, pid: int) -> None:
        """A process was forked: it will put its filter in force, and send the listener."""
        self.awaited[whence.fileno()] = (whence, pid)

    def take_listener(self, fd: int) -> None:
        """`+`: with a listener. `*`: with one of an older kernel. `-`: without."""
        whence, pid = self.awaited.pop(fd)
        with contextlib.suppress(OSError):
            data, listeners, _, _ = socket.recv_fds(whence, 1, 1)
            for listener in listeners:
                os.set_blocking(listener, False)
                self.listeners[listener] = pid
                if data == b"*":
                    self.late.add(listener)

    def forget_process(self, pid: int) -> None:
        """A process has ended."""
        for listener in [fd for fd, owner in self.listeners.items() if owner == pid]:
            del self.listeners[listener]
            self.late.discard(listener)
            os.close(listener)
        for fd in [fd for fd, (_, owner) in self.awaited.items() if owner == pid]:
            del self.awaited[fd]

    def close_listeners(self) -> None:
        """In a child: the others' are the zygote's alone."""
        for listener in self.listeners:
            os.close(listener)
        self.listeners.clear()
        self.awaited.clear()

    def answer_question(self, listener: int) -> None:
        """One question. Whoever asked may be gone by now; if not, it waits until there is an
        answer.
        """
        notice = bytearray(_NOTICE.size)
        owner = self.listeners[listener]
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _RECEIVE, notice)
            id_, pid, _, number, _, _, *args = _NOTICE.unpack(notice)
            error, where = self._judge_readable(pid, number, args)
            answer = bytearray(_ANSWER.pack(id_, 0, -error, 0 if error else _CONTINUE))
            if listener in self.late:
                fcntl.ioctl(listener, _SEND, answer)
                self._tell_delivery(owner, where)
            else:  # the signal comes right after the call, on the line that made it
                self._tell_delivery(owner, where)
                fcntl.ioctl(listener, _SEND, answer)

    def _judge_readable(self, pid: int, number: int, args: list[int]) -> tuple[int, str | None]:
        """As `_judge_call`, also where the address cannot be read: it is no address, or its process
        hides its memory.
        """
        try:
            return self._judge_call(pid, number, args)
        except PermissionError:
            return errno.EACCES, "an address that cannot be read"
        except (OSError, ValueError, OverflowError):
            return errno.EFAULT, None  # as the kernel has it

    def _judge_call(self, pid: int, number: int, args: list[int]) -> tuple[int, str | None]:
        """(the error that the call has, 0 where it goes on; what is to be said of it)."""
        is_connect = number == _MACHINES[platform.machine()][1]
        if is_connect:
            at, length = args[1:3]
        else:
            at, length = args[4:6]
        address = read_address(_read_memory(pid, at, min(length & _INT, _LONGEST)))
        if address is None:
            return 0, None
        if isinstance(address, str) and not address.startswith(("/", "\0")):
            address = os.path.join(os.readlink(f"/proc/{pid}/cwd"), address)
        if self.reach.has_address(address):
            return 0, None
        if isinstance(address, str):
            error = errno.EACCES
        else:
            error = errno.ENETUNREACH
        is_look_up = isinstance(address, tuple) and address[1] in _LOOK_UPS
        if is_look_up or is_quiet(address):
            return error, None
        return error, name_of(address)

    def _tell_delivery(self, owner: int, where: str | None) -> None:
        if where is None:
            return
        os.write(self.told, f"{owner}\t{where}\n".encode("utf-8", "backslashreplace"))
        with contextlib.suppress(OSError):
            os.kill(owner, signal.SIGSYS)


def _read_memory(pid: int, at: int, length: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(at)
        return file.read(length) or b""


class Refused:
    """In a delivery: what the zygote has refused it."""

    def __init__(self, told: int, tell: Callable[[str], bool]) -> None:
        self.told, self.tell = told, tell
        self.read = 0

    def begin_delivery(self) -> None:
        """From now on: what others were refused before is not this one's. The signal comes right
        after the call.
        """
        self.read = os.fstat(self.told).st_size
        signal.signal(signal.SIGSYS, lambda *_: self.tell_new())

    def tell_new(self) -> None:
        """Tells what is new."""
        data = os.pread(self.told, 1 << 16, self.read)
        whole = data[: data.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.decode("utf-8", "replace").splitlines():
            pid, _, where = line.partition("\t")
            if pid == str(os.getpid()):
                self.tell(where)


def hand_over(libc: Any, zygote: socket.socket) -> bool:
    """In a delivery: puts the filter in force, and gives its listener to the zygote. False: there
    is none.
    """
    listener, lasting = install_filter(libc)
    if listener < 0:
        zygote.sendall(b"-")
        return False
    socket.send_fds(zygote, [b"+" if lasting else b"*"], [listener])
    os.close(listener)
    return True
