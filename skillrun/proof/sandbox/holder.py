"""Makes the namespaces of a sandbox, and holds them until skillrun lets go.

    python -I -S -c BOOT ... REPORT_FD LIFE_FD PLAN_FILE

Standard library alone. Two processes: the first one stays outside and watches LIFE_FD, whose end of
file means the end; the second is process 1 inside. Its end is the end of everything in there: the
kernel sees to that (pid_namespaces(7)).

PLAN_FILE is the JSON of `visible.Plan`. REPORT_FD gets one line: `{"ready": PID, "missing":
[...]}`, with the number that process 1 has outside, or `{"failed": why}`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import sys
from typing import Any

from skillrun.proof.sandbox import kernel

_READ_ONLY = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
# What the kernel must keep of a mount that it did not make in this user namespace
# (mount_namespaces(7), locked flags).
_LOCKED = {
    "nosuid": kernel.MS_NOSUID,
    "nodev": kernel.MS_NODEV,
    "noexec": kernel.MS_NOEXEC,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
}


def main() -> None:
    """Entry point; see the module's docstring."""
    report_fd, life_fd = int(sys.argv[1]), int(sys.argv[2])
    with open(sys.argv[3], encoding="utf-8") as file:
        plan = json.load(file)
    try:
        enter_new_namespaces()
        inside = start_first_process(plan, report_fd, life_fd)
    except OSError as error:
        report(report_fd, failed=str(error))
        return
    os.close(report_fd)
    wait_for_the_end(life_fd, inside)


def report(fd: int, **members: Any) -> None:
    """One line for skillrun."""
    os.write(fd, json.dumps(members).encode() + b"\n")


def enter_new_namespaces() -> None:
    """All but the PID namespace, which begins with the next child. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        map_all_users()
    else:
        kernel.unshare(kernel.CLONE_NEWUSER)
        map_one_user(user, group)
    spaces = kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
    kernel.unshare(spaces | kernel.CLONE_NEWPID)


def map_one_user(user: int, group: int) -> None:
    """This user is itself inside, and nobody else is anybody."""
    write_file("/proc/self/setgroups", "deny")
    write_file("/proc/self/uid_map", f"{user} {user} 1")
    write_file("/proc/self/gid_map", f"{group} {group} 1")


def map_all_users() -> None:
    """Everybody is the same inside, so that a server can be somebody else than root.

    Only a process that stayed outside may write more than one user into the map, hence the child.
    """
    maps = {name: map_as_is(f"/proc/self/{name}") for name in ("uid_map", "gid_map")}
    parent = os.getpid()
    gate, opener = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)
        for name, text in maps.items():
            write_file(f"/proc/{parent}/{name}", text)
        os._exit(0)
    os.close(gate)
    kernel.unshare(kernel.CLONE_NEWUSER)
    os.close(opener)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise OSError("the users could not be mapped")


def map_as_is(path: str) -> str:
    """Each number stands for itself, as far as this process knows it."""
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


def write_file(path: str, text: str) -> None:
    """Writes into a file of /proc in one call, as it wants it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def start_first_process(plan: dict[str, Any], report_fd: int, life_fd: int) -> int:
    """Forks process 1 of the sandbox, waits until it has built everything, and says so. Its number
    out here.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        os.close(life_fd)
        os.close(report_fd)
        be_first_process(plan, write_end)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    if not text:
        raise OSError("process 1 of the sandbox ended")
    said = json.loads(text)
    if "failed" in said:
        raise OSError(said["failed"])
    report(report_fd, ready=pid, missing=said["missing"])
    return pid


def be_first_process(plan: dict[str, Any], answer_fd: int) -> None:
    """Builds the sandbox from within, then takes every process that lost its parent, for ever."""
    kernel.die_with_parent(signal.SIGKILL)
    try:
        missing = build(plan)
        kernel.give_up_privileges(None)
        report(answer_fd, missing=missing)
    except OSError as error:
        report(answer_fd, failed=str(error))
        os._exit(1)
    os.close(answer_fd)
    # The death signal is gone with the capabilities: prctl(2).
    kernel.die_with_parent(signal.SIGKILL)
    # The kernel takes the dead by itself.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


def wait_for_the_end(life_fd: int, inside: int) -> None:
    """Until skillrun lets go, or somebody ends process 1."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    wake_fd, other = os.pipe()
    os.set_blocking(other, False)
    signal.set_wakeup_fd(other)
    select.select([life_fd, wake_fd], [], [])
    try:
        os.kill(inside, signal.SIGKILL)
    except ProcessLookupError:
        return
    os.waitpid(inside, 0)


def build(plan: dict[str, Any]) -> list[str]:
    """The file system and the network of the sandbox; which walls could not be had. Raises
    OSError.
    """
    missing: list[str] = []
    kernel.bring_loopback_up()
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    root = plan["mount_at"]
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    make_devices(root)
    for path, source in plan["temporary"]:
        bind(root, path, source)
    # A link below /tmp would be hidden by what is bound there.
    for path, target in plan["links"]:
        make_link(root, path, target)
    for path in plan["readable"]:
        bind(root, path, path)
        make_read_only(root + path)
    for path in plan["writable"]:
        bind(root, path, path)
    hide_pipes(root, plan["searched"])
    if not mount_processes(root):
        missing.append("processes")
    kernel.pivot_root(root)
    forbid_more_namespaces()
    lock_system_settings()
    kernel.mount(None, "/", None, kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY)
    return missing


def make_devices(root: str) -> None:
    """Those that cannot reach anything, and a /dev/shm of its own."""
    os.mkdir(f"{root}/dev")
    for name in _DEVICES:
        if os.path.exists(f"/dev/{name}"):
            bind(root, f"/dev/{name}", f"/dev/{name}")
    for name, target in _DEVICE_LINKS.items():
        os.symlink(f"/proc/self/{target}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/shm")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", f"{root}/dev/shm", "tmpfs", flags, "mode=1777,size=512m")


def make_link(root: str, path: str, target: str) -> None:
    """A symbolic link as it is outside; nothing where a bound folder already has it."""
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    if not os.path.lexists(root + path):
        os.symlink(target, root + path)


def bind(root: str, path: str, source: str) -> None:
    """What is at `source` outside is at `path` inside, with all that is mounted below it."""
    target = root + path
    try:
        if stat.S_ISDIR(os.stat(source).st_mode):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        pass
    except OSError as error:
        # A folder that is read-only already holds it: what lies there is seen through that one.
        if not os.path.exists(target):
            raise OSError(f"{path}: {error.strerror}") from error
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)


def make_read_only(target: str) -> None:
    """A bound folder and everything mounted below it."""
    for path, flags in mounts_below(os.path.realpath(target)):
        kernel.mount(None, path, None, kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY | flags)


def mounts_below(folder: str) -> list[tuple[str, int]]:
    """(mount point, flags that must stay) of a folder and of what is mounted below it; see
    proc_pid_mountinfo(5).
    """
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split(" ")
            path = unescape(words[4])
            if path == folder or path.startswith(folder + "/"):
                options = words[5].split(",")
                found.append((path, sum(_LOCKED.get(option, 0) for option in options)))
    return found


def unescape(path: str) -> str:
    """A path of /proc/self/mountinfo, where blanks are octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def hide_pipes(root: str, folders: list[str]) -> None:
    """A socket or a pipe in the repository leads to a process outside: an empty file stands in for
    it.

    A read-only mount does not help: connect(2) asks for the right to write to the socket, not to
    its mount.
    """
    for folder in folders:
        for path in find_pipes(root + folder):
            kernel.mount("/dev/null", path, None, kernel.MS_BIND)


def find_pipes(folder: str) -> list[str]:
    """Every socket and named pipe below a folder. Folders that cannot be read hold nothing that can
    be reached.
    """
    found, open_ = [], [folder]
    while open_:
        try:
            entries = list(os.scandir(open_.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                continue
            if entry.is_dir(follow_symlinks=False):
                open_.append(entry.path)
            else:
                found.append(entry.path)
    return found


def mount_processes(root: str) -> bool:
    """/proc, with the processes of the sandbox alone. False: the machine shows all of them.

    A container hides parts of its /proc, and a new one would show them: then the kernel refuses it
    (EPERM).
    """
    os.mkdir(f"{root}/proc")
    try:
        flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("proc", f"{root}/proc", "proc", flags)
    except PermissionError:
        kernel.mount("/proc", f"{root}/proc", None, kernel.MS_BIND | kernel.MS_REC)
        return False
    return True


def forbid_more_namespaces() -> None:
    """Nobody in here makes a namespace in which it would have capabilities again. As far as the
    kernel allows it.
    """
    try:
        write_file("/proc/sys/user/max_user_namespaces", "0")
    except OSError:
        return


def lock_system_settings() -> None:
    """Root without a capability may still write to /proc/sys, since those files are root's."""
    for path in ("/proc/sys", "/proc/sysrq-trigger"):
        if os.path.exists(path):
            kernel.mount(path, path, None, kernel.MS_BIND | kernel.MS_REC)
            kernel.mount(
                None, path, None, kernel.MS_REMOUNT | kernel.MS_BIND | _READ_ONLY | kernel.MS_NOEXEC
            )


if __name__ == "__main__":
    main()
