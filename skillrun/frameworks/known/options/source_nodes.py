"""Syntax trees of other languages' files, as the readers of options ask them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.repo.places import is_plainly_test
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from ast_grep_py import SgNode

    from skillrun.repo.tree import Tree

JAVASCRIPT_SUFFIXES = (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx")
_SHOWN_CHARACTERS = 120


def parse_file(tree: Tree, path: str) -> SgNode | None:
    """The root of a file's syntax tree; None where it is not listed or has errors, since then
    nothing of it is certain.
    """
    from ast_grep_py import SgRoot

    content = tree.read(path)
    if content is None:
        return None
    root = SgRoot(content.decode("utf-8", "replace"), _find_parser(path)).root()
    if find_kinds(root, "ERROR"):
        return None
    return root


def _find_parser(path: str) -> str:
    suffix = path.rpartition(".")[2]
    if suffix == "rb":
        return "ruby"
    if suffix == "tsx":
        return "tsx"
    if suffix in ("ts", "mts", "cts"):
        return "typescript"
    return "javascript"


def find_files(tree: Tree, word: str, suffixes: Iterable[str]) -> list[str]:
    """The files outside of the tests that have a word."""
    found: list[str] = []
    for suffix in suffixes:
        for path in tree.search(word, suffix):
            if not is_plainly_test(path):
                found.append(path)
    return sorted(found)


def find_kinds(root: SgNode, *kinds: str) -> list[SgNode]:
    """The nodes of some kinds below a node, and itself where it is one."""
    return root.find_all({"rule": {"any": [{"kind": kind} for kind in kinds]}})


def place_of(path: str, node: SgNode) -> Place:
    """A node as a place, with the beginning of its text."""
    text = " ".join(node.text().split())[:_SHOWN_CHARACTERS]
    return Place(path, node.range().start.line + 1, text)


def list_arguments(call: SgNode) -> list[SgNode]:
    """The arguments of a call, without parentheses, commas and comments."""
    listed = call.field("arguments")
    if listed is None:
        return []
    return [one for one in listed.children() if one.is_named() and one.kind() != "comment"]


def list_named(node: SgNode) -> Iterator[SgNode]:
    """The children that are no punctuation and no comments."""
    for child in node.children():
        if child.is_named() and child.kind() != "comment":
            yield child


def last_part(text: str) -> str:
    """ "add" of "this.queue.add", "Job" of "Sidekiq::Job"."""
    return text.replace("::", ".").replace("?.", ".").rpartition(".")[2].strip()
