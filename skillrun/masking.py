"""Finds what looks like a secret: provider tokens, credentials in URLs and headers, values after a telling name."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

MASK = "[masked]"
_ROUNDS = 10  # two are the rule


def mask_text(text: str) -> str:
    """The text with every secret as `[masked]`, also one that shows only when its neighbour is gone."""
    for _ in range(_ROUNDS):
        before = text
        for rule in _RULES:
            text = rule(text)
        if text == before:
            break
    return text


def mask_member(key: str, value: object) -> str | None:
    """`[masked]` where the key of a JSON object says that its value is a secret, else None."""
    if isinstance(value, str) and _SECRET_NAME.search(key) and _is_secret(key.lower(), "=", value, quoted=True):
        return MASK
    return None


_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\s\S]{0,16384}?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\s\\]*)"
)
# A retained tail may begin in the middle of a key.
_PRIVATE_KEY_END = re.compile(r"\A[A-Za-z0-9+/=\s\\]*-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")

_KNOWN_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl[a-z]{2,6}-[A-Za-z0-9_-]{20,}"  # GitHub, GitLab
    r"|sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"  # Slack
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{32,}|hf_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{40,}"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"  # Google
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}"  # JSON web tokens
    r")"
)
_WEBHOOK = re.compile(
    r"(?i)(?<=://hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/+-]+"
    r"|(?<=discord\.com/api/webhooks/)[\w/-]+|(?<=discordapp\.com/api/webhooks/)[\w/-]+"
)

# scheme://user:password@host, where a port with a path (host:80/a@b) is no password; and scheme://token@host.
_URL_CREDENTIALS = re.compile(r"(?<=\w://)(?:[^\s/?#:@'\"<>]{0,256}:(?!\d{1,5}[/?#])[^\s@'\"<>]{0,256}@)+")
_URL_TOKEN = re.compile(r"(?<=\w://)[A-Za-z0-9_.~%-]{20,256}@")

_AUTHORIZATION = re.compile(
    r"(?i)\b((?:proxy-)?authorization\\?[\"']?\s{0,3}(?:[:=]|=>)\s{0,3}\\?[\"']?)"
    r"(?!\[masked\])((?:[a-z][a-z0-9-]{0,20}[ \t]{1,3})?)[^\s\"'\\]+"
)
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie\\?[\"']?:\s{0,3}\\?[\"']?)(?!\[masked\])[^\s=;\"']{1,64}=[^\r\n\"']+")
_BEARER = re.compile(r"(?i)\b((?:bearer|basic|token)[ \t]{1,3})(?=[a-z._~+/=-]{0,64}[0-9]|\S{32})[a-z0-9._~+/=-]{12,}")

_SECRET_WORDS = (
    r"password|passwd|passphrase|passwort|pwd|secret|token|credentials?"
    r"|(?:api|access|account|auth|secret|private|signing|encryption|master|license|shared[_-]?access)[_-]?key"
)
_SECRET_NAME = re.compile(
    rf"(?i)(?:{_SECRET_WORDS})(?:[_-](?:\d+|prod|production|live|staging|dev|test|base|value))?\Z"
)
_NAMED = re.compile(
    rf"(?i)(?P<name>{_SECRET_WORDS})(?:[_-](?:\d{{1,3}}|prod|production|live|staging|dev|test|base|value))?"
    r"(?P<separator>[ \t]?:[ \t]?[A-Za-z][\w.\[\] |]{0,40}=[ \t]?"  # an annotation: password: str = "..."
    r"|\\?[\"']?[ \t]{0,3}(?:=>|:=|==|[:=])[ \t]{0,3}"
    r"|(?<=--password)[ \t]+|(?<=--token)[ \t]+|(?<=--secret)[ \t]+|(?<=--api-key)[ \t]+|(?<=--access-key)[ \t]+)"
    r"(?P<value>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
    r"|\\\"(?:[^\"\\\n]|\\[^\"\n])*\\\"|\\'(?:[^'\\\n]|\\[^'\n])*\\'"
    r"|(?:\\?[\"'])?[^\s\"'&;]*[^\s\"'&;,)\]}>\\])"
)
_NO_SECRET = re.compile(
    r"(?i)(?:\[masked\]|none|null|nil|true|false|yes|no|str|int|bytes|string|bool|optional|any|empty|unset|undefined"
    r"|required|missing|invalid|expired|incorrect|\*+|x{3,}|\.{3,}|…)\Z"
    r"|\W{1,3}\Z|\$\{|\$\(|\{\{|\{\}|\{[a-z_]|<|%\(|%s|\[[a-z]"
    r"|(?:os\.|self\.|settings\.|config\.|env\.|environ|process\.env|getenv|secrets\.|str\b|optional\[)"
    r"|[a-z_][\w.]*\("
)
_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*\Z")
_WORD = re.compile(r"[A-Za-z][a-z]{0,15}[.!?:]?\Z")

_ASSIGNED = re.compile(
    r"([\w\"'\]][ \t]{0,2}(?:=>|:=|[:=])\s{0,2}\\?[\"']?)([A-Za-z0-9+/_-]{24,256}={0,2})(?![\w.:/-])"
)


def _masks_all(pattern: re.Pattern[str], replacement: str = MASK) -> Callable[[str], str]:
    return lambda text: pattern.sub(replacement, text)


def _mask_named(text: str) -> str:
    return _NAMED.sub(_masked_assignment, text)


def _masked_assignment(match: re.Match[str]) -> str:
    before, value = match[0][: -len(match["value"])], match["value"]
    quote = re.match(r"\\?[\"']", value)
    closing = quote[0] if quote and value.endswith(quote[0]) and len(value) > quote.end() else ""
    inner = value[quote.end() : len(value) - len(closing)] if quote else value
    if not _is_secret(match["name"].lower(), match["separator"], inner, quoted=quote is not None):
        return match[0]
    return f"{before}{quote[0]}{MASK}{closing}" if quote else before + MASK


def _is_secret(name: str, separator: str, value: str, *, quoted: bool) -> bool:
    """Whether the value after a telling name is one: not empty, no placeholder, no code, no word of a sentence."""
    if not quoted:
        value = value.rstrip(")]}>:.,`")  # the punctuation of a sentence or of code
    if not value or _NO_SECRET.match(value) or _VARIABLE.match(value):
        return False
    if name == "pwd" and value[0] in "/~.":
        return False  # the working folder
    if name in ("password", "passwd", "passphrase", "passwort", "pwd"):
        return True
    if value.isdigit() and len(value) < 12:
        return False  # a count: max_token=4096
    in_a_sentence = not quoted and ":" in separator and separator[-1:].isspace()
    return not (in_a_sentence and _WORD.match(value))


def _mask_assigned(text: str) -> str:
    return _ASSIGNED.sub(lambda match: match[1] + MASK if _is_random(match[2]) else match[0], text)


def _is_random(value: str) -> bool:
    """Whether letters and digits change kind as often as in a key; names, paths, hashes and UUIDs do not."""
    if re.match(r"sha\d{3}-", value):
        return False  # a package's integrity
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "-" for c in value]
    changes = sum(1 for one, other in pairwise(kinds) if one != other)
    return {"d", "u", "l"} <= set(kinds) and changes >= 0.4 * len(value) and len(set(value)) >= 14


_RULES: tuple[Callable[[str], str], ...] = (
    _masks_all(_PRIVATE_KEY),
    _masks_all(_PRIVATE_KEY_END),
    _masks_all(_URL_CREDENTIALS, f"{MASK}@"),
    _masks_all(_URL_TOKEN, f"{MASK}@"),
    _masks_all(_WEBHOOK),
    _masks_all(_KNOWN_TOKENS),
    _masks_all(_AUTHORIZATION, rf"\1\2{MASK}"),
    _masks_all(_COOKIE, rf"\1{MASK}"),
    _masks_all(_BEARER, rf"\1{MASK}"),
    _mask_named,
    _mask_assigned,
)
