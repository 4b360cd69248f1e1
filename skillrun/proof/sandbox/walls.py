"""What stands around a proof on this machine, and what the verdict says where something does
not.
"""

from __future__ import annotations

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
FILES_BY_LANDLOCK = "no file system of its own: Landlock keeps files outside of the scratch closed"
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
