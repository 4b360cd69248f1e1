"""Ways to write the same job otherwise: each keeps what the handler does.

A transformation takes the handler's module as text and gives it written otherwise, with the files
that it needs beside it, or None where the module has nothing of the kind. What skillrun reads and
proves must not change by any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import libcst as cst
import libcst.matchers as m

_WORDS_OF_LOGGING = ("debug", "info", "warning", "error", "exception", "critical")


@dataclass(frozen=True)
class Written:
    """The module's new text, and the files that come with it: path -> text."""

    text: str
    more: dict[str, str] = field(default_factory=dict)


Transformation = Callable[[str, str], "Written | None"]
TRANSFORMATIONS: dict[str, Transformation] = {}


def transformation(function: Transformation) -> Transformation:
    """Registers one under its name."""
    TRANSFORMATIONS[function.__name__] = function
    return function


def find_function(module: cst.Module, name: str) -> cst.FunctionDef | None:
    for statement in module.body:
        if isinstance(statement, cst.FunctionDef) and statement.name.value == name:
            return statement
    return None


def replace_statement(
    module: cst.Module, old: cst.CSTNode, new: Sequence[cst.BaseStatement]
) -> cst.Module:
    """The module with `new` where `old` stood."""
    body: list[cst.BaseStatement] = []
    for statement in module.body:
        body.extend(new if statement is old else [statement])
    return module.with_changes(body=body)


def parse_statements(text: str) -> list[cst.BaseStatement]:
    return list(cst.parse_module(text).body)


def split_docstring(
    function: cst.FunctionDef,
) -> tuple[list[cst.BaseStatement], list[cst.BaseStatement]]:
    """The docstring's statement, and what is done."""
    assert isinstance(function.body, cst.IndentedBlock)
    body = list(function.body.body)
    has_docstring = function.get_docstring() is not None
    return body[: int(has_docstring)], body[int(has_docstring) :]


def list_parameters(function: cst.FunctionDef) -> list[cst.Param]:
    params = function.params
    return [*params.posonly_params, *params.params, *params.kwonly_params]


def pass_on(function: cst.FunctionDef) -> str:
    """The arguments of a call that hands all parameters on."""
    words = [param.name.value for param in function.params.params]
    words += [f"{param.name.value}={param.name.value}" for param in function.params.kwonly_params]
    return ", ".join(words)


def is_plain(function: cst.FunctionDef) -> bool:
    """Whether its parameters can be handed on by name."""
    params = function.params
    has_star = isinstance(params.star_arg, cst.Param) or params.star_kwarg is not None
    return not has_star and not params.posonly_params


def call_of(function: cst.FunctionDef, callee: str) -> cst.BaseStatement:
    """`return callee(...)`, awaited where the function is async."""
    awaited = "await " if function.asynchronous else ""
    return cst.parse_statement(f"return {awaited}{callee}({pass_on(function)})\n")


def without_defaults(function: cst.FunctionDef) -> cst.Parameters:
    params = [
        param.with_changes(default=None, equal=cst.MaybeSentinel.DEFAULT)
        for param in function.params.params
    ]
    return function.params.with_changes(params=params)


@transformation
def extract_function(text: str, handler: str) -> Written | None:
    """The work in a function of its own, the task a thin coat."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None or not is_plain(function):
        return None
    docstring, work = split_docstring(function)
    name = f"perform_{handler}"
    inner = function.with_changes(
        name=cst.Name(name),
        decorators=[],
        params=without_defaults(function),
        body=function.body.with_changes(body=work),
    )
    outer = function.with_changes(
        body=function.body.with_changes(body=[*docstring, call_of(function, name)])
    )
    return Written(replace_statement(module, function, [inner, outer]).code)


@transformation
def extract_class(text: str, handler: str) -> Written | None:
    """The work in a method of a class that the task makes."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None or not is_plain(function):
        return None
    docstring, work = split_docstring(function)
    params = without_defaults(function)
    # The task's own `self` is handed on, so the object needs another word.
    method = function.with_changes(
        name=cst.Name("execute"),
        decorators=[],
        params=params.with_changes(params=[cst.Param(cst.Name("worker")), *params.params]),
        body=function.body.with_changes(body=work),
        leading_lines=[],
    )
    name = "".join(word.capitalize() for word in handler.split("_")) + "Command"
    owner = cst.ClassDef(name=cst.Name(name), body=cst.IndentedBlock([method]))
    outer = function.with_changes(
        body=function.body.with_changes(body=[*docstring, call_of(function, f"{name}().execute")])
    )
    return Written(replace_statement(module, function, [owner, outer]).code)


_HOUSE = '''"""The house's own decorators."""

import functools


def traced(function):
    """Marks a place where others may hook in."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs)

    return call


def traced_async(function):
    @functools.wraps(function)
    async def call(*args, **kwargs):
        return await function(*args, **kwargs)

    return call
'''


@transformation
def add_decorator(text: str, handler: str) -> Written | None:
    """A decorator of the house beneath the library's own."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None:
        return None
    name = "traced_async" if function.asynchronous else "traced"
    decorated = function.with_changes(
        decorators=[*function.decorators, cst.Decorator(cst.Name(name))]
    )
    changed = replace_statement(module, function, [decorated])
    return Written(
        add_import(changed, f"from house_decorators import {name}\n").code,
        {"house_decorators.py": _HOUSE},
    )


def add_import(module: cst.Module, text: str) -> cst.Module:
    """Behind the last import of the module."""
    places = [number for number, statement in enumerate(module.body) if is_import(statement)]
    last = places[-1] + 1 if places else int(module.get_docstring() is not None)
    body = [*module.body[:last], *parse_statements(text), *module.body[last:]]
    return module.with_changes(body=body)


def is_import(statement: cst.CSTNode) -> bool:
    return m.matches(statement, m.SimpleStatementLine(body=[m.OneOf(m.Import(), m.ImportFrom())]))


class _Renamed(cst.CSTTransformer):
    """Names that stand alone; attributes and the words of keyword arguments stay."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        new = self.names.get(original_node.value)
        return updated_node if new is None else updated_node.with_changes(value=new)

    def leave_Attribute(
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.Attribute:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        return updated_node.with_changes(keyword=original_node.keyword)


class _Assigned(cst.CSTVisitor):
    """The names that a function itself gives values to."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        if isinstance(node.target, cst.Name):
            self.names.append(node.target.value)
        elif isinstance(node.target, cst.Tuple):
            values = [element.value for element in node.target.elements]
            self.names += [value.value for value in values if isinstance(value, cst.Name)]

    def visit_AsName(self, node: cst.AsName) -> None:
        if isinstance(node.name, cst.Name):
            self.names.append(node.name.value)

    def visit_Global(self, node: cst.Global) -> None:
        self.names = []


@transformation
def rename_locals(text: str, handler: str) -> Written | None:
    """Other names for what the handler gives values to; parameters are the message's own."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None:
        return None
    assigned = _Assigned()
    function.body.visit(assigned)
    parameters = {param.name.value for param in list_parameters(function)}
    names = {name: f"the_{name}" for name in assigned.names if name not in parameters}
    if not names:
        return None
    body = function.body.visit(_Renamed(names))
    return Written(replace_statement(module, function, [function.with_changes(body=body)]).code)


def find_logger(module: cst.Module) -> str | None:
    """The module's logger: `log = logging.getLogger(...)`."""
    matcher = m.SimpleStatementLine(
        body=[
            m.Assign(
                targets=[m.AssignTarget(target=m.Name())],
                value=m.Call(func=m.Attribute(attr=m.Name("getLogger"))),
            )
        ]
    )
    for statement in module.body:
        if m.matches(statement, matcher):
            assert isinstance(statement, cst.SimpleStatementLine)
            assign = cst.ensure_type(statement.body[0], cst.Assign)
            return cst.ensure_type(assign.targets[0].target, cst.Name).value
    return None


@transformation
def rename_logger(text: str, handler: str) -> Written | None:
    """The logger under another name."""
    module = cst.parse_module(text)
    logger = find_logger(module)
    if logger is None:
        return None
    changed = module.visit(_Renamed({logger: "_journal"}))
    return Written(changed.code)


def split_format(text: str) -> Iterator[tuple[str, str]]:
    """(the text before, the conversion) of a %-format; the rest has no conversion."""
    while (at := text.find("%")) >= 0:
        yield text[:at], text[at + 1]
        text = text[at + 2 :]
    yield text, ""


class _LogCalls(cst.CSTTransformer):
    """Each `LOGGER.word("format", ...)` as `change` writes it; `seen` counts them."""

    def __init__(
        self, logger: str, change: Callable[[cst.Call, str, list[str], str | None], str | None]
    ) -> None:
        self.logger, self.change = logger, change
        self.seen = 0

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        func = original_node.func
        if not m.matches(func, m.Attribute(value=m.Name(self.logger))):
            return updated_node
        word = cst.ensure_type(func, cst.Attribute).attr.value
        plain = [arg for arg in original_node.args if arg.keyword is None and not arg.star]
        if word not in _WORDS_OF_LOGGING or not plain:
            return updated_node
        first = plain[0].value
        if not isinstance(first, cst.SimpleString):
            return updated_node
        code = cst.Module([]).code_for_node
        rest = [code(arg.value) for arg in plain[1:]]
        extra = [
            code(arg.value)
            for arg in original_node.args
            if arg.keyword is not None and arg.keyword.value == "extra"
        ]
        known = len(plain) + len(extra) == len(original_node.args)
        if not known:
            return updated_node
        text = self.change(original_node, str(first.evaluated_value), rest, (extra or [None])[0])
        if text is None:
            return updated_node
        self.seen += 1
        return cst.parse_expression(text)


def write_interpolated(text: str, values: list[str]) -> str | None:
    """The f-string that says the same, or None where a conversion is not %s, %r or %d."""
    parts, left = [], list(values)
    for before, conversion in split_format(text):
        parts.append(before.replace("{", "{{").replace("}", "}}"))
        if not conversion:
            break
        if conversion not in "srd" or not left:
            return None
        value = left.pop(0)
        # Before 3.12 an f-string cannot hold its own quotes.
        if '"' in value or "\\" in value:
            return None
        parts.append("{" + value + ("!r}" if conversion == "r" else "}"))
    return None if left else 'f"' + "".join(parts).replace('"', '\\"') + '"'


@transformation
def log_by_f_strings(text: str, handler: str) -> Written | None:
    """`log.info(f"order {order_id} sent")` for `log.info("order %s sent", order_id)`."""
    module = cst.parse_module(text)
    logger = find_logger(module)
    if logger is None:
        return None

    def change(call: cst.Call, message: str, values: list[str], extra: str | None) -> str | None:
        written = write_interpolated(message, values) if values else None
        if written is None:
            return None
        word = cst.ensure_type(call.func, cst.Attribute).attr.value
        more = "" if extra is None else f", extra={extra}"
        return f"{logger}.{word}({written}{more})"

    calls = _LogCalls(logger, change)
    changed = module.visit(calls)
    return Written(changed.code) if calls.seen else None


@transformation
def log_by_loguru(text: str, handler: str) -> Written | None:
    """loguru's logger for logging's: braces for %, `bind` for `extra`."""
    module = cst.parse_module(text)
    logger = find_logger(module)
    if logger is None:
        return None
    total = _LogCalls(logger, lambda *_: None)
    module.visit(total)

    def change(call: cst.Call, message: str, values: list[str], extra: str | None) -> str | None:
        word = cst.ensure_type(call.func, cst.Attribute).attr.value
        parts = []
        for before, conversion in split_format(message):
            parts.append(before.replace("{", "{{").replace("}", "}}") if values else before)
            if conversion:
                parts.append("{!r}" if conversion == "r" else "{}")
        bound = logger if extra is None else f"{logger}.bind(**{extra})"
        arguments = ", ".join([repr("".join(parts)), *values])
        return f"{bound}.{word}({arguments})"

    calls = _LogCalls(logger, change)
    changed = module.visit(calls)
    if not calls.seen:
        return None
    body = []
    for statement in changed.body:
        is_logger = m.matches(
            statement,
            m.SimpleStatementLine(body=[m.Assign(targets=[m.AssignTarget(target=m.Name(logger))])]),
        )
        if not is_logger:
            body.append(statement)
    replaced = changed.with_changes(body=body)
    return Written(add_import(replaced, f"from loguru import logger as {logger}\n").code)


class _Literals(cst.CSTTransformer):
    """Numbers among the keyword arguments of a decorator become settings."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> cst.Arg:
        if original_node.keyword is None or not isinstance(original_node.value, cst.Integer):
            return updated_node
        name = original_node.keyword.value.upper()
        self.settings[name] = original_node.value.value
        return updated_node.with_changes(value=cst.parse_expression(f"house_settings.{name}"))


@transformation
def settings_for_literals(text: str, handler: str) -> Written | None:
    """The numbers of the task's decorator in a module of settings."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None:
        return None
    literals = _Literals()
    decorators = [decorator.visit(literals) for decorator in function.decorators]
    if not literals.settings:
        return None
    changed = replace_statement(module, function, [function.with_changes(decorators=decorators)])
    lines = [f"{name} = {value}\n" for name, value in literals.settings.items()]
    return Written(
        add_import(changed, "import house_settings\n").code,
        {"house_settings.py": '"""Numbers of the house."""\n\n' + "".join(lines)},
    )


class _Modules(cst.CSTVisitor):
    """`from package import module` of one name each."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        if node.relative or node.module is None or isinstance(node.names, cst.ImportStar):
            return
        package = cst.Module([]).code_for_node(node.module)
        for alias in node.names:
            if alias.asname is None and isinstance(alias.name, cst.Name):
                self.found.append((package, alias.name.value))


@transformation
def import_under_another_name(text: str, handler: str) -> Written | None:
    """`from shop import mailer as its_mailer`, and its calls with it."""
    module = cst.parse_module(text)
    names = _Modules()
    module.visit(names)
    # Only modules of lower-case names that the text uses as `name.word`.
    chosen = [name for package, name in names.found if f"{name}." in text and name.islower()]
    if not chosen:
        return None

    class Alias(cst.CSTTransformer):
        def leave_ImportAlias(
            self, original_node: cst.ImportAlias, updated_node: cst.ImportAlias
        ) -> cst.ImportAlias:
            if not m.matches(original_node, m.ImportAlias(name=m.Name(), asname=None)):
                return updated_node
            name = cst.ensure_type(original_node.name, cst.Name).value
            if name not in chosen:
                return updated_node
            return cst.ImportAlias(cst.Name(name), asname=cst.AsName(cst.Name(f"its_{name}")))

    renamed = _Renamed({name: f"its_{name}" for name in chosen})
    body = []
    for statement in module.body:
        body.append(statement.visit(Alias() if is_import(statement) else renamed))
    return Written(module.with_changes(body=body).code)


class _Guards(cst.CSTTransformer):
    """`if guard: ...; return` becomes `if guard: ... else: the rest`, once."""

    def __init__(self) -> None:
        self.done = False

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        assert isinstance(updated_node.body, cst.IndentedBlock)
        body = list(updated_node.body.body)
        for number, statement in enumerate(body[:-1]):
            if self.done or not is_guard(statement):
                continue
            assert isinstance(statement, cst.If)
            assert isinstance(statement.body, cst.IndentedBlock)
            kept = statement.body.body[:-1] or parse_statements("pass\n")
            rest = cst.Else(body=cst.IndentedBlock(body[number + 1 :]))
            nested = statement.with_changes(
                body=statement.body.with_changes(body=kept), orelse=rest
            )
            self.done = True
            return updated_node.with_changes(
                body=updated_node.body.with_changes(body=[*body[:number], nested])
            )
        return updated_node


def is_guard(statement: cst.CSTNode) -> bool:
    """Whether it is an `if` without an `else` whose last word is a bare `return`."""
    if not isinstance(statement, cst.If) or statement.orelse is not None:
        return False
    if not isinstance(statement.body, cst.IndentedBlock):
        return False
    return m.matches(statement.body.body[-1], m.SimpleStatementLine(body=[m.Return(value=None)]))


@transformation
def nest_the_rest(text: str, handler: str) -> Written | None:
    """An `else` for an early return."""
    module = cst.parse_module(text)
    function = find_function(module, handler)
    if function is None:
        return None
    guards = _Guards()
    nested = function.visit(guards)
    if not guards.done:
        return None
    return Written(replace_statement(module, function, [nested]).code)


def list_transformations() -> list[str]:
    return sorted(TRANSFORMATIONS)
