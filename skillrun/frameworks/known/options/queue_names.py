"""Whether the name of a BullMQ queue stands for that queue alone, wherever the repository has it.

Two files may each have a `queue`, and an import may rename one: whoever takes every
`queue.add(...)` for a call of one queue finds errors in the code of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.known.options.job_options import NotUnderstood
from skillrun.frameworks.known.options.source_nodes import (
    JAVASCRIPT_SUFFIXES,
    find_files,
    find_kinds,
    parse_file,
    place_of,
)
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.repo.tree import Tree

_NAMES = ("identifier", "property_identifier", "shorthand_property_identifier_pattern")
# Where a name is used, and neither bound nor given to another name.
_USES = frozenset(
    {
        "arguments",
        "array",
        "await_expression",
        "binary_expression",
        "expression_statement",
        "non_null_expression",
        "parenthesized_expression",
        "property_signature",
        "spread_element",
        "template_substitution",
        "ternary_expression",
        "type_query",
        "unary_expression",
    }
)
_LITERALS = frozenset({"string", "template_string", "number", "true", "false", "null"})
_FIELDS = frozenset({"public_field_definition", "field_definition"})
# How paths of the repository itself begin in imports: "./queue", "@/queues/mail".
_LOCAL = (".", "@/", "~/", "#")


class QueueName:
    """The name that one `new Queue(...)` is bound to."""

    def __init__(self, path: str, made: SgNode, name: str) -> None:
        self.path, self.made, self.name = path, made, name

    def find_other_meaning(self, tree: Tree) -> NotUnderstood | None:
        """The first place where the name is bound to something else, or the queue to
        another name.
        """
        for path in find_files(tree, self.name, JAVASCRIPT_SUFFIXES):
            root = parse_file(tree, path)
            if root is None:
                return NotUnderstood(f"{path} has {self.name}, and was not parsed", Place(path, 1))
            for node in find_kinds(root, *_NAMES):
                if node.text() == self.name and not self._is_kept(path, node):
                    because = f"{self.name} may be another value there, or goes by another name"
                    return NotUnderstood(because, place_of(path, node.parent() or node))
        return None

    def is_owner(self, path: str, owner: SgNode) -> bool:
        """Whether what a method is called of is the queue: `queue`, `this.queue` in its own file,
        or `queues.queue` of an imported module.
        """
        if owner.kind() == "identifier":
            return True
        inner = owner.field("object")
        if inner is None:
            return False
        if inner.kind() == "this":
            return path == self.path
        return inner.kind() == "identifier" and self._is_imported(path, inner)

    def _is_kept(self, path: str, node: SgNode) -> bool:
        """Whether an occurrence of the name binds it to nothing else, and the queue to no other."""
        parent = node.parent()
        if parent is None:
            return False
        kind = parent.kind()
        if kind == "variable_declarator" or kind in _FIELDS:
            return self._is_made_in(path, parent) or self._is_declared(path, parent)
        if kind == "member_expression":
            return self._is_read_or_made(path, parent)
        if kind == "import_specifier":
            statement = _find_ancestor(parent, "import_statement")
            return parent.field("alias") is None and self._is_local(statement)
        if kind == "export_specifier":
            return parent.field("alias") is None
        if kind == "object_pattern":
            declarator = parent.parent()
            return self._is_required(declarator)
        if kind == "pair":
            key, value = parent.field("key"), parent.field("value")
            if key is None or value is None or key.text() != self.name:
                return False
            return value.kind() in _LITERALS or value.text() == self.name
        return kind in _USES

    def _is_made_in(self, path: str, binding: SgNode) -> bool:
        """Whether the queue is made within a node."""
        around, inner = binding.range(), self.made.range()
        return (
            path == self.path
            and around.start.index <= inner.start.index
            and inner.end.index <= around.end.index
        )

    def _is_declared(self, path: str, field: SgNode) -> bool:
        """`private queue: Queue;` beside the constructor that makes it."""
        return field.kind() in _FIELDS and field.field("value") is None and path == self.path

    def _is_read_or_made(self, path: str, member: SgNode) -> bool:
        """`this.queue` where it is no target, or the target of the queue itself."""
        parent = member.parent()
        if parent is None or parent.kind() != "assignment_expression":
            return True
        target = parent.field("left")
        is_target = target is not None and target.range().start == member.range().start
        return not is_target or self._is_made_in(path, parent)

    def _is_imported(self, path: str, node: SgNode) -> bool:
        """Whether a name comes from a module of the repository."""
        root = node
        for ancestor in node.ancestors():
            root = ancestor
        for statement in find_kinds(root, "import_statement"):
            names = [one.text() for one in find_kinds(statement, "identifier")]
            if node.text() in names:
                return self._is_local(statement)
        for declarator in find_kinds(root, "variable_declarator"):
            name = declarator.field("name")
            if name is not None and name.text() == node.text():
                return self._is_required(declarator)
        return False

    def _is_local(self, statement: SgNode | None) -> bool:
        """Whether an import is of a module of the repository; a package may have the same name."""
        if statement is None:
            return False
        source = statement.field("source")
        return source is not None and self._leads_inside(source.text())

    def _is_required(self, declarator: SgNode | None) -> bool:
        """`... = require("./queue")`"""
        if declarator is None or declarator.kind() != "variable_declarator":
            return False
        value = declarator.field("value")
        if value is None or value.kind() != "call_expression":
            return False
        called = value.field("function")
        texts = find_kinds(value, "string")
        is_require = called is not None and called.text() == "require" and len(texts) == 1
        return is_require and self._leads_inside(texts[0].text())

    def _leads_inside(self, quoted: str) -> bool:
        source = quoted.strip("\"'`")
        first = self.path.partition("/")[0]
        return source.startswith(_LOCAL) or source.startswith(f"{first}/")


def _find_ancestor(node: SgNode, kind: str) -> SgNode | None:
    for ancestor in node.ancestors():
        if ancestor.kind() == kind:
            return ancestor
    return None
