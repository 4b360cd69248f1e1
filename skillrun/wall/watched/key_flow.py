"""What becomes of the idempotency key in the code behind an effect, as far as its text tells.

A proof stands in for that code, so it sees the key that the handler gives, and not the one that the
provider gets.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.repo.syntax import find_names
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach

# Two keys may become one by these.
_LOSSY_METHODS = {
    *("split", "rsplit", "partition", "rpartition", "splitlines", "strip", "lstrip", "rstrip"),
    *("removeprefix", "removesuffix", "lower", "upper", "casefold", "swapcase", "title"),
    *("capitalize", "replace", "translate", "pop", "count", "find", "index", "truncate"),
}
_LOSSY_CALLS = {
    *("hash", "len", "int", "ord", "min", "max", "set", "sorted", "any", "all", "bool", "id"),
    *("crc32", "adler32", "sub", "subn", "match", "search", "fullmatch", "shorten", "slugify"),
    *("islice", "next", "type"),
}
# Another value at the next attempt, so that a key with it is another key.
_VARYING = {
    *("now", "today", "utcnow", "time", "time_ns", "monotonic", "perf_counter", "uuid1", "uuid4"),
    *("random", "randint", "randrange", "token_hex", "token_urlsafe", "getpid", "gethostname"),
    *("urandom", "choice", "uniform", "strftime", "isoformat", "timestamp"),
}
_COUNTING = re.compile(r"attempt|retr(y|ies)|tries|delivery_count", re.IGNORECASE)
_LOSSY_OPERATORS = (ast.Mod, ast.FloorDiv, ast.BitAnd, ast.RShift, ast.Sub, ast.BitXor)
_ASKS = (ast.Compare, ast.Raise, ast.Assert)
_LOGS = ("log", "logger", "logging", "warnings", "print")


@dataclass(frozen=True)
class Loss:
    """A place where the key becomes less than it was."""

    kind: str
    path: str
    line: int


@dataclass
class KeyFlow:
    """Follows a key from the parameter of an adapter through what the adapter reaches."""

    reach: Reach
    losses: list[Loss] = field(default_factory=list)
    uses: int = 0  # places where it, or a part of it, leaves the repository's code
    users: set[ast.AST] = field(default_factory=set)  # functions in which it is handed on
    # Attributes, and texts under which something is kept, that hold the key.
    _kept: set[str] = field(default_factory=set)
    _seen: set[tuple[ast.AST, frozenset[str]]] = field(default_factory=set)

    def follow(self, adapter: Definition, parameter: str) -> None:
        """Reads the adapter, and all that it hands the key to."""
        self._kept.add(parameter)
        if isinstance(adapter.node, FunctionNode):
            self._read_function(adapter, frozenset([parameter]))
        for definition in self.reach.functions.values():
            # A decorator's wrapper has it, too.
            if _takes_parameter(definition.node, parameter):
                self._read_function(definition, frozenset([parameter]))
        for definition in self.reach.functions.values():
            # What is kept in an object or a dictionary is taken out elsewhere.
            if self._kept and not any(seen[0] is definition.node for seen in self._seen):
                self._read_function(definition, frozenset())

    def count_losses(self) -> Counter[str]:
        """Kind -> how often."""
        return Counter(loss.kind for loss in self.losses)

    def _read_function(self, function: Definition, carrying: frozenset[str]) -> None:
        if (function.node, carrying) in self._seen:
            return
        self._seen.add((function.node, carrying))
        names = self._spread_names(function, set(carrying))
        for node in ast.walk(function.node):
            if self._carries_key(node, names):
                self._judge_place(function, node, names)
        self._find_replaced(function, set(carrying), names)

    def _spread_names(self, function: Definition, names: set[str]) -> set[str]:
        """With the names that get a value with the key in it."""
        before = -1
        while before != len(names) + len(self._kept):
            before = len(names) + len(self._kept)
            for node in ast.walk(function.node):
                if isinstance(node, ast.Assign) and self._holds_key(node.value, names):
                    for target in node.targets:
                        self._note_target(target, names)
                elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                    if self._holds_key(node.value, names):
                        self._note_target(node.target, names)
                elif isinstance(node, ast.Dict):
                    self._note_entries(node, names)
        return names

    def _note_target(self, target: ast.expr, names: set[str]) -> None:
        if isinstance(target, ast.Name):
            names.add(target.id)
        elif isinstance(target, ast.Attribute):
            self._kept.add(target.attr)
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            self._kept.add(str(target.slice.value))

    def _note_entries(self, node: ast.Dict, names: set[str]) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            is_plain = isinstance(key, ast.Constant)
            if is_plain and isinstance(value, ast.Name) and value.id in names:
                assert isinstance(key, ast.Constant)
                self._kept.add(str(key.value))

    def _holds_key(self, value: ast.expr, names: set[str]) -> bool:
        """Whether a value is the key, or made from it alone."""
        if isinstance(value, ast.JoinedStr):
            return any(self._carries_key(inner, names) for inner in ast.walk(value))
        if isinstance(value, ast.Subscript) and self._carries_key(value, names):
            return True
        parts = _list_makers(value)
        if parts is None:
            return self._carries_key(value, names)
        return any(self._holds_key(part, names) for part in parts)

    def _carries_key(self, node: ast.AST, names: set[str]) -> bool:
        if isinstance(node, ast.Name):
            return isinstance(node.ctx, ast.Load) and node.id in names
        if isinstance(node, ast.Attribute):
            return isinstance(node.ctx, ast.Load) and node.attr in self._kept
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return isinstance(node.ctx, ast.Load) and str(node.slice.value) in self._kept
        return False

    # -- one place

    def _judge_place(self, function: Definition, node: ast.AST, names: set[str]) -> None:
        module = function.module
        below = node
        losses = []
        is_followed = False
        for above in module.parents(node):
            # Who asks about the key, or logs it, hands nothing on.
            is_asked = isinstance(above, _ASKS) or _is_test_of(above, below)
            if is_asked or (isinstance(above, ast.Call) and _is_log(above)):
                return
            kind = _name_loss(above, below, names) or self._name_condition(module, above, names)
            if kind is not None:
                line = getattr(above, "lineno", getattr(node, "lineno", 1))
                losses.append(Loss(kind, function.path, line))
            if isinstance(above, ast.Call) and below is not above.func:
                is_followed = self._hand_on(module, above, below) or is_followed
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                break
            # Of the statements around only their conditions count.
            below = above
        self.losses += losses
        self.users.add(function.node)
        # What it is used for is said by who gets it.
        if not is_followed:
            self.uses += 1

    def _asks(self, test: ast.expr, names: set[str]) -> bool:
        return any(self._carries_key(node, names) for node in ast.walk(test))

    def _name_condition(self, module: Module, above: ast.AST, names: set[str]) -> str | None:
        """A condition that decides whether the key is put in, and not whether something is sent."""
        if not isinstance(above, ast.If) or above.orelse:
            return None
        asked = self._asks(above.test, names)
        is_sent = Outgoing(self.reach).count_block(above.body, module) > 0
        ends = isinstance(above.body[-1], ast.Return | ast.Raise)
        if asked or is_sent or ends:
            return None
        return "is sometimes left out"

    def _hand_on(self, module: Module, call: ast.Call, argument: ast.AST) -> bool:
        """Follows the parameter of the repository's function that an argument becomes."""
        definition = self.reach.definition(module, call.func)
        if definition is None or not isinstance(definition.node, FunctionNode):
            is_made = last_word(call.func)[:1].isupper()
            if is_made and isinstance(argument, ast.keyword) and argument.arg:
                self._kept.add(argument.arg)
            return False
        name = _name_parameter(definition.node.args, call, argument)
        if name is None:
            return False
        self._read_function(definition, frozenset([name]))
        return True

    def _find_replaced(self, function: Definition, given: set[str], names: set[str]) -> None:
        """Another value takes the name of the key."""
        for node in ast.walk(function.node):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                is_own = isinstance(target, ast.Name) and target.id in given
                if is_own and not self._holds_key(node.value, names):
                    self.losses.append(Loss("is replaced", function.path, node.lineno))


def _takes_parameter(function: ast.AST, parameter: str) -> bool:
    """Whether a function, or one inside of it, has such a parameter."""
    return any(isinstance(node, ast.arg) and node.arg == parameter for node in ast.walk(function))


def _name_loss(above: ast.AST, below: ast.AST, names: set[str]) -> str | None:
    """How a piece of code makes less of what is below it."""
    if _is_cut(above, below):
        return "is cut"
    if isinstance(above, ast.Attribute) and above.attr in _LOSSY_METHODS:
        return f"goes through {above.attr}()"
    if isinstance(above, ast.Call) and below is not above.func:
        word = last_word(above.func)
        return f"goes through {word}()" if word in _LOSSY_CALLS else None
    if isinstance(above, ast.IfExp) and below is not above.test:
        return "is sometimes left out" if find_names(above.test).isdisjoint(names) else None
    if isinstance(above, ast.BinOp) and isinstance(above.op, _LOSSY_OPERATORS):
        return None
    if isinstance(above, ast.JoinedStr | ast.BinOp):
        return _name_varying(above)
    return None


def _is_cut(above: ast.AST, below: ast.AST) -> bool:
    """Only a part of it goes on: an element, a rest, so many letters, what some filter lets by."""
    if isinstance(above, ast.Subscript):
        return below is above.value
    if isinstance(above, ast.BinOp) and isinstance(above.op, _LOSSY_OPERATORS):
        # "%s" % key is a text with the key in it.
        return not (isinstance(above.op, ast.Mod) and below is above.right)
    if isinstance(above, ast.FormattedValue):
        return "." in _format_of(above)
    return isinstance(above, ast.comprehension | ast.GeneratorExp | ast.ListComp)


def _name_varying(joined: ast.AST) -> str | None:
    """A part beside the key that is another one the next time."""
    for node in ast.walk(joined):
        word = last_word(node) if isinstance(node, ast.Name | ast.Attribute) else ""
        if word and (word in _VARYING or _COUNTING.search(word)):
            return f"is joined with {word}"
    return None


def _format_of(value: ast.FormattedValue) -> str:
    """`.12` in a format takes the first twelve characters."""
    if value.format_spec is None:
        return ""
    return ast.unparse(value.format_spec)


_MADE_OF = {
    ast.Subscript: ("value",),
    ast.BinOp: ("left", "right"),
    ast.IfExp: ("body", "orelse"),
}
"""Expression -> those of its parts from which its value is made."""


def _list_makers(value: ast.expr) -> list[ast.expr] | None:
    """What a value is made from; None where it is made from nothing else."""
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Attribute):
            return [value.func.value, *value.args[:1]]
        return value.args[:1] or None
    if isinstance(value, ast.BoolOp):
        return value.values
    return [getattr(value, name) for name in _MADE_OF.get(type(value), ())] or None


def _name_parameter(arguments: ast.arguments, call: ast.Call, argument: ast.AST) -> str | None:
    """The parameter of a function that an argument of a call becomes."""
    if isinstance(argument, ast.keyword):
        return argument.arg
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    position = call.args.index(argument) if argument in call.args else len(names)
    return names[position] if position < len(names) else None


def _is_test_of(above: ast.AST, below: ast.AST) -> bool:
    return isinstance(above, ast.If | ast.While | ast.IfExp) and below is above.test


def _is_log(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return (last_word(owner) or "") in _LOGS


def iterate_losses(new: KeyFlow, old: KeyFlow) -> Iterator[Loss]:
    """What the new code makes of the key that the old did not."""
    known = old.count_losses()
    for loss in new.losses:
        if known[loss.kind] > 0:
            known[loss.kind] -= 1
            continue
        yield loss
