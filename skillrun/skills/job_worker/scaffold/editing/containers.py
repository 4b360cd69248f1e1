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
    Bracketed,
    inner_indent,
    inserted,
    stacked,
)
from skillrun.skills.job_worker.scaffold.editing.source import inside_strings, lines_of, same

Container = cst.List | cst.Tuple | cst.Set | cst.Dict
PLAIN_STRING = re.compile(r"""(['"])(?!\1\1)[^'"\\]*\1""")


def bracketed(node: Container) -> Bracketed:
    """The elements with the white space inside the brackets; a tuple may have none."""
    match node:
        case cst.List():
            return Bracketed(
                node.lbracket.whitespace_after,
                tuple(node.elements),
                node.rbracket.whitespace_before,
            )
        case cst.Tuple():
            if node.lpar:
                opening = node.lpar[-1].whitespace_after
            else:
                opening = cst.SimpleWhitespace("")
            if node.rpar:
                closing = node.rpar[0].whitespace_before
            else:
                closing = cst.SimpleWhitespace("")
            return Bracketed(opening, tuple(node.elements), closing)
    return Bracketed(
        node.lbrace.whitespace_after, tuple(node.elements), node.rbrace.whitespace_before
    )


def rebuilt(node: Container, inner: Bracketed) -> Container:
    """The same kind of brackets around other elements."""
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
    if isinstance(node, cst.List):
        left, right = ("lbracket", "rbracket")
    else:
        left, right = ("lbrace", "rbrace")
    return node.with_changes(
        elements=inner.elements,
        **{
            left: getattr(node, left).with_changes(whitespace_after=inner.opening),
            right: getattr(node, right).with_changes(whitespace_before=inner.closing),
        },
    )


def grown(node: Container, key: str | None, value: str, unit: str, base: str) -> Container:
    """With one more element, laid out as the others are: at its end, or in its place among three
    sorted names.

    `base` is the indentation of its first line.
    """
    inner = bracketed(node)
    new = element(key, shifted(value, inner_indent(inner, unit, base)))
    return rebuilt(node, inserted(inner, new, _choose_index(inner, new), unit))


def _choose_index(inner: Bracketed, new: cst.Element | cst.DictElement) -> int:
    """The index at which the new element goes."""
    names = []
    for one in inner.elements:
        if isinstance(one.value, cst.SimpleString):
            names.append(one.value.evaluated_value)
    sorts = len(names) == len(inner.elements) > 2 and names == sorted(names, key=str)
    if not sorts or not isinstance(new, cst.Element) or not isinstance(new.value, cst.SimpleString):
        return len(inner.elements)
    return bisect([str(name) for name in names], str(new.value.evaluated_value))


def one_a_line(node: Container, key: str | None, value: str, unit: str, base: str) -> Container:
    """With one more element, each on a line: for what got too long for one."""
    if isinstance(node, cst.Tuple) and not node.lpar:
        return grown(node, key, value, unit, base)
    new = element(key, shifted(value, base + unit))
    bare = [one.with_changes(comma=cst.MaybeSentinel.DEFAULT) for one in (*node.elements, new)]
    return rebuilt(node, stacked(bare, base + unit, base))


def element(key: str | None, value: str) -> cst.Element | cst.DictElement:
    node = cst.parse_expression(value)
    if key is None:
        return cst.Element(node)
    return cst.DictElement(cst.parse_expression(key), node)


def fresh(key: str | None, value: str, unit: str) -> str:
    """The source of a new literal with one element: a dict with a line of its own for it, or a list
    in one line.
    """
    if key is None:
        return f"[{value}]"
    return f"{{\n{unit}{key}: {shifted(value, unit)},\n}}"


def shifted(code: str, indent: str) -> str:
    """An expression with its lines after the first further in; lines that begin within a string
    stay.
    """
    lines = lines_of(code)
    if len(lines) == 1:
        return code
    fixed = inside_strings(ast.parse(f"({code}\n)"))
    return "".join(
        line if number == 1 or number in fixed else indent + line
        for number, line in enumerate(lines, 1)
    )


# -- what is in it


def code_of(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)


def same_code(left: str, right: str) -> bool:
    """Whether two expressions are equal, layout and quotes aside."""
    return same(ast.parse(f"({left}\n)", mode="eval"), ast.parse(f"({right}\n)", mode="eval"))


def holds(node: Container, value: str) -> bool:
    """Whether an element is this value."""
    return any(
        isinstance(one, cst.Element) and same_code(code_of(one.value), value)
        for one in node.elements
    )


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
        return requoted(code, quote)
    return code


def usual_quote(text: str) -> str:
    """The quote that most strings have; "" where there is none."""
    found = Counter(token[0] for token in strings_of(text))
    if not found:
        return ""
    return max(found, key=lambda quote: found[quote])


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


def requoted(code: str, quote: str) -> str:
    """The plain strings of an expression in this quote."""
    lines = lines_of(code)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.STRING and PLAIN_STRING.fullmatch(token.string):
            row, start = token.start
            line = lines[row - 1]
            lines[row - 1] = (
                line[:start] + quote + token.string[1:-1] + quote + line[token.end[1] :]
            )
    return "".join(lines)
