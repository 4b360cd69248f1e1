"""Turns what the JSON Schema validator says into sentences: what is wrong, and what to do about
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from skillrun import __version__

Path = tuple[str | int, ...]

UNKNOWN_KEY = "is not a known key"

# Members that another member forbids, by (parent, member).
_EXCLUDED = {
    ("idempotency", "invariant"): ("cannot stand beside key", "keep the key, or the invariant"),
    ("retry", "max_attempts"): ("cannot stand beside kind: none", "remove it, or remove kind"),
    ("retry", "backoff"): ("cannot stand beside kind: none", "remove it, or remove kind"),
    ("dead_letter", "where"): ("cannot stand beside kind: none", "remove it, or name another kind"),
    ("recovers", "every"): ("is no interval", "write for example 15m"),
    ("trigger", "every"): ("belongs to type: poller", "remove it, or change the type"),
    ("trigger", "schedule"): ("belongs to type: cron", "remove it, or change the type"),
    ("trigger", "timezone"): ("belongs to type: cron", "remove it, or change the type"),
}
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a document: where, what, and what to do."""

    path: Path
    what: str
    hint: str

    def dotted(self) -> str:
        """`effects.0.call`; `(top)` for the document itself."""
        return ".".join(str(step) for step in self.path) or "(top)"


def violations(schema: Any, value: Any, at: Path = ()) -> Iterator[Violation]:
    """Every violation of a schema, in the order of the document. Nothing is ever fetched for a
    `$ref`.
    """
    registry: Registry[Any] = Registry()
    validator = Draft202012Validator(schema, registry=registry)
    # The validator reports each missing key on its own, with the names of all that are required.
    yield from dict.fromkeys(
        found for error in validator.iter_errors(value) for found in _explain(error, at)
    )


def schema_violations(schema: Any, at: Path) -> Iterator[Violation]:
    """What makes a value no JSON Schema."""
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        for found in _explain(error, at):
            yield Violation(
                found.path, found.what, "payload is a JSON Schema, draft 2020-12; " + found.hint
            )


def _explain(error: ValidationError, at: Path) -> Iterator[Violation]:
    path = (*at, *error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        yield from _explain_choice(error, at, path)
    elif error.validator in ("not", None):
        yield _excluded(path)
    elif error.validator == "required":
        yield from _missing(error, path)
    elif error.validator == "additionalProperties" and _limit(error) is False:
        yield from _unknown(error, path)
    else:
        yield Violation(path, _what(error), _hint(error))


def _explain_choice(error: ValidationError, at: Path, path: Path) -> Iterator[Violation]:
    """What is wrong by the alternative that fits best, and the word that would have done
    instead.
    """
    words = [
        _shown(_limit(inner))
        for inner in error.context or ()
        if inner.validator == "const" and not inner.path
    ]
    for inner in _nearest_branch(error.context or ()):
        for found in _explain(inner, at):
            instead = words and found.path == path and inner.validator == "type"
            if instead:
                yield Violation(path, found.what, f"write {words[0]}, or {found.hint}")
            else:
                yield found


def _nearest_branch(errors: Iterable[ValidationError]) -> list[ValidationError]:
    """The errors of the alternative that fits best: the one that fails deepest, not already by its
    type.
    """
    branches: dict[Any, list[ValidationError]] = {}
    for error in errors:
        branches.setdefault(error.relative_schema_path[0], []).append(error)
    return min(branches.values(), key=_misfit)


def _misfit(branch: list[ValidationError]) -> tuple[int, int]:
    wrong_kind = {"const": 2, "type": 1}
    at_top = []
    for error in branch:
        if not error.relative_path:
            at_top.append(wrong_kind.get(str(error.validator), 0))
    return max(at_top, default=0), len(branch)


def _excluded(path: Path) -> Violation:
    names = []
    for step in path:
        if isinstance(step, str):
            names.append(step)
    what, hint = _EXCLUDED.get(
        (names[-2], names[-1]) if len(names) > 1 else ("", ""), ("is not allowed here", "remove it")
    )
    return Violation(path, what, hint)


def _missing(error: ValidationError, path: Path) -> Iterator[Violation]:
    properties = _schema(error).get("properties", {})
    for name in _limit(error):
        if name not in _instance(error):
            yield Violation((*path, name), "is missing", _such_as(properties.get(name)) or "add it")


def _unknown(error: ValidationError, path: Path) -> Iterator[Violation]:
    known = list(_schema(error).get("properties", {}))
    for name in _instance(error):
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=1)
        if near:
            hint = f"did you mean {near[0]}?"
        else:
            # Words are added to the format: this release may be the one that is too old.
            known_here = f"known here: {', '.join(known)}"
            hint = f"remove it, or take a skillrun newer than {__version__}; {known_here}"
        yield Violation((*path, name), UNKNOWN_KEY, hint)


def _schema(error: ValidationError) -> dict[str, Any]:
    """The part of the schema that was violated."""
    if not isinstance(error.schema, dict):
        return {}
    return dict(error.schema)


def _instance(error: ValidationError) -> Any:
    """The value that violates."""
    return error.instance


def _limit(error: ValidationError) -> Any:
    """What the violated keyword asks for: the choices of `enum`, the names of `required`."""
    return error.validator_value


def _what(error: ValidationError) -> str:
    value, shown, limit = _instance(error), _shown(error.instance), _limit(error)
    match error.validator:
        case "type":
            return f"{shown} is {_type_of(value)}, not {_type_words(limit)}"
        case "enum" | "const":
            if error.validator == "enum":
                return f"{shown} is none of the choices"
            return f"{shown} is not {_shown(limit)}"
        case "minimum":
            return f"{shown} is less than {limit}"
        case "minLength":
            if value == "":
                return "is empty"
            return f"{shown} is too short"
        case "maxLength":
            return f"is longer than {limit} characters"
        case "pattern":
            return (
                f"{shown} is not {_article(str(_schema(error).get('title', 'value of this form')))}"
            )
        case "uniqueItems":
            return "holds the same item twice"
    if len(error.message) < 300:
        return error.message
    return error.message[:300] + "…"


def _hint(error: ValidationError) -> str:
    match error.validator:
        case "enum":
            return "write " + " | ".join(_shown(choice) for choice in _limit(error))
        case "const":
            return f"write {_shown(_limit(error))}"
        case "uniqueItems":
            return "keep one of them"
        case "maxLength":
            return "shorten it"
    schema = _schema(error)
    return _such_as(schema) or _description(schema) or "change it so that it satisfies the schema"


def _such_as(schema: Any) -> str:
    if not isinstance(schema, dict):
        return ""
    if "enum" in schema:
        return "write " + " | ".join(_shown(choice) for choice in schema["enum"])
    if "const" in schema:
        return f"write {_shown(schema['const'])}"
    if schema.get("$ref") == "#/$defs/duration":
        return "write a duration such as 90s, 15m or 7d"
    examples = schema.get("examples")
    if not examples:
        return ""
    return f"write for example {_shown(examples[0])}"


def _description(schema: Any) -> str:
    text = ""
    if isinstance(schema, dict):
        text = str(schema.get("description", ""))
    first = text.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _shown(value: Any) -> str:
    import json

    if isinstance(value, str) and value.strip():
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    if len(text) <= 60:
        return text
    return text[:59] + "…"


def _type_of(value: Any) -> str:
    names: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (str, "text"),
        (int, "a number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    for kind, name in names:
        if isinstance(value, kind):
            return name
    return "empty"


def _type_words(types: Any) -> str:
    if isinstance(types, list):
        names = types
    else:
        names = [types]
    return " or ".join(_TYPES.get(name, str(name)) for name in names)


def _article(noun: str) -> str:
    noun = noun[:1].lower() + noun[1:]
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
