"""The Python files of one side of a branch, as the readers of code in `repo/` ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from skillrun.repo.python import Project
from skillrun.repo.tree import glob_pattern
from skillrun.wall.watched.reach import Reach


def _read_nothing() -> Mapping[str, str]:
    return {}


class CommitSources:
    """The texts of one commit. It answers what `repo.tree.Tree` does, and records no look-up."""

    def __init__(self, load: Callable[[], Mapping[str, str]] = _read_nothing) -> None:
        """`load` gives path -> text; it is called when the first look asks."""
        self._load = load
        self._reached: dict[tuple[str, ...], Reach] = {}

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Path -> text."""
        return self._load()

    @cached_property
    def files(self) -> tuple[str, ...]:
        """All paths, sorted."""
        return tuple(sorted(self.texts))

    def read(self, path: str) -> bytes | None:
        """The content of a file; None where there is none of that name."""
        return self._contents.get(path)

    def peek(self, path: str) -> bytes | None:
        """The same: nothing is recorded here."""
        return self._contents.get(path)

    def size(self, path: str) -> int:
        """Bytes of a file; 0 where there is none of that name."""
        return len(self._contents.get(path, b""))

    def search(self, word: str, suffix: str = ".py") -> tuple[str, ...]:
        """The files that contain a word."""
        found = []
        for path in self.files:
            if path.endswith(suffix) and word in self.texts[path]:
                found.append(path)
        return tuple(found)

    def match(self, glob: str) -> tuple[str, ...]:
        """The paths that match a glob as a whole."""
        pattern = glob_pattern(glob)
        return tuple(path for path in self.files if pattern.fullmatch(path))

    @cached_property
    def project(self) -> Project:
        """The Python of this commit, one for all looks: each file is parsed, and each name
        followed, once.
        """
        return Project(self)

    def reach_from(self, names: Iterable[str]) -> Reach:
        """What is reached from the import paths of functions, followed once; nobody may change
        it.
        """
        key = tuple(names)
        if key not in self._reached:
            reach = Reach(self.project)
            reach.follow(list(key))
            self._reached[key] = reach
        return self._reached[key]

    @contextmanager
    def recording(self) -> Iterator[tuple[Any, ...]]:
        """A commit does not change, so that nobody has to ask again."""
        yield ()

    def record(self, lookups: Iterable[Any]) -> None:
        """As for `recording`."""

    # What was parsed is known again by the identity of its bytes, so these are made once.
    @cached_property
    def _contents(self) -> dict[str, bytes]:
        contents = {}
        for path, text in self.texts.items():
            contents[path] = text.encode("utf-8", "replace")
        return contents
