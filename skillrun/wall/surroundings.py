"""What a verification rests on besides the commit, and what the repository's code could write to:
skillrun's own files, and the environments that are linked into the clean checkouts.

Both are looked at once, before anything of the repository runs, and held against that later.
"""

from __future__ import annotations

import hashlib
import os
import re
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
# Of a virtual environment, of a Python that was built, of Debian's.
_PACKAGES = (
    "lib/python3*/site-packages",
    "lib/python3*/dist-packages",
    "local/lib/python3*/dist-packages",
)
# More files than in any environment of a person; what lies behind them is not looked at.
_MOST_FILES = 200_000
_PACKAGES_FOLDER = re.compile(r"(?:site|dist)-packages/")
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
        self._compiled: dict[Path, _Seen] = {}
        for path in self._list_compiled():
            self._compiled[path] = _look_at_file(path, None, reads=False)

    def find_changes(self) -> Iterator[Finding]:
        """One error for each file that is another one now, is new, or is gone. Bytecode that is new
        or another one is removed: an interpreter would run it in the place of its module.
        """
        yield from self._remove_new_bytecode()
        now = dict(self._look_at_files(self._were))
        for key in sorted(self._were.keys() | now.keys()):
            rule, path = key
            what = _say_what_changed(self._were.get(key), now.get(key))
            if what is not None:
                message = f"{path} {what} while this was verified"
                yield Finding(rule, Severity.ERROR, message, path, hint=_HINTS[rule])

    def _remove_new_bytecode(self) -> Iterator[Finding]:
        """Removes from the folders for bytecode what was written meanwhile, which any interpreter
        may have done for honest reasons: the next one compiles again. One error for each file that
        stays.
        """
        for path in list(self._list_compiled()):
            known = self._compiled.get(path)
            if known is not None and _look_at_file(path, known, reads=False) == known:
                continue
            try:
                path.unlink()
                self._compiled.pop(path, None)
            except FileNotFoundError:
                continue
            except OSError as error:
                message = (
                    f"{path} came into being while this was verified, and stays: {error.strerror}"
                )
                hint = _HINTS[CHANGED_RULE]
                yield Finding(CHANGED_RULE, Severity.ERROR, message, str(path), hint=hint)

    def _list_compiled(self) -> Iterator[Path]:
        """The files in every folder for bytecode."""
        tops = [*self._own.values()]
        for folder in self._environments.values():
            tops += list_packages(folder)
        for top in tops:
            for path in _list_files(top, (".pyc",), bytecode=True):
                yield top / path

    def _look_at_files(
        self, known: Mapping[tuple[str, str], _Seen]
    ) -> Iterator[tuple[tuple[str, str], _Seen]]:
        for name, folder in self._own.items():
            for path in _list_files(folder, ("",)):
                key = (CHANGED_RULE, f"{name}/{path}")
                yield key, _look_at_file(folder / path, known.get(key), reads=True)
        for name, folder in self._environments.items():
            is_virtual = (folder / "pyvenv.cfg").is_file()
            for path in _list_environment(folder):
                key = (NOT_THE_COMMIT_RULE, f"{name}/{path}")
                # The thousands of programs of a system are not read.
                reads = _is_read_unasked(path) and (is_virtual or not path.startswith("bin/"))
                yield key, _look_at_file(folder / path, known.get(key), reads=reads)


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
    """What an interpreter's start reads, programs, and modules at the top: few files, which
    installers write again.
    """
    if path.endswith((".pth", ".egg-link")):
        return True
    # "lib/python3.11/site-packages/celery/app.py" -> "celery/app.py"
    inside = _PACKAGES_FOLDER.split(path, maxsplit=1)[-1]
    return path.startswith("bin/") or path == "pyvenv.cfg" or "/" not in inside


def _list_environment(folder: Path) -> Iterator[str]:
    """The code that lies in a virtual environment, and its programs."""
    yield "pyvenv.cfg"
    yield from _list_files(folder, ("",), "bin")
    for packages in list_packages(folder):
        yield from _list_files(folder, _CODE, packages.relative_to(folder).as_posix())


def list_packages(folder: Path) -> list[Path]:
    """Where an environment, or a Python of the system, keeps installed packages."""
    found: list[Path] = []
    for pattern in _PACKAGES:
        found += sorted(folder.glob(pattern))
    return found


def _list_files(
    top: Path, endings: tuple[str, ...], below: str = "", *, bytecode: bool = False
) -> Iterator[str]:
    """Paths relative to `top`; `bytecode`: those alone that lie in folders for bytecode, which
    interpreters write as they go, and without it all others.
    """
    left = _MOST_FILES
    folders = [below]
    while folders and left > 0:
        folder = folders.pop()
        for entry in _scan_folder(top / folder):
            left -= 1
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if bytecode or entry.name != _BYTECODE:
                    folders.append(path)
            elif entry.name.endswith(endings) and (not bytecode or _is_compiled(folder)):
                yield path


def _is_compiled(folder: str) -> bool:
    return folder.rpartition("/")[2] == _BYTECODE


def _scan_folder(folder: Path) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
