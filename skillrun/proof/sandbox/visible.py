"""Which paths of the machine a proof sees: its scratch, the repository, two interpreters, and the
system's programs.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import skillrun
from skillrun.core.opening import read_file
from skillrun.repo.git import run_git

# Programs, libraries and their settings. Not here: homes, /tmp, /run, /var, other disks. That is
# where sockets of running servers, keys and other people's work are.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc", "/opt", "/nix", "/gnu", "/sys"),
)
_TEMPORARY = ("/tmp", "/var/tmp")
# Where sockets of servers and other people's files are: no file of a repository opens these.
_NEVER = ("/run", "/var", "/proc", "/dev", "/tmp", "/boot", "/etc", "/root", "/home")
_SERVERS = ("/run/", "/var/run/", "/proc/", "/dev/")
# No server keeps a socket there, and to look through all of it would take seconds.
_NOT_SEARCHED = ("/usr", "/nix", "/gnu", "/sys")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_OF_A_PREFIX = ("bin", "lib", "lib64", "include", "share")


@dataclass
class Plan:
    """The file system of a sandbox; every path is absolute and without links, but for `links`
    themselves.
    """

    mount_at: str  # an empty folder, where it is put together
    readable: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)
    temporary: list[tuple[str, str]] = field(default_factory=list)  # (path inside, folder)
    links: list[tuple[str, str]] = field(default_factory=list)  # (path, what it points at)
    # Folders in which sockets and pipes are hidden.
    searched: list[str] = field(default_factory=list)


def make_plan(
    *,
    mount_at: Path,
    root: Path,
    pythons: list[str],
    servers: list[Path],
    writable: list[Path],
    temporary: Path,
    beside: Iterable[Path] = (),
) -> Plan:
    """What a proof of the repository at `root` sees. `temporary`: the folder that is /tmp inside,
    `beside`: what it sees besides.

    `pythons` are interpreters, `servers` the folders of binaries of private servers.
    """
    plan = Plan(str(mount_at))
    seen = _Collector(plan)
    for name in _SYSTEM:
        seen.add(Path(name))
    for python in pythons:
        for path in find_interpreter(python, root):
            seen.add(path)
    seen.add(Path(skillrun.__file__).parent)
    for folder in servers:
        seen.add(folder)
    for path in (root, *beside):
        seen.add(path)
    plan.temporary += [(name, str(temporary)) for name in _TEMPORARY]
    plan.writable += [str(path.resolve()) for path in writable]
    plan.readable = drop_nested(plan.readable)
    for name in plan.readable:
        if name not in _NOT_SEARCHED:
            plan.searched.append(name)
    return plan


def landlock_rules(plan: Plan) -> dict[str, list[str]]:
    """The same paths for a machine without namespaces, where nothing can be put in another
    place.
    """
    readable = [*plan.readable, "/proc", "/sys", *_DEVICES]
    return {"readable": readable, "writable": [*plan.writable, *_DEVICES]}


def drop_nested(paths: list[str]) -> list[str]:
    """The outermost of them, in order: what lies below is seen through it."""
    kept: list[str] = []
    for path in sorted(set(paths)):
        inside = any(path == other or path.startswith(other.rstrip("/") + "/") for other in kept)
        if not inside:
            kept.append(path)
    return kept


class _Collector:
    """Adds paths with the links that lead to them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def add(self, path: Path) -> None:
        if not path.exists():
            return
        self._add_links(path)
        self.plan.readable.append(str(path.resolve()))

    def _add_links(self, path: Path) -> None:
        """Each link on the way is made again, so that the path is found under the name that it was
        given by.
        """
        current = Path("/")
        for part in path.absolute().parts[1:]:
            current = current / part
            if not current.is_symlink():
                continue
            target = str(current.readlink())
            known = (str(current), target)
            if known not in self.plan.links:
                self.plan.links.append(known)
                self._add_links(current.parent / target)
            current = current.resolve()


def find_interpreter(python: str, root: Path) -> list[Path]:
    """The folders that an interpreter needs, read from files alone: nothing of it is run.

    Its environment, the one that this was made from (PEP 405), and the folders that editable
    installs name; the last not where git brought the environment along, since then somebody else
    chose them.
    """
    found: list[Path] = []
    for link in follow_links(Path(python).absolute()):
        found += [link, *folders_of_prefix(link.parent.parent)]
    settings = Path(python).absolute().parent.parent / "pyvenv.cfg"
    base = read_base(settings)
    if base is not None and os.access(base / "python3", os.X_OK):
        for link in follow_links(base / "python3"):
            found += folders_of_prefix(link.parent.parent)
    for folder in list(found):
        if not is_committed(root, folder):
            found += find_editable(folder)
    return found


def is_committed(root: Path, folder: Path) -> bool:
    """Whether git holds anything of an environment below the repository's root."""
    try:
        below = folder.resolve().relative_to(root.resolve())
    except ValueError:
        return False
    if not (folder / "lib").exists():
        return False
    return bool(run_git(root, "ls-files", "-z", "--", f"{below}/lib").stdout)


def follow_links(path: Path) -> list[Path]:
    """A path, what it points at, and so on."""
    found = [path]
    # As many links as the kernel follows before it says ELOOP, path_resolution(7).
    while path.is_symlink() and len(found) < 40:
        path = path.parent / path.readlink()
        found.append(path)
    return found


def folders_of_prefix(prefix: Path) -> list[Path]:
    """A prefix as a whole; of one in which somebody's home lies only what belongs to an
    interpreter.
    """
    real = prefix.resolve()
    if real == Path("/usr"):
        return []  # seen anyway
    if str(real).startswith(("/run/", "/proc/", "/dev/")):
        return []
    homes = [Path.home().resolve(), Path("/home"), Path("/root")]
    if any(home == real or real in home.parents for home in homes):
        return [prefix / name for name in _OF_A_PREFIX]
    return [prefix]


def read_base(settings: Path) -> Path | None:
    """`home` of pyvenv.cfg: the folder of the interpreter that a virtual environment was made
    from.
    """
    for line in _read_lines(settings):
        name, _, value = line.partition("=")
        if name.strip() == "home":
            return Path(value.strip())
    return None


def find_editable(prefix: Path) -> list[Path]:
    """Folders that `.pth` files and setuptools' finders of editable installs add to the path of an
    environment.
    """
    found: list[Path] = []
    for folder in prefix.glob("lib/python3*/site-packages"):
        for file in folder.glob("*.pth"):
            found += _existing_folders(_read_lines(file))
        for file in folder.glob("__editable__*finder.py"):
            found += _existing_folders(_read_mapping(file))
    return found


def _read_lines(file: Path) -> list[str]:
    try:
        return read_file(file).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _read_mapping(file: Path) -> list[str]:
    """The values of MAPPING, a dict of names and paths in the file's text."""
    try:
        tree = ast.parse("\n".join(_read_lines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict):
            values = [value.value for value in node.value.values if isinstance(value, ast.Constant)]
            return [str(Path(str(value)).parent) for value in values]
    return []


def _existing_folders(names: list[str]) -> list[Path]:
    """Absolute folders that are there, and that a file may open."""
    found = []
    for name in names:
        path = Path(name)
        if path.is_absolute() and path.is_dir() and _may_be_opened(path.resolve()):
            found.append(path)
    return found


def _may_be_opened(folder: Path) -> bool:
    """Not a home as a whole, nothing hidden in one (keys, settings), and nothing where servers keep
    their sockets.
    """
    home = Path.home().resolve()
    if folder == home or folder in home.parents or str(folder) in _NEVER:
        return False
    if folder.is_relative_to(home):
        below = folder.relative_to(home).parts
        return not any(part.startswith(".") for part in below)
    return not str(folder).startswith(_SERVERS)


def own_python() -> str:
    """The interpreter that runs skillrun, and with it the supervisors inside."""
    return sys.executable
