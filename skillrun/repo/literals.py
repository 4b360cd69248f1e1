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
_LONGEST_SHOWN = 60
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
            return self._fold_sequence(node, module, depth)
        if isinstance(node, ast.Dict):
            return self._fold_mapping(node, module, depth)
        if isinstance(node, ast.BinOp):
            return self._fold_binary(node, module, depth)
        if isinstance(node, ast.UnaryOp):
            return self._fold_unary(node, module, depth)
        if isinstance(node, ast.BoolOp):
            return self._fold_and_or(node, module, depth)
        if isinstance(node, ast.JoinedStr):
            return self._fold_text(node, module, depth)
        if isinstance(node, ast.Call):
            return self._fold_call(node, module, depth)
        if isinstance(node, ast.Subscript):
            return self._fold_item(node, module, depth)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._fold_name(node, module, depth)
        return Unknown(f"computed: {_show_briefly(node)}")

    def _fold_sequence(
        self, node: ast.Tuple | ast.List | ast.Set, module: Module, depth: int
    ) -> Any:
        """The elements; the first that is not known stands for all of them."""
        values = [self.fold(element, module, depth + 1) for element in node.elts]
        for value in values:
            if not is_known(value):
                return value
        if isinstance(node, ast.Tuple):
            return tuple(values)
        return values

    def _fold_mapping(self, node: ast.Dict, module: Module, depth: int) -> Any:
        """A dictionary. Its values may be unknown one by one; its keys may not."""
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            folded = self.fold(value, module, depth + 1)
            # `{**base}` has no key.
            if key is None:
                if not isinstance(folded, dict):
                    return Unknown(f"computed key: {_show_briefly(value)}")
                result.update(folded)
                continue
            name = self.fold(key, module, depth + 1)
            if not is_known(name) or not _is_hashable(name):
                return Unknown(f"computed key: {_show_briefly(key)}")
            result[name] = folded
        return result

    def _fold_binary(self, node: ast.BinOp, module: Module, depth: int) -> Any:
        left = self.fold(node.left, module, depth + 1)
        right = self.fold(node.right, module, depth + 1)
        for side in (left, right):
            if not is_known(side):
                return Unknown(side.reason)
        return _compute_binary(node, left, right)

    def _fold_unary(self, node: ast.UnaryOp, module: Module, depth: int) -> Any:
        value = self.fold(node.operand, module, depth + 1)
        if not is_known(value):
            return Unknown(value.reason)
        if isinstance(node.op, ast.Not):
            return not value
        if isinstance(node.op, ast.USub) and isinstance(value, int | float):
            return -value
        if isinstance(node.op, ast.UAdd):
            return value
        return Unknown(f"computed: {_show_briefly(node)}")

    def _fold_and_or(self, node: ast.BoolOp, module: Module, depth: int) -> Any:
        """`x or y`, `x and y`; what is unknown on the left keeps the right as its default for
        `or`.
        """
        is_or = isinstance(node.op, ast.Or)
        value: Any = UNKNOWN
        for part in node.values:
            value = self.fold(part, module, depth + 1)
            if not is_known(value):
                if not is_or:
                    return Unknown(value.reason)
                last = self.fold(node.values[-1], module, depth + 1)
                return Unknown(value.reason, _known_or_none(last))
            # A true value ends an `or`, a false one an `and`.
            if bool(value) == is_or:
                return value
        return value

    def _fold_text(self, node: ast.JoinedStr, module: Module, depth: int) -> Any:
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                inner = part.value
            else:
                inner = part
            value = self.fold(inner, module, depth + 1)
            if not is_known(value) or (isinstance(part, ast.FormattedValue) and part.format_spec):
                return Unknown(f"computed: {_show_briefly(node)}")
            parts.append(str(value))
        return "".join(parts)

    def _fold_call(self, node: ast.Call, module: Module, depth: int) -> Any:
        name = module.resolve(node.func) or ast.unparse(node.func)
        if name == "datetime.timedelta":
            return self._fold_duration(node, module, depth)
        if name.endswith(".total_seconds") and isinstance(node.func, ast.Attribute):
            return self.fold(node.func.value, module, depth + 1)
        if name == "builtins.dict" and not node.args:
            found = {}
            for keyword in node.keywords:
                if keyword.arg:
                    found[keyword.arg] = self.fold(keyword.value, module, depth + 1)
            return found
        if name in _CONVERSIONS and len(node.args) == 1 and not node.keywords:
            return self._fold_conversion(name, node, module, depth)
        if name in _EXTREMES and len(node.args) > 1:
            values = [self.fold(arg, module, depth + 1) for arg in node.args]
            if all(isinstance(value, int | float) for value in values):
                return _EXTREMES[name](values)
        if _reads_environment(name):
            return Unknown(
                f"environment: {_show_briefly(node)}", self._fold_default(node, module, depth)
            )
        return Unknown(f"computed: {_show_briefly(node)}")

    def _fold_default(self, node: ast.Call, module: Module, depth: int) -> Any:
        """What a look into the environment falls back to; None where that is not written."""
        given = [k.value for k in node.keywords if k.arg in ("default", "fallback")]
        if not given:
            # os.getenv("TIMEOUT", 30)
            given = node.args[1:2]
        if not given:
            return None
        return _known_or_none(self.fold(given[0], module, depth + 1))

    def _fold_conversion(self, name: str, node: ast.Call, module: Module, depth: int) -> Any:
        convert = _CONVERSIONS[name]
        value = self.fold(node.args[0], module, depth + 1)
        if not is_known(value):
            # int(os.getenv("TIMEOUT", "30")) falls back to 30.
            if value.default is None:
                return Unknown(value.reason)
            return Unknown(value.reason, _try_to_convert(convert, value.default))
        result = _try_to_convert(convert, value)
        if result is not None:
            return result
        return Unknown(f"computed: {_show_briefly(node)}")

    def _fold_duration(self, node: ast.Call, module: Module, depth: int) -> Any:
        """The seconds of a timedelta."""
        parts = list(zip(_POSITIONAL_UNITS, node.args, strict=False))
        parts += [(keyword.arg or "", keyword.value) for keyword in node.keywords]
        total: float = 0
        for unit, value_node in parts:
            value = self.fold(value_node, module, depth + 1)
            if not isinstance(value, int | float) or unit not in _UNITS:
                return Unknown(f"computed: {_show_briefly(node)}")
            total += value * _UNITS[unit]
        return total

    def _fold_item(self, node: ast.Subscript, module: Module, depth: int) -> Any:
        if module.resolve(node.value) == "os.environ":
            return Unknown(f"environment: {_show_briefly(node)}")
        held = self.fold(node.value, module, depth + 1)
        key = self.fold(node.slice, module, depth + 1)
        if not is_known(held) or not is_known(key):
            return Unknown(f"computed: {_show_briefly(node)}")
        try:
            return held[key]
        except (KeyError, IndexError, TypeError):
            return Unknown(f"computed: {_show_briefly(node)}")

    def _fold_name(self, node: ast.Name | ast.Attribute, module: Module, depth: int) -> Any:
        """The value of a variable: of the function around it, of a module, or a Django setting."""
        if isinstance(node, ast.Name):
            local = _find_local(node, module)
            if local and local[0].kind != "import":
                return self._fold_bindings(local, module, node, depth)
        name = module.resolve(node)
        if name is None:
            return Unknown(f"computed: {_show_briefly(node)}")
        if name.startswith("django.conf.settings."):
            return self.setting(name.rpartition(".")[2], depth)
        return self._fold_variable(name, node, depth)

    def _fold_variable(self, name: str, node: ast.expr, depth: int) -> Any:
        """The value of a module's or a class's variable by its dotted name."""
        attribute = name.rpartition(".")[2]
        found = self.project.lookup(name)
        if found is None or found.module is None or found.binding is None:
            through = self.project.origin(name)
            if through.startswith("django.conf.settings."):
                return self.setting(through.rpartition(".")[2], depth)
            return Unknown(f"not a constant: {_show_briefly(node)}")
        scope: ast.AST = found.module.class_of(found.binding.node) or found.module.tree
        bound = found.module.bindings(scope).get(attribute, [found.binding])
        value = self._fold_bindings(bound, found.module, node, depth)
        if self._is_settings_class(scope, found.module):
            return _mark_overridable(value, node)
        return value

    def _is_settings_class(self, scope: ast.AST, module: Module) -> bool:
        """pydantic's settings read the environment first; what is written is only the default."""
        if not isinstance(scope, ast.ClassDef):
            return False
        for base in scope.bases:
            name = module.resolve(base)
            if name and name.endswith("BaseSettings"):
                return True
        return False

    def _fold_bindings(
        self, bound: list[Binding], module: Module, node: ast.expr, depth: int
    ) -> Any:
        """One value where every assignment agrees; else unknown, the last one being the default."""
        values = [self.fold(binding.value, module, depth + 1) for binding in bound]
        if all(is_known(value) and value == values[0] for value in values):
            return values[0]
        # Assigned again at the top level: the last assignment holds.
        if len(values) == 1 or _are_at_top(bound, module):
            return values[-1]
        reason = f"assigned in several places: {_show_briefly(node)}"
        return Unknown(reason, _known_or_none(values[-1]))

    def variable(self, module: Module, name: str) -> Any:
        """The value of a module variable by its name."""
        bound = module.bindings(module.tree).get(name, [])
        has_value = any(binding.value is not None for binding in bound)
        if not has_value:
            return UNKNOWN
        return self._fold_bindings(bound, module, ast.Name(name), 0)

    def setting(self, name: str, depth: int = 0) -> Any:
        """The value of a Django setting, from the module that DJANGO_SETTINGS_MODULE names in the
        repository.
        """
        for module in self.project.settings_modules():
            found = self.project.lookup(f"{module.name}:{name}")
            if found and found.module and found.binding and found.binding.value is not None:
                bound = found.module.bindings(found.module.tree).get(name, [found.binding])
                return self._fold_bindings(bound, found.module, found.binding.value, depth + 1)
        return Unknown(f"setting not found: {name}")


_EXTREMES: dict[str, Callable[[list[Any]], Any]] = {"builtins.min": min, "builtins.max": max}


def _find_local(node: ast.Name, module: Module) -> list[Binding] | None:
    """What binds a name in the function around it; None at module level, and for other names."""
    function = module.function_of(node)
    if function is None:
        return None
    return module.bindings(function).get(node.id)


def _known_or_none(value: Any) -> Any:
    """A value that was read, as the default of an `Unknown`."""
    if not is_known(value):
        return None
    return value


def _are_at_top(bound: list[Binding], module: Module) -> bool:
    """Whether every assignment stands in the module's own body, in no branch of it."""
    for binding in bound:
        if binding.kind == "value" and next(module.parents(binding.node)) is not module.tree:
            return False
    return True


def _compute_binary(node: ast.BinOp, left: Any, right: Any) -> Any:
    """What an operator makes of two known values; unknown where Python would refuse them."""
    are_numbers = isinstance(left, int | float) and isinstance(right, int | float)
    # `"x" * 10**9` would fill the memory.
    if isinstance(node.op, ast.Mult) and not are_numbers:
        return UNKNOWN
    try:
        if isinstance(node.op, ast.Pow):
            # What a repository writes must not take us for ever: `9**9**9`.
            is_small = isinstance(left, int | float) and abs(left) < 1000 and 0 <= right < 64
            if is_small:
                return left**right
            return UNKNOWN
        if isinstance(node.op, ast.BitOr) and isinstance(left, dict) and isinstance(right, dict):
            return left | right
        return _ARITHMETIC[type(node.op)](left, right)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return Unknown(f"computed: {_show_briefly(node)}")


def _mark_overridable(value: Any, node: ast.expr) -> Any:
    """A value that the environment may replace, as the default of an `Unknown`."""
    if is_known(value):
        return Unknown(f"environment: {_show_briefly(node)}", value)
    return value


def _reads_environment(name: str) -> bool:
    """Whether a function looks into the environment, by its name: `environ.Env().int`, `config`."""
    if name in _ENVIRONMENT:
        return True
    words = name.replace("()", "").split(".")
    return any(word in _ENVIRONMENT_WORDS for word in words)


def _try_to_convert(convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_hashable(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | tuple | type(None))


def _show_briefly(node: ast.expr) -> str:
    text = ast.unparse(node)
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - len("...")] + "..."
