"""Whether an error that the spec calls permanent is run again: one way outward, through the clauses
around an effect's call, for all libraries. A library gives its words as data (`Rerunning`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.again import tries_itself
from skillrun.frameworks.common.around import around
from skillrun.frameworks.common.dropping import read_dropping
from skillrun.frameworks.common.errors import ancestors, has_known_bases, short, takes_any
from skillrun.frameworks.common.facts import effect_calls, spec_name, tell
from skillrun.frameworks.common.guards import tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.swallowing import list_suppressing
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call, Handler, Module
from skillrun.repo.syntax import divide_block, find_nodes
from skillrun.repo.uses import Place

Answer = Literal["again", "unsure", "ends", "given up"]
"""What becomes of an error: the job is run again; that could not be read; the job ends there as one
that is done; the library is told to give it up."""

_WORST_FIRST: tuple[Answer, ...] = ("again", "unsure", "given up", "ends")
# `job.attempts < 3`, `ctx["job_try"]`, `request.retries`, `job.retryable`, `tries_left()`;
# neither `should_retry` nor `entry`, which are no number.
_COUNT = re.compile(
    r"attempt|(?<![a-z])(?:re)?tries(?![a-z])|(?<![a-z])try(?![a-z])"
    r"|(?<![a-z])retry_(?:count|no|number)(?![a-z])|\.retryable(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fate:
    """What becomes of an error, and where that is decided."""

    answer: Answer
    place: Place
    raised: str = ""  # the class that left the handler, where another was raised instead
    is_left: bool = False  # it left the handler, and the library decided


@dataclass(frozen=True)
class Rerunning:
    """What one library says for itself."""

    title: str
    # What a clause does of the library's own with what it takes; None where nothing.
    read_clause: Callable[[Job, Handler], Fate | None]
    # What the library makes of an error that leaves the handler, by its dotted name.
    read_left: Callable[[Job, str], Answer]
    hint: str = "a clause of its own before any other: record it, and return"
    # Where that is decided, if not where the error comes from.
    find_place: Callable[[Job], Place | None] = lambda job: None
    # Whether a function on the way is another job: calling it only enqueues it.
    is_job: Callable[[Job, str], bool] = lambda job, name: False
    # (exception, place) of those that are named, one by one, to be run again.
    list_named: Callable[[Job], Iterable[tuple[str, Place]]] = lambda job: ()


def read_attempts(job: Job, error: str) -> Answer:
    """What a library makes of an error that leaves the handler, if it runs any error again while
    attempts are left.
    """
    if "max_attempts" in job.policy.unknown:
        return "unsure"
    if job.policy.max_attempts == 1:
        return "ends"
    return "again"


def find_permanent_retried(job: Job, rerunning: Rerunning) -> Iterator[Finding]:
    """One finding an error of the spec: the worst that any effect's call leads to."""
    for written in job.spec.list_errors("permanent"):
        error = short(spec_name(job, written))
        fate = find_worst_fate(job, error, rerunning)
        if fate.answer == "again":
            message = f"{written} is permanent in the spec, {_say_again(fate, rerunning)}"
            severity = Severity.ERROR
        elif fate.answer == "unsure":
            message = (
                f"{written} is permanent in the spec and may be run again; whether it is depends on"
                " a condition, or could not be read"
            )
            severity = Severity.NOTE
        else:
            yield from _find_kinds(job, written, error, rerunning)
            continue
        yield tell(job, "permanent-retried", severity, fate.place, message, rerunning.hint)


def _say_again(fate: Fate, rerunning: Rerunning) -> str:
    if not fate.is_left:
        return f"and is run again here: {fate.place.text}"
    as_what = ""
    if fate.raised:
        as_what = f" as {fate.raised}"
    return f"it leaves the handler{as_what}, and {rerunning.title} runs it again"


def _find_kinds(job: Job, written: str, error: str, rerunning: Rerunning) -> Iterator[Finding]:
    """Exceptions that are named to be run again, and derive from a permanent one."""
    for name, place in rerunning.list_named(job):
        if short(name) != error and error in ancestors(job.project, name):
            message = (
                f"{short(name)} is run again here, and is a kind of {written}, which the spec calls"
                " permanent"
            )
            yield tell(job, "permanent-retried", Severity.WARNING, place, message, rerunning.hint)
            return


def find_worst_fate(job: Job, error: str, rerunning: Rerunning) -> Fate:
    """The worst that becomes of an error at any effect's call. Where no effect's call is found on
    the way, nobody knows where the error comes from: unsure, unless nothing would run it again.
    """
    fates = list_fates(job, error, rerunning)
    if not fates:
        here = rerunning.find_place(job) or Place(job.handler.path, job.handler.line)
        if rerunning.read_left(job, error) in ("ends", "given up"):
            return Fate("ends", here)
        return Fate("unsure", here)
    return _pick_worst(fates)


def list_fates(job: Job, error: str, rerunning: Rerunning) -> list[Fate]:
    """What becomes of an error at each effect's call in order; a call that only enqueues another
    job is passed over.
    """
    fates = []
    for call in effect_calls(job):
        if not any(rerunning.is_job(job, name) for name in call.via):
            fates.append(follow_error(job, call, error, rerunning))
    return fates


def follow_error(job: Job, call: Call, error: str, rerunning: Rerunning) -> Fate:
    """Follows an error of one call through the clauses around it, the innermost first, then through
    those of the handler's decorators. Of one `try`, the first clause that takes it is taken alone.
    """
    clauses = [*call.in_try, *around(job.project, job.handler)]
    way = _WayOutward(job, call, error, rerunning)
    origin = Fate("ends", place_of(call.module, call.node), error)
    return way.follow(clauses, origin, call.module, call.node)


@dataclass(frozen=True)
class _WayOutward:
    """The way of one error out of one call."""

    job: Job
    call: Call
    error: str
    rerunning: Rerunning

    def follow(self, clauses: Sequence[Handler], left: Fate, module: Module, node: ast.AST) -> Fate:
        """What becomes of what a node has raised, in the clauses still around it and in what drops
        it before one of them.
        """
        for number, clause in enumerate(clauses):
            is_taken = _takes_error(self.job, clause, left.raised)
            if is_taken is False:
                continue
            block = _find_try(clause)
            dropped = self._drop(module, node, left.raised, block)
            if dropped is not None:
                return Fate(dropped, left.place)
            if is_taken is None:
                return Fate("unsure", place_of(clause.module, clause.node))
            outer = [one for one in clauses[number + 1 :] if _find_try(one) is not block]
            return self._read_taken(clause, outer, left)
        dropped = self._drop(module, node, left.raised)
        if dropped is not None:
            return Fate(dropped, left.place)
        return _read_left(self.job, self.call, self.error, left, self.rerunning)

    def _drop(
        self, module: Module, node: ast.AST, error: str, block: ast.AST | None = None
    ) -> Answer | None:
        """What becomes of an error that a node raises, before it comes to the clauses of a `try`;
        None where nothing drops it.
        """
        return read_dropping(module, node, ancestors(self.job.project, error), block)

    def _read_taken(self, clause: Handler, outer: Sequence[Handler], left: Fate) -> Fate:
        """The worst of what a clause does with what it takes. Where the number of the attempt
        alone chooses between several `raise`, each of them comes to its turn.
        """
        fate = self.rerunning.read_clause(self.job, clause)
        if fate is not None:
            return self._drop_steering(clause, fate)
        place = place_of(clause.module, clause.node)
        fates = []
        for node in _list_raises(clause):
            name = name_raised(self.job, clause, node)
            if name is None or _is_uncertain(clause, node):
                return Fate("unsure", place)
            raised = left
            if name:
                raised = Fate("ends", place_of(clause.module, node), name)
            fates.append(self.follow(outer, raised, clause.module, node))
        return _pick_worst(fates or [Fate("ends", place)])

    def _drop_steering(self, clause: Handler, fate: Fate) -> Fate:
        """What a clause has the library do by an exception of the library's own, unless something
        drops that one as well. A job that a call has enqueued once more is there, whatever follows.
        """
        if fate.answer != "again":
            return fate
        answers = set[Answer | None]()
        for node in _list_raises(clause):
            is_meant = node.lineno <= fate.place.line <= (node.end_lineno or node.lineno)
            if is_meant or fate.place.line == clause.line:
                name = name_raised(self.job, clause, node) or ""
                answers.add(self._drop(clause.module, node, name))
        if answers == {"ends"}:
            return Fate("ends", fate.place)
        if answers - {None}:
            return Fate("unsure", fate.place)
        return fate


def _find_try(clause: Handler) -> ast.AST | None:
    return clause.module.above(clause.node, ast.Try, ast.TryStar)


def _pick_worst(fates: Sequence[Fate]) -> Fate:
    return min(fates, key=lambda fate: _WORST_FIRST.index(fate.answer))


def _is_uncertain(clause: Handler, node: ast.Raise) -> bool:
    """Whether something else than the number of the attempt decides that a `raise` is reached,
    or a `try` within the clause may take what it raises.
    """
    below: ast.AST = node
    for above in clause.module.parents(node):
        if above is clause.node:
            break
        if isinstance(above, ast.Try | ast.TryStar) and above.handlers and below in above.body:
            return True
        below = above
    return is_decided(clause, clause.module, node)


def _read_left(job: Job, call: Call, error: str, left: Fate, rerunning: Rerunning) -> Fate:
    """What the library makes of an error that has left the handler as another, or as it was."""
    answer = rerunning.read_left(job, left.raised)
    # What tries again within the run may raise something of its own in the end.
    is_hidden = tries_itself(job.project, call) or _may_be_suppressed(call)
    if is_hidden and answer == "again":
        answer = "unsure"
    place = rerunning.find_place(job) or left.place
    other = ""
    if left.raised != error:
        other = left.raised
    return Fate(answer, place, other, is_left=True)


def _may_be_suppressed(call: Call) -> bool:
    """Whether a function on the way to the call's own has `with contextlib.suppress(...)` around
    it. What stands in the call's own function is read with its clauses.
    """
    own = len(list(list_suppressing(call)))
    return call.in_with.count("contextlib.suppress") > own


def _takes_error(job: Job, clause: Handler, error: str) -> bool | None:
    """Whether a clause takes an error; None where base classes of an installed package decide that
    are not read, as of `stripe.CardError` in `except stripe.StripeError`.
    """
    if takes_any(clause, ancestors(job.project, error)):
        return True
    package = error.partition(".")[0]
    is_outside = package != "builtins" and job.project.definition(error) is None
    if is_outside and not has_known_bases(error):
        for name in clause.exceptions:
            if name.partition(".")[0] == package:
                return None
    return False


def _list_raises(clause: Handler) -> Iterator[ast.Raise]:
    """The `raise` statements of a clause itself, not of functions that are defined in it."""
    own = clause.module.function_of(clause.node)
    for node in find_nodes(clause.node, ast.Raise):
        if clause.module.function_of(node) is own:
            yield node


def name_raised(job: Job, clause: Handler, node: ast.Raise) -> str | None:
    """The class that a `raise` of a clause raises instead, "" for the caught one; None where
    it cannot be told.
    """
    error = node.exc
    # `raise`, and `raise error` in `except ... as error`
    is_caught_one = isinstance(error, ast.Name) and error.id == clause.name
    if error is None or is_caught_one:
        return ""
    if isinstance(error, ast.Call):
        error = error.func
    return job.project.origin_of(clause.module, error) or None


def is_decided(
    clause: Handler, module: Module, node: ast.AST, counters: Collection[str] = ()
) -> bool:
    """Whether something else than the number of the attempt decides that a node is reached from a
    clause that stands there, or calls the function where it stands. `counters`: variables that
    hold that number, whatever their names.
    """
    inside = set(ast.walk(clause.node))
    tests: list[ast.expr] = []
    for test, _ in tests_before(module, node):
        # What stands before the whole `try` decides nothing about the error.
        if node not in inside or test in inside:
            tests.append(test)
    below = node
    for above in module.parents(node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            break
        earlier, _ = divide_block(above, below)
        for statement in earlier:
            tests += _list_leaving_tests(module, statement)
        if above is clause.node:
            break
        # Which case, or which error of what the clause itself does.
        if isinstance(above, ast.Match | ast.ExceptHandler):
            return True
        if isinstance(above, ast.IfExp):
            tests.append(above.test)
        # The `else` of a loop comes where nothing has left the loop.
        if isinstance(above, ast.For | ast.AsyncFor | ast.While) and below in above.orelse:
            tests += _list_leaving_tests(module, above, (ast.Break,))
        below = above
    if node not in inside:
        tests += [branch.test for branch in find_nodes(clause.node, ast.If)]
    return not all(_asks_count(clause, module, test, counters) for test in tests)


def _list_leaving_tests(
    module: Module,
    statement: ast.AST,
    kinds: tuple[type[ast.AST], ...] = (ast.Return, ast.Raise, ast.Break, ast.Continue),
) -> Iterator[ast.expr]:
    """What decides, within a statement, that it leaves the block where it stands: the tests of
    `if`, the subjects of `match`, the classes of `except`.
    """
    inside = set(ast.walk(statement))
    for node in ast.walk(statement):
        is_own = module.function_of(node) is module.function_of(statement)
        if not isinstance(node, kinds) or not is_own:
            continue
        for above in module.parents(node):
            if above not in inside:
                break
            if isinstance(above, ast.If | ast.While):
                yield above.test
            elif isinstance(above, ast.Match):
                yield above.subject
            elif isinstance(above, ast.ExceptHandler) and above.type is not None:
                yield above.type


def _asks_count(clause: Handler, module: Module, test: ast.expr, counters: Collection[str]) -> bool:
    """Whether a test asks for the number of the attempt alone: `should_retry(error)` does not,
    nor a variable that was made of the error.
    """
    if isinstance(test, ast.BoolOp):
        return all(_asks_count(clause, module, value, counters) for value in test.values)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _asks_count(clause, module, test.operand, counters)
    direct = _list_values(module, test)
    traced = [test, *direct]
    for value in traced:
        traced += [one for one in _list_values(module, value) if one not in traced]
    names = {name.id for value in traced for name in find_nodes(value, ast.Name)}
    if clause.name in names:
        return False
    # `is_last = job.attempts >= 5`, then `if is_last:`.
    for value in (test, *direct):
        held = {name.id for name in find_nodes(value, ast.Name)}
        if _COUNT.search(ast.unparse(value)) or not held.isdisjoint(counters):
            return True
    return False


def _list_values(module: Module, node: ast.expr) -> list[ast.expr]:
    """What the variables in an expression were made of, in its function."""
    function = module.function_of(node)
    bindings = module.bindings(function) if function is not None else {}
    values: list[ast.expr] = []
    for name in find_nodes(node, ast.Name):
        for binding in bindings.get(name.id, ()):
            value = binding.value or getattr(binding.node, "iter", None)
            value = value or getattr(binding.node, "value", None)
            if isinstance(value, ast.expr):
                values.append(value)
    return values
