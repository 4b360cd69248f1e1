"""How a job's key is made, where it is made into less than it was made of.

A proof varies the key fields some fifty times: two that meet in a checksum are rarely among them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.watched.reach import Reach

# So many bits that two of a million jobs meet: a checksum is no digest.
_CHECKSUMS = {
    *("crc32", "adler32", "crc_hqx", "hash", "fnv1a", "fnv1a_32", "fnv_1a", "murmur32", "xxh32"),
    *("xxhash32", "mmh3"),
}
_DIGESTS = re.compile(r"(hexdigest|digest|b64encode|urlsafe_b64encode|b32encode|\.hex)\b")
# Hexadecimal digits: 64 bits.
_ENOUGH = 16


@dataclass(frozen=True)
class Shortened:
    """A place at which much may become one."""

    said: str
    path: str
    line: int


@dataclass
class KeyMaking:
    """Follows what an effect is given as its key back to where it is made."""

    reach: Reach
    _seen: set[ast.AST] = field(default_factory=set)

    def find_shortened(self, function: str, parameter: str) -> Iterator[Shortened]:
        """Of every call of the effect's function in what was reached."""
        word = function.replace(":", ".").rpartition(".")[2]
        for node, definition in self.reach.functions.items():
            for call in ast.walk(node):
                if not isinstance(call, ast.Call) or last_word(call.func) != word:
                    continue
                for keyword in call.keywords:
                    if keyword.arg == parameter:
                        yield from self._follow_value(definition.module, node, keyword.value)

    def _follow_value(self, module: Module, owner: ast.AST, value: ast.expr) -> Iterator[Shortened]:
        if value in self._seen:
            return
        self._seen.add(value)
        for node in ast.walk(value):
            said = _name_shortening(node)
            if said is not None:
                yield Shortened(said, module.path, getattr(node, "lineno", 1))
            if isinstance(node, ast.Name):
                for assigned in _list_assigned(owner, node.id):
                    yield from self._follow_value(module, owner, assigned)
            elif isinstance(node, ast.Call):
                yield from self._follow_function(module, node)

    def _follow_function(self, module: Module, call: ast.Call) -> Iterator[Shortened]:
        definition = self.reach.definition(module, call.func)
        if definition is None or not isinstance(definition.node, FunctionNode):
            return
        for node in ast.walk(definition.node):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._follow_value(definition.module, definition.node, node.value)


def _name_shortening(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and last_word(node.func) in _CHECKSUMS:
        return f"goes through {last_word(node.func)}()"
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Slice):
        return None
    last = node.slice.upper
    if not isinstance(last, ast.Constant) or not isinstance(last.value, int):
        return None
    if last.value < _ENOUGH and _DIGESTS.search(ast.unparse(node.value)):
        return f"is cut to {last.value} letters of a digest"
    return None


def _list_assigned(owner: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(owner):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
