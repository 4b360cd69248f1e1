"""Makes text from a repository safe to show: nothing hidden, nothing that steers a terminal, no
secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

# What a reader does not see or a terminal obeys: C0 and C1 controls, soft hyphen, bidi marks,
# embeddings and isolates, zero-width and filler characters, line and paragraph separators, lone
# surrogates, interlinear marks, tags and supplementary variation selectors (both can carry a hidden
# message).
_HAZARDS = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_HAZARD = re.compile(f"[{_HAZARDS}]")
_HAZARD_IN_LINES = re.compile(f"(?![\n\t])[{_HAZARDS}]")
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# What a spreadsheet may take for a formula, also full-width.
_FORMULA = re.compile(r"[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")

# What stands in every text that masking changes: a telling name, an address, an option, or letters
# enough for a token. Most texts hold none of it, and the patterns that look closely take longer to
# compile than a command may take.
_MAY_HOLD_SECRET = re.compile(
    r"(?i)p(?:ass|w|sw)|secret|token|cred|key|auth|cookie|sess|bearer|basic|://|-----|[?&;]sig"
    r"|[ \t'\"]--?(?:user|[aupw]|[a-z]{0,8}u[ =])|sql(?:plus|ldr)|(?:exp|imp)dp|rman|identified|:"
    r"(?:[0-9]{4}|\*):"
    r"|[a-z0-9+/_.~-]{15}|log_?in|sign_in|openssl|rabbitmqctl|sudo|vault|jdbc:|x-(?:amz|goog)"
    r"|:[^\s:@]{3,64}@|-(?:e|-cert)[ =]"
)
# Characters of a line that are looked at, and that are shown.
_SOME, _FEW = 2_000, 200

# Colours, cursor movements and window titles, as programs write them to a terminal.
_TERMINAL_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]"
)


def visible(text: str, limit: int | None = 500, *, lines: bool = False) -> str:
    r"""The text with every hidden or steering character as an escape such as `\x1b` or `\u202e`.

    At most `limit` characters (None: all), the cut ones counted: `…(+123)`. Newlines and tabs stay
    only with `lines`.
    """
    if limit is None:
        return _escape_hazards(text, lines=lines)
    shown = _escape_hazards(text[: limit + 1], lines=lines)
    if len(text) <= limit and len(shown) <= limit:
        return shown
    return _cut_text(text, limit, lines=lines)


def spreadsheet_cell(text: str, *, lines: bool = False) -> str:
    """The text as `visible` has it; one that a spreadsheet would take for a formula gets an
    apostrophe before it.
    """
    shown = visible(text, None, lines=lines)
    if _FORMULA.match(text) or _FORMULA.match(shown):
        return f"'{shown}"
    return shown


def safe_json(value: Any) -> Any:
    """The value for a JSON document: strings and keys without hidden characters, tuples as lists,
    no NaN or infinity.

    Newlines and tabs stay, since JSON escapes them; nothing is cut.
    """
    if isinstance(value, float) and not isfinite(value):
        return None
    return _map_members(value, lambda text: _escape_hazards(text, lines=True), safe_json)


def plain_lines(text: str) -> str:
    """Output of a program without its colours and cursor movements, each carriage return as a new
    line.
    """
    return _TERMINAL_SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def masked(text: str) -> str:
    """The text with everything that looks like a secret as `[masked]`. Doing it twice changes
    nothing more.

    Hashes, commit ids and UUIDs stay unless a name such as `token` stands before them.
    """
    if not _MAY_HOLD_SECRET.search(text):
        return text
    # Its patterns take a while to compile.
    from skillrun.core.masking import mask_text

    return mask_text(text)


def excerpt(text: str) -> str:
    """The beginning of a line of a file, masked. The line may be a whole bundle: not all of it is
    looked at.
    """
    return masked(text.strip()[:_SOME])[:_FEW]


def masked_json(value: Any) -> Any:
    """A JSON value with its strings masked, also those that only their key gives away:
    `{"password": "x"}`.
    """
    from skillrun.core.masking import mask_member

    if isinstance(value, Mapping):
        found = {}
        for key, member in value.items():
            found[key] = mask_member(str(key), member) or masked_json(member)
        return found
    return _map_members(value, masked, masked_json)


def _escape_hazards(text: str, *, lines: bool) -> str:
    """The text with each hidden or steering character as an escape. `lines`: newlines and tabs
    stay.
    """
    return (_HAZARD_IN_LINES if lines else _HAZARD).sub(
        lambda match: _escape_character(match[0]), text
    )


def _escape_character(character: str) -> str:
    """The escape of one character, such as `\\x1b`."""
    code = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


def _cut_text(text: str, limit: int, *, lines: bool) -> str:
    """The longest beginning that leaves room for the count of what is missing; an escape is never
    cut in two.
    """
    room = limit - len(f"…(+{len(text)})")
    if room <= 0:
        return "…"[:limit]
    shown: list[str] = []
    length = taken = 0
    for character in text[:room]:
        piece = _escape_hazards(character, lines=lines)
        if length + len(piece) > room:
            break
        shown.append(piece)
        length += len(piece)
        taken += 1
    return f"{''.join(shown)}…(+{len(text) - taken})"


def _map_members(value: Any, on_text: Callable[[str], str], on_member: Callable[[Any], Any]) -> Any:
    """A JSON value with `on_text` for each of its own strings and keys, and `on_member` for each
    value that it holds.
    """
    if isinstance(value, str):
        return on_text(value)
    if isinstance(value, Mapping):
        return {on_text(str(key)): on_member(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [on_member(member) for member in value]
    return value
