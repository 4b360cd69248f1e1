"""The system calls of a sandbox that Python has no names for, on the standard library alone.

Sources: namespaces(7), user_namespaces(7), mount_namespaces(7), capabilities(7), landlock(7), and
the kernel's headers for the numbers.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
# More than any kernel has; those that it has not are refused and skipped.
_HIGHEST_CAPABILITY = 63

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

# The same numbers on every architecture (asm-generic/unistd.h).
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_LANDLOCK_READ = 0b1101  # execute, read a file, read a folder
# The rights that a file can have: those, truncate, ioctl.
_LANDLOCK_FILE = 0b111 | 1 << 14 | 1 << 15
# How many file system rights there are; 5 and later: 16.
_RIGHTS_OF_ABI = {
    1: 13,
    2: 14,
    3: 15,
    4: 15,
}
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_LANDLOCK_TCP = 0b11  # bind, connect
_LANDLOCK_SCOPE = 0b11  # abstract Unix sockets, signals

# machine -> (AUDIT_ARCH of seccomp(2), the number of socket(2)).
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425  # of both; with it a socket is made without socket(2)
_X32 = 0x40000000  # the other numbers of an x86_64
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
# Opcodes of classic BPF.
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
# Offsets in struct seccomp_data.
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """New namespaces for this process (for its children: PID). Raises OSError."""
    _call("unshare", flags)


def setns(fd: int) -> None:
    """Enters the namespace behind a descriptor of /proc/PID/ns. Raises OSError."""
    _call("setns", fd, 0)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError."""
    words = (_encode(source), _encode(target), _encode(kind), ctypes.c_ulong(flags), _encode(data))
    _call("mount", *words)


def pivot_root(folder: str) -> None:
    """Makes a mounted folder the root of this mount namespace; nothing else is left of the old
    one.
    """
    os.chdir(folder)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def die_with_parent(number: int) -> None:
    """This process gets the signal when the thread that forked it ends. A change of user forgets
    it: prctl(2).
    """
    _call("prctl", _PR_SET_PDEATHSIG, number, 0, 0, 0)


def give_up_privileges(identity: tuple[int, int] | None) -> None:
    """Nothing that this process starts can have a capability; it becomes `identity` (user, group)
    where one is given.

    Raises OSError.
    """
    for capability in range(_HIGHEST_CAPABILITY + 1):
        _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if identity is not None:
        os.setgroups([])
        os.setgid(identity[1])
        os.setuid(identity[0])
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _call("capset", header, bytes(24))


def bring_loopback_up() -> None:
    """127.0.0.1 answers in this network namespace. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(link, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def landlock_abi() -> int:
    """The version of Landlock that the kernel has; 0 where there is none."""
    number = int(_LIBC.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION))
    return max(number, 0)


def restrict_by_landlock(readable: list[str], writable: list[str]) -> None:
    """This process and its children reach these paths alone, and no TCP, as far as the kernel's
    version can say it.

    Signals and abstract sockets stay among them. Paths that do not exist are skipped. Raises
    OSError.
    """
    abi = landlock_abi()
    rights = (1 << _RIGHTS_OF_ABI.get(abi, 16)) - 1
    tcp = _LANDLOCK_TCP if abi >= _NETWORK_ABI else 0
    scope = _LANDLOCK_SCOPE if abi >= _SCOPE_ABI else 0
    attributes = struct.pack("=QQQ", rights, tcp, scope)
    ruleset = _syscall(_LANDLOCK_CREATE_RULESET, attributes, _attribute_size(abi), 0)
    for path in readable:
        _allow_beneath(ruleset, path, _LANDLOCK_READ & rights)
    for path in writable:
        _allow_beneath(ruleset, path, rights)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def can_filter_sockets() -> bool:
    """Whether `allow_unix_sockets_alone` knows this machine."""
    return platform.machine() in _MACHINES and sys.maxsize > 2**32


def allow_unix_sockets_alone() -> None:
    """No process from here on makes a socket but a Unix one: EACCES. Needs no_new_privs. Raises
    OSError.

    Landlock knows neither UDP nor what TCP sends with its first packet.
    """
    architecture, socket_number = _MACHINES[platform.machine()]
    refused = errno.EACCES
    # Each jump counts instructions forward: (opcode, if true, if false, value).
    steps = (
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 0, 7, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 5, 0, _X32),
        (_EQUAL, 4, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 2, socket_number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_EQUAL, 0, 1, socket.AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERROR | refused),
    )
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(held))
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0)


def _attribute_size(abi: int) -> int:
    """A kernel refuses a member that it does not know, so each is told those of its own version."""
    if abi >= _SCOPE_ABI:
        return 24
    if abi >= _NETWORK_ABI:
        return 16
    return 8


def _allow_beneath(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _LANDLOCK_FILE
        rule = struct.pack("=Qi", rights, fd)
        _syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def _encode(text: str | None) -> bytes | None:
    if text is None:
        return None
    return os.fsencode(text)


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        raise _last_error(name)


def _syscall(number: int, *arguments: object) -> int:
    result = int(_LIBC.syscall(number, *arguments))
    if result < 0:
        raise _last_error(f"system call {number}")
    return result


def _last_error(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")
