"""All ways through a function, and which of them take a failed answer for a success.

A failure is an exception or an answer. The function's text is gone through by hand for one status
after the other, as if the provider answered so; what is not known is tried both ways.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode
from skillrun.wall.answers.calls import Calls
from skillrun.wall.answers.choices import Choices, iterate_choices
from skillrun.wall.answers.values import ANSWER, FAILING, Function, name_end
from skillrun.wall.answers.walking import Code, CodedError, Frame, NoEnd, Raised, Walk
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.outgoing import Outgoing

SUCCESS = 200
# What clients and providers answer with; whatever else a side's text names is tried as well.
_USUAL = (
    *(400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 429),
    *(500, 501, 502, 503, 504, 520),
)
# By this one some say that it was done before, and others that the first call is still at work.
_CONFLICT = 409
# These say of themselves that they may pass.
MAY_PASS = {408, 425, 429, *range(500, 600)} - {501, 505}
_MOST_WAYS = 250
MOST_STATUS = 600


@dataclass(frozen=True)
class Way:
    """One way that has had an answer, and its end."""

    choices: tuple[tuple[str, bool], ...]
    failure: tuple[str, ...]  # the words of the error that comes out; empty where none does
    said: str  # what is given back
    trail: tuple[tuple[str, int], ...]
    is_unread: bool
    is_status_read: bool

    @property
    def of_answer(self) -> dict[str, bool]:
        """What the answer said on it, but for its status."""
        said = {}
        for text, value in self.choices:
            if ANSWER in text:
                said[text] = value
        return said

    @property
    def asked_questions(self) -> set[str]:
        return set(dict(self.choices))

    def fits_with(self, other: Way) -> bool:
        """Whether the same job, and the same answer, can lead to both."""
        mine, theirs = dict(self.choices), dict(other.choices)
        shared = mine.keys() & theirs.keys()
        return all(mine[question] == theirs[question] for question in shared)


@dataclass(frozen=True)
class Mistaken:
    """A way that ends normally with an answer that made the base fail; `kinds` is its error."""

    status: int
    way: Way
    kinds: tuple[str, ...]
    is_certain: bool


def read_code(
    sources: CommitSources,
    names: list[str],
    effects: frozenset[str],
    coded: CodedError | None = None,
) -> Code:
    """All that is reached from some functions of one side. `coded`: the error with which an effect
    answers.
    """
    reach = sources.reach_from(names)
    return Code(reach, Outgoing(reach), effects, coded)


def list_statuses(*sides: Code) -> list[int]:
    """The failing ones that tell the texts of two sides apart."""
    statuses = set(_USUAL)
    for code in sides:
        for module in code.reach.modules.values():
            for node in module.all_nodes:
                if isinstance(node, ast.Constant) and type(node.value) is int:
                    statuses |= {node.value - 1, node.value, node.value + 1}
    return sorted(one for one in statuses if FAILING <= one < MOST_STATUS)


def list_ways(code: Code, root: Definition, status: int) -> list[Way] | None:
    """Those that have had an answer; None where there are too many to tell."""
    found = []
    count = 0
    for choices in iterate_choices(_MOST_WAYS):
        count += 1
        way = _go_through(code, root, status, choices)
        if way is not None:
            found.append(way)
    if count == _MOST_WAYS:
        return None
    return found


def _go_through(code: Code, root: Definition, status: int, choices: Choices) -> Way | None:
    walk = Walk(code, status, choices)
    runner = Calls(walk)
    failure: tuple[str, ...] = ()
    said = ""
    try:
        value = runner.run_function(Frame(root.module), Function(root), [], {})
        said = name_end(value)
    except Raised as raised:
        failure = raised.failure.kinds
    except (NoEnd, RecursionError):
        return None
    if not walk.is_answered:
        return None
    return Way(
        choices=tuple(choices.made.items()),
        failure=failure,
        said=said,
        trail=tuple(walk.trail),
        is_unread=walk.is_unread,
        is_status_read=walk.is_status_read,
    )


@dataclass(frozen=True)
class Compared:
    """The ways of both sides, by status."""

    before: dict[int, list[Way]]
    after: dict[int, list[Way]]
    is_same_client: bool

    def find_mistaken(self) -> Iterator[Mistaken]:
        """Each failed answer with which the new side ends as if it were none."""
        is_told = self.is_same_client
        for ways in self.after.values():
            is_told |= any(way.is_status_read for way in ways)
        for mistaken in self._find_all():
            # Another client, of which no answer is read: it may raise errors of its own.
            is_plain = is_told and mistaken.status != _CONFLICT
            yield replace(mistaken, is_certain=mistaken.is_certain and is_plain)

    def _find_all(self) -> Iterator[Mistaken]:
        for status, before in self.before.items():
            after = self.after[status]
            yield from _compare_errors(status, before, after)
            if status != SUCCESS:
                good = (self.before[SUCCESS], self.after[SUCCESS])
                yield from _compare_ends(status, good, (before, after))

    def find_given_up(self, passing: set[str], final: set[str]) -> Iterator[Mistaken]:
        """Answers that may pass, with which only errors came out that are tried again, and now one
        that is not. Both are told by the last words of their classes.
        """
        for status in self.before.keys() & MAY_PASS:
            errors = [way.failure for way in self.before[status] if way.failure]
            if not errors or not all(map(partial(_is_first_of, passing, final), errors)):
                continue
            asked: set[str] = set()
            for way in self.before[status]:
                asked |= way.asked_questions
            for way in self.after[status]:
                if way.failure and _is_first_of(final, passing, way.failure):
                    is_certain = way.asked_questions <= asked
                    yield Mistaken(status, way, errors[0], is_certain)


def _is_first_of(some: set[str], others: set[str], kinds: tuple[str, ...]) -> bool:
    """Which list an error is in is said by its nearest ancestor that is in one."""
    for kind in kinds:
        if kind in some | others:
            return kind in some
    return False


def compare_sides(old: tuple[Code, Definition], new: tuple[Code, Definition]) -> Compared | None:
    """None where one of them has too many ways to tell."""
    known = old[0].list_clients()
    used = new[0].list_clients()
    compared = Compared({}, {}, is_same_client=bool(known & used))
    for status in (SUCCESS, *list_statuses(old[0], new[0])):
        before = list_ways(*old, status)
        after = list_ways(*new, status)
        if before is None or after is None:
            return None
        compared.before[status] = before
        compared.after[status] = after
        # Where nobody looks at the status all of them lead to the same.
        if not any(way.is_status_read for way in (*before, *after)):
            break
    return compared


def _compare_errors(status: int, before: list[Way], after: list[Way]) -> Iterator[Mistaken]:
    telling = list(_list_telling(status, before))
    known: set[str] = set()
    for way in before:
        known |= way.of_answer.keys()
    for way in after:
        if way.failure:
            continue
        for failed in telling:
            if way.fits_with(failed):
                is_read = not way.is_unread or not (way.of_answer.keys() - known)
                yield Mistaken(status, way, failed.failure, is_read)
                break


def _list_telling(status: int, ways: list[Way]) -> Iterator[Way]:
    """Those whose answer leads to nothing but errors."""
    normal = [way for way in ways if not way.failure]
    for way in ways:
        if not way.failure or any(way.fits_with(one) for one in normal):
            continue
        # With a good status only what else the answer says makes it a failure.
        if status != SUCCESS or way.of_answer:
            yield way


def _compare_ends(
    status: int, good: tuple[list[Way], list[Way]], failed: tuple[list[Way], list[Way]]
) -> Iterator[Mistaken]:
    """A failure that was given back as something else than a success, and is no longer. Each pair
    is the base's ways and the new ones.
    """
    was_good, is_good = map(_list_said, good)
    was_failed = _list_said(failed[0])
    if not was_failed or not was_good or was_failed & was_good:
        return
    for way in failed[1]:
        if not way.failure and way.said in is_good:
            yield Mistaken(status, way, (), is_certain=not way.is_unread)


def _list_said(ways: list[Way]) -> set[str]:
    return {way.said for way in ways if not way.failure}


def find_root(code: Code, name: str) -> Definition | None:
    """The function of an import path."""
    definition = code.reach.project.find(name)
    if definition is None or not isinstance(definition.node, FunctionNode):
        return None
    return definition
