"""Rewrites a source file so that its effects are counted, and each of its decisions and keys can be
turned round once an effect has taken place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.proof.second_delivery.broken_grammar import (
    GRAMMARS,
    KEEPS_ALL,
    TREE_SITTER,
    BrokenGrammar,
    find_last_name,
)
from skillrun.proof.second_delivery.key_origins import trace_key
from skillrun.proof.second_delivery.leaving_out import list_droppable

if TYPE_CHECKING:
    from ast_grep_py import SgNode

CONDITION, KEY, MEMORY = "condition", "key", "memory"
# Nodes on which nothing can be wrapped: what is assigned to, and a decorator.
_UNWRAPPED_PARENTS = frozenset({"decorator"})
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Counted:
    """An effect as its calls show it: the last word of its name, and its argument with a key."""

    name: str
    word: str
    key_arg: str | None = None


@dataclass(frozen=True)
class Decision:
    """A place that can be broken: a condition, the key of an effect, or what is remembered."""

    number: int
    kind: str
    path: str
    line: int
    text: str
    effect: str | None = None  # of a key: whose it is
    origin: str | None = None  # of a key: what key_origins knows of it


@dataclass(frozen=True)
class Rewritten:
    """A file as the tests of a broken handler meet it."""

    text: str
    decisions: tuple[Decision, ...]
    effects: frozenset[str]  # those that are called in it
    effect_line: int = 1  # the first call of one


@dataclass(frozen=True)
class Rewriting:
    """What is looked for in a file. `entry` has the words of the handler's name, the most telling
    one first; none where the handler lies in another file.
    """

    language: str
    effects: Sequence[Counted]
    entry: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wrap:
    """What stands before and behind a part of the text; where `behind` is None, only an insertion
    before all that begins there.
    """

    start: int
    end: int
    before: str
    behind: str | None


def rewrite_file(path: str, text: str, wanted: Rewriting, first_number: int) -> Rewritten | None:
    """The file with counters and decisions, numbered from `first_number`; None where the result is
    no text of the language any more, or the handler's function is not in it.
    """
    grammar = GRAMMARS[wanted.language]
    parser = TREE_SITTER[wanted.language]
    if path.endswith(".tsx"):
        parser = "tsx"
    root = _parse(text, parser)
    wraps: list[_Wrap] = list(_enter_handler(root, grammar, wanted.entry))
    if wanted.entry and not wraps:
        return None
    decisions: list[Decision] = []
    called: set[str] = set()
    for node, effect, wrap in _find_decisions(root, grammar, wanted.effects):
        number = first_number + len(decisions)
        line = node.range().start.line + 1
        shown = " ".join(text[wrap.start : wrap.end].split())[:_SHOWN_CHARACTERS]
        if effect is None:
            decisions.append(Decision(number, CONDITION, path, line, shown))
        else:
            origin = trace_key(node, grammar)
            decisions.append(Decision(number, KEY, path, line, shown, effect.name, origin))
        before = wrap.before.format(number=number)
        wraps.append(_Wrap(wrap.start, wrap.end, before, wrap.behind))
    calls = list(_find_effect_calls(root, grammar, wanted.effects))
    for call, counted in calls:
        called.add(counted.name)
        before, behind = grammar.around_effect
        wraps.append(_wrap(call, before.format(effect=counted.name), behind))
    if wanted.entry or calls:
        wraps += _drop_statements(root, grammar, [call for call, _ in calls])
    changed = _insert(text, wraps)
    if _count_errors(_parse(changed, parser)) > _count_errors(root):
        return None
    effect_line = min((call.range().start.line + 1 for call, _ in calls), default=1)
    return Rewritten(changed, tuple(decisions), frozenset(called), effect_line)


@dataclass(frozen=True)
class Break:
    """What is broken in one run: the number of a decision, 0 for none, or what is left out."""

    decision: int = 0
    drops: int = KEEPS_ALL


def add_helper(text: str, language: str, folder: str, broken: Break, name: str) -> str:
    """A rewritten text with what its counters call, under a name drawn for the run, and with its
    one break. `folder` keeps what they count.
    """
    grammar = GRAMMARS[language]
    helper = grammar.helper.replace("BROKEN", str(broken.decision))
    helper = helper.replace("DROPS", str(broken.drops)).replace("FOLDER", json.dumps(folder))
    text, helper = _name_anew(text, name), _name_anew(helper, name)
    head, rest = "", text
    # Only the very first line may name a program, `#!/usr/bin/env node`.
    if text.startswith("#!"):
        head, _, rest = text.partition("\n")
        head += "\n"
    body, mark, data = rest, "", ""
    if grammar.end_mark:
        body, mark, data = rest.partition(f"\n{grammar.end_mark}\n")
    return f"{head}{grammar.first_line}{body}\n{helper}{mark}{data}"


def _name_anew(text: str, name: str) -> str:
    """`skillrunIf` becomes `NAMEIf`; Ruby's module begins with a capital."""
    return text.replace("skillrun", name).replace("Skillrun", name.capitalize())


def _parse(text: str, parser: str) -> SgNode:
    from ast_grep_py import SgRoot

    return SgRoot(text, parser).root()


def _count_errors(root: SgNode) -> int:
    return len(root.find_all({"rule": {"kind": "ERROR"}}))


def _find_kinds(root: SgNode, kinds: Iterable[str]) -> list[SgNode]:
    return root.find_all({"rule": {"any": [{"kind": kind} for kind in sorted(kinds)]}})


# -- where a delivery begins

# How the libraries that have jobs as classes call the method that runs.
_RUN_METHODS = ("process", "perform", "handle", "execute", "run", "call", "work")
# The node that names a function or what holds it -> its field with the name.
_NAMING = {
    "variable_declarator": "name",
    "pair": "key",
    "assignment_expression": "left",
    "public_field_definition": "name",
    "field_definition": "property",
}
_CLASSES = ("class_declaration", "class", "module")


def _enter_handler(root: SgNode, grammar: BrokenGrammar, words: Iterable[str]) -> Iterator[_Wrap]:
    """What records a delivery at the beginning of the handler's function."""
    for function in _find_handlers(root, grammar, words):
        body = function.field("body")
        if body is None:
            continue
        enter = grammar.enter.format(parameters=", ".join(_name_parameters(function, grammar)))
        whole = _wrap(body, "", "")
        if body.kind() in grammar.blocks:
            start = whole.start + len(grammar.block_start)
            yield _Wrap(start, start, f"{enter}; ", None)
        else:
            before, behind = grammar.around_body
            yield _Wrap(whole.start, whole.end, before.format(enter=enter), behind)


def _find_handlers(root: SgNode, grammar: BrokenGrammar, words: Iterable[str]) -> list[SgNode]:
    """The functions of the first word that names any: a function of that name, or those that run
    a class of that name, or the first one within a value of that name.
    """
    functions = _find_kinds(root, grammar.functions)
    for word in words:
        named = [one for one in functions if _name_function(one) == word]
        if named:
            return named
        in_class = [one for one in functions if _runs_class(one, word)]
        if in_class:
            return in_class
        for one in functions:
            if _is_within_value(one, word):
                return [one]
    return []


def _name_function(function: SgNode) -> str:
    """The function's own name, or that of what it is bound to; "" where it has none."""
    name = function.field("name")
    if name is not None:
        return name.text()
    parent = function.parent()
    if parent is None:
        return ""
    return _name_holder(parent)


def _name_holder(node: SgNode) -> str:
    """`send` of `const send = ...`, `exports.send = ...` and `{ send: ... }`."""
    field = _NAMING.get(node.kind())
    target = None
    if field is not None:
        target = node.field(field)
    if target is None:
        return ""
    return find_last_name(target)


def _runs_class(function: SgNode, word: str) -> bool:
    """Whether it is the method by which a class of this name runs."""
    if _name_function(function) not in _RUN_METHODS:
        return False
    for ancestor in function.ancestors():
        if ancestor.kind() in _CLASSES:
            name = ancestor.field("name")
            return name is not None and find_last_name(name) == word
    return False


def _is_within_value(function: SgNode, word: str) -> bool:
    """Whether it stands within a value of this name: `const worker = new Worker("m",
    job => ...)`.
    """
    return any(_name_holder(ancestor) == word for ancestor in function.ancestors())


def _name_parameters(function: SgNode, grammar: BrokenGrammar) -> list[str]:
    """The names of a function's parameters, each once."""
    names: list[str] = []
    # JavaScript's `job => ...` has one parameter without parentheses.
    for field in ("parameter", "parameters"):
        listed = function.field(field)
        if listed is None:
            continue
        if grammar.has_one_message and listed.kind() not in grammar.parameters:
            # Behind the message come the library's own: a token, a context.
            listed = next((one for one in listed.children() if one.is_named()), listed)
        if listed.kind() in grammar.parameters:
            names.append(listed.text())
        for node in _find_kinds(listed, grammar.parameters):
            if node.text() not in names:
                names.append(node.text())
    return names


# -- what can be turned round, and what is counted


def _drop_statements(
    root: SgNode, grammar: BrokenGrammar, effect_calls: Iterable[SgNode]
) -> Iterator[_Wrap]:
    """What lets a first delivery leave out the statements beside its effects."""
    starts = [call.range().start.index for call in effect_calls]
    for node in list_droppable(root, grammar, starts):
        around = grammar.around_statement
        if node.kind() in grammar.returns:
            around = grammar.around_return
        yield _wrap(node, *around)


def _find_decisions(
    root: SgNode, grammar: BrokenGrammar, effects: Sequence[Counted]
) -> Iterator[tuple[SgNode, Counted | None, _Wrap]]:
    """(what is shown of it, the effect of a key, wrap without its number) of each condition and
    each key.
    """
    for node in _find_kinds(root, grammar.conditions):
        condition = node.field("condition")
        # A keyword `if` has the kind of the statement, and no condition.
        if condition is None:
            continue
        wrap = _wrap(condition, *grammar.around_condition)
        # JavaScript's grammar counts the parentheses to the condition.
        if condition.kind() == "parenthesized_expression":
            wrap = _Wrap(wrap.start + 1, wrap.end - 1, wrap.before, wrap.behind)
        yield condition, None, wrap
    for call, effect in _find_effect_calls(root, grammar, effects):
        if effect.key_arg is not None:
            for key, wrap in _find_keys(call, effect.key_arg, grammar):
                yield key, effect, wrap


def _find_keys(
    call: SgNode, key_arg: str, grammar: BrokenGrammar
) -> Iterator[tuple[SgNode, _Wrap]]:
    """The values that a call gives for its key: `idempotencyKey: key`, or
    `idempotencyKey` alone.
    """
    before, behind = grammar.around_key
    for pair in _find_kinds(call, grammar.keys):
        if pair.kind() != "pair":
            if pair.text() == key_arg:
                yield pair, _wrap(pair, f"{key_arg}: {before}", behind)
            continue
        name, value = pair.field("key"), pair.field("value")
        if name is None or value is None or name.text().strip("\"':") != key_arg:
            continue
        yield value, _wrap(value, before, behind)


def _find_effect_calls(
    root: SgNode, grammar: BrokenGrammar, effects: Sequence[Counted]
) -> Iterator[tuple[SgNode, Counted]]:
    """The calls whose last word is an effect's."""
    words = {effect.word: effect for effect in effects}
    for call in _find_kinds(root, grammar.calls):
        callee = call.field(grammar.callee)
        if callee is None or not _can_be_wrapped(call):
            continue
        effect = words.get(find_last_name(callee))
        if effect is not None:
            yield call, effect


def _can_be_wrapped(call: SgNode) -> bool:
    """Whether a call is a value: no decorator, and nothing that is assigned to."""
    parent = call.parent()
    if parent is None or parent.kind() in _UNWRAPPED_PARENTS:
        return False
    left = parent.field("left")
    return left is None or left.range().start.index != call.range().start.index


def _wrap(node: SgNode, before: str, behind: str) -> _Wrap:
    around = node.range()
    return _Wrap(around.start.index, around.end.index, before, behind)


def _insert(text: str, wraps: Iterable[_Wrap]) -> str:
    """The text with each wrap around its part; one within another stays within."""
    # At one place what ends comes before what begins; the inner one ends first and begins last.
    inserted: list[tuple[int, int, int, str]] = []
    for wrap in wraps:
        if wrap.behind is None:
            inserted.append((wrap.start, 1, 0, wrap.before))
            continue
        inserted.append((wrap.end, 0, -wrap.start, wrap.behind))
        inserted.append((wrap.start, 2, -wrap.end, wrap.before))
    parts, done = [], 0
    for place, _, _, added in sorted(inserted):
        parts += [text[done:place], added]
        done = place
    return "".join([*parts, text[done:]])
