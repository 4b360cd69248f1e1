"""One Python file, parsed: what each name in it means by its imports, its definitions and its local
variables.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from skillrun.repo.syntax import Node, is_none, parse_python

_Node = TypeVar("_Node", bound=ast.AST)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ScopeNode = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
_SCOPES = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_BUILTINS = frozenset(dir(builtins))


@dataclass
class Binding:
    """What one name is bound to in one scope.

    `kind` is import (`target` says what), define (a function or class), value (`value` is what is
    assigned), instance
    (an object whose class is `value`: an annotated parameter, a caught exception), or opaque.
    """

    kind: str
    node: ast.AST
    target: str | None = None
    value: ast.expr | None = None


Bindings = dict[str, list[Binding]]


@dataclass(eq=False)
class Module:
    """A parsed file. `name` is its dotted import name, `path` is relative to the repository."""

    path: str
    name: str
    tree: ast.Module
    text: str
    is_package: bool = False
    stars: list[str] = field(default_factory=list)  # modules whose names are all imported
    _scopes: dict[ast.AST, Bindings] = field(default_factory=dict)
    _inner_calls: dict[tuple[ast.Call, int], ast.Call] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[str]:
        """The source, a line an entry, without line ends."""
        return self.text.splitlines()

    def line_text(self, line: int) -> str:
        """One line of the source, stripped; "" beyond its end. Lines count from 1."""
        if 0 < line <= len(self.lines):
            return self.lines[line - 1].strip()
        return ""

    @cached_property
    def all_nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree, found once for all who look for one in the whole file."""
        return tuple(ast.walk(self.tree))

    def nodes(self, kind: type[Node]) -> Iterator[Node]:
        """Those of a kind, in the same order."""
        for node in self.all_nodes:
            if isinstance(node, kind):
                yield node

    @cached_property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """(name, alias) of each `from ... import name as alias`, wherever it stands."""
        found: list[tuple[str, str]] = []
        for node in self.nodes(ast.ImportFrom):
            for alias in node.names:
                if alias.asname:
                    found.append((alias.name, alias.asname))
        return tuple(found)

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in self.all_nodes for child in ast.iter_child_nodes(node)}

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the nearest first."""
        while (above := self._parents.get(node)) is not None:
            yield above
            node = above

    def find_call_of(self, node: ast.AST) -> ast.Call | None:
        """The call of an expression; None where it is named, handed on, or something else."""
        above = self._parents.get(node)
        if isinstance(above, ast.Call) and above.func is node:
            return above
        return None

    def inner_call(self, node: ast.Call, at: int) -> ast.Call:
        """The call that another one makes of its argument at a position with those behind it; it
        stands inside.
        """
        key = (node, at)
        if key not in self._inner_calls:
            inner = ast.copy_location(
                ast.Call(node.args[at], node.args[at + 1 :], node.keywords), node
            )
            self._parents[inner] = node
            self._inner_calls[key] = inner
        return self._inner_calls[key]

    def above(self, node: ast.AST, *kinds: type[_Node]) -> _Node | None:
        """The nearest node around another one that is of one of these kinds."""
        for above in self.parents(node):
            if isinstance(above, kinds):
                return above
        return None

    def function_of(self, node: ast.AST) -> FunctionNode | None:
        """The function whose body holds a node; None at module or class level."""
        for above in self.parents(node):
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                return above
        return None

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class around a node, across functions; None where there is none."""
        for above in self.parents(node):
            if isinstance(above, ast.ClassDef):
                return above
        return None

    def qualname(self, node: ast.AST) -> str:
        """The dotted name of a function or class within its module, e.g. "Mailer.send"."""
        outer = []
        for n in self.parents(node):
            if isinstance(n, (*_FUNCTIONS[:2], ast.ClassDef)):
                outer.append(n.name)
        return ".".join([*reversed(outer), getattr(node, "name", "<lambda>")])

    def resolve(self, node: ast.expr) -> str | None:
        """The dotted origin of a name or attribute, as this file's imports and definitions give it.

        "celery.shared_task", "shop.mailer.send", "builtins.TimeoutError", "self.retry". What a call
        returned carries "()": "smtplib.SMTP().send_message". A name that cannot be told (an untyped
        parameter) gives None.
        """
        return self._resolve_node(node, ())

    def bindings(self, scope: ast.AST) -> Bindings:
        """Name -> what it is bound to in a module, class or function, in source order."""
        if scope not in self._scopes:
            self._scopes[scope] = _Binder(self).bind(scope)
        return self._scopes[scope]

    def absolute(self, module: str | None, level: int) -> str:
        """The dotted name that `from <dots><module> import ...` means in this file."""
        if not level:
            return module or ""
        parts = []
        if self.name:
            parts = self.name.split(".")
        parts = parts[: len(parts) - level + (1 if self.is_package else 0)]
        return ".".join([*parts, *([module] if module else [])])

    def _resolve_node(self, node: ast.expr, seen: tuple[str, ...]) -> str | None:
        if isinstance(node, ast.Name):
            return self._resolve_name(node, seen)
        if isinstance(node, ast.Attribute):
            base = self._resolve_node(node.value, seen)
            if not base:
                return None
            return f"{base}.{node.attr}"
        if isinstance(node, ast.Call):
            called = self._resolve_node(node.func, seen)
            if not called:
                return None
            return f"{called}()"
        if isinstance(node, ast.Await):
            return self._resolve_node(node.value, seen)
        if isinstance(node, ast.Subscript):
            return self._resolve_node(node.value, seen)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.isidentifier()
        ):
            return self._resolve_word(node.value, node, seen)  # a quoted annotation
        return None

    def _resolve_name(self, node: ast.Name, seen: tuple[str, ...]) -> str | None:
        return self._resolve_word(node.id, node, seen)

    def _resolve_word(self, word: str, node: ast.AST, seen: tuple[str, ...]) -> str | None:
        for scope in self.scopes_around(node):
            bound = self.bindings(scope).get(word)
            if bound:
                return self._find_meaning(word, bound, scope, seen)
        if word in _BUILTINS:
            return f"builtins.{word}"
        if len(self.stars) != 1:
            return None
        return f"{self.stars[0]}.{word}"

    def scopes_around(self, node: ast.AST) -> Iterator[ScopeNode]:
        """The scopes that Python searches for a name used at a node: class bodies only from
        directly inside.
        """
        inside_function = False
        below = node
        for above in self.parents(node):
            if isinstance(above, _FUNCTIONS):
                if not _outside_body(above, below):
                    inside_function = True
                    yield above
            elif isinstance(above, ast.ClassDef):
                if not inside_function and below in above.body:
                    yield above
            elif isinstance(above, ast.Module):
                yield above
            below = above

    def receiver_of(self, function: ast.AST) -> str | None:
        """The parameter of a method that is the object before the dot, whatever its name; None for
        a function that is none, and for a static one.
        """
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        if not isinstance(next(self.parents(function), None), ast.ClassDef):
            return None
        if any(last_word(decorator) == "staticmethod" for decorator in function.decorator_list):
            return None
        positional = [*function.args.posonlyargs, *function.args.args]
        if positional:
            return positional[0].arg
        return None

    def _find_meaning(
        self, word: str, bound: list[Binding], scope: ScopeNode, seen: tuple[str, ...]
    ) -> str | None:
        for binding in bound:
            if binding.kind == "import":
                return binding.target
            if binding.kind == "define":
                return f"{self.name}.{self.qualname(binding.node)}"
        if isinstance(scope, ast.Module):
            return f"{self.name}.{word}"
        if isinstance(scope, ast.ClassDef):
            return f"{self.name}.{self.qualname(scope)}.{word}"
        if word == self.receiver_of(scope) and bound[0].kind == "opaque":
            return "self"
        return self._find_local(word, bound, seen)

    def _find_local(self, word: str, bound: list[Binding], seen: tuple[str, ...]) -> str | None:
        if word in ("self", "cls") and bound[0].kind == "opaque":
            return word
        if word in seen:
            return None
        for binding in bound:
            if binding.value is not None:
                found = self._resolve_node(binding.value, (*seen, word))
                if found:
                    if binding.kind == "instance":
                        return f"{found}()"
                    return found
        return None


def _outside_body(function: ast.AST, below: ast.AST) -> bool:
    """Decorators, defaults and annotations are read where the function stands, not inside it."""
    if isinstance(function, ast.Lambda):
        return below is not function.body
    return below not in getattr(function, "body", ())


def last_word(node: ast.expr) -> str:
    """The last part of a name or attribute as written; "" for any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if not isinstance(node, ast.Attribute):
        return ""
    return node.attr


def body_of(scope: ast.AST) -> list[ast.AST]:
    """The statements of a scope, or the one expression of a lambda."""
    body: list[ast.AST] | ast.AST = getattr(scope, "body", [])
    if isinstance(body, list):
        return body
    return [body]


class _Binder(ast.NodeVisitor):
    """Collects what the names of one scope are bound to; does not enter the scopes below it."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.found: Bindings = {}

    def bind(self, scope: ast.AST) -> Bindings:
        if isinstance(scope, _FUNCTIONS):
            self._bind_parameters(scope.args)
        for statement in body_of(scope):
            self.visit(statement)
        return self.found

    def _add_binding(self, name: str, binding: Binding) -> None:
        self.found.setdefault(name, []).append(binding)

    def _bind_parameters(self, args: ast.arguments) -> None:
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs]
        for arg in [*every, *(a for a in (args.vararg, args.kwarg) if a)]:
            kind = "opaque"
            if arg.annotation is not None and arg in every:
                kind = "instance"
            value = None
            if kind == "instance":
                value = _optional_inside(arg.annotation)
            self._add_binding(
                arg.arg, Binding(kind if value is not None else "opaque", arg, value=value)
            )

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname:
                self._add_binding(alias.asname, Binding("import", node, target=alias.name))
            else:
                first = alias.name.partition(".")[0]
                self._add_binding(first, Binding("import", node, target=first))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = self.module.absolute(node.module, node.level)
        for alias in node.names:
            if alias.name == "*":
                self.module.stars.append(source)
            else:
                if source:
                    target = f"{source}.{alias.name}"
                else:
                    target = alias.name
                self._add_binding(
                    alias.asname or alias.name, Binding("import", node, target=target)
                )

    def _bind_definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._add_binding(node.name, Binding("define", node))

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _bind_definition

    def visit_Lambda(self, node: ast.Lambda) -> None:
        return None

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._bind_target(target, node.value, node)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind_target(node.target, node.value, node)
            self.visit(node.value)
        elif isinstance(node.target, ast.Name):
            self._add_binding(
                node.target.id, Binding("instance", node, value=_optional_inside(node.annotation))
            )

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind_target(node.target, node.value, node)
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._bind_target(node.target, None, node)
        self.visit(node.value)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._bind_target(node.target, None, node)
        self.generic_visit(node)

    visit_AsyncFor = visit_For

    def _bind_managers(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self._bind_target(item.optional_vars, item.context_expr, node)
        self.generic_visit(node)

    visit_With = visit_AsyncWith = _bind_managers

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            single = None
            if not isinstance(node.type, ast.Tuple):
                single = node.type
            self._add_binding(
                node.name,
                Binding("instance" if single is not None else "opaque", node, value=single),
            )
        self.generic_visit(node)

    def _bind_target(self, target: ast.expr, value: ast.expr | None, node: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self._add_binding(
                target.id, Binding("value" if value is not None else "opaque", node, value=value)
            )
        elif isinstance(target, ast.Tuple | ast.List):
            values: list[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                values = list(value.elts)
            for element, part in zip(target.elts, values, strict=True):
                self._bind_target(element, part, node)
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, None, node)


def _optional_inside(annotation: ast.expr | None) -> ast.expr | None:
    """The class named by an annotation, through `X | None`; None for a container or a union."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = []
        for s in (annotation.left, annotation.right):
            if not is_none(s):
                sides.append(s)
        if len(sides) != 1:
            return None
        return _optional_inside(sides[0])
    if not isinstance(annotation, ast.Name | ast.Attribute | ast.Constant):
        return None
    return annotation


def parse_module(path: str, name: str, data: bytes) -> Module:
    """A module from the bytes of its file. Raises SyntaxError or ValueError where Python cannot
    read it.
    """
    tree = parse_python(data)
    text = data.decode("utf-8", "replace")
    return Module(path, name, tree, text, is_package=path.rpartition("/")[2] == "__init__.py")
