"""Starts a command inside a sandbox, and ends as it does.

    python -I -S -c BOOT ... HOLDER|- RULES|- USER:GROUP|- FOLDER COMMAND ...

Standard library alone. HOLDER is the process whose namespaces are entered. Where there are none,
RULES is a file for Landlock, and a filter of system calls lets Unix sockets be made alone. Whatever
runs inside has no capability and cannot get one.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from skillrun.proof.sandbox import kernel

# The user namespace first: it gives the right to enter the others.
_NAMESPACES = ("user", "mnt", "net", "ipc", "uts", "pid")
_COULD_NOT_ENTER = 125


def main() -> None:
    """Entry point; see the module's docstring."""
    holder, rules, identity, folder = sys.argv[1:5]
    command = sys.argv[5:]
    try:
        if holder == "-":
            become(command, rules, identity, folder, is_filtered=True)
        enter_namespaces(int(holder))
        follow(start_child(command, rules, identity, folder))
    except OSError as error:
        sys.stderr.write(f"the sandbox cannot be entered: {error}\n")
        sys.exit(_COULD_NOT_ENTER)


def enter_namespaces(holder: int) -> None:
    """All of the holder's; its PID namespace is that of the next child. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    descriptors = [os.open(f"/proc/{holder}/ns/{name}", flags) for name in _NAMESPACES]
    for fd in descriptors:
        kernel.setns(fd)
        os.close(fd)


def start_child(command: list[str], rules: str, identity: str, folder: str) -> int:
    """The command, in the PID namespace. Its number out here."""
    pid = os.fork()
    if pid == 0:
        try:
            become(command, rules, identity, folder)
        except OSError as error:
            sys.stderr.write(f"the sandbox cannot be entered: {error}\n")
        os._exit(_COULD_NOT_ENTER)
    return pid


def become(
    command: list[str], rules: str, identity: str, folder: str, *, is_filtered: bool = False
) -> None:
    """Replaces this process by the command. Raises OSError."""
    os.chdir(folder)
    kernel.give_up_privileges(read_identity(identity))
    if rules != "-":
        with open(rules, encoding="utf-8") as file:
            paths = json.load(file)
        kernel.restrict_by_landlock(paths["readable"], paths["writable"])
    if is_filtered and kernel.can_filter_sockets():
        kernel.allow_unix_sockets_alone()
    kernel.die_with_parent(signal.SIGKILL)
    os.execv(command[0], command)


def read_identity(text: str) -> tuple[int, int] | None:
    """USER:GROUP."""
    if text == "-":
        return None
    user, _, group = text.partition(":")
    return int(user), int(group)


def follow(pid: int) -> None:
    """Ends as the child does."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
