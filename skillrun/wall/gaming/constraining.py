"""How much of its subject an assertion constrains: the whole value, or a view of it that says
less.
"""

from __future__ import annotations

import ast
import itertools
from dataclasses import dataclass, field

from skillrun.wall.gaming.asserting import Assertion, words

# What a view leaves out of the value that it is taken from.
PART, LENGTH, DISTINCT, ORDER = "part", "length", "distinct", "order"
_FUNCTIONS = {
    **dict.fromkeys(
        ("min", "max", "next", "sum", "any", "all", "bool", "type", "str", "repr"), PART
    ),
    **dict.fromkeys(("set", "frozenset"), DISTINCT),
    "len": LENGTH,
    "sorted": ORDER,
}
_SAME = ("list", "tuple", "dict", "iter", "reversed", "Counter")
_METHODS = ("get", "pop", "popleft", "popitem", "count", "index", "keys", "values")


@dataclass
class View:
    """One side of an assertion: what it rests on, and what is left out of it."""

    words: frozenset[str]
    losses: set[str] = field(default_factory=set)


def says_as_much(new: Assertion, old: Assertion, local: Locals, was_local: Locals) -> bool:
    """Whether `new` is no narrower than `old` about whatever both speak of."""
    if new.strength < old.strength or _has_wider_limit(new, old):
        return False
    now = _list_views(new, local)
    for view in _list_views(old, was_local):
        # One side that says as much is enough: an assertion may name its subject twice.
        answers = []
        for other in now:
            if _is_one_subject(other, view):
                answers.append(_leaves_out_more(other, view, old))
        if answers and all(answers):
            return False
    return True


def is_whole_together(
    added: list[Assertion], old: Assertion, local: Locals, was_local: Locals
) -> bool:
    """An exact length and a part of the same subject, or every member of a tuple, are the whole
    again.
    """
    members = _count_members(old)
    for view in _list_views(old, was_local):
        lengths, parts = 0, 0
        for assertion in added:
            if assertion.strength < old.strength:
                continue
            losses = _losses_about(view, assertion, local)
            lengths += LENGTH in losses
            parts += PART in losses
        if parts and (lengths or parts == members):
            return True
    return False


def is_about_same(new: Assertion, old: Assertion, local: Locals, was_local: Locals) -> bool:
    """Whether a side of each speaks of one thing of the application."""
    now = _list_views(new, local)
    was = _list_views(old, was_local)
    return any(_is_one_subject(one, other) for one, other in itertools.product(now, was))


class Locals(dict[str, ast.expr]):
    """Local variable -> what it was set to; `members` are those that hold one of several."""

    def __init__(self, function: ast.AST, known: dict[str, ast.expr]) -> None:
        """`known` is what `asserting.variables` tells of the function."""
        super().__init__(known)
        self.members: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, ast.For | ast.AsyncFor):
                self.members |= _names_set_by(node.target)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self.members |= _taken_out(target)


def _taken_out(target: ast.expr) -> set[str]:
    """`first, *_ = rows` and `first, _ = rows` look at a part; `(row,) = rows` says how many there
    are.
    """
    if not isinstance(target, ast.Tuple | ast.List):
        return set()
    names = _names_set_by(target)
    is_starred = any(isinstance(element, ast.Starred) for element in target.elts)
    has_unused = any(name.startswith("_") for name in names)
    if is_starred or has_unused:
        return names
    return set()


def _names_set_by(target: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _is_one_subject(one: View, other: View) -> bool:
    """`provider.calls[0]` and `provider.calls`, and not `provider.inbox`."""
    return one.words <= other.words or other.words <= one.words


def _losses_about(view: View, assertion: Assertion, local: Locals) -> set[str]:
    losses: set[str] = set()
    for other in _list_views(assertion, local):
        if _is_one_subject(other, view):
            losses |= other.losses
    return losses


def _list_views(assertion: Assertion, local: Locals) -> list[View]:
    """One for each side that rests on something of the application."""
    found = []
    waiting = list(assertion.about)
    while waiting:
        side = waiting.pop()
        if isinstance(side, ast.Tuple | ast.List | ast.Set):
            waiting += side.elts
            continue
        view = View(words(side, local))
        _look_down(side, local, view.losses, frozenset())
        if view.words:
            found.append(view)
    return found


def _look_down(node: ast.expr, local: Locals, losses: set[str], seen: frozenset[str]) -> None:
    """Follows an expression down to the value that it is a view of."""
    if isinstance(node, ast.Subscript):
        losses.add(PART)
        _look_down(node.value, local, losses, seen)
    elif isinstance(node, ast.Attribute | ast.Await | ast.NamedExpr | ast.Starred):
        _look_down(node.value, local, losses, seen)
    elif isinstance(node, ast.Call):
        _look_into_call(node, local, losses, seen)
    elif isinstance(node, ast.Name) and node.id in local and node.id not in seen:
        if node.id in local.members:
            losses.add(PART)
        _look_down(local[node.id], local, losses, seen | {node.id})
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        _look_into_comprehension(node, local, losses, seen)
    elif isinstance(node, ast.BinOp):
        _look_down(node.left, local, losses, seen)
        _look_down(node.right, local, losses, seen)


def _look_into_call(node: ast.Call, local: Locals, losses: set[str], seen: frozenset[str]) -> None:
    function = node.func
    if isinstance(function, ast.Attribute):
        if function.attr in _METHODS:
            losses.add(PART)
        _look_down(function.value, local, losses, seen)
    elif isinstance(function, ast.Name) and node.args:
        if function.id in _FUNCTIONS:
            losses.add(_FUNCTIONS[function.id])
        elif function.id not in _SAME:
            return
        _look_down(node.args[0], local, losses, seen)


def _look_into_comprehension(
    node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp,
    local: Locals,
    losses: set[str],
    seen: frozenset[str],
) -> None:
    first = node.generators[0]
    if isinstance(node, ast.SetComp):
        losses.add(DISTINCT)
    if any(generator.ifs for generator in node.generators):
        losses.add(PART)
    if not isinstance(node, ast.DictComp):
        _look_down(node.elt, local, losses, seen | _names_set_by(first.target))
    _look_down(first.iter, local, losses, seen)


def _leaves_out_more(new: View, old: View, assertion: Assertion) -> bool:
    """Whether a view leaves out what another did not."""
    more = new.losses - old.losses
    # A set of what was sorted before says as much, unless something is expected twice.
    if ORDER in old.losses and not _expects_twice(assertion):
        more -= {DISTINCT}
    # Sorting is how the order is left open that nobody promised; of a dict it drops the values.
    is_mapping = any(isinstance(side, ast.Dict) for side in assertion.about)
    if not is_mapping:
        more -= {ORDER}
    return bool(more)


def _expects_twice(assertion: Assertion) -> bool:
    """Whether the expected value holds something twice, as `[key, key]` and `[key] * 2` do."""
    for side in assertion.about:
        if isinstance(side, ast.BinOp):
            return True
        if isinstance(side, ast.List | ast.Tuple):
            texts = [ast.dump(element) for element in side.elts]
            if len(set(texts)) < len(texts):
                return True
    return False


def _count_members(assertion: Assertion) -> int:
    """How many members the expected tuple has; 0 where none is expected."""
    for side in assertion.about:
        if isinstance(side, ast.Tuple):
            return len(side.elts)
    return 0


# -- `x in y` and `a or b`, which are not narrower but let more through


def _has_wider_limit(new: Assertion, old: Assertion) -> bool:
    """A shorter text that is looked for, more values that are allowed, a further alternative."""
    now, was = _condition_of(new.node), _condition_of(old.node)
    if isinstance(now, ast.BoolOp) and isinstance(was, ast.BoolOp):
        return _has_all_and_more(now.values, was.values)
    if not isinstance(now, ast.Compare) or not isinstance(was, ast.Compare):
        return False
    if not isinstance(now.ops[0], ast.In) or not isinstance(was.ops[0], ast.In):
        return False
    if ast.dump(now.comparators[0]) == ast.dump(was.comparators[0]):
        return _is_shorter(now.left, was.left)
    if ast.dump(now.left) == ast.dump(was.left):
        return _allows_more(now.comparators[0], was.comparators[0])
    return False


def _condition_of(node: ast.stmt) -> ast.expr | None:
    return node.test if isinstance(node, ast.Assert) else None


def _is_shorter(new: ast.expr, old: ast.expr) -> bool:
    if not isinstance(new, ast.Constant) or not isinstance(old, ast.Constant):
        return False
    now, was = new.value, old.value
    if not isinstance(now, str) or not isinstance(was, str):
        return False
    return now != was and now in was


def _allows_more(new: ast.expr, old: ast.expr) -> bool:
    displays = ast.Tuple | ast.List | ast.Set
    if not isinstance(new, displays) or not isinstance(old, displays):
        return False
    return _has_all_and_more(new.elts, old.elts)


def _has_all_and_more(new: list[ast.expr], old: list[ast.expr]) -> bool:
    now = {ast.dump(value) for value in new}
    was = {ast.dump(value) for value in old}
    return was < now
