"""Conditions that single out some values of a job's key, in the code that a handler reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.watched.effects import Effects
from skillrun.wall.watched.reach import Reach

# They make a few classes of all keys. A difference or a product has as many values as there are
# keys.
_SORTING = (ast.Mod, ast.FloorDiv, ast.Div, ast.BitAnd, ast.RShift)
_SORTING_CALLS = {
    *("hash", "len", "ord", "divmod", "crc32", "adler32", "sha1", "sha256", "md5", "blake2b"),
    *("startswith", "endswith", "isdigit", "match", "search", "fullmatch", "bit_count"),
}
_MAKING_CALLS = ("str", "int", "abs", "float", "repr", "format", "round", "bytes", "UUID")
_ASKING_CALLS = ("startswith", "endswith", "isdigit", "match", "search", "fullmatch")
# Below these no order has a number: whoever compares with them asks whether it is one at all.
_LEAST = (0, 1)


@dataclass(frozen=True)
class KeyTest:
    """A condition by which some keys are treated another way, and what it decides about."""

    path: str
    line: int
    function: str
    text: str
    about: str
    is_word: bool  # compared with a text, which may be a kind of job and no single one

    @property
    def identity(self) -> tuple[str, str]:
        """The same on both sides, wherever it stands."""
        return self.function, self.text


@dataclass
class KeyTests:
    """`fields`: the last words of the key's fields, as parameters and columns are named after
    them.
    """

    reach: Reach
    effects: Effects
    fields: frozenset[str]
    _names: dict[ast.AST, set[str]] = field(default_factory=dict)

    def find(self) -> list[KeyTest]:
        """All of one side, by path and line."""
        self._spread_over_calls()
        found: list[KeyTest] = []
        for node, definition in self.reach.functions.items():
            if isinstance(node, FunctionNode):
                name = definition.module.qualname(node)
                found += self._find_in(definition.module, node, name)
        return sorted(found, key=lambda test: (test.path, test.line, test.text))

    # -- which names hold a key

    def _spread_over_calls(self) -> None:
        """A key keeps its meaning where a function calls its parameter something else."""
        for node in self.reach.functions:
            self._names[node] = set(self.fields)
        before = -1
        while before != self._count_names():
            before = self._count_names()
            for node in self.reach.functions:
                self._spread_over_settings(node)
            for callee, sites in self.reach.calls.items():
                for module, call in sites:
                    self._name_parameters(callee, module, call)

    def _count_names(self) -> int:
        return sum(map(len, self._names.values()))

    def _spread_over_settings(self, function: ast.AST) -> None:
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and self._is_of_key(node.value, function):
                self._add_targets(node, self._names[function])
            elif isinstance(node, ast.NamedExpr) and self._is_of_key(node.value, function):
                self._names[function].add(node.target.id)

    def _add_targets(self, node: ast.Assign, names: set[str]) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                names.add(target.id)

    def _is_of_key(self, value: ast.expr, function: ast.AST) -> bool:
        """Whether a value is made of the key by text or arithmetic. What a query or another
        function answers is a fact of that job, and no property of its number.
        """
        if isinstance(value, ast.Call):
            if last_word(value.func) not in (*_SORTING_CALLS, *_MAKING_CALLS):
                is_method = isinstance(value.func, ast.Attribute)
                return is_method and last_word(value.func) in ("hexdigest", "digest", "encode")
            return self._has_key_in(value, function)
        if isinstance(value, ast.BinOp | ast.Compare | ast.Subscript | ast.BoolOp | ast.UnaryOp):
            return self._has_key_in(value, function)
        return self._holds_key(value, function)

    def _has_key_in(self, node: ast.AST, function: ast.AST) -> bool:
        waiting = [node]
        while waiting:
            part = waiting.pop()
            if self._holds_key(part, function):
                return True
            if isinstance(part, ast.Call):
                waiting += _list_made_of(part)
            else:
                waiting += ast.iter_child_nodes(part)
        return False

    def _holds_key(self, node: ast.AST, function: ast.AST) -> bool:
        names = self._names.get(function, self.fields)
        if isinstance(node, ast.Name):
            return node.id in names
        if isinstance(node, ast.Attribute):
            return node.attr in self.fields
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return node.slice.value in self.fields
        return False

    def _name_parameters(self, callee: ast.AST, module: Module, call: ast.Call) -> None:
        caller = module.function_of(call)
        if caller is None or not isinstance(callee, FunctionNode):
            return
        names = self._names.setdefault(callee, set(self.fields))
        parameters = callee.args.args
        if parameters and parameters[0].arg in ("self", "cls"):
            parameters = parameters[1:]
        for parameter, value in zip(parameters, call.args, strict=False):
            if self._holds_key(value, caller):
                names.add(parameter.arg)
        for word in call.keywords:
            if word.arg is not None and self._holds_key(word.value, caller):
                names.add(word.arg)

    # -- which conditions single some out

    def _find_in(self, module: Module, function: ast.AST, name: str) -> Iterator[KeyTest]:
        for node in ast.walk(function):
            for test, region in _list_regions(node):
                is_word = self._singles_out(test, function)
                if is_word is None:
                    continue
                about = self.effects.find_decided(module, region)
                if about is not None:
                    text = ast.unparse(test)
                    yield KeyTest(module.path, test.lineno, name, text, about, is_word)

    def _singles_out(self, test: ast.expr, function: ast.AST) -> bool | None:
        """None: it does not; True: by a text alone."""
        classes = self._list_classes(function)
        answers = []
        for node in ast.walk(test):
            if isinstance(node, ast.Compare):
                answers.append(self._read_comparison(node, function))
            is_class = isinstance(node, ast.Name) and node.id in classes
            if is_class or self._sorts_keys(node, function, is_asked=node is test):
                answers.append(False)
        if False in answers:
            return False
        return True if True in answers else None

    def _read_comparison(self, node: ast.Compare, function: ast.AST) -> bool | None:
        values: list[object] = []
        has_key = False
        for side in (node.left, *node.comparators):
            if self._is_of_key(side, function):
                has_key = True
            else:
                values += _list_constants(side)
        if not has_key:
            return None
        for value in values:
            if isinstance(value, str) and value:
                return True
            if _is_number(value) and value not in _LEAST:
                return False
        return None

    def _sorts_keys(self, node: ast.AST, function: ast.AST, *, is_asked: bool) -> bool:
        """`if order_id % 7`, `if order_id.endswith("9")`."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, _SORTING):
            return self._has_key_in(node.left, function)
        if not isinstance(node, ast.Call) or last_word(node.func) not in _SORTING_CALLS:
            return False
        # A length or a digest is a condition only where it is compared or divided.
        if last_word(node.func) not in _ASKING_CALLS and not is_asked:
            return False
        return self._has_key_in(node, function)

    def _list_classes(self, function: ast.AST) -> set[str]:
        """The local names that hold a class of keys: `bucket = order_id % 7`."""
        found: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and self._is_class(node.value, function):
                self._add_targets(node, found)
        return found

    def _is_class(self, value: ast.expr, function: ast.AST) -> bool:
        if isinstance(value, ast.Compare):
            return self._read_comparison(value, function) is False
        return any(self._sorts_keys(part, function, is_asked=False) for part in ast.walk(value))


def _list_made_of(call: ast.Call) -> list[ast.expr]:
    """What the answer of a call is a text or number of; of another function's answer, nothing."""
    made_of = []
    if last_word(call.func) in (*_SORTING_CALLS, *_MAKING_CALLS):
        made_of += call.args
    if isinstance(call.func, ast.Attribute):
        made_of.append(call.func.value)
    return made_of


def _list_regions(node: ast.AST) -> Iterator[tuple[ast.expr, list[ast.AST]]]:
    """(condition, what it decides about) of a node."""
    if isinstance(node, ast.If | ast.While):
        yield node.test, [*node.body, *node.orelse]
    elif isinstance(node, ast.IfExp):
        yield node.test, [node.body, node.orelse]
    elif isinstance(node, ast.BoolOp):
        for at, value in enumerate(node.values[:-1]):
            yield value, list(node.values[at + 1 :])
    elif isinstance(node, ast.Match):
        yield _read_match(node), [statement for case in node.cases for statement in case.body]


def _read_match(node: ast.Match) -> ast.expr:
    """`subject in (VALUES)`, whichever case has them: those that are left have the others."""
    values = []
    for case in node.cases:
        for part in ast.walk(case.pattern):
            if isinstance(part, ast.MatchValue):
                values.append(part.value)
    compared = ast.Compare(node.subject, [ast.In()], [ast.Tuple(values, ast.Load())])
    return ast.copy_location(compared, node.subject)


def _list_constants(node: ast.expr) -> list[object]:
    """The values that are written out in a side of a comparison."""
    if isinstance(node, ast.Call) and last_word(node.func) not in ("range", "set", "frozenset"):
        return []
    if isinstance(node, ast.Subscript | ast.Attribute):
        return []
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
