"""What a branch lets a worker do beside the job: a signal's receiver, a middleware or a hook that
sends something out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, listed
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach

ID = "beside-the-job"
HELP = (
    "A receiver of a worker's signals, a middleware or a hook runs with every job and is none of "
    "its code. Found, where the base has none: one from which a declared effect is reached "
    "(error), or another call that goes out (warning)."
)
_HINT = "let the job itself do it, where its key and its proof hold; or let a person decide it"
_RECEIVING = {"connect", "receiver", "connect_via", "on_event", "on_startup"}
_HOOKS = {
    *("on_success", "after_return", "on_retry", "on_failure", "before_start"),
    *("after_process_message", "before_process_message", "after_skip_message", "after_ack"),
    *("post_execute", "pre_execute", "post_save", "on_error", "on_job_end", "after_job_end"),
}


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each receiver that sends out more than the base's of its name."""
    effects = _list_effects(diff)
    for file in diff.python_files():
        if file.new is None or is_taken_for_tests(file.path) or not _may_receive(file.new):
            continue
        old = _Receivers(diff.before, file.old_path, effects)
        new = _Receivers(diff.after, file.path, effects)
        for name, definition in new.found.items():
            was = old.measure_reach(old.found.get(name))
            now = new.measure_reach(definition)
            line = definition.line
            if now[0] > was[0]:
                said = f"{quoted(name)} runs beside every job and reaches a declared effect"
                yield taken(ID, file, line, f"{said}: {quoted(file.new_line(line))}", hint=_HINT)
            elif now[1] > was[1]:
                said = f"{quoted(name)} runs beside every job and sends something out"
                yield doubtful(ID, file, line, f"{said}: {quoted(file.new_line(line))}", hint=_HINT)


def _may_receive(text: str) -> bool:
    return any(word in text for word in (*_RECEIVING, *_HOOKS))


def _list_effects(diff: Diff) -> frozenset[str]:
    found = set()
    for spec in diff.specs:
        for document in (spec.old_document, spec.new_document):
            value = document.value if document is not None else None
            for effect in listed(at(value, "effects")):
                found.add(str(at(effect, "call")).replace(":", "."))
    return frozenset(found)


class _Receivers:
    """The receivers of one file on one side."""

    def __init__(self, sources: CommitSources, path: str, effects: frozenset[str]) -> None:
        self.project = sources.project
        self.effects = effects
        self.found: dict[str, Definition] = {}
        module = self.project.module(path)
        if module is not None:
            for node in _list_receivers(module):
                definition = self.project.define(module, node)
                self.found[definition.name] = definition

    def measure_reach(self, definition: Definition | None) -> tuple[int, int]:
        """(declared effects that it reaches, calls that go out)."""
        if definition is None:
            return 0, 0
        reach = Reach(self.project)
        reach.follow([definition.import_path])
        below: set[ast.AST] = set()
        # Not its decorators: they may name the job that the signal is of.
        waiting = list(_list_named(reach, definition))
        while waiting:
            node = waiting.pop()
            if node not in below:
                below.add(node)
                waiting += reach.below.get(node, ())
        effects = 0
        for node, found in reach.functions.items():
            if node in below and found.dotted in self.effects:
                effects += 1
        body = getattr(definition.node, "body", [])
        return effects, Outgoing(reach).count_block(body, definition.module)


def _list_named(reach: Reach, definition: Definition) -> Iterator[ast.AST]:
    """The functions that its body names."""
    for statement in getattr(definition.node, "body", ()):
        for node in ast.walk(statement):
            if isinstance(node, ast.Name | ast.Attribute):
                found = reach.definition(definition.module, node)
                if found is not None:
                    yield found.node


def _list_receivers(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    handed = _list_handed(module.tree)
    for node in module.all_nodes:
        if not isinstance(node, FunctionNode):
            continue
        is_hook = module.class_of(node) is not None and node.name in _HOOKS
        if is_hook or node.name in handed or any(map(_is_receiving, node.decorator_list)):
            yield node


def _is_receiving(decorator: ast.expr) -> bool:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return last_word(inner) in _RECEIVING


def _list_handed(tree: ast.Module) -> set[str]:
    """The functions that are given to `connect`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and last_word(node.func) in _RECEIVING:
            found |= {argument.id for argument in node.args if isinstance(argument, ast.Name)}
    return found
