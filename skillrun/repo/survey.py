"""One pass over the files of a repository: languages, commands, folders, and which job libraries it
uses.
"""

from __future__ import annotations

import ast
import functools
import gc
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Protocol

from skillrun.repo.commands import CommandFact, Commands
from skillrun.repo.declarations import find_commands
from skillrun.repo.languages import find_languages
from skillrun.repo.layout import Paths, Stack, find_paths, find_stack
from skillrun.repo.managers import find_package_manager
from skillrun.repo.manifests import Manifests, read_manifests
from skillrun.repo.places import is_aside, is_vendored
from skillrun.repo.syntax import parse_python
from skillrun.repo.uses import Offer

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree
    from skillrun.repo.uses import FrameworkUse

__all__ = [
    "CommandFact",
    "Commands",
    "Paths",
    "Recogniser",
    "Stack",
    "Survey",
    "survey_tree",
    "walk_statements",
]

# Bytes; a larger file is data.
_LARGEST = 1024 * 1024
_NO_LIBRARY = ("plain-cron",)
# These carry no jobs.
_CLOCKS = frozenset({"apscheduler", "node-cron", "nestjs-schedule", "spring-scheduled"})
_HOME_MADE = "custom-queue"
_LEAVES = (
    ast.Expr,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Return,
    ast.Import,
    ast.ImportFrom,
    ast.Pass,
)


class Recogniser(Protocol):
    """Looks for one job library during one pass. It keeps what it needs of a file, never the parsed
    module.
    """

    id: str
    language: str  # "python" where *.py files matter
    words: tuple[bytes, ...]  # a file without any of them, in content and path, cannot matter
    # Globs over the lower-case names of files other than *.py, e.g. "procfile*".
    text_files: tuple[str, ...]

    def wants(self, path: str, data: bytes) -> bool:
        """Whether a file that holds one of the words is worth a look."""

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        """A parsed Python file."""

    def see_text(self, path: str, data: bytes) -> None:
        """A file whose name matches `text_files`."""

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        """What was seen, an Offer where it is for others, or None where the library
        is not in use.
        """


@dataclass(frozen=True)
class Survey:
    """What one pass concluded. `notes` says what could not be read."""

    languages: tuple[str, ...] = ()
    package_manager: str | None = None
    commands: Commands = field(default_factory=Commands)
    paths: Paths = field(default_factory=Paths)
    stack: Stack = field(default_factory=Stack)
    frameworks: tuple[FrameworkUse, ...] = ()
    primary: str | None = None
    notes: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()  # of libraries that are not in use

    def use(self, framework: str) -> FrameworkUse | None:
        """How a job library is used, or None."""
        for use in self.frameworks:
            if use.id == framework:
                return use
        return None

    def section(self, name: str) -> tuple[Any, tuple[str, ...]]:
        """(JSON value, files) of a part, as `Tree.record_section` and `Tree.repeat` take it.

        Names: languages, package_manager, commands, paths, stack, frameworks, framework:<id>.
        """
        if name.startswith("framework:"):
            use = self.use(name.partition(":")[2])
            if use is None:
                return None, ()
            return asdict(use), tuple(place.path for place in use.evidence)
        if name == "frameworks":
            return {"primary": self.primary, "ids": [use.id for use in self.frameworks]}, ()
        if name == "commands":
            declared = self.commands.known().values()
            return asdict(self.commands), tuple(fact.path for fact in declared)
        value = getattr(self, name)
        if isinstance(value, Paths | Stack):
            return asdict(value), ()
        return value, ()

    def record(self, tree: Tree, *sections: str) -> None:
        """Records that somebody relies on these parts."""
        for name in sections:
            tree.record_section(name, *self.section(name))


def survey_tree(tree: Tree, recognisers: Sequence[Recogniser]) -> Survey:
    """Reads each file at most once; records nothing (see `Survey.record`). Nothing in the files can
    make it fail.
    """
    manifests = read_manifests(tree)
    with _no_collection():
        notes = [*manifests.notes, *_show_files(tree, recognisers)]
    languages = find_languages(tree)
    found: list[FrameworkUse] = []
    offers: list[Offer] = []
    for recogniser in recognisers:
        use = recogniser.conclude(manifests)
        if isinstance(use, Offer):
            offers.append(use)
        elif use is not None:
            found.append(use)
    uses = _merge_uses(found)
    return Survey(
        languages=languages,
        package_manager=find_package_manager(tree, languages),
        commands=find_commands(tree, languages),
        paths=find_paths(tree, manifests, languages),
        stack=find_stack(tree, manifests),
        frameworks=tuple(uses),
        primary=_choose_primary(uses),
        notes=tuple(notes),
        offers=tuple(offers),
    )


@contextmanager
def _no_collection() -> Iterator[None]:
    """Syntax trees hold no cycles; looking for some while thousands are built costs a fifth of the
    pass.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def walk_statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, also inside functions, classes and branches; expressions are not entered."""
    for node in body:
        yield node
        if not isinstance(node, _LEAVES):
            for part in _list_bodies(node):
                yield from walk_statements(part)


def _list_bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield holder.body


def _merge_uses(uses: Iterable[FrameworkUse]) -> list[FrameworkUse]:
    """One use of each library: several recognisers may know it, one a language. Home-made is what
    no library is.

    A library without a scheduler has its jobs started by the clock that is in use beside it.
    """
    found: dict[str, FrameworkUse] = {}
    for use in uses:
        if use.id in found:
            found[use.id] = _join_uses(found[use.id], use)
        else:
            found[use.id] = use
    if found.keys() - {*_NO_LIBRARY, _HOME_MADE}:
        found.pop(_HOME_MADE, None)
    clock = None
    for use in found.values():
        if use.id in _CLOCKS:
            clock = use.scheduler or use.id
            break
    merged = []
    for use in found.values():
        if clock is not None and use.scheduler is None:
            merged.append(replace(use, scheduler=clock))
        else:
            merged.append(use)
    return merged


def _join_uses(one: FrameworkUse, other: FrameworkUse) -> FrameworkUse:
    """Two uses of one library as one; where both say something, `one` is right."""
    return replace(
        one,
        app=one.app or other.app,
        apps=(*one.apps, *other.apps),
        task_modules=tuple(sorted({*one.task_modules, *other.task_modules})),
        scheduler=one.scheduler or other.scheduler,
        broker=one.broker or other.broker,
        evidence=(*one.evidence, *other.evidence),
    )


def _show_files(tree: Tree, recognisers: Sequence[Recogniser]) -> Iterator[str]:
    """Shows each file to the recognisers that want it; yields a note for each that could not be
    read.
    """
    for_python = _Wanting(one for one in recognisers if one.language == "python")
    for_text = _ByName(recognisers)
    for path in tree.files:
        if is_vendored(path):
            continue
        name = path.rpartition("/")[2].lower()
        if not name.endswith(".py"):
            _show_text(tree, path, for_text.find_interested(name))
        elif tree.size(path) > _LARGEST:
            if not is_aside(path):
                yield f"{path}: not read: larger than {_LARGEST // 1024 // 1024} MB"
        elif data := tree.peek(path):
            yield from _show_python(path, data, for_python.find_wanting(data, path))


def _show_text(tree: Tree, path: str, interested: _Wanting | None) -> None:
    """Shows a file other than *.py to those who want it."""
    if interested is None or tree.size(path) > _LARGEST:
        return
    data = tree.peek(path)
    if data:
        for recogniser in interested.find_wanting(data, path):
            recogniser.see_text(path, data)


class _Wanting:
    """The recognisers for one sort of files. Each word is looked for once in a file, whoever wants
    it.
    """

    def __init__(self, recognisers: Iterable[Recogniser]) -> None:
        self._all = tuple(recognisers)
        self._by_word: dict[bytes, list[Recogniser]] = {}
        for one in self._all:
            for word in dict.fromkeys(one.words):
                self._by_word.setdefault(word, []).append(one)

    def spoken_of(self, data: bytes, path: str) -> list[Recogniser]:
        """Those of whom a word is in the content or in the path, in the order in which they were
        given.
        """
        text = data + os.fsencode(path)
        # By identity: a recogniser need not be hashable.
        spoken_of = set[int]()
        for word, ones in self._by_word.items():
            if word in text:
                spoken_of.update(map(id, ones))
        # Most files speak of nobody.
        if not spoken_of:
            return []
        return [one for one in self._all if id(one) in spoken_of]

    def find_wanting(self, data: bytes, path: str) -> list[Recogniser]:
        """Those of whom a file speaks, and who want it."""
        return [one for one in self.spoken_of(data, path) if one.wants(path, data)]


class _ByName:
    """Which recognisers want files of a name other than *.py. Many share their globs: each set is
    matched once.
    """

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        self._all = recognisers
        self._globs: dict[tuple[str, ...], re.Pattern[str]] = {}
        for one in recognisers:
            if one.text_files not in self._globs:
                self._globs[one.text_files] = _compile_names(one.text_files)
        self._known: dict[frozenset[tuple[str, ...]], _Wanting] = {}

    def find_interested(self, name: str) -> _Wanting | None:
        """The recognisers that want a file of this name, given in lower case; None where nobody
        does.
        """
        wanted = frozenset(globs for globs, names in self._globs.items() if names.fullmatch(name))
        if not wanted:
            return None
        if wanted not in self._known:
            self._known[wanted] = _Wanting(one for one in self._all if one.text_files in wanted)
        return self._known[wanted]


@functools.cache
def _compile_names(globs: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all of the globs; without any, it matches nothing.

    It is kept for the next survey: there are more of them than `re` and `fnmatch` remember.
    """
    matches_nothing = r"(?!)"
    return re.compile("|".join(map(translate, globs)) or matches_nothing)


def _show_python(path: str, data: bytes, recognisers: list[Recogniser]) -> Iterator[str]:
    """Shows a Python file to those who want it; yields a note where it could not be parsed."""
    if not recognisers:
        return
    try:
        module = parse_python(data)
        for recogniser in recognisers:
            recogniser.see_python(path, module, data)
    except SyntaxError as error:
        # Not `str(error)`, which names the file `<unknown>`.
        yield f"{path}:{error.lineno or 1}: not parsed: {error.msg}"
    except ValueError as error:
        yield f"{path}: not parsed: {error}"
    except (RecursionError, MemoryError):
        yield f"{path}: not parsed: nested too deeply"


def _choose_primary(uses: Sequence[FrameworkUse]) -> str | None:
    """The one library, or the one that clearly carries more; None where there is none or no clear
    one.

    What only the clock starts comes after every library that carries jobs.
    """
    libraries = [use for use in uses if use.id not in _NO_LIBRARY] or uses
    heaviest: list[FrameworkUse] = []
    for use in libraries:
        if not heaviest or _weigh(use) > _weigh(heaviest[0]):
            heaviest = [use]
        elif _weigh(use) == _weigh(heaviest[0]):
            heaviest.append(use)
    if len(heaviest) != 1:
        return None
    return heaviest[0].id


def _weigh(use: FrameworkUse) -> tuple[bool, bool, int]:
    """How much a library carries: more than a clock does, an app, so many modules with tasks."""
    return use.id not in _CLOCKS, use.app is not None, len(use.task_modules)
