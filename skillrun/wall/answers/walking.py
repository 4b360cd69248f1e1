"""What a way through a function remembers, and how it ends."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from skillrun.repo.python import Definition
from skillrun.repo.source import Module, last_word
from skillrun.wall.answers.choices import Choices
from skillrun.wall.answers.values import Failure
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach

# Of one way; a loop that nobody leaves uses them up.
_MOST_STEPS = 4_000


class Returned(Exception):
    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class Raised(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__()
        self.failure = failure


class LoopLeft(Exception):
    """`break`."""


class LoopAgain(Exception):
    """`continue`."""


class NoEnd(Exception):
    """A way that does not end, or that is too long to tell."""


@dataclass
class Frame:
    """One function that is at work."""

    module: Module
    names: dict[str, object] = field(default_factory=dict)
    depth: int = 0
    caught: Failure | None = None
    # What stands in the `with` whose context manager this function is.
    run_block: Callable[[], None] | None = None


@dataclass(frozen=True)
class CodedError:
    """An error of an effect that carries a code. `kinds` are the last words of its class and of
    what that derives from, `holders` the attributes that hold the code; `passing` are codes of
    which the spec says that they pass.
    """

    effect: str
    kinds: tuple[str, ...]
    holders: frozenset[str]
    passing: tuple[int, ...]


@dataclass
class Code:
    """The code of one side; `effects` are the dotted names that a proof stands in for."""

    reach: Reach
    outgoing: Outgoing
    effects: frozenset[str]
    # An effect that raises one is not gone into: its answer is this error.
    coded: CodedError | None = None
    # Functions from which a call goes out, in themselves or further down.
    leading: set[ast.AST] = field(default_factory=set)
    # What a client is told to call with each answer, and whose code says so.
    hooks: list[tuple[Definition, ast.expr]] = field(default_factory=list)
    # aiohttp's `raise_for_status=True`, at the call or where the client is made.
    is_raising: bool = False

    # By their last words.
    effect_words: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for effect in self.effects:
            self.effect_words.add(effect.rpartition(".")[2])
        self._find_leading()
        for node, definition in self.reach.functions.items():
            for keyword in ast.walk(node):
                if not isinstance(keyword, ast.keyword):
                    continue
                if keyword.arg in ("hooks", "event_hooks"):
                    self.hooks.append((definition, keyword.value))
                elif keyword.arg == "raise_for_status":
                    self.is_raising |= ast.unparse(keyword.value) == "True"

    def _find_leading(self) -> None:
        for node in self.reach.functions:
            if self._is_effect(node):
                continue
            if self.outgoing.list_calls([node]) or self._calls_coded(node):
                self.leading.add(node)
        before = -1
        while before != len(self.leading):
            before = len(self.leading)
            for user, named in self.reach.below.items():
                if not self._is_effect(user) and not named.isdisjoint(self.leading):
                    self.leading.add(user)

    def _is_effect(self, node: ast.AST) -> bool:
        definition = self.reach.functions.get(node)
        return definition is not None and definition.dotted in self.effects

    def is_coded(self, call: ast.Call) -> bool:
        """Whether a call is one of the effect whose error carries a code."""
        return self.coded is not None and last_word(call.func) == _read_last(self.coded.effect)

    def _calls_coded(self, node: ast.AST) -> bool:
        if self.coded is None:
            return False
        return any(isinstance(one, ast.Call) and self.is_coded(one) for one in ast.walk(node))

    def leads_out(self, root: Definition) -> bool:
        """Whether a call goes out of a function, which may be an effect's own."""
        if self.outgoing.list_calls([root.node]):
            return True
        below = {root.node, *self.reach.below.get(root.node, ())}
        return not below.isdisjoint(self.leading)

    def list_clients(self) -> set[str]:
        """Whose functions call out, as the code names them."""
        return {
            name.rpartition(".")[0] for name, _ in self.outgoing.list_calls(self.reach.functions)
        }

    def list_texts(self) -> Counter[str]:
        """Each function and module, whatever its lines are."""
        texts = Counter(map(ast.dump, self.reach.functions))
        for module in self.reach.modules.values():
            texts[ast.dump(module.tree)] += 1
        return texts


def _read_last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


@dataclass
class Walk:
    """One way through one function, with one status."""

    code: Code
    status: int
    choices: Choices
    is_answered: bool = False
    is_status_read: bool = False
    is_unread: bool = False
    steps: int = 0
    # (path, line) of each condition and end, in order.
    trail: list[tuple[str, int]] = field(default_factory=list)

    def count_step(self) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise NoEnd
