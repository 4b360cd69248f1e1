"""What the constants of a Ruby repository stand for: each by its whole name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.frameworks.known.options.source_nodes import (
    find_files,
    find_kinds,
    last_part,
    parse_file,
)

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.repo.tree import Tree

# "Admin::ChargeJob", "::Order"
_CONSTANT = re.compile(r"(::)?[A-Z]\w*(::[A-Z]\w*)*")
_SCOPES = ("class", "module")
# What a model inherits of, where the repository itself does not say what that is.
_RECORDS = ("ActiveRecord::Base", "ApplicationRecord")
_SEQUEL = "Sequel::Model"
# Model, its base, the application's record, and one more.
_MOST_BASES = 5


def name_constant(node: SgNode) -> str:
    """The whole name of a class or module: "Admin::ChargeJob" of `class ChargeJob` in
    `module Admin`.
    """
    name = node.field("name")
    if name is None:
        return ""
    return "::".join([*_list_scopes(node)[-1:], name.text()]).removeprefix("::")


def _list_scopes(node: SgNode) -> list[str]:
    """The whole names of the classes and modules around a node, the innermost last."""
    scopes: list[str] = []
    around = [one for one in node.ancestors() if one.kind() in _SCOPES]
    for scope in reversed(around):
        name = scope.field("name")
        if name is not None:
            scopes.append("::".join([*scopes[-1:], name.text()]))
    return scopes


class RubyConstants:
    """The classes and modules that files outside of the tests define."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._defined: dict[str, list[SgNode]] = {}

    def _find_defined(self, word: str) -> list[SgNode]:
        """The classes and modules whose name ends in a word."""
        if word not in self._defined:
            found: list[SgNode] = []
            for path in find_files(self._tree, word, (".rb",)):
                root = parse_file(self._tree, path)
                if root is not None:
                    found += [
                        one
                        for one in find_kinds(root, *_SCOPES)
                        if last_part(name_constant(one)) == word
                    ]
            self._defined[word] = found
        return self._defined[word]

    def resolve(self, node: SgNode) -> str | None:
        """The whole name of what a constant means where it stands, the innermost scope first; None
        where the repository does not define it.
        """
        return self._resolve_name(node.text(), _list_scopes(node))

    def _resolve_name(self, written: str, scopes: list[str]) -> str | None:
        defined = {name_constant(one) for one in self._find_defined(last_part(written))}
        candidates = [written.removeprefix("::")]
        if not written.startswith("::"):
            candidates = [f"{scope}::{written}" for scope in reversed(scopes)] + candidates
        for candidate in candidates:
            if candidate in defined:
                return candidate
        return None

    def is_record(self, node: SgNode) -> bool:
        """Whether a constant is a class of Active Record's or Sequel's, as far as its bases are
        followed.
        """
        written, scopes = node.text(), _list_scopes(node)
        for _ in range(_MOST_BASES):
            name = None
            # "Sequel::Model(:orders)" and "Struct.new(:id)" are no constants.
            if _CONSTANT.fullmatch(written):
                name = self._resolve_name(written, scopes)
            if name is None:
                outside = written.removeprefix("::")
                return outside in _RECORDS or outside.partition("(")[0] == _SEQUEL
            base = self._find_base(name)
            if base is None:
                return False
            written, scopes = base.text().removeprefix("<").strip(), _list_scopes(base)
        return False

    def _find_base(self, name: str) -> SgNode | None:
        """The base of a class, where one of its definitions gives it."""
        for one in self._find_defined(last_part(name)):
            base = one.field("superclass")
            if name_constant(one) == name and base is not None:
                return base
        return None
