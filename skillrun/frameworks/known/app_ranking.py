"""Of several apps of one library, which is the worker's: what its command names comes first, and
what only sends comes last.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from skillrun.frameworks.known.entry import FileSights, Known
from skillrun.frameworks.known.matching import Match, Matcher, locate_own
from skillrun.frameworks.known.names import count_shared, module_words
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.frameworks.known.launchers import Start

# A word of a worker command that is a module of a package or an object: a single word may be the
# name of a queue.
_NAME = re.compile(r"[A-Za-z_]\w*(?:[.:]\w+)+")
_NOWHERE = FileSights("", ())
_PACKAGE = "__init__.py"


class _Rank(NamedTuple):
    """Where an app stands among others: the first field that differs decides, and False comes
    before True.
    """

    is_aside: bool
    # No command that starts workers names it, and none that starts the clock.
    is_without_worker: bool
    is_without_clock: bool
    only_sends: bool
    is_not_set_up: bool
    # The number of the mark that found it: an entry names the best marks first.
    mark: int
    fewest_uses: int
    # Of apps that are alike, the one near the root, then as the files are sorted.
    depth: int
    path: str
    line: int


class AppRanking:
    """The order of a library's apps, from its tasks and from the commands that start workers.

    An app is known by its place, "shop/celery.py:app", as `Names.locate` writes it.
    """

    def __init__(
        self, known: Known, matcher: Matcher, starts: Iterable[Start], apps: list[Match]
    ) -> None:
        self._known = known
        self._matcher = matcher
        self._starts = list(starts)
        self._apps = apps
        # What an app is called where a command names its module alone.
        self._usual_names = ("app", known.id, f"{known.id}_app")
        self._places = {locate_own(app) for app in apps}
        self._of_file: dict[str, frozenset[str]] = {}
        self._started = self._find_started(self._starts)
        self._works = self._find_started(filter(self._starts_workers, self._starts))

    def sort_apps(self, tasks: list[Match], made: Mapping[str, int]) -> list[Match]:
        """The apps, the worker's first: the one that workers are started with, then the clock's,
        then one that is set up, then by the order of the marks, then the one that is used most.

        `made` has by app how many of the objects that functions make it stands for.
        """
        uses = self._count_uses(tasks)
        only_clients = self._find_owners(self._known.clients) - uses.keys()
        set_up = self._find_owners(self._known.sets_up)

        def rank(app: Match) -> _Rank:
            place, path = locate_own(app), app.seen.path
            return _Rank(
                is_aside=is_aside(path),
                is_without_worker=place not in self._works,
                is_without_clock=place not in self._started,
                only_sends=place in only_clients,
                is_not_set_up=place not in set_up,
                mark=app.rank,
                fewest_uses=-uses[place] - made[place],
                depth=path.count("/"),
                path=path,
                line=app.sight.line,
            )

        return sorted(self._apps, key=rank)

    def list_unseen(self) -> list[str]:
        """What the commands of workers name as their app, where nobody has seen it made:
        "config/jobs.py:app" of `-A config.jobs:app`, where another package makes that object.
        """
        found: dict[str, None] = {}
        if self._known.app_options:
            for start in self._starts:
                names = self._list_names(start)
                if not any(self._find_named(name, start) for name in names):
                    # A later command of the line may be another program's.
                    for place in filter(None, map(self._locate_unseen, names[:1])):
                        found[place] = None
        return list(found)

    def is_started(self, app: Match) -> bool:
        """Whether a command that starts workers or their clock names this app."""
        return locate_own(app) in self._started

    # which app has the tasks, and which only sends

    def _find_owners(self, marks: tuple[str, ...]) -> set[str]:
        """The apps whose methods some marks mean."""
        return {match.owner for match in self._matcher.find(marks, is_anchored=True)}

    def _count_uses(self, tasks: list[Match]) -> Counter[str]:
        """By app, the tasks that are its own; those that stand under no app's name, as of a list
        of functions, count for the apps that their file makes or imports.
        """
        uses = Counter[str]()
        for task in tasks:
            if task.owner:
                uses[task.owner] += 1
            else:
                uses.update(self._find_in_file(task.seen))
        return uses

    def _find_in_file(self, seen: FileSights) -> frozenset[str]:
        """The apps that a file makes or imports."""
        if seen.path not in self._of_file:
            found = set()
            for local in seen.names:
                found.add(self._matcher.names.locate(f":{local}", seen))
            for place in self._places:
                if place.partition(":")[0] == seen.path:
                    found.add(place)
            self._of_file[seen.path] = frozenset(found & self._places)
        return self._of_file[seen.path]

    # what the commands of workers name

    def _starts_workers(self, start: Start) -> bool:
        """Whether a command starts workers, and not the library's clock alone."""
        works = self._known.works
        return not works or not set(works).isdisjoint(start.words)

    def _find_started(self, starts: Iterable[Start]) -> frozenset[str]:
        """The apps that some commands name."""
        found = set()
        for start in starts:
            for name in self._list_names(start):
                found.update(self._find_named(name, start))
        return frozenset(found)

    def _list_names(self, start: Start) -> list[str]:
        return list(_names_in(start.words[1:], self._known.app_options))

    def _find_named(self, name: str, start: Start) -> list[str]:
        """The apps that a word of a command means; of several with the same name, those that are
        nearest to the command: each part of a repository may have its own `app.worker`.
        """
        named = {locate_own(app) for app in self._apps if self._names_app(name, app)}
        if not named:
            named = self._find_behind(name)
        shared = {}
        for place in named:
            shared[place] = count_shared(place, start.place.path)
        nearest = max(shared.values(), default=0)
        return [place for place, count in shared.items() if count == nearest]

    def _find_behind(self, name: str) -> set[str]:
        """The apps of the file that a word of a command means, as of SAQ's settings, which name
        the queue.
        """
        located = self._matcher.names.locate(name.replace(":", "."), _NOWHERE)
        seen = self._matcher.names.find_file(located.partition(":")[0])
        if seen is None:
            return set()
        return set(self._find_in_file(seen))

    def _names_app(self, value: str, match: Match) -> bool:
        """Whether a word of a command means this app: `-A shop` and `-A shop.celery:app` both do,
        where it is `app` of shop/celery.py.
        """
        library = self._known.id
        target = match.sight.target or match.sight.scope
        written = [*module_words(match.seen.path), *target.split(".")]
        named = value.replace(":", ".").strip(".").split(".")
        for tail in ([], [target], [library, target]):
            words = [*named, *tail]
            if written[-len(words) :] == words:
                return True
        # Else through the imports, as of a package that imports its app.
        dotted = ".".join(named)
        app = locate_own(match)
        for inside in ("", f".{target}", *(f".{usual}" for usual in self._usual_names)):
            if self._matcher.names.locate(f"{dotted}{inside}", match.seen) == app:
                return True
        return False

    def _locate_unseen(self, name: str) -> str:
        """The object or the file that a command names as the app; "" where it is none of the
        repository's, or where an app was seen there.
        """
        names, dotted = self._matcher.names, name.replace(":", ".")
        path, _, inner = names.locate(dotted, _NOWHERE).partition(":")
        # One whose `__init__.py` is empty was shown to nobody.
        may_be_package = path.endswith(_PACKAGE) or not path.endswith(".py")
        if may_be_package and not inner:
            # Celery looks into a package's module `celery` as well.
            below = names.locate(f"{dotted}.{self._known.id}", _NOWHERE)
            if below.endswith(".py"):
                path = below
        folder = path.removesuffix(_PACKAGE)
        if not path.endswith(".py") or any(place.startswith(folder) for place in self._places):
            return ""
        inner = inner or self._find_usual_name(path)
        if inner:
            return f"{path}:{inner}"
        return path

    def _find_usual_name(self, path: str) -> str:
        """The name of an app in a file that a command names as a whole; "" where none is there."""
        seen = self._matcher.names.find_file(path)
        if seen is None:
            return ""
        for name in self._usual_names:
            if name in seen.values:
                return name
        return ""


def _names_in(words: tuple[str, ...], options: tuple[str, ...]) -> Iterator[str]:
    """The modules that a command names, by an option where the library has one for it."""
    for word, following in zip(words, (*words[1:], ""), strict=False):
        # Without such an option, any word that looks like one.
        if not options:
            if _NAME.fullmatch(word):
                yield word
        elif word in options:
            yield following.removesuffix(".py").replace("/", ".")
        elif word.startswith("-A") and "-A" in options and len(word) > 2:
            yield word[2:]
