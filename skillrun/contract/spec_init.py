"""Writes a first job spec: what is known, and for the rest a commented line that shows how it is
said.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from skillrun.contract.languages import LANGUAGES, Language
from skillrun.contract.spec import (
    override_value,
    parse_path,
    set_value,
    spec_schema,
    spec_violations,
)
from skillrun.contract.specfile import SCHEMA_NAME, SPEC_FOLDER
from skillrun.core.errors import Misuse, SpecInvalid
from skillrun.core.files import Files, write
from skillrun.core.resources import resource

# What stands in the file, commented out, where nothing is known yet.
_PLACEHOLDERS = {
    "intent": "intent: {what: ..., why_async: ...}",
    "trigger": (
        'trigger: {type: event}    # or: {type: cron, schedule: "*/5 * * * *"}, {type: poller,'
        " every: 30s}"
    ),
    "payload": (
        "payload: {type: object, properties: {order_id: {type: integer}}, examples: [{order_id:"
        " 7}]}"
    ),
    "language": "language: ruby    # where it is not Python; names are then the language's own",
    "handler": "handler: package.module:function",
    "message": "message: payload    # or: kwargs, args (by position)",
    "enqueue": (
        "enqueue: {call: package.module:function, args: {order_id: 7}}   # is called twice; relay:"
        " module:sweep"
    ),
    "recovers": "recovers: [{call: package.sweeps:requeue_stuck, every: 15m}]",
    "idempotency": (
        "idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table receipts, window:"
        " 7d}}"
    ),
    "effects": (
        "effects: [{name: email, call: package.mailer:send, key_arg: idempotency_key, guarantee:"
        " keyed}]"
    ),
    "failures": (
        "failures: {transient: [TimeoutError], permanent: [ValueError], acceptable_delay: 15m}"
    ),
    "retry": (
        "retry: {max_attempts: 5, backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s,"
        " jitter: true}}"
    ),
    "dead_letter": (
        "dead_letter: {kind: table, where: dead_jobs}    # or: {kind: none, reason: ...}"
    ),
    "worker": "worker: {deliveries: 3}    # of a message that kills its worker each time",
    "proof": (
        'proof: {env: {APP_DB: "{scratch}/app.db"}, state: {receipts: "select * from receipts order'
        ' by 1"}}'
    ),
}
# The same in a spec of another language: its own names, and no word of what runs Python alone.
_FOREIGN_PLACEHOLDERS = {
    "handler": "handler: {handler}",
    "enqueue": "enqueue: {{call: '{adapter}', args: {{order_id: 7}}}}",
    "effects": (
        "effects: [{{name: email, call: '{adapter}', key_arg: idempotency_key, guarantee: keyed}}]"
    ),
    "failures": (
        "failures: {{transient: ['{error}'], permanent: ['{error}'], acceptable_delay: 15m}}"
    ),
}
_FOREIGN_COMMENTS = {
    "payload": "The JSON Schema (draft 2020-12) of the job's message, with an example.",
    "handler": "The handler, by the language's own name.",
    "message": (
        "payload: the handler takes one mapping. kwargs: the payload's fields are its arguments, by"
        " name. args: the same, by position."
    ),
}
_PYTHON_ALONE = {"recovers", "worker", "proof"}
_SHARED_PLACEHOLDERS = {name: _PLACEHOLDERS[name] for name in _PLACEHOLDERS.keys() - _PYTHON_ALONE}
_JSON_TYPES = {
    "int": "integer",
    "integer": "integer",
    "str": "string",
    "string": "string",
    "text": "string",
    "bool": "boolean",
    "boolean": "boolean",
    "float": "number",
    "number": "number",
    "list": "array",
    "array": "array",
    "dict": "object",
    "object": "object",
}


@dataclass(frozen=True)
class Question:
    """One question of the dialogue. Ask it only where `when` is None or the answer to that path is
    that value.
    """

    path: str
    question: str
    why: str
    choices: tuple[str, ...] = ()
    default: str | None = None
    form: str = "text"  # text | list | number | fields | example | effects
    when: tuple[str, str] | None = None

    def value(self, answer: str) -> Any:
        """The JSON value that an answer stands for. ValueError, in words for the person, where it
        cannot be one.
        """
        answer = answer.strip()
        if self.choices and answer not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)}")
        return _FORMS[self.form](answer)


_CRON = ("trigger.type", "cron")
_KEYED = ("idempotency.strategy", "keyed")
_INVARIANT = ("idempotency.strategy", "invariant")
_COMMAS = "Separate them with commas."

QUESTIONS: tuple[Question, ...] = (
    Question(
        "job",
        "Name of the job?",
        "It names the spec file and the runs; lower-case letters, digits, hyphens.",
    ),
    Question(
        "intent.what",
        "What does it do?",
        "Whoever reads the ledger later knows nothing of the job.",
    ),
    Question(
        "intent.why_async",
        "Why not at once, in the request?",
        "A job that could run in place needs no queue.",
    ),
    Question(
        "trigger.type",
        "What starts it?",
        "A schedule needs a scheduler; a poller needs a lock.",
        ("event", "cron", "poller"),
        "event",
    ),
    Question(
        "trigger.schedule",
        "At which times (cron expression)?",
        "Five fields, such as */5 * * * *.",
        when=_CRON,
    ),
    Question(
        "trigger.timezone",
        "In which time zone?",
        "Clock changes skip or repeat an hour.",
        (),
        "UTC",
        when=_CRON,
    ),
    Question(
        "trigger.every",
        "At which interval?",
        "A duration such as 30s.",
        (),
        "30s",
        when=("trigger.type", "poller"),
    ),
    Question(
        "payload",
        "Fields of the message, each name:type?",
        "Such as order_id:integer, email:string.",
        form="fields",
    ),
    Question(
        "payload.examples",
        "One example message, as JSON?",
        'A proof delivers it. Such as {"order_id": 7}.',
        form="example",
    ),
    Question(
        "handler", "Import path of the task?", "Module and object, such as shop.tasks:send_receipt."
    ),
    Question(
        "idempotency.strategy",
        "What keeps a second delivery harmless?",
        "Every queue delivers twice now and then. unknown stops the run with the question.",
        ("keyed", "invariant", "unknown"),
        "unknown",
    ),
    Question(
        "idempotency.key",
        "Which payload fields name one piece of work?",
        _COMMAS,
        form="list",
        when=_KEYED,
    ),
    Question(
        "idempotency.dedupe.store",
        "Where is a handled key remembered?",
        "Such as: table receipts.",
        when=_KEYED,
    ),
    Question(
        "idempotency.dedupe.window",
        "For how long?",
        "Longer than all retries together.",
        (),
        "7d",
        when=_KEYED,
    ),
    Question(
        "idempotency.invariant.statement",
        "Which fact makes a second run harmless?",
        "One sentence.",
        when=_INVARIANT,
    ),
    Question(
        "idempotency.invariant.guarded_by",
        "What enforces it?",
        "Such as a unique index.",
        when=_INVARIANT,
    ),
    Question(
        "effects",
        "Import paths of the calls that change the outside world?",
        _COMMAS + " Empty: there is none.",
        (),
        "",
        "effects",
    ),
    Question(
        "failures.transient",
        "Which errors may pass?",
        "They are tried again. " + _COMMAS,
        (),
        "TimeoutError",
        "list",
    ),
    Question(
        "failures.permanent",
        "Which errors stay?",
        "They are not tried again. " + _COMMAS,
        (),
        "ValueError",
        "list",
    ),
    Question(
        "failures.acceptable_delay",
        "How late may it still succeed?",
        "Retries must fit in.",
        (),
        "15m",
    ),
    Question(
        "retry.max_attempts",
        "How many attempts, the first included?",
        "Unbounded retries never end.",
        (),
        "5",
        "number",
    ),
    Question(
        "retry.backoff.kind",
        "How do the waits grow?",
        "Growing waits spare a service that is down.",
        ("none", "fixed", "exponential"),
        "exponential",
    ),
    Question("retry.backoff.base", "The first wait?", "A duration such as 2s.", (), "2s"),
    Question("retry.backoff.cap", "The longest wait?", "A duration such as 60s.", (), "60s"),
    Question(
        "dead_letter.kind",
        "Where does a job go that has failed for good?",
        "Nothing may vanish unseen.",
        ("table", "queue", "framework", "none"),
        "table",
    ),
    Question(
        "dead_letter.where",
        "Name of the table?",
        "One row for each dead job.",
        (),
        "dead_jobs",
        when=("dead_letter.kind", "table"),
    ),
    Question(
        "dead_letter.where",
        "Name of the queue?",
        "One message for each dead job.",
        (),
        "dead",
        when=("dead_letter.kind", "queue"),
    ),
    Question(
        "dead_letter.reason",
        "Why is nothing recorded?",
        "Whoever misses a job will ask.",
        when=("dead_letter.kind", "none"),
    ),
)


def values_from(pairs: Mapping[str, str]) -> dict[str, Any]:
    """The values of `--set PATH=VALUE`, each read as YAML, as an override of a spec would be."""
    return {path: override_value(path, text) for path, text in pairs.items()}


def new_spec(values: Mapping[str, Any]) -> str:
    """The text of a job spec with these values, given by dotted path or nested. SpecInvalid with
    every violation.
    """
    spec = nested(values)
    if "job" not in spec:
        raise Misuse("a job spec needs a name for its job", hint="--set job=send-receipt")
    wrong = [f"{found.dotted()}: {found.what}: {found.hint}" for found in spec_violations(spec)]
    if wrong:
        raise SpecInvalid("\n".join(wrong), hint="give other values")
    return "\n".join(_write_lines(spec)) + "\n"


def write_spec(
    repo: Path, text: str, values: Mapping[str, Any], beside: Mapping[str, str] | None = None
) -> Path:
    """Writes `.skillrun/jobs/<job>.yaml` and the schema beside it. SpecInvalid where the spec is
    there already. `beside`: files that the spec names, path -> text.
    """
    path = repo / SPEC_FOLDER / f"{nested(values)['job']}.yaml"
    if os.path.lexists(path):
        raise SpecInvalid(
            f"{path}: is there already", hint=f"edit it, then: skillrun spec check {path}"
        )
    files = Files(repo)
    files.put(path.relative_to(repo).as_posix(), text.encode())
    for name, content in (beside or {}).items():
        files.put(name, content.encode())
    schema = SPEC_FOLDER / SCHEMA_NAME
    # A link is never written through.
    if not (repo / schema).is_symlink():
        # Beside the spec, so that an editor completes it without the network.
        files.put(schema.as_posix(), resource("schemas", SCHEMA_NAME).read_bytes())
    write(repo, files.changes())
    return path


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's plain values from dotted paths. Raises Misuse for a path that leads nowhere."""
    spec: dict[str, Any] = {"version": 1}
    for path, value in values.items():
        try:
            set_value(spec, parse_path(path), value)
        except (LookupError, TypeError) as error:
            raise Misuse(
                f"{path}: {error.args[0]}", hint="check the path; list items are counted from 0"
            ) from error
    return spec


def _write_lines(spec: Mapping[str, Any]) -> Iterator[str]:
    yield f"# yaml-language-server: $schema=./{SCHEMA_NAME}"
    yield (
        f"# What each field means stands in {SCHEMA_NAME}. Lines that begin with # are still to be"
        " decided."
    )
    yield _dump_value({"version": spec["version"], "job": spec["job"]})
    language = LANGUAGES.get(str(spec.get("language")))
    placeholders = _list_placeholders(language)
    for name, field in spec_schema()["properties"].items():
        about = _describe_field(name, field["description"], language)
        if name in spec and name not in ("version", "job"):
            yield from _write_comment(about)
            yield _dump_value({name: spec[name]})
        elif name in placeholders:
            yield from _write_comment(about)
            yield f"# {placeholders[name]}"


def _describe_field(name: str, about: str, language: Language | None) -> str:
    """The comment above a word of the spec: the schema's, where it is true of the language."""
    if language is None:
        return about
    return _FOREIGN_COMMENTS.get(name, about)


def _list_placeholders(language: Language | None) -> dict[str, str]:
    """Word of the spec -> how it is said, in Python's names or another language's."""
    if language is None:
        return _PLACEHOLDERS
    return {**_SHARED_PLACEHOLDERS, **_write_foreign_names(language)}


def _write_foreign_names(language: Language) -> dict[str, str]:
    """The words of the spec that hold a language's own names."""
    written = {}
    for name, form in _FOREIGN_PLACEHOLDERS.items():
        written[name] = form.format(**asdict(language))
    return written


def _write_comment(about: str) -> Iterator[str]:
    yield ""
    yield from textwrap.wrap(about, 110, initial_indent="# ", subsequent_indent="# ")


def _dump_value(value: Any) -> str:
    # PyYAML writes these four plainly, and then reads them as line breaks or not at all.
    plain = not re.search("[\x85\u2028\u2029\ufeff]", json.dumps(value, ensure_ascii=False))
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=plain, width=110).rstrip("\n")


def _parse_fields(answer: str) -> dict[str, Any]:
    """`order_id:integer, email:string` as a JSON Schema that requires them all."""
    properties: dict[str, Any] = {}
    for part in _parse_list(answer):
        name, _, kind = (piece.strip() for piece in part.partition(":"))
        if not re.fullmatch(r"\w+", name) or (kind and kind not in _JSON_TYPES):
            raise ValueError(
                f"name:type, with a type of {', '.join(sorted(set(_JSON_TYPES.values())))}"
            )
        properties[name] = {"type": _JSON_TYPES[kind or "string"]}
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }


def _parse_example(answer: str) -> list[Any]:
    try:
        value = override_value("payload.examples", answer)
    except SpecInvalid as error:
        raise ValueError('a JSON object such as {"order_id": 7}') from error
    if isinstance(value, list):
        return value
    return [value]


def _parse_effects(answer: str) -> list[dict[str, Any]]:
    calls = _parse_list(answer)
    names = []
    for call in calls:
        names.append(
            re.sub(r"[^A-Za-z0-9_.-]", "", call.replace(":", ".").rsplit(".", 1)[-1]) or "effect"
        )
    unique = []
    for index, name in enumerate(names, start=1):
        unique.append(name if names.count(name) == 1 else f"{name}-{index}")
    return [{"name": name, "call": call} for name, call in zip(unique, calls, strict=True)]


def _parse_list(answer: str) -> list[str]:
    return [part.strip() for part in answer.split(",") if part.strip()]


def _parse_number(answer: str) -> int:
    try:
        return int(answer)
    except ValueError as error:
        raise ValueError("a whole number") from error


_FORMS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "list": _parse_list,
    "number": _parse_number,
    "fields": _parse_fields,
    "example": _parse_example,
    "effects": _parse_effects,
}
