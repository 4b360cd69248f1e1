"""Lines of code that are too long for the repository, broken as black breaks them."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from tokenize import TokenInfo

from skillrun.skills.job_worker.scaffold.editing.source import lines_of

_OPENING, _CLOSING = "([{", ")]}"
# from shop.tasks import send, receipt
_IMPORT = re.compile(r"(from [\w.]+ import )([\w, ]+)")
# What stands before the bracket of a call or of a subscript.
_CALLED = re.compile(r"[\w)\]}]\s*\Z")
_WORDS = frozenset(
    {"in", "is", "not", "and", "or", "if", "else", "return", "yield", "await", "lambda", "assert"}
)


def relay_lines(source: str, width: int, unit: str = "    ", kept: Collection[str] = ()) -> str:
    """The source of a module with each line of code that is longer than `width` broken; `unit` is
    one indentation.

    Docstrings and comments are filled. Other lines that begin or end within a string, those with a
    comment at their end and those of `kept` stay.
    """
    lines = lines_of(source)
    if all(len(line.rstrip("\r\n")) <= width for line in lines):
        return source
    docs = _lines_of_docstrings(source)
    strings, depths = _within_strings(source), _count_depths(source)
    relaid: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        is_fixed = line in kept or (number in strings and number not in docs)
        if is_fixed or len(text) <= width:
            parts = [text]
        elif number in docs or text.lstrip().startswith("# "):
            parts = _wrap_prose(text, width)
        else:
            parts = wrap_line(text, width, unit, inside=depths.get(number, 0) > 0)
        relaid += [part + end for part in parts]
    return "".join(relaid)


def wrap_line(line: str, width: int, unit: str = "    ", *, inside: bool = False) -> list[str]:
    """The lines that a line becomes, itself where nothing can be broken. `inside`: it lies within
    brackets.
    """
    if len(line) <= width:
        return [line]
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    long_import = _IMPORT.fullmatch(text)
    if long_import:
        text = f"{long_import[1]}({long_import[2]})"
    tokens = _tokens_of(text)
    if not tokens or any(token.type == tokenize.COMMENT for token in tokens):
        return [line]
    parts = []
    if inside:
        parts = _split_inside(text, tokens, width - len(indent))
    if parts:
        lines: list[str] = []
        for part in parts:
            lines += wrap_line(indent + part, width, unit, inside=True)
        return lines
    pair = _choose_brackets(text, tokens)
    if pair is None:
        return [line]
    return _open_brackets(text, pair, indent, width, unit)


def _split_inside(text: str, tokens: list[TokenInfo], room: int) -> list[str]:
    """The parts of what stands in brackets, each for a line of its own: elements, clauses, or the
    halves of a text; none where it is one whole.
    """
    elements = _split_elements(text, tokens)
    if len(elements) > 1:
        return [f"{one}," for one in elements]
    clauses = _split_clauses(text, tokens)
    if len(clauses) > 1:
        return list(clauses)
    return list(_halve_text(text, tokens, room) or ())


def _wrap_prose(line: str, width: int) -> list[str]:
    """A line of a docstring or a comment as several; a docstring that was one line ends on a line
    of its own.
    """
    text = line.lstrip()
    indent = line[: len(line) - len(text)]
    mark = ""
    if text.startswith("# "):
        mark = "# "
    is_whole_docstring = not mark and text.startswith('"""') and text.endswith('"""')
    # Where the quotes alone are too much, formatters would join the two lines again.
    if is_whole_docstring:
        text, width = text.removesuffix('"""'), width - len('"""')
    filled = textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + mark,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if is_whole_docstring:
        filled.append(f'{indent}"""')
    return filled


def _halve_text(text: str, tokens: list[TokenInfo], room: int) -> list[str]:
    """A text with a comma, alone on its line, as two side by side; none where it cannot be divided
    at a space.
    """
    first = tokens[0]
    if first.type != tokenize.STRING or text[first.end[1] :] != ",":
        return []
    # Not of three quotes, and without a prefix.
    is_plain = text[0] in "\"'" and text[1] not in "\"'" and "\\" not in text
    cut = text.rfind(" ", 2, room - 1) + 1
    if not is_plain or not cut:
        return []
    quote = text[0]
    return [f"{text[:cut]}{quote}", f"{quote}{text[cut:]}"]


@dataclass(frozen=True)
class _Pair:
    """The columns of two brackets that belong together."""

    start: int
    end: int


def _open_brackets(text: str, pair: _Pair, indent: str, width: int, unit: str) -> list[str]:
    """The lines for the head up to the bracket, for what is within it, and for the tail."""
    head, tail = text[: pair.start + 1], text[pair.end :]
    body = text[pair.start + 1 : pair.end].strip()
    elements = _split_elements(body, _tokens_of(body))
    in_one_line = f"{indent}{unit}{body}"
    is_too_long = len(in_one_line) > width and len(elements) > 1
    lines = []
    if is_too_long or _stands_apart(head, body, elements):
        for element in elements:
            lines += wrap_line(f"{indent}{unit}{element},", width, unit, inside=True)
    else:
        lines = wrap_line(in_one_line, width, unit, inside=True)
    return [f"{indent}{head}", *lines, f"{indent}{tail}"]


def _stands_apart(head: str, body: str, elements: list[str]) -> bool:
    """Whether each element has a line of its own, whether or not all of them would fit into one."""
    if head.startswith("from "):
        return True
    if len(elements) > 1:
        return not _is_called(head) or body.endswith(",")
    return len(elements) == 1 and head.startswith(("def ", "async def "))


def _is_called(head: str) -> bool:
    """Whether the bracket at the end of a text follows what is called or indexed; else it is a
    literal's.
    """
    before = head[:-1].rstrip()
    return _CALLED.search(before) is not None and re.split(r"\W", before)[-1] not in _WORDS


def _choose_brackets(text: str, tokens: list[TokenInfo]) -> _Pair | None:
    """The brackets at which a line is broken. As in black's right hand split those are the last
    ones that hold something; of a function those of its parameters.
    """
    pairs = []
    for pair in _find_brackets(tokens):
        if text[pair.start + 1 : pair.end].strip():
            pairs.append(pair)
    if not pairs:
        return None
    if text.startswith(("def ", "async def ")):
        return pairs[0]
    return pairs[-1]


def _find_brackets(tokens: list[TokenInfo]) -> Iterator[_Pair]:
    """The outermost brackets, from left to right."""
    opened: list[int] = []
    for token in tokens:
        if token.type == tokenize.OP and token.string in _OPENING:
            opened.append(token.start[1])
        elif token.type == tokenize.OP and token.string in _CLOSING:
            start = opened.pop()
            if not opened:
                yield _Pair(start, token.start[1])


def _split_elements(text: str, tokens: list[TokenInfo]) -> list[str]:
    """What commas divide outside of brackets; a comprehension is one whole."""
    elements: list[str] = []
    start, in_lambda = 0, False
    for token in _tokens_outside(tokens):
        if token.string == "for":
            return [text.strip()]
        # The commas between a lambda's parameters divide nothing.
        in_lambda = token.string == "lambda" or (in_lambda and token.string != ":")
        if token.string == "," and not in_lambda:
            elements.append(text[start : token.start[1]].strip())
            start = token.start[1] + 1
    elements.append(text[start:].strip())
    return list(filter(None, elements))


def _split_clauses(text: str, tokens: list[TokenInfo]) -> list[str]:
    """The parts of a comprehension: what it makes, each `for`, each `if` behind one."""
    cuts = [0]
    for token in _tokens_outside(tokens):
        if token.string == "for" or (token.string == "if" and len(cuts) > 1):
            cuts.append(token.start[1])
    return [text[start:end].strip() for start, end in pairwise([*cuts, len(text)])]


def _tokens_outside(tokens: list[TokenInfo]) -> Iterator[TokenInfo]:
    """The names and operators outside of all brackets."""
    depth = 0
    for token in tokens:
        opens, closes = token.string in _OPENING, token.string in _CLOSING
        if token.type in (tokenize.NAME, tokenize.OP):
            depth += opens - closes
            if depth == 0 and not closes:
                yield token


def _tokens_of(text: str) -> list[TokenInfo]:
    """The tokens of one line; none where it is only a part of something, or several lines."""
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    depth = 0
    for token in found:
        if token.type == tokenize.OP:
            depth += (token.string in _OPENING) - (token.string in _CLOSING)
        if depth < 0 or token.type == tokenize.ERRORTOKEN:
            return []
    return found


def _lines_of_docstrings(source: str) -> set[int]:
    """The lines that docstrings lie on."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, owners) and ast.get_docstring(node):
            docstrings.update(_lines_of_node(node.body[0]))
    return docstrings


def _lines_of_node(node: ast.stmt | ast.expr) -> range:
    """The numbers of the lines from the first to the last of a node."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _within_strings(source: str) -> set[int]:
    """The lines that a string of several lines lies on."""
    found = set[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno != node.lineno:
            found.update(_lines_of_node(node))
    return found


def _count_depths(source: str) -> dict[int, int]:
    """In how many brackets a line begins; lines outside of all are left out."""
    found: dict[int, int] = {}
    depth = row = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] != row and depth:
            found.update(dict.fromkeys(range(row + 1, token.start[0] + 1), depth))
        row = token.end[0]
        if token.type == tokenize.OP:
            depth += (token.string in _OPENING) - (token.string in _CLOSING)
    return found
