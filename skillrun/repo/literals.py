"""The value of an expression where the text alone gives it; otherwise an `Unknown` that says
why.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from skillrun.repo.source import Binding, Module

if TYPE_CHECKING:
    from skillrun.repo.names import Found

_MAX_DEPTH = 20
_ENVIRONMENT = frozenset({"os.environ.get", "os.getenv", "os.environ.setdefault"})
_ENVIRONMENT_WORDS = ("environ", "getenv", "env", "config", "decouple")
_UNITS = {
    "weeks": 604800,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
    "milliseconds": 1e-3,
}
# timedelta(1, 30) is a day and half a minute.
_POSITIONAL_UNITS = ("days", "seconds")
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "builtins.int": int,
    "builtins.float": float,
    "builtins.str": str,
    "builtins.bool": bool,
    "builtins.tuple": tuple,
    "builtins.list": list,
    "builtins.dict": dict,
}


@dataclass(frozen=True)
class Unknown:
    """A value that only running the code could tell. `default` is what the code falls back to,
    where it is written.
    """

    reason: str = "computed"
    default: Any = None


UNKNOWN = Unknown()


def is_known(value: Any) -> bool:
    """The value was read; it is no `Unknown`."""
    return not isinstance(value, Unknown)


class NamesFollowed(Protocol):
    """What folding asks of a project: where names lead, and which modules hold its settings."""

    def lookup(self, import_path: str) -> Found | None: ...

    def origin(self, dotted: str) -> str: ...

    def settings_modules(self) -> tuple[Module, ...]: ...


class Literals:
    """Folds expressions of one project."""

    def __init__(self, project: NamesFollowed) -> None:
        self.project = project

    def fold(self, node: ast.expr | None, module: Module, depth: int = 0) -> Any:
        """The value, or an `Unknown`. timedelta counts as seconds; a name of the repository is
        followed.
        """
        if node is None or depth > _MAX_DEPTH:
            return UNKNOWN
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return self._sequence(node, module, depth)
        if isinstance(node, ast.Dict):
            return self._mapping(node, module, depth)
        if isinstance(node, ast.BinOp):
            return self._binary(node, module, depth)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, module, depth)
        if isinstance(node, ast.BoolOp):
            return self._either(node, module, depth)
        if isinstance(node, ast.JoinedStr):
            return self._text(node, module, depth)
        if isinstance(node, ast.Call):
            return self._call(node, module, depth)
        if isinstance(node, ast.Subscript):
            return self._item(node, module, depth)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._name(node, module, depth)
        return Unknown(f"computed: {_shown(node)}")

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set, module: Module, depth: int) -> Any:
        values = [self.fold(element, module, depth + 1) for element in node.elts]
        unknown = next((value for value in values if not is_known(value)), None)
        if unknown is not None:
            return unknown
        if isinstance(node, ast.Tuple):
            return tuple(values)
        return values

    def _mapping(self, node: ast.Dict, module: Module, depth: int) -> Any:
        """Values may be unknown one by one; keys may not."""
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            folded = self.fold(value, module, depth + 1)
            name = None
            if key is not None:
                name = self.fold(key, module, depth + 1)
            if key is None and isinstance(folded, dict):
                result.update(folded)
            elif key is None or not is_known(name) or not _hashable(name):
                return Unknown(f"computed key: {_shown(key or value)}")
            else:
                result[name] = folded
        return result

    def _binary(self, node: ast.BinOp, module: Module, depth: int) -> Any:
        left = self.fold(node.left, module, depth + 1)
        right = self.fold(node.right, module, depth + 1)
        for side in (left, right):
            if not is_known(side):
                return Unknown(side.reason)
        return _computed(node, left, right)

    def _unary(self, node: ast.UnaryOp, module: Module, depth: int) -> Any:
        value = self.fold(node.operand, module, depth + 1)
        if not is_known(value):
            return Unknown(value.reason)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub) and isinstance(value, int | float):
            return -value
        if isinstance(node.op, ast.UAdd):
            return value
        return Unknown(f"computed: {_shown(node)}")

    def _either(self, node: ast.BoolOp, module: Module, depth: int) -> Any:
        """`x or y`, `x and y`; what is unknown on the left keeps the right as its default for
        `or`.
        """
        value: Any = UNKNOWN
        for part in node.values:
            value = self.fold(part, module, depth + 1)
            if not is_known(value):
                last = None
                if isinstance(node.op, ast.Or):
                    last = self.fold(node.values[-1], module, depth + 1)
                return Unknown(value.reason, last if is_known(last) else None)
            if bool(value) == isinstance(node.op, ast.Or):
                return value
        return value

    def _text(self, node: ast.JoinedStr, module: Module, depth: int) -> Any:
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                inner = part.value
            else:
                inner = part
            value = self.fold(inner, module, depth + 1)
            if not is_known(value) or (isinstance(part, ast.FormattedValue) and part.format_spec):
                return Unknown(f"computed: {_shown(node)}")
            parts.append(str(value))
        return "".join(parts)

    def _call(self, node: ast.Call, module: Module, depth: int) -> Any:
        name = module.resolve(node.func) or ast.unparse(node.func)
        if name == "datetime.timedelta":
            return self._duration(node, module, depth)
        if name.endswith(".total_seconds") and isinstance(node.func, ast.Attribute):
            return self.fold(node.func.value, module, depth + 1)
        if name == "builtins.dict" and not node.args:
            found = {}
            for k in node.keywords:
                if k.arg:
                    found[k.arg] = self.fold(k.value, module, depth + 1)
            return found
        if name in _CONVERSIONS and len(node.args) == 1 and not node.keywords:
            return self._converted(name, node, module, depth)
        if name in _EXTREMES and len(node.args) > 1:
            values = [self.fold(arg, module, depth + 1) for arg in node.args]
            if all(isinstance(value, int | float) for value in values):
                return _EXTREMES[name](values)
        if _reads_environment(name):
            return Unknown(f"environment: {_shown(node)}", self._default(node, module, depth))
        return Unknown(f"computed: {_shown(node)}")

    def _default(self, node: ast.Call, module: Module, depth: int) -> Any:
        given = [k.value for k in node.keywords if k.arg in ("default", "fallback")] or node.args[
            1:2
        ]
        value = None
        if given:
            value = self.fold(given[0], module, depth + 1)
        if not is_known(value):
            return None
        return value

    def _converted(self, name: str, node: ast.Call, module: Module, depth: int) -> Any:
        convert = _CONVERSIONS[name]
        value = self.fold(node.args[0], module, depth + 1)
        if not is_known(value):
            return Unknown(
                value.reason,
                _attempt(convert, value.default) if value.default is not None else None,
            )
        result = _attempt(convert, value)
        if result is not None:
            return result
        return Unknown(f"computed: {_shown(node)}")

    def _duration(self, node: ast.Call, module: Module, depth: int) -> Any:
        parts = list(zip(_POSITIONAL_UNITS, node.args, strict=False))
        parts += [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        total: float = 0
        for unit, value_node in parts:
            value = self.fold(value_node, module, depth + 1)
            if not isinstance(value, int | float) or unit not in _UNITS:
                return Unknown(f"computed: {_shown(node)}")
            total += value * _UNITS[unit]
        return total

    def _item(self, node: ast.Subscript, module: Module, depth: int) -> Any:
        if module.resolve(node.value) == "os.environ":
            return Unknown(f"environment: {_shown(node)}")
        held = self.fold(node.value, module, depth + 1)
        key = self.fold(node.slice, module, depth + 1)
        if not is_known(held) or not is_known(key):
            return Unknown(f"computed: {_shown(node)}")
        try:
            return held[key]
        except (KeyError, IndexError, TypeError):
            return Unknown(f"computed: {_shown(node)}")

    def _name(self, node: ast.Name | ast.Attribute, module: Module, depth: int) -> Any:
        if isinstance(node, ast.Name):
            function = module.function_of(node)
            local = None
            if function is not None:
                local = module.bindings(function).get(node.id)
            if local and local[0].kind != "import":
                return self._bound(local, module, node, depth)
        name = module.resolve(node)
        if name is None:
            return Unknown(f"computed: {_shown(node)}")
        if name.startswith("django.conf.settings."):
            return self.setting(name.rpartition(".")[2], depth)
        return self._variable(name, node, depth)

    def _variable(self, name: str, node: ast.expr, depth: int) -> Any:
        attribute = name.rpartition(".")[2]
        found = self.project.lookup(name)
        if found is None or found.module is None or found.binding is None:
            through = self.project.origin(name)
            if through.startswith("django.conf.settings."):
                return self.setting(through.rpartition(".")[2], depth)
            return Unknown(f"not a constant: {_shown(node)}")
        scope: ast.AST = found.module.class_of(found.binding.node) or found.module.tree
        bound = found.module.bindings(scope).get(attribute, [found.binding])
        value = self._bound(bound, found.module, node, depth)
        if self._is_settings_class(scope, found.module):
            return _overridable(value, node)
        return value

    def _is_settings_class(self, scope: ast.AST, module: Module) -> bool:
        """pydantic's settings read the environment first; what is written is only the default."""
        bases = []
        if isinstance(scope, ast.ClassDef):
            bases = scope.bases
        return any((module.resolve(base) or "").endswith("BaseSettings") for base in bases)

    def _bound(self, bound: list[Binding], module: Module, node: ast.expr, depth: int) -> Any:
        """One value where every assignment agrees; else unknown, the last one being the default."""
        values = [self.fold(binding.value, module, depth + 1) for binding in bound]
        if all(is_known(value) and value == values[0] for value in values):
            return values[0]
        # Assigned again at the top level: the last assignment holds.
        if len(values) == 1 or _are_at_top(bound, module):
            return values[-1]
        last = values[-1]
        return Unknown(
            f"assigned in several places: {_shown(node)}", last if is_known(last) else None
        )

    def variable(self, module: Module, name: str) -> Any:
        """The value of a module variable by its name."""
        bound = module.bindings(module.tree).get(name, [])
        values = []
        for b in bound:
            if b.value is not None:
                values.append(b)
        if values:
            return self._bound(bound, module, ast.Name(name), 0)
        return UNKNOWN

    def setting(self, name: str, depth: int = 0) -> Any:
        """The value of a Django setting, from the module that DJANGO_SETTINGS_MODULE names in the
        repository.
        """
        for module in self.project.settings_modules():
            found = self.project.lookup(f"{module.name}:{name}")
            if found and found.module and found.binding and found.binding.value is not None:
                bound = found.module.bindings(found.module.tree).get(name, [found.binding])
                return self._bound(bound, found.module, found.binding.value, depth + 1)
        return Unknown(f"setting not found: {name}")


_EXTREMES: dict[str, Callable[[list[Any]], Any]] = {"builtins.min": min, "builtins.max": max}


def _are_at_top(bound: list[Binding], module: Module) -> bool:
    for binding in bound:
        if binding.kind == "value" and next(module.parents(binding.node)) is not module.tree:
            return False
    return True


def _computed(node: ast.BinOp, left: Any, right: Any) -> Any:
    are_numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if isinstance(node.op, ast.Mult) and not are_numbers:
        return UNKNOWN
    try:
        if isinstance(node.op, ast.Pow):
            # What a repository writes must not take us for ever.
            is_small = isinstance(left, int | float) and abs(left) < 1000 and 0 <= right < 64
            if is_small:
                return left**right
            return UNKNOWN
        if isinstance(node.op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return left | right
        return _ARITHMETIC[type(node.op)](left, right)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return Unknown(f"computed: {_shown(node)}")


def _overridable(value: Any, node: ast.expr) -> Any:
    if is_known(value):
        return Unknown(f"environment: {_shown(node)}", value)
    return value


def _reads_environment(name: str) -> bool:
    if name in _ENVIRONMENT:
        return True
    words = name.replace("()", "").split(".")
    return any(word in _ENVIRONMENT_WORDS for word in words)


def _attempt(convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | tuple | type(None))


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    if len(text) <= 60:
        return text
    return text[:57] + "..."
