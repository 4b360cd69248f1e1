"""A name and its value as two texts: `("password", "x")`, `{"name": "DB_PASS", "value": "x"}`,
`set_password("x")`, `'x' == user.password`, columns and values of SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from skillrun.core.secret_names import (
    MASK,
    NO_SECRET,
    SECRET_NAME,
    SECRET_WORDS,
    is_secret,
    names_secret,
)

_NAME_OF_CODE = re.compile(r"[A-Za-z_]+(?:[.-][A-Za-z_]+)*\Z")
_PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)+\Z")
_HAS_LETTERS = re.compile(r"\w{3}")
# A digit or a sign: what a word of the language does not have.
_NO_WORD = re.compile(r"[0-9!@#$%^&*+=~]")
_QUOTED = r"(?:\"[^\"\n]{1,256}\"|'[^'\n]{1,256}')"
# Headers that hold nothing but a credential.
_HEADERS = (
    r"(?:(?:proxy-)?authorization|(?:set-)?cookie|x-(?:api-key|auth-token|csrf-?token)"
    r"|x-(?:amz|goog)-(?:signature|credential|security-token)|private-token|apikey)"
)
_HEADER = re.compile(rf"(?i){_HEADERS}\Z")
# The scheme of a header stays: Bearer, Basic.
_SCHEME = re.compile(r"(?i)(?:bearer|basic|token|digest|negotiate)[ ]+(?=\S)")

# ('bob', 'password', 'x'), (b'authorization', b'Bearer x'), getenv("DB_PASS", default="x")
_PAIR = re.compile(
    r"(?i)(?P<before>(?:(?<=[(\[,])|(?<=, )|(?<=\n))[ \t]{0,20}b?([\"'])"
    rf"(?P<name>{_HEADERS}|[\w.-]{{0,60}}?{SECRET_WORDS})\2"
    rf"[ \t]*,[ \t]*(?:(?:default|value)[ \t]*=[ \t]*)?b?)(?P<value>{_QUOTED})"
)


def mask_pairs(text: str) -> str:
    """Masks what follows a telling name in a tuple, a list or a call."""
    return _PAIR.sub(_masked_pair, text)


def _masked_pair(match: re.Match[str]) -> str:
    """Names of columns, choices and paths stay."""
    quote, inner, name = match["value"][0], match["value"][1:-1], match["name"]
    if _HEADER.match(name):
        return f"{match['before']}{quote}{_mask_header(inner)}{quote}"
    if _is_no_value(inner) or not is_secret(name.lower(), "=", inner, quoted=True):
        return match[0]
    return f"{match['before']}{quote}{MASK}{quote}"


def _mask_header(inner: str) -> str:
    """Behind the scheme. The name of another header stays: ["Authorization", "Accept"]."""
    scheme = _SCHEME.match(inner)
    if scheme is None:
        scheme_end, is_name = 0, _NAME_OF_CODE.match(inner) is not None
    else:
        scheme_end, is_name = scheme.end(), False
    if is_name or NO_SECRET.match(inner[scheme_end:]):
        return inner
    return inner[:scheme_end] + MASK


def _is_no_value(inner: str) -> bool:
    if inner.startswith("-") or " " in inner or not _HAS_LETTERS.search(inner):
        return True
    return _NAME_OF_CODE.match(inner) is not None or _PATH.match(inner) is not None


# {"name": "DB_PASS", "value": "x"}; in YAML `- name: DB_PASS`, and `value: x` on the next line.
MEMBERS_OF_NAME_AND_VALUE = re.compile(
    r"(?i)((?<![\w.-])\\?[\"']?(?:name|key)\\?[\"']?[ \t]{0,3}[:=][ \t]{0,3}\\?[\"']?[\w.-]{0,60}"
    r"(?:password|passwd|passphrase|_pass|_pwd|secret|token|api[_-]?key|private[_-]?key)\\?[\"']?"
    r"[ \t]{0,3},?\s{1,20}\\?[\"']?value\\?[\"']?[ \t]{0,3}[:=][ \t]{0,3})"
    rf"(?:(?![\"'](?:\[masked\]|[$%{{<]|[\"'])){_QUOTED}|(?!\[masked\]"
    rf"|[\"'$%{{<\[])[^\s,}}\"']{{1,256}})"
)

# set_password("x"), SecretStr('x'), login("bob", "x")
_ARGUMENT = re.compile(
    r"(?P<before>\b(?:(?i:(?:set|check|make|verify|validate|change|update|hash)_?"
    r"(?:raw_?)?password)"
    r"|Secret(?:Str|Bytes))\(\s{0,9}b?"
    rf"|\b(?:login|log_in|authenticate|sign_in)\(\s{{0,9}}"
    rf"(?:[a-z]+,\s{{0,9}})?{_QUOTED},\s{{0,9}}b?)"
    rf"(?P<value>{_QUOTED})(?=\s{{0,9}}[,)])"
)


def mask_arguments(text: str) -> str:
    """Masks what is given to functions that take a password."""
    return _ARGUMENT.sub(_masked_argument, text)


def _masked_argument(match: re.Match[str]) -> str:
    quote, inner = match["value"][0], match["value"][1:-1]
    if not inner or NO_SECRET.match(inner):
        return match[0]
    return f"{match['before']}{quote}{MASK}{quote}"


# A red test: `assert 'x' == user.password`, `where 'x' = User(...).password`.
_COMPARED = re.compile(
    rf"(?P<value>{_QUOTED})(?P<behind>[ \t]{{1,3}}(?:==|!=|=)[ \t]{{1,3}}"
    r"(?:[A-Z<(][^\n]{0,200}?\.)?(?P<name>[A-Za-z_][\w.]{0,80}))(?![\w.(])"
)
# Each text in quotes; the end of one may be the begin of the next.
_IN_QUOTES = re.compile(r"\"(?=([^\"\n]{1,256})\")|'(?=([^'\n]{1,256})')")
# What is shorter is masked in quotes only.
_SHORTEST = 6
_BEGINS_WORD = re.compile(rf"(?s)(?<!\w)(?=(.{{{_SHORTEST}}}))")
_ENDS_WORD = re.compile(r"(?!\w)")


def mask_compared(text: str) -> str:
    """Masks a text that is compared with what a telling name holds, wherever it stands: pytest
    shows it in several lines, of which one has the name (`E         - x`).
    """
    values = frozenset(_list_compared(text))
    if not values:
        return text
    return _mask_places(text, {*_find_quoted(text, values), *_find_bare(text, values)})


def _mask_places(text: str, places: set[tuple[int, int]]) -> str:
    """The text with each place masked, which is given by its begin and its length."""
    parts, end = [], 0
    for begin, length in sorted(places, key=lambda place: (place[0], -place[1])):
        if begin >= end:
            parts += [text[end:begin], MASK]
            end = begin + length
    return "".join([*parts, text[end:]])


def _list_compared(text: str) -> Iterator[str]:
    for match in _COMPARED.finditer(text):
        inner = match["value"][1:-1]
        if names_secret(match["name"]) and is_secret("password", "=", inner, quoted=True):
            yield inner


def _find_quoted(text: str, values: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Where one of the values stands in quotes, and its length."""
    for match in _IN_QUOTES.finditer(text):
        inner = match[match.lastindex or 0]
        if inner in values:
            yield match.end(), len(inner)


def _find_bare(text: str, values: frozenset[str]) -> Iterator[tuple[int, int]]:
    """Where one of the values stands without quotes, and its length."""
    lengths = _list_lengths(filter(_is_no_word, values))
    for match in _BEGINS_WORD.finditer(text):
        begin = match.start()
        for length in lengths.get(match[1], ()):
            if text[begin : begin + length] in values and _ENDS_WORD.match(text, begin + length):
                yield begin, length


def _list_lengths(values: Iterable[str]) -> dict[str, set[int]]:
    """How long the values are that begin alike, by their beginning."""
    lengths: dict[str, set[int]] = {}
    for value in values:
        lengths.setdefault(value[:_SHORTEST], set()).add(len(value))
    return lengths


def _is_no_word(value: str) -> bool:
    """A word of the language may stand without quotes for itself."""
    return len(value) >= _SHORTEST and _NO_WORD.search(value) is not None


# insert into users (name, password) values ('bob', 'x'); SQLAlchemy tells of the values by
# themselves: VALUES (?, ?)] [parameters: ('bob', 'x')].
_INSERT = re.compile(
    r"(?i)(?P<before>\binsert\s{1,9}into\s{1,9}[\w.\"`]{1,100}\s{0,9}\("
    r"(?P<columns>[\w\s,\"`]{1,2000})\)"
    r"\s{0,9}values\s{0,9}\((?:[^()\n]{0,2000}\)[^\n]{0,500}\]\s{0,9}\[parameters:\s{0,9}\()?)"
    r"(?P<values>[^()\n]{1,4000})(?=\))"
)
_VALUE = re.compile(r"(?:'(?:[^'\n]|''){0,1000}'|\"[^\"\n]{0,1000}\"|[^,'\"]){1,1000}")


def mask_inserted(text: str) -> str:
    """Masks the values of columns with a telling name."""
    return _INSERT.sub(_masked_insert, text)


def _masked_insert(match: re.Match[str]) -> str:
    columns = [column.strip(' \t\r\n"`') for column in match["columns"].split(",")]
    number = -1

    def masked_value(found: re.Match[str]) -> str:
        nonlocal number
        number += 1
        if number >= len(columns) or not SECRET_NAME.search(columns[number]):
            return found[0]
        return _masked_column(found[0])

    return match["before"] + _VALUE.sub(masked_value, match["values"])


def _masked_column(shown: str) -> str:
    inner = shown.strip()
    is_quoted = len(inner) > 1 and inner[0] in "\"'" and inner[-1] == inner[0]
    if not is_quoted or not is_secret("password", "=", inner[1:-1], quoted=True):
        return shown
    return shown.replace(inner, f"{inner[0]}{MASK}{inner[0]}")
