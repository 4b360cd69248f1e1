"""The Python code of a repository: definitions behind dotted names, and what they call, across files.

Nothing is imported or run. A name is followed through imports, re-exports, module variables, annotations and
base classes as far as the text allows; what cannot be told stays untold. Every file read on the way is recorded as
a look-up of the tree, also where the answer was known already.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

from skillrun.repo.calls import (
    Call,
    Frame,
    Handler,
    body_calls,
    exception_names,
    inner_functions,
    read_handler,
    surroundings,
)
from skillrun.repo.literals import UNKNOWN, Literals, Unknown, is_known
from skillrun.repo.source import Binding, FunctionNode, Module, parse

__all__ = ["UNKNOWN", "Call", "Definition", "Handler", "Module", "Project", "Unknown", "Use", "is_known"]

_MAX_HOPS = 12
_ROOT_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "manage.py")
_INSTANCE = re.compile(r"(\b[A-Z]\w*)\(\)(?=\.)")
_Answer = TypeVar("_Answer")


class Lookups(Protocol):
    """What a recording yields; `Tree.record` takes it back."""

    def __iter__(self) -> Iterator[Any]: ...


class TreeLike(Protocol):
    """The part of `repo.tree.Tree` that reading Python needs."""

    @property
    def files(self) -> tuple[str, ...]: ...

    def read(self, path: str) -> bytes | None: ...

    def search(self, word: str, suffix: str = ".py") -> tuple[str, ...]: ...

    def match(self, glob: str) -> tuple[str, ...]: ...

    def recording(self) -> AbstractContextManager[Any]: ...

    def record(self, lookups: Iterable[Any]) -> None: ...


@dataclass(frozen=True)
class Definition:
    """A function or class of the repository. `name` is its dotted name within the module, e.g. "Mailer.send"."""

    name: str
    path: str
    line: int  # of `def` or `class`, not of its decorators
    node: FunctionNode | ast.ClassDef
    module: Module

    @property
    def decorators(self) -> tuple[ast.expr, ...]:
        """The decorator expressions, the outermost first."""
        return tuple(self.node.decorator_list)

    @property
    def dotted(self) -> str:
        """ "shop.mailer.Mailer.send"."""
        return f"{self.module.name}.{self.name}"

    @property
    def import_path(self) -> str:
        """ "shop.mailer:Mailer.send"."""
        return f"{self.module.name}:{self.name}"

    @property
    def is_class(self) -> bool:
        """It is a class."""
        return isinstance(self.node, ast.ClassDef)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the positional and keyword parameters in order, without `*args` and `**kwargs`; () for a class."""
        if isinstance(self.node, ast.ClassDef):
            return ()
        args = self.node.args
        return tuple(a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs))


@dataclass(frozen=True)
class Use:
    """A place where a name is used, in a call or otherwise."""

    node: ast.expr
    module: Module
    path: str
    line: int


@dataclass(frozen=True)
class Found:
    """Where a dotted name leads: a definition, a module variable, a module, or out of the repository."""

    dotted: str  # the canonical name
    module: Module | None = None
    definition: Definition | None = None
    binding: Binding | None = None  # the statement that binds a module or class variable

    @property
    def line(self) -> int:
        """The line that defines or binds the name; 1 for a module."""
        node = self.definition.node if self.definition else self.binding.node if self.binding else None
        return getattr(node, "lineno", 1)


class Project:
    """The Python files of a tree, parsed when they are asked for."""

    def __init__(self, tree: TreeLike) -> None:
        self.tree = tree
        self.broken: dict[str, str] = {}  # path -> why Python cannot read it
        self._parsed: dict[str, tuple[bytes, Module | None]] = {}
        self._known: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self._literals = Literals(self)

    # Files and modules

    def module(self, path: str) -> Module | None:
        """The parsed file; None where it is missing or no valid Python (then `broken` says why)."""
        data = self.tree.read(path)
        if data is None:
            return None
        if path not in self._parsed or self._parsed[path][0] is not data:
            self._parsed[path] = (data, self._parse(path, data))
        return self._parsed[path][1]

    def _parse(self, path: str, data: bytes) -> Module | None:
        try:
            return parse(path, self.import_name(path), data)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.broken[path] = f"{path}:{getattr(error, 'lineno', None) or 1}: {error}"
            return None

    def modules_with(self, word: str) -> Iterator[Module]:
        """The parsed files that contain a whole word."""
        for path in self.tree.search(word):
            module = self.module(path)
            if module is not None:
                yield module

    def roots(self) -> tuple[str, ...]:
        """Folders from which modules are imported, "" for the repository's own: declared ones first."""
        return self._roots

    @cached_property
    def _python_files(self) -> tuple[str, ...]:
        return tuple(path for path in self.tree.files if path.endswith(".py"))

    @cached_property
    def _packages(self) -> frozenset[str]:
        return frozenset(path[: -len("/__init__.py")] for path in self._python_files if path.endswith("/__init__.py"))

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        marked = {folder for path in self.tree.files for folder, name in [_split(path)] if name in _ROOT_MARKERS}
        marked |= {f"{folder}/src".lstrip("/") for folder in [*marked, ""] if self._has_python(f"{folder}/src")}
        holding = {_split(package)[0] for package in self._packages} - self._packages
        return tuple(sorted((marked | holding | {""}) - self._packages, key=lambda root: (root.count("/"), root)))

    def _has_python(self, folder: str) -> bool:
        prefix = folder.lstrip("/") + "/"
        return any(path.startswith(prefix) for path in self._python_files)

    def import_name(self, path: str) -> str:
        """The dotted name under which a file is imported, e.g. "shop.mailer" for "src/shop/mailer.py"."""
        folder, name = _split(path)
        parts = [] if name == "__init__.py" else [name.removesuffix(".py")]
        while folder in self._packages:
            folder, package = _split(folder)
            parts.insert(0, package)
        inside = max((root for root in self._roots if _within(folder, root)), key=len, default="")
        return ".".join([*folder[len(inside) :].strip("/").split("/"), *parts]).strip(".")

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        """Last part of the module name -> files, those nearest to the root first."""
        found: dict[str, list[str]] = {}
        for path in sorted(self._python_files, key=lambda p: (p.count("/"), p)):
            folder, name = _split(path)
            stem = _split(folder)[1] if name == "__init__.py" else name.removesuffix(".py")
            found.setdefault(stem, []).append(path)
        return found

    def locate(self, module: str, *, anywhere: bool = False, near: str | None = None) -> str | None:
        """The file of a dotted module name, or None where it lies outside the repository.

        A module of one part counts only in a source root or beside `near`: "celery" is not "shop/celery.py".
        `anywhere` drops that, for names that somebody gave explicitly.
        """
        tail = module.replace(".", "/")
        for path in self._by_stem.get(module.rpartition(".")[2], ()):
            start = _start_of(path, tail)
            if start is not None and start not in self._packages and self._importable(module, start, near, anywhere):
                return path
        return None

    def _importable(self, module: str, start: str, near: str | None, anywhere: bool) -> bool:
        if anywhere or start == "":
            return True
        if module.partition(".")[0] in sys.stdlib_module_names:
            return False
        if "." in module:
            return True
        return start in self._roots or (near is not None and _split(near)[0] == start and _split(near)[1] != module)

    # Names

    def find(self, import_path: str) -> Definition | None:
        """The function or class behind "pkg.mod:obj.attr", through re-exports and objects; None where there is none."""
        found = self.lookup(import_path)
        return found.definition if found else None

    def lookup(self, import_path: str) -> Found | None:
        """Where "pkg.mod:obj.attr" leads in the repository, a variable included; None where it leads nowhere in it."""
        return self.remember(("lookup", import_path), lambda: self._lookup(import_path))

    def _lookup(self, import_path: str) -> Found | None:
        module_name, _, attributes = import_path.partition(":")
        path = self.locate(module_name, anywhere=True) if attributes else None
        module = self.module(path) if path else None
        if module is not None:
            found = self._within(module, attributes.split("."), 0)
        else:
            if attributes:
                self._record_absence(module_name)
            found = self._follow(import_path.replace(":", "."), 0)
        return found if found and (found.definition or found.binding) else None

    def _record_absence(self, module_name: str) -> None:
        tail = module_name.replace(".", "/")
        for glob in (f"**/{tail}.py", f"**/{tail}/__init__.py"):
            self.tree.match(glob)

    def origin(self, dotted: str) -> str:
        """The canonical name of a dotted name: re-exports, aliases, module variables and base classes followed."""
        return self.remember(("origin", dotted), lambda: self._origin(dotted))

    def _origin(self, dotted: str) -> str:
        found = self._follow(dotted, 0)
        return _INSTANCE.sub(r"\1", found.dotted if found else dotted)

    def definition(self, dotted: str) -> Definition | None:
        """The function or class behind a dotted name as `Module.resolve` gives it."""
        found = self.remember(("follow", dotted), lambda: self._follow(dotted, 0))
        return found.definition if found else None

    def _follow(self, dotted: str, hops: int) -> Found | None:
        """None where the name leads out of the repository at once."""
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            path = self.locate(".".join(parts[:cut]))
            module = self.module(path) if path else None
            if module is None:
                continue
            if cut == len(parts):
                return self._shadowed(parts, hops) or Found(module.name, module)
            return self._within(module, parts[cut:], hops)
        return None

    def _shadowed(self, parts: list[str], hops: int) -> Found | None:
        """`from .send import send` in a package hides the module of the same name."""
        package = self.locate(".".join(parts[:-1])) if len(parts) > 1 else None
        module = self.module(package) if package else None
        bound = module.bindings(module.tree).get(parts[-1], ()) if module else ()
        targets = [b.target for b in bound if b.kind == "import" and b.target and b.target != ".".join(parts)]
        return self._follow(targets[0], hops + 1) if targets and hops < _MAX_HOPS else None

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
        inner = self.module(path) if path and path != module.path else None
        if inner is not None and len(parts) > 1:
            return self._within(inner, parts[1:], hops + 1)
        outside = [star for star in module.stars if not self.locate(star)]
        return Found(".".join([*(outside if len(outside) == 1 else [module.name]), *parts]), module)

    def _through(
        self, module: Module, scope: ast.AST, bound: list[Binding], parts: list[str], prefix: str, hops: int
    ) -> Found | None:
        binding = next((b for b in bound if b.kind in ("import", "define")), None) or bound[-1]
        rest = parts[1:]
        if binding.kind == "import" and binding.target:
            return self._outward([self._near(binding.target, module), *_call_mark(parts[0]), *rest], hops)
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
        beside = self.import_name(path) if path and path != module.path and not self._imports(path, first) else None
        return ".".join(filter(None, [beside, rest])) if beside else target

    def _imports(self, path: str, name: str) -> bool:
        """`celery.py` that itself imports celery is not what others mean by celery."""
        module = self.module(path)
        bound = (b for every in module.bindings(module.tree).values() for b in every) if module else ()
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
        return f"{name}()" if name and binding.kind == "instance" else name

    def _defined(self, module: Module, node: FunctionNode | ast.ClassDef, parts: list[str], hops: int) -> Found | None:
        """A function or class, or an attribute below it."""
        definition = Definition(module.qualname(node), module.path, node.lineno, node, module)
        rest = parts[1:]
        if not rest:
            return Found(definition.dotted + ("()" if parts[0].endswith("()") else ""), module, definition)
        if isinstance(node, ast.ClassDef):
            return self._member(definition, rest, hops) or Found(".".join([definition.dotted, *rest]), module)
        inner = [n for n in ast.walk(node) if isinstance(n, FunctionNode | ast.ClassDef) and n.name == rest[0]]
        if inner and not parts[0].endswith("()"):
            return self._defined(module, inner[0], rest, hops)
        is_result = parts[0].endswith("()") or _is_property(node)
        result = _returned(module, node) if is_result else None
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
            found = self._follow(".".join([dotted, *rest]), hops + 1) if dotted and hops < _MAX_HOPS else None
            if found and (found.definition or found.binding):
                return found
            if dotted and not self.definition(dotted) and len(owner.node.bases) == 1:
                return Found(".".join([dotted, *rest]))
        return None

    # Classes

    def ancestors(self, dotted: str) -> tuple[str, ...]:
        """The canonical name of a class and of every base class that can be told, builtins' own included."""
        found: list[str] = []
        waiting = [dotted]
        while waiting:
            name = self.origin(waiting.pop(0)).removesuffix("()")
            if name in found:
                continue
            found.append(name)
            definition = self.definition(name)
            if definition and isinstance(definition.node, ast.ClassDef):
                waiting += [b for base in definition.node.bases if (b := definition.module.resolve(base))]
            elif name.startswith("builtins."):
                waiting += [f"builtins.{base.__name__}" for base in _builtin_bases(name)]
        return tuple(found)

    def is_subclass(self, dotted: str, of: str) -> bool:
        """One class is the other or derives from it, as far as the repository and the builtins say."""
        return self.origin(of) in self.ancestors(dotted)

    def exception_names(self, node: ast.expr | None, module: Module) -> tuple[str, ...]:
        """Canonical names of the exceptions in `X`, `(X, Y)` or a variable that holds a tuple, here or elsewhere."""
        return tuple(name for written in exception_names(module, node) for name in self._held(written))

    def _held(self, name: str) -> tuple[str, ...]:
        found = self._follow(name, 0)
        value = found.binding.value if found and found.binding else None
        if found and found.module and isinstance(value, ast.Tuple | ast.List | ast.BinOp):
            return self.exception_names(value, found.module)
        return (self.origin(name),)

    # Calls

    def member(self, classes: Iterable[Definition], name: str) -> Definition | None:
        """The method of the first class that defines it itself."""
        for owner in classes:
            for node in getattr(owner.node, "body", ()):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                    return self.define(owner.module, node)
        return None

    def calls(self, definition: Definition, *, depth: int = 2) -> tuple[Call, ...]:
        """Every call in a body in order, with those of the repository's functions that it calls, `depth` deep.

        For a class: the calls of its `run` method, or else of all its methods.
        """
        key = ("calls", definition.path, definition.name, depth)
        return self.remember(key, lambda: tuple(self._calls_of(definition, depth)))

    def _calls_of(self, definition: Definition, depth: int) -> Iterator[Call]:
        for part in self.callables(definition):
            yield from self._frame(Frame(part), part.node, depth)

    def callables(self, definition: Definition) -> tuple[Definition, ...]:
        """The functions that run for a definition: itself, or the `run` (else every method) of a class."""
        if not isinstance(definition.node, ast.ClassDef):
            return (definition,)
        run = self.definition(f"{definition.dotted}.run")
        if run is not None:
            return (run,)
        methods = [node for node in definition.node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        return tuple(self.define(definition.module, node) for node in methods)

    def define(self, module: Module, node: FunctionNode | ast.ClassDef) -> Definition:
        """The definition of a node that is known already."""
        return Definition(module.qualname(node), module.path, node.lineno, node, module)

    def _frame(self, frame: Frame, function: ast.AST, depth: int) -> Iterator[Call]:
        for node in body_calls(function):
            call = self._call(frame, node)
            yield from self._handed_on(frame, function, node, depth)
            yield call
            yield from self._into(frame, call, depth)

    def _call(self, frame: Frame, node: ast.Call) -> Call:
        module = frame.definition.module
        around = surroundings(module, node)
        handlers = tuple(self.handler(module, clause) for block in around.tries for clause in block.handlers)
        name = self.call_name(module, node)
        return Call(
            name=name or ast.unparse(node.func),
            origin=self.origin(name) if name else ast.unparse(node.func),
            node=node,
            module=module,
            path=module.path,
            line=node.lineno,
            resolved=name is not None,
            via=frame.via,
            in_try=handlers + frame.in_try,
            in_except=self.handler(module, around.clause) if around.clause else frame.in_except,
            in_loop=around.in_loop or frame.in_loop,
            in_with=tuple(_manager(module, m) for m in around.managers) + frame.in_with,
            deferred=frame.deferred,
        )

    def call_name(self, module: Module, node: ast.Call) -> str | None:
        """The dotted name of what is called; methods of `self` and `cls` carry their class where that is told."""
        name = module.resolve(node.func)
        return self.owned(module, node, name) if name else None

    def owned(self, module: Module, node: ast.AST, name: str) -> str:
        """ "self.helper" as "pkg.mod.Class.helper" where the class has it; otherwise unchanged."""
        first, _, rest = name.partition(".")
        owner = module.class_of(node) if first in ("self", "cls") and rest else None
        if owner is None:
            return name
        found = self._member(self.define(module, owner), rest.split("."), 0)
        return f"{module.name}.{module.qualname(owner)}.{rest}" if found and found.dotted else name

    def handler(self, module: Module, clause: ast.ExceptHandler) -> Handler:
        """The facts of one `except` clause, with canonical names."""
        key = ("handler", module.path, clause)
        return self.remember(key, lambda: self._read_handler(module, clause))

    def _read_handler(self, module: Module, clause: ast.ExceptHandler) -> Handler:
        return replace(read_handler(module, clause), exceptions=self.exception_names(clause.type, module))

    def _into(self, frame: Frame, call: Call, depth: int) -> Iterator[Call]:
        target = self.definition(call.name) if call.resolved and len(frame.via) < depth else None
        if target is None or target.dotted in frame.via or target.node is frame.definition.node:
            return
        if isinstance(target.node, ast.ClassDef):
            target = self.definition(f"{target.dotted}.__init__")
            if target is None:
                return
        inside = Frame(
            target,
            via=(*frame.via, target.dotted),
            in_try=call.in_try,
            in_except=call.in_except,
            in_loop=call.in_loop,
            in_with=call.in_with,
            deferred=call.deferred,
        )
        yield from self._frame(inside, target.node, depth)

    def _handed_on(self, frame: Frame, function: ast.AST, node: ast.Call, depth: int) -> Iterator[Call]:
        """Calls inside the lambdas and inner functions that this call receives: they run later or elsewhere."""
        passed = [*node.args, *(keyword.value for keyword in node.keywords)]
        names = {argument.id for argument in passed if isinstance(argument, ast.Name)}
        for inner in inner_functions(function):
            if inner in passed or getattr(inner, "name", None) in names:
                yield from self._frame(replace(frame, deferred=True), inner, depth)

    def handlers(self, definition: Definition, *, depth: int = 0) -> tuple[Handler, ...]:
        """The `except` clauses of a body in order, and of the repository's functions that it calls, `depth` deep."""
        bodies = list(self.callables(definition))
        if depth:
            via = {name for call in self.calls(definition, depth=depth) for name in call.via}
            bodies += [found for name in sorted(via) if (found := self.definition(name))]
        return tuple(
            self.handler(part.module, node)
            for part in bodies
            for node in ast.walk(part.node)
            if isinstance(node, ast.ExceptHandler)
        )

    # Uses

    def uses(self, dotted: str) -> tuple[Use, ...]:
        """Every expression in the repository that means a dotted name, by whatever path it was imported."""
        target = self.origin(dotted.replace(":", "."))
        return self.remember(("uses", target), lambda: tuple(self._uses(target)))

    def _uses(self, target: str) -> Iterator[Use]:
        words = self._spellings(target.rpartition(".")[2])
        modules = {module.path: module for word in words for module in self.modules_with(word)}
        for _, module in sorted(modules.items()):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Name | ast.Attribute) and _last_word(node) in words:
                    name = module.resolve(node) if isinstance(node.ctx, ast.Load) else None
                    if name and self.origin(self._near(self.owned(module, node, name), module)) == target:
                        yield Use(node, module, module.path, node.lineno)

    def _spellings(self, word: str) -> list[str]:
        """A word, and the other names that imports and assignments in the repository give it."""
        words = [word]
        for known in words:
            for module in self.modules_with(known):
                words += sorted(_aliases(module, known) - set(words))
        return words

    def references(self, name: str) -> tuple[Call, ...]:
        """Every call of a dotted name ("shop.mailer.send" or "shop.mailer:send") in the repository."""
        found = []
        for use in self.uses(name):
            above = next(use.module.parents(use.node), None)
            if isinstance(above, ast.Call) and above.func is use.node:
                found.append(self.call_at(use.module, above))
        return tuple(found)

    def call_at(self, module: Module, node: ast.Call) -> Call:
        """The facts of one call, wherever it stands."""
        function = module.function_of(node)
        owner = self.define(module, function) if function else _module_body(module)
        return self._call(Frame(owner), node)

    # Values

    def literal(self, node: ast.expr | None, module: Module) -> Any:
        """The value of an expression: literals, constants, settings, arithmetic; durations as seconds.

        `UNKNOWN`, or an `Unknown` with the reason and the written default, where only running could tell; ask
        with `is_known`.
        """
        return self._literals.fold(node, module)

    def variable(self, module: Module, name: str) -> Any:
        """The value of a module variable, as `literal`."""
        return self._literals.variable(module, name)

    def settings_modules(self) -> tuple[Module, ...]:
        """The modules that DJANGO_SETTINGS_MODULE names in the repository's Python files, the first named first."""
        return self.remember(("settings",), lambda: tuple(self._settings_modules()))

    def _settings_modules(self) -> Iterator[Module]:
        seen: set[str] = set()
        for module in self.modules_with("DJANGO_SETTINGS_MODULE"):
            for node in ast.walk(module.tree):
                path = self.locate(name) if (name := _django_settings(node)) else None
                found = self.module(path) if path and path not in seen else None
                if path and found:
                    seen.add(path)
                    yield found

    def remember(self, key: tuple[Any, ...], compute: Callable[[], _Answer]) -> _Answer:
        """What `compute` gives, computed once for a key; its look-ups are recorded each time it is given."""
        if key not in self._known:
            with self.tree.recording() as lookups:
                answer = compute()
            self._known[key] = (answer, lookups)
            return answer
        kept, lookups = self._known[key]
        self.tree.record(lookups)
        return kept  # type: ignore[no-any-return]


def _django_settings(node: ast.AST) -> str | None:
    """The value in `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "proj.settings")` or `os.environ[...] = ...`."""
    pair: tuple[ast.expr, ast.expr] | None = None
    if isinstance(node, ast.Call) and len(node.args) == 2:
        pair = (node.args[0], node.args[1])
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        pair = (node.targets[0].slice, node.value)
    if pair is None or not all(isinstance(part, ast.Constant) for part in pair):
        return None
    key, value = (part.value for part in pair)  # type: ignore[attr-defined]
    return value if key == "DJANGO_SETTINGS_MODULE" and isinstance(value, str) else None


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _within(folder: str, root: str) -> bool:
    return root == "" or folder == root or folder.startswith(root + "/")


def _start_of(path: str, tail: str) -> str | None:
    """The folder from which a path is the module `tail`; None where it is not."""
    for ending in (f"{tail}.py", f"{tail}/__init__.py"):
        if path == ending:
            return ""
        if path.endswith("/" + ending):
            return path[: -len(ending) - 1]
    return None


def _call_mark(part: str) -> list[str]:
    return ["()"] if part.endswith("()") else []


def _is_property(node: FunctionNode) -> bool:
    names = {_last_word(d) for d in node.decorator_list if isinstance(d, ast.Name | ast.Attribute)}
    return bool(names & {"property", "cached_property"})


def _returned(module: Module, node: FunctionNode) -> str | None:
    """What a function returns, as a dotted name: "pkg.Class()" by its annotation, or its only `return`."""
    if node.returns is not None:
        named = isinstance(node.returns, ast.Name | ast.Attribute | ast.Constant)
        found = module.resolve(node.returns) if named else None
        return f"{found}()" if found else None
    returns = [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
    return module.resolve(returns[0]) if len(returns) == 1 else None


def _set_on_self(owner: ast.ClassDef, name: str) -> list[Binding]:
    """What methods assign to `self.<name>`."""
    found = []
    for node in ast.walk(owner):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Attribute) and t.attr == name and _is_self(t.value) for t in targets):
                found.append(Binding("value", node, value=node.value))
    return found


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _builtin_bases(name: str) -> tuple[type, ...]:
    found = getattr(builtins, name.partition(".")[2], None)
    return found.__bases__ if isinstance(found, type) else ()


def _manager(module: Module, node: ast.expr) -> str:
    inner = node.func if isinstance(node, ast.Call) else node
    return module.resolve(inner) or ast.unparse(inner)


def _last_word(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _aliases(module: Module, word: str) -> set[str]:
    """Other names under which a file imports a word, and variables that hold it."""
    imported = {
        alias.asname
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.name.rpartition(".")[2] == word
    }
    held = {
        target.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign) and _last_word(node.value) in {word, *imported}
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return imported | held


def _module_body(module: Module) -> Definition:
    """A definition that stands for a module's own body."""
    empty = ast.parse("def module(): pass").body[0]
    assert isinstance(empty, ast.FunctionDef)
    return Definition("<module>", module.path, 1, empty, module)
