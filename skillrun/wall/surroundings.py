"""What a verification rests on besides the commit, and what the repository's code could write to:
skillrun's own files, and the environments that are linked into the clean checkouts.

Both are looked at once, before anything of the repository runs, and held against that later.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.opening import read_file
from skillrun.core.verdict import Finding, Severity
from skillrun.wall.own_code import find_own_folders

CHANGED_RULE = "verify.own-code-changed"
NOT_THE_COMMIT_RULE = "verify.not-the-commit"
HELP = {
    CHANGED_RULE: (
        "A file of skillrun's own that changes while it verifies could have decided what it says."
    ),
    NOT_THE_COMMIT_RULE: (
        "What is judged is the commit, in the environment that was there before. A file of either "
        "that changes meanwhile is judged in its place."
    ),
}
_HINTS = {
    CHANGED_RULE: "install skillrun where the repository's tests cannot write, and verify again",
    NOT_THE_COMMIT_RULE: (
        "let setup and tests install into a folder of their own, and nothing else meanwhile"
    ),
}
_CODE = (".py", ".pyc", ".pth", ".so", ".pyd", ".egg-link")
_BYTECODE = "__pycache__"
# More files than in any environment of a person; what lies behind them is not looked at.
_MOST_FILES = 200_000
# A larger one of an environment is not read.
_SMALL = 1024 * 1024


@dataclass(frozen=True)
class _Seen:
    """How a file looked. The clock of `ctime` cannot be set back by who owns the file."""

    facts: tuple[int, ...]
    digest: str | None


class Surroundings:
    """The files as they were when this was made. `environments`: name in a finding -> folder."""

    def __init__(self, environments: Mapping[str, Path]) -> None:
        self._environments = dict(environments)
        self._own = dict(find_own_folders())
        self._were = dict(self._look_at_files({}))

    def find_changes(self) -> Iterator[Finding]:
        """One error for each file that is another one now, is new, or is gone."""
        now = dict(self._look_at_files(self._were))
        for key in sorted(self._were.keys() | now.keys()):
            rule, path = key
            what = _say_what_changed(self._were.get(key), now.get(key))
            if what is not None:
                message = f"{path} {what} while this was verified"
                yield Finding(rule, Severity.ERROR, message, path, hint=_HINTS[rule])

    def _look_at_files(
        self, known: Mapping[tuple[str, str], _Seen]
    ) -> Iterator[tuple[tuple[str, str], _Seen]]:
        for name, folder in self._own.items():
            for path in _list_files(folder, ("",)):
                key = (CHANGED_RULE, f"{name}/{path}")
                yield key, _look_at_file(folder / path, known.get(key), reads=True)
        for name, folder in self._environments.items():
            for path in _list_environment(folder):
                key = (NOT_THE_COMMIT_RULE, f"{name}/{path}")
                yield (
                    key,
                    _look_at_file(folder / path, known.get(key), reads=_is_read_unasked(path)),
                )


def _say_what_changed(was: _Seen | None, now: _Seen | None) -> str | None:
    if was == now:
        return None
    if was is None:
        return "came into being"
    if now is None:
        return "went away"
    # Who writes the same again, as an installer does, has changed nothing.
    if now.digest is not None and was.digest == now.digest:
        return None
    return "changed"


def _look_at_file(path: Path, known: _Seen | None, *, reads: bool) -> _Seen:
    try:
        seen = path.stat()
    except OSError:
        return _Seen((), None)
    facts = (seen.st_mode, seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    if known is not None and known.facts == facts:
        return known
    digest = None
    # `ctime` also tells of links: what installers link out of one cache, as uv does, changes there
    # whenever another environment is made or removed.
    is_shared = seen.st_nlink > 1 or (known is not None and known.digest is not None)
    if (reads or is_shared) and stat.S_ISREG(seen.st_mode):
        digest = _digest_or_none(path)
    return _Seen(facts, digest)


def _digest_or_none(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_file(path, _SMALL)).hexdigest()
    except OSError:
        return None


def _is_read_unasked(path: str) -> bool:
    """What an interpreter's start reads, and modules at the top: few files, which installers write
    again.
    """
    return path.endswith((".pth", ".egg-link")) or "/" not in path.partition("site-packages/")[2]


def _list_environment(folder: Path) -> Iterator[str]:
    """The code that lies in a virtual environment, and its programs."""
    yield "pyvenv.cfg"
    yield from _list_files(folder, ("",), "bin")
    for packages in sorted(folder.glob("lib/python3*/site-packages")):
        yield from _list_files(folder, _CODE, packages.relative_to(folder).as_posix())


def _list_files(top: Path, endings: tuple[str, ...], below: str = "") -> Iterator[str]:
    """Paths relative to `top`. Bytecode in its own folders is what interpreters write as they
    go.
    """
    left = _MOST_FILES
    folders = [below]
    while folders and left > 0:
        folder = folders.pop()
        for entry in _scan_folder(top / folder):
            left -= 1
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != _BYTECODE:
                    folders.append(path)
            elif entry.name.endswith(endings):
                yield path


def _scan_folder(folder: Path) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
