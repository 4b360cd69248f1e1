"""The message of a job: its fields, their types, and examples that its callers give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skillrun.repo.literals import is_known
from skillrun.skills.job_worker.readings.signature import list_parameters

if TYPE_CHECKING:
    from skillrun.frameworks.interface import Send
    from skillrun.repo.python import Definition
    from skillrun.repo.uses import Place
    from skillrun.skills.job_worker.job_case import JobCase
    from skillrun.skills.job_worker.overview.handlers import FoundJob

_TYPES = {
    "int": "integer",
    "str": "string",
    "bool": "boolean",
    "float": "number",
    "list": "array",
    "dict": "object",
    "UUID": "string",
    "date": "string",
    "datetime": "string",
    "Decimal": "string",
}
# Names that say what they hold, where nothing else does.
_BY_NAME = (("_id", "integer"), ("id", "integer"), ("amount", "integer"), ("count", "integer"))
_WHOLE = frozenset({"message", "payload", "data", "body", "event", "msg"})
_NAMING = ("id", "_uuid", "_key", "version", "day", "date", "month", "year", "period", "number")
_MADE_UP: dict[str, Any] = {
    "integer": 7,
    "string": "a",
    "boolean": True,
    "number": 1.5,
    "array": [],
    "object": {},
}
# What an annotation, or else a name, asks of a text: two values of two jobs.
_TEXTS = {
    "UUID": ("7f0c1a52-3b1d-4c58-9d1e-5a2f6b7c8d90", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
    "date": ("2026-01-07", "2026-01-08"),
    "datetime": ("2026-01-07T08:00:00+00:00", "2026-01-08T08:00:00+00:00"),
    "Decimal": ("7.50", "8.25"),
    "uuid": ("7f0c1a52-3b1d-4c58-9d1e-5a2f6b7c8d90", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
    "email": ("ann@example.com", "bea@example.com"),
    "url": ("https://example.com/a", "https://example.com/b"),
}
_OF_ANOTHER_JOB = dict(_TEXTS.values())
_MOST_EXAMPLES = 2


@dataclass
class Message:
    """What a delivery carries. `guessed`: the fields whose type or value nothing in
    the code says.
    """

    style: str  # payload | kwargs | args
    properties: dict[str, str] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    seen: Place | None = None  # where the first example is given
    guessed: list[str] = field(default_factory=list)
    made_up: dict[str, str] = field(default_factory=dict)  # where no caller gives a value

    def make_schema(self) -> dict[str, Any]:
        """The payload as a JSON Schema."""
        properties = {name: {"type": kind} for name, kind in self.properties.items()}
        return {
            "type": "object",
            "required": self.required,
            "properties": properties,
            "examples": self.examples,
        }


def name_call(path: str) -> str:
    """The name of an effect by its import path: "call" of "shop.mill:Client._call"."""
    return re.split(r"[.:]", path)[-1].strip("_") or "effect"


def read_message(case: JobCase, job: FoundJob, bodies: Iterable[Definition]) -> Message | None:
    """The fields of a message; None where `*args` or `**kwargs` hide them and no caller shows
    them.
    """
    taken = list_parameters(case, job.handler)
    given = list(_list_given(case, job))
    if taken is None:
        return _read_callers(given)
    needed, optional = taken
    # One argument that callers fill with a mapping is the whole message.
    whole = [(value[needed[0]], place) for value, place in given if needed and needed[0] in value]
    if len(needed) == 1 and not optional and whole and isinstance(whole[0][0], dict):
        mappings = [(dict(value), place) for value, place in whole if isinstance(value, dict)]
        message = _read_callers(mappings)
        if message is not None:
            message.style = "payload"
        return message
    if len(needed) == 1 and not optional and _is_whole(job.handler, needed[0]):
        return _read_mapping(needed[0], bodies)
    return _read_signature(job.handler, needed, optional, given)


def choose_style(job: FoundJob) -> str:
    """How the fields are handed over, as the application's own senders do it: a handler that looks
    at its own message, or sends it again, sees the difference.
    """
    shown = set[str]()
    for send in job.real_sends:
        given = send.arguments
        if given is None or given.partly_hidden or not given.values or send.own:
            continue
        shown.add("kwargs" if given.named else "args")
    return "args" if shown == {"args"} else "kwargs"


def _is_whole(handler: Definition, name: str) -> bool:
    """Whether one argument is the whole message, by its annotation or its name."""
    return name in _WHOLE or _read_annotations(handler).get(name) == "object"


def _read_mapping(name: str, bodies: Iterable[Definition]) -> Message:
    """A message whose fields are those that the code takes out of it."""
    message = Message("payload")
    for body in bodies:
        for node in ast.walk(body.node):
            taken = _find_taken(node, name)
            if taken is not None:
                message.properties.setdefault(taken, _guess_type(taken))
    message.required = list(message.properties)
    message.guessed = list(message.properties) or [name]
    message.examples = _choose_examples(message, [])
    return message


def _find_taken(node: ast.AST, name: str) -> str | None:
    """`message["order_id"]`, `message.get("order_id")`."""
    owner: ast.expr | None = None
    key: ast.expr | None = None
    if isinstance(node, ast.Subscript):
        owner, key = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        owner, key = node.func.value, node.args[0]
        if node.func.attr != "get":
            return None
    if not isinstance(owner, ast.Name) or owner.id != name or not isinstance(key, ast.Constant):
        return None
    return key.value if isinstance(key.value, str) else None


def _list_given(case: JobCase, job: FoundJob) -> Iterator[tuple[dict[str, Any], Place]]:
    """The arguments of each call that gives literals: real ones first, then those of tests."""
    taken = list_parameters(case, job.handler)
    names = [*taken[0], *taken[1]] if taken is not None else []
    for send in sorted(job.sends, key=lambda one: one.in_tests):
        yield from _read_send(case, send, names)
    for call in case.project.references(job.handler.dotted):
        keywords = {name: case.project.literal(v, call.module) for name, v in call.keywords.items()}
        values = [case.project.literal(node, call.module) for node in call.node.args]
        found = {**dict(zip(names, values, strict=False)), **keywords}
        if found and _are_known(found.values()):
            yield found, _place_of(call)


def _place_of(call: Any) -> Place:
    from skillrun.repo.uses import Place

    return Place(call.path, call.line, call.text)


def _read_send(
    case: JobCase, send: Send, names: list[str]
) -> Iterator[tuple[dict[str, Any], Place]]:
    if send.arguments is None or send.arguments.partly_hidden or send.call is None:
        return
    module = send.call.module
    values = [case.project.literal(node, module) for node in send.arguments.positional]
    found = dict(zip(names, values, strict=False))
    for name, node in send.arguments.named.items():
        found[name] = case.project.literal(node, module)
    if found and _are_known(found.values()):
        yield found, send.place


def _are_known(values: Any) -> bool:
    return all(is_known(value) and _is_json(value) for value in values)


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float | bool)


def _read_callers(given: list[tuple[dict[str, Any], Place]]) -> Message | None:
    """The fields that callers show, where the signature hides them."""
    if not given:
        return None
    first = given[0][0]
    message = Message("kwargs", seen=given[0][1])
    for name, value in first.items():
        message.properties[name] = describe_value(value)
    message.required = list(first)
    message.examples = _choose_examples(message, given)
    return message


def _read_signature(
    handler: Definition,
    needed: tuple[str, ...],
    optional: tuple[str, ...],
    given: list[tuple[dict[str, Any], Place]],
) -> Message:
    message = Message("kwargs", required=list(needed))
    words = _read_words(handler)
    annotated = _choose_types(words)
    for name in (*needed, *optional):
        shown = [value[name] for value, _ in given if name in value and value[name] is not None]
        kind = annotated.get(name) or (describe_value(shown[0]) if shown else None)
        if kind is None:
            message.guessed.append(name)
            kind = _guess_type(name)
        message.properties[name] = kind
        if kind == "string":
            message.made_up[name] = _make_up_text(name, words.get(name, ""))
    fitting = [one for one in given if set(needed) <= one[0].keys() <= set(message.properties)]
    if fitting:
        message.seen = fitting[0][1]
    else:
        message.guessed = list(needed)
    message.examples = _choose_examples(message, fitting)
    return message


def _make_up_text(name: str, annotation: str) -> str:
    last = name.rpartition("_")[2].lower()
    texts = _TEXTS.get(annotation) or _TEXTS.get(last)
    return texts[0] if texts else _MADE_UP["string"]


def _read_annotations(handler: Definition) -> dict[str, str]:
    """Parameter -> its type as JSON Schema names it."""
    return _choose_types(_read_words(handler))


def _choose_types(words: Mapping[str, str]) -> dict[str, str]:
    return {name: _TYPES[word] for name, word in words.items() if word in _TYPES}


def _read_words(handler: Definition) -> dict[str, str]:
    """Parameter -> the last word of its annotation."""
    node = handler.node
    if isinstance(node, ast.ClassDef):
        return {}
    found = {}
    for arg in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        if arg.annotation is not None:
            word = ast.unparse(arg.annotation).partition("[")[0].rpartition(".")[2]
            found[arg.arg] = word.partition(" |")[0]
    return found


def describe_value(value: Any) -> str:
    """Its type as JSON Schema names it."""
    # A bool is an int to Python.
    if isinstance(value, bool):
        return "boolean"
    for python, kind in ((int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(value, python):
            return kind
    return "object"


def _guess_type(name: str) -> str:
    for end, kind in _BY_NAME:
        if name.endswith(end):
            return kind
    return "string"


def _choose_examples(
    message: Message, given: list[tuple[dict[str, Any], Place]]
) -> list[dict[str, Any]]:
    """Two jobs that differ: those that callers give, else the first one with other values."""
    found: list[dict[str, Any]] = []
    for value, _ in given:
        # A call that gives a field that the handler does not take is a call of something else.
        fits = value.keys() <= message.properties.keys()
        fits = fits and all(_fits(value[name], message.properties[name]) for name in value)
        if value not in found and fits and len(found) < _MOST_EXAMPLES:
            found.append(value)
    if not found:
        found.append(_make_up_example(message))
    if len(found) == 1:
        other = {name: _vary(value) for name, value in found[0].items()}
        if other != found[0]:
            found.append(other)
    return found


def _make_up_example(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in message.required:
        made[name] = message.made_up.get(name, _MADE_UP[message.properties[name]])
    return made


def _fits(value: Any, kind: str) -> bool:
    return describe_value(value) == kind or (kind == "number" and isinstance(value, int))


def _vary(value: Any) -> Any:
    """Another value of the same kind; what may be a word that the code knows stays."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value + 1
    if isinstance(value, str):
        return _OF_ANOTHER_JOB.get(value, value)
    return value


def name_fields(properties: Mapping[str, str]) -> list[str]:
    """The fields that look like one piece of work's name, else all."""
    named = [name for name in properties if name.endswith(_NAMING)]
    return named or list(properties)
