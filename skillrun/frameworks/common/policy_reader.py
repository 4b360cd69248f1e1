"""The policy of a job that says itself when it runs again, below a limit of its library (arq, SAQ):
what both say together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.again import Way
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.giving_up import Record
from skillrun.frameworks.common.listed import Found
from skillrun.frameworks.common.reading import import_paths, place_of
from skillrun.frameworks.common.serializers import CUSTOM, name_serializer
from skillrun.frameworks.interface import Backoff, Policy, Send
from skillrun.repo.python import UNKNOWN, Definition, Handler, Project, is_known
from skillrun.repo.uses import Place


@dataclass(frozen=True)
class Limit:
    """A number that an entry of a worker's list, or a send, gives the library."""

    value: Any  # an `Unknown` where it cannot be read
    place: Place  # of the option, else of the entry or the send
    by_default: bool = False  # nobody gives it


def read_limit(
    project: Project, found: Found | None, default: float, place: Place, *, is_hidden: bool
) -> Limit:
    """What an option says, else the default; `place` is where it would be given, and it may be
    where nobody can read it.
    """
    if found is None:
        return Limit(UNKNOWN if is_hidden else default, place, by_default=True)
    number = project.literal(*found)
    is_number = isinstance(number, int | float)
    return Limit(number if is_number else UNKNOWN, place_of(found[1], found[0]))


def read_sent(project: Project, send: Send, name: str, default: float) -> Limit:
    """A number that a send gives."""
    option = send.option(name)
    return read_limit(project, option, default, send.place, is_hidden=send.options_hidden)


@dataclass
class PolicyReader:
    """Reads it for one handler, and remembers where each part of it stands."""

    project: Project
    handler: Definition
    ways: Sequence[Way]
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read_most(self, name: str, limits: Iterable[Limit], default: float) -> float:
        """The most that any of them says."""
        self.sources[name] = None
        known: list[Limit] = []
        for limit in limits:
            if is_known(limit.value):
                known.append(limit)
            else:
                self.unknown[name] = limit.place
        if not known:
            return default
        most = max(known, key=lambda limit: float(limit.value))
        if not most.by_default:
            self.sources[name] = most.place
        return float(most.value)

    def count_attempts(self, most: int) -> int:
        """The handler's own bound where every way has one, and never more than the library's."""
        lasts: list[tuple[int, Place | None]] = []
        for way in self.ways:
            if way.bound is not None:
                lasts.append((way.bound, way.bound_place))
        for way in self.ways:
            # It counts on one way and on another, such as a store that is away, it does not: how
            # often that one is taken cannot be read.
            if way.bound is None and (lasts or way.bound_unread):
                self.unknown["max_attempts"] = way.place
        if not lasts or len(lasts) < len(self.ways):
            return max(1, most)
        last, place = max(lasts, key=lambda pair: pair[0])
        if last < most:
            self.sources["max_attempts"] = place
            self.unknown.pop("max_attempts", None)
        return max(1, min(last, most))

    def agree_backoff(self, ways: Sequence[Way]) -> Backoff:
        """The wait that all of them ask for."""
        if ways:
            self.sources["backoff"] = ways[0].place
        else:
            self.sources["backoff"] = None
        asked = {way.backoff for way in ways}
        if len(asked) == 1:
            backoff = asked.pop()
            if backoff is not None:
                return backoff
        for way in ways:
            if way.backoff is None or way is ways[-1]:
                self.unknown["backoff"] = way.place
                break
        return Backoff("none")

    def choose_slowest(
        self, read_asked: Callable[[PolicyReader, Send], Backoff], sends: Iterable[Send]
    ) -> Backoff:
        """What the slowest send asks for, by its first two waits."""
        self.sources["backoff"] = None
        asked = [read_asked(self, send) for send in sends]
        return max(asked, key=lambda one: sum(one.delays(2)), default=Backoff("none"))

    def read_serializer(
        self, found: Found | None, default: str, writing: Found | None = None
    ) -> str:
        """What an expression names that reads messages; the library's own where there is none.
        `writing`: what writes them, which may carry more than plain JSON.
        """
        self.sources["serializer"] = None
        if writing is not None and name_serializer(self.project, *writing) == CUSTOM:
            self.sources["serializer"] = place_of(writing[1], writing[0])
            return CUSTOM
        if found is None:
            return default
        self.sources["serializer"] = place_of(found[1], found[0])
        return name_serializer(self.project, *found)

    def conclude(
        self,
        attempts: int,
        *,
        retried: tuple[str, ...],
        is_again: Callable[[Handler], bool],
        backoff: Backoff,
        limit_s: float,
        taken_over_s: float,
        serializer: str,
        record: Record | None,
    ) -> Policy:
        """`is_again`: a clause has the job run again; `taken_over_s`: so long after its time limit
        another worker takes over the job of one that died.
        """
        if record:
            self.sources["dead_letter"] = record.place
        else:
            self.sources["dead_letter"] = None
        spared: list[str] = []
        for clause in clauses(self.project, self.handler):
            if not is_again(clause):
                spared += clause.exceptions
        return Policy(
            max_attempts=attempts,
            backoff=backoff,
            retried=retried,
            not_retried=import_paths(self.project, spared),
            acks_late=True,
            reject_on_worker_lost=True,
            visibility_timeout_s=limit_s + taken_over_s if limit_s else None,
            time_limit_s=limit_s or None,
            serializer=serializer,
            dead_letter=record.place if record else None,
            sources=self.sources,
            unknown=self.unknown,
        )
