"""Statements, while a function is gone through."""

from __future__ import annotations

import ast
from functools import partial

from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.answers.expressions import Expressions
from skillrun.wall.answers.values import Class, Failure, Function, Opaque
from skillrun.wall.answers.walking import (
    Frame,
    LoopAgain,
    LoopLeft,
    NoEnd,
    Raised,
    Returned,
)

# Of a loop over what nobody knows one round is gone, of any other at most so many.
_MOST_ROUNDS = 6
_MANAGERS = frozenset(("contextmanager", "asynccontextmanager"))
_UNKNOWN_ERROR = ("Exception", "BaseException")


class Statements(Expressions):
    """Runs blocks for one way."""

    def run_function(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> object:
        raise NotImplementedError

    def open_frame(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> Frame:
        raise NotImplementedError

    def run_block(self, frame: Frame, block: list[ast.stmt]) -> None:
        """All statements, until one leaves."""
        for node in block:
            self.walk.count_step()
            method = getattr(self, f"_run_{type(node).__name__}", None)
            if method is not None:
                method(frame, node)

    # -- simple ones

    def _run_Expr(self, frame: Frame, node: ast.Expr) -> None:
        self.evaluate(frame, node.value)

    def _run_Assign(self, frame: Frame, node: ast.Assign) -> None:
        value = self.evaluate(frame, node.value)
        for target in node.targets:
            self.bind_target(frame, target, value)

    def _run_AnnAssign(self, frame: Frame, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind_target(frame, node.target, self.evaluate(frame, node.value))

    def _run_AugAssign(self, frame: Frame, node: ast.AugAssign) -> None:
        sum_of = ast.BinOp(left=_read_target(node.target), op=node.op, right=node.value)
        value = self.evaluate(frame, ast.copy_location(sum_of, node))
        self.bind_target(frame, node.target, value)

    def _run_FunctionDef(self, frame: Frame, node: FunctionNode) -> None:
        definition = self.walk.code.reach.project.define(frame.module, node)
        frame.names[node.name] = Function(definition)

    _run_AsyncFunctionDef = _run_FunctionDef

    def bind_target(self, frame: Frame, target: ast.expr, value: object) -> None:
        """`target = value`."""
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, ast.Attribute):
            frame.names[ast.unparse(target)] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for number, one in enumerate(target.elts):
                self.bind_target(frame, one, _take_part(value, number))

    # -- the ways out

    def _run_Return(self, frame: Frame, node: ast.Return) -> None:
        self.walk.trail.append((frame.module.path, node.lineno))
        raise Returned(self.evaluate(frame, node.value))

    def _run_Raise(self, frame: Frame, node: ast.Raise) -> None:
        self.walk.trail.append((frame.module.path, node.lineno))
        raise Raised(self._read_failure(frame, node.exc))

    def _read_failure(self, frame: Frame, node: ast.expr | None) -> Failure:
        if node is None:
            return frame.caught or Failure(_UNKNOWN_ERROR)
        value = self.evaluate(frame, node)
        if isinstance(value, Failure):
            return value
        if isinstance(value, Class):
            return Failure(value.kinds)
        # What is made by a call and raised is an error, whatever its class is called.
        inner = node.func if isinstance(node, ast.Call) else node
        return Failure((last_word(inner), *_UNKNOWN_ERROR))

    def _run_Assert(self, frame: Frame, node: ast.Assert) -> None:
        if not self.test_condition(frame, node.test):
            raise Raised(Failure(("AssertionError", *_UNKNOWN_ERROR)))

    def _run_Break(self, frame: Frame, node: ast.Break) -> None:
        raise LoopLeft

    def _run_Continue(self, frame: Frame, node: ast.Continue) -> None:
        raise LoopAgain

    # -- forks and loops

    def _run_If(self, frame: Frame, node: ast.If) -> None:
        if self.test_condition(frame, node.test):
            self.run_block(frame, node.body)
        else:
            self.run_block(frame, node.orelse)

    def _run_While(self, frame: Frame, node: ast.While) -> None:
        for _ in range(_MOST_ROUNDS):
            if not self.test_condition(frame, node.test):
                self.run_block(frame, node.orelse)
                return
            if not self._run_round(frame, node.body):
                return
        raise NoEnd

    def _run_For(self, frame: Frame, node: ast.For | ast.AsyncFor) -> None:
        several = self.evaluate(frame, node.iter)
        rounds: list[object] = [Opaque(ast.unparse(node.target))]
        if isinstance(several, range | tuple | list):
            rounds = list(several)
        for one in rounds[:_MOST_ROUNDS]:
            self.bind_target(frame, node.target, one)
            if not self._run_round(frame, node.body):
                return
        self.run_block(frame, node.orelse)

    _run_AsyncFor = _run_For

    def _run_round(self, frame: Frame, body: list[ast.stmt]) -> bool:
        """Whether the loop goes on."""
        try:
            self.run_block(frame, body)
        except LoopAgain:
            return True
        except LoopLeft:
            return False
        return True

    # -- errors

    def _run_Try(self, frame: Frame, node: ast.Try) -> None:
        try:
            self._run_guarded(frame, node)
        finally:
            # Whatever leaves it, also an error: what leaves here takes its place.
            self.run_block(frame, node.finalbody)

    def _run_guarded(self, frame: Frame, node: ast.Try) -> None:
        try:
            self.run_block(frame, node.body)
        except Raised as raised:
            for handler in node.handlers:
                if self._catches(frame, handler, raised.failure):
                    self._run_handler(frame, handler, raised.failure)
                    return
            raise
        self.run_block(frame, node.orelse)

    def _catches(self, frame: Frame, handler: ast.ExceptHandler, failure: Failure) -> bool:
        if handler.type is None:
            return True
        return self.is_caught(failure, self.evaluate(frame, handler.type))

    def is_caught(self, failure: Failure, kinds: object) -> bool:
        """Whether a clause of these classes takes an error."""
        if isinstance(kinds, tuple | list):
            return any(map(partial(self.is_caught, failure), kinds))
        if isinstance(kinds, Class):
            return kinds.kinds[0] in failure.kinds
        return isinstance(kinds, Opaque) and kinds.text.rpartition(".")[2] in failure.kinds

    def _run_handler(self, frame: Frame, node: ast.ExceptHandler, failure: Failure) -> None:
        self.walk.trail.append((frame.module.path, node.lineno))
        before = frame.caught
        frame.caught = failure
        if node.name:
            frame.names[node.name] = failure
        self.run_block(frame, node.body)
        frame.caught = before

    # -- with

    def _run_With(self, frame: Frame, node: ast.With | ast.AsyncWith) -> None:
        self._enter_managers(frame, list(node.items), node.body)

    _run_AsyncWith = _run_With

    def _enter_managers(
        self, frame: Frame, items: list[ast.withitem], body: list[ast.stmt]
    ) -> None:
        if not items:
            self.run_block(frame, body)
            return
        item, rest = items[0], items[1:]
        manager = self._find_manager(frame, item.context_expr)
        if manager is not None:
            manager.run_block = lambda: self._enter_managers(frame, rest, body)
            self.run_block(manager, manager.body)
            return
        value = self.evaluate(frame, item.context_expr)
        if item.optional_vars is not None:
            self.bind_target(frame, item.optional_vars, value)
        try:
            self._enter_managers(frame, rest, body)
        except Raised as raised:
            if not self._is_suppressed(frame, item.context_expr, raised.failure):
                raise

    def _find_manager(self, frame: Frame, node: ast.expr) -> _Manager | None:
        """A function of the repository that is a context manager: its `yield` is the block."""
        if not isinstance(node, ast.Call):
            return None
        function = self.evaluate(frame, node.func)
        if not isinstance(function, Function):
            return None
        definition = function.definition
        assert isinstance(definition.node, FunctionNode)
        decorators = map(last_word, definition.decorators)
        if not _MANAGERS.intersection(decorators):
            return None
        values = [self.evaluate(frame, one) for one in node.args]
        inner = self.open_frame(frame, function, values, {})
        return _Manager(inner.module, inner.names, inner.depth, body=definition.node.body)

    def _is_suppressed(self, frame: Frame, node: ast.expr, failure: Failure) -> bool:
        if not isinstance(node, ast.Call) or last_word(node.func) != "suppress":
            return False
        kinds = [self.evaluate(frame, one) for one in node.args]
        return self.is_caught(failure, kinds)

    # -- match

    def _run_Match(self, frame: Frame, node: ast.Match) -> None:
        subject = self.evaluate(frame, node.subject)
        for case in node.cases:
            self.walk.trail.append((frame.module.path, case.pattern.lineno))
            if not self._fits_pattern(frame, subject, case.pattern):
                continue
            if case.guard is None or self.test_condition(frame, case.guard):
                self.run_block(frame, case.body)
                return

    def _fits_pattern(self, frame: Frame, subject: object, pattern: ast.pattern) -> bool:
        if isinstance(pattern, ast.MatchOr):
            return any(map(partial(self._fits_pattern, frame, subject), pattern.patterns))
        if isinstance(pattern, ast.MatchAs):
            is_fit = pattern.pattern is None or self._fits_pattern(frame, subject, pattern.pattern)
            if is_fit and pattern.name:
                frame.names[pattern.name] = subject
            return is_fit
        if isinstance(pattern, ast.MatchValue):
            return self.decide_truth(self.is_same(subject, self.evaluate(frame, pattern.value)))
        if isinstance(pattern, ast.MatchSingleton):
            return self.decide_truth(self.is_same(subject, pattern.value))
        if isinstance(pattern, ast.MatchClass) and isinstance(subject, Failure):
            return self.is_caught(subject, self.evaluate(frame, pattern.cls))
        return self.decide_truth(Opaque(f"{type(pattern).__name__} {ast.unparse(pattern)}"))


class _Manager(Frame):
    """The frame of a context manager, with what it does."""

    def __init__(self, *args: object, body: list[ast.stmt]) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.body = body


def _read_target(target: ast.expr) -> ast.expr:
    """The same expression, read."""
    read = ast.parse(ast.unparse(target), mode="eval").body
    return ast.copy_location(read, target)


def _take_part(value: object, number: int) -> object:
    if isinstance(value, tuple | list) and number < len(value):
        return value[number]
    text = value.text if isinstance(value, Opaque) else "value"
    return Opaque(f"{text}[{number}]")
