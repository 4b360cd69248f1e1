"""What a dotted name means across files: followed through imports, re-exports, variables,
annotations and bases.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from skillrun.repo.calls import exception_names
from skillrun.repo.definition import Definition
from skillrun.repo.source import Binding, FunctionNode, Module, last_word
from skillrun.repo.sources import Sources
from skillrun.repo.syntax import find_nodes, is_constant

# Of re-exports and aliases; what leads on further leads in a circle.
_MAX_HOPS = 12
_INSTANCE = re.compile(r"(\b[A-Z]\w*)\(\)(?=\.)")


@dataclass(frozen=True)
class Found:
    """Where a dotted name leads: a definition, a module variable, a module, or out of the
    repository.
    """

    dotted: str  # the canonical name
    module: Module | None = None
    definition: Definition | None = None
    binding: Binding | None = None  # the statement that binds a module or class variable

    @property
    def line(self) -> int:
        """The line that defines or binds the name; 1 for a module."""
        if self.definition:
            return self.definition.node.lineno
        if self.binding:
            return getattr(self.binding.node, "lineno", 1)
        return 1


class Names(Sources):
    """Definitions behind dotted names."""

    def find(self, import_path: str) -> Definition | None:
        """The function or class behind "pkg.mod:obj.attr", through re-exports and objects; None
        where there is none.
        """
        found = self.lookup(import_path)
        if not found:
            return None
        return found.definition

    def lookup(self, import_path: str) -> Found | None:
        """Where "pkg.mod:obj.attr" leads in the repository, a variable included; None where it
        leads nowhere in it.
        """
        return self.remember(("lookup", import_path), lambda: self._find_target(import_path))

    def _find_target(self, import_path: str) -> Found | None:
        module_name, _, attributes = import_path.partition(":")
        module = None
        if attributes:
            module = self._open_module(self.locate(module_name, anywhere=True))
        if module is not None:
            found = self._follow_in_module(module, attributes.split("."), 0)
        else:
            if attributes:
                self._record_absence(module_name)
            found = self._follow_name(import_path.replace(":", "."), 0)
        if found and (found.definition or found.binding):
            return found
        return None

    def _open_module(self, path: str | None) -> Module | None:
        """The parsed file at a path that may not have been found."""
        if not path:
            return None
        return self.module(path)

    def _record_absence(self, module_name: str) -> None:
        """Records that a module is not there, so that one that appears makes the answer stale."""
        tail = module_name.replace(".", "/")
        for glob in (f"**/{tail}.py", f"**/{tail}/__init__.py"):
            self.tree.match(glob)

    def origin(self, dotted: str) -> str:
        """The canonical name of a dotted name: re-exports, aliases, module variables and base
        classes followed.
        """
        return self.remember(("origin", dotted), lambda: self._find_origin(dotted))

    def _find_origin(self, dotted: str) -> str:
        found = self._follow_name(dotted, 0)
        name = dotted
        if found:
            name = found.dotted
        return _INSTANCE.sub(r"\1", name)

    def origin_of(self, module: Module, node: ast.expr) -> str:
        """That of what an expression names; "" where it cannot be told."""
        return self.origin(module.resolve(node) or "")

    def definition(self, dotted: str) -> Definition | None:
        """The function or class behind a dotted name as `Module.resolve` gives it."""
        found = self.remember(("follow", dotted), lambda: self._follow_name(dotted, 0))
        if not found:
            return None
        return found.definition

    def _follow_name(self, dotted: str, hops: int) -> Found | None:
        """Where a dotted name leads; None where it leads out of the repository at once."""
        parts = dotted.split(".")
        # The longest beginning that is a module, and then the attributes behind it.
        for cut in range(len(parts), 0, -1):
            module = self._open_module(self.locate(".".join(parts[:cut])))
            if module is None:
                continue
            if cut == len(parts):
                return self._follow_shadowing_import(parts, hops) or Found(module.name, module)
            return self._follow_in_module(module, parts[cut:], hops)
        return None

    def _follow_shadowing_import(self, parts: list[str], hops: int) -> Found | None:
        """`from .send import send` in a package hides the module of the same name."""
        if len(parts) < 2:
            return None
        package = self._open_module(self.locate(".".join(parts[:-1])))
        if package is None:
            return None
        own_name = ".".join(parts)
        for binding in package.bindings(package.tree).get(parts[-1], ()):
            if binding.kind == "import" and binding.target and binding.target != own_name:
                if hops >= _MAX_HOPS:
                    return None
                return self._follow_name(binding.target, hops + 1)
        return None

    def _follow_in_module(self, module: Module, parts: list[str], hops: int) -> Found | None:
        """Follows attributes from a module on."""
        name = parts[0].removesuffix("()")
        bound = module.bindings(module.tree).get(name)
        if hops >= _MAX_HOPS:
            return Found(f"{module.name}.{'.'.join(parts)}", module)
        if not bound:
            return self._follow_star_imports(module, parts, hops)
        return self._follow_binding(module, module.tree, bound, parts, module.name, hops)

    def _follow_star_imports(self, module: Module, parts: list[str], hops: int) -> Found | None:
        for star in module.stars:
            found = self._follow_name(".".join([star, *parts]), hops + 1)
            if found and (found.definition or found.binding):
                return found
        path = self.locate(f"{module.name}.{parts[0]}")
        inner = None
        if path != module.path:
            inner = self._open_module(path)
        if inner is not None and len(parts) > 1:
            return self._follow_in_module(inner, parts[1:], hops + 1)
        # What nothing here binds comes from the one package outside of which all names are taken.
        owner = module.name
        outside = [star for star in module.stars if not self.locate(star)]
        if len(outside) == 1:
            owner = outside[0]
        return Found(".".join([owner, *parts]), module)

    def _follow_binding(
        self,
        module: Module,
        scope: ast.AST,
        bound: list[Binding],
        parts: list[str],
        prefix: str,
        hops: int,
    ) -> Found | None:
        """Follows a name through the statements that bind it in a scope, and then its attributes.

        `parts[0]` is the name itself, and `prefix` the dotted name of the scope.
        """
        binding = _choose_binding(bound)
        rest = parts[1:]
        if binding.kind == "import" and binding.target:
            target = self._spell_as_located(binding.target, module)
            return self._follow_or_keep([target, *_call_mark(parts[0]), *rest], hops)
        if isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return self._follow_definition(module, binding.node, parts, hops)
        meant = self._value_name(module, binding, bool(rest))
        if meant:
            return self._follow_or_keep([meant, *rest], hops)
        dotted = ".".join([prefix, *parts])
        if rest:
            return Found(dotted, module)
        return Found(dotted, module, binding=binding)

    def _spell_as_located(self, target: str, module: Module) -> str:
        """The canonical spelling of an import of a file that stands beside the importing one."""
        first, _, rest = target.partition(".")
        if self.locate(first) is not None or module.name.partition(".")[0] == first:
            return target
        path = self.locate(first, near=module.path)
        if not path or path == module.path or self._imports_module(path, first):
            return target
        beside = self.import_name(path)
        if not beside:
            return target
        return ".".join(filter(None, [beside, rest]))

    def _imports_module(self, path: str, name: str) -> bool:
        """`celery.py` that itself imports celery is not what others mean by celery."""
        module = self.module(path)
        if not module:
            return False
        for bindings in module.bindings(module.tree).values():
            for binding in bindings:
                if binding.target and binding.target.partition(".")[0] == name:
                    return True
        return False

    def _follow_or_keep(self, parts: list[str], hops: int) -> Found | None:
        """Where a name leads; outside of the repository, the name as it is."""
        # A mark of a call stands alone among the parts.
        dotted = ".".join(parts).replace(".()", "()")
        return self._follow_name(dotted, hops + 1) or Found(dotted)

    def _value_name(self, module: Module, binding: Binding, has_rest: bool) -> str | None:
        """What the value of a variable is named; None where the variable is a value of its own.

        What a call gave is followed only for an attribute of it (`has_rest`).
        """
        value = binding.value
        if value is not None:
            value = _choose_default(value)
        if value is None or (isinstance(value, ast.Call) and not has_rest):
            return None
        if not isinstance(value, ast.Call | ast.Name | ast.Attribute | ast.Await | ast.Constant):
            return None
        if isinstance(value, ast.Constant) and binding.kind != "instance":
            return None
        name = module.resolve(value)
        if name and binding.kind == "instance":
            return f"{name}()"
        return name

    def _follow_definition(
        self, module: Module, node: FunctionNode | ast.ClassDef, parts: list[str], hops: int
    ) -> Found | None:
        """A function or class, or an attribute below it."""
        definition = Definition(module.qualname(node), module.path, node.lineno, node, module)
        rest = parts[1:]
        is_called = parts[0].endswith("()")
        if not rest:
            dotted = definition.dotted
            if is_called:
                dotted += "()"
            return Found(dotted, module, definition)
        if isinstance(node, ast.ClassDef):
            member = self._follow_member(definition, rest, hops)
            return member or Found(".".join([definition.dotted, *rest]), module)
        if not is_called:
            inner = _find_inside(node, rest[0])
            if inner is not None:
                return self._follow_definition(module, inner, rest, hops)
        result = None
        if is_called or _is_property(node):
            result = _name_returned(module, node)
        if result:
            return self._follow_or_keep([result, *rest], hops)
        call_mark = parts[0][len(node.name) :]
        return Found(".".join([definition.dotted + call_mark, *rest]), module)

    def _follow_member(self, owner: Definition, rest: list[str], hops: int) -> Found | None:
        """An attribute of a class: its own, one that a method sets on `self`, or a base class's."""
        assert isinstance(owner.node, ast.ClassDef)
        name = rest[0].removesuffix("()")
        bound = owner.module.bindings(owner.node).get(name) or _set_on_self(owner.node, name)
        if bound:
            return self._follow_binding(owner.module, owner.node, bound, rest, owner.dotted, hops)
        for base in owner.node.bases:
            dotted = owner.module.resolve(base)
            found = None
            if dotted and hops < _MAX_HOPS:
                found = self._follow_name(".".join([dotted, *rest]), hops + 1)
            if found and (found.definition or found.binding):
                return found
            # A class within another, such as a model's own DoesNotExist, may be made for each one
            # that derives: it stays where it was named.
            is_foreign = dotted and not self.definition(dotted) and len(owner.node.bases) == 1
            if dotted and is_foreign and not name[:1].isupper():
                return Found(".".join([dotted, *rest]))
        return None

    def ancestors(self, dotted: str) -> tuple[str, ...]:
        """The canonical name of a class and of every base class that can be told, builtins' own
        included.
        """
        found: list[str] = []
        waiting = [dotted]
        while waiting:
            name = self.origin(waiting.pop(0)).removesuffix("()")
            if name in found:
                continue
            found.append(name)
            definition = self.definition(name)
            if definition and isinstance(definition.node, ast.ClassDef):
                bases = map(definition.module.resolve, definition.node.bases)
                waiting += filter(None, bases)
            elif name.startswith("builtins."):
                waiting += [f"builtins.{base.__name__}" for base in _builtin_bases(name)]
        return tuple(found)

    def is_subclass(self, dotted: str, of: str) -> bool:
        """One class is the other or derives from it, as far as the repository and the builtins
        say.
        """
        return self.origin(of) in self.ancestors(dotted)

    def exception_names(self, node: ast.expr | None, module: Module) -> tuple[str, ...]:
        """Canonical names of the exceptions in `X`, `(X, Y)` or a variable that holds a tuple, here
        or elsewhere.
        """
        names: list[str] = []
        for written in exception_names(module, node):
            names += self._names_held_by(written)
        return tuple(names)

    def _names_held_by(self, name: str) -> tuple[str, ...]:
        """The exceptions of a variable that holds some; else the name's own canonical one."""
        found = self._follow_name(name, 0)
        value = None
        if found and found.binding:
            value = found.binding.value
        if found and found.module and isinstance(value, ast.Tuple | ast.List | ast.BinOp):
            return self.exception_names(value, found.module)
        return (self.origin(name),)

    def define(self, module: Module, node: FunctionNode | ast.ClassDef) -> Definition:
        """The definition of a node that is known already."""
        return Definition(module.qualname(node), module.path, node.lineno, node, module)

    def member(self, classes: Iterable[Definition], name: str) -> Definition | None:
        """The method of the first class that defines it itself."""
        for owner in classes:
            for node in getattr(owner.node, "body", ()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                    return self.define(owner.module, node)
        return None


def _choose_binding(bound: list[Binding]) -> Binding:
    """What a name means where several statements bind it: the first import or definition, else the
    last value.
    """
    for binding in bound:
        if binding.kind in ("import", "define"):
            return binding
    return bound[-1]


def _choose_default(value: ast.expr) -> ast.expr:
    """Gives the only call of `given or Client()` and of `Client() if given is None else given`: who
    hands in another one hands in its like. Any other value is given back as it is, and so is one
    that a setting decides.
    """
    branches: list[ast.expr] = []
    if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
        branches = value.values
    elif isinstance(value, ast.IfExp) and _asks_whether_given(value):
        branches = [value.body, value.orelse]
    made = [branch for branch in branches if isinstance(branch, ast.Call)]
    return made[0] if len(made) == 1 else value


def _asks_whether_given(value: ast.IfExp) -> bool:
    """Whether the test is about the very name that one of the branches is."""
    asked = value.test
    if isinstance(asked, ast.Compare) and is_constant(asked.comparators[0], None):
        asked = asked.left
    given = ast.unparse(asked)
    return given in (ast.unparse(value.body), ast.unparse(value.orelse))


def _call_mark(part: str) -> list[str]:
    """ "()" as a part of its own where the name is called."""
    if not part.endswith("()"):
        return []
    return ["()"]


def _find_inside(function: FunctionNode, name: str) -> FunctionNode | ast.ClassDef | None:
    """A function or class of that name that is defined in a function, the outermost first; the
    function itself where it has that name.
    """
    for node in ast.walk(function):
        if isinstance(node, FunctionNode | ast.ClassDef) and node.name == name:
            return node
    return None


def _is_property(node: FunctionNode) -> bool:
    for decorator in node.decorator_list:
        is_name = isinstance(decorator, ast.Name | ast.Attribute)
        if is_name and last_word(decorator) in ("property", "cached_property"):
            return True
    return False


def _name_returned(module: Module, node: FunctionNode) -> str | None:
    """What a function returns, as a dotted name: "pkg.Class()" by its annotation, or its only
    `return`.
    """
    if node.returns is not None:
        # `list[Mailer]` or `Mailer | None`: what an attribute of it means cannot be told.
        if not isinstance(node.returns, ast.Name | ast.Attribute | ast.Constant):
            return None
        named = module.resolve(node.returns)
        if not named:
            return None
        return f"{named}()"
    values = []
    for statement in find_nodes(node, ast.Return):
        if statement.value is not None:
            values.append(statement.value)
    if len(values) != 1:
        return None
    return module.resolve(values[0])


def _set_on_self(owner: ast.ClassDef, name: str) -> list[Binding]:
    """What methods assign to `self.<name>`."""
    return _all_set_on_self(owner).get(name, [])


# Each attribute of a class is asked for by itself, and the answer takes a walk over all of it.
@lru_cache(maxsize=1024)
def _all_set_on_self(owner: ast.ClassDef) -> dict[str, list[Binding]]:
    """Attribute -> what the methods of a class assign to it."""
    found: dict[str, list[Binding]] = {}
    for node in ast.walk(owner):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        if isinstance(node, ast.Assign):
            targets = node.targets
        else:
            targets = [node.target]
        names = set()
        for target in targets:
            if isinstance(target, ast.Attribute) and _is_self(target.value):
                names.add(target.attr)
        for name in names:
            found.setdefault(name, []).append(Binding("value", node, value=node.value))
    return found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _builtin_bases(name: str) -> tuple[type, ...]:
    found = getattr(builtins, name.partition(".")[2], None)
    if not isinstance(found, type):
        return ()
    return found.__bases__
