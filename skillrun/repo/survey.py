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
from skillrun.repo.places import is_vendored
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
    "statements",
    "survey",
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
        """What was seen, an Offer where it is for others, or None where the library is not in use."""


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
        """(JSON value, files) of a part, as `Tree.fact` and `Tree.repeat` take it.

        Names: languages, package_manager, commands, paths, stack, frameworks, framework:<id>.
        """
        if name.startswith("framework:"):
            use = self.use(name.partition(":")[2])
            if use:
                return (asdict(use), tuple(place.path for place in use.evidence))
            return (None, ())
        if name == "frameworks":
            return {"primary": self.primary, "ids": [use.id for use in self.frameworks]}, ()
        if name == "commands":
            return asdict(self.commands), tuple(
                fact.path for fact in self.commands.known().values()
            )
        value = getattr(self, name)
        return (asdict(value) if isinstance(value, Paths | Stack) else value), ()

    def record(self, tree: Tree, *sections: str) -> None:
        """Records that somebody relies on these parts."""
        for name in sections:
            tree.fact(name, *self.section(name))


def survey(tree: Tree, recognisers: Sequence[Recogniser]) -> Survey:
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
    uses = _merged(found)
    return Survey(
        languages=languages,
        package_manager=find_package_manager(tree, languages),
        commands=find_commands(tree, languages),
        paths=find_paths(tree, manifests, languages),
        stack=find_stack(tree, manifests),
        frameworks=tuple(uses),
        primary=_primary(uses),
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


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, also inside functions, classes and branches; expressions are not entered."""
    for node in body:
        yield node
        if not isinstance(node, _LEAVES):
            for part in _bodies(node):
                yield from statements(part)


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for holder in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield holder.body


def _merged(uses: Iterable[FrameworkUse]) -> list[FrameworkUse]:
    """One use of each library: several recognisers may know it, one a language. Home-made is what
    no library is.

    A library without a scheduler has its jobs started by the clock that is in use beside it.
    """
    found: dict[str, FrameworkUse] = {}
    for use in uses:
        if use.id in found:
            found[use.id] = _joined(found[use.id], use)
        else:
            found[use.id] = use
    if found.keys() - {*_NO_LIBRARY, _HOME_MADE}:
        found.pop(_HOME_MADE, None)
    clocks = [use.scheduler or use.id for use in found.values() if use.id in _CLOCKS]
    return [
        replace(u, scheduler=clocks[0]) if clocks and u.scheduler is None else u
        for u in found.values()
    ]


def _joined(one: FrameworkUse, other: FrameworkUse) -> FrameworkUse:
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
    parsed.
    """
    python = _Wanting(recogniser for recogniser in recognisers if recogniser.language == "python")
    texts = _ByName(recognisers)
    for path in tree.files:
        if is_vendored(path) or tree.size(path) > _LARGEST:
            continue
        name = path.rpartition("/")[2].lower()
        is_python = name.endswith(".py")
        interested = python if is_python else texts.of(name)
        data = None
        if interested:
            data = tree.peek(path)
        if not data or not interested:
            continue
        wanting = []
        for one in interested.spoken_of(data, path):
            if one.wants(path, data):
                wanting.append(one)
        if is_python and wanting:
            yield from _show_python(path, data, wanting)
        elif wanting:
            for recogniser in wanting:
                recogniser.see_text(path, data)


class _Wanting:
    """The recognisers for one sort of files. Each word is looked for once in a file, whoever wants
    it.
    """

    def __init__(self, recognisers: Iterable[Recogniser]) -> None:
        self._all = tuple(recognisers)
        words = dict.fromkeys(word for one in self._all for word in one.words)
        self._pairs = [(word, [one for one in self._all if word in one.words]) for word in words]

    def spoken_of(self, data: bytes, path: str) -> list[Recogniser]:
        """Those of whom a word is in the content or in the path, in the order in which they were
        given.
        """
        text = data + os.fsencode(path)
        held = set()
        for word, ones in self._pairs:
            if word in text:
                for one in ones:
                    held.add(id(one))
        if not held:
            return []
        return [one for one in self._all if id(one) in held]


class _ByName:
    """Which recognisers want files of a name other than *.py. Many share their globs: each set is
    matched once.
    """

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        self._all = recognisers
        self._globs = {globs: _names(globs) for globs in {one.text_files for one in recognisers}}
        self._known: dict[frozenset[tuple[str, ...]], _Wanting] = {}

    def of(self, name: str) -> _Wanting | None:
        """None where nobody wants it; `name` in lower case."""
        wanted = frozenset(globs for globs, names in self._globs.items() if names.fullmatch(name))
        if not wanted:
            return None
        if wanted not in self._known:
            self._known[wanted] = _Wanting(one for one in self._all if one.text_files in wanted)
        return self._known[wanted]


def compile_globs(recognisers: Iterable[Recogniser]) -> None:
    """Before a process forks: what each survey would compile."""
    for recogniser in recognisers:
        _names(recogniser.text_files)


@functools.cache
def _names(globs: tuple[str, ...]) -> re.Pattern[str]:
    """The same for every survey: there are more of them than `re` and `fnmatch` remember."""
    return re.compile("|".join(translate(glob) for glob in globs) or r"(?!)")


def _show_python(path: str, data: bytes, recognisers: list[Recogniser]) -> Iterator[str]:
    try:
        module = parse_python(data)
        for recogniser in recognisers:
            recogniser.see_python(path, module, data)
    except (SyntaxError, ValueError) as error:
        yield f"{path}: not parsed: {error}"
    except (RecursionError, MemoryError):
        yield f"{path}: not parsed: nested too deeply"


def _primary(uses: Sequence[FrameworkUse]) -> str | None:
    """The one library, or the one that clearly carries more; None where there is none or no clear
    one.

    What only the clock starts comes after every library that carries jobs.
    """
    carried = [use for use in uses if use.id not in _NO_LIBRARY] or uses
    weights = sorted(
        ((use.id not in _CLOCKS, use.app is not None, len(use.task_modules)), use.id)
        for use in carried
    )
    if not weights or (len(weights) > 1 and weights[-1][0] == weights[-2][0]):
        return None
    return weights[-1][1]
