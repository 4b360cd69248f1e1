"""Filters of git's configuration (`filter.<name>.clean` and its kin): programs that skillrun never
starts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

# An empty program is none to git. `process` hides the two others, `required` makes a missing
# program an error.
_NEUTRAL = (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
_PREFIX = "filter."
NOTHING = "SKILLRUN_NOTHING"
"""A variable that is set, and empty, in the environment of every git process."""

_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
# Bytes: what Git LFS itself takes for a pointer.
LARGEST_POINTER = 1024


def read_filter_names(listing: bytes) -> list[str]:
    """The names of filters in what `git config -z --name-only --get-regexp ^filter` printed."""
    names = []
    for key in listing.split(b"\0"):
        name, dot, _ = os.fsdecode(key).removeprefix(_PREFIX).rpartition(".")
        # Without it the key is of no filter: `filter.clean`.
        if dot:
            names.append(name)
    return sorted(set(names))


def switch_off(names: list[str]) -> Iterator[str]:
    """Options for git that take the programs from filters; the command line wins over every
    file.
    """
    for name in names:
        for word, value in _NEUTRAL:
            if "=" not in name:
                yield from ("-c", f"{_PREFIX}{name}.{word}={value}")
            else:
                # -c would end the name at its first "=". Git before 2.31 lacks this option and ends
                # with an error, which is as safe. An empty value is false, too.
                yield f"--config-env={_PREFIX}{name}.{word}={NOTHING}"


def is_pointer_to(pointer: bytes, file: Path) -> bool:
    """Whether a text that git keeps stands for this file, as Git LFS writes it."""
    if not pointer.startswith(_POINTER):
        return False
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return f"oid sha256:{digest}".encode() in pointer.split(b"\n")
