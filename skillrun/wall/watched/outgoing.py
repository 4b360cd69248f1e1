"""How often a function may call out of the process in one call of it, as far as its text tells: to
a provider, another program, a queue, a file.

What comes one after the other is added, of alternatives the larger counts. A loop that hands its
own value to such a call counts it twice: it stands for several.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.watched.reach import Reach

_WORDS = {
    *("send", "sendall", "send_message", "sendmail", "send_email", "post", "put", "patch"),
    *("request", "urlopen", "publish", "basic_publish", "enqueue", "delay", "apply_async"),
    *("send_task", "kiq", "defer", "defer_async", "charge", "refund", "capture", "transfer"),
    *("pay", "upload", "upload_file", "put_object", "notify", "deliver", "dispatch", "create"),
    *("Popen", "run", "check_call", "check_output", "system", "write_text", "write_bytes"),
}
_CLIENTS = ("requests", "httpx", "aiohttp", "urllib3", "urllib.request", "smtplib", "boto3")
_VERBS = _WORDS | {"get", "delete", "head"}
_HARMLESS_OWNERS = {"log", "logger", "logging", "metrics", "statsd", "stats", "objects"}
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_DEEPEST = 12  # calls in each other
_SEVERAL = 2
_MAPPING = {"map", "starmap", "imap", "imap_unordered", "map_async"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass
class Outgoing:
    """Counts for the functions that were reached."""

    reach: Reach
    _counts: dict[ast.AST, int] = field(default_factory=dict)
    _names: dict[ast.AST, set[str]] = field(default_factory=dict)

    def count(self, function: ast.AST, module: Module, depth: int = 0) -> int:
        """How many calls go out of one call of a function at most."""
        if function in self._counts or depth > _DEEPEST:
            return self._counts.get(function, 0)
        self._counts[function] = 0  # a function that calls itself
        if not isinstance(function, FunctionNode):
            return 0
        total = self._of_block(function.body, module, depth)
        for decorator in function.decorator_list:
            total += self._of_expressions([decorator], module, depth)
        self._counts[function] = total
        return total

    def count_block(self, block: list[ast.stmt], module: Module) -> int:
        """As `count`, of the statements alone."""
        return self._of_block(block, module, 0)

    def list_calls(self, functions: Iterable[ast.AST]) -> list[tuple[str, int]]:
        """(text of the called name, line) of each such call in functions."""
        found = []
        for function in functions:
            definition = self.reach.functions.get(function)
            if definition is None:
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and self.is_outgoing(definition.module, node.func):
                    found.append((ast.unparse(node.func), node.lineno))
        return found

    # -- statements

    def _of_block(self, block: list[ast.stmt], module: Module, depth: int) -> int:
        total = 0
        for number, node in enumerate(block):
            if isinstance(node, ast.If):
                # What follows an alternative that ends is the other alternative.
                rest = block[number + 1 :]
                body, other = node.body, node.orelse
                if _ends_block(body):
                    other, rest = [*other, *rest], []
                elif other and _ends_block(other):
                    body, rest = [*body, *rest], []
                total += self._of_expressions([node.test], module, depth)
                total += max(
                    self._of_block(body, module, depth), self._of_block(other, module, depth)
                )
                return total + self._of_block(rest, module, depth)
            total += self._of_statement(node, module, depth)
        return total

    def _of_statement(self, node: ast.stmt, module: Module, depth: int) -> int:
        total = self._of_expressions(_own_expressions(node), module, depth)
        if isinstance(node, ast.Match):
            cases = [self._of_block(case.body, module, depth) for case in node.cases]
            return total + max(cases, default=0)
        inner = 0
        for block in _blocks_of(node):
            inner += self._of_block(block, module, depth)
        if isinstance(node, ast.For | ast.AsyncFor) and _hands_on(node.target, node.body):
            inner *= _SEVERAL
        return total + inner

    # -- expressions

    def _of_expressions(self, nodes: Iterable[ast.AST], module: Module, depth: int) -> int:
        total = 0
        for node in nodes:
            total += self._of_expression(node, module, depth)
        return total

    def _of_expression(self, node: ast.AST, module: Module, depth: int) -> int:
        if isinstance(node, ast.IfExp):
            body = self._of_expression(node.body, module, depth)
            other = self._of_expression(node.orelse, module, depth)
            return self._of_expression(node.test, module, depth) + max(body, other)
        if isinstance(node, ast.Call):
            return self._of_call(node, module, depth)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._of_name(node, module, depth)
        total = self._of_expressions(ast.iter_child_nodes(node), module, depth)
        if isinstance(node, _COMPREHENSIONS):
            total *= _SEVERAL
        return total

    def _of_call(self, node: ast.Call, module: Module, depth: int) -> int:
        arguments = list(node.args)
        for keyword in node.keywords:
            arguments.append(keyword.value)
        total = self._of_expressions(arguments, module, depth)
        if last_word(node.func) in _MAPPING:
            total *= _SEVERAL
        if isinstance(node.func, ast.Attribute):
            # A chain of names is who is asked; only what is called in it is something more.
            if any(isinstance(inner, ast.Call) for inner in ast.walk(node.func.value)):
                total += self._of_expression(node.func.value, module, depth)
        elif not isinstance(node.func, ast.Name):
            total += self._of_expression(node.func, module, depth)
        called = self._of_functions(module, node.func, depth)
        if called is not None:
            return total + called
        return total + int(self.is_outgoing(module, node.func))

    def _of_name(self, node: ast.Name | ast.Attribute, module: Module, depth: int) -> int:
        """A function that is handed on will be called."""
        called = self._of_functions(module, node, depth)
        if called is not None:
            return called
        name = module.resolve(node) or ""
        # What a client's call has given is no function of the client.
        is_function = "(" not in name and name.rpartition(".")[2] in _VERBS
        return int(is_function and name.startswith(_CLIENTS))

    def _of_functions(self, module: Module, node: ast.expr, depth: int) -> int | None:
        """None where the repository has no function of that name."""
        definition = self.reach.definition(module, node)
        if definition is not None:
            if isinstance(definition.node, ast.ClassDef):
                return 0
            return self.count(definition.node, definition.module, depth + 1)
        if not isinstance(node, ast.Attribute):
            return None
        counts = []
        for function, found in self.reach.functions.items():
            is_method = found.module.class_of(function) is not None
            if is_method and found.name.rpartition(".")[2] == node.attr:
                counts.append(self.count(function, found.module, depth + 1))
        return max(counts, default=None)

    def is_outgoing(self, module: Module, function: ast.expr) -> bool:
        word = last_word(function)
        name = module.resolve(function) or ""
        if name.startswith(_CLIENTS):
            return word in _VERBS and not _is_of_answer(name)
        if not isinstance(function, ast.Attribute):
            return False
        owner = function.value
        # urllib's `build_opener(...)`: what `open` means elsewhere stays on this machine.
        if word == "open" and "opener" in last_word(owner).lower():
            return True
        if word not in _WORDS:
            return False
        is_plain = isinstance(owner, ast.Constant | ast.Dict | ast.Set)
        return not is_plain and last_word(owner) not in _HARMLESS_OWNERS


def _is_of_answer(name: str) -> bool:
    """Whether a name begins with what a call that went out has given: an answer's own methods, as
    `httpx.AsyncClient().post().headers.get`, go nowhere.
    """
    called = [word.removesuffix("()") for word in name.split(".") if word.endswith("()")]
    return not _VERBS.isdisjoint(called)


def _ends_block(block: list[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], _ENDS)


def _own_expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """Those of the statement itself, and not of the statements in it."""
    if isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            yield item.context_expr
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield child


def _blocks_of(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block
    for handler in getattr(node, "handlers", ()):
        yield handler.body


def _hands_on(target: ast.expr, body: list[ast.stmt]) -> bool:
    """Whether a loop's own value is part of a call in it."""
    names = _names_in(target)
    for statement in body:
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and not names.isdisjoint(_names_in(call)):
                return True
    return False


def _names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
