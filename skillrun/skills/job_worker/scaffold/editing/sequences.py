"""One more element between brackets, laid out as its neighbours are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

Space = cst.BaseParenthesizableWhitespace
NO_SPACE: Space = cst.SimpleWhitespace("")


@dataclass(frozen=True)
class Bracketed:
    """What stands between two brackets: the white space after the first, elements, the white space
    before the last.
    """

    opening: Space
    elements: tuple[Any, ...]  # nodes with a `comma`
    closing: Space


def insert_element(there: Bracketed, new: Any, index: int, unit: str) -> Bracketed:
    """The brackets with `new` before the element of that index, or at the end; `unit` is one step
    of indentation.
    """
    if not there.elements:
        return insert_first(there, new, unit)
    if index >= len(there.elements):
        return append_element(there, new, unit)
    return insert_before(there, new, index)


def insert_first(there: Bracketed, new: Any, unit: str) -> Bracketed:
    """The empty brackets with a first element; a comment between them stays above it."""
    space = there.opening
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return Bracketed(space, (new,), there.closing)
    end = space.last_line.value
    opening = space.with_changes(last_line=cst.SimpleWhitespace(end + unit))
    return Bracketed(opening, (new.with_changes(comma=cst.Comma()),), new_line(end))


def append_element(there: Bracketed, new: Any, unit: str) -> Bracketed:
    """The brackets with `new` after the last element, and with a trailing comma where that had
    one. Comments below the last stay where they are.
    """
    there = move_space_to_bracket(there)
    *rest, last = there.elements
    has_comma = isinstance(last.comma, cst.Comma)
    comma = cst.Comma()
    if has_comma:
        comma = last.comma
    between = space_before_new(there, unit)
    closing = there.closing
    is_several_lines = isinstance(closing, cst.ParenthesizedWhitespace)
    # The comma of `(x,)` makes the tuple, and says nothing of what is liked here.
    trailing = has_comma and (bool(rest) or is_several_lines)
    if isinstance(closing, cst.ParenthesizedWhitespace):
        closing = new_line(closing.last_line.value)
    elements = (*rest, last.with_changes(comma=comma.with_changes(whitespace_after=between)))
    return Bracketed(
        there.opening, (*elements, new.with_changes(comma=end_with_comma(trailing))), closing
    )


def end_with_comma(trailing: bool) -> cst.Comma | cst.MaybeSentinel:
    """What stands behind the last element."""
    if trailing:
        return cst.Comma()
    return cst.MaybeSentinel.DEFAULT


def move_space_to_bracket(there: Bracketed) -> Bracketed:
    """The brackets with the white space after a trailing comma before the closing one. libcst puts
    that of an import into the comma.
    """
    *rest, last = there.elements
    space = None
    if isinstance(last.comma, cst.Comma):
        space = last.comma.whitespace_after
    if not isinstance(space, cst.ParenthesizedWhitespace):
        return there
    comma = last.comma.with_changes(whitespace_after=cst.SimpleWhitespace(""))
    return Bracketed(there.opening, (*rest, last.with_changes(comma=comma)), space)


def space_before_new(there: Bracketed, unit: str) -> Space:
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
    spaces = [there.opening]
    for element in there.elements:
        if isinstance(element.comma, cst.Comma):
            spaces.append(element.comma.whitespace_after)
    for space in spaces:
        if isinstance(space, cst.ParenthesizedWhitespace) and there.elements:
            return space.last_line.value
    for space in (there.opening, there.closing):
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.last_line.value + unit
    return base


def insert_before(there: Bracketed, new: Any, index: int) -> Bracketed:
    """The brackets with `new` between two elements, or before the first. A comment above the
    element that follows stays above it.
    """
    space = there.opening
    if index > 0:
        space = there.elements[index - 1].comma.whitespace_after
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


def stack_elements(elements: Sequence[Any], indent: str, base: str = "") -> Bracketed:
    """Brackets with one element a line and a trailing comma; `base` is the indentation of the
    closing bracket.
    """
    *rest, last = elements
    lines = []
    for element in rest:
        lines.append(element.with_changes(comma=cst.Comma(whitespace_after=new_line(indent))))
    lines.append(last.with_changes(comma=cst.Comma()))
    return Bracketed(new_line(indent), tuple(lines), new_line(base))


def new_line(indent: str) -> cst.ParenthesizedWhitespace:
    """The end of a line, and the indentation of the next one."""
    return cst.ParenthesizedWhitespace(indent=True, last_line=cst.SimpleWhitespace(indent))
