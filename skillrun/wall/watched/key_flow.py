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
# These give another value at the next attempt, so that a key with it is another key.
_VARYING_CALLS = {
    *("now", "today", "utcnow", "time", "time_ns", "monotonic", "perf_counter", "uuid1", "uuid4"),
    *("random", "randint", "randrange", "token_hex", "token_urlsafe", "getpid", "gethostname"),
    *("urandom", "choice", "uniform", "strftime", "isoformat", "timestamp"),
}
_COUNTER_NAME = re.compile(r"attempt|retr(y|ies)|tries|delivery_count", re.IGNORECASE)
_LOSSY_OPERATORS = (ast.Mod, ast.FloorDiv, ast.BitAnd, ast.RShift, ast.Sub, ast.BitXor)
_ASKING_NODES = (ast.Compare, ast.Raise, ast.Assert)
_LOGGER_NAMES = ("log", "logger", "logging", "warnings", "print")


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
        """Reads the adapter, and all that it hands the key to; adds to `losses`, `uses` and `users`
        what it finds.
        """
        self._kept.add(parameter)
        if isinstance(adapter.node, FunctionNode):
            self._read_function(adapter, frozenset([parameter]))
        for definition in self.reach.functions.values():
            # A decorator's wrapper has it, too.
            if _has_parameter(definition.node, parameter):
                self._read_function(definition, frozenset([parameter]))
        for definition in self.reach.functions.values():
            # What is kept in an object or a dictionary is taken out elsewhere.
            if self._kept and not self._has_read(definition):
                self._read_function(definition, frozenset())

    def _has_read(self, function: Definition) -> bool:
        """Whether a function was read already, for whichever parameters."""
        return any(node is function.node for node, _ in self._seen)

    def count_losses(self) -> Counter[str]:
        """How many losses there are of each kind."""
        return Counter(loss.kind for loss in self.losses)

    def _read_function(self, function: Definition, carrying: frozenset[str]) -> None:
        """Reads what a function does with the key, which it gets by these parameters. Each pair of
        the two is read once.
        """
        if (function.node, carrying) in self._seen:
            return
        self._seen.add((function.node, carrying))
        names = self._spread_names(function, set(carrying))
        for node in ast.walk(function.node):
            if self._carries_key(node, names):
                self._judge_place(function, node, names)
        self._find_replaced(function, set(carrying), names)

    def _spread_names(self, function: Definition, names: set[str]) -> set[str]:
        """Adds the names that get a value with the key in it to `names`, and returns them. Fields
        and entries that hold it are noted in `self._kept`.
        """
        count_before = -1
        # A name may be read above the line that sets it, in a loop: until nothing more is found.
        while count_before != len(names) + len(self._kept):
            count_before = len(names) + len(self._kept)
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
        """Notes what an assignment sets to the key: a name in `names`; `self.key` and
        `headers["key"]` in `self._kept`.
        """
        if isinstance(target, ast.Name):
            names.add(target.id)
        elif isinstance(target, ast.Attribute):
            self._kept.add(target.attr)
        elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            self._kept.add(str(target.slice.value))

    def _note_entries(self, node: ast.Dict, names: set[str]) -> None:
        """Notes the entries of a dictionary that hold the key: "Idempotency-Key" of
        `{"Idempotency-Key": key}`.
        """
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(value, ast.Name):
                continue
            if value.id in names:
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
        """Whether the key is read here: by a name, from a field, or from an entry that holds it."""
        if not isinstance(getattr(node, "ctx", None), ast.Load):
            return False
        if isinstance(node, ast.Name):
            return node.id in names
        if isinstance(node, ast.Attribute):
            return node.attr in self._kept
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return str(node.slice.value) in self._kept
        return False

    # -- one place

    def _judge_place(self, function: Definition, node: ast.AST, names: set[str]) -> None:
        """Notes what becomes of the key where it is read: what the expressions around it make of
        it, and who gets it.
        """
        module = function.module
        below = node
        losses = []
        is_followed = False
        for above in module.parents(node):
            # Who asks about the key, or logs it, hands nothing on.
            is_asked = isinstance(above, _ASKING_NODES) or _is_test_of(above, below)
            is_logged = isinstance(above, ast.Call) and _is_log(above)
            if is_asked or is_logged:
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

    def _name_condition(self, module: Module, above: ast.AST, names: set[str]) -> str | None:
        """The loss, in words, of a key that stands in a branch which decides whether the key is put
        in; None for a branch that decides whether something is sent.
        """
        if not isinstance(above, ast.If) or above.orelse:
            return None
        # `if key:` leaves out a key that is not there.
        if any(self._carries_key(node, names) for node in ast.walk(above.test)):
            return None
        if Outgoing(self.reach).count_block(above.body, module) > 0:
            return None
        if isinstance(above.body[-1], ast.Return | ast.Raise):
            return None
        return "is sometimes left out"

    def _hand_on(self, module: Module, call: ast.Call, argument: ast.AST) -> bool:
        """Follows the parameter of the repository's function that an argument becomes. Returns
        whether there is such a function.
        """
        definition = self.reach.definition(module, call.func)
        if definition is None or not isinstance(definition.node, FunctionNode):
            # A class keeps it under the name of the argument: `Request(key=key)` has `request.key`.
            is_class = last_word(call.func)[:1].isupper()
            if is_class and isinstance(argument, ast.keyword) and argument.arg:
                self._kept.add(argument.arg)
            return False
        name = _name_parameter(definition.node.args, call, argument)
        if name is None:
            return False
        self._read_function(definition, frozenset([name]))
        return True

    def _find_replaced(self, function: Definition, given: set[str], names: set[str]) -> None:
        """Notes a loss for each assignment that sets a parameter with the key to another value."""
        for node in ast.walk(function.node):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                is_parameter = isinstance(target, ast.Name) and target.id in given
                if is_parameter and not self._holds_key(node.value, names):
                    self.losses.append(Loss("is replaced", function.path, node.lineno))


def _has_parameter(function: ast.AST, parameter: str) -> bool:
    """Whether a function, or one inside of it, has such a parameter."""
    return any(isinstance(node, ast.arg) and node.arg == parameter for node in ast.walk(function))


def _name_loss(above: ast.AST, below: ast.AST, names: set[str]) -> str | None:
    """How a piece of code makes less of what is below it, in words; None where it does not."""
    if _is_cut(above, below):
        return "is cut"
    if isinstance(above, ast.Attribute) and above.attr in _LOSSY_METHODS:
        return f"goes through {above.attr}()"
    if isinstance(above, ast.Call) and below is not above.func:
        function = last_word(above.func)
        if function in _LOSSY_CALLS:
            return f"goes through {function}()"
        return None
    if isinstance(above, ast.IfExp) and below is not above.test:
        # `key if key else None` leaves out a key that is not there.
        if find_names(above.test).isdisjoint(names):
            return "is sometimes left out"
        return None
    if isinstance(above, ast.BinOp) and isinstance(above.op, _LOSSY_OPERATORS):
        return None
    if isinstance(above, ast.JoinedStr | ast.BinOp):
        return _name_varying(above)
    return None


def _is_cut(above: ast.AST, below: ast.AST) -> bool:
    """Whether only a part of a value goes on: an element, a rest, so many letters, what some filter
    lets by.
    """
    if isinstance(above, ast.Subscript):
        return below is above.value
    if isinstance(above, ast.BinOp) and isinstance(above.op, _LOSSY_OPERATORS):
        # "%s" % key is a text with the key in it.
        is_filled_in = isinstance(above.op, ast.Mod) and below is above.right
        return not is_filled_in
    if isinstance(above, ast.FormattedValue):
        # f"{key:.12}" takes the first twelve characters.
        return above.format_spec is not None and "." in ast.unparse(above.format_spec)
    return isinstance(above, ast.comprehension | ast.GeneratorExp | ast.ListComp)


def _name_varying(joined: ast.AST) -> str | None:
    """The loss, in words, of a key that is joined with something which is another one the next
    time; None where it is not.
    """
    for node in ast.walk(joined):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        word = last_word(node)
        if word in _VARYING_CALLS or _COUNTER_NAME.search(word):
            return f"is joined with {word}"
    return None


_MADE_OF = {
    ast.Subscript: ("value",),
    ast.BinOp: ("left", "right"),
    ast.IfExp: ("body", "orelse"),
}
"""Expression -> those of its parts from which its value is made."""


def _list_makers(value: ast.expr) -> list[ast.expr] | None:
    """The expressions from which a value is made; None where it is made from nothing else."""
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Attribute):
            return [value.func.value, *value.args[:1]]
        return value.args[:1] or None
    if isinstance(value, ast.BoolOp):
        return value.values
    makers = [getattr(value, name) for name in _MADE_OF.get(type(value), ())]
    return makers or None


def _name_parameter(arguments: ast.arguments, call: ast.Call, argument: ast.AST) -> str | None:
    """The name of the parameter that an argument of a call becomes; None where it is one of
    *args.
    """
    if isinstance(argument, ast.keyword):
        return argument.arg
    names = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)]
    if names[:1] in (["self"], ["cls"]):
        del names[0]
    if argument not in call.args:
        return None
    position = call.args.index(argument)
    if position < len(names):
        return names[position]
    return None


def _is_test_of(above: ast.AST, below: ast.AST) -> bool:
    """Whether an expression is the condition of the statement or expression above it."""
    return isinstance(above, ast.If | ast.While | ast.IfExp) and below is above.test


def _is_log(call: ast.Call) -> bool:
    """Whether a call is `logger.info(...)`, `print(...)` or another one that only tells."""
    owner = call.func
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
    return last_word(owner) in _LOGGER_NAMES


def iterate_losses(new: KeyFlow, old: KeyFlow) -> Iterator[Loss]:
    """Yields the losses of the new code that the old did not have, by their kinds."""
    known = old.count_losses()
    for loss in new.losses:
        if known[loss.kind] > 0:
            known[loss.kind] -= 1
            continue
        yield loss
