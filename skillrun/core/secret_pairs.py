"""A name and its value as two texts: `("password", "x")`, `{"name": "DB_PASS", "value": "x"}`,
`set_password("x")`, `'x' == user.password`, columns and values of SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
# pytest shows a difference in lines of its own: `E         - x`.
_MOST_COMPARED = 20


def mask_compared(text: str) -> str:
    """Masks a text that is compared with what a telling name holds, wherever it stands: pytest
    shows it in several lines, of which one has the name.
    """
    found = dict.fromkeys(_list_compared(text))
    for inner in list(found)[:_MOST_COMPARED]:
        text = _replace_everywhere(text, inner)
    return text


def _list_compared(text: str) -> Iterator[str]:
    for match in _COMPARED.finditer(text):
        inner = match["value"][1:-1]
        if names_secret(match["name"]) and is_secret("password", "=", inner, quoted=True):
            yield inner


def _replace_everywhere(text: str, inner: str) -> str:
    for quote in ("'", '"'):
        text = text.replace(f"{quote}{inner}{quote}", f"{quote}{MASK}{quote}")
    # A word of the language may stand there for itself.
    if len(inner) < 6 or not _NO_WORD.search(inner):
        return text
    return re.sub(rf"(?<!\w){re.escape(inner)}(?!\w)", MASK, text)


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
