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
from skillrun.repo.syntax import find_nodes

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
        return self.remember(("lookup", import_path), lambda: self._lookup(import_path))

    def _lookup(self, import_path: str) -> Found | None:
        module_name, _, attributes = import_path.partition(":")
        path = None
        if attributes:
            path = self.locate(module_name, anywhere=True)
        module = None
        if path:
            module = self.module(path)
        if module is not None:
            found = self._within(module, attributes.split("."), 0)
        else:
            if attributes:
                self._record_absence(module_name)
            found = self._follow(import_path.replace(":", "."), 0)
        if found and (found.definition or found.binding):
            return found
        return None

    def _record_absence(self, module_name: str) -> None:
        tail = module_name.replace(".", "/")
        for glob in (f"**/{tail}.py", f"**/{tail}/__init__.py"):
            self.tree.match(glob)

    def origin(self, dotted: str) -> str:
        """The canonical name of a dotted name: re-exports, aliases, module variables and base
        classes followed.
        """
        return self.remember(("origin", dotted), lambda: self._origin(dotted))

    def _origin(self, dotted: str) -> str:
        found = self._follow(dotted, 0)
        return _INSTANCE.sub(r"\1", found.dotted if found else dotted)

    def origin_of(self, module: Module, node: ast.expr) -> str:
        """That of what an expression names; "" where it cannot be told."""
        return self.origin(module.resolve(node) or "")

    def definition(self, dotted: str) -> Definition | None:
        """The function or class behind a dotted name as `Module.resolve` gives it."""
        found = self.remember(("follow", dotted), lambda: self._follow(dotted, 0))
        if not found:
            return None
        return found.definition

    def _follow(self, dotted: str, hops: int) -> Found | None:
        """None where the name leads out of the repository at once."""
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            path = self.locate(".".join(parts[:cut]))
            module = None
            if path:
                module = self.module(path)
            if module is None:
                continue
            if cut == len(parts):
                return self._shadowed(parts, hops) or Found(module.name, module)
            return self._within(module, parts[cut:], hops)
        return None

    def _shadowed(self, parts: list[str], hops: int) -> Found | None:
        """`from .send import send` in a package hides the module of the same name."""
        package = None
        if len(parts) > 1:
            package = self.locate(".".join(parts[:-1]))
        module = None
        if package:
            module = self.module(package)
        if module:
            bound = module.bindings(module.tree).get(parts[-1], ())
        else:
            bound = ()
        targets = []
        for b in bound:
            if b.kind == "import" and b.target and b.target != ".".join(parts):
                targets.append(b.target)
        if targets and hops < _MAX_HOPS:
            return self._follow(targets[0], hops + 1)
        return None

    def _within(self, module: Module, parts: list[str], hops: int) -> Found | None:
        """Follows attributes from a module on."""
        name = parts[0].removesuffix("()")
        bound = module.bindings(module.tree).get(name)
        if hops >= _MAX_HOPS:
            return Found(f"{module.name}.{'.'.join(parts)}", module)
        if not bound:
            return self._starred(module, parts, hops)
        return self._through(module, module.tree, bound, parts, module.name, hops)

    def _starred(self, module: Module, parts: list[str], hops: int) -> Found | None:
        for star in module.stars:
            found = self._follow(".".join([star, *parts]), hops + 1)
            if found and (found.definition or found.binding):
                return found
        path = self.locate(f"{module.name}.{parts[0]}")
        inner = None
        if path and path != module.path:
            inner = self.module(path)
        if inner is not None and len(parts) > 1:
            return self._within(inner, parts[1:], hops + 1)
        outside = [star for star in module.stars if not self.locate(star)]
        return Found(".".join([*(outside if len(outside) == 1 else [module.name]), *parts]), module)

    def _through(
        self,
        module: Module,
        scope: ast.AST,
        bound: list[Binding],
        parts: list[str],
        prefix: str,
        hops: int,
    ) -> Found | None:
        binding = next((b for b in bound if b.kind in ("import", "define")), None) or bound[-1]
        rest = parts[1:]
        if binding.kind == "import" and binding.target:
            return self._outward(
                [self._near(binding.target, module), *_call_mark(parts[0]), *rest], hops
            )
        if isinstance(binding.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return self._defined(module, binding.node, parts, hops)
        meant = self._value_name(module, binding, bool(rest))
        if meant:
            return self._outward([meant, *rest], hops)
        return Found(".".join([prefix, *parts]), module, binding=binding if not rest else None)

    def _near(self, target: str, module: Module) -> str:
        """The canonical spelling of an import of a file that stands beside the importing one."""
        first, _, rest = target.partition(".")
        if self.locate(first) is not None or module.name.partition(".")[0] == first:
            return target
        path = self.locate(first, near=module.path)
        beside = None
        if path and path != module.path and not self._imports(path, first):
            beside = self.import_name(path)
        if beside:
            return ".".join(filter(None, [beside, rest]))
        return target

    def _imports(self, path: str, name: str) -> bool:
        """`celery.py` that itself imports celery is not what others mean by celery."""
        module = self.module(path)
        if not module:
            return False
        bound = (b for every in module.bindings(module.tree).values() for b in every)
        return any(b.target and b.target.partition(".")[0] == name for b in bound)

    def _outward(self, parts: list[str], hops: int) -> Found | None:
        dotted = ".".join(parts).replace(".()", "()")
        return self._follow(dotted, hops + 1) or Found(dotted)

    def _value_name(self, module: Module, binding: Binding, has_rest: bool) -> str | None:
        value = binding.value
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

    def _defined(
        self, module: Module, node: FunctionNode | ast.ClassDef, parts: list[str], hops: int
    ) -> Found | None:
        """A function or class, or an attribute below it."""
        definition = Definition(module.qualname(node), module.path, node.lineno, node, module)
        rest = parts[1:]
        if not rest:
            return Found(
                definition.dotted + ("()" if parts[0].endswith("()") else ""), module, definition
            )
        if isinstance(node, ast.ClassDef):
            return self._member(definition, rest, hops) or Found(
                ".".join([definition.dotted, *rest]), module
            )
        inner = []
        for n in ast.walk(node):
            if isinstance(n, FunctionNode | ast.ClassDef) and n.name == rest[0]:
                inner.append(n)
        if inner and not parts[0].endswith("()"):
            return self._defined(module, inner[0], rest, hops)
        is_result = parts[0].endswith("()") or _is_property(node)
        result = None
        if is_result:
            result = _returned(module, node)
        if result:
            return self._outward([result, *rest], hops)
        return Found(".".join([definition.dotted + parts[0][len(node.name) :], *rest]), module)

    def _member(self, owner: Definition, rest: list[str], hops: int) -> Found | None:
        """An attribute of a class: its own, one that a method sets on `self`, or a base class's."""
        assert isinstance(owner.node, ast.ClassDef)
        name = rest[0].removesuffix("()")
        bound = owner.module.bindings(owner.node).get(name) or _set_on_self(owner.node, name)
        if bound:
            return self._through(owner.module, owner.node, bound, rest, owner.dotted, hops)
        for base in owner.node.bases:
            dotted = owner.module.resolve(base)
            found = None
            if dotted and hops < _MAX_HOPS:
                found = self._follow(".".join([dotted, *rest]), hops + 1)
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
        return tuple(
            name for written in exception_names(module, node) for name in self._held(written)
        )

    def _held(self, name: str) -> tuple[str, ...]:
        found = self._follow(name, 0)
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


def _call_mark(part: str) -> list[str]:
    if not part.endswith("()"):
        return []
    return ["()"]


def _is_property(node: FunctionNode) -> bool:
    names = set()
    for d in node.decorator_list:
        if isinstance(d, ast.Name | ast.Attribute):
            names.add(last_word(d))
    return bool(names & {"property", "cached_property"})


def _returned(module: Module, node: FunctionNode) -> str | None:
    """What a function returns, as a dotted name: "pkg.Class()" by its annotation, or its only
    `return`.
    """
    if node.returns is not None:
        named = isinstance(node.returns, ast.Name | ast.Attribute | ast.Constant)
        found = None
        if named:
            found = module.resolve(node.returns)
        if not found:
            return None
        return f"{found}()"
    returns = []
    for n in find_nodes(node, ast.Return):
        if n.value is not None:
            returns.append(n.value)
    if len(returns) != 1:
        return None
    return module.resolve(returns[0])


def _set_on_self(owner: ast.ClassDef, name: str) -> list[Binding]:
    """What methods assign to `self.<name>`."""
    return _all_set_on_self(owner).get(name, [])


# Each attribute of a class is asked for by itself, and the answer takes a walk over all of it.
@lru_cache(maxsize=1024)
def _all_set_on_self(owner: ast.ClassDef) -> dict[str, list[Binding]]:
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
