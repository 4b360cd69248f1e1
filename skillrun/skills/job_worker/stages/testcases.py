"""The repository's tests that run the handler: each with the helpers and fixtures that it uses."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

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
        return frozenset(word for _, node in self.nodes for word in words_in_node(node))

    def asserts(self) -> Iterator[ast.AST]:
        """What is asserted; an assertion of a constant asserts nothing."""
        for _, node in self.nodes:
            if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant):
                yield node.test
            elif isinstance(node, ast.Call) and re.match(r"_?assert|raises$|fail$", _called(node)):
                yield node


def is_test_file(path: str) -> bool:
    """By the names that pytest and unittest look for."""
    return bool(_TEST_FILE.search(path))


def tests_of(case: JobCase, handler: Definition) -> tuple[TestCase, ...]:
    """The tests that call the handler, hand it on, or call something of the application that
    enqueues it.
    """
    own = {handler.name.rpartition(".")[2]} | _variables(case, handler)
    names = own | _enqueuers(case)
    paths = set()
    for name in names:
        for path in case.tree.search(name, ".py"):
            if is_test_file(path):
                paths.add(path)
    paths |= {path for path in _users(case, paths) if is_test_file(path)}
    return tuple(test for path in sorted(paths) for test in _running(case, path, names, own))


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
    """Functions of the application that publish the job: a test may call these instead."""
    found = set()
    for wiring in case.wiring:
        module = case.project.module(wiring.place.path)
        for node in module.all_nodes if module and not wiring.in_tests else ():
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
    for node, owner in _tests(module):
        if not _is_skipped(node) and not (owner and _is_skipped(owner)):
            parts = tuple(reader.parts(node, owner))
            runs = _runs_itself if _is_cut_off(parts, own) else _runs
            wanted = own if runs is _runs_itself else names
            if any(runs(part, _with_aliases(held, wanted)) for held, part in parts):
                yield TestCase(
                    path, node.lineno, f"{owner.name}.{node.name}" if owner else node.name, parts
                )


def _tests(module: Module) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    """The functions that pytest or unittest would collect."""
    for node in module.tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            yield node, None
        elif isinstance(node, ast.ClassDef) and _holds_tests(node):
            for n in node.body:
                if isinstance(n, Function) and n.name.startswith("test"):
                    yield (n, node)


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any("Test" in ast.unparse(base) for base in node.bases)


def _conftests(case: JobCase, path: str) -> list[Module]:
    """The conftest.py files of a test, the nearest first."""
    folders = path.split("/")[:-1]
    paths = ["/".join([*folders[:depth], "conftest.py"]) for depth in range(len(folders), -1, -1)]
    return [module for path in paths if (module := case.project.module(path))]


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
        waiting += (
            [(self.module, n) for n in owner.body if getattr(n, "name", "") in _SET_UP]
            if owner
            else []
        )
        seen: set[ast.AST] = {node for _, node in waiting} | ({owner} if owner else set())
        while waiting:
            module, current = waiting.pop(0)
            yield module, current
            for found in self._used(module, current):
                if found[1] not in seen:
                    seen.add(found[1])
                    waiting.append(found)

    def _used(self, module: Module, current: ast.AST) -> Iterator[tuple[Module, ast.AST]]:
        for node in ast.walk(current):
            if isinstance(node, ast.arg):
                word = node.arg
            elif isinstance(node, ast.Call):
                word = _called(node)
            else:
                word = None
            word = node.id if isinstance(node, ast.Name) else word
            if word in self.known:
                yield self.known[word]
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                name = module.resolve(node)
                found = self.project.definition(name) if name else None
                if found is not None and is_test_file(found.path):
                    yield found.module, found.node
            elif isinstance(node, ast.Call) and word == "usefixtures":
                for a in node.args:
                    for w in words_in_node(a):
                        if w in self.known:
                            yield self.known[w]


def _fixture_name(node: ast.AST) -> str:
    """`@pytest.fixture(name="mail")` renames a fixture."""
    for decorator in getattr(node, "decorator_list", ()):
        for keyword in decorator.keywords if isinstance(decorator, ast.Call) else ():
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
    return str(getattr(node, "name", ""))


def _is_skipped_module(module: Module) -> bool:
    marks = []
    for b in module.bindings(module.tree).get("pytestmark", ()):
        if b.value is not None:
            marks.append(b.value)
    return any(_is_skip(mark) for mark in marks)


def _is_skipped(node: Function | ast.ClassDef) -> bool:
    """Always skipped, or expected to fail: such a test shows nothing."""
    if any(_is_skip(decorator) for decorator in node.decorator_list):
        return True
    first = [
        s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
    ][:1]
    return any(
        isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) and _is_skip(s.value)
        for s in first
    )


def _is_skip(node: ast.expr) -> bool:
    if isinstance(node, ast.List | ast.Tuple):
        return any(_is_skip(element) for element in node.elts)
    return bool(_SKIPPED.search(ast.unparse(node.func if isinstance(node, ast.Call) else node)))


def _with_aliases(module: Module, names: set[str]) -> set[str]:
    """The names, and what `import ... as` makes of them in one file."""
    return names | {alias for name, alias in module.renamed if name in names}


def _runs(node: ast.AST, names: set[str]) -> bool:
    """A call of the handler or of one of its methods, a call that receives it, or one that names it
    as a text.
    """
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        chain = set()
        for n in ast.walk(call.func):
            for w in words_in_node(n):
                if isinstance(n, ast.Name | ast.Attribute):
                    chain.add(w)
        passed = [*call.args, *(k.value for k in call.keywords)]
        received = {
            w for a in passed if isinstance(a, ast.Name | ast.Attribute) for w in words_in_node(a)
        }
        if chain & names or received & names:
            return True
        if (
            _called(call) == "send_task"
            and {w.rpartition(".")[2] for a in call.args for w in words_in_node(a)} & names
        ):
            return True
    return False


def _is_cut_off(parts: tuple[tuple[Module, ast.AST], ...], own: set[str]) -> bool:
    """The test puts something else in the place of the handler, or of its `delay` or
    `apply_async`.
    """
    for held, part in parts:
        named = _with_aliases(held, own)
        for call in (
            n
            for n in ast.walk(part)
            if isinstance(n, ast.Call) and re.search("patch|setattr", ast.unparse(n.func))
        ):
            words = []
            for argument in call.args[:2]:
                for w in words_in(argument):
                    words.append(w)
            split = set()
            for word in words:
                for piece in word.split("."):
                    split.add(piece)
            if _hands_on(call, named):
                continue
            if (
                "send_task" in split
                or (named & split and (split - named) & set(_PUBLISHING))
                or _replaces(held, call, named)
            ):
                return True
    return False


def _hands_on(call: ast.Call, names: set[str]) -> bool:
    """`setattr(send, "apply_async", partial(send.apply_async, queue=own))`: the same, into another
    queue.
    """
    parts = []
    for argument in call.args[2:]:
        for node in ast.walk(argument):
            if isinstance(node, ast.Attribute):
                parts.append(node)
    return any(node.attr in _PUBLISHING and names & words_in(node.value) for node in parts)


def _replaces(module: Module, call: ast.Call, names: set[str]) -> bool:
    """`patch("shop.orders.send")`, `setattr(orders, "send", ...)`: the task itself, where calling
    it publishes.
    """
    texts = []
    for a in call.args[:2]:
        if isinstance(a, ast.Constant) and isinstance(a.value, str):
            texts.append(a.value)
    owner, _, word = texts[0].rpartition(".") if texts else ("", "", "")
    if texts and not owner:
        owner = module.resolve(call.args[0]) or ""
    return word in names and owner.partition(".")[0] not in ("", *sys.stdlib_module_names)


def _runs_itself(node: ast.AST, names: set[str]) -> bool:
    """`send(...)`, `send.apply(...)`, `run(send)`: no way over the broker; what a patch replaces
    does not run.
    """
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        func = call.func
        replaced = 2 if re.search("patch|setattr", ast.unparse(func)) else 0
        if isinstance(func, ast.Attribute) and func.attr in _RUNNING:
            called = func.value
        else:
            called = func
        passed = [*call.args[replaced:], *(keyword.value for keyword in call.keywords)]
        if any(
            isinstance(n, ast.Name | ast.Attribute) and set(words_in_node(n)) & names
            for n in (called, *passed)
        ):
            return True
    return False


def words_in(part: ast.AST) -> set[str]:
    """Every name, attribute and text constant in a piece of code."""
    return {word for node in ast.walk(part) for word in words_in_node(node)}


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
