"""From what was collected of a library to its use: app, tasks, scheduler, broker, and the lines
that show them.

Installed is not used: what counts is an app, a task or a job that is sent, in code that the
repository runs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING

from skillrun.core.text import excerpt
from skillrun.frameworks.known.app_ranking import AppRanking
from skillrun.frameworks.known.entry import FileSights, Known, declares, glob_of
from skillrun.frameworks.known.matching import COMMENT, Match, Matcher, locate_own, maker_of
from skillrun.repo.places import is_aside
from skillrun.repo.uses import FrameworkUse, Offer, Place

if TYPE_CHECKING:
    from skillrun.frameworks.known.launchers import Start
    from skillrun.repo.dependency import Dependency
    from skillrun.repo.manifests import Manifests

# Folders of integrations.
_OPTIONAL = frozenset(
    {
        "adapters",
        "backends",
        "compat",
        "contrib",
        "executors",
        "ext",
        "extensions",
        "extras",
        "instrumentation",
        "integration",
        "integrations",
        "plugins",
        "providers",
    }
)
# Language -> how the names of the files end that declare its dependencies.
_MANIFESTS = {
    "python": (".toml", ".txt", ".in", "Pipfile", ".cfg", ".py", ".yml", ".yaml"),
    "node": ("package.json", "pnpm-workspace.yaml"),
    "ruby": ("Gemfile", ".gemspec"),
    "go": ("go.mod",),
    "jvm": ("pom.xml", ".gradle", ".gradle.kts", ".versions.toml"),
    "php": ("composer.json",),
    "elixir": ("mix.exs",),
    "dotnet": ("proj", ".props"),
    "rust": ("Cargo.toml",),
}
# An integration shows a task or two; whoever has so many runs them.
_MANY_TASKS = 3
# Evidence lines of one sort.
_FEW = 3


@dataclass
class Collected:
    """What one pass over the files has shown of a library."""

    files: list[FileSights] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)  # of every Python file that was offered
    starts: list[Start] = field(default_factory=list)
    # (rank, broker, where): the smallest rank counts.
    brokers: list[tuple[tuple[bool, int], str, Place]] = field(default_factory=list)
    is_own: bool = False  # the repository is the library's own


def conclude(known: Known, collected: Collected, manifests: Manifests) -> FrameworkUse | None:
    """The use, or None where there is none."""
    if collected.is_own or not _has_needed(known, manifests):
        return None
    return _Conclusion(known, collected, manifests).use()


def _has_needed(known: Known, manifests: Manifests) -> bool:
    """Whether the repository declares what the library is only used together with."""
    return not known.needs or any(_list_declared(manifests, known.needs))


def _list_declared(manifests: Manifests, names: tuple[str, ...]) -> Iterator[Dependency]:
    """The dependencies of an application that have one of these names."""
    for dependency in manifests.dependencies:
        if dependency.main and declares(dependency.name, names):
            yield dependency


class _Conclusion:
    """What is known of one library in one repository; `use` says whether and how it is used."""

    def __init__(self, known: Known, collected: Collected, manifests: Manifests) -> None:
        self._known = known
        self._starts = collected.starts
        self._brokers = collected.brokers
        self._manifests = manifests
        self._matcher = Matcher(known, collected.files, collected.paths)
        self._paths = {*collected.paths, *(seen.path for seen in collected.files)}
        self._declared = []
        for dependency in _list_declared(manifests, known.distributions):
            if dependency.path.endswith(_MANIFESTS[known.language]):
                self._declared.append(dependency)
        # A mark such as `queue.add` means the library only where the library is declared or
        # imported.
        self._is_anchored = bool(self._declared) or self._matcher.imports_library()

    def use(self) -> FrameworkUse | None:
        """How the library is used; None where it is not, an `Offer` where there are tasks of it and
        nothing says that somebody runs them.
        """
        known = self._known
        apps = _prefer_kept(self._find_marks(known.apps))
        self._matcher.know_apps(list(map(locate_own, apps)))
        tasks = _in_application(self._find_marks(known.tasks))
        # By mark: calls that hand a function over to be run.
        handing = [_in_application(self._find_marks((mark,))) for mark in known.hands]
        for matches in handing:
            tasks += matches
        sent = _in_application(self._find_marks(known.sends))
        builtin = _in_application(self._matcher.find(known.builtin, True))
        is_in_use = bool(builtin) or self._is_in_use(_in_application(apps), tasks, sent)
        if not is_in_use and not self._offers_tasks(tasks):
            return None
        paths = set(self._handed_paths(known.hands.values(), handing))
        tasks += [*builtin, *_in_application(self._find_marks(known.follows))]
        for match in tasks:
            paths.update(self._task_paths(match))
        use = self._describe_use(apps, tasks, paths)
        if is_in_use:
            return use
        return Offer(**vars(use))

    def _describe_use(
        self, apps: list[Match], tasks: list[Match], task_paths: set[str]
    ) -> FrameworkUse:
        """The use as the profile tells it."""
        known = self._known
        ranking = AppRanking(known, self._matcher, self._starts, apps)
        located = self._locate_apps(ranking.sort_apps(tasks, self._count_made(apps)))
        ids = self._list_ids(located, ranking)
        scheduler, scheduled_at = self._read_mark(known.schedules, located)
        broker, broker_at = self._name_broker(located)
        shown = []
        for place in (scheduled_at, broker_at):
            if place is not None:
                shown.append(place)
        # An id is "shop/celery.py:app", or the path alone.
        apps_in_use = tuple(name for name in ids if not is_aside(name.partition(":")[0]))
        return FrameworkUse(
            id=known.id,
            app=next(iter(ids), None),
            apps=apps_in_use,
            task_modules=tuple(sorted(path for path in task_paths if not is_aside(path))),
            scheduler=scheduler,
            broker=broker or known.broker,
            evidence=self._list_evidence(located, tasks, shown),
        )

    def _locate_apps(self, apps: list[Match]) -> list[Match]:
        """The apps, or where only functions make objects of a class of the repository's own, that
        class.
        """
        for app in apps:
            if not maker_of(app) or self._matcher.names.is_library(app.sight.name):
                return apps
        # A class of ours says more than the functions that make objects of it.
        return _most_derived(self._matcher.find(self._known.places, True)) or apps

    def _find_marks(self, marks: Iterable[str]) -> list[Match]:
        return list(self._matcher.find(marks, self._is_anchored))

    # is it in use

    def _is_in_use(self, apps: list[Match], tasks: list[Match], sent: list[Match]) -> bool:
        """Whether the repository itself runs jobs of the library."""
        matches = [*apps, *tasks, *sent]
        if not matches:
            return False
        if not self._known.app_alone and not tasks and not self._starts:
            return False
        if self._starts or not self._manifests.dependencies or self._comes_along(tasks):
            return True
        # Nothing installs it: with an app, what stands outside of integrations still counts.
        gems = _gem_folders(self._manifests)
        is_integration = all(_is_optional(match.seen.path, gems) for match in matches)
        return bool(apps) and not is_integration

    def _offers_tasks(self, tasks: list[Match]) -> bool:
        """Whether a function carries the library's own decorator outside of an integration: nobody
        writes one who means no job.
        """
        gems = _gem_folders(self._manifests)
        for match in tasks:
            if match.sight.kind == "mark" and not _is_optional(match.seen.path, gems):
                return self._known.language == "python"
        return False

    def _comes_along(self, tasks: list[Match]) -> bool:
        """Whether the application installs the library, be it by an extra of something else."""
        gems = _gem_folders(self._manifests)
        for dependency in self._declared:
            if _folder_of(dependency.path) not in gems:
                return True
        return self._comes_by_extra(tasks)

    def _comes_by_extra(self, tasks: list[Match]) -> bool:
        """Whether another dependency brings it, as `openwisp-utils[celery]` does, and there are
        tasks enough for an application: an SDK that watches the library has such an extra too.
        """
        if len(tasks) < _MANY_TASKS:
            return False
        if all(_is_optional(match.seen.path, frozenset()) for match in tasks):
            return False
        extras = set[str]()
        for dependency in self._manifests.dependencies:
            if dependency.main:
                extras.update(dependency.extras)
        return not extras.isdisjoint(self._known.distributions)

    # where its apps are

    def _count_made(self, apps: list[Match]) -> Counter[str]:
        """By app, how many objects that functions make are told under its name: several may be
        known by their file alone.
        """
        made = Counter(map(self._app_id, filter(maker_of, self._find_marks(self._known.apps))))
        return Counter({locate_own(app): made[self._app_id(app)] for app in apps})

    def _list_ids(self, located: list[Match], ranking: AppRanking) -> list[str]:
        """How the profile writes the apps, each once: those that workers are started with, then
        the others. What stands for an app that nobody has seen made is what a worker's command
        names, else the command's file.
        """
        started, others = [], []
        for app in located:
            if ranking.is_started(app):
                started.append(self._app_id(app))
            else:
                others.append(self._app_id(app))
        ids = list(dict.fromkeys((*started, *ranking.list_unseen(), *others)))
        if not ids and self._known.launched:
            return list(dict.fromkeys(start.place.path for start in self._starts))
        return ids

    def _app_id(self, match: Match) -> str:
        """How the profile writes an app: "app/workers", the folder where a library has all of its
        jobs in one; "shop/celery.py:app" where its objects have names; else the path.
        """
        known, path = self._known, match.seen.path
        if known.home:
            above, home, _ = f"/{path}".rpartition(f"/{known.home}/")
            if home:
                return f"{above}/{known.home}".strip("/")
        name = match.sight.target
        maker = maker_of(match)
        if maker:
            name = ""
            if known.factories:
                name = maker
        if known.objects and name:
            return f"{path}:{name}"
        return path

    # what its tasks are

    def _task_paths(self, match: Match) -> list[str]:
        """The file of a task: its own, and where a list names it, the file that it comes from, or
        none where that is not known: a package may only hand on what another of its files defines.
        """
        sight = match.sight
        if sight.kind not in ("lists", "holds") or "." not in sight.name:
            return [match.seen.path]
        path = self._matcher.names.locate(sight.name, match.seen).partition(":")[0]
        is_seen = any(seen.path == path for seen in self._matcher.files)
        # The function itself need not speak of the library, so that nobody has read its file.
        if not is_seen and (path not in self._paths or path.endswith("__init__.py")):
            return []
        return [path]

    def _handed_paths(self, positions: Iterable[int], handing: list[list[Match]]) -> Iterator[str]:
        """The files of the functions that are handed over, each at its position among the
        arguments, or last where there are fewer.
        """
        for position, matches in zip(positions, handing, strict=True):
            for match in matches:
                given = match.sight.given
                for name in given[position : position + 1] or given[-1:]:
                    path, colon, _ = self._matcher.names.locate(name, match.seen).partition(":")
                    is_function = bool(colon)
                    if name and is_function:
                        yield path

    # what starts it, and what carries it

    def _read_mark(
        self, marks: Mapping[str, str], located: list[Match]
    ) -> tuple[str | None, Place | None]:
        """(name, place) of the first mark that holds: in the first app's own file, else
        anywhere.
        """
        app_file = {match.seen.path for match in located[:1]}
        for paths in (app_file, None):
            for mark, name in marks.items():
                holds, place = self._holds_mark(mark, paths)
                if holds:
                    return name or None, place
        return None, None

    def _holds_mark(self, mark: str, paths: set[str] | None) -> tuple[bool, Place | None]:
        """(whether a mark holds, where). It is looked for in `paths`, for None anywhere; marks are
        "dep celery[redis]", "start *celery*beat*", "text beat_schedule", or a sight's.
        """
        kind, _, pattern = mark.partition(" ")
        if kind == "dep":
            return paths is None and self._depends_on(pattern), None
        place = None
        if kind == "start":
            # A command is in no file of the code.
            if not paths:
                place = self._find_start(pattern)
        elif kind == "text":
            place = self._find_text(pattern, paths)
        else:
            place = self._find_sight(mark, paths)
        return place is not None, place

    def _find_start(self, pattern: str) -> Place | None:
        """The first command of a worker that a pattern matches."""
        for start in self._starts:
            if glob_of(pattern).matches_name(start.command):
                return start.place
        return None

    def _find_sight(self, mark: str, paths: set[str] | None) -> Place | None:
        """The first thing in the application's code that a mark means."""
        for match in _in_application(self._matcher.find((mark,), True)):
            if paths is None or match.seen.path in paths:
                return _place_of_match(match)
        return None

    def _depends_on(self, pattern: str) -> bool:
        """Whether the application declares `celery`, or with that extra `celery[redis]`."""
        name, _, extra = pattern.rstrip("]").partition("[")
        declared = _list_declared(self._manifests, (name,))
        return any(not extra or extra in dependency.extras for dependency in declared)

    def _find_text(self, pattern: str, paths: set[str] | None) -> Place | None:
        """The first line of the code that matches; of "schedule and cron", a line with the first
        in a file that has the second as well.
        """
        first, *others = [re.compile(part) for part in pattern.split(" and ")]
        for seen in self._matcher.files:
            if is_aside(seen.path) or (paths is not None and seen.path not in paths):
                continue
            if all(_first_line(seen, other) for other in others):
                number = _first_line(seen, first)
                if number:
                    return Place(seen.path, number, seen.lines[number - 1])
        return None

    def _name_broker(self, located: list[Match]) -> tuple[str | None, Place | None]:
        """(broker, place): as an address of it says, else by a mark."""
        if self._brokers:
            _, broker, place = min(self._brokers, key=itemgetter(0))
            return broker, place
        return self._read_mark(self._known.brokers, located)

    # the lines that show it

    def _list_evidence(
        self, apps: list[Match], tasks: list[Match], shown: list[Place]
    ) -> tuple[Place, ...]:
        """Where it is declared, made, used, started, scheduled and connected: a few lines of
        each.
        """
        places = []
        for dependency in self._declared[:_FEW]:
            places.append(Place(dependency.path, dependency.line, dependency.text))
        places += map(_place_of_match, apps[:_FEW])
        places += map(_place_of_match, _list_first_of_files(tasks)[:_FEW])
        places += [start.place for start in self._starts[:_FEW]]
        places += shown
        # One line may show two things.
        lines: dict[tuple[str, int], Place] = {}
        for place in places:
            lines[place.path, place.line] = replace(place, text=excerpt(place.text))
        return tuple(lines.values())


def _first_line(seen: FileSights, wanted: re.Pattern[str]) -> int:
    """The number of the first line that matches and is no comment; 0 where none does."""
    for number, line in enumerate(seen.lines, 1):
        if wanted.search(line) and not line.lstrip().startswith(COMMENT):
            return number
    return 0


def _list_first_of_files(matches: list[Match]) -> list[Match]:
    """The first match of each file, those of files near the root first."""
    first: dict[str, Match] = {}
    for match in sorted(matches, key=lambda match: match.sight.line):
        first.setdefault(match.seen.path, match)
    return sorted(first.values(), key=lambda match: (match.seen.path.count("/"), match.seen.path))


def _in_application(matches: Iterable[Match]) -> list[Match]:
    """The matches outside of tests, examples and the like."""
    return [match for match in matches if not is_aside(match.seen.path)]


def _prefer_kept(apps: list[Match]) -> list[Match]:
    """The objects that modules keep where there are some, else all apps; each app once."""
    kept = [match for match in apps if not maker_of(match)]
    chosen = apps
    if any(match.sight.kind in ("made", "given") for match in kept):
        chosen = kept
    by_object: dict[str, Match] = {}
    for match in chosen:
        by_object.setdefault(locate_own(match), match)
    return list(by_object.values())


def _most_derived(matches: Iterable[Match]) -> list[Match]:
    """The classes from which no other of these classes is derived."""
    classes = list(matches)
    bases = set[str]()
    for match in classes:
        bases.update(match.seen.values.get(match.sight.target, ()))
    return [match for match in classes if f":{match.sight.target}" not in bases]


def _gem_folders(manifests: Manifests) -> frozenset[str]:
    """Where gems are made: what they depend on is for whoever installs them."""
    folders = set()
    for dependency in manifests.dependencies:
        if dependency.path.endswith(".gemspec"):
            folders.add(_folder_of(dependency.path))
    return frozenset(folders)


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _is_optional(path: str, gems: frozenset[str]) -> bool:
    """Whether it is code of an integration, which only runs where somebody else has the library."""
    if not _OPTIONAL.isdisjoint(path.split("/")[:-1]):
        return True
    return any(path.startswith(f"{gem}/lib/".lstrip("/")) for gem in gems)


def _place_of_match(match: Match) -> Place:
    """The line of a match; its text is "" where the file is not read by lines."""
    lines, line = match.seen.lines, match.sight.line
    text = ""
    if 0 < line <= len(lines):
        text = lines[line - 1]
    return Place(match.seen.path, line, text)
