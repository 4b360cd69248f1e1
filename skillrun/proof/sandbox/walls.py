"""What stands around a proof on this machine, and what the verdict says where something does not."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from skillrun.proof.sandbox import kernel

_TCP_ABI = 4  # Landlock knows TCP since its fourth version, Linux 6.7

# What the verdict and doctor say where a wall is missing.
NO_NETWORK = "no network of its own: that nothing is sent rests on the audit hooks"
TCP_BY_LANDLOCK = "no network of its own: Landlock stops TCP, and the audit hooks the rest"
NO_FILES = "no file system of its own: that nothing else is written rests on the audit hooks"
FILES_BY_LANDLOCK = "no file system of its own: Landlock keeps files outside of the scratch closed"
NO_SOCKETS = "sockets of this machine's own servers can be seen: they are refused by the audit hooks"
NO_PROCESSES = "processes of other programs can be seen"


@dataclass(frozen=True)
class Walls:
    """What a machine gives: `kind` is namespaces, landlock or hooks; what is `missing`, in words."""

    kind: str
    missing: tuple[str, ...] = ()
    why: str = ""  # the machine's own words for there being no namespaces

    @property
    def has_network(self) -> bool:
        """Whether nobody can be reached: a network of its own."""
        return self.kind == "namespaces"


def next_best(why: str) -> Walls:
    """What is left without namespaces."""
    if not sys.platform.startswith("linux"):
        return Walls("hooks", (NO_NETWORK, NO_FILES, NO_SOCKETS, NO_PROCESSES), why)
    abi = kernel.landlock_abi()
    if abi == 0:
        return Walls("hooks", (NO_NETWORK, NO_FILES, NO_SOCKETS, NO_PROCESSES), why)
    network = TCP_BY_LANDLOCK if abi >= _TCP_ABI else NO_NETWORK
    return Walls("landlock", (network, FILES_BY_LANDLOCK, NO_SOCKETS, NO_PROCESSES), why)
