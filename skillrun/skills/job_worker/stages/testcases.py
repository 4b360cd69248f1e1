"""The repository's tests that run the handler: each with the helpers and fixtures that it uses."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from skillrun.repo.syntax import find_nodes, list_given

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.skills.job_worker.stages.interface import JobCase

_TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?|tests?)\.py$|(^|/)tests?/[^/]*\.py$")
_SKIPPED = re.compile(r"(^|\.)(skip|skipTest|xfail|expectedFailure)$")
_SET_UP = ("setUp", "setUpClass", "asyncSetUp", "setup_method", "setup_class", "setup", "tearDown")
_ON_COMMIT = ("delay_on_commit", "apply_async_on_commit")
_PUBLISHING = (
    "delay",
    "apply_async",
    *_ON_COMMIT,
    "schedule",
    "send",
    "send_with_options",
    "defer",
    "defer_async",
)
_RUNNING = ("apply", "run", "__call__", "__wrapped__", "call_local", "func", "fn")
# A view calls a service, which calls a helper that publishes; names that everything uses end nowhere.
_MOST_ENQUEUERS = 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class TestCase:
    """One test that runs the handler. `parts`: its own code first, then what it uses, each with its
    file.
    """

    __test__ = False

    path: str
    line: int
    name: str
    parts: tuple[tuple[Module, ast.AST], ...]

    # Each stage and each kind of test asks for these again.
    @cached_property
    def nodes(self) -> tuple[tuple[Module, ast.AST], ...]:
        """Every syntax node of the test and of what it uses; docstrings left out."""
        found: list[tuple[Module, ast.AST]] = []
        for module, part in self.parts:
            for node in ast.walk(part):
                if not (
                    isinstance(node, ast.Constant)
                    and isinstance(next(module.parents(node), None), ast.Expr)
                ):
                    found.append((module, node))
        return tuple(found)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every name, attribute and text constant of a word."""
        found = set[str]()
        for _, node in self.nodes:
            found.update(words_in_node(node))
        return frozenset(found)

    def asserts(self) -> Iterator[ast.AST]:
        """What is asserted, one thing at a time; an assertion of a constant asserts nothing."""
        for _, node in self.nodes:
            if isinstance(node, ast.Assert):
                yield from _split_conditions(node.test)
            elif isinstance(node, ast.Call) and re.match(r"_?assert|raises$|fail$", _called(node)):
                yield node


def _split_conditions(test: ast.expr) -> Iterator[ast.expr]:
    """`assert a and b` asserts two things."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _split_conditions(part)
    elif not isinstance(test, ast.Constant):
        yield test


def is_test_file(path: str) -> bool:
    """By the names that pytest and unittest look for."""
    return bool(_TEST_FILE.search(path))


def tests_of(case: JobCase, handler: Definition) -> tuple[TestCase, ...]:
    """The tests that call the handler, hand it on, or call something of the application that
    enqueues it.
    """
    own = {handler.name.rpartition(".")[2]} | _variables(case, handler)
    names = own | _enqueuers(case)
    paths = set[str]()
    for name in names:
        paths.update(filter(is_test_file, case.tree.search(name, ".py")))
    paths.update(filter(is_test_file, _users(case, paths)))
    found: list[TestCase] = []
    for path in sorted(paths):
        found += _running(case, path, names, own)
    return tuple(found)


def _variables(case: JobCase, handler: Definition) -> set[str]:
    """The name under which the spec knows the task, e.g. `send = app.register_task(Send())`."""
    if case.spec and case.spec.handler:
        return {case.spec.handler.rpartition(":")[2].rpartition(".")[2]}
    return set()


def _users(case: JobCase, paths: set[str]) -> set[str]:
    """Test files beside or below a conftest.py, or a helper, that names the handler."""
    found: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == "conftest.py":
            found |= set(case.tree.match(f"{folder}/**/*.py".lstrip("/")))
        else:
            found |= set(case.tree.search(name.removesuffix(".py"), ".py"))
    return found


def _enqueuers(case: JobCase) -> set[str]:
    """Functions of the application that publish the job, or lead to one that does: a test may call
    these instead.
    """
    found = _publishers(case)
    waiting = sorted(found)
    while waiting and len(found) < _MOST_ENQUEUERS:
        callers = _callers(case, waiting.pop()) - found
        found |= callers
        waiting += sorted(callers)
    return found


def _callers(case: JobCase, name: str) -> set[str]:
    """The application's functions that call one of this name, in files that may mean it. Whether a
    test really comes to the handler is seen when the tests run.
    """
    found: set[str] = set()
    for path in case.tree.search(name, ".py"):
        module = None if is_test_file(path) else case.project.module(path)
        if module is None:
            continue
        for function in module.all_nodes:
            if not isinstance(function, Function):
                continue
            if any(_called(call) == name for call in find_nodes(function, ast.Call)):
                found.add(function.name)
    return found


def _publishers(case: JobCase) -> set[str]:
    """Functions of the application in which a message is sent."""
    found = set()
    for wiring in case.wiring:
        module = case.project.module(wiring.place.path)
        if module and not wiring.in_tests:
            for node in module.all_nodes:
                if isinstance(node, Function) and node.lineno <= wiring.place.line <= (
                    node.end_lineno or 0
                ):
                    found.add(node.name)
    return found


def _running(case: JobCase, path: str, names: set[str], own: set[str]) -> Iterator[TestCase]:
    module = case.project.module(path)
    if module is None or _is_skipped_module(module):
        return
    reader = _Reader(case.project, module, _conftests(case, path))
    for node, owner in _tests(case.project, module):
        if _is_skipped(node) or (owner is not None and _is_skipped(owner)):
            continue
        parts = tuple(reader.parts(node, owner))
        if _runs_handler(parts, names, own):
            if owner is None:
                name = node.name
            else:
                name = f"{owner.name}.{node.name}"
            yield TestCase(path, node.lineno, name, parts)


def _runs_handler(
    parts: tuple[tuple[Module, ast.AST], ...], names: set[str], own: set[str]
) -> bool:
    """Whether the test runs the handler by itself, or by way of what enqueues it, where it does not
    cut that way off.
    """
    runs, wanted = _runs, names
    if _is_cut_off(parts, own):
        runs, wanted = _runs_itself, own
    return any(runs(part, _with_aliases(held, wanted)) for held, part in parts)


def _tests(project: Project, module: Module) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    """The functions that pytest or unittest would collect."""
    for node in module.tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node, None
        elif isinstance(node, ast.ClassDef) and _holds_tests(project, module, node):
            for n in node.body:
                if isinstance(n, Function) and n.name.startswith("test"):
                    yield (n, node)


def _holds_tests(project: Project, module: Module, node: ast.ClassDef) -> bool:
    """By its own name, as pytest has it, or by that of any class that it derives from, as unittest
    has it: `class Shipping(ShopCase)`.
    """
    if node.name.startswith("Test"):
        return True
    for base in node.bases:
        names = {ast.unparse(base)}
        resolved = module.resolve(base)
        if resolved:
            names.update(project.ancestors(resolved))
        if any("Test" in name.rpartition(".")[2] for name in names):
            return True
    return False


def _conftests(case: JobCase, path: str) -> list[Module]:
    """The conftest.py files of a test, the nearest first."""
    found = []
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        module = case.project.module(f"{folder}/conftest.py".lstrip("/"))
        if module is not None:
            found.append(module)
    return found


class _Reader:
    """Collects what a test uses: functions and fixtures of its file, of conftest.py, and of other
    test files.
    """

    def __init__(self, project: Project, module: Module, conftests: list[Module]) -> None:
        self.project = project
        self.module = module
        self.known: dict[str, tuple[Module, ast.AST]] = {}
        for held in [*reversed(conftests), module]:
            for node in held.all_nodes:
                if isinstance(node, Function | ast.ClassDef):
                    self.known[_fixture_name(node)] = (held, node)

    def parts(self, test: Function, owner: ast.ClassDef | None) -> Iterator[tuple[Module, ast.AST]]:
        waiting: list[tuple[Module, ast.AST]] = [(self.module, test)]
        seen: set[ast.AST] = {test}
        if owner is not None:
            seen.add(owner)
            for statement in owner.body:
                if getattr(statement, "name", "") in _SET_UP:
                    waiting.append((self.module, statement))
                    seen.add(statement)
        while waiting:
            module, current = waiting.pop(0)
            yield module, current
            for found in self._used(module, current):
                if found[1] not in seen:
                    seen.add(found[1])
                    waiting.append(found)

    def _used(self, module: Module, current: ast.AST) -> Iterator[tuple[Module, ast.AST]]:
        for node in ast.walk(current):
            word = _word_of_use(node)
            if word in self.known:
                yield self.known[word]
            elif word == "usefixtures" and isinstance(node, ast.Call):
                yield from self._fixtures_named(node)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield from self._helper_meant(module, node)

    def _fixtures_named(self, call: ast.Call) -> Iterator[tuple[Module, ast.AST]]:
        """`@pytest.mark.usefixtures("broker")`"""
        for argument in call.args:
            for word in words_in_node(argument):
                if word in self.known:
                    yield self.known[word]

    def _helper_meant(self, module: Module, node: ast.expr) -> Iterator[tuple[Module, ast.AST]]:
        """A function of another test file."""
        name = module.resolve(node)
        found = None
        if name:
            found = self.project.definition(name)
        if found is not None and is_test_file(found.path):
            yield found.module, found.node


def _fixture_name(node: ast.AST) -> str:
    """`@pytest.fixture(name="mail")` renames a fixture."""
    for decorator in getattr(node, "decorator_list", ()):
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return str(getattr(node, "name", ""))


def _word_of_use(node: ast.AST) -> str | None:
    """The name by which a fixture or a helper is asked for: a parameter, a call, or a variable."""
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.Name):
        return node.id
    return None


def _is_skipped_module(module: Module) -> bool:
    for binding in module.bindings(module.tree).get("pytestmark", ()):
        if binding.value is not None and _is_skip(binding.value):
            return True
    return False


def _is_skipped(node: Function | ast.ClassDef) -> bool:
    """Always skipped, or expected to fail: such a test shows nothing."""
    if any(map(_is_skip, node.decorator_list)):
        return True
    for statement in node.body:
        value = None
        if isinstance(statement, ast.Expr):
            value = statement.value
        if isinstance(value, ast.Constant):
            continue  # a docstring
        return isinstance(value, ast.Call) and _is_skip(value)
    return False


def _is_skip(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple):
        return any(map(_is_skip, node.elts))
    return bool(_SKIPPED.search(ast.unparse(node.func if isinstance(node, ast.Call) else node)))


def _with_aliases(module: Module, names: set[str]) -> set[str]:
    """The names, and what `import ... as` makes of them in one file."""
    return names | {alias for name, alias in module.renamed if name in names}


def _runs(node: ast.AST, names: set[str]) -> bool:
    """A call of the handler or of one of its methods, a call that receives it, or one that names it
    as a text.
    """
    for call in find_nodes(node, ast.Call):
        words = set[str]()
        for part in ast.walk(call.func):
            if isinstance(part, ast.Name | ast.Attribute):
                words.update(words_in_node(part))
        for given in list_given(call):
            if isinstance(given, ast.Name | ast.Attribute):
                words.update(words_in_node(given))
        if _called(call) == "send_task":
            words |= _last_words(call.args)
        if words & names:
            return True
    return False


def _last_words(arguments: list[ast.expr]) -> set[str]:
    """ "shop.tasks.send" names `send`."""
    found = set()
    for argument in arguments:
        for word in words_in_node(argument):
            found.add(word.rpartition(".")[2])
    return found


def _is_cut_off(parts: tuple[tuple[Module, ast.AST], ...], own: set[str]) -> bool:
    """The test puts something else in the place of the handler, or of its `delay` or
    `apply_async`.
    """
    for held, part in parts:
        named = _with_aliases(held, own)
        for call in find_nodes(part, ast.Call):
            is_patch = re.search("patch|setattr", ast.unparse(call.func)) is not None
            if is_patch and not _hands_on(call, named) and _cuts_off(held, call, named):
                return True
    return False


def _cuts_off(module: Module, call: ast.Call, named: set[str]) -> bool:
    """Whether a patch stands in for the handler, or for a way of publishing it."""
    words = set[str]()
    for argument in call.args[:2]:
        for text in words_in(argument):
            words.update(text.split("."))
    if "send_task" in words:
        return True
    if named & words and (words - named) & set(_PUBLISHING):
        return True
    return _replaces(module, call, named)


def _hands_on(call: ast.Call, names: set[str]) -> bool:
    """`setattr(send, "apply_async", partial(send.apply_async, queue=own))`: the same, into another
    queue.
    """
    for argument in call.args[2:]:
        for node in find_nodes(argument, ast.Attribute):
            if node.attr not in _PUBLISHING:
                continue
            if names & words_in(node.value):
                return True
    return False


def _replaces(module: Module, call: ast.Call, names: set[str]) -> bool:
    """`patch("shop.orders.send")`, `setattr(orders, "send", ...)`: the task itself, where calling
    it publishes.
    """
    texts = []
    for a in call.args[:2]:
        if isinstance(a, ast.Constant) and isinstance(a.value, str):
            texts.append(a.value)
    if texts:
        owner, _, word = texts[0].rpartition(".")
    else:
        owner, _, word = ("", "", "")
    if texts and not owner:
        owner = module.resolve(call.args[0]) or ""
    return word in names and owner.partition(".")[0] not in ("", *sys.stdlib_module_names)


def _runs_itself(node: ast.AST, names: set[str]) -> bool:
    """`send(...)`, `send.apply(...)`, `run(send)`: no way over the broker; what a patch replaces
    does not run.
    """
    for call in find_nodes(node, ast.Call):
        called = call.func
        replaced = 0
        if re.search("patch|setattr", ast.unparse(called)):
            replaced = 2
        if isinstance(called, ast.Attribute) and called.attr in _RUNNING:
            called = called.value
        given = list_given(call)[min(replaced, len(call.args)) :]
        for part in (called, *given):
            is_named = isinstance(part, ast.Name | ast.Attribute)
            if is_named and not names.isdisjoint(words_in_node(part)):
                return True
    return False


def words_in(part: ast.AST) -> set[str]:
    """Every name, attribute and text constant in a piece of code."""
    found = set[str]()
    for node in ast.walk(part):
        found.update(words_in_node(node))
    return found


def words_in_node(node: ast.AST) -> tuple[str, ...]:
    """The name, attribute or text that one node is."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (node.attr,)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    return ()


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", "")
