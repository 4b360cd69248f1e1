"""Which sights the marks of a library mean: a mark is read as `entry.Known` says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.frameworks.known.entry import FileSights, Known, Sight, glob_of
from skillrun.frameworks.known.names import Names

# No evidence where nothing else names the library.
_WEAK = frozenset({"class", "field", "holds", "set", "file", "import"})
# Sights whose name may be one of our own that stands for the library's.
_FOLLOWED = frozenset({"call", "base", "mark", "made", "wraps", "given"})
_MAKES = frozenset({"made", "given"})
# What begins one, in some language, or a line within one.
COMMENT = ("#", "//", ";", "--", "/*", "* ")
# Attributes between an app and its method: `app.conf.update`.
_DEEPEST = 2


@dataclass(frozen=True)
class Match:
    """A sight that a mark means. `owner`: the app whose method it is, "path:name"; else "".
    `rank`: the number of the mark among those that were asked for.
    """

    seen: FileSights
    sight: Sight
    owner: str = ""
    rank: int = 0


@dataclass
class _Candidate:
    """A sight with every name that it may have."""

    seen: FileSights
    sight: Sight
    readings: tuple[str, ...] = ()
    method: tuple[str, str] | None = None


class Matcher:
    """The sights of all files, by their kind, and what their names stand for."""

    def __init__(self, known: Known, files: Iterable[FileSights], paths: Iterable[str]) -> None:
        self.files = sorted(files, key=lambda seen: (seen.path.count("/"), seen.path))
        self.names = Names(self.files, known.modules, paths)
        self._known = known
        self._makers = [glob_of(pattern) for pattern in _patterns_of_makers(known.apps)]
        self._is_maker: dict[str, bool] = {}
        self._app_ids: frozenset[str] = frozenset()
        self._app_names: frozenset[str] = frozenset()
        self._bases = dict(_bases_elsewhere(self.files))
        self._candidates: dict[str, list[_Candidate]] = {}
        for seen in self.files:
            for sight in seen.sights:
                self._candidates.setdefault(sight.kind, []).append(_Candidate(seen, sight))

    def know_apps(self, ids: list[str]) -> None:
        """From now on `~app` is a method of one of these, "path:name"."""
        self._app_ids = frozenset(ids)
        for candidates in self._candidates.values():
            for candidate in candidates:
                candidate.method = None
        self._app_names = frozenset(one.rpartition(":")[2].rpartition(".")[2] for one in ids)

    def find(self, marks: Iterable[str], is_anchored: bool) -> Iterator[Match]:
        """What the marks say, in the order of the marks, then the least deep file first."""
        for rank, mark in enumerate(marks):
            kind, _, rest = mark.partition(" ")
            if kind == "text":
                yield from self._find_lines(rest, rank)
            elif is_anchored or kind not in _WEAK:
                what, _, needed = rest.partition(" if ")
                pattern, _, where = what.partition(" in ")
                for candidate, owner in self._find_kind(kind, pattern):
                    if self._is_there(candidate.seen, where, needed):
                        yield Match(candidate.seen, candidate.sight, owner, rank)

    def _find_lines(self, pattern: str, rank: int) -> Iterator[Match]:
        wanted = re.compile(pattern)
        for seen in self.files:
            for number, line in enumerate(seen.lines, 1):
                if wanted.search(line) and not line.lstrip().startswith(COMMENT):
                    yield Match(seen, Sight("text", line.strip(), number), "", rank)

    def imports_library(self) -> bool:
        """Whether any file imports the library."""
        return any(self._imports_library(seen) for seen in self.files)

    def imports_anywhere(self, pattern: str) -> bool:
        """Whether any file has an import that matches a glob."""
        return any(seen.imports(pattern) for seen in self.files)

    def _imports_library(self, seen: FileSights) -> bool:
        return any(seen.imports(module) for module in self._known.modules)

    def _is_there(self, seen: FileSights, where: str, needed: str) -> bool:
        if where and not glob_of(where).matches_name(f"/{seen.path}"):
            return False
        if needed == "library":
            return self._imports_library(seen)
        if needed.startswith("anywhere "):
            return self.imports_anywhere(needed.removeprefix("anywhere "))
        return not needed or seen.imports(needed)

    def _find_kind(self, kind: str, pattern: str) -> Iterator[tuple[_Candidate, str]]:
        glob = glob_of(pattern)
        wanted = ""
        if pattern.startswith("~app."):
            wanted = pattern.removeprefix("~app.")
        for candidate in self._candidates.get(kind, ()):
            if wanted:
                # A call is written as it is meant; only a decorator may have another name.
                if kind == "call" and not candidate.sight.name.endswith(f".{wanted}"):
                    continue
                if candidate.method is None:
                    candidate.method = self._method_of_app(candidate)
                method, owner = candidate.method
                if method == wanted:
                    yield candidate, owner
            elif any(glob.matches_name(reading) for reading in self._read_candidate(candidate)):
                yield candidate, ""

    def _read_candidate(self, candidate: _Candidate) -> tuple[str, ...]:
        if not candidate.readings:
            found = dict.fromkeys(self._each_reading(candidate.seen, candidate.sight))
            candidate.readings = tuple(found)
        return candidate.readings

    def _each_reading(self, seen: FileSights, sight: Sight) -> Iterator[str]:
        """The name itself; of Python what it stands for, and for a decorator or a factory of ours
        what it gives.
        """
        yield sight.name
        if sight.kind not in _FOLLOWED:
            return
        if not seen.path.endswith(".py"):
            base = self._name_base(seen, sight)
            if base:
                yield base
            return
        # What nobody keeps is followed no further: most lines of a program are such calls.
        if sight.kind == "call" and not sight.target:
            return
        yield from self.names.expand(sight.name, seen, sight.scope)
        if sight.kind == "mark" or sight.kind in _MAKES:
            for result in self.names.expand(f"{sight.name}()", seen, sight.scope):
                yield _drop_call(result, sight.kind)
        if sight.kind == "mark":
            for result in self.names.expand(f"{sight.name}()()", seen, sight.scope):
                yield _drop_call(result, sight.kind)

    def _name_base(self, seen: FileSights, sight: Sight) -> str:
        """In another language: what a class of the repository's own is derived from, where a call
        makes one.
        """
        if sight.kind != "call":
            return ""
        module, _, name = sight.name.rpartition(".")
        return self._bases.get((module.rpartition(".")[2] or _stem_of(seen.path), name), "")

    def _method_of_app(self, candidate: _Candidate) -> tuple[str, str]:
        """(method, app) of `app.task`, `shop.celery.app.conf.update`; ("", "") of anything else."""
        seen, sight = candidate.seen, candidate.sight
        for owner, method in _list_splits(sight.name):
            if seen.path.endswith(".py"):
                located = self.names.locate(owner, seen, sight.scope)
            else:
                # Elsewhere names are followed within their file alone.
                located = f"{seen.path}:{owner}"
            if located in self._app_ids:
                return method, located
        for reading in self._read_candidate(candidate):
            for owner, method in _list_splits(reading):
                if owner.endswith("()") and self._is_app(owner.removesuffix("()")):
                    return method, ""
        owner, method = next(_list_splits(sight.name), ("", ""))
        if owner and self._is_likely(owner, seen, sight.scope):
            return (method, "")
        return ("", "")

    def _is_app(self, maker: str) -> bool:
        if maker not in self._is_maker:
            self._is_maker[maker] = any(glob.matches_name(maker) for glob in self._makers)
        return self._is_maker[maker]

    def _is_likely(self, owner: str, seen: FileSights, scope: str) -> bool:
        """The name of an app, and nothing that was seen says that it is something else."""
        word = owner.lstrip(":").rpartition(".")[2]
        likely = self._known.likely
        if likely:
            named = glob_of(likely).matches_name(word.lower())
        else:
            named = word in self._app_names
        if not named:
            return False
        return not seen.path.endswith(".py") or not self.names.is_defined(owner, seen, scope)


def _patterns_of_makers(marks: Iterable[str]) -> Iterator[str]:
    """What the marks of apps call to make one."""
    for mark in marks:
        kind, _, pattern = mark.partition(" ")
        if kind in ("call", *_MAKES):
            yield pattern.partition(" in ")[0].partition(" if ")[0]


def _list_splits(name: str) -> Iterator[tuple[str, str]]:
    """("app.conf", "update") and ("app", "conf.update") of "app.conf.update"."""
    words = name.split(".")
    for depth in range(1, min(_DEEPEST, len(words) - 1) + 1):
        owner = ".".join(words[:-depth])
        if owner.strip(".:"):
            yield owner, ".".join(words[-depth:])


def _drop_call(result: str, kind: str) -> str:
    """What gave a result: "celery.Celery" of "celery.Celery()". A decorator may give another."""
    if kind != "mark":
        if not result.endswith("()"):
            return ""
        return result[:-2]
    while result.endswith("()"):
        result = result[:-2]
    return result


def _bases_elsewhere(files: list[FileSights]) -> Iterator[tuple[tuple[str, str], str]]:
    """(module's last word, class) -> what it is derived from, in other languages than Python."""
    for seen in files:
        if not seen.path.endswith(".py"):
            for sight in seen.sights:
                if sight.kind == "base" and "." in sight.name:
                    yield (_stem_of(seen.path), sight.target), sight.name


def _stem_of(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


def locate_own(match: Match) -> str:
    """How `Names.locate` writes the object that a match makes: "shop/app.py:make_app.app"."""
    sight = match.sight
    name = sight.target
    if not name:
        name = sight.scope
    elif sight.scope and sight.kind == "made":
        name = f"{sight.scope}.{name}"
    return f"{match.seen.path}:{name}"


def maker_of(match: Match) -> str:
    """The function that makes an object; of `Runner.__init__` the class; "" of a module."""
    if match.sight.kind not in ("made", "given"):
        return ""
    words = []
    for word in match.sight.scope.split("."):
        if not word.startswith("__"):
            words.append(word)
    return ".".join(words)
