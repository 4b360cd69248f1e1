"""Files beside those of the commit that would be run in their place, or without anybody asking for
them.

Tests and setup may leave files in the checkout: reports, caches, databases, generated modules.
These count:

- one that takes the place of a module of the commit (`shop/tasks/__init__.py` or `shop/tasks.so`
  beside `shop/tasks.py`), or of an installed one where imports begin (`celery.py` at the root);
- one that Python, pytest or make reads by itself: conftest.py, sitecustomize.py, a `.pth`,
  pytest.ini, a Makefile.

Bytecode is compiled from the commit's files again before each stage: what a stage leaves of it is
removed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from skillrun.wall.commit import find_folders

_READ_UNASKED = frozenset(
    (
        *("conftest.py", "sitecustomize.py", "usercustomize.py"),
        *(
            "pytest.ini",
            ".pytest.ini",
            "pytest.toml",
            ".pytest.toml",
            "tox.ini",
            "setup.cfg",
            "pyproject.toml",
        ),
        *("Makefile", "makefile", "GNUmakefile", "justfile", "REPO_PROFILE.json"),
    )
)
_IMPORTED = (".py", ".so", ".pyd", ".pyc")
# Of virtual environments and of Pythons; Debian's own Python has the second kind.
_PACKAGES = ("lib/python3*/site-packages", "lib/python3*/dist-packages")
_BYTECODE = "__pycache__"
_PACKAGE = "__init__"


class Strays:
    """The folders of a commit, looked through again and again. `paths` are all that the commit
    holds.
    """

    def __init__(
        self,
        folder: Path,
        paths: Iterable[str],
        environments: Iterable[Path] = (),
    ) -> None:
        self.folder = folder
        self._environments = tuple(environments)
        self._tracked = frozenset(paths)
        self._folders = find_folders(self._tracked)
        self._modules = _find_modules(self._tracked)

    def find(self) -> Iterator[tuple[str, str]]:
        """(path, what it does) of every stray, in folders that hold something of the commit."""
        for folder in sorted(self._folders):
            for entry in self._list_folder(folder):
                path = _join_path(folder, entry.name)
                if path in self._tracked or path in self._folders:
                    continue
                what = self._judge_entry(folder, entry)
                if what is not None:
                    yield path, what

    def remove_bytecode(self) -> None:
        """Python takes bytecode for its source where the two seem to belong together."""
        for folder in self._folders:
            name = _join_path(folder, _BYTECODE)
            place = self.folder / name
            # The commit's own folder: the comparison speaks of it.
            if name in self._folders:
                continue
            if place.is_symlink():
                place.unlink(missing_ok=True)
            else:
                shutil.rmtree(place, ignore_errors=True)

    def _list_folder(self, folder: str) -> list[os.DirEntry[str]]:
        place = self.folder / folder
        try:
            if place.is_symlink():  # the comparison speaks of it
                return []
            with os.scandir(place) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            return []

    def _judge_entry(self, folder: str, entry: os.DirEntry[str]) -> str | None:
        if entry.name in _READ_UNASKED or entry.name.endswith(".pth"):
            return "is new, and is read by itself"
        module = _module_of(entry)
        if module is None:
            return None
        if folder.rpartition("/")[2] == _BYTECODE:
            return "is new, and may be run in the place of its source"
        # A package of the same name is found before the module.
        whole = folder if module == _PACKAGE else _join_path(folder, module)
        if whole in self._modules:
            return "is new, and takes the place of a module"
        if _join_path(folder, _PACKAGE) not in self._modules and module in self._installed:
            return "is new, and takes the place of an installed module"
        return None

    @cached_property
    def _installed(self) -> frozenset[str]:
        """Names that an import of the repository's interpreters finds without the repository: of
        the standard library and of their environments. What skillrun itself runs with is not asked.
        """
        found = set(sys.stdlib_module_names)
        for environment in self._environments:
            for pattern in _PACKAGES:
                for place in environment.glob(pattern):
                    found |= {entry.name.partition(".")[0] for entry in place.iterdir()}
        return frozenset(found)


def _find_modules(paths: Iterable[str]) -> set[str]:
    """`shop/tasks.py` is the module `shop/tasks`; `shop/__init__.py` is `shop`, and
    `shop/__init__`.
    """
    found = set()
    for path in paths:
        if path.endswith(_IMPORTED):
            folder, _, name = path.rpartition("/")
            module = name.partition(".")[0]
            found.add(_join_path(folder, module))
            if module == _PACKAGE:
                found.add(folder)
    return found


def _join_path(folder: str, name: str) -> str:
    if not folder:
        return name
    return f"{folder}/{name}"


def _module_of(entry: os.DirEntry[str]) -> str | None:
    """The name by which an import finds an entry of a folder; None for what is none."""
    if entry.name.endswith(_IMPORTED):
        return entry.name.partition(".")[0]
    for file in Path(entry.path).glob(f"{_PACKAGE}.*"):
        if file.name.endswith(_IMPORTED):
            return entry.name
    return None
