"""The Python files of a tree: parsed when they are asked for, found by their dotted module names.

Every file that is read is recorded as a look-up of the tree, also where the answer was known
already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Protocol, TypeVar

from skillrun.repo.source import Module, parse_module

ROOT_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "manage.py")
_Answer = TypeVar("_Answer")


class Lookups(Protocol):
    """What a recording yields; `Tree.record` takes it back."""

    def __iter__(self) -> Iterator[Any]: ...


class TreeLike(Protocol):
    """The part of `repo.tree.Tree` that reading Python needs."""

    @property
    def files(self) -> tuple[str, ...]: ...

    def read(self, path: str) -> bytes | None: ...

    def peek(self, path: str) -> bytes | None: ...

    def size(self, path: str) -> int: ...

    def search(self, word: str, suffix: str = ".py") -> tuple[str, ...]: ...

    def match(self, glob: str) -> tuple[str, ...]: ...

    def recording(self) -> AbstractContextManager[Any]: ...

    def record(self, lookups: Iterable[Any]) -> None: ...


class Sources:
    """Files and modules."""

    def __init__(self, tree: TreeLike) -> None:
        self.tree = tree
        # Path -> why Python cannot read it.
        self.broken: dict[str, str] = {}
        self._parsed: dict[str, tuple[bytes, Module | None]] = {}
        self._known: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def module(self, path: str) -> Module | None:
        """The parsed file; None where it is missing or no valid Python (then `broken` says why)."""
        data = self.tree.read(path)
        if data is None:
            return None
        if path not in self._parsed or self._parsed[path][0] is not data:
            self._parsed[path] = (data, self._parse_file(path, data))
        return self._parsed[path][1]

    def _parse_file(self, path: str, data: bytes) -> Module | None:
        try:
            return parse_module(path, self.import_name(path), data)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.broken[path] = f"{path}:{getattr(error, 'lineno', None) or 1}: {error}"
            return None

    def modules_with(self, word: str) -> Iterator[Module]:
        """The parsed files that contain a whole word."""
        for path in self.tree.search(word):
            module = self.module(path)
            if module is not None:
                yield module

    def roots(self) -> tuple[str, ...]:
        """Folders from which modules are imported, "" for the repository's own: declared ones
        first.
        """
        return self._roots

    @cached_property
    def _python_files(self) -> tuple[str, ...]:
        return tuple(path for path in self.tree.files if path.endswith(".py"))

    @cached_property
    def _packages(self) -> frozenset[str]:
        found = set()
        for path in self._python_files:
            if path.endswith("/__init__.py"):
                found.add(path[: -len("/__init__.py")])
        packages = set()
        for folder in found:
            if not self._is_started(folder):
                packages.add(folder)
        return frozenset(packages)

    def _is_started(self, folder: str) -> bool:
        """Django's manage.py puts its own folder on the path, and the settings are imported from
        there.

        Where the settings lie beside it, it is the old layout, in which the folder is the package
        of the project.
        """
        beside = (f"{folder}/settings.py", f"{folder}/settings/__init__.py")
        command = f"{folder}/manage.py"
        if command not in self._known_files or not self._known_files.isdisjoint(beside):
            return False
        # A package may have commands of its own under that name.
        return b"django" in (self.tree.read(command) or b"").lower()

    @cached_property
    def _known_files(self) -> frozenset[str]:
        return frozenset(self._python_files)

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        marked = set()
        for path in self.tree.files:
            for folder, name in [_split_path(path)]:
                if name in ROOT_MARKERS:
                    marked.add(folder)
        for folder in [*marked, ""]:
            if self._has_python(f"{folder}/src"):
                marked.add(f"{folder}/src".lstrip("/"))
        holding = {_split_path(package)[0] for package in self._packages} - self._packages
        return tuple(
            sorted(
                (marked | holding | {""}) - self._packages, key=lambda root: (root.count("/"), root)
            )
        )

    def _has_python(self, folder: str) -> bool:
        prefix = folder.lstrip("/") + "/"
        return any(path.startswith(prefix) for path in self._python_files)

    def import_name(self, path: str) -> str:
        """The dotted name under which a file is imported, e.g. "shop.mailer" for
        "src/shop/mailer.py".
        """
        folder, name = _split_path(path)
        parts = []
        if name != "__init__.py":
            parts = [name.removesuffix(".py")]
        while folder in self._packages:
            folder, package = _split_path(folder)
            parts.insert(0, package)
        inside = max(
            (root for root in self._roots if _is_within(folder, root)), key=len, default=""
        )
        return ".".join([*folder[len(inside) :].strip("/").split("/"), *parts]).strip(".")

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Last part of the module name -> files, those nearest to the root first."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._python_files, key=lambda p: (p.count("/"), p)):
            folder, name = _split_path(path)
            if name == "__init__.py":
                stem = _split_path(folder)[1]
            else:
                stem = name.removesuffix(".py")
            found.setdefault(stem, []).append(path)
        return found

    def locate(self, module: str, *, anywhere: bool = False, near: str | None = None) -> str | None:
        """The file of a dotted module name, or None where it lies outside the repository.

        A module of one part counts only in a source root or beside `near`: "celery" is not
        "shop/celery.py".
        `anywhere` drops that, for names that somebody gave explicitly.
        """
        tail = module.replace(".", "/")
        for path in self._by_stem.get(module.rpartition(".")[2], ()):
            start = _start_of(path, tail)
            if (
                start is not None
                and start not in self._packages
                and self._is_importable(module, start, near, anywhere)
            ):
                return path
        return None

    def _is_importable(self, module: str, start: str, near: str | None, anywhere: bool) -> bool:
        if anywhere or start == "":
            return True
        if module.partition(".")[0] in sys.stdlib_module_names:
            return False
        if "." in module:
            return True
        return start in self._roots or (
            near is not None and _split_path(near)[0] == start and _split_path(near)[1] != module
        )

    def remember(self, key: tuple[Any, ...], compute: Callable[[], _Answer]) -> _Answer:
        """What `compute` gives, computed once for a key; its look-ups are recorded each time it is
        given.
        """
        if key not in self._known:
            with self.tree.recording() as lookups:
                answer = compute()
            self._known[key] = (answer, lookups)
            return answer
        kept: _Answer = self._known[key][0]
        self.tree.record(self._known[key][1])
        return kept


def _split_path(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _is_within(folder: str, root: str) -> bool:
    return root == "" or folder == root or folder.startswith(root + "/")


def _start_of(path: str, tail: str) -> str | None:
    """The folder from which a path is the module `tail`; None where it is not."""
    for ending in (f"{tail}.py", f"{tail}/__init__.py"):
        if path == ending:
            return ""
        if path.endswith("/" + ending):
            return path[: -len(ending) - 1]
    return None
