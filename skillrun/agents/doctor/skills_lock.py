"""Holds the skills of a repository against `skills-lock.json`, which the `skills` command line
writes and nothing else verifies.

A lock of version 1 has a `computedHash` for each skill: SHA-256 over the path and the content of
each of its files, by path as JavaScript's `localeCompare` sorts (vercel-labs/skills,
`src/local-lock.ts`, `computeSkillFolderHash`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from skillrun.agents.doctor.check import Check
from skillrun.agents.registry import AGENTS, load_agent
from skillrun.core.opening import read_file, read_json

LOCK = "skills-lock.json"
_VERSION = 1
# Not part of a skill, as the lock counts.
_SKIPPED = (".git", "node_modules")
# A skill that is served or installed has fewer files and bytes than that.
_MOST_FILES, _MOST_BYTES = 512, 16 * 1024**2
# The order of ASCII in the collation that every locale of Node.js's begins with (CLDR's root).
_ORDER = " _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"


# "code-review", "v1.2_notes"; no path, no option, and nothing that a shell reads.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class _NotComparable(Exception):
    """Why nothing can be said of a skill's folder."""


def lock_checks(root: Path) -> Iterator[Check]:
    """A check of each locked skill that lies in the repository; nothing where there is no lock."""
    path = root / LOCK
    if not os.path.lexists(path):
        return
    try:
        skills = _read_skills(path)
    except (OSError, ValueError) as error:
        do = "write it again: npx skills update"
        yield Check("repository", "problem", f"{LOCK}: {error}", do)
        return
    for name, wanted in sorted(skills.items()):
        yield from _check_skill(root, name, wanted)


def _read_skills(path: Path) -> dict[str, str]:
    """Skill -> its hash. Raises OSError or ValueError for a file that is no lock of version 1."""
    value = read_json(path)
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        raise ValueError(f"it is no lock of version {_VERSION}")
    skills = value.get("skills")
    if not isinstance(skills, dict):
        raise ValueError("it has no skills")
    found = {}
    for name, entry in skills.items():
        wanted = None
        if isinstance(entry, dict):
            wanted = entry.get("computedHash")
        # A name that leads elsewhere is none of a folder, and one with signs of the shell would be
        # part of a command that we show.
        if not isinstance(wanted, str) or not _NAME.fullmatch(name):
            raise ValueError("an entry has no computedHash, or no usual name of a folder")
        found[name] = wanted
    return found


def _check_skill(root: Path, name: str, wanted: str) -> Iterator[Check]:
    """The skill in each folder of the agents; a note where none has it."""
    is_there = False
    hashed = []
    for folder in _list_folders():
        if _is_own(root, folder, name):
            hashed.append(root / folder / name)
    for folder in _list_folders():
        place, shown = root / folder / name, f"{folder}/{name}"
        if not os.path.lexists(place):
            continue
        is_there = True
        if place in hashed:
            yield from _check_folder(place, shown, wanted)
        elif not _leads_to(place, hashed):
            text = f"{shown} is a link or no folder: what it leads to is not covered by {LOCK}"
            do = f"put the skill itself there: npx skills update {name}"
            yield Check("repository", "problem", text, do)
    if not is_there:
        text = f"{LOCK} names the skill {name}, and no folder of an agent has it"
        yield Check("repository", "note", text, "npx skills experimental_install")


def _is_own(root: Path, folder: str, name: str) -> bool:
    """Whether a folder of the repository's own is there, and no link on the way to it."""
    place = root
    for part in (*Path(folder).parts, name):
        place /= part
        if place.is_symlink() or not place.is_dir():
            return False
    return True


def _leads_to(place: Path, folders: list[Path]) -> bool:
    """Whether a link leads to one of some folders."""
    # realpath takes a link that leads in a circle, too; Path.resolve raises.
    return os.path.realpath(place) in map(os.path.realpath, folders)


def _check_folder(place: Path, shown: str, wanted: str) -> Iterator[Check]:
    """Holds one folder against its hash; notes what the hash leaves out."""
    try:
        digest = hash_folder(place)
        left_out = _find_left_out(place)
    except (OSError, _NotComparable) as why:
        text = f"{shown}: not compared with {LOCK}: {why}"
        yield Check("repository", "note", text, "look at it yourself")
        return
    if digest != wanted:
        text = f"{shown} is not what {LOCK} says: it was changed since, or the lock was"
        do = f"look at both (git log -p -- {shown} {LOCK}), then: npx skills update {place.name}"
        yield Check("repository", "problem", text, do)
        return
    yield Check("repository", "ok", f"{shown} is what {LOCK} says")
    if left_out is not None:
        text = f"{shown}/{left_out!r} is not covered by the lock: anybody may have changed it"
        yield Check("repository", "note", text, "look at it yourself, or take it out")


def _find_left_out(folder: Path) -> str | None:
    """The first link, ignored folder or special file within a skill, which no hash covers."""
    for place, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(place, name)
            is_plain = path.is_file() or path.is_dir()
            if path.is_symlink() or not is_plain or (name in folders and name in _SKIPPED):
                return path.relative_to(folder).as_posix()
        folders[:] = [name for name in folders if name not in _SKIPPED]
    return None


def _list_folders() -> list[str]:
    """The folders in which agents look for skills, each once."""
    folders: list[str] = []
    for agent in AGENTS:
        for folder in load_agent(agent).SKILLS:
            if folder not in folders:
                folders.append(folder)
    return folders


def hash_folder(folder: Path) -> str:
    """The hash of a skill's folder, as the lock has it. Raises OSError or _NotComparable."""
    files: dict[str, bytes] = {}
    size = 0
    for path in _list_files(folder):
        name = path.relative_to(folder).as_posix()
        if not name.isascii() or not set(name.lower()) <= set(_ORDER):
            raise _NotComparable("a file's name has other letters than ASCII's")
        files[name] = read_file(path, _MOST_BYTES)
        size += len(files[name])
        if len(files) > _MOST_FILES or size > _MOST_BYTES:
            raise _NotComparable("it is larger than a skill may be")
    digest = hashlib.sha256()
    for name in sorted(files, key=_make_sort_key):
        digest.update(name.encode())
        digest.update(files[name])
    return digest.hexdigest()


def _list_files(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder; links are no part of it."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _make_sort_key(name: str) -> tuple[list[int], list[bool]]:
    """Sorts as `localeCompare`: letters first, whether they are capitals only where
    all are equal.
    """
    letters = [_ORDER.index(letter) for letter in name.lower()]
    return letters, [letter.isupper() for letter in name]
