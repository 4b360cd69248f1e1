"""What a value is called, and whether one so called is a secret: `DB_PASS=x`, `"token": "x"`."""

from __future__ import annotations

import re

MASK = "[masked]"

_SECRET_WORDS = (
    r"pass[_-]?(?:word|phrase|code|key)|passwd|passwort|kennwort|pwd|pswd|(?<![a-z])p(?:ass|w|sw)"
    r"|(?-i:(?<=[a-z])P(?:ass|w))"
    r"|secret|token|credentials?|(?<![a-z])creds"
    r"|(?:api|access|account|auth|secret|private|signing|encryption|master|license"
    r"|shared[_-]?access)[_.-]?key"
    r"|(?:fernet|app|hmac|jwt|aes|session|cookie|service|deploy|admin|storage|shared|client"
    r"|crypt|ssh|webhook|stripe|(?<![a-z])write)[_-]?key"
    # In small letters `pat` is a pattern; a personal access token stands in a setting.
    r"|(?-i:(?<![A-Za-z])PAT)|(?:github|gitlab|azure|devops)[_-]?pat"
    r"|(?<![a-z])(?:jwt|bearer|salt)"
    # `dbpass`, `smtppw`; "bypass" and "compass" are other words.
    r"|(?<![a-z])(?:db|pg|sql|mysql|smtp|ftp|mail|user|root|admin|redis|ldap|ssh|http|proxy)"
    r"p(?:ass|w)"
)
# Digits of the shortest number that is a secret: max_token=4096 is a count and pw=64 a width, but
# any number may be a password.
_SHORTEST_NUMBER = 12
_SHORTEST_NUMBERS = {
    **dict.fromkeys(("password", "passwd", "passphrase", "passwort", "kennwort", "pwd", "pswd"), 1),
    "pw": 4,
}
# password1, DB_PASSWORD_PROD, passwordConfirm
_SUFFIX = (
    r"(?:[_-](?:\d{1,3}|prod|production|live|staging|dev|test|base|value|plain|string"
    r"|old|new|again|repeat|confirm(?:ation)?)|\d{1,2}|(?-i:Confirm(?:ation)?|Again|Repeat))"
)
SECRET_WORDS = rf"(?:{_SECRET_WORDS})(?:{_SUFFIX})?"
SECRET_NAME = re.compile(rf"(?i){SECRET_WORDS}\Z")
_ENTITY = r"(?:&quot;|&#3[49];)"
_QUOTE = rf"(?:\\{{0,3}}[\"']|{_ENTITY})"
_NAMED = re.compile(
    rf"(?i)(?P<name>{_SECRET_WORDS})(?:{_SUFFIX})?"
    r"(?P<separator>[ \t]?:[ \t]?[A-Za-z][\w.\[\] "
    r"|]{0,40}=[ \t]?"  # an annotation: password: str = "..."
    rf"|{_QUOTE}?\]?[ \t]{{0,3}}(?:=>|:=|==|[:=])[ \t]{{0,3}}(?:[|>][+-]?\n[ \t]{{1,20}})?)"
    r"(?:[bBrRuUfF]{1,2}(?=[\"']))?"  # bytes of Python: password=b"..."
    r"(?P<value>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
    r"|\\\"(?:[^\"\\\n]|\\[^\"\n])*\\\"|\\'(?:[^'\\\n]|\\[^'\n])*\\'"
    rf"|(?P<deep>\\{{2,3}}[\"']|{_ENTITY})(?:(?!(?P=deep))[^\n]){{0,256}}(?P=deep)"
    r"|(?:\\?[\"'])?[^\s\"'&;]*[^\s\"'&;,)\]}>\\])"
)
NO_SECRET = re.compile(
    r"(?i)(?:none|null|nil|true|false|yes|no|str|int|bytes|string|bool|optional|any|empty|unset"
    r"|undefined"
    r"|required|missing|invalid|expired|incorrect|\*+|x{3,}|\.{3,}|…)\Z"
    r"|\[masked\b|\W{1,3}\Z|\$\{|\$\(|\{\{|\{\}|\{[a-z_][\w.]*[}:!]|<[a-z][\w .-]{0,40}>"
    r"|%\(\w{1,40}\)|%s"
)
# What stands there without quotes is worked out: {name, <a place>, [x], settings.PASSWORD,
# get_password(user).
CODE = re.compile(
    r"(?i)\{[a-z_]|<|\[[a-z]"
    r"|(?:os\.|self\.|settings\.|config\.|env\.|environ|process\.env|getenv|secrets\.|str\b"
    r"|optional\[)"
    r"|[a-z_][\w.]*\(|await\Z"
)
# `(Kind.PLACE` of a tuple, `{408` of a set.
_FIRST_MEMBER = re.compile(r"[({\[]{1,3}[\w.]+\Z")
_INDEXED = re.compile(r"[A-Za-z_][\w.]*\[[\w:.-]{0,20}\Z")
# "invalid password": AuthenticationError
_ERROR_NAME = re.compile(r"(?:[a-z]\w*\.){0,5}[A-Z]\w*(?:Error|Exception|Warning)\d{0,2}\Z")
# `salt)` of sign(key, salt=salt).hex()
_FIRST_NAME = re.compile(r"[A-Za-z_][\w.]*(?=[),(])")
_IN_SIGNATURE = re.compile(r"\bdef \w+\([^\n]{0,200}\Z")
_TYPE = re.compile(r"[A-Z][\w.\[\]|]*\Z")
# Words with which a sentence goes on: "without a password: a user may".
_GOES_ON = re.compile(
    r"(?i)(?:a|an|the|this|that|these|it|its|not|no|in|on|at|by|from|to|for|is|was|are|must|may|can"
    r"|if|when|where|which|and|or|see|use|as|we|you|they|he|she)\Z"
)
# A type after the name of a parameter or a column. The bracket may have been cut off as the end of
# a sentence.
_ANNOTATION = re.compile(
    r"(?:[a-z_]+\.)*(?:Mapped|Annotated|Optional|Union|Literal|ClassVar|Final|Column|Field|list"
    r"|List|dict|Dict|set|type)"
    r"\[[\w.\[\] |,\"']{0,80}\Z|(?:[a-z_]+\.)*Secret(?:Str|Bytes)\Z"
)
_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*\Z")
_WORD = re.compile(r"[A-Za-z][a-z]{0,15}[.!?:]?\Z")
_OPENING = re.compile(_QUOTE)
# Characters before a name that are looked at.
_LOOKED_BACK = 240


def mask_named(text: str) -> str:
    return _NAMED.sub(_masked_assignment, text)


def _masked_assignment(match: re.Match[str]) -> str:
    before, value = match[0][: -len(match["value"])], match["value"]
    opening, inner, closing = _split_quotes(value)
    name = match["name"]
    # `DB_PASS=my_secret` is a line of a shell or of a container's settings: what stands there is no
    # variable of code, whatever it calls itself.
    is_setting = name.isupper() and match["separator"] == "="
    if opening:
        is_quoted, stays = True, _is_formatted(match, inner)
    elif is_setting:
        is_quoted, stays = True, _is_worked_out(match, inner)
    else:
        is_quoted, stays = False, _is_code(match, inner) or _is_prose(match, inner)
    if stays or not is_secret(name.lower(), match["separator"], inner, quoted=is_quoted):
        return match[0]
    return f"{before}{opening}{MASK}{closing}"


def _split_quotes(value: str) -> tuple[str, str, str]:
    """`"x"` -> (`"`, `x`, `"`); empty texts where there is no quote, or it was cut off."""
    quote = _OPENING.match(value)
    if quote is None:
        return "", value, ""
    inner = value[quote.end() :]
    if inner.endswith(quote[0]):
        return quote[0], inner.removesuffix(quote[0]), quote[0]
    return quote[0], inner, ""


def _is_formatted(match: re.Match[str], inner: str) -> bool:
    """f"shop-{server.id}"."""
    return match.string[match.start("value") - 1] in "fF" and "{" in inner


def is_secret(name: str, separator: str, value: str, *, quoted: bool) -> bool:
    """Whether the value after a telling name is one: not empty, no placeholder, no small number, no
    word of a sentence.
    """
    if not quoted:
        value = _strip_punctuation(value)
    if not value or NO_SECRET.match(value) or _VARIABLE.match(value):
        return False
    is_folder = name == "pwd" and value[0] in "/~."
    if is_folder or _is_small_number(name, value):
        return False
    return name in _SHORTEST_NUMBERS or quoted or not _is_word(separator, value)


def _is_small_number(name: str, value: str) -> bool:
    shortest = _SHORTEST_NUMBERS.get(name, _SHORTEST_NUMBER)
    return value.lstrip("-").isdigit() and len(value) < shortest


def _is_word(separator: str, value: str) -> bool:
    """`token: foo`."""
    is_said = ":" in separator and separator[-1:].isspace()
    return is_said and _WORD.match(value) is not None


def _strip_punctuation(value: str) -> str:
    """Without that of a sentence or of code, which is no part of the value."""
    return value.rstrip(")]}>:.,`")


def _is_code(match: re.Match[str], value: str) -> bool:
    """A variable (`self.password = password`), something that is worked out (`row["token"]`), or a
    type (`api_key: Mapped[str]`).
    """
    bare = _strip_punctuation(value)
    first = _FIRST_NAME.match(value)
    if names_secret(bare) or (first is not None and names_secret(first[0])):
        return True
    return _is_worked_out(match, value) or (":" in match["separator"] and _is_type(match, bare))


def _is_type(match: re.Match[str], value: str) -> bool:
    line = match.string[max(0, match.start() - _LOOKED_BACK) : match.start()]
    if _ANNOTATION.match(value) or _ERROR_NAME.match(value):
        return True
    return _IN_SIGNATURE.search(line) is not None and _TYPE.match(value) is not None


def _is_worked_out(match: re.Match[str], value: str) -> bool:
    following = match.string[match.end() : match.end() + 1]
    if following in ("]", '"', "'") and _INDEXED.match(value):
        return True
    if following == "," and _FIRST_MEMBER.match(value):
        return True
    return CODE.match(value) is not None


def _is_prose(match: re.Match[str], value: str) -> bool:
    """The verdict of a test (`PASS: tests/a.sh`), or a word of a sentence that goes on."""
    name, separator = match["name"].lower(), match["separator"]
    if ":" not in separator or not separator[-1].isspace():
        return False
    if name == "pass" and _stands_alone(match):
        return True
    following = match.string[match.end() : match.end() + 2]
    is_followed = following[:1] == " " and following[1:].isalpha()
    return is_followed and _GOES_ON.match(value) is not None


def _stands_alone(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 1) : match.start()]
    return not before.strip("\"' \t\n(")


def names_secret(value: str) -> bool:
    """`db_password`, `url.password`: the name of what holds a secret."""
    parts = value.split(".")
    return all(map(str.isidentifier, parts)) and SECRET_NAME.search(parts[-1]) is not None
