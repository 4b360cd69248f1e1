"""The small breaks of any function: a statement that is left out, a condition that is settled, a
value that is another one; and of what is settled when a module is imported, as a job's options.

Each has a number in its file. All of them are written into it at once, and which one is active is
decided when it runs; so one text, and one collection of the tests, serves them all.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from skillrun.proof.breaking.edits import call_runtime, parse_source

WORKER = "worker"
"""The break of a handler that does nothing where a worker of its own runs it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Ordered: what is worth most comes first where not all can be tried.
KINDS = (
    *("left out", "another setting", "never true", "another value", "always true"),
    "another argument",
    "another value at the next call",
)
# What the libraries call a job's promises: attempts, waits, acknowledgements, limits, its queue.
OPTION = re.compile(
    r"retr(y|ies)|max_(tries|attempts)|attempts|backoff|jitter|acks_|reject|time_?limit|job_timeout"
    r"|visibility|prefetch|queue|serializer|accept_content|expires|ttl$|priority|rate_limit|throws",
    re.IGNORECASE,
)
# They name the job; without them no test finds it.
_IDENTITY = ("name", "bind", "base", "actor_name", "task_name", "pass_context")
_LOGS = ("log", "logger", "logging", "warnings", "print")
_PLAIN = (ast.Constant, ast.Lambda, ast.Starred)
_WORDS_SHOWN = 90


@dataclass(frozen=True)
class Site:
    """One place that can be broken. `id` is told to the process that runs the tests."""

    id: str
    path: str
    line: int
    function: str
    kind: str
    text: str
    at_import: bool = False  # it is settled before a test runs

    @property
    def words(self) -> str:
        """What is wrong with the code then."""
        if self.id == WORKER:
            return f"a worker of its own in which {self.function} does nothing"
        return f"{self.function} with {self.text} {self.kind}"


@dataclass(frozen=True)
class Parts:
    """What of a file can be broken; functions are known by the line of their `def`."""

    functions: frozenset[int]
    handlers: frozenset[int] = frozenset()
    has_options: bool = False  # its own code may set options of jobs
    keys: frozenset[str] = frozenset()  # arguments that have to be the same at the next attempt


def find_sites(source: bytes, path: str, parts: Parts) -> list[Site]:
    """The sites of a file, in the order of their numbers."""
    return _break_tree(source, path, parts)[1]


def write_sites(source: bytes, path: str, parts: Parts) -> str:
    """The text of a file in which each site can be broken. Raises SyntaxError or ValueError where
    Python cannot read it.
    """
    tree, _ = _break_tree(source, path, parts)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _break_tree(source: bytes, path: str, parts: Parts) -> tuple[ast.Module, list[Site]]:
    tree = parse_source(source)
    writer = _Writer(source, path, parts)
    writer.visit(tree)
    return tree, writer.sites


class _Writer(ast.NodeTransformer):
    """Goes through a file, and changes the bodies of the functions, and options."""

    def __init__(self, source: bytes, path: str, parts: Parts) -> None:
        self.source = source.decode("utf-8", "replace")
        self.path = path
        self.functions = parts.functions
        self.handlers = parts.handlers
        self.has_options = parts.has_options
        self.keys = parts.keys
        self.sites: list[Site] = []
        self._name = ""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        if self.has_options:
            self._name = self.path
            for part in _walk_import(node):
                self._break_options(part)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self._enter(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        self._enter(node)
        return node

    # -- options

    def _break_options(self, node: ast.AST) -> None:
        """What a module or a class sets by a name that a library reads."""
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg is not None and OPTION.search(keyword.arg):
                    keyword.value = self._set_otherwise(keyword.arg, keyword.value)
        elif isinstance(node, ast.Dict):
            for number, key in enumerate(node.keys):
                name = str(getattr(key, "value", ""))
                if isinstance(key, ast.Constant) and OPTION.search(name):
                    node.values[number] = self._set_otherwise(name, node.values[number])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            name = getattr(target, "attr", getattr(target, "id", ""))
            if OPTION.search(name):
                node.value = self._set_otherwise(name, node.value)

    def _break_registration(self, node: Function) -> None:
        """Every option that a handler's decorators give it, whatever it is called."""
        for decorator in node.decorator_list:
            for call in list(ast.walk(decorator)):
                for keyword in call.keywords if isinstance(call, ast.Call) else ():
                    if keyword.arg is not None and keyword.arg not in _IDENTITY:
                        keyword.value = self._set_otherwise(keyword.arg, keyword.value)

    def _set_otherwise(self, name: str, value: ast.expr) -> ast.expr:
        text = f"{name}={self._quote(value)}"
        changed = self._add_text(value.lineno, "another setting", "changed({site!r}, None)", text)
        assert isinstance(changed, ast.Call)
        changed.args[1] = value
        return changed

    # -- functions

    def _enter(self, node: Function) -> None:
        if node.lineno in self.handlers:
            self._name = node.name
            self._break_registration(node)
        if node.lineno not in self.functions:
            self.generic_visit(node)
            return
        self._name = node.name
        start = 1 if ast.get_docstring(node, clean=False) is not None else 0
        # Without what it sets up an object would fail in ways that any test notices.
        if node.name != "__init__":
            self._break_block(node.body, start)
        if node.lineno in self.handlers:
            lost = ast.If(call_runtime("lost()"), [ast.Return(None)], [])
            node.body.insert(start, lost)

    # -- statements

    def _break_block(self, block: list[ast.stmt], start: int = 0) -> None:
        for number in range(start, len(block)):
            block[number] = self._break_statement(block[number])

    def _break_statement(self, node: ast.stmt) -> ast.stmt:
        if isinstance(node, ast.ClassDef):
            return node
        if isinstance(node, Function):
            self._break_block(node.body, 1 if ast.get_docstring(node, clean=False) else 0)
            return node
        if _can_be_left_out(node):
            # Numbered before its parts: the same in every reading.
            kept = self._add(node, "left out", "kept({site!r})")
            self._break_values(node)
            return ast.If(kept, [node], [])
        if isinstance(node, ast.If | ast.While):
            self._break_condition(node)
        elif isinstance(node, ast.Return | ast.Assign | ast.AnnAssign):
            self._break_result(node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            node.iter = self._change(node.iter, "another value")
        for block in _blocks_of(node):
            self._break_block(block)
        return node

    def _break_condition(self, node: ast.If | ast.While) -> None:
        test = node.test
        never = self._add(test, "never true", "kept({site!r})")
        met = ast.BoolOp(ast.And(), [never, test])
        if isinstance(node, ast.While):
            # One that is always true has no end.
            node.test = met
            return
        always = self._add(test, "always true", "forced({site!r})")
        node.test = ast.BoolOp(ast.Or(), [always, met])

    def _break_result(self, node: ast.Return | ast.Assign | ast.AnnAssign) -> None:
        value = node.value
        if value is None:
            return
        self._break_values(node)
        is_plain = isinstance(value, ast.Constant) and value.value is None
        if not is_plain:
            node.value = self._change(value, "another value")

    # -- values

    def _break_values(self, node: ast.AST) -> None:
        """The arguments of its calls and the values of its dictionaries."""
        for inner in list(ast.walk(node)):
            if isinstance(inner, ast.Call) and not _is_log(inner):
                self._break_arguments(inner)
            elif isinstance(inner, ast.Dict):
                for number, value in enumerate(inner.values):
                    if inner.keys[number] is not None:
                        inner.values[number] = self._change(value, "another value")

    def _break_arguments(self, call: ast.Call) -> None:
        for keyword in call.keywords:
            if keyword.arg is not None:
                value = keyword.value
                keyword.value = self._change(value, "another value")
                if keyword.arg in self.keys:
                    self._change_again(keyword, value)
        for number, argument in enumerate(call.args):
            # A constant is most often a text that the program itself reads: SQL, a name, a format.
            if not isinstance(argument, _PLAIN):
                call.args[number] = self._change(argument, "another argument")

    def _change(self, value: ast.expr, kind: str) -> ast.expr:
        changed = self._add(value, kind, "changed({site!r}, None)")
        assert isinstance(changed, ast.Call)
        changed.args[1] = value
        return changed

    def _change_again(self, keyword: ast.keyword, value: ast.expr) -> None:
        """A stand-in that looks at no key hides a key that is another one at each attempt, and a
        test that knows the one right key notices the other break alone.
        """
        kind = "another value at the next call"
        changed = self._add(value, kind, "changed_again({site!r}, None)")
        assert isinstance(changed, ast.Call)
        changed.args[1] = keyword.value
        keyword.value = changed

    def _add(self, node: ast.expr | ast.stmt, kind: str, call: str) -> ast.expr:
        return self._add_text(node.lineno, kind, call, self._quote(node))

    def _add_text(self, line: int, kind: str, call: str, text: str) -> ast.expr:
        site = f"{self.path}:{len(self.sites)}"
        is_early = kind == "another setting"
        found = Site(site, self.path, line, self._name, kind, f"`{text}`", is_early)
        self.sites.append(found)
        return call_runtime(call.format(site=site))

    def _quote(self, node: ast.expr | ast.stmt) -> str:
        # Not what the tree says now: its parts may hold calls of ours.
        text = " ".join((ast.get_source_segment(self.source, node) or "").split())
        if len(text) > _WORDS_SHOWN:
            return f"{text[:_WORDS_SHOWN]}..."
        return text


def _walk_import(tree: ast.Module) -> list[ast.AST]:
    """What importing a module runs, without functions and their decorators."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [*reversed(tree.body)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Function | ast.Lambda):
            continue
        found.append(node)
        waiting += reversed(list(ast.iter_child_nodes(node)))
    return found


def _can_be_left_out(node: ast.stmt) -> bool:
    """Nothing after it would miss a name."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets)
    return isinstance(node, ast.Raise | ast.AugAssign | ast.Delete)


def _blocks_of(node: ast.stmt) -> list[list[ast.stmt]]:
    """The lists of statements inside of a statement."""
    found = []
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            found.append(block)
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        found.append(part.body)
    return found


def _is_log(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return ast.unparse(owner).rpartition(".")[2] in _LOGS
