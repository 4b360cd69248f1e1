"""Turns what the JSON Schema validator says into sentences: what is wrong, and what to do about
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry

from skillrun import __version__

Path = tuple[str | int, ...]

UNKNOWN_KEY = "is not a known key"
_LONGEST_MESSAGE = 300
_LONGEST_SHOWN = 60

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


def find_violations(schema: Any, value: Any, at: Path = ()) -> Iterator[Violation]:
    """Every violation of a schema, in the order of the document. Nothing is ever fetched for a
    `$ref`.
    """
    registry: Registry[Any] = Registry()
    validator = Draft202012Validator(schema, registry=registry)
    # The validator reports each missing key on its own, with the names of all that are required.
    found: dict[Violation, None] = {}
    for error in validator.iter_errors(value):
        found.update(dict.fromkeys(_explain_error(error, at)))
    yield from found


def schema_violations(schema: Any, at: Path) -> Iterator[Violation]:
    """What makes a value no JSON Schema."""
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        for found in _explain_error(error, at):
            hint = f"payload is a JSON Schema, draft 2020-12; {found.hint}"
            yield Violation(found.path, found.what, hint)


def _explain_error(error: ValidationError, at: Path) -> Iterator[Violation]:
    """What one error of the validator means; `at` is where the validated value stands in its
    document.
    """
    path = (*at, *error.absolute_path)
    if error.validator in ("anyOf", "oneOf") and error.context:
        yield from _explain_choice(error, at, path)
    elif error.validator in ("not", None):
        yield _explain_exclusion(path)
    elif error.validator == "required":
        yield from _list_missing(error, path)
    elif error.validator == "additionalProperties" and _limit_of(error) is False:
        yield from _list_unknown(error, path)
    else:
        yield Violation(path, _say_what(error), _say_hint(error))


def _explain_choice(error: ValidationError, at: Path, path: Path) -> Iterator[Violation]:
    """What is wrong by the alternative that fits best, and the word that would have done
    instead.
    """
    context = error.context or ()
    words = []
    for inner in context:
        if inner.validator == "const" and not inner.path:
            words.append(_show_value(_limit_of(inner)))
    for inner in _nearest_branch(context):
        for found in _explain_error(inner, at):
            # `retry: 3`: neither a mapping, nor the word that may stand instead of one.
            is_wrong_kind = found.path == path and inner.validator == "type"
            if words and is_wrong_kind:
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
    return min(branches.values(), key=_rate_misfit)


def _rate_misfit(branch: list[ValidationError]) -> tuple[int, int]:
    """How badly an alternative fits: first by what is wrong with the value itself, then by the
    number of errors.
    """
    wrong_kind = {"const": 2, "type": 1}
    worst_at_top = 0
    for error in branch:
        if not error.relative_path:
            worst_at_top = max(worst_at_top, wrong_kind.get(str(error.validator), 0))
    return worst_at_top, len(branch)


def _explain_exclusion(path: Path) -> Violation:
    """A member that may not stand beside another one. The schema does not say why; we do."""
    # Positions in lists are left out: the table is by names.
    names = [step for step in path if isinstance(step, str)]
    parent_and_member = ("", "")
    if len(names) > 1:
        parent_and_member = (names[-2], names[-1])
    what, hint = _EXCLUDED.get(parent_and_member, ("is not allowed here", "remove it"))
    return Violation(path, what, hint)


def _list_missing(error: ValidationError, path: Path) -> Iterator[Violation]:
    """One violation for each required member that is not there."""
    properties = _schema_of(error).get("properties", {})
    for name in _limit_of(error):
        if name not in _value_of(error):
            hint = _suggest_member(properties.get(name))
            yield Violation((*path, name), "is missing", hint)


def _suggest_member(schema: Any) -> str:
    """What to do about a member that is missing."""
    return _suggest_example(schema) or _first_sentence(schema) or "add it"


def _list_unknown(error: ValidationError, path: Path) -> Iterator[Violation]:
    """One violation for each member that the schema does not know, with the nearest that it
    does.
    """
    known = list(_schema_of(error).get("properties", {}))
    for name in _value_of(error):
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


def _schema_of(error: ValidationError) -> dict[str, Any]:
    """The part of the schema that was violated."""
    if not isinstance(error.schema, dict):
        return {}
    return dict(error.schema)


def _value_of(error: ValidationError) -> Any:
    """The value that violates."""
    return error.instance


def _limit_of(error: ValidationError) -> Any:
    """What the violated keyword asks for: the choices of `enum`, the names of `required`."""
    return error.validator_value


def _say_what(error: ValidationError) -> str:
    """What is wrong, as the end of a sentence that begins with the place."""
    value, shown, limit = _value_of(error), _show_value(error.instance), _limit_of(error)
    match error.validator:
        case "type":
            return f"{shown} is {_type_of(value)}, not {_type_words(limit)}"
        case "enum" | "const":
            if error.validator == "enum":
                return f"{shown} is none of the choices"
            return f"{shown} is not {_show_value(limit)}"
        case "minimum":
            return f"{shown} is less than {limit}"
        case "minLength":
            if value == "":
                return "is empty"
            return f"{shown} is too short"
        case "maxLength":
            return f"is longer than {limit} characters"
        case "pattern":
            form = str(_schema_of(error).get("title", "value of this form"))
            return f"{shown} is not {_with_article(form)}"
        case "uniqueItems":
            return "holds the same item twice"
        case "dependentRequired":
            return _say_lacking(value, limit)
    # A keyword that has no sentence of ours: the validator's own words, which quote the value.
    if len(error.message) < _LONGEST_MESSAGE:
        return error.message
    return error.message[:_LONGEST_MESSAGE] + "…"


def _say_lacking(value: Mapping[str, Any], needed: Mapping[str, list[str]]) -> str:
    """Which member stands there without the one that it needs: "death needs a reason beside it"."""
    for name, others in needed.items():
        for other in others:
            if name in value and other not in value:
                return f"{name} needs a {other} beside it"
    return "a member is missing"


def _say_hint(error: ValidationError) -> str:
    """What to do about an error."""
    match error.validator:
        case "enum":
            return "write " + " | ".join(_show_value(choice) for choice in _limit_of(error))
        case "const":
            return f"write {_show_value(_limit_of(error))}"
        case "uniqueItems":
            return "keep one of them"
        case "maxLength":
            return "shorten it"
    schema = _schema_of(error)
    return (
        _suggest_example(schema)
        or _first_sentence(schema)
        or "change it so that it satisfies the schema"
    )


def _suggest_example(schema: Any) -> str:
    """What a schema would accept, as a hint; "" where it gives no example."""
    if not isinstance(schema, dict):
        return ""
    if "enum" in schema:
        return "write " + " | ".join(_show_value(choice) for choice in schema["enum"])
    if "const" in schema:
        return f"write {_show_value(schema['const'])}"
    if schema.get("$ref") == "#/$defs/duration":
        return "write a duration such as 90s, 15m or 7d"
    examples = schema.get("examples")
    if not examples:
        return ""
    return f"write for example {_show_value(examples[0])}"


def _first_sentence(schema: Any) -> str:
    """The first sentence of a schema's description, as a hint."""
    text = ""
    if isinstance(schema, dict):
        text = str(schema.get("description", ""))
    first = text.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _show_value(value: Any) -> str:
    """A value as its author wrote it, or nearly so, and never longer than a line bears."""
    import json

    # A blank text would not be seen without its quotes.
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.strip():
        text = value
    if len(text) <= _LONGEST_SHOWN:
        return text
    return text[: _LONGEST_SHOWN - 1] + "…"


def _type_of(value: Any) -> str:
    names: tuple[tuple[type, str], ...] = (
        # Before the numbers: to Python, True is one.
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


def _with_article(noun: str) -> str:
    """A noun with its article, in lower case."""
    noun = noun[:1].lower() + noun[1:]
    if noun[:1] in "aeiou":
        return f"an {noun}"
    return f"a {noun}"
