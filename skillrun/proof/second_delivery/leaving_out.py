"""Which statements of a handler's file can be left out in a job's first delivery, so that nothing
is remembered for its second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.proof.second_delivery.broken_grammar import BrokenGrammar


def list_droppable(
    root: SgNode, grammar: BrokenGrammar, effect_starts: Iterable[int]
) -> Iterator[SgNode]:
    """The statements of functions that are there for what they do, and hold no effect's call.
    `effect_starts` is where those calls begin.
    """
    starts = list(effect_starts)
    kinds = sorted(grammar.statements | grammar.returns)
    for node in root.find_all({"rule": {"any": [{"kind": kind} for kind in kinds]}}):
        parent = node.parent()
        if parent is None or parent.kind() not in grammar.statement_places:
            continue
        if not any(ancestor.kind() in grammar.functions for ancestor in node.ancestors()):
            continue
        if _is_needed(node, grammar):
            continue
        around = node.range()
        if any(around.start.index <= start < around.end.index for start in starts):
            continue
        # `return "sent"` does nothing; `return markSent(id)` does.
        if node.kind() in grammar.returns and not _has_call(node, grammar):
            continue
        yield node


def _has_call(node: SgNode, grammar: BrokenGrammar) -> bool:
    return any(node.find_all({"rule": {"kind": kind}}) for kind in grammar.calls)


def _is_needed(node: SgNode, grammar: BrokenGrammar) -> bool:
    """Whether the text after it cannot do without: `super()`, and in Ruby `order = Order.find(1)`,
    which is a declaration.
    """
    if node.text().startswith("super"):
        return True
    left = node.field("left")
    return left is not None and left.kind() in grammar.declared
