"""The repository's tests that run the handler: each with the helpers and fixtures that it uses."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.syntax import find_nodes, list_given

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.skills.job_worker.job_case import JobCase

# pytest.mark.skip, self.skipTest, unittest.expectedFailure
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
# Ways to run a task's function here and now, without a broker.
_RUNNING = ("apply", "run", "__call__", "__wrapped__", "call_local", "func", "fn")
# A view calls a service, which calls a helper that publishes; names that everything uses end
# nowhere.
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
        nodes: list[tuple[Module, ast.AST]] = []
        for module, part in self.parts:
            for node in ast.walk(part):
                above = None
                if isinstance(node, ast.Constant):
                    above = next(module.parents(node), None)
                if not isinstance(above, ast.Expr):
                    nodes.append((module, node))
        return tuple(nodes)

    @cached_property
    def words(self) -> frozenset[str]:
        """Every name, attribute and text constant."""
        words = set[str]()
        for _, node in self.nodes:
            words.update(words_in_node(node))
        return frozenset(words)

    def asserts(self) -> Iterator[ast.AST]:
        """What is asserted, one thing at a time; an assertion of a constant asserts nothing."""
        for _, node in self.nodes:
            if isinstance(node, ast.Assert):
                yield from _split_conditions(node.test)
            elif isinstance(node, ast.Call) and _is_assertion(node):
                yield node


def _is_assertion(call: ast.Call) -> bool:
    """Whether it is `assert_called_once()`, `self.assertEqual(...)`, `pytest.raises(...)`, or
    `pytest.fail(...)`.
    """
    return re.match(r"_?assert|raises$|fail$", _called_name(call)) is not None


def _split_conditions(test: ast.expr) -> Iterator[ast.expr]:
    """The parts of a condition: `assert a and b` asserts two things."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _split_conditions(part)
    elif not isinstance(test, ast.Constant):
        yield test


def tests_of(case: JobCase, handler: Definition) -> tuple[TestCase, ...]:
    """The tests that call the handler, hand it on, or call something of the application that
    enqueues it.
    """
    own_names = {handler.name.rpartition(".")[2]} | _name_in_spec(case)
    names = own_names | _list_enqueuers(case)
    paths = set[str]()
    for name in names:
        paths.update(filter(is_taken_for_tests, case.tree.search(name, ".py")))
    paths.update(filter(is_taken_for_tests, _find_users(case, paths)))
    tests: list[TestCase] = []
    for path in sorted(paths):
        tests += _find_running(case, path, names, own_names)
    return tuple(tests)


def _name_in_spec(case: JobCase) -> set[str]:
    """The name under which the spec knows the task, e.g. `send = app.register_task(Send())`."""
    if case.spec and case.spec.handler:
        return {case.spec.handler.rpartition(":")[2].rpartition(".")[2]}
    return set()


def _find_users(case: JobCase, paths: set[str]) -> set[str]:
    """The files beside or below these that are a conftest.py, and those that name these helpers."""
    users: set[str] = set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name == "conftest.py":
            users.update(case.tree.match(f"{folder}/**/*.py".lstrip("/")))
        else:
            users.update(case.tree.search(name.removesuffix(".py"), ".py"))
    return users


def _list_enqueuers(case: JobCase) -> set[str]:
    """The functions of the application that publish the job, or lead to one that does: a test may
    call these instead.
    """
    enqueuers = _list_publishers(case)
    waiting = sorted(enqueuers)
    while waiting and len(enqueuers) < _MOST_ENQUEUERS:
        callers = _list_callers(case, waiting.pop()) - enqueuers
        enqueuers |= callers
        waiting += sorted(callers)
    return enqueuers


def _list_callers(case: JobCase, name: str) -> set[str]:
    """The application's functions that call one of this name, in files that may mean it. Whether a
    test really comes to the handler is seen when the tests run.
    """
    callers: set[str] = set()
    for path in case.tree.search(name, ".py"):
        if is_taken_for_tests(path):
            continue
        module = case.project.module(path)
        if module is None:
            continue
        for function in module.all_nodes:
            if not isinstance(function, Function):
                continue
            if any(_called_name(call) == name for call in find_nodes(function, ast.Call)):
                callers.add(function.name)
    return callers


def _list_publishers(case: JobCase) -> set[str]:
    """The functions of the application in which a message is sent."""
    publishers = set()
    for send in case.wiring:
        module = case.project.module(send.place.path)
        if module is None or send.in_tests:
            continue
        for node in module.all_nodes:
            if not isinstance(node, Function):
                continue
            if node.lineno <= send.place.line <= (node.end_lineno or 0):
                publishers.add(node.name)
    return publishers


def _find_running(
    case: JobCase, path: str, names: set[str], own_names: set[str]
) -> Iterator[TestCase]:
    """The tests of one file that run the handler, without those that are always skipped."""
    module = case.project.module(path)
    if module is None or _is_skipped_module(module):
        return
    reader = _Reader(case.project, module, _find_conftests(case, path))
    for node, owner in _collect_tests(case.project, module):
        if _is_skipped(node) or (owner is not None and _is_skipped(owner)):
            continue
        parts = tuple(reader.find_parts(node, owner))
        if not _runs_handler(parts, names, own_names):
            continue
        name = node.name
        if owner is not None:
            name = f"{owner.name}.{node.name}"
        yield TestCase(path, node.lineno, name, parts)


def _runs_handler(
    parts: tuple[tuple[Module, ast.AST], ...], names: set[str], own_names: set[str]
) -> bool:
    """Whether the test runs the handler. By way of what enqueues it counts, too, unless the test
    cuts that way off.
    """
    if _is_cut_off(parts, own_names):
        return any(_runs_itself(part, _with_aliases(held, own_names)) for held, part in parts)
    return any(_leads_to(part, _with_aliases(held, names)) for held, part in parts)


def _collect_tests(
    project: Project, module: Module
) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    """(function, its class or None) for each test that pytest or unittest would collect."""
    for node in module.tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node, None
        elif isinstance(node, ast.ClassDef) and _holds_tests(project, module, node):
            for method in node.body:
                if isinstance(method, Function) and method.name.startswith("test"):
                    yield method, node


def _holds_tests(project: Project, module: Module, node: ast.ClassDef) -> bool:
    """Whether the tests of a class are collected: by its own name, as pytest has it, or by that of
    any class that it derives from, as unittest has it (`class Shipping(ShopCase)`).
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


def _find_conftests(case: JobCase, path: str) -> list[Module]:
    """The conftest.py files of a test, the nearest first."""
    conftests = []
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        module = case.project.module(f"{folder}/conftest.py".lstrip("/"))
        if module is not None:
            conftests.append(module)
    return conftests


class _Reader:
    """Collects what a test uses: functions and fixtures of its file, of conftest.py, and of other
    test files.
    """

    def __init__(self, project: Project, module: Module, conftests: list[Module]) -> None:
        self.project = project
        self.module = module
        self.known: dict[str, tuple[Module, ast.AST]] = {}
        # What lies nearer to the test hides what lies further away, so it comes last.
        for held in [*reversed(conftests), module]:
            for node in held.all_nodes:
                if isinstance(node, Function | ast.ClassDef):
                    self.known[_fixture_name(node)] = (held, node)

    def find_parts(
        self, test: Function, owner: ast.ClassDef | None
    ) -> Iterator[tuple[Module, ast.AST]]:
        """The test itself, the set-up of its class, then what these use, each once."""
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
            for held, used in self._find_used(module, current):
                if used not in seen:
                    seen.add(used)
                    waiting.append((held, used))

    def _find_used(self, module: Module, current: ast.AST) -> Iterator[tuple[Module, ast.AST]]:
        """The functions, fixtures and classes of tests that a piece of code uses."""
        for node in ast.walk(current):
            word = _word_of_use(node)
            if word in self.known:
                yield self.known[word]
            elif word == "usefixtures" and isinstance(node, ast.Call):
                yield from self._find_named_fixtures(node)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                yield from self._find_helper(module, node)

    def _find_named_fixtures(self, call: ast.Call) -> Iterator[tuple[Module, ast.AST]]:
        """The fixtures that `@pytest.mark.usefixtures("broker")` names."""
        for argument in call.args:
            for word in words_in_node(argument):
                if word in self.known:
                    yield self.known[word]

    def _find_helper(self, module: Module, node: ast.expr) -> Iterator[tuple[Module, ast.AST]]:
        """The function of another test file that a name stands for."""
        name = module.resolve(node)
        if not name:
            return
        helper = self.project.definition(name)
        if helper is not None and is_taken_for_tests(helper.path):
            yield helper.module, helper.node


def _fixture_name(node: ast.AST) -> str:
    """The name by which tests ask for a fixture: `@pytest.fixture(name="mail")` gives another one
    than the function's.
    """
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
        return _called_name(node)
    if isinstance(node, ast.Name):
        return node.id
    return None


def _is_skipped_module(module: Module) -> bool:
    """Whether a file says `pytestmark = pytest.mark.skip`."""
    for binding in module.bindings(module.tree).get("pytestmark", ()):
        if binding.value is not None and _is_skip(binding.value):
            return True
    return False


def _is_skipped(node: Function | ast.ClassDef) -> bool:
    """Whether a test is always skipped, or expected to fail: it shows nothing."""
    if any(_is_skip(decorator) for decorator in node.decorator_list):
        return True
    for statement in node.body:
        value = None
        if isinstance(statement, ast.Expr):
            value = statement.value
        # The docstring comes before a `pytest.skip(...)` that is the first statement.
        if isinstance(value, ast.Constant):
            continue
        return isinstance(value, ast.Call) and _is_skip(value)
    return False


def _is_skip(node: ast.expr) -> bool:
    """Whether it is a mark that skips, with a reason or without, or a list that has one."""
    if isinstance(node, ast.List | ast.Tuple):
        return any(_is_skip(element) for element in node.elts)
    if isinstance(node, ast.Call):
        node = node.func
    return _SKIPPED.search(ast.unparse(node)) is not None


def _with_aliases(module: Module, names: set[str]) -> set[str]:
    """The names, and what `import ... as` makes of them in one file."""
    return names | {alias for name, alias in module.renamed if name in names}


def _leads_to(node: ast.AST, names: set[str]) -> bool:
    """Whether a piece of code calls one of these names or a method of it, gives it to a call, or
    names it as a text (`send_task("shop.tasks.send")`).
    """
    for call in find_nodes(node, ast.Call):
        words = set[str]()
        for part in ast.walk(call.func):
            if isinstance(part, ast.Name | ast.Attribute):
                words.update(words_in_node(part))
        for given in list_given(call):
            if isinstance(given, ast.Name | ast.Attribute):
                words.update(words_in_node(given))
        if _called_name(call) == "send_task":
            words |= _list_last_words(call.args)
        if words & names:
            return True
    return False


def _list_last_words(arguments: list[ast.expr]) -> set[str]:
    """The last words of dotted texts: `send` for "shop.tasks.send"."""
    last_words = set()
    for argument in arguments:
        for word in words_in_node(argument):
            last_words.add(word.rpartition(".")[2])
    return last_words


def _is_cut_off(parts: tuple[tuple[Module, ast.AST], ...], own_names: set[str]) -> bool:
    """Whether the test puts something else in the place of the handler, or of its `delay` or
    `apply_async`.
    """
    for held, part in parts:
        names = _with_aliases(held, own_names)
        for call in find_nodes(part, ast.Call):
            if not _is_patch(call) or _hands_on(call, names):
                continue
            if _cuts_off(held, call, names):
                return True
    return False


def _is_patch(call: ast.Call) -> bool:
    """Whether it is `mock.patch(...)`, `mocker.patch.object(...)`, `monkeypatch.setattr(...)`."""
    return re.search("patch|setattr", ast.unparse(call.func)) is not None


def _cuts_off(module: Module, call: ast.Call, names: set[str]) -> bool:
    """Whether a patch stands in for the handler, or for a way of publishing it."""
    # The first two arguments are what is patched, as a text or as an object and a text.
    words = set[str]()
    for argument in call.args[:2]:
        for text in words_in(argument):
            words.update(text.split("."))
    if "send_task" in words:
        return True
    if names & words and (words - names) & set(_PUBLISHING):
        return True
    return _replaces_handler(module, call, names)


def _hands_on(call: ast.Call, names: set[str]) -> bool:
    """Whether what is put in place publishes the job all the same, into another queue, say:
    `setattr(send, "apply_async", partial(send.apply_async, queue=own))`.
    """
    for argument in call.args[2:]:
        for node in find_nodes(argument, ast.Attribute):
            if node.attr not in _PUBLISHING:
                continue
            if names & words_in(node.value):
                return True
    return False


def _replaces_handler(module: Module, call: ast.Call, names: set[str]) -> bool:
    """Whether the task itself is replaced, where calling it publishes: `patch("shop.orders.send")`,
    `setattr(orders, "send", ...)`.
    """
    text = None
    for argument in call.args[:2]:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            text = argument.value
            break
    if text is None:
        return False
    owner, _, word = text.rpartition(".")
    if not owner:
        owner = module.resolve(call.args[0]) or ""
    # `patch("time.sleep")` where the handler is called `sleep`.
    return word in names and owner.partition(".")[0] not in ("", *sys.stdlib_module_names)


def _runs_itself(node: ast.AST, names: set[str]) -> bool:
    """Whether a piece of code runs one of these names without a broker: `send(...)`,
    `send.apply(...)`, `run(send)`.
    """
    for call in find_nodes(node, ast.Call):
        called = call.func
        given = list_given(call)
        # What a patch replaces does not run.
        if _is_patch(call):
            given = given[min(2, len(call.args)) :]
        if isinstance(called, ast.Attribute) and called.attr in _RUNNING:
            called = called.value
        for part in (called, *given):
            is_named = isinstance(part, ast.Name | ast.Attribute)
            if is_named and not names.isdisjoint(words_in_node(part)):
                return True
    return False


def words_in(part: ast.AST) -> set[str]:
    """Every name, attribute and text constant in a piece of code."""
    words = set[str]()
    for node in ast.walk(part):
        words.update(words_in_node(node))
    return words


def words_in_node(node: ast.AST) -> tuple[str, ...]:
    """The name, attribute or text that one node is."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (node.attr,)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    return ()


def _called_name(call: ast.Call) -> str:
    """`apply` of `send.apply(...)`; "" where no name is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return getattr(call.func, "id", "")
