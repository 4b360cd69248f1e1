"""What a value is, as a text that is the same in every process: how calls are told apart."""

from __future__ import annotations

import enum
import hashlib
import io
import re
import sys
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SHOWN = 400
_DEEPEST = 8  # lists in lists that are read
_MODULES_OF_VALUES = ("datetime", "decimal", "fractions", "pathlib", "uuid")
_NO_TEXT: Any = object.__repr__  # of a class that gives its objects none
_TEXTS_AND_NUMBERS: tuple[Any, ...] = (str, bytes, bytearray, int, float)


def show_value(value: Any) -> str:
    """A value as text that is the same in every process: no addresses, sets in order."""
    return _ADDRESS.sub("", _read_value(value, 0))


def shorten_text(text: str, most: int = _SHOWN) -> str:
    """At most 400 characters, told apart by a digest where more was cut."""
    if len(text) <= most:
        return text
    return f"{text[:most]}…{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"


def look_up(value: Any, name: str) -> Any:
    """An attribute of an object of somebody else's; None where it has none, and where reading it
    raises: what stands for another object, such as the application of a web server's request, may
    stand for none now.
    """
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def read_held(value: Any) -> dict[str, Any]:
    """The public attributes of an object that are text, numbers, or lists and dicts of these, by
    their names in order. What is empty says nothing.
    """
    held = look_up(value, "__dict__") or {}
    found = {}
    for name, one in sorted(held.items()):
        if not name.startswith("_") and _is_simple(one):
            found[name] = one
    return found


def _read_value(value: Any, depth: int) -> str:
    """What a value is, not what it says of itself: a subclass of `str` may show another text than
    the one that it sends.
    """
    kind = type(value)
    if depth > _DEEPEST:
        return "..."
    for base in _TEXTS_AND_NUMBERS:
        if issubclass(kind, base) and kind is not bool:
            return str(base.__repr__(value))
    name = ""
    if kind not in (list, tuple, dict, set, frozenset):
        name = kind.__name__
    for collection in (set, frozenset):
        if issubclass(kind, collection):
            # As a list, so that its order is always the same.
            texts = sorted(_read_value(one, depth + 1) for one in collection.__iter__(value))
            return f"{name}[{', '.join(texts)}]"
    if issubclass(kind, dict):
        pairs = dict.items(value)
        texts = [
            f"{_read_value(key, depth + 1)}: {_read_value(one, depth + 1)}" for key, one in pairs
        ]
        return f"{name}{{{', '.join(texts)}}}"
    for base, begin, end in ((list, "[", "]"), (tuple, "(", ")")):
        if issubclass(kind, base):
            texts = [_read_value(one, depth + 1) for one in base.__iter__(value)]
            comma = ""
            if base is tuple and len(texts) == 1:
                comma = ","
            return f"{name}{begin}{', '.join(texts)}{comma}{end}"
    try:
        if getattr(kind, "__repr__", None) is _NO_TEXT:
            # It names the class and an address: two letters to two readers are alike in it.
            return _read_object(value, depth)
        return repr(value)
    except Exception as error:
        return f"<unprintable {kind.__name__}: {type(error).__name__}>"


def _read_object(value: Any, depth: int) -> str:
    """What an object without a text of its own holds."""
    name = type(value).__name__
    letters = sys.modules.get("email.message")  # who has a letter has imported it
    if letters is not None and isinstance(value, letters.Message):
        # Its own text has a border between its parts that is drawn anew each time.
        return f"{name}{_read_value([value.items(), value.get_payload()], depth + 1)}"
    if isinstance(value, (io.BytesIO, io.StringIO)):
        return f"{name}({_read_value(value.getvalue(), depth + 1)})"
    if not _is_made_of_values(value):
        # A connection, a session, a row that a mapper has loaded: what it holds changes with what
        # was done with it, and says nothing of what is asked for.
        return repr(value)
    return f"{name}{_read_value(vars(value), depth + 1)}"


def _is_made_of_values(value: Any, depth: int = 0) -> bool:
    """Whether all that an object, or a collection, holds is text, numbers, times and the like, or
    made of them.
    """
    kind = type(value)
    if value is None or issubclass(kind, (*_TEXTS_AND_NUMBERS, enum.Enum)):
        return True
    if depth > _DEEPEST or callable(value):
        return False
    if kind.__module__ in _MODULES_OF_VALUES:
        return True
    if issubclass(kind, dict):
        held = [*value, *value.values()]
    elif issubclass(kind, (list, tuple, set, frozenset)):
        held = list(value)
    else:
        held = list((look_up(value, "__dict__") or {}).values())
        if not held:
            return False
    return all(_is_made_of_values(one, depth + 1) for one in held)


def _is_simple(value: Any) -> bool:
    """Text, numbers, and lists and dicts of these; nothing that is empty."""
    if isinstance(value, dict):
        return bool(value) and all(map(_is_simple, (*value, *value.values())))
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_simple, value))
    return isinstance(value, (str, int, float, bytes)) and value not in ("", b"")
