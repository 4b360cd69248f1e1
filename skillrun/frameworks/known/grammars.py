"""Which nodes of each language's syntax tree import something, and which do something with an
imported name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
            path = self._paths[first]
            if rest:
                path += separator + rest
            yield path
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
    first = node
    # Each call or attribute takes two characters at least.
    for _ in range(_LONGEST // 2):
        child = first.child(0)
        if child is None:
            return False
        first = child
    return True


def _read_string(node: SgNode | None) -> str:
    """The text of a string."""
    return _read_name(node).strip("\"'`")


def _list_children(node: SgNode, *kinds: str) -> Iterator[SgNode]:
    """The children of some kinds."""
    for child in node.children():
        if child.kind() in kinds:
            yield child


def _find_child(node: SgNode, *kinds: str) -> SgNode | None:
    """The first child of some kinds."""
    return next(_list_children(node, *kinds), None)


def _first_named(nodes: Iterable[SgNode]) -> SgNode | None:
    """The first node that is no punctuation and no keyword; a grammar gives those no name."""
    for node in nodes:
        if node.is_named():
            return node
    return None


def _cut_generics(name: str) -> str:
    """ "Consumer" of "Consumer<Order>"."""
    return name.partition("<")[0]


def _last_part(name: str) -> str:
    """The last part of a written name: "queue" of "this.queue"."""
    return name.replace("::", ".").rpartition(".")[2].strip()


# -- JavaScript and TypeScript


def _js_import(node: SgNode) -> Iterator[tuple[str, str]]:
    """`import Queue, { Worker as Runner } from "bull"` and `import * as bull from "bull"`."""
    module = _read_string(node.field("source"))
    clause = _find_child(node, "import_clause")
    if clause is None:
        # `import "bull"` binds nothing: a name that no code can have stands for it.
        yield " ", module
        return
    for part in clause.children():
        if part.kind() == "identifier":
            # A default export goes by the name of its module.
            yield part.text(), module
        elif part.kind() == "namespace_import":
            # "* as bull"
            yield _last_part(part.text().replace(" ", ".")), module
        elif part.kind() == "named_imports":
            yield from _js_named_imports(part, module)


def _js_named_imports(node: SgNode, module: str) -> Iterator[tuple[str, str]]:
    """`{ Worker as Runner, default as Queue }` of an import."""
    for specifier in _list_children(node, "import_specifier"):
        name = _read_name(specifier.field("name"))
        local = _read_name(specifier.field("alias")) or name
        path = f"{module}.{name}"
        if name == "default":
            path = module
        yield local, path


def _js_require(node: SgNode) -> Iterator[tuple[str, str]]:
    """`const { Queue } = require("bullmq")`, and the same of `await import("bullmq")`."""
    value, name = node.field("value"), node.field("name")
    if value is not None and value.kind() == "await_expression":
        value = _first_named(value.children())
    if value is None or name is None or value.kind() != "call_expression":
        return
    if _read_name(value.field("function")) not in ("require", "import"):
        return
    module = ""
    for argument in _list_arguments(value):
        if argument.kind() == "string":
            module = _read_string(argument)
            break
    if name.kind() == "identifier":
        yield name.text(), module
    for part in _list_children(name, "shorthand_property_identifier_pattern"):
        yield part.text(), f"{module}.{part.text()}"
    for part in _list_children(name, "pair_pattern"):
        yield _read_name(part.field("value")), f"{module}.{_read_name(part.field('key'))}"


def _list_arguments(call: SgNode) -> list[SgNode]:
    """The arguments of a call, without its parentheses and commas."""
    listed = call.field("arguments")
    if listed is None:
        return []
    return [child for child in listed.children() if child.is_named()]


def _js_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`new Queue("mail")` and `this.queue.add("send")`, with what the value is bound to."""
    name = _read_name(node.field("function") or node.field("constructor"))
    if name and name not in ("require", "import"):
        yield "call", name.removeprefix("this."), _bound_to(node)


# The node that binds a value -> its field with the name.
_JS_BINDINGS = {
    "variable_declarator": "name",
    "public_field_definition": "name",
    "assignment_expression": "left",
    "field_definition": "property",
}
# What may stand around a value, and hands it on.
_JS_WRAPPERS = frozenset(
    {"await_expression", "parenthesized_expression", "as_expression", "new_expression"}
)


def _bound_to(node: SgNode) -> str:
    """The variable or field that a call's value is bound to, "queue" of `const queue = await
    make()`; "" where it is bound to none.
    """
    current = node
    for _ in range(_UP):
        parent = current.parent()
        if parent is None:
            return ""
        binding = _JS_BINDINGS.get(parent.kind())
        target = None
        if binding is not None:
            target = parent.field(binding)
        if target is not None:
            # The call stands on the left itself: `makeQueue().name = ...`.
            if current.text() == target.text():
                return ""
            return _last_part(_read_name(target))
        if parent.kind() not in _JS_WRAPPERS:
            return ""
        current = parent
    return ""


_JS_BASES = ("identifier", "member_expression", "type_identifier", "generic_type")


def _js_heritage(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`extends WorkerHost implements OnModuleInit`; JavaScript's grammar has the base directly in
    the heritage, TypeScript's in clauses.
    """
    target = _read_name((node.parent() or node).field("name"))
    for clause in [*_list_children(node, "extends_clause", "implements_clause"), node]:
        for base in _list_children(clause, *_JS_BASES):
            yield "base", _cut_generics(_read_name(base)), target


def _js_decorator(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`@Processor` and `@Processor("mail")`."""
    named = _first_named(node.children())
    if named is None:
        return
    if named.kind() == "call_expression":
        named = named.field("function")
    yield "mark", _read_name(named), ""


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
    """`include Sidekiq::Job`, `require "sidekiq"`, `MailJob.perform_async(1)`."""
    method, receiver = _read_name(node.field("method")), _read_name(node.field("receiver"))
    if receiver:
        yield "call", f"{receiver}.{method}", ""
    elif method in _INCLUDES:
        for argument in _list_arguments(node):
            yield "base", _read_name(argument), _name_enclosing(node, "class", "module")
    elif method in ("require", "gem"):
        for argument in _list_arguments(node):
            yield "import", _read_string(argument), ""
    else:
        yield "call", method, ""


def _name_enclosing(node: SgNode, *kinds: str) -> str:
    """The name of the nearest node of some kinds around a node; "" where none is."""
    for ancestor in node.ancestors():
        if ancestor.kind() in kinds:
            return _read_name(ancestor.field("name"))
    return ""


def _ruby_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`class MailJob < ApplicationJob`; the grammar counts the "<" to the superclass."""
    base = node.field("superclass")
    if base is not None:
        yield "base", _read_name(base).removeprefix("<").strip(), _read_name(node.field("name"))


def _ruby_assignment(node: SgNode) -> Iterator[tuple[str, str, str]]:
    yield "set", f"{_read_name(node.field('left'))}={_read_name(node.field('right'))}", ""


RUBY = Reader(
    imports={},
    sights={"call": _ruby_call, "class": _ruby_class, "assignment": _ruby_assignment},
    separator="::",
)


# -- Go


def _go_import(node: SgNode) -> Iterator[tuple[str, str]]:
    """`import "github.com/riverqueue/river/v2"` binds `river`."""
    path = _read_string(node.field("path"))
    parts = path.split("/")
    package = parts[-1]
    is_version = package[:1] == "v" and package[1:].isdigit()
    if is_version and len(parts) > 1:
        package = parts[-2]
    # The package in "gopkg.in/yaml.v3" is `yaml`.
    yield _read_name(node.field("name")) or package.partition(".")[0], path


def _go_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`river.AddWorker[Args](workers, w)`, without its type arguments."""
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
    """`import org.jobrunr.jobs.*` opens the package, any other import binds the last word of its
    path, or Kotlin's `as` name.
    """
    path = _read_name(_find_child(node, "scoped_identifier", "identifier"))
    if _find_child(node, "asterisk", "wildcard_import") is not None:
        yield "", path
        return
    alias = _find_child(node, "import_alias")
    yield _last_part(_read_name(alias)) or _last_part(path), path


def _java_annotation(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`@Scheduled(cron = "...")`."""
    yield "mark", _read_name(node.field("name")), ""


def _java_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`scheduler.enqueue(...)`, and `new Worker<>(...)`, which has a type in the place of a
    name.
    """
    owner = _read_name(node.field("object"))
    name = _read_name(node.field("name")) or _cut_generics(_read_name(node.field("type")))
    if owner:
        name = f"{owner}.{name}"
    yield "call", name, ""


_JAVA_BASES = ("type_identifier", "generic_type", "scoped_type_identifier")


def _java_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`class Mail extends Base<Order> implements Job, Closeable`."""
    name = _read_name(node.field("name"))
    for clause in (node.field("superclass"), node.field("interfaces")):
        if clause is None:
            continue
        for child in clause.children():
            bases = [child]
            # Interfaces stand in a list of their own.
            if child.kind() == "type_list":
                bases = child.children()
            for base in bases:
                if base.kind() in _JAVA_BASES:
                    yield "base", _cut_generics(_read_name(base)), name


def _kotlin_annotation(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`@Scheduled(cron = "...")`; the grammar gives an annotation no name of its own."""
    yield "mark", _read_name(node).lstrip("@").partition("(")[0], ""


def _kotlin_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`scheduler.enqueue { ... }`; no call of what another call returns."""
    called = _first_named(node.children())
    if called is not None and called.kind() in ("simple_identifier", "navigation_expression"):
        yield "call", _read_name(called), ""


def _kotlin_base(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`Base<Order>()` in `class Mail : Base<Order>()`."""
    parent = node.parent()
    target = ""
    if parent is not None:
        target = _read_name(_find_child(parent, "type_identifier"))
    yield "base", _cut_generics(_read_name(node).partition("(")[0]), target


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
    r"""`use App\Jobs\Mail as Letter`, and each of `use App\Jobs\{Mail, Report}`."""
    names = list(_list_children(node, "qualified_name", "name"))
    if not names:
        return
    written, *aliases = names
    path = _php_group_prefix(node) + _read_name(written).lstrip("\\")
    alias = ""
    if aliases:
        alias = _read_name(aliases[0])
    yield alias or path.rpartition("\\")[2], path


def _php_group_prefix(node: SgNode) -> str:
    r"""`App\Jobs\` of a name in `use App\Jobs\{Mail, Report}`; "" of a name outside of a group."""
    group = node.parent()
    if group is None or group.kind() != "namespace_use_group":
        return ""
    declaration = group.parent()
    if declaration is None:
        return ""
    return _read_name(_find_child(declaration, "namespace_name")) + "\\"


def _php_class(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`class Mail extends Job implements ShouldQueue`."""
    for clause in _list_children(node, "base_clause", "class_interface_clause"):
        for base in _list_children(clause, "name", "qualified_name"):
            yield "base", _read_name(base).lstrip("\\"), _read_name(node.field("name"))


def _php_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    r"""`Mail::dispatch()` and `$queue->push()`, both as `owner\name`."""
    owner = _read_name(node.field("scope") or node.field("object")).lstrip("\\")
    name = _read_name(node.field("name"))
    if owner and name:
        yield "call", f"{owner}\\{name}", ""


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
    """`use Oban.Worker`, `config :app, Oban`, `Oban.insert(job)`. An alias is Elixir's word for the
    name of a module.
    """
    name = _read_name(node.field("target") or _first_named(node.children()))
    aliases = []
    arguments = _find_child(node, "arguments")
    if arguments is not None:
        aliases = [_read_name(alias) for alias in _list_children(arguments, "alias")]
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
    first = _first_named(node.children())
    if first is not None and first.kind() == "alias":
        yield "type", _read_name(first), ""


ELIXIR = Reader(imports={}, sights={"call": _elixir_call, "tuple": _elixir_tuple})


# -- C#


def _csharp_using(node: SgNode) -> Iterator[tuple[str, str]]:
    """`using Hangfire;` opens the namespace; `using Job = Hangfire.Job;` is not read."""
    namespace = _find_child(node, "identifier", "qualified_name")
    if namespace is not None and "=" not in _read_name(node):
        yield "", _read_name(namespace)


def _csharp_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`BackgroundJob.Enqueue<Mail>(...)`, and `new Mail(...)`, which has a type in the place of a
    function.
    """
    called = node.field("function") or node.field("type")
    if called is None:
        return
    name = _read_name(called)
    if not name:
        # Of a chain over several lines, the last method: `.Enqueue`.
        name = f".{_read_name(called.field('name'))}"
    yield "call", _cut_generics(name), ""


def _csharp_base(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`class Mail : IJob, Base<Order>`."""
    target = _read_name((node.parent() or node).field("name"))
    for base in _list_children(node, "identifier", "qualified_name", "generic_name"):
        yield "base", _cut_generics(_read_name(base)), target


def _csharp_attribute(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`[DisallowConcurrentExecution]`, which may be written with its whole name,
    `[DisallowConcurrentExecutionAttribute]`.
    """
    yield "mark", _read_name(node.field("name")).removesuffix("Attribute"), ""


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
    """`use apalis::{prelude::*, layers::{retry as again}}`."""
    argument = node.field("argument")
    if argument is not None:
        yield from _rust_tree(argument, "")


def _rust_tree(node: SgNode, prefix: str) -> Iterator[tuple[str, str]]:
    """What one part of a `use` imports; `prefix` is the path in front of it, "apalis::"."""
    if node.kind() == "scoped_use_list":
        path, listed = _read_name(node.field("path")), node.field("list")
        if listed is not None:
            for child in listed.children():
                if child.is_named():
                    yield from _rust_tree(child, f"{prefix}{path}::")
    elif node.kind() == "use_list":
        for child in node.children():
            if child.is_named():
                yield from _rust_tree(child, prefix)
    elif node.kind() == "use_as_clause":
        yield _read_name(node.field("alias")), prefix + _read_name(node.field("path"))
    elif node.kind() == "use_wildcard":
        yield "", prefix + _read_name(node).removesuffix("::*")
    else:
        yield _last_part(_read_name(node)), prefix + _read_name(node)


def _rust_call(node: SgNode) -> Iterator[tuple[str, str, str]]:
    """`WorkerBuilder::new(...)`; no method of a value."""
    function = node.field("function")
    if function is not None and function.kind() in ("scoped_identifier", "identifier"):
        yield "call", _read_name(function), ""


RUST = Reader(
    imports={"use_declaration": _rust_use}, sights={"call_expression": _rust_call}, separator="::"
)
