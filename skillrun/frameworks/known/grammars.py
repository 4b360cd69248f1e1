"""Which nodes of each language's syntax tree import something, and which do something with an
imported name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ast_grep_py import SgNode

RESOLVED = frozenset({"call", "base", "mark", "type"})
# Characters of a written name; a longer one is an expression.
_LONGEST = 200
# Parents between a call and what it is bound to.
_UP = 5

# (local name, "" for a whole module opened; import path).
Imports = Callable[["SgNode"], Iterator[tuple[str, str]]]
Sights = Callable[["SgNode"], Iterator[tuple[str, str, str]]]  # (kind, name, target)


@dataclass(frozen=True)
class Reader:
    """Kind of node -> what it says."""

    imports: Mapping[str, Imports]
    sights: Mapping[str, Sights]
    separator: str = "."


@dataclass
class Names:
    """What the local names of a file stand for."""

    _paths: dict[str, str] = field(default_factory=dict)
    _opened: list[str] = field(default_factory=list)

    def bind(self, local: str, path: str) -> None:
        """One import; without a local name, all names of the path are open."""
        if local:
            self._paths.setdefault(local, path)
        else:
            self._opened.append(path)

    def resolve(self, name: str, separator: str) -> Iterator[str]:
        """The import paths that a written name may mean; as written where no import binds it."""
        first, _, rest = name.partition(separator)
        if first in self._paths:
            yield self._paths[first] + (separator + rest if rest else "")
            return
        yield name
        if first[:1].isupper():
            for path in self._opened:
                yield f"{path}{separator}{name}"


def _read_name(node: SgNode | None) -> str:
    """A name as it is written; "" for an expression."""
    if node is None or _is_deep(node):
        return ""
    text = node.text()
    if len(text) > _LONGEST or "\n" in text:
        return ""
    return text


def _is_deep(node: SgNode) -> bool:
    """Whether it begins in so many calls of calls that it is longer than any name.

    To ask for the text of each call in a chain of a hundred thousand would copy the chain as often.
    """
    first: SgNode | None = node
    # Each call or attribute takes two characters at least.
    for _ in range(_LONGEST // 2):
        if first is not None:
            first = first.child(0)
        else:
            first = None
        if first is None:
            return False
    return True


def _read_string(node: SgNode | None) -> str:
    """The text of a string."""
    return _read_name(node).strip("\"'`")


def _list_children(node: SgNode, *kinds: str) -> Iterator[SgNode]:
    return (child for child in node.children() if child.kind() in kinds)


def _find_child(node: SgNode, *kinds: str) -> SgNode | None:
    return next(_list_children(node, *kinds), None)


def _last_part(name: str) -> str:
    """The last part of a written name: "queue" of "this.queue"."""
    return name.replace("::", ".").rpartition(".")[2].strip()


# -- JavaScript and TypeScript


def _js_import(node: SgNode) -> Iterator[tuple[str, str]]:
    module = _read_string(node.field("source"))
    clause = _find_child(node, "import_clause")
    for part in clause.children() if clause else ():
        if part.kind() == "identifier":
            # A default export goes by the name of its module.
            yield part.text(), module
        elif part.kind() == "namespace_import":
            yield _last_part(part.text().replace(" ", ".")), module
        elif part.kind() == "named_imports":
            for one in _list_children(part, "import_specifier"):
                name = _read_name(one.field("name"))
                local = _read_name(one.field("alias")) or name
                yield local, module if name == "default" else f"{module}.{name}"
    if clause is None:
        yield " ", module


def _js_require(node: SgNode) -> Iterator[tuple[str, str]]:
    """`const { Queue } = require("bullmq")`, and the same of `await import("bullmq")`."""
    value, name = node.field("value"), node.field("name")
    if value is not None and value.kind() == "await_expression":
        value = next((one for one in value.children() if one.is_named()), None)
    if value is None or name is None or value.kind() != "call_expression":
        return
    if _read_name(value.field("function")) not in ("require", "import"):
        return
    module = _read_string(
        next((one for one in _list_arguments(value) if one.kind() == "string"), None)
    )
    if name.kind() == "identifier":
        yield name.text(), module
    for part in _list_children(name, "shorthand_property_identifier_pattern"):
        yield part.text(), f"{module}.{part.text()}"
    for part in _list_children(name, "pair_pattern"):
        yield _read_name(part.field("value")), f"{module}.{_read_name(part.field('key'))}"


def _list_arguments(node: SgNode) -> list[SgNode]:
    held = node.field("arguments")
    if held is None:
        return []
    arguments = []
    for one in held.children():
        if one.is_named():
            arguments.append(one)
    return arguments


def _js_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    name = _read_name(node.field("function") or node.field("constructor"))
    if name and name not in ("require", "import"):
        yield "call", name.removeprefix("this."), _bound_to(node)


def _bound_to(node: SgNode) -> str:
    """The variable or field that a call's value ends in; of a chain, that of the whole chain."""
    current = node
    for _ in range(_UP):
        parent = current.parent()
        if parent is None:
            return ""
        held = None
        if parent.kind() in ("variable_declarator", "public_field_definition"):
            held = parent.field("name")
        if parent.kind() == "assignment_expression":
            held = held or parent.field("left")
        if parent.kind() == "field_definition":
            held = held or parent.field("property")
        if held is not None:
            if current.text() == held.text():
                return ""
            return _last_part(_read_name(held))
        if parent.kind() not in (
            "await_expression",
            "parenthesized_expression",
            "as_expression",
            "new_expression",
        ):
            return ""
        current = parent
    return ""


def _js_heritage(node: SgNode) -> Iterator[tuple[str, str, str]]:
    target = _read_name((node.parent() or node).field("name"))
    for clause in [*_list_children(node, "extends_clause", "implements_clause"), node]:
        for one in _list_children(
            clause, "identifier", "member_expression", "type_identifier", "generic_type"
        ):
            yield "base", _read_name(one).partition("<")[0], target


def _js_decorator(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = next((one for one in node.children() if one.is_named()), None)
    if held is not None:
        yield (
            "mark",
            _read_name(held.field("function") if held.kind() == "call_expression" else held),
            "",
        )


JAVASCRIPT = Reader(
    imports={"import_statement": _js_import, "variable_declarator": _js_require},
    sights={
        "call_expression": _js_call,
        "new_expression": _js_call,
        "class_heritage": _js_heritage,
        "decorator": _js_decorator,
    },
)


# -- Ruby

_INCLUDES = frozenset({"include", "extend", "prepend"})


def _ruby_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    method, receiver = _read_name(node.field("method")), _read_name(node.field("receiver"))
    if receiver:
        yield "call", f"{receiver}.{method}", ""
    elif method in _INCLUDES:
        for one in _list_arguments(node):
            yield "base", _read_name(one), _name_enclosing(node, "class", "module")
    elif method in ("require", "gem"):
        for one in _list_arguments(node):
            yield "import", _read_string(one), ""
    else:
        yield "call", method, ""


def _name_enclosing(node: SgNode, *kinds: str) -> str:
    for one in node.ancestors():
        if one.kind() in kinds:
            return _read_name(one.field("name"))
    return ""


def _ruby_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = node.field("superclass")
    if held is not None:
        yield "base", _read_name(held).removeprefix("<").strip(), _read_name(node.field("name"))


def _ruby_assignment(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "set", f"{_read_name(node.field('left'))}={_read_name(node.field('right'))}", ""


RUBY = Reader(
    imports={},
    sights={"call": _ruby_call, "class": _ruby_class, "assignment": _ruby_assignment},
    separator="::",
)


# -- Go


def _go_import(node: SgNode) -> Iterator[tuple[str, str]]:
    path = _read_string(node.field("path"))
    parts = path.split("/")
    if len(parts) > 1 and parts[-1][:1] == "v" and parts[-1][1:].isdigit():
        last = parts[-2]
    else:
        last = parts[-1]
    yield _read_name(node.field("name")) or last.partition(".")[0], path


def _go_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    name = _read_name(node.field("function"))
    if name:
        yield "call", name.partition("[")[0], ""


def _go_type(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "type", _read_name(node), ""


GO = Reader(
    imports={"import_spec": _go_import},
    sights={"call_expression": _go_call, "qualified_type": _go_type},
)


# -- Java and Kotlin


def _jvm_import(node: SgNode) -> Iterator[tuple[str, str]]:
    held = _find_child(node, "scoped_identifier", "identifier")
    path = _read_name(held)
    alias = _find_child(node, "import_alias")
    opened = _find_child(node, "asterisk", "wildcard_import") is not None
    yield "" if opened else _last_part(_read_name(alias)) or _last_part(path), path


def _java_annotation(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "mark", _read_name(node.field("name")), ""


def _java_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    owner = _read_name(node.field("object"))
    name = _read_name(node.field("name")) or _read_name(node.field("type")).partition("<")[0]
    yield "call", f"{owner}.{name}" if owner else name, ""


def _java_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    for clause in (node.field("superclass"), node.field("interfaces")):
        for one in _named_below(
            clause, "type_identifier", "generic_type", "scoped_type_identifier"
        ):
            yield "base", _read_name(one).partition("<")[0], _read_name(node.field("name"))


def _named_below(node: SgNode | None, *kinds: str) -> Iterator[SgNode]:
    if node is not None:
        for child in node.children():
            if child.kind() in kinds:
                yield child
            elif child.kind() == "type_list":
                yield from _list_children(child, *kinds)


def _kotlin_annotation(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "mark", _read_name(node).lstrip("@").partition("(")[0], ""


def _kotlin_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = next((one for one in node.children() if one.is_named()), None)
    if held is not None and held.kind() in ("simple_identifier", "navigation_expression"):
        yield "call", _read_name(held), ""


def _kotlin_base(node: SgNode) -> Iterator[tuple[str, str, str]]:
    parent = node.parent()
    target = ""
    if parent is not None:
        target = _read_name(_find_child(parent, "type_identifier"))
    yield "base", _read_name(node).partition("(")[0].partition("<")[0], target


JAVA = Reader(
    imports={"import_declaration": _jvm_import},
    sights={
        "annotation": _java_annotation,
        "marker_annotation": _java_annotation,
        "method_invocation": _java_call,
        "object_creation_expression": _java_call,
        "class_declaration": _java_class,
    },
)
KOTLIN = Reader(
    imports={"import_header": _jvm_import},
    sights={
        "annotation": _kotlin_annotation,
        "call_expression": _kotlin_call,
        "delegation_specifier": _kotlin_base,
    },
)


# -- PHP


def _php_import(node: SgNode) -> Iterator[tuple[str, str]]:
    named = []
    for one in node.children():
        if one.kind() in ("qualified_name", "name"):
            named.append(one)
    if not named:
        return
    group = node.parent()
    above = None
    if group is not None and group.kind() == "namespace_use_group":
        above = group.parent()
    prefix = ""
    if above is not None:
        prefix = _read_name(_find_child(above, "namespace_name")) + "\\"
    path = prefix + _read_name(named[0]).lstrip("\\")
    alias = ""
    if len(named) > 1:
        alias = _read_name(named[1])
    yield alias or path.rpartition("\\")[2], path


def _php_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    for clause in _list_children(node, "base_clause", "class_interface_clause"):
        for one in _list_children(clause, "name", "qualified_name"):
            yield "base", _read_name(one).lstrip("\\"), _read_name(node.field("name"))


def _php_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    owner = _read_name(node.field("scope") or node.field("object"))
    name = _read_name(node.field("name"))
    if owner and name:
        yield "call", f"{owner.lstrip(chr(92))}\\{name}", ""


PHP = Reader(
    imports={"namespace_use_clause": _php_import},
    sights={
        "class_declaration": _php_class,
        "scoped_call_expression": _php_call,
        "member_call_expression": _php_call,
    },
    separator="\\",
)


# -- Elixir


def _elixir_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = node.field("target") or next((one for one in node.children() if one.is_named()), None)
    name = _read_name(held)
    given = _find_child(node, "arguments")
    if given is not None:
        aliases = [_read_name(one) for one in _list_children(given, "alias")]
    else:
        aliases = []
    if name in ("use", "import") and aliases:
        yield "base", aliases[0], ""
    elif name == "config" and aliases:
        yield "set", f"config {aliases[0]}", ""
    elif name:
        yield "call", name, ""


def _elixir_tuple(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`{Oban.Plugins.Cron, crontab: [...]}` and `{Oban, config}`: a child or a plug-in with its
    options.
    """
    first = next((one for one in node.children() if one.is_named()), None)
    if first is not None and first.kind() == "alias":
        yield "type", _read_name(first), ""


ELIXIR = Reader(imports={}, sights={"call": _elixir_call, "tuple": _elixir_tuple})


# -- C#


def _csharp_using(node: SgNode) -> Iterator[tuple[str, str]]:
    held = _find_child(node, "identifier", "qualified_name")
    if held is not None and "=" not in _read_name(node):
        yield "", _read_name(held)


def _csharp_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = node.field("function") or node.field("type")
    name = _read_name(held) or (f"?.{_read_name(held.field('name'))}" if held is not None else "")
    if name:
        yield "call", name.partition("<")[0].removeprefix("?"), ""


def _csharp_base(node: SgNode) -> Iterator[tuple[str, str, str]]:
    target = _read_name((node.parent() or node).field("name"))
    for one in _list_children(node, "identifier", "qualified_name", "generic_name"):
        yield "base", _read_name(one).partition("<")[0], target


def _csharp_attribute(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "mark", _read_name(node.field("name")), ""


CSHARP = Reader(
    imports={"using_directive": _csharp_using},
    sights={
        "invocation_expression": _csharp_call,
        "object_creation_expression": _csharp_call,
        "base_list": _csharp_base,
        "attribute": _csharp_attribute,
    },
)


# -- Rust


def _rust_use(node: SgNode) -> Iterator[tuple[str, str]]:
    held = node.field("argument")
    if held is not None:
        yield from _rust_tree(held, "")


def _rust_tree(node: SgNode, prefix: str) -> Iterator[tuple[str, str]]:
    if node.kind() == "scoped_use_list":
        path, held = _read_name(node.field("path")), node.field("list")
        if held is not None:
            for one in held.children():
                if one.is_named():
                    yield from _rust_tree(one, f"{prefix}{path}::")
    elif node.kind() == "use_list":
        for one in node.children():
            if one.is_named():
                yield from _rust_tree(one, prefix)
    elif node.kind() == "use_as_clause":
        yield _read_name(node.field("alias")), prefix + _read_name(node.field("path"))
    elif node.kind() == "use_wildcard":
        yield "", prefix + _read_name(node).removesuffix("::*")
    else:
        yield _last_part(_read_name(node)), prefix + _read_name(node)


def _rust_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    held = node.field("function")
    if held is not None and held.kind() in ("scoped_identifier", "identifier"):
        yield "call", _read_name(held), ""


RUST = Reader(
    imports={"use_declaration": _rust_use}, sights={"call_expression": _rust_call}, separator="::"
)
