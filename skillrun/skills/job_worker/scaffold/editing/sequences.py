"""One more element between brackets, laid out as its neighbours are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

Space = cst.BaseParenthesizableWhitespace


@dataclass(frozen=True)
class Bracketed:
    """What stands between two brackets: the white space after the first, elements, the white space
    before the last.
    """

    opening: Space
    elements: tuple[Any, ...]  # nodes with a `comma`
    closing: Space


def inserted(there: Bracketed, new: Any, index: int, unit: str) -> Bracketed:
    """With `new` before the element of that index; `unit` is one step of indentation."""
    if not there.elements:
        return alone(there, new, unit)
    if index >= len(there.elements):
        return appended(there, new, unit)
    return before(there, new, index)


def alone(there: Bracketed, new: Any, unit: str) -> Bracketed:
    """The first element; a comment between empty brackets stays above it."""
    space = there.opening
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return Bracketed(space, (new,), there.closing)
    end = space.last_line.value
    opening = space.with_changes(last_line=cst.SimpleWhitespace(end + unit))
    return Bracketed(opening, (new.with_changes(comma=cst.Comma()),), new_line(end))


def appended(there: Bracketed, new: Any, unit: str) -> Bracketed:
    """After the last element, with a trailing comma where that had one; comments below the last
    stay where they are.
    """
    there = closed(there)
    *rest, last = there.elements
    if isinstance(last.comma, cst.Comma):
        comma = last.comma
    else:
        comma = cst.Comma()
    between = gap(there, unit)
    closing = there.closing
    # Not of `(x,)`.
    trailing = comma is last.comma and (
        bool(rest) or isinstance(closing, cst.ParenthesizedWhitespace)
    )
    if isinstance(closing, cst.ParenthesizedWhitespace):
        closing = new_line(closing.last_line.value)
    elements = (*rest, last.with_changes(comma=comma.with_changes(whitespace_after=between)))
    return Bracketed(there.opening, (*elements, new.with_changes(comma=ending(trailing))), closing)


def ending(trailing: bool) -> cst.Comma | cst.MaybeSentinel:
    if trailing:
        return cst.Comma()
    return cst.MaybeSentinel.DEFAULT


def closed(there: Bracketed) -> Bracketed:
    """libcst puts the space after the trailing comma of an import into the comma; here it is before
    the bracket.
    """
    *rest, last = there.elements
    space = None
    if isinstance(last.comma, cst.Comma):
        space = last.comma.whitespace_after
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return there
    comma = last.comma.with_changes(whitespace_after=cst.SimpleWhitespace(""))
    return Bracketed(there.opening, (*rest, last.with_changes(comma=comma)), space)


def gap(there: Bracketed, unit: str) -> Space:
    """The white space between the last element and one more."""
    closing = there.closing
    if isinstance(closing, cst.ParenthesizedWhitespace):
        return closing.with_changes(last_line=cst.SimpleWhitespace(inner_indent(there, unit)))
    if len(there.elements) == 1:
        return cst.SimpleWhitespace(" ")
    space: Space = there.elements[-2].comma.whitespace_after
    if isinstance(space, cst.ParenthesizedWhitespace):
        return new_line(space.last_line.value)
    return cst.SimpleWhitespace(" ")


def inner_indent(there: Bracketed, unit: str, base: str = "") -> str:
    """How far the elements are indented that begin a line; `base` where none does."""
    commas = []
    for element in there.elements:
        if isinstance(element.comma, cst.Comma):
            commas.append(element.comma)
    for space in (there.opening, *(comma.whitespace_after for comma in commas)):
        if isinstance(space, cst.ParenthesizedWhitespace) and there.elements:
            return space.last_line.value
    for space in (there.opening, there.closing):
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.last_line.value + unit
    return base


def before(there: Bracketed, new: Any, index: int) -> Bracketed:
    """Between two elements, or before the first; a comment above the element that follows stays
    above it.
    """
    space: Space = there.opening if index == 0 else there.elements[index - 1].comma.whitespace_after
    elements = list(there.elements)
    opening = there.opening
    if not isinstance(space, cst.ParenthesizedWhitespace):
        new = new.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
    else:
        below = new_line(space.last_line.value).with_changes(empty_lines=space.empty_lines)
        new = new.with_changes(comma=cst.Comma(whitespace_after=below))
        space = space.with_changes(empty_lines=[])
        if index == 0:
            opening = space
        else:
            previous = elements[index - 1]
            elements[index - 1] = previous.with_changes(
                comma=previous.comma.with_changes(whitespace_after=space)
            )
    return Bracketed(opening, (*elements[:index], new, *elements[index:]), there.closing)


def stacked(elements: Sequence[Any], indent: str, base: str = "") -> Bracketed:
    """One element a line, with a trailing comma; `base` is the indentation of the closing
    bracket.
    """
    *rest, last = elements
    commas = []
    for element in rest:
        commas.append(element.with_changes(comma=cst.Comma(whitespace_after=new_line(indent))))
    return Bracketed(
        new_line(indent), (*commas, last.with_changes(comma=cst.Comma())), new_line(base)
    )


def new_line(indent: str) -> cst.ParenthesizedWhitespace:
    return cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace(indent))
