"""What may publish a job although no call of it was found: its name as text, the function handed
on, or a call that sends whatever it is given.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.unfollowed import Unfollowed, is_read_library
from skillrun.repo.places import is_plainly_test
from skillrun.repo.source import last_word

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module
    from skillrun.skills.job_worker.job_case import JobCase

# Calls that take the job by its name, or as a value, in any library.
_SENDS_ANY = ("send_task", "enqueue_job", "enqueue", "enqueue_call", "async_task", "add_job")


def find_unread_sender(case: JobCase, handler: Definition) -> Unfollowed | None:
    """The first place that may send the job; None where the code shows that nothing does."""
    word = handler.name.rpartition(".")[2]
    for found in _find_mentions(case, handler, word):
        return found
    for found in _find_sends_of_anything(case, handler):
        return found
    return None


def _find_mentions(case: JobCase, handler: Definition, word: str) -> Iterator[Unfollowed]:
    """The job's name as text, or the function as a value, outside of tests and its own options."""
    for module in case.project.modules_with(word):
        if is_plainly_test(module.path):
            continue
        for node in module.all_nodes:
            if not _is_name_of(node, word) or _is_own_option(module, node, handler):
                continue
            if _may_be_followed(case, module, node):
                because = f"{ast.unparse(node)} stands in a call that was not followed"
                yield Unfollowed(because, place_of(module, node))
    for use in case.project.uses(handler.dotted):
        if is_plainly_test(use.path) or not _is_handed_on(use.module, use.node):
            continue
        if _is_registration(case, handler, use.module, use.node):
            continue
        if _may_be_followed(case, use.module, use.node):
            because = f"{ast.unparse(use.node)} is handed on as a value"
            yield Unfollowed(because, place_of(use.module, use.node))


def _is_name_of(node: ast.AST, word: str) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return node.value.replace(":", ".").rpartition(".")[2] == word


def _is_registration(case: JobCase, handler: Definition, module: Module, node: ast.AST) -> bool:
    """Where a worker is told of the job (`functions = [send_receipt]`), or a call that the readers
    know, and that they did not take for a sending.
    """
    for above in module.parents(node):
        if isinstance(above, ast.Call):
            origin = case.project.origin_of(module, above.func)
            if is_read_library(origin):
                return True
        if isinstance(above, ast.stmt):
            return _holds_registration(case, handler, module, above)
    return False


def _holds_registration(
    case: JobCase, handler: Definition, module: Module, statement: ast.stmt
) -> bool:
    use, framework = case.use, case.framework
    if use is None or framework is None:
        return False
    place = framework.find_registration(case.project, use, handler)
    if place is None or place.path != module.path:
        return False
    return statement.lineno <= place.line <= (statement.end_lineno or statement.lineno)


def _may_be_followed(case: JobCase, module: Module, node: ast.AST) -> bool:
    """What is given to a function of Python's own (`print`, a logger) goes no further."""
    for above in module.parents(node):
        if isinstance(above, ast.Call):
            origin = case.project.origin_of(module, above.func)
            first = origin.partition(".")[0]
            return first != "builtins" and first not in sys.stdlib_module_names
        if isinstance(above, ast.stmt):
            return True
    return True


def _is_own_option(module: Module, node: ast.AST, handler: Definition) -> bool:
    """`name="shop.send_receipt"` in the handler's own decorator, or a word in its body."""
    if module is not handler.module:
        return False
    own = (handler.node, *handler.decorators)
    return any(above in own for above in module.parents(node))


def _is_handed_on(module: Module, node: ast.AST) -> bool:
    """An argument, an entry or what is assigned; a plain call of the function sends nothing."""
    above = next(module.parents(node), None)
    if isinstance(above, ast.Call):
        return above.func is not node
    return isinstance(above, ast.keyword | ast.List | ast.Tuple | ast.Dict | ast.Assign)


def _find_sends_of_anything(case: JobCase, handler: Definition) -> Iterator[Unfollowed]:
    """`send_task(row.job)`: what is sent is only known when it runs."""
    for word in _SENDS_ANY:
        for module in case.project.modules_with(word):
            if is_plainly_test(module.path):
                continue
            for node in module.nodes(ast.Call):
                if _is_own_option(module, node, handler):
                    continue
                if _sends_what_it_is_given(case, module, node, word):
                    because = f"{ast.unparse(node.func)}({ast.unparse(node.args[0])}) may send it"
                    yield Unfollowed(because, place_of(module, node))


def _is_method_of_task(case: JobCase, module: Module, node: ast.Call) -> bool:
    """`send_receipt.using(...).enqueue(order_id)` sends that task, whatever it is given."""
    root: ast.expr = node.func
    while isinstance(root, ast.Attribute | ast.Call):
        if isinstance(root, ast.Attribute):
            root = root.value
        else:
            root = root.func
    name = module.resolve(root)
    found = None
    if name is not None:
        found = case.project.definition(name)
    return found is not None and isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef)


def _sends_what_it_is_given(case: JobCase, module: Module, node: ast.Call, word: str) -> bool:
    if last_word(node.func) != word or not node.args or _is_method_of_task(case, module, node):
        return False
    sent = node.args[0]
    if isinstance(sent, ast.Constant | ast.Lambda | ast.Starred):
        return False
    name = module.resolve(sent)
    if name is not None and case.project.definition(name) is not None:
        return False
    return not isinstance(case.project.literal(sent, module), str)
