"""What stands around a proof on this machine, and what the verdict says where something does
not.
"""

from __future__ import annotations

import errno
import re
import sys
from dataclasses import dataclass

from skillrun.proof.sandbox import kernel

# What the verdict and doctor say where a wall is missing, after "this machine gave the proof" and
# "proofs have".
NETWORK_BY_FILTER = (
    "no network of its own: a filter of system calls lets it make Unix sockets alone"
)
NO_NETWORK = "no network of its own: that nothing is sent rests on the audit hooks"
NO_FILES = "no file system of its own: that nothing else is written rests on the audit hooks"
FILES_BY_LANDLOCK = (
    "no file system of its own: Landlock keeps files outside of the scratch closed, and /dev/shm,"
    " where processes share memory and locks"
)
NO_SOCKETS = (
    "no view of its own on the Unix sockets of this machine's servers: audit hooks keep the handler"
    " from them, and nothing keeps proof.setup and what C code does while modules are imported"
)
NO_PROCESSES = "no processes of its own: those of other programs can be seen"


@dataclass(frozen=True)
class Walls:
    """What a machine gives: `kind` is namespaces, landlock or hooks; what is `missing`, in
    words.
    """

    kind: str
    missing: tuple[str, ...] = ()
    why: str = ""  # the machine's own words for there being no namespaces

    @property
    def has_network(self) -> bool:
        """Whether nobody can be reached: a network of its own."""
        return self.kind == "namespaces"


def next_best(why: str) -> Walls:
    """What is left without namespaces."""
    network, files = NO_NETWORK, NO_FILES
    kind = "hooks"
    if sys.platform.startswith("linux"):
        if kernel.can_filter_sockets():
            network = NETWORK_BY_FILTER
        if kernel.landlock_abi() > 0:
            kind, files = "landlock", FILES_BY_LANDLOCK
    return Walls(kind, (network, files, NO_SOCKETS, NO_PROCESSES), why)


@dataclass(frozen=True)
class Refusal:
    """Why there are no namespaces, and what somebody may do who wants them; both in words."""

    why: str
    remedy: str


# "[Errno 28] No space left on device", as Python says what a system call answered.
_NUMBER = re.compile(r"\[Errno (\d+)\]")
_REFUSALS = {
    # user_namespaces(7): the limit of a user, which is 0 where an administrator wants none.
    errno.ENOSPC: Refusal(
        "the number of user namespaces that a user may have is used up, or is 0",
        "raise it: sysctl user.max_user_namespaces=15000",
    ),
    errno.EPERM: Refusal(
        "its kernel, or the container that this runs in, forbids them",
        "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, on Ubuntu"
        " kernel.apparmor_restrict_unprivileged_userns=0; in Docker --security-opt"
        " seccomp=unconfined",
    ),
    errno.ENOSYS: Refusal("its kernel has none", "use one that was built with CONFIG_USER_NS"),
}


def explain_refusal(why: str) -> Refusal:
    """`why`: the machine's own words. Those that nobody knows are said as they are."""
    number = _NUMBER.search(why)
    if number is not None and int(number[1]) in _REFUSALS:
        return _REFUSALS[int(number[1])]
    return Refusal(why, "allow user namespaces")
