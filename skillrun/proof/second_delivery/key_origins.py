"""Whether the key of an effect comes of the message: a key that is the same for all
jobs is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.proof.second_delivery.broken_grammar import BrokenGrammar

OF_MESSAGE, CONSTANT, UNKNOWN = "message", "constant", "unknown"
"""A name in it was given to the function, or made of what was; it names nothing at all
(`"welcome"`); its names come from elsewhere (`KEY`, `this.key`).
"""

# What carries a name: `order`, `@order`, and `{ id }` as a value.
_NAMES = ("identifier", "instance_variable", "shorthand_property_identifier")
_PATTERN_NAMES = (*_NAMES, "shorthand_property_identifier_pattern")
# The node that gives a name its value -> its fields with the name and the value.
_GIVING = {
    "variable_declarator": ("name", "value"),
    "assignment": ("left", "right"),
    "assignment_expression": ("left", "right"),
    "operator_assignment": ("left", "right"),
    "for_in_statement": ("left", "right"),
}


def trace_key(key: SgNode, grammar: BrokenGrammar) -> str:
    """OF_MESSAGE, CONSTANT or UNKNOWN, by the functions around the key alone."""
    named = _list_names(key, _NAMES)
    if not named:
        return CONSTANT
    given: set[str] = set()
    functions = [one for one in key.ancestors() if one.kind() in grammar.functions]
    for function in functions:
        for field in ("parameter", "parameters"):
            listed = function.field(field)
            if listed is not None:
                given |= _list_names(listed, _PATTERN_NAMES)
    for function in functions:
        _add_made_of(function, given)
    if named & given:
        return OF_MESSAGE
    return UNKNOWN


def _walk(node: SgNode) -> Iterator[SgNode]:
    """The node and all within it. A kind that a language lacks cannot be searched for."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.children()


def _list_names(node: SgNode, kinds: tuple[str, ...]) -> set[str]:
    return {one.text() for one in _walk(node) if one.kind() in kinds}


def _add_made_of(function: SgNode, given: set[str]) -> None:
    """Adds to `given` each name whose value is made of one that is in it already."""
    pairs = []
    for node in _walk(function):
        name_field, value_field = _GIVING.get(node.kind(), ("", ""))
        if not name_field:
            continue
        name, value = node.field(name_field), node.field(value_field)
        if name is not None and value is not None:
            pairs.append((_list_names(name, _PATTERN_NAMES), _list_names(value, _NAMES)))
    has_grown = True
    while has_grown:
        before = len(given)
        for names, values in pairs:
            if values & given:
                given |= names
        has_grown = len(given) > before
