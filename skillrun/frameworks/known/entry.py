"""What is known of a job library that is only recognised, and what a file shows of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache


@dataclass(frozen=True)
class Sight:
    """One thing that a file does with a name.

    `kind`: import | call (also `new`) | base (also an interface, `include`, `use`) | mark
    (decorator, annotation,
    attribute) | class | field (of a class body) | lists (an element of such a field) | set (an
    assigned setting) |
    type | file (the file itself). `name` is the import path where the file says it
    ("bullmq.Queue"), else what is
    written. `target` is what it is bound to, or the function or class that it stands on.
    """

    kind: str
    name: str
    line: int
    target: str = ""


@dataclass(frozen=True)
class Seen:
    """The sights of one file, and what it imports."""

    path: str
    sights: tuple[Sight, ...]
    lines: tuple[str, ...] = field(default=(), repr=False)

    def imports(self, pattern: str) -> bool:
        """Whether any import path matches a glob."""
        return any(
            one.kind == "import" and _glob(pattern).fullmatch(one.name) for one in self.sights
        )


@dataclass(frozen=True)
class Known:
    """A job library. A mark is "<kind of sight> <glob over its name>", and may end in " in <glob
    over the path, which begins with />", then " if <glob over an import>".

    `~app.x` in a mark is the method or decorator `x` of any object that an app mark made. Any mark
    but one of kind
    `file`, `class`, `field` or `set` shows use by itself; those count where the library is declared
    or imported.
    """

    id: str
    title: str
    language: str
    distributions: tuple[
        str, ...
    ]  # as manifests name it, a glob each; one of them stands for a use in a manifest
    modules: tuple[
        str, ...
    ]  # globs over import paths; an import of one anchors what is no evidence by itself
    words: tuple[bytes, ...]  # a file of the language without any of them cannot matter
    apps: tuple[str, ...] = ()  # the best first
    places: tuple[
        str, ...
    ] = ()  # `file` marks that say where the app is, and are no evidence of use
    tasks: tuple[str, ...] = ()
    builtin: tuple[str, ...] = ()  # task marks that need no library, so no declaration either
    needs: tuple[
        str, ...
    ] = ()  # of these distributions, a glob each, one is declared, or there is no use
    follows: tuple[
        str, ...
    ] = ()  # task marks that show nothing by themselves, e.g. a base class of the web framework
    sends: tuple[str, ...] = ()  # evidence of use that is neither app nor task, e.g. what enqueues
    schedules: Mapping[str, str] = field(
        default_factory=dict
    )  # mark, or "dep <glob>" -> the scheduler's name
    brokers: Mapping[str, str] = field(default_factory=dict)  # mark, or "dep <glob>" -> broker
    broker: str | None = None  # where none of `brokers` is seen
    starts: tuple[str, ...] = ()  # words in this order in a command line that starts a worker
    home: str = (
        ""  # a folder whose files the library finds by itself: it is the app of what lies in it
    )
    launched: bool = (
        False  # without an app object: the file with the command that starts a worker stands for it
    )
    objects: bool = False  # an app is named "file:object", not by its file alone
    own: str = ""  # a file that only the library's own repository has
    configs: tuple[
        str, ...
    ] = ()  # lower-case names of files beside the language's own that may hold a mark


@lru_cache(maxsize=2048)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def matches(mark: str, sight: Sight, seen: Seen, name: str = "") -> bool:
    """Whether a sight is what a mark says; `name` stands for the sight's own where it is given."""
    what, _, needed = mark.partition(" if ")
    what, _, where = what.partition(" in ")
    kind, _, pattern = what.partition(" ")
    if kind != sight.kind or not _glob(pattern).fullmatch(name or sight.name):
        return False
    return (not needed or seen.imports(needed)) and (
        not where or _glob(where).fullmatch(f"/{seen.path}") is not None
    )


def declares(name: str, patterns: Iterable[str]) -> bool:
    """Whether a distribution's name matches any of the globs."""
    return any(_glob(pattern).fullmatch(name) for pattern in patterns)
