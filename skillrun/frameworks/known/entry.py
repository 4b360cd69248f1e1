"""What is known of a job library that is only recognised, and what a file shows of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property, lru_cache


@dataclass(frozen=True)
class Sight:
    """One thing that a file does with a name.

    `kind`: import | call (also `new`) | base (also an interface, `include`, `use`) | mark
    (decorator, annotation, attribute) | class | field (of a class body) | lists (an element of such
    a field) | set (an assigned setting) | type | file (the file itself). Of Python also: holds (an
    element of a list in the settings of a worker, a dictionary or a call) | made (a
    call whose result is kept in a name or returned) | given (a call whose result is given to
    another call) | wraps (`name = decorator(function)`) | uses (`fastapi.Request`, where the module
    was imported: each once).

    `name` is the import path where the file says it ("bullmq.Queue"), else what is written; of
    Python a name that the file does not import begins with ":". `target` is what it is bound to, or
    the function or class that it stands on. `scope` is the function or class around it. `given` are
    the first arguments of a call, as names.
    """

    kind: str
    name: str
    line: int
    target: str = ""
    scope: str = ""
    given: tuple[str, ...] = ()


_IMPORTING = frozenset({"import", "uses"})


@dataclass(frozen=True)
class FileSights:
    """The sights of one file, and what it imports.

    Of a Python file also what its names stand for: `names` has the imports (local name -> import
    path), `values` the rest: a variable -> what is assigned to it, a class -> its bases, "make()"
    -> what the function `make` returns. Names inside a function are written "make.name".
    """

    path: str
    sights: tuple[Sight, ...]
    lines: tuple[str, ...] = field(default=(), repr=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def imports(self, pattern: str) -> bool:
        """Whether any import path matches a glob: `import fastapi` with `fastapi.Request` below it
        says the same as `from fastapi import Request`.
        """
        glob = glob_of(pattern)
        return any(glob.matches_name(name) for name in self._imported)

    @cached_property
    def _imported(self) -> tuple[str, ...]:
        return tuple(sight.name for sight in self.sights if sight.kind in _IMPORTING)


@dataclass(frozen=True)
class Known:
    """A job library. A mark is "<kind of sight> <glob over its name>", and may end in " in <glob
    over the path, which begins with />", then " if <glob over an import of the file>"; " if
    library" is any import of the library, " if anywhere <glob>" an import in any file.

    `~app.x` in a mark is the method or decorator `x` of any object that an app mark made. Any mark
    but one of kind `file`, `class`, `field`, `holds` or `set` shows use by itself; those count where the
    library is declared or imported.

    A mark "text <regular expression>" is read over the lines of every file that was seen.
    `schedules` and `brokers` know three more kinds: "dep <distribution>" or "dep
    <distribution>[<extra>]", "text <regular expression>" over the lines of the code, which may be
    followed by " and <another>" that the same file must hold, and "start <glob>" over the commands
    that start a worker.
    """

    id: str
    title: str
    language: str
    # As manifests name it, a glob each; one of them stands for a use in a manifest.
    distributions: tuple[str, ...]
    # Globs over import paths; an import of one anchors what is no evidence by itself.
    modules: tuple[str, ...]
    # A file of the language without any of them cannot matter.
    words: tuple[bytes, ...]
    # Of Python files with a word, only those that this finds matter: words may be short.
    worth: str = ""
    # The best first.
    apps: tuple[str, ...] = ()
    # Marks that say where the app is, and are no evidence of use.
    places: tuple[str, ...] = ()
    # Calls that set an app up: one that is set up comes before one that is not.
    sets_up: tuple[str, ...] = ()
    # Calls of a program that only sends: an app that is used for nothing else is not the worker's.
    clients: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    # Calls that are handed a task's function, which may lie in any file -> its position.
    hands: Mapping[str, int] = field(default_factory=dict)
    # Task marks that need no library, so no declaration either.
    builtin: tuple[str, ...] = ()
    # Of these distributions, a glob each, one is declared, or there is no use.
    needs: tuple[str, ...] = ()
    # Task marks that show nothing by themselves, e.g. a base class of the web framework.
    follows: tuple[str, ...] = ()
    # Evidence of use that is neither app nor task, e.g. what enqueues.
    sends: tuple[str, ...] = ()
    # Mark -> the scheduler's name, or the broker.
    schedules: Mapping[str, str] = field(default_factory=dict)
    brokers: Mapping[str, str] = field(default_factory=dict)
    # The word near which an address such as redis:// says the broker.
    addresses: str = ""
    # Where none of these is seen.
    broker: str | None = None
    # Commands that start a worker: words in this order in a command line.
    starts: tuple[str, ...] = ()
    # Words of which a command that starts workers has one: another only starts the clock. None are
    # needed where every such command starts workers.
    works: tuple[str, ...] = ()
    # The options of such a command that name the app; without any, every word may.
    app_options: tuple[str, ...] = ()
    # A glob over the names of objects whose making is out of sight and that are taken for an app;
    # "" is the name of any app that was found.
    likely: str = ""
    # Whether an app shows use without a task and without a worker that is started.
    app_alone: bool = True
    # Tests and examples with one of these words may hold the one app of a library.
    aside: tuple[bytes, ...] = ()
    aside_tests: bool = False
    # A folder whose files the library finds by itself: it is the app of what lies in it.
    home: str = ""
    # Without an app object: the file with the command that starts a worker stands for it.
    launched: bool = False
    # An app is named "file:object", not by its file alone.
    objects: bool = False
    # One that only a function makes is named "file:function", not by its file alone.
    factories: bool = True
    # A file that only the library's own repository has.
    own: str = ""
    # Lower-case names of files beside the language's own that may hold a mark.
    configs: tuple[str, ...] = ()
    # Globs over lower-case names of more files that may start a worker.
    start_files: tuple[str, ...] = ()


class Glob:
    """A glob over names. There are hundreds, few of which are asked in one repository: one becomes
    a regular expression when it is first asked, and only where more than its end is wild.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._beginning = pattern.removesuffix("*")
        self._is_literal = not any(mark in self._beginning for mark in "*?[")

    def matches_name(self, name: str) -> bool:
        """Whether the whole name is what the glob says."""
        if not self._is_literal:
            return self._expression.fullmatch(name) is not None
        if self._beginning == self._pattern:
            return name == self._pattern
        return name.startswith(self._beginning)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(translate(self._pattern))


@lru_cache(maxsize=4096)
def glob_of(pattern: str) -> Glob:
    """The glob of a pattern, one for all who name it."""
    return Glob(pattern)


def declares(name: str, patterns: Iterable[str]) -> bool:
    """Whether a distribution's name matches any of the globs."""
    return any(glob_of(pattern).matches_name(name) for pattern in patterns)
