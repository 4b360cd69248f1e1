"""How the files near a handler are written: quotes, indentation, annotations, imports, line
length.
"""

from __future__ import annotations

import ast
import tokenize
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from skillrun.skills.job_worker.scaffold.manner.neighbours import Neighbour

Choice = TypeVar("Choice")
# Of one file's votes, so that one long file does not outvote its neighbours.
_CAP = 20
_OPENING = {
    tokenize.STRING,
    *(getattr(tokenize, n) for n in ("FSTRING_START", "TSTRING_START") if hasattr(tokenize, n)),
}


def majority(
    files: Iterable[Neighbour], read: Callable[[Neighbour], Iterable[Choice]]
) -> Choice | None:
    """What the handler's own file does, else most of the others by weight; None where none says
    anything.
    """
    files = tuple(files)
    own = _votes([f for f in files if f.own], read)
    first = [choice for choice in own if own[choice] == max(own.values())]
    if len(first) == 1:
        return first[0]
    others = _votes([f for f in files if not f.own], read)
    return max(first or others, key=lambda choice: others.get(choice, 0.0), default=None)


def _votes(
    files: list[Neighbour], read: Callable[[Neighbour], Iterable[Choice]]
) -> Mapping[Choice, float]:
    votes: defaultdict[Choice, float] = defaultdict(float)
    for file in files:
        counted = Counter(read(file))
        share = min(1.0, _CAP / max(counted.total(), 1)) * file.weight
        for choice, count in counted.items():
            votes[choice] += count * share
    return votes


def quotes(file: Neighbour) -> Iterator[str]:
    """The quote of every text in one line that could have had the other one."""
    for token in file.tokens:
        if token.type in _OPENING:
            body = token.string.lstrip("rbfutRBFUT")
            if not body.startswith(('"""', "'''")) and not ('"' in body and "'" in body):
                yield body[0]


def indents(file: Neighbour) -> Iterator[str]:
    """What each block adds to the indentation around it."""
    stack = [""]
    for token in file.tokens:
        if token.type == tokenize.INDENT:
            yield token.string.removeprefix(stack[-1])
            stack.append(token.string)
        elif token.type == tokenize.DEDENT:
            stack.pop()


def annotated(file: Neighbour) -> Iterator[bool]:
    """Whether each function with parameters is annotated; of those without, only the annotated ones
    say something.
    """
    for node in _functions(file):
        given = []
        for a in _parameters(node.args):
            if a.arg not in ("self", "cls"):
                given.append(a)
        if given or node.returns is not None:
            yield node.returns is not None or any(a.annotation for a in given)


def annotated_tests(file: Neighbour) -> Iterator[bool]:
    """Whether each test says that it returns None."""
    return (node.returns is not None for node in _functions(file) if node.name.startswith("test"))


def _functions(file: Neighbour) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in file.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_dunder(node.name):
            yield node


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    single = []
    for a in (arguments.vararg, arguments.kwarg):
        if a is not None:
            single.append(a)
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *single]


def absolute_imports(package: str) -> Callable[[Neighbour], Iterator[bool]]:
    """Whether each import from the handler's own top package is absolute."""

    def read(file: Neighbour) -> Iterator[bool]:
        for node in file.nodes:
            if isinstance(node, ast.ImportFrom) and node.level:
                yield False
            elif (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").partition(".")[0] == package
            ):
                yield True

    return read


def fits(files: Iterable[Neighbour], columns: int) -> bool:
    """Whether all but one line in a hundred is that short."""
    lengths = []
    for file in files:
        for line in file.text.splitlines():
            lengths.append(len(line))
    return sum(length > columns for length in lengths) * 100 <= len(lengths)
