"""Lists, tuples, sets and dicts written out in the source: what is in them, and one element
more.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from typing import Any

import libcst as cst

from skillrun.skills.job_worker.scaffold.editing.sequences import (
    NO_SPACE,
    Bracketed,
    inner_indent,
    insert_element,
    stack_elements,
)
from skillrun.skills.job_worker.scaffold.editing.source import inside_strings, lines_of, means_same

Container = cst.List | cst.Tuple | cst.Set | cst.Dict
# 'eggs' and "eggs", and no prefix, no quote and no escape inside.
PLAIN_STRING = re.compile(r"""(['"])(?!\1\1)[^'"\\]*\1""")


def read_brackets(node: Container) -> Bracketed:
    """The elements with the white space inside the brackets; a tuple may have none."""
    match node:
        case cst.List():
            return Bracketed(
                node.lbracket.whitespace_after,
                tuple(node.elements),
                node.rbracket.whitespace_before,
            )
        case cst.Tuple():
            opening = closing = NO_SPACE
            if node.lpar:
                opening = node.lpar[-1].whitespace_after
            if node.rpar:
                closing = node.rpar[0].whitespace_before
            return Bracketed(opening, tuple(node.elements), closing)
    return Bracketed(
        node.lbrace.whitespace_after, tuple(node.elements), node.rbrace.whitespace_before
    )


def rebuild_brackets(node: Container, inner: Bracketed) -> Container:
    """The literal with other elements in the same kind of brackets."""
    if isinstance(node, cst.Tuple):
        if not node.lpar:
            return node.with_changes(elements=inner.elements)
        *outer, last = node.lpar
        first, *rest = node.rpar
        return node.with_changes(
            elements=inner.elements,
            lpar=[*outer, last.with_changes(whitespace_after=inner.opening)],
            rpar=[first.with_changes(whitespace_before=inner.closing), *rest],
        )
    left, right = "lbrace", "rbrace"
    if isinstance(node, cst.List):
        left, right = "lbracket", "rbracket"
    return node.with_changes(
        elements=inner.elements,
        **{
            left: getattr(node, left).with_changes(whitespace_after=inner.opening),
            right: getattr(node, right).with_changes(whitespace_before=inner.closing),
        },
    )


def grow_literal(node: Container, key: str | None, value: str, unit: str, base: str) -> Container:
    """The literal with one more element, laid out as the others are: at its end, or in its place
    among three sorted names.

    `unit` is one step of indentation, `base` the indentation of the literal's first line.
    """
    inner = read_brackets(node)
    new = make_element(key, shift_lines(value, inner_indent(inner, unit, base)))
    return rebuild_brackets(node, insert_element(inner, new, _choose_index(inner, new), unit))


def _choose_index(inner: Bracketed, new: cst.Element | cst.DictElement) -> int:
    """The index at which the new element goes: in order among names that are sorted, else last."""
    end = len(inner.elements)
    names = []
    for one in inner.elements:
        if isinstance(one.value, cst.SimpleString):
            names.append(one.value.evaluated_value)
    # Two names are in order by chance.
    are_sorted = len(names) == end > 2 and names == sorted(names, key=str)
    if not are_sorted:
        return end
    if not isinstance(new, cst.Element) or not isinstance(new.value, cst.SimpleString):
        return end
    return bisect([str(name) for name in names], str(new.value.evaluated_value))


def one_a_line(node: Container, key: str | None, value: str, unit: str, base: str) -> Container:
    """The literal with one more element, each on a line of its own: for what got too long for
    one.
    """
    if isinstance(node, cst.Tuple) and not node.lpar:
        return grow_literal(node, key, value, unit, base)
    new = make_element(key, shift_lines(value, base + unit))
    bare = [one.with_changes(comma=cst.MaybeSentinel.DEFAULT) for one in (*node.elements, new)]
    return rebuild_brackets(node, stack_elements(bare, base + unit, base))


def make_element(key: str | None, value: str) -> cst.Element | cst.DictElement:
    """An element of a list, a tuple or a set; with a key, one of a dict."""
    node = cst.parse_expression(value)
    if key is None:
        return cst.Element(node)
    return cst.DictElement(cst.parse_expression(key), node)


def write_literal(key: str | None, value: str, unit: str) -> str:
    """The source of a new literal with one element: a dict with a line of its own for it, or a list
    in one line.
    """
    if key is None:
        return f"[{value}]"
    return f"{{\n{unit}{key}: {shift_lines(value, unit)},\n}}"


def shift_lines(code: str, indent: str) -> str:
    """An expression with its lines after the first further in; lines that begin within a string
    stay.
    """
    lines = lines_of(code)
    if len(lines) == 1:
        return code
    fixed = inside_strings(ast.parse(f"({code}\n)"))
    first, *others = lines
    shifted = [first]
    for number, line in enumerate(others, 2):
        if number in fixed:
            shifted.append(line)
        else:
            shifted.append(indent + line)
    return "".join(shifted)


# -- what is in it


def code_of(node: cst.CSTNode) -> str:
    """A node as it is written."""
    return cst.Module([]).code_for_node(node)


def same_code(left: str, right: str) -> bool:
    """Whether two expressions are equal, layout and quotes aside."""
    return means_same(ast.parse(f"({left}\n)", mode="eval"), ast.parse(f"({right}\n)", mode="eval"))


def holds_value(node: Container, value: str) -> bool:
    """Whether an element is this value."""
    for one in node.elements:
        if not isinstance(one, cst.Element):
            continue
        if same_code(code_of(one.value), value):
            return True
    return False


def value_of(node: Container, key: str) -> cst.BaseExpression | None:
    """The value under a key, where it is there."""
    for one in node.elements:
        if isinstance(one, cst.DictElement) and same_code(code_of(one.key), key):
            return one.value
    return None


# -- quotes


def quoted_alike(code: str, neighbours: Sequence[Any], text: str) -> str:
    """An expression with the quotes of its neighbours, or else those of the whole file."""
    quote = usual_quote("\n".join(code_of(one) for one in neighbours)) or usual_quote(text)
    if quote:
        return requote_strings(code, quote)
    return code


def usual_quote(text: str) -> str:
    """The quote that most strings have; "" where there is none."""
    quotes = Counter(string[0] for string in strings_of(text))
    if not quotes:
        return ""
    return max(quotes, key=lambda quote: quotes[quote])


def strings_of(text: str) -> list[str]:
    """The plain strings of a text: no prefix, no quote and no escape inside."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(f"({text}\n)").readline))
    except (tokenize.TokenError, IndentationError):
        return []
    found = []
    for token in tokens:
        if token.type == tokenize.STRING and PLAIN_STRING.fullmatch(token.string):
            found.append(token.string)
    return found


def requote_strings(code: str, quote: str) -> str:
    """An expression with its plain strings in this quote."""
    lines = lines_of(code)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.STRING and PLAIN_STRING.fullmatch(token.string):
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = (
                line[:start] + quote + token.string[1:-1] + quote + line[token.end[1] :]
            )
    return "".join(lines)
