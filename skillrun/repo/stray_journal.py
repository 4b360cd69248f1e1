"""Says once that a journal came with a repository, and is not followed: it could have any file
replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

from skillrun.core.journal import LEFTOVER
from skillrun.core.opening import read_beginning
from skillrun.core.state import lies_in, read_own, state_dir, write_own

_REMEMBERED = "stray-journals.json"
# Each is a digest; a person has one or two of these files, and tests make more.
_MOST_REMEMBERED = 200
_LOOKED_AT = 1024 * 1024

# Digests that this process has met: a verification opens copies of a repository, too.
_MET: set[str] = set()


def explain_stray(folder: Path) -> str | None:
    """The line about the journal that lies in a folder; None where there is none, and where this
    user was told of it before.
    """
    stray = folder / LEFTOVER
    if not os.path.lexists(stray):
        return None
    content = _digest_content(stray)
    if content in _MET:
        return None
    _MET.add(content)
    place = os.path.realpath(folder)
    # What a hook of an agent says, say, no person reads: somebody at a terminal is told as well.
    reader = "person" if sys.stderr.isatty() else "program"
    text = f"{place}\0{content}\0{reader}"
    key = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    if not _remember(key, folder):
        return None
    return (
        f"{LEFTOVER} is not followed: skillrun keeps its journal outside of the repository; look at"
        " it, remove it"
    )


def _digest_content(stray: Path) -> str:
    """Of its first bytes, or of why they cannot be read: it may be a pipe."""
    try:
        return hashlib.sha256(read_beginning(stray, _LOOKED_AT)).hexdigest()
    except OSError as error:
        return str(error.strerror)


def _remember(key: str, folder: Path) -> bool:
    """Whether it was not remembered yet. Where the state folder cannot be written, or came with the
    repository, nothing is remembered, and the line is said again.
    """
    kept = state_dir() / _REMEMBERED
    if lies_in(kept.parent, folder):
        return True
    known = _read_keys(kept)
    if key in known:
        return False
    try:
        write_own(kept, json.dumps([*known, key][-_MOST_REMEMBERED:]).encode())
    except OSError:
        return True
    return True


def _read_keys(kept: Path) -> list[str]:
    try:
        keys = json.loads(read_own(kept) or b"[]")
    except (ValueError, RecursionError):
        return []
    if not isinstance(keys, list):
        return []
    return [key for key in keys if isinstance(key, str)]
