"""The id of a job that is like another one: random where that was, else made of the arguments in
the same way.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

# A UUID of a version that is another one each time: of the moment (1, 6, 7), or drawn (4).
_RANDOM = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1467][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}"
)


def name_arguments(
    function: Callable[..., Any], args: Any, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """All arguments of a call by the function's own names."""
    names = list(inspect.signature(function).parameters)
    return {**dict(zip(names, args, strict=False)), **kwargs}


def read_values(function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> dict[str, str]:
    """The arguments by name, as the text that an id would hold; the payload's own where it is one
    argument.
    """
    found: dict[str, str] = {}
    for name, value in name_arguments(function, args, kwargs).items():
        if isinstance(value, dict):
            held = value
        else:
            held = {name: value}
        found |= {inner: str(one) for inner, one in held.items()}
    return found


def are_distinct(old: dict[str, str], new: dict[str, str], settings: dict[str, Any]) -> bool:
    """Whether two messages are of distinct jobs of the application's: the new one is an example of
    the spec, and their key fields differ, or anything where they have none. `settings`: the spec's
    `key` and `examples`.

    One with the key of another and another content, such as poison, may have its id; and so may one
    that the proof made up, whose fields belong to two jobs.
    """
    if not any(_is_example(one, new) for one in settings.get("examples") or ()):
        return False
    key = settings.get("key") or []
    known = [name for name in key if name in old and name in new]
    if known:
        return any(old[name] != new[name] for name in known)
    return old != new


def _is_example(example: Any, values: dict[str, str]) -> bool:
    """Whether a message's arguments are those of an example."""
    if not isinstance(example, dict):
        return str(example) in values.values()
    return all(values.get(name) == str(value) for name, value in example.items())


def make_similar_id(id_: str, old: dict[str, str], new: dict[str, str]) -> str:
    """Another random id; an id that the application makes of the arguments is made of these."""
    if _RANDOM.fullmatch(id_) or not old.keys() <= new.keys():
        return str(uuid4())
    made = id_
    for name, value in old.items():
        if value and new[name] != value:
            made = new[name].join(
                re.split(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", made)
            )
    return made
