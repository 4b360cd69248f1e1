"""One more element in a literal that a Python file holds: a list of apps, a beat schedule, an
argument of a call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from skillrun.frameworks.pieces import Entry
from skillrun.skills.job_worker.scaffold.editing.bindings import (
    Follow,
    list_bindings,
    list_imported,
    unfollowed,
)
from skillrun.skills.job_worker.scaffold.editing.body import (
    at_the_end,
    class_at,
    header_split,
    with_attribute,
)
from skillrun.skills.job_worker.scaffold.editing.containers import (
    Container,
    code_of,
    grow_literal,
    holds_value,
    one_a_line,
    quoted_alike,
    same_code,
    shift_lines,
    value_of,
    write_literal,
)
from skillrun.skills.job_worker.scaffold.editing.finding import (
    Place,
    argument_indent,
    calls_of,
    find_assignments,
    find_keyword_argument,
    list_literals,
    literals_in,
    small_statements,
    targets_of,
)
from skillrun.skills.job_worker.scaffold.editing.imports import Missing, manner_of, with_imports
from skillrun.skills.job_worker.scaffold.editing.lacking import is_there
from skillrun.skills.job_worker.scaffold.editing.sequences import Bracketed, insert_element
from skillrun.skills.job_worker.scaffold.editing.source import (
    CannotEdit,
    Source,
    Statement,
    has_blocks,
    lines_of,
    read_source,
    reindent_lines,
)
from skillrun.skills.job_worker.scaffold.editing.wrapping import relay_lines

# The target of an entry: Celery(include=), or a name with a key, CELERY_CONF["beat_schedule"].
CALL = re.compile(r"(?P<call>[\w.]+)\((?P<keyword>\w+)=\)")
KEYED = re.compile(r"(?P<name>[\w.]+)\[(?P<key>.+)\]")
HAND = "add it by hand"


def add_entry(
    path: str,
    existing: str,
    entry: Entry,
    own: Collection[str] = (),
    line_length: int = 88,
    follow: Follow = unfollowed,
) -> str:
    """The module with one more element in the literal that `entry.target` names; unchanged where it
    is there.

    A missing `app.conf.x` is assigned at the end where `app` is bound, a missing `Settings.x` in
    the body of its class; a missing keyword is added to its call. `own`, `line_length` and `follow`
    are as in merge_module. Raises CannotEdit where there is no such literal, or where its key has
    another value.
    """
    source = read_source(path, existing, line_length)
    entry = in_manner(entry, source)
    call = CALL.fullmatch(entry.target)
    if call:
        module = with_argument(source, entry, call["call"], call["keyword"])
    else:
        module = with_element(source, entry)
    if module is source.module:
        return existing
    return source.edited(with_needed(source, module, entry.imports, own, follow))


def in_manner(entry: Entry, source: Source) -> Entry:
    """The value indented as the file is."""
    unit = source.module.default_indent
    if unit == "    " or not has_blocks(source.tree) or "\n" not in entry.value:
        return entry
    code = reindent_lines(f"({entry.value}\n)", "    ", unit)
    return replace(entry, value=code[1:-2])


def with_needed(
    source: Source, module: cst.Module, lines: Sequence[str], own: Collection[str], follow: Follow
) -> cst.Module:
    """The module with the imports that the element needs."""
    known = list_bindings(source.tree, source.path)
    missing = []
    for statement in ast.parse("\n".join(lines)).body:
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        for one in list_imported(statement, source.path):
            bound = known.get(one.name, [])
            if not is_there(one, bound, source.path, for_types=False, follow=follow):
                missing.append(Missing(statement, (one.alias,)))
    if not missing:
        return module
    module = header_split(module)
    return module.with_changes(body=with_imports(module.body, missing, manner_of(source, own)))


# -- a name, or an attribute of one


def with_element(source: Source, entry: Entry) -> cst.Module:
    """The module with the element added to the literal that is assigned to the target."""
    keyed = KEYED.fullmatch(entry.target)
    if keyed:
        return with_one_more(source, under_key(source, entry, keyed["name"], keyed["key"]), entry)
    assigned = find_assignments(source.module, entry.target)
    if not assigned:
        return without_assignment(source, entry)
    if entry.key is not None and is_set(source, entry):
        return source.module
    places: list[Place] = []
    for one in assigned:
        places += literals_in(source.module, one)
    if not places:
        line = line_of(source, assigned[-1].node)
        raise CannotEdit(
            f"{source.path}:{line}: {entry.target} is not written out as a literal here", hint=HAND
        )
    return with_one_more(source, places, entry)


def under_key(source: Source, entry: Entry, name: str, key: str) -> list[Place]:
    """The literals under a key of the dicts that a name is given."""
    module = source.module
    places: list[Place] = []
    for one in find_assignments(module, name):
        for outer in literals_in(module, one):
            value = value_of(outer.container, key)
            if value is not None:
                places += list_literals(module, outer.index, value, module.default_indent, ())
    if not places:
        raise CannotEdit(
            f"{source.path}:1: {entry.target} is not written out as a literal here", hint=HAND
        )
    return places


def without_assignment(source: Source, entry: Entry) -> cst.Module:
    """The module where nothing is assigned to the target yet. The element is added to
    `app.conf.update(x=...)` where that sets it, or as an attribute of a class; else the target is
    assigned at the end of the module.
    """
    left, _, name = entry.target.rpartition(".")
    calls = []
    if left:
        calls = calls_of(source.module, f"{left}.update")
    if any(find_keyword_argument(call, name) for _, call in calls):
        return with_argument(source, entry, f"{left}.update", name)
    if entry.key is not None and is_set(source, entry):
        return source.module
    owner = class_at(source.module, left)
    if owner is not None:
        key, value = quote_entry(entry, source, ())
        unit = source.module.default_indent
        literal = shift_lines(write_literal(key, value, unit), unit)
        module = with_attribute(source.module, owner, f"{name} = {literal}")
        return break_long_lines(source, module, owner)
    if not left or left.partition(".")[0] not in list_bindings(source.tree, source.path):
        raise CannotEdit(
            f"{source.path}:1: {entry.target} is not set here",
            hint="set it here, then run this again",
        )
    key, value = quote_entry(entry, source, ())
    code = f"{entry.target} = {write_literal(key, value, source.module.default_indent)}"
    line = cst.parse_statement(code)
    return at_the_end(header_split(source.module), [(ast.parse(code).body[0], line)])


def is_set(source: Source, entry: Entry) -> bool:
    """Whether `target[key] = value` stands somewhere. Raises CannotEdit where that sets another
    value.
    """
    assert entry.key is not None
    for found in small_statements(source.module):
        for target in targets_of(found.node):
            if not isinstance(target, cst.Subscript):
                continue
            if same_code(code_of(target), f"{entry.target}[{entry.key}]"):
                check_value(source, getattr(found.node, "value", None), entry)
                return True
    return False


# -- a keyword of a call


def with_argument(source: Source, entry: Entry, name: str, keyword: str) -> cst.Module:
    """The module with the element added to the literal that a call takes as this keyword; the call
    takes one now where it had none.
    """
    index, call = the_call(source, entry, name, keyword)
    there = find_keyword_argument(call, keyword)
    if there is None:
        return with_new_argument(source, entry, index, call, keyword)
    places = list(list_literals(source.module, index, there.value, argument_indent(call), ()))
    if not places:
        line = line_of(source, call)
        raise CannotEdit(
            f"{source.path}:{line}: {keyword}= of {name} is not written out as a literal here",
            hint=HAND,
        )
    return with_one_more(source, places, entry)


def the_call(source: Source, entry: Entry, name: str, keyword: str) -> tuple[int, cst.Call]:
    """The only call of that name, or the only one with the keyword."""
    calls = calls_of(source.module, name)
    with_keyword = [one for one in calls if find_keyword_argument(one[1], keyword)]
    calls = with_keyword or calls
    if not calls:
        raise CannotEdit(f"{source.path}:1: no call of {name} for {entry.target}", hint=HAND)
    if len(calls) > 1:
        line = line_of(source, calls[1][1])
        raise CannotEdit(
            f"{source.path}:{line}: a second call of {name}, and it is open which is meant",
            hint=HAND,
        )
    return calls[0]


def with_new_argument(
    source: Source, entry: Entry, index: int, call: cst.Call, keyword: str
) -> cst.Module:
    """The module where the call does not take the keyword yet. Raises CannotEdit where `**options`
    may hold it.
    """
    for one in call.args:
        if one.star == "**":
            what, line = code_of(one.value), line_of(source, call)
            message = f"{source.path}:{line}: the call takes **{what}, which may hold {keyword}"
            raise CannotEdit(message, hint=HAND)
    unit = source.module.default_indent
    key, value = quote_entry(entry, source, call.args)
    code = shift_lines(write_literal(key, value, unit), argument_indent(call))
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    new = cst.Arg(cst.parse_expression(code), cst.Name(keyword), equal)
    return break_long_lines(
        source, exchange_node(source.module, index, call, with_arg(call, new, unit)), index
    )


def with_arg(call: cst.Call, new: cst.Arg, unit: str) -> cst.Call:
    """The call with one more argument. libcst keeps the space before `)` in the last argument or in
    its comma.
    """
    if not call.args:
        return call.with_changes(args=[new])
    *rest, last = call.args
    closing: cst.BaseParenthesizableWhitespace = last.whitespace_after_arg
    if isinstance(last.comma, cst.Comma):
        closing = last.comma.whitespace_after
        last = last.with_changes(
            comma=last.comma.with_changes(whitespace_after=cst.SimpleWhitespace(""))
        )
    else:
        last = last.with_changes(whitespace_after_arg=cst.SimpleWhitespace(""))
    inner = insert_element(
        Bracketed(call.whitespace_before_args, (*rest, last), closing), new, len(call.args), unit
    )
    *rest, last = inner.elements
    if isinstance(last.comma, cst.Comma):
        last = last.with_changes(comma=last.comma.with_changes(whitespace_after=inner.closing))
    else:
        last = last.with_changes(whitespace_after_arg=inner.closing)
    return call.with_changes(args=[*rest, last])


# -- one element more


def with_one_more(source: Source, places: Sequence[Place], entry: Entry) -> cst.Module:
    """The module with the element added to the first of the places that is of its kind; unchanged
    where one of them has it.
    """
    if is_in(source, places, entry):
        return source.module
    wants_dict = entry.key is not None
    fitting = []
    for place in places:
        if isinstance(place.container, cst.Dict) == wants_dict:
            fitting.append(place)
    if not fitting:
        kind = "dict"
        if entry.key is None:
            kind = "list"
        line = line_of(source, places[0].container)
        raise CannotEdit(f"{source.path}:{line}: {entry.target} is no {kind}", hint=HAND)
    place, unit = fitting[0], source.module.default_indent
    key, value = quote_entry(entry, source, place.container.elements)
    module = exchange_node(
        source.module,
        place.index,
        place.container,
        grow_literal(place.container, key, value, unit, place.base),
    )
    if not is_one_line(place.container):
        return module
    if "\n" not in value:
        return break_long_lines(source, module, place.index)
    stacked = one_a_line(place.container, key, value, unit, place.base)
    return exchange_node(source.module, place.index, place.container, stacked)


def is_in(source: Source, places: Sequence[Place], entry: Entry) -> bool:
    """Whether one of the literals has the element. Raises CannotEdit where the key has another
    value.
    """
    if entry.key is None:
        return any(holds_value(place.container, entry.value) for place in places)
    for place in places:
        value = value_of(place.container, entry.key)
        if value is not None:
            check_value(source, value, entry)
            return True
    return False


def check_value(source: Source, value: cst.BaseExpression | None, entry: Entry) -> None:
    """Raises CannotEdit where a key has another value than the entry's."""
    if value is None or same_code(code_of(value), entry.value):
        return
    line = line_of(source, value)
    raise CannotEdit(
        f"{source.path}:{line}: {entry.target} has another value for {entry.key} already",
        hint="take it out, or give the job another name",
    )


def quote_entry(
    entry: Entry, source: Source, neighbours: Sequence[cst.CSTNode]
) -> tuple[str | None, str]:
    """Key and value with the quotes that are usual there."""
    key = entry.key and quoted_alike(entry.key, neighbours, source.text)
    return key, quoted_alike(entry.value, neighbours, source.text)


def exchange_node(module: cst.Module, index: int, old: cst.CSTNode, new: cst.CSTNode) -> cst.Module:
    """The module with another node within the statement of that index."""
    body = list(module.body)
    statement = body[index].deep_replace(old, new)
    assert isinstance(statement, Statement)
    body[index] = statement
    return module.with_changes(body=body)


def is_one_line(node: Container) -> bool:
    return "\n" not in code_of(node)


def break_long_lines(source: Source, module: cst.Module, index: int) -> cst.Module:
    """The module with the lines broken that an edit of that statement made too long; those that
    were there stay.
    """
    there = set(lines_of(statement_code(source.module, index)))
    code = statement_code(module, index)
    relaid = relay_lines(code, source.line_length, module.default_indent, kept=there)
    if relaid == code:
        return module
    (statement,) = cst.parse_module(relaid, module.config_for_parsing).body
    statement = statement.with_changes(leading_lines=module.body[index].leading_lines)
    return module.with_changes(body=[*module.body[:index], statement, *module.body[index + 1 :]])


def statement_code(module: cst.Module, index: int) -> str:
    """The statement of that index as it is written."""
    return module.code_for_node(module.body[index])


def line_of(source: Source, node: cst.CSTNode) -> int:
    """The number of the line on which a node begins."""
    positions = MetadataWrapper(source.module, unsafe_skip_copy=True).resolve(PositionProvider)
    return int(positions[node].start.line)
