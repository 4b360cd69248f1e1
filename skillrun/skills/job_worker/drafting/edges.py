"""Which functions of a repository lie at its edge: only such a one may be replaced in a proof.

Tests replace what is convenient to them, also the job itself. A proof with a stand-in for what the
job is for would show the stand-in.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from skillrun.repo.calls import body_calls
from skillrun.repo.syntax import name_method
from skillrun.skills.job_worker.drafting.telling import is_telling
from skillrun.skills.job_worker.overview.memories import find_memories
from skillrun.skills.job_worker.overview.seams import find_seams, list_leaving

if TYPE_CHECKING:
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Module
    from skillrun.skills.job_worker.overview.seams import Seam

# As deep as the ways out of a job are read.
_DEPTH = 3
# "datetime.datetime.now", "time.time", "django.utils.timezone.now"
_CLOCK = re.compile(
    r"(?:datetime\.(?:datetime|date)|time|django\.utils\.timezone)"
    r"\.(?:now|utcnow|today|time|monotonic|localdate|localtime)"
)
# Statuses by which a receiver says that it has done nothing of what it was asked. 408, 425, 429 and
# 499 only say that it did not answer then: it may have done it, and is asked again.
_REFUSALS = frozenset((400, 401, 402, 403, 404, 405, 406, 409, 410, 412, 415, 422, 423, 428))
# `answer.status_code`, `response.status`, `error.code`
_STATUS = re.compile(r"(?:.*_)?(?:status|code)(?:_.*)?", re.IGNORECASE)
_LOOPS = (ast.For, ast.AsyncFor)
# `for attempt in range(3)` goes the same way out once more; any other loop goes several.
_REPEATS = frozenset({"range", "count", "repeat"})


class Position(Enum):
    """Where a function lies, as far as its code can be read."""

    EDGE = "edge"  # an adapter: it leaves the process itself, in one way
    WORK = "work"  # it does what a job is for
    INSIDE = "inside"  # it leaves the process nowhere, and writes nothing
    UNCLEAR = "unclear"  # what it does outside of the process was not read


@dataclass(frozen=True)
class Reading:
    """`why` is what was read of a function that is no edge: "writes table orders (app/db.py:7)"."""

    position: Position
    why: str = ""


EDGE = Reading(Position.EDGE)


@dataclass
class Edges:
    """Reads functions of one repository. `sent`: the calls that send a job, with the job's name."""

    project: Project
    sent: Mapping[ast.Call, str]
    _known: dict[str, Reading] = field(default_factory=dict)

    def read(self, path: str) -> Reading:
        """What an import path leads to; a library's own function is an edge."""
        definition = self.project.definition(path.replace(":", "."))
        if definition is None:
            return EDGE
        if definition.import_path not in self._known:
            self._known[definition.import_path] = self._read_definition(definition)
        return self._known[definition.import_path]

    def find_seams_within(self, path: str) -> tuple[Seam, ...]:
        """The ways in which the work of a function, or of a class, leaves the process."""
        definition = self.project.definition(path.replace(":", "."))
        if definition is None:
            return ()
        found = find_seams(self.project.calls(definition, depth=_DEPTH), self.sent)
        return tuple(seam for seam in found if seam.kind != "publish")

    def _read_definition(self, definition: Definition) -> Reading:
        if definition.is_class:
            # A stand-in for a class has no rows, no methods and no answers.
            return Reading(Position.WORK, f"is a class ({definition.path}:{definition.line})")
        calls = self.project.calls(definition, depth=_DEPTH)
        work = self._find_work(definition, calls)
        if work is not None:
            return Reading(Position.WORK, work)
        leaving = list(list_leaving(calls, self.sent))
        if not leaving:
            return self._read_without_seam(definition, calls)
        elsewhere = _find_elsewhere(self.project, definition, leaving)
        if elsewhere is not None:
            return Reading(Position.WORK, elsewhere)
        several = _find_several(leaving, _list_refused(definition, leaving))
        if several is not None:
            return Reading(Position.WORK, several)
        return EDGE

    def _find_work(self, definition: Definition, calls: Iterable[Call]) -> str | None:
        """A row that the function writes, or a job that it sends, in words."""
        calls = tuple(calls)
        bodies = [definition]
        for name in dict.fromkeys(itertools.chain.from_iterable(call.via for call in calls)):
            inner = self.project.definition(name)
            if inner is not None:
                bodies.append(inner)
        for memory in find_memories(bodies, calls):
            return f"writes {memory.what} ({memory.place.path}:{memory.place.line})"
        for call in calls:
            if call.node in self.sent:
                return f"sends {self.sent[call.node]} ({call.path}:{call.line})"
        return None

    def _read_without_seam(self, definition: Definition, calls: Iterable[Call]) -> Reading:
        """An abstract method is what others fill in; what only tells of something, or computes it,
        is run as it is.
        """
        where = f"({definition.path}:{definition.line})"
        if isinstance(definition.node.body[-1], ast.Raise):
            return EDGE
        foreign: list[Call] = []
        for call in calls:
            if not is_telling(call.node) and _is_foreign(self.project, call):
                foreign.append(call)
        if not foreign and any(map(_tells_time, calls)):
            # One moment for all of them would be the end of time in a proof.
            return Reading(Position.WORK, f"tells the time {where}")
        if not foreign:
            return Reading(Position.INSIDE, f"leaves the process nowhere {where}")
        if len(foreign) == 1 and not foreign[0].via and not _is_repeated(foreign[0]):
            # One call of one library, whichever it is: there is nothing between the two.
            return EDGE
        return Reading(Position.UNCLEAR, f"does more than one thing of which none was read {where}")


def _find_elsewhere(
    project: Project, definition: Definition, leaving: Iterable[Call]
) -> str | None:
    """The adapter of another module through which a function leaves the process: it is the edge."""
    for call in leaving:
        for name in call.via:
            adapter = project.definition(name)
            if adapter is not None and adapter.path != definition.path:
                return f"calls {adapter.import_path} ({adapter.path}:{adapter.line})"
    return None


def _find_several(leaving: Iterable[Call], refused: Collection[Call]) -> str | None:
    """Two ways out of which one does not stand for the other: a death in between leaves half of
    them undone. `refused`: those that are gone after a refusal, see `_list_refused`.
    """
    leaving = tuple(leaving)
    for call in leaving:
        if _is_repeated(call):
            return f"leaves the process once for each of several things ({call.path}:{call.line})"
    for one, other in itertools.combinations(leaving, 2):
        # What was refused before it has done nothing.
        is_in_stead = (one in refused) != (other in refused)
        if not is_in_stead and not _are_alternatives(one, other):
            where = f"{one.path}:{one.line} and {other.line}"
            return f"leaves the process more than once ({where})"
    return None


def _list_refused(definition: Definition, leaving: Iterable[Call]) -> list[Call]:
    """The ways out of a function that it goes only where its receiver has answered that nothing was
    done, with a status such as 409 (it is there already): to learn what is there, or to do it
    otherwise. A death between the refused one and such a one leaves nothing undone.
    """
    found = []
    for call in leaving:
        steps = list(_find_steps(definition, call))
        if steps and all(_is_under_refusal(definition.module, step) for step in steps):
            found.append(call)
    return found


def _find_steps(definition: Definition, call: Call) -> Iterator[ast.AST]:
    """Yields what a function's own code does on the way to a call: the call itself, or its calls of
    the first function that leads there ("shop.mill.Mill.find").
    """
    if not call.via:
        yield call.node
        return
    name = call.via[0].rpartition(".")[2]
    for step in body_calls(definition.node):
        if name in (name_method(step), ast.unparse(step.func)):
            yield step


def _is_under_refusal(module: Module, step: ast.AST) -> bool:
    """Whether a node stands in an `if answer.status_code == 409:`."""
    below = step
    for above in module.parents(step):
        is_within = _branch_of(above, below) == "body"
        if isinstance(above, ast.If) and is_within and _asks_for_refusal(above.test):
            return True
        below = above
    return False


def _asks_for_refusal(test: ast.expr) -> bool:
    """Whether a condition holds for statuses alone that refuse: `answer.status == 409`,
    `answer.status in (404, 409)`.
    """
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not _is_status(test.left):
        return False
    wanted = _read_numbers(test.comparators[0], many=isinstance(test.ops[0], ast.In))
    return isinstance(test.ops[0], ast.Eq | ast.In) and bool(wanted) and wanted <= _REFUSALS


def _is_status(node: ast.expr) -> bool:
    """Whether a name or an attribute says that it holds a status."""
    if isinstance(node, ast.Name):
        return _STATUS.fullmatch(node.id) is not None
    return isinstance(node, ast.Attribute) and _STATUS.fullmatch(node.attr) is not None


def _read_numbers(node: ast.expr, *, many: bool) -> set[int]:
    """The whole numbers of `409`, or of `(404, 409)`; none where anything else is there."""
    values = [node]
    if many:
        values = []
    if many and isinstance(node, ast.Tuple | ast.List | ast.Set):
        values = list(node.elts)
    found = set[int]()
    for value in values:
        if not isinstance(value, ast.Constant) or type(value.value) is not int:
            return set()
        found.add(value.value)
    return found


def _is_repeated(call: Call) -> bool:
    """Whether it stands in a loop over things; a loop of tries does one thing."""
    for above in call.module.parents(call.node):
        if isinstance(above, _LOOPS):
            looped = above.iter.func if isinstance(above.iter, ast.Call) else None
            if looped is None or ast.unparse(looped).rpartition(".")[2] not in _REPEATS:
                return True
    return False


def _are_alternatives(one: Call, other: Call) -> bool:
    """Whether at most one of two calls is made, by an `if`, or the second one in the place of the
    first, where that has failed.
    """
    if one.module is not other.module:
        return False
    above_other = list(other.module.parents(other.node))
    below: ast.AST = one.node
    for above in one.module.parents(one.node):
        if isinstance(above, ast.If | ast.Try | ast.Match | ast.IfExp):
            if above in above_other:
                branches = _branch_of(above, below), _branch_of(above, _step_below(above, other))
                return _exclude_each_other(above, *branches)
            # `if sandbox: post(a); return` is left before the other one.
            ends = above.body[-1] if isinstance(above, ast.If) else None
            if isinstance(ends, ast.Return | ast.Raise):
                return True
        below = above
    return False


def _exclude_each_other(above: ast.AST, one: str, other: str) -> bool:
    """Whether at most one of two branches is run to its end."""
    if isinstance(above, ast.Try):
        is_in_stead = one.startswith("handlers") or other.startswith("handlers")
        return is_in_stead and one != other and "finalbody" not in (one, other)
    return one != other


def _step_below(above: ast.AST, call: Call) -> ast.AST:
    """The child of a node that holds a call."""
    below: ast.AST = call.node
    for parent in call.module.parents(call.node):
        if parent is above:
            break
        below = parent
    return below


def _branch_of(above: ast.AST, child: ast.AST) -> str:
    """The name of the field in which a child stands, such as `body` or `orelse`; of the cases of a
    `match` and the handlers of a `try`, one by one.
    """
    for name, value in ast.iter_fields(above):
        if value is child:
            return name
        if isinstance(value, list) and child in value:
            if name in ("cases", "handlers"):
                return f"{name}{value.index(child)}"
            return name
    return ""


def _tells_time(call: Call) -> bool:
    return call.resolved and _CLOCK.fullmatch(call.origin) is not None


def _is_foreign(project: Project, call: Call) -> bool:
    """Whether a call is of something that is neither Python's own nor the repository's."""
    if project.definition(call.origin) is not None:
        return False
    root = call.origin.partition(".")[0]
    if call.resolved:
        return root not in sys.stdlib_module_names and root != "builtins"
    # `self.client.put(x)`, `CLIENT.put(x)`: nobody says whose it is. A method of a local value, as
    # in `words.split()`, is mostly a plain value's.
    owner = call.node.func
    return isinstance(owner, ast.Attribute) and root in ("self", "cls")
