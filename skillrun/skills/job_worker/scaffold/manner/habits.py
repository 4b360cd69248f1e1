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
# The tokens that a text begins with; newer Pythons have one for each kind of it.
_OPENING = {tokenize.STRING}
for _name in ("FSTRING_START", "TSTRING_START"):
    if hasattr(tokenize, _name):
        _OPENING.add(getattr(tokenize, _name))


def majority(
    files: Iterable[Neighbour], read: Callable[[Neighbour], Iterable[Choice]]
) -> Choice | None:
    """What the handler's own file does most, else most of the others by weight; None where none
    says anything. `read` gives what one file does, once for each time that it does it.
    """
    own, others = [], []
    for file in files:
        if file.own:
            own.append(file)
        else:
            others.append(file)
    own_votes = _count_votes(own, read)
    most = max(own_votes.values(), default=0.0)
    first = [choice for choice, votes in own_votes.items() if votes == most]
    if len(first) == 1:
        return first[0]
    # Between equals of its own, the other files decide.
    other_votes = _count_votes(others, read)
    return max(first or other_votes, key=lambda one: other_votes.get(one, 0.0), default=None)


def _count_votes(
    files: list[Neighbour], read: Callable[[Neighbour], Iterable[Choice]]
) -> Mapping[Choice, float]:
    """Choice -> the votes of these files for it, each file's with its weight."""
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
        if token.type not in _OPENING:
            continue
        body = token.string.lstrip("rbfutRBFUT")
        has_both = '"' in body and "'" in body
        if not has_both and not body.startswith(('"""', "'''")):
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
    for node in _find_functions(file):
        parameters = []
        for parameter in _list_parameters(node.args):
            if parameter.arg not in ("self", "cls"):
                parameters.append(parameter)
        if node.returns is not None:
            yield True
        elif parameters:
            yield any(parameter.annotation for parameter in parameters)


def annotated_tests(file: Neighbour) -> Iterator[bool]:
    """Whether each test says that it returns None."""
    for node in _find_functions(file):
        if node.name.startswith("test"):
            yield node.returns is not None


def _find_functions(file: Neighbour) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions and methods of a file, without those that Python names."""
    for node in file.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_dunder(node.name):
            yield node


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _list_parameters(arguments: ast.arguments) -> list[ast.arg]:
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for parameter in (arguments.vararg, arguments.kwarg):
        if parameter is not None:
            parameters.append(parameter)
    return parameters


def absolute_imports(package: str) -> Callable[[Neighbour], Iterator[bool]]:
    """A function that reads whether each import from the handler's own top package is absolute."""

    def read(file: Neighbour) -> Iterator[bool]:
        for node in file.nodes:
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                yield False
            elif (node.module or "").partition(".")[0] == package:
                yield True

    return read


def fits(files: Iterable[Neighbour], columns: int) -> bool:
    """Whether all but one line in a hundred is that short."""
    count, longer = 0, 0
    for file in files:
        for line in file.text.splitlines():
            count += 1
            longer += len(line) > columns
    return longer * 100 <= count
