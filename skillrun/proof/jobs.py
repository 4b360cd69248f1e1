"""Distinct jobs: the other examples of the payload, and variations of the first in one key field
each.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.literals import read_literal

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

POISON = -1  # the first poison payload; the others follow downwards
# From here on: the proof's own payloads, published without the application's call.
DIRECT = 1_000


def payloads_of(spec: JobSpec) -> dict[int, Any]:
    """By job: 0 the first example, 1.. distinct jobs, DIRECT the first again, -1-N the poison
    payloads.
    """
    examples = spec.examples
    payloads: dict[int, Any] = {0: examples[0], DIRECT: examples[0]}
    payloads |= dict(enumerate(distinct_payloads(spec), start=1))
    poison = spec.proof.poison if spec.proof else ()
    return payloads | {POISON - number: payload for number, payload in enumerate(poison)}


def read_payload(arguments: str, like: Any) -> Any:
    """The payload that a published message holds, in the form of another one; None where its
    arguments are no plain values. `arguments`: as `Probe.bind_arguments` writes them; `like`: an
    example.
    """
    try:
        given = {name: read_literal(text) for name, text in read_literal(arguments)}
    except (ValueError, SyntaxError):
        return None
    if not isinstance(like, dict):
        if len(given) == 1:
            return next(iter(given.values()))
        return None
    if set(given) <= set(like):
        # Those that have their default are not among the arguments.
        return given
    # One argument that holds the whole payload.
    if len(given) == 1:
        (held,) = given.values()
        if isinstance(held, dict):
            return held
        return None
    return None


def choose_call_arguments(
    given: Mapping[str, Any], first: Any, payload: Any, *, is_poison: bool = False
) -> dict[str, Any]:
    """The arguments of the application's call for another payload than the first: what that says,
    and of poison nothing else. `given`: those for the first.
    """
    mine = payload if isinstance(payload, dict) else {}
    chosen: dict[str, Any] = {}
    for name, value in given.items():
        if name in mine:
            chosen[name] = mine[name]
        elif not is_poison:
            chosen[name] = _translate_argument(value, first, mine)
    return chosen


def _translate_argument(value: Any, first: Any, payload: Mapping[str, Any]) -> Any:
    """An argument of another name than the payload's field: the first example has its value in
    that field. One that stands in several which would say different things is left as it is.
    """
    found: list[Any] = []
    fields = first if isinstance(first, dict) else {}
    for field, held in fields.items():
        is_same = type(held) is type(value) and held == value
        if is_same and field in payload and payload[field] not in found:
            found.append(payload[field])
    if len(found) == 1:
        return found[0]
    return value


def is_same_job(spec: JobSpec, one: Any, other: Any) -> bool:
    """Whether two payloads agree in all fields of the key; without a key, in everything."""
    key = spec.idempotency.key if spec.idempotency else ()
    if key:
        return _values(one, key) == _values(other, key)
    return bool(one == other)


def may_be_of_job(spec: JobSpec, read: Any, job: Any) -> bool:
    """Whether a payload as `read_payload` has it may be the one of a job: a field that it lacks has
    its default, whatever that is.
    """
    if isinstance(read, dict) and isinstance(job, dict):
        read = {**job, **read}
    return is_same_job(spec, read, job)


def distinct_payloads(spec: JobSpec) -> list[Any]:
    """Payloads that are other jobs than the first example. A varied one satisfies the payload's
    schema.

    For each key field there is one that differs in nothing else: who goes by another field takes it
    for the first.
    """
    first, *others = spec.examples
    key = spec.idempotency.key if spec.idempotency else ()
    found = list(others)
    if key:
        found = [payload for payload in others if _values(payload, key) != _values(first, key)]
    for field in key:
        if any(_is_first_but_for(payload, first, field) for payload in found):
            continue
        values = []
        for other in others:
            value = get_field(other, field)
            if value is not None and value != get_field(first, field):
                values.append(value)
        found += _varied(spec, first, field, values)
    return [*found, *_run_together(spec, first, key)]


def _values(payload: Any, key: tuple[str, ...]) -> list[Any]:
    return [get_field(payload, field) for field in key]


def get_field(payload: Any, field: str) -> Any:
    for part in field.split("."):
        payload = payload.get(part) if isinstance(payload, dict) else None
    return payload


def _is_first_but_for(payload: Any, first: Any, field: str) -> bool:
    mine, other = get_field(first, field), get_field(payload, field)
    return (
        None not in (mine, other) and mine != other and with_values(payload, {field: mine}) == first
    )


def _run_together(spec: JobSpec, first: Any, key: tuple[str, ...]) -> Iterator[Any]:
    """Two values with their border moved: the same key where nothing stands between them. 1 and 23,
    12 and 3.
    """
    for one, other in itertools.pairwise(key):
        left, right = get_field(first, one), get_field(first, other)
        if not _is_plain(left) or not _is_plain(right):
            continue
        text, cut = f"{left}{right}", len(f"{left}")
        for at in (cut + 1, cut - 1):
            values = (_like(left, text[:at]), _like(right, text[at:]))
            if 0 < at < len(text) and None not in values:
                payload = with_values(first, {one: values[0], other: values[1]})
                if _values(payload, (one, other)) != [left, right] and is_valid(payload, spec):
                    yield payload
                    break


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _like(value: Any, text: str) -> Any:
    """The text as a value of the same kind; None where it is none."""
    if isinstance(value, str):
        return text
    if text.isdigit() and str(int(text)) == text:
        return int(text)
    return None


def with_values(first: Any, values: dict[str, Any]) -> Any:
    payload = copy.deepcopy(first)
    for field, value in values.items():
        holder = payload
        *parents, last = field.split(".")
        for part in parents:
            holder = holder[part]
        holder[last] = value
    return payload


def is_valid(payload: Any, spec: JobSpec) -> bool:
    import jsonschema

    try:
        jsonschema.validate(payload, spec.payload or {})
    except jsonschema.ValidationError:
        return False
    return True


def _varied(spec: JobSpec, first: Any, field: str, known: list[Any]) -> Iterator[Any]:
    """With a value that another example has, where there is one: what it names is there."""
    now = get_field(first, field)
    for value in [*(known if now is not None else ()), *other_values(now)]:
        payload = with_values(first, {field: value})
        if is_valid(payload, spec):
            yield payload
            return


def other_values(value: Any) -> list[Any]:
    """Values of the same kind that are not equal."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value + 1.0]
    if isinstance(value, str):
        return [_next_text(value), f"x{value}", f"{value}-x"]
    return []


def _next_text(value: str) -> str:
    """The text with its last letter or digit moved on by one: dates and numbers stay such."""
    for at in range(len(value) - 1, -1, -1):
        if value[at].isdigit():
            return value[:at] + str((int(value[at]) + 1) % 10 or 1) + value[at + 1 :]
    return value + "x"


def list_texts(payload: Any) -> set[str]:
    """Every single value in a payload, as text."""
    if isinstance(payload, Mapping):
        payload = list(payload.values())
    if not isinstance(payload, list):
        return {str(payload)}
    found: set[str] = set()
    for value in payload:
        found |= list_texts(value)
    return found
