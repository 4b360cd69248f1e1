"""Errors of an effect that carry a code, and the handler that tells them apart by it.

A proof raises each with the codes that the spec says. A handler that tries again where a code is
among two, and no longer where it is below 500, does the same with these and gives up all others.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.repo.python import Definition, Project
from skillrun.repo.source import FunctionNode
from skillrun.wall.answers.values import FAILING, make_class
from skillrun.wall.answers.walking import Code, CodedError
from skillrun.wall.answers.ways import MOST_STATUS, Way, list_statuses, list_ways
from skillrun.wall.gaming.specs import at, listed

# How the errors of libraries name the code that they carry.
_USUAL_HOLDERS = frozenset(("code", "status", "status_code", "smtp_code", "errno", "returncode"))


@dataclass(frozen=True)
class GivenUp:
    """A code with which the branch does something else than with one that passes; the base did the
    same with both.
    """

    code: int
    passing: int
    way: Way
    is_certain: bool


def list_coded_errors(project: Project, spec: object) -> Iterator[CodedError]:
    """What the spec says of errors with a number among their arguments, an effect at a time."""
    for effect in listed(at(spec, "effects")):
        codes: dict[str, list[int]] = {}
        for error in listed(at(spec, "failures", "transient")):
            named = listed(at(error, "effects"))
            if isinstance(error, dict) and (not named or at(effect, "name") in named):
                found = [one for one in listed(at(error, "args")) if _is_code(one)]
                codes.setdefault(str(at(error, "type")), []).extend(found)
        for kind, passing in codes.items():
            if passing:
                made_of = make_class(project, kind.replace(":", "."))
                holders = _USUAL_HOLDERS | _list_holders(made_of.definition)
                call = str(at(effect, "call")).replace(":", ".")
                yield CodedError(call, made_of.kinds, holders, tuple(passing))


def _is_code(value: object) -> bool:
    return type(value) is int and FAILING <= value < MOST_STATUS


def _list_holders(definition: Definition | None) -> frozenset[str]:
    """The attributes that a class of the repository sets to what it is given."""
    if definition is None or not isinstance(definition.node, ast.ClassDef):
        return frozenset()
    found = set()
    for method in definition.node.body:
        if not isinstance(method, FunctionNode) or method.name != "__init__":
            continue
        first = [one.arg for one in method.args.args][1:2]
        for node in ast.walk(method):
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Name):
                continue
            targets = [one.attr for one in node.targets if isinstance(one, ast.Attribute)]
            if node.value.id in first:
                found.update(targets)
    return frozenset(found)


def find_given_up(
    old: tuple[Code, Definition], new: tuple[Code, Definition], coded: CodedError
) -> GivenUp | None:
    """The first code that the base treats like one that passes, and the branch does not.

    What the two sides do is not compared by its text, which another name changes, but which codes
    each of them treats alike.
    """
    for passing in coded.passing:
        before, after = list_ways(*old, passing), list_ways(*new, passing)
        if not before or not after:
            continue
        was, now = _list_ends(before), _list_ends(after)
        for code in list_statuses(old[0], new[0]):
            alike = list_ways(*old, code)
            if alike is None or _list_ends(alike) != was:
                continue
            way = _find_end_without_error(list_ways(*new, code) or [], now)
            if way is not None:
                # A decorator of elsewhere is around all ways of a handler: it tells no codes apart.
                is_plain = all(one.is_unread for one in (*before, *after))
                return GivenUp(code, passing, way, is_plain or not way.is_unread)
    return None


def _list_ends(ways: list[Way]) -> frozenset[tuple[object, ...]]:
    return frozenset((way.choices, way.failure, way.said) for way in ways)


def _find_end_without_error(ways: list[Way], known: frozenset[tuple[object, ...]]) -> Way | None:
    """A way that ends the job, and that the code that passes does not have."""
    for way in ways:
        if not way.failure and (way.choices, way.failure, way.said) not in known:
            return way
    return None
