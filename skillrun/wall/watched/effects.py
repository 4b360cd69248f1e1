"""Which of the reached code changes the world: a declared effect, or a call that looks like one."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.watched.reach import Reach

# By their last words: what databases, clients, queues, files and processes are changed with.
_WORDS = {
    *(
        "execute",
        "executemany",
        "executescript",
        "commit",
        "rollback",
        "save",
        "create",
        "bulk_create",
    ),
    *(
        "update_or_create",
        "get_or_create",
        "delete",
        "insert",
        "update",
        "upsert",
        "add",
        "add_all",
        "merge",
    ),
    *(
        "send",
        "sendall",
        "send_message",
        "sendmail",
        "post",
        "put",
        "patch",
        "request",
        "urlopen",
        "publish",
    ),
    *(
        "enqueue",
        "delay",
        "apply_async",
        "send_task",
        "kiq",
        "defer",
        "defer_async",
        "retry",
        "schedule",
    ),
    *(
        "write",
        "write_text",
        "write_bytes",
        "writelines",
        "unlink",
        "rename",
        "mkdir",
        "touch",
        "remove",
    ),
    *(
        "run",
        "Popen",
        "check_call",
        "check_output",
        "system",
        "charge",
        "upload",
        "put_object",
        "notify",
    ),
    *("set", "setex", "setnx", "incr", "hset", "lpush", "rpush", "xadd", "sadd", "expire"),
    *("exit", "_exit", "abort", "kill", "sleep"),
}
_ENDING = ("builtins.exit", "builtins.quit", "sys.exit", "os._exit", "os.abort", "os.kill")
# Objects on which such words change nothing of the world.
_HARMLESS_OWNERS = {"log", "logger", "logging", "metrics", "statsd", "warnings", "stats"}


@dataclass
class Effects:
    """The effects below the handlers. `declared`: dotted names of the functions that the specs
    name.
    """

    reach: Reach
    declared: frozenset[str]
    _changing: set[ast.AST] = field(default_factory=set)

    def settle(self) -> None:
        """Finds the functions from which an effect can be reached."""
        for definition in self.reach.functions.values():
            if definition.dotted in self.declared:
                self._add_with_parts(definition.node)
            elif self._has_own(definition.module, definition.node):
                self._changing.add(definition.node)
        before = -1
        while before != len(self._changing):
            before = len(self._changing)
            for user, named in self.reach.below.items():
                if not named.isdisjoint(self._changing):
                    self._changing.add(user)

    def _add_with_parts(self, function: ast.AST) -> None:
        """An adapter, and the functions that it consists of: somebody may call those instead."""
        waiting = [function]
        while waiting:
            part = waiting.pop()
            if part not in self._changing:
                self._changing.add(part)
                waiting += self.reach.below.get(part, ())

    def is_changing(self, function: ast.AST | None) -> bool:
        """Whether a function has an effect, itself or through another one."""
        return function in self._changing

    def is_declared(self, module: Module, node: ast.Call) -> bool:
        """Whether a call is that of an effect which a spec names."""
        name = module.resolve(node.func)
        origin = self.reach.project.origin(name) if name is not None else ""
        return origin in self.declared

    def find_decided(
        self, module: Module, region: list[ast.AST], but: frozenset[str] = frozenset()
    ) -> str | None:
        """An effect in some code, or the way past one, in words. An error ends in a dead letter,
        where it is seen. `but`: as of `find_in`.
        """
        for part in region:
            called = self.find_in(module, part, but=but)
            if called is not None:
                return f"the call of {called}"
        for part in region:
            for inner in ast.walk(part):
                if not isinstance(inner, ast.Return | ast.Break | ast.Continue):
                    continue
                function = module.function_of(inner)
                if function is not None and self.is_changing(function):
                    return f"whether {module.qualname(function)} goes on"
        return None

    def find_in(
        self, module: Module, node: ast.AST, but: frozenset[str] = frozenset()
    ) -> str | None:
        """The first call with an effect in a piece of code, as it is written; None where there is
        none. `but`: last words of calls that do not count.
        """
        for inner in ast.walk(node):
            if not isinstance(inner, ast.Call) or last_word(inner.func) in but:
                continue
            if self._is_effect(module, inner):
                return ast.unparse(inner.func)
        return None

    def _has_own(self, module: Module, function: ast.AST) -> bool:
        calls = (inner for inner in ast.walk(function) if isinstance(inner, ast.Call))
        return any(self._looks_like_one(module, call) for call in calls)

    def _is_effect(self, module: Module, node: ast.Call) -> bool:
        if self.is_declared(module, node) or self._looks_like_one(module, node):
            return True
        definition = self.reach.definition(module, node.func)
        if definition is None:
            return False
        if not isinstance(definition.node, FunctionNode):
            return any(self.is_changing(method) for method in definition.node.body)
        return self.is_changing(definition.node)

    def _looks_like_one(self, module: Module, node: ast.Call) -> bool:
        name = module.resolve(node.func) or ast.unparse(node.func)
        if name in _ENDING:
            return True
        # A function of the repository is known by what it does, not by its name.
        if (
            last_word(node.func) not in _WORDS
            or self.reach.definition(module, node.func) is not None
        ):
            return False
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if owner is None:
            return False
        if last_word(owner) in _HARMLESS_OWNERS or isinstance(
            owner, ast.Constant | ast.Dict | ast.Set
        ):
            return False
        return not name.startswith(
            ("logging.", "warnings.", "builtins.dict", "builtins.set", "os.environ")
        )
