"""Weaker promises in a job spec: guarantees, keys, windows, errors, retries, dead letters, or the
spec itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.contract.positions import Document
from skillrun.core.verdict import Finding
from skillrun.repo.python import Definition, Project
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.spec_findings import find_altered
from skillrun.wall.gaming.specs import at, listed, vanished

ID = "weaker-guarantee"
HELP = (
    "A job spec that promises less, or of something else, is easier to satisfy. Found: another "
    "handler, adapter or publisher; an effect, key field, error, window or dead letter that is "
    "gone or another one; a weaker guarantee, more attempts, looser waits; and a spec that is "
    "gone. Stronger promises and further ones are no findings."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each promise that is not the base's, or a stronger one."""
    yield from find_altered(diff, ID)
    for gone in vanished(diff):
        yield _describe_vanished(diff, gone)


def _describe_vanished(diff: Diff, gone: File) -> Finding:
    code = _Code(diff.before.project, diff.after.project)
    document = gone.old_document
    if document is None or not code.is_gone(at(document.value, "handler")):
        said = f"the job spec {gone.path} is gone: nothing is verified of its job any more"
        return taken(ID, gone, 1, said, hint="put it back while the job exists")
    heir = code.find_heir(document)
    if heir is None:
        return doubtful(ID, gone, 1, f"the job spec {gone.path} is gone, and its handler, too")
    said = (
        f"the job spec {gone.path} is gone, and {quoted(heir.import_path)} does its work"
        " without one"
    )
    return taken(ID, gone, 1, said, hint="keep the spec, and name the new handler in it")


@dataclass
class _Code:
    """The code of both sides."""

    old: Project
    new: Project

    def is_gone(self, handler: Any) -> bool:
        """The base has the handler, and HEAD has nothing of its name in the same place."""
        if not isinstance(handler, str) or self.old.find(handler) is None:
            return False
        return self.new.lookup(handler) is None

    def find_heir(self, spec: Document) -> Definition | None:
        """A function that HEAD has and the base has not, and that calls an effect of the spec that
        is gone.
        """
        calls = [str(at(effect, "call")) for effect in listed(at(spec.value, "effects"))]
        for call in calls:
            if self.new.lookup(call) is None:
                continue
            for use in self.new.references(call):
                heir = self._new_function(use.module.function_of(use.node), use.module)
                if heir is not None:
                    return heir
        return None

    def _new_function(self, node: ast.AST | None, module: Any) -> Definition | None:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        found = self.new.define(module, node)
        if self.old.lookup(found.import_path) is not None:
            return None
        return found
