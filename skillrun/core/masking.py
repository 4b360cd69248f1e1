"""Finds what looks like a secret: by its name, its place or its form.

How random a value looks says nothing: a digest or an ETag looks like a key. A form is what a
provider has published of its tokens. The named detectors of detect-secrets (Yelp) were compared:
they look for the same forms, for fewer of them, and say only that a line holds one.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator

from skillrun.core.secret_names import CODE, MASK, NO_SECRET, SECRET_NAME, is_secret, mask_named
from skillrun.core.secret_pairs import (
    MEMBERS_OF_NAME_AND_VALUE,
    mask_arguments,
    mask_compared,
    mask_inserted,
    mask_pairs,
)

_ROUNDS = 10  # two are the rule


def mask_text(text: str) -> str:
    """The text with every secret as `[masked]`, also one that shows only when its neighbour is
    gone.
    """
    for _ in range(_ROUNDS):
        before = text
        for rule in _RULES:
            text = rule(text)
        if text == before:
            break
    return text


def mask_member(key: str, value: object) -> str | None:
    """`[masked]` where the key of a JSON object says that its value is a secret, else None."""
    if not isinstance(value, str) or not SECRET_NAME.search(key):
        return None
    if not is_secret(key.lower(), "=", value, quoted=True):
        return None
    return MASK


# -- base64 of a text with a secret in it: `DATABASE_URL: cG9zdGdyZXM6Ly9...` of Kubernetes

_ENCODED_TEXT = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{16,}={0,2}(?![A-Za-z0-9+/=_-])")
_ALTERNATIVES = str.maketrans("-_", "+/")


def _mask_encoded_texts(text: str) -> str:
    return _ENCODED_TEXT.sub(_masked_text, text)


def _masked_text(match: re.Match[str]) -> str:
    """A digest and random bytes are no text, and stay."""
    coded = match[0].rstrip("=").translate(_ALTERNATIVES)
    try:
        plain = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode()
    except ValueError:
        return match[0]
    if not plain.replace("\n", "").isprintable():
        return match[0]
    for rule in _RULES_OF_PLAIN_TEXT:
        if rule(plain) != plain:
            return MASK
    return match[0]


# -- private keys

_KEY_MARK = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----")
# Characters between the two marks; a key of 16,384 bits takes 13,000.
_LONGEST_KEY = 16_384
# What follows a beginning whose end was cut off: headers of an encrypted key, lines of base64, and
# a last one that is shorter, where it is padded or where the text ends. A word of the next sentence
# is neither.
_KEY_REST = re.compile(
    r"(?:(?:\s|\\r|\\n){1,8}(?:(?:Proc-Type|DEK-Info|Comment):"
    r" [^\n]{1,100}|[A-Za-z0-9+/]{16,}={0,2}"
    r"|[A-Za-z0-9+/]{1,80}(?:={1,2}|\s*\Z)))*"
)
_LINE_ENDS = re.compile(r"(\r?\n[ \t]*|\\r\\n|\\n)")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{0,80}")
# A line of PEM is 64 characters of base64 (70 where OpenSSH writes it, 76 in MIME), with letters of
# both cases and a digit; one of a digest in hexadecimal is not.
_BASE64 = r"[A-Za-z0-9+/]"
_MIXED = r"(?=[a-z0-9+/]{0,75}[A-Z])(?=[A-Z0-9+/]{0,75}[a-z])(?=[A-Za-z+/]{0,75}[0-9])"
_WIDE = rf"{_MIXED}(?:{_BASE64}{{76}}|{_BASE64}{{70}}|{_BASE64}{{64}})(?![\w+/=-])"
# A key on one line shows by what every RSA, EC or OpenSSH key begins with.
_BEGINNINGS = r"(?:MII[A-Z]|MHcC|MHQC|b3BlbnNzaC1rZXktdjE)"
_FIRST = rf"{_BEGINNINGS}{_BASE64}{{40,}}={{0,2}}"
# The next line of what a log indents, quotes or marks with "+", or in a text of JSON.
_NEXT_LINE = r"(?:\\r)?(?:\\n)?[\"',]{0,3}\r?\n(?:[ \t>|E]{0,12}[+-]?[\"']?)|(?:\\r)?\\n"
# The last line is shorter, and base64 as well.
_LAST = rf"(?:{_BASE64}{{1,75}}={{1,2}}|(?=[a-z0-9+/]{{0,75}}[A-Z]){_BASE64}{{16,75}})(?![\w+/=-])"
_KEY_PIECE = re.compile(
    rf"(?:(?<![\w+/=-])|(?<=\\n)|(?m:^)[+-])(?:{_WIDE}|{_FIRST})"
    rf"(?:(?:{_NEXT_LINE})(?:{_WIDE}|{_LAST}))*"
)
# `digest: `, `ETag: W/"`, `sha384-`: 48 bytes are 64 characters of base64.
_CALLED_DIGEST = re.compile(
    r"(?i)(?:sha-?\d{3}|digest|etag|integrity|checksum|hash|fingerprint)[\w-]{0,20}\\?[\"']?"
    r"[ \t]{0,3}[-:=]{0,2}[ \t]{0,3}(?:W/)?\\?[\"']?\Z"
)
# 32 bytes in base64, 48 and 64, and no key's beginning.
_DIGEST = re.compile(
    rf"(?!{_BEGINNINGS})(?:{_BASE64}{{43}}=|{_BASE64}{{64}}|{_BASE64}{{86}}==)(?![A-Za-z0-9+/=])"
)
_REST_OF_PIECE = re.compile(rf"(?s)\A({_NEXT_LINE}).+")
# Characters before a value that are looked at for such a name.
_NAME_AT = 60


def _mask_private_keys(text: str) -> str:
    """One pass over the marks: a search from each beginning for its end is quadratic in beginnings
    alone.
    """
    pieces: list[str] = []
    done = 0
    for start, end in _key_spans(text):
        pieces += text[done:start], MASK
        done = end
    return _KEY_PIECE.sub(_masked_piece, "".join((*pieces, text[done:])))


def _masked_piece(match: re.Match[str]) -> str:
    """`[masked]` for lines of a key; a first line stays that is called a digest, and may be one."""
    before = match.string[max(0, match.start() - _NAME_AT) : match.start()]
    first = _DIGEST.match(match[0])
    if first is None or not _CALLED_DIGEST.search(before):
        return MASK
    return first[0] + _REST_OF_PIECE.sub(rf"\1{MASK}", match[0][first.end() :])


def _key_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where private keys begin and end, also those of which a beginning or an end is cut off."""
    marks = list(_KEY_MARK.finditer(text))
    done = 0
    for index, mark in enumerate(marks):
        following = None
        if index + 1 < len(marks):
            following = marks[index + 1]
        if mark.start() < done:
            continue
        if mark[1] == "END":
            start, end = _start_of_tail(text, done, mark.start()), mark.end()
        elif _closes(mark, following):
            assert following is not None
            start, end = mark.start(), following.end()
        else:
            rest = _KEY_REST.match(text, mark.end())
            start, end = mark.start(), rest.end() if rest else mark.end()
        yield start, end
        done = end


def _closes(mark: re.Match[str], following: re.Match[str] | None) -> bool:
    if following is None or following[1] != "END":
        return False
    return following.start() - mark.end() <= _LONGEST_KEY


def _start_of_tail(text: str, done: int, end: int) -> int:
    """Where the last lines of a key begin whose beginning was cut off."""
    parts = _LINE_ENDS.split(text[max(done, end - _LONGEST_KEY) : end])
    start = at = end
    for index in range(len(parts) - 1, -1, -1):
        is_line = index % 2 == 0
        if is_line and not _KEY_LINE.fullmatch(parts[index]):
            break
        at -= len(parts[index])
        if is_line and parts[index]:
            start = at
    return start


# -- tokens by their form

_KNOWN_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{16}|LTAI[A-Za-z0-9]{16,26}"  # AWS, Alibaba
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl[a-z]{2,6}-[A-Za-z0-9_-]{20,}"
    r"|GR1348941[\w-]{20,}"
    r"|sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}|[srp]k_(?:live|test)_[A-Za-z0-9]{10,}"
    r"|whsec_[A-Za-z0-9+/=]{16,}"
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"  # Slack
    r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{32,}|hf_[A-Za-z0-9]{30,}|do[opr]_v1_[a-f0-9]{40,}"
    r"|rubygems_[a-f0-9]{40,}|dckr_(?:pat|oat)_[\w-]{20,}|cio[A-Za-z0-9]{32}(?!\w)"
    r"|oy2[a-z0-9]{43}(?!\w)"
    r"|AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"
    r"|1//0[\w-]{40,}"  # Google
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|AGE-SECRET-KEY-1[A-Z0-9]{40,}"
    r"|SK[0-9a-f]{32}(?!\w)|key-[0-9a-f]{32}(?!\w)|[0-9a-f]{32}-us[0-9]{1,2}"
    r"(?!\w)"  # Twilio, Mailgun, Mailchimp
    r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?!\w)"
    r"|[MNO][A-Za-z0-9_-]{23,25}\.[\w-]{6}\.[\w-]{27,38}"  # Telegram, Discord
    r"|sq0(?:csp|atp|idp)-[\w-]{22,}|shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}|hv[sbr]\.[\w-]{20,}"
    r"|dapi[a-f0-9]{32}"
    r"|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{40,}|NRAK-[A-Z0-9]{27}|ATATT3[\w=-]{20,}"
    r"|ATBB[A-Za-z0-9]{28,}|HRKU-[\w-]{30,}"
    r"|gl(?:sa|c)_[A-Za-z0-9_]{30,}|lin_api_\w{30,}|ntn_\w{40,}|PMAK-[a-f0-9-]{50,}|figd_[\w-]{30,}"
    r"|dp\.(?:pt|ct|sa|scim|audit|st(?:\.[a-z0-9_-]{2,35})?)\.[A-Za-z0-9]{40,44}"  # Doppler
    r"|sntry[su]_[\w=+/-]{30,}"
    r"|sbp_[a-f0-9]{40}|pscale_(?:tkn|pw|oauth)_[\w.-]{30,}|AKCp[A-Za-z0-9]{60,}"
    r"|pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"
    r"|[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"  # a client secret of Microsoft Entra
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}"  # JSON web tokens
    r")"
)
_WEBHOOK = re.compile(
    r"(?i)(?<=://hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/+-]+"
    r"|(?<=discord\.com/api/webhooks/)[\w/-]+|(?<=discordapp\.com/api/webhooks/)[\w/-]+"
    r"|(?<=api\.telegram\.org/bot)[\w:-]{20,}"
)

# -- by their place: addresses, headers, command lines, files of credentials

# scheme://user:password@host, where a port with a path (host:80/a@b) is no password; and
# scheme://token@host. A password may hold an @ of its own: the last one before the path ends it.
_URL_CREDENTIALS = re.compile(
    r"(?<=\w://)(?:[^\s/?#:@'\"<>]{0,256}:(?!\d{1,5}[/?#])[^\s@'\"<>]{0,256}@"
    r"(?:[^\s/?#@'\"<>]{0,256}@)*)+"
)
# `https://bob@host` names somebody; with a digit it may be a token.
_URL_TOKEN = re.compile(
    r"(?<=\w://)[A-Za-z0-9_.~%-]{20,256}@"
    r"|(?:(?<=http://)|(?<=https://))(?=[^\s/?#:@]{0,256}[0-9])[^\s/?#:@'\"<>]{8,256}@"
)
# shop:x7!@db.example:5432/shop, as drivers take it without a scheme; the password has a digit or a
# sign.
_PAIR_AT_HOST = re.compile(
    r"(?<![\w/:@.+-])([\w.-]{1,60}:)(?!\[masked\]|//)"
    r"(?=[^\s:@/]{0,256}[0-9!#$%^&*+=~])[^\s:@/\"'<>]{3,256}"
    r"(?=@[\w.-]{1,100}:\d{2,5}(?!\w))"
)
# What makes an address itself a credential: signatures of AWS, Google and Azure, keys and codes of
# web services.
_URL_SIGNED = re.compile(
    r"(?i)((?:[?&;]|&amp;|\\u0026)(?:sig|signature|x-(?:amz|goog)-(?:signature|credential"
    r"|security-token)"
    r"|awsaccesskeyid|subscription-key|apikey|auth|jwt)=)(?!\[masked\])[^\s&;\"'<>\\]{6,}"
    r"|([?&](?:key|code)=)(?=[\w%./+-]{0,64}[0-9])[\w%./+-]{20,}"
)

# What an f-string puts there, f"Bearer {token}", is no value.
_AUTHORIZATION = re.compile(
    r"(?i)\b((?:proxy-)?authorization\\?[\"']?\s{0,3}(?:[:=]|=>)\s{0,3}"
    r"(?!\[masked\]|f?[\"']?(?:[a-z][a-z0-9-]{0,20}[ \t]{1,3})?\{[a-z_])"
    r"\[?(?:[bf](?=[\"']))?\\?[\"']?)"
    r"(?!\[masked\])((?:[a-z][a-z0-9-]{0,20}[ \t]{1,3})?)[^\s\"'\\]+"
)
_COOKIE = re.compile(
    r"(?i)\b((?:set-)?cookie\\?[\"']?:\s{0,3}\\?[\"']?)(?!\[masked\])[^\s=;\"']{1,64}=[^\r\n\"']+"
)
_SESSION = re.compile(
    r"(?i)\b((?:sessionid|csrftoken|phpsessid|jsessionid|connect\.sid|asp\.net_sessionid)"
    r"(?:=|[\"'][ \t]{0,3}:[ \t]{0,3}[\"']))(?!\[masked\])[^\s;\"'&]{6,}"
    r"|([\"']x-(?:amz|goog)-(?:signature|credential|security-token)[\"'][ \t]{0,3}:[ \t]{0,3}[\"'])"
    r"(?!\[masked\])[^\s\"']{6,}"
)
_BEARER = re.compile(
    r"(?i)\b((?:bearer|basic|token)["
    r" \t]{1,3})(?=[a-z._~+/=-]{0,64}[0-9]|\S{32})[a-z0-9._~+/=-]{12,}"
)

# What begins no secret: a mask, a placeholder, a mark of a list or a comment.
_NO_START = r"(?!\[masked\]|[-$%{<#])"
_QUOTED_WORD = rf"(?:\"{_NO_START}[^\"\n]{{1,256}}\"|'{_NO_START}[^'\n]{{1,256}}')"
_QUOTED_OR_NOT = r"(?:\"(?!\[masked\])[^\"\n]{1,256}\"|'(?!\[masked\])[^'\n]{1,256}'|(?![-$\"'<{]|\[masked\])\S{1,256})"
# The program decides what an option means: `docker run -u 1000:1000` gives no password.
# The words between a program and its option, also over several lines: `mysql \\`.
_USED = r"(?:[^\n|\\]|\\\r?\n|\\[^\r\n]){0,300}?[ \t]"
# `-u`, and `-sSu` of curl.
_PAIR_OPTIONS = r"(?:-[A-Za-z]{0,8}u|--user|--proxy-user|-U|-a|--auth)"
_COMMAND_LINE = re.compile(
    rf"\b((?:curl|wget|https?|xh)\b(?!://){_USED}{_PAIR_OPTIONS}[ =]?[\"']?"
    r"[^\s:\"'/]{1,100}:)(?!\[masked\]|//)[^\s\"']{1,256}"
    rf"|\b((?:mysql|mysqldump|mysqladmin|mysqlimport|mysqlsh|mariadb|mariadb-dump)\b{_USED}-p)"
    rf"(?:{_QUOTED_WORD}|(?!\[masked\])[^\s\"']{{1,256}})"
    rf"|\b((?:sshpass[ \t]+-p|(?:docker|podman|helm|az|oc)\b[^\n|]{{0,60}}?\blogin\b{_USED}-p"
    rf"|redis-cli\b{_USED}-a|sqlcmd\b{_USED}-P|mongo(?:sh|dump|restore)?\b{_USED}-p)["
    rf" \t]*){_QUOTED_OR_NOT}"
)
# Programs of which one option, or one word, is a password.
_FURTHER_COMMANDS = re.compile(
    rf"\b((?:(?:un)?zip\b{_USED}-P|openssl\b{_USED}-k|twine\b{_USED}-p|mosquitto_\w+\b{_USED}-P|"
    rf"(?:keytool"
    rf"|jarsigner)\b{_USED}-\w{{0,12}}pass"
    r"|vault[ \t]+login(?![ \t]+[\w-]+=)|aws[ \t]+configure[ \t]+set[ \t]+[\w.-]*(?:secret"
    r"|token)\w*"
    r"|rabbitmqctl[ \t]+(?:add_user|change_password)[ \t]+\S{1,100}"
    r"|htpasswd[ \t]+-\w*b\w*[ \t]+\S{1,200}[ \t]+\S{1,100}"
    rf"|setx[ \t]+\w{{0,60}}(?:PASSWORD|PASSWD|PASS|PWD|SECRET|TOKEN|KEY))[ \t]+){_QUOTED_OR_NOT}"
    rf"|\b((?:7za?\b{_USED}-p|smbclient\b{_USED}-U[ \t]*[\w.\\/-]{{1,100}}%"
    rf"|lftp\b{_USED}-u[ \t]*[\w.@-]{{1,100}},"
    rf"|curl\b{_USED}(?:-E|--cert)[ =]?[^\s:\"']{{1,200}}:))(?!\[masked\])[^\s\"']{{1,256}}"
)
# echo x | docker login --password-stdin
_PIPED = re.compile(
    r"\b((?:echo|printf)[ \t]+(?:-n[ \t]+)?[\"']?(?:[\w.-]{1,60}:(?=[^|\n]{1,200}\|[ \t]*"
    r"(?:sudo[ \t]+)?chpasswd))?)"
    r"(?![\[$%-])[^\s\"'|]{1,256}"
    r"(?=[\"']?[ \t]*\|[^|\n]{0,200}(?:--password-stdin|\bchpasswd|\bsudo[ \t]+-S|--with-token"
    r"|passwd[ \t]+--stdin))"
)
_OPTION = re.compile(
    r"(?i)((?<![\w-])--?(?:[a-z]+-){0,3}(?:password|passwd|passphrase|pass|pwd|token|secret"
    r"|api-key|access-key|secret-key"
    rf"|account-key|auth-key|license-key|oauth2-bearer)[ \t]+){_QUOTED_OR_NOT}"
)
# --user 'admin:A B': what is quoted ends with its quote, not with a space.
_QUOTED_PAIR = re.compile(
    rf"\b((?:curl|wget|https?|xh)\b(?!://){_USED}{_PAIR_OPTIONS}[ =]?"
    r"(?:\"(?=[^\"\n]{0,300}\")|'(?=[^'\n]{0,300}'))[^\s:\"'/]{1,100}:)"
    r"(?!\[masked\][\"'])[^\"'\n]{1,256}"
)
_DIRECTORY = re.compile(
    rf"\b(ldap(?:search|add|modify|delete|whoami|passwd)\b{_USED}-w[ \t]*){_QUOTED_OR_NOT}"
)
_ORACLE = re.compile(
    r"\b((?:(?:sqlplus|sqlldr|expdp|impdp|rman)[ \t]+(?:-\w+[ \t]+){0,3}[\"']?"
    r"|jdbc:oracle:\w{1,20}:)\w{1,100}/)"
    r"(?!\[masked\])[^\s\"'@/]{1,256}(?=@|[\"']|\s|\Z)"
)
# Redis: AUTH password, AUTH user password. In a sentence no word with a digit or a sign follows
# AUTH.
_REDIS_AUTH = re.compile(
    r"(?<![\w-])(AUTH[ \t]+(?:[\w.-]{1,64}[ \t]+)?[\"']?)(?!\[masked\])"
    r"(?=[^\s\"']{0,256}[0-9+/=!@#$%^&*])(?=[^\s\"']{0,256}[A-Za-z])[^\s\"',;()\]]{6,256}(?=[\"']?["
    r" \t]*(?:$|[\r\n]))",
    re.MULTILINE,
)
_SQL_PASSWORD = re.compile(
    r"(?i)(\b(?:(?:alter|create)[ \t]+(?:user|role|group|login)\b[^\n;]{0,200}?\bpassword"
    r"|(?:alter|create)[ \t]+user\b[^\n;]{0,200}?\bidentified[ \t]+(?:with[ \t]+[\w'\"]{1,60}["
    r" \t]+)?(?:by|as)"
    r"|set[ \t]+password[ \t]+for[ \t]+[^\n;=]{1,100}?"
    r"|set[ \t]+password"
    r"|grant\b[^\n;]{0,200}?\bidentified[ \t]+by|^[ \t]*identified[ \t]+by)[ \t]*=?[ \t]*"
    r"(?:password\()?)"
    r"(?:\$\$(?!\[masked\])[^$\n]{1,256}\$\$|(?!'%)'(?!\[masked\]')[^'\n]{1,256}'|(?!\"%)\""
    r"(?!\[masked\]\")[^\"\n]{1,256}\")",
    re.MULTILINE,
)
# A line of a Dockerfile, of redis.conf.
_SETTING_LINE = re.compile(
    rf"(?m)^([ \t]*ENV[ \t]+[A-Z0-9_]{{0,40}}(?:PASSWORD|PASSWD|SECRET|TOKEN|_KEY"
    rf"|_PASS)[ \t]+){_QUOTED_OR_NOT}"
    rf"|((?:^|\bCONFIG[ \t]+SET[ \t]+)(?:requirepass|masterauth)[ \t]+){_QUOTED_OR_NOT}"
)
_IDENTIFIED_BARE = re.compile(
    r"(?i)(\b(?:alter|create)[ \t]+user[ \t]+[\w.@'\"%]{1,100}[ \t]+identified[ \t]+by[ \t]+)"
    r"(?!password\b|random\b|values?\b|\[masked\])[^\s'\"%$;,?:&]{1,256}"
)
_PASSIN = re.compile(r"(-pass(?:in|out)?[ \t]+[\"']?pass:)(?!\[masked\])[^\s\"']{1,256}")
_NETRC = re.compile(
    r"(?i)(\b(?:machine|login|user)[ \t]+\S{1,200}\s{1,9}(?:account[ \t]+\S{1,100}\s{1,9})?"
    rf"password[ \t]+)(?!(?:is|was|are|were|do|does|did|has|have|must|may|not|and|or"
    rf"|field)\b){_QUOTED_OR_NOT}"
)
_PGPASS = re.compile(
    r"(?m)^([^\s:]{1,200}:(?:5432|5433|6432|\*):[^\s:]{1,100}:[^\s:]{1,100}:)"
    r"(?!\[masked\])\S{1,256}$"
)
_ELEMENT = re.compile(
    r"(?i)(<[\w:.-]{0,40}(?:password|passwd|secret|token|apikey|api-key)>\s{0,9})"
    r"(?!\[masked\])[^<\n]{1,256}(?=</)"
)
# "auth": "dXNlcjpwYXNz" of a registry, _auth of npm, `creds dXNlcjpwYXNz`: base64 of user:password.
_REGISTRY = re.compile(
    r"(?i)(\\?[\"']auth\\?[\"']\s{0,3}:\s{0,3}\\?[\"']|\b_auth[ \t]{0,3}=[ \t]{0,3}[\"']?"
    r"|\b(?:basic[ _-]?auth|cred(?:s|entials?)?|user:pass(?:word)?)\\?[\"']?[ \t]{0,3}[:=]?"
    r"[ \t]{0,3}\\?[\"']?)"
    r"([A-Za-z0-9+/]{6,2000}={0,2})"
)
# key="DbPassword" value="x", as settings in XML and forms in HTML have it; in either order.
_XML_VALUE = rf"(?:\"{_NO_START}[^\"\n]{{1,256}}\"|'{_NO_START}[^'\n]{{1,256}}')"
_XML_NAME = (
    r"\b(?:key|name|id|type)=[\"'][\w.:-]{0,60}?"
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key)[\"']"
)
_ATTRIBUTE = re.compile(
    rf"(?i)((?:{_XML_NAME}|<[\w:.-]{{0,40}}(?:password|passwd|secret|token|apikey"
    rf"|api-key))\s{{1,9}}value=)"
    rf"{_XML_VALUE}"
)
# <entry key="password">x</entry>
_NAMED_ELEMENT = re.compile(
    rf"(?i)(<[\w:.-]{{1,40}}\s{{1,9}}{_XML_NAME}>\s{{0,9}})(?!\[masked\]|[${{%])[^<\n]{{1,256}}"
    rf"(?=</)"
)
_ATTRIBUTE_BEFORE = re.compile(rf"(?i)(\bvalue=){_XML_VALUE}(?=\s{{1,9}}{_XML_NAME})")
# auth=("bob", "x") of requests and httpx, HTTPBasicAuth("bob", "x"); not auth=("basic", "digest").
_PAIR_OF_CODE = re.compile(
    r"(?i)(?<![a-z])((?:(?:basic_?|proxy_?|http_?)?auth|credentials)[ \t]{0,2}=[ \t]{0,2}\(\s{0,9}"
    r"(?![\"'](?:basic|digest|bearer|ntlm|oauth2?|token)[\"'])"
    r"(?:\"[^\"\n]{0,100}\"|'[^'\n]{0,100}'|[\w.]{1,60}),\s{0,9})"
    rf"{_QUOTED_WORD}(?=\s{{0,9}},?\s{{0,9}}\))"
    r"|((?:Basic|Digest)Auth(?:entication)?\(\s{0,9}"
    rf"(?:\"[^\"\n]{{0,100}}\"|'[^'\n]{{0,100}}'|[\w.]{{1,60}}),\s{{0,9}}){_QUOTED_WORD}"
)
# password%3Dx%26n%3D1: a query within an address, encoded once or twice. A count of tokens stays.
_ENCODED = re.compile(
    r"(?i)((?:password|passwd|passphrase|pwd|(?:secret|token|api[_-]?key)"
    r"(?=%(?:25)?3D(?!\d{1,11}(?![\w.+/-]))))%(?:25)?3D)(?!\[masked\])"
    r"(?:(?!%(?:25)?26)[^\s&\"'<>]){1,256}"
)
# A name at the end of a line, its value on the next one, further in: YAML, or a text of code. It
# has a digit or a sign, or stands in quotes: `password:` may begin a section of its own. A path and
# `name=value` are none. What begins with `/` may be base64: of a path the first folder is a word.
_NEXT_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|(?:api|access|secret|private)[_-]?key)"
)
_NO_VALUE = (
    r"(?!(?:[\w.-]{1,60}=[^\s=]|(?:~|\.{1,2}|/[A-Z]?[a-z]{1,12})/[\w./@-]{0,256}$"
    r"|(?:[\w-]{1,60}/){1,20}[\w-]{1,60}(?:\.[a-z]{1,8}){1,3}$))"
)
_ON_NEXT_LINE = re.compile(
    rf"(?im)^([ \t]{{0,40}}(?:- )?[\"']?[\w.-]{{0,40}}?{_NEXT_NAME}[\"']?[ \t]{{0,3}}"
    r"(?::|=|=[ \t]?[(\\])[ \t]{0,3}\r?\n[ \t]{1,60})"
    rf"(?:{_QUOTED_WORD}(?=[,)]{{0,2}}[ \t]{{0,3}}$)"
    rf"|{_NO_START}{_NO_VALUE}(?!(?-i:[A-Z])\w*(?:error|exception|warning)\d{{0,2}}$)"
    rf"(?=[^\s:]{{0,256}}[0-9!@#%^&*+])(?=[^\s:]{{0,256}}[A-Za-z])"
    r"[^\s:\"'(\[\]]{4,256}$)"
)
# `| password | x7 |` of a table, as psql has it; `password  x7` of a list in columns.
_IN_COLUMNS = re.compile(
    rf"(?im)^([ \t]{{0,40}}\|?[ \t]{{0,40}}[\w.-]{{0,40}}?{_NEXT_NAME}"
    r"(?:[ \t]{0,40}\|[ \t]{0,40}|\t[ \t]{0,40}|[ ]{2,40}))"
    r"(?!\[masked\])(?=[^\s|]{0,256}[0-9!@#$%^&*+~])(?=[^\s|]{0,256}[A-Za-z])[^\s|:=(\[]{4,256}"
    r"(?=[ \t]{0,40}(?:\||$))"
)
_KEY_DATA = re.compile(
    r"(?i)(client-key-data\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?)(?!\[masked\])[A-Za-z0-9+/=]{8,}"
)

# A command as a list of its words, as every CalledProcessError prints it: ['curl', '-u', 'bob:x'].
_WORD_OF_COMMAND = r"(?:'[^'\n]{0,300}'|\"[^\"\n]{0,300}\")"
_COMMAND_LIST = re.compile(rf"\[{_WORD_OF_COMMAND}(?:,[ ]?{_WORD_OF_COMMAND}){{1,60}}\]")
_WORDS_OF_LIST = re.compile(_WORD_OF_COMMAND)
# A program and one of its options; of these the password follows.
_PASSWORD_OPTION = re.compile(
    r"(?:sshpass -p|redis-cli -a|sqlcmd -P|mongo\w* -p|ldap\w+ -w|(?:un)?zip -P|openssl -k|twine -p"
    r"|(?:keytool|jarsigner) -\w{0,12}pass"
    r"|\S* --?(?:[a-z]+-){0,3}(?i:password|passwd|passphrase|pass|pwd|token|secret|api-key"
    r"|access-key"
    r"|secret-key|account-key|auth-key|license-key|oauth2-bearer))\Z"
)
_LOGIN_OPTION = re.compile(r"(?:docker|podman|helm|az|oc) -p\Z")
_PAIR_OPTION = re.compile(rf"(?:curl|wget|https?|xh) {_PAIR_OPTIONS}\Z")
_PASSWORD_OF_PAIR = re.compile(r"(?<=:).+", re.DOTALL)
_ATTACHED = re.compile(r"(?:mysql\w*|mariadb[\w-]*) -p.")
_USER_OPTIONS = frozenset(("-u", "-U", "--user", "--username", "--login"))
# Of the programs left out `-p` is a port or a list of ports, and a database follows `mysql -p`.
_PASSWORD_OF_USER = re.compile(
    r"(?!(?:psql|pg_\w+|createdb|dropdb|vacuumdb|ssh|redis-cli|docker|podman|mysql|mariadb|sudo|su"
    r"|useradd) )\S+ -p (?![\d:.-]+\Z)"
)
_NO_PASSWORD = re.compile(r"-|\$[A-Z_]|\Z")


def _mask_command_lists(text: str) -> str:
    return _COMMAND_LIST.sub(_masked_list, text)


def _masked_list(match: re.Match[str]) -> str:
    """The list with a password in it as `[masked]`, in the quotes that stood there."""
    program = match[0][len("['") :].partition(match[0][1])[0].rpartition("/")[2]
    before: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        quote, word = found[0][0], found[0][1:-1]
        shown = _mask_word(program, before, word)
        before.append(word)
        return f"{quote}{shown}{quote}"

    return _WORDS_OF_LIST.sub(replaced, match[0])


def _mask_word(program: str, before: list[str], word: str) -> str:
    """One word of a command, without what is a password in it."""
    if _ATTACHED.match(f"{program} {word}"):
        return f"-p{MASK}"
    if _NO_PASSWORD.match(word) or NO_SECRET.match(word):
        return word
    option = " ".join((program, *before[-1:]))
    if _PAIR_OPTION.match(option):
        return _PASSWORD_OF_PAIR.sub(MASK, word)
    if _PASSWORD_OPTION.match(option) or _is_login(option, before):
        return MASK
    if _is_of_user(f"{option} {word}", before):
        return MASK
    return word


def _is_of_user(option: str, before: list[str]) -> bool:
    """Whether a command has been told a user, so that its `-p` is the password: ['tool', '-u',
    'bob', '-p', 'x'].
    """
    if _USER_OPTIONS.isdisjoint(before):
        return False
    return _PASSWORD_OF_USER.match(option) is not None


def _is_login(option: str, before: list[str]) -> bool:
    return "login" in before and _LOGIN_OPTION.match(option) is not None


# -- in a sentence

# In a sentence: the password is "x". A plain word counts where it ends the sentence and says
# nothing of a password.
_SAID = re.compile(
    r"(?i)(\b(?:password|passphrase|passwd|passwort|passcode|pwd|pw|secret|token|api[ -]?key)[ \t]+"
    r"(?:(?:of|for)[ \t]+(?:the[ \t]+|user[ \t]+)?[^\s:]{1,60}[ \t]+)?"
    r"(?:(?:is|was|ist|has[ \t]+been)(?:[ \t]+now|[ \t]+(?:set|changed|reset)[ \t]+to)?|equals"
    r"|(?:set|changed|reset)[ \t]+to)[ \t]*:?[ \t]+)"
    r"(\"[^\"\n]{1,256}\"|'[^'\n]{1,256}'|`[^`\n]{1,256}`|[^\s\"'`]{1,256})(?=[ \t]*(\S?))"
)
# login failed for admin with password hunter2x: a digit or a sign, and no name of a method, version
# of one ("auth-v2", "policy-2024") or other assignment ("grant_type=password").
_SAID_WITH = re.compile(
    r"(?i)(\b(?:with|using|and|by)[ \t]+(?:the[ \t]+|its[ \t]+|my[ \t]+)?"
    r"(?:password|passphrase|passwd|passwort|pwd)[ \t]+)"
    r"(?!\[masked\]|scram|md5|sha|argon|bcrypt|pbkdf"
    r"|[a-z_]{1,40}=|(?:auth\w*|policy|policies|grant|flow|login|reset|rotation|rule|scheme"
    r"|method|hash\w*|type|format|version|protocol|provider|backend|manager|strength|length"
    r"|age|expiry)[-_./]?v?\d)"
    r"(?=[^\s\"']{0,256}[0-9!@#$^&*+=~])([^\s\"'`/.({<%[$*-][^\s\"'`]{4,255})"
)
_SAYS_NOTHING = re.compile(
    r"(?i)(?:required|invalid|missing|expired|incorrect|wrong|empty|unset|set|correct|valid"
    r"|hidden|masked|unknown|secret"
    r"|optional|ignored|used|stored|given|known|none|null|short|long|weak|strong|ok|okay|here"
    r"|there|needed|changed|reset"
    r"|encrypted|hashed|revoked|rejected|accepted|refused|public|private|absent|present|blank|bad"
    r"|stale|old|new|it|this"
    r"|that|not|too|a|an|the|being|now|still|already|only|never|always|no|in|on|at|by|from|to|for"
    r"|read|taken|leaked)\Z"
)
# password for user bob: x7, password of bob = x7, password -> x7, password x7 was rejected; the
# value has a digit or a sign.
_WITH_A_SIGN = (
    r"(?=[^\s\"']{0,256}[0-9!@#$^&*+=~])(?!\[masked\])[^\s\"'`/.(:{<%[$*-][^\s\"'`]{4,255}"
)
_SAID_FOR = re.compile(
    r"(?i)(\b(?:password|passphrase|passwd|passwort|passcode|pwd)[ \t]+(?:(?:of|for)[ \t]+"
    r"(?:the[ \t]+|user[ \t]+)?"
    rf"\S{{1,100}}?[ \t]{{0,3}}[:=]|->|→)[ \t]{{1,3}}){_WITH_A_SIGN}"
    rf"|(\b(?:password|passphrase|passwd|passwort)[ \t]+){_WITH_A_SIGN}"
    r"(?=[ \t]+(?:was|is|has[ \t]+been)[ \t]+(?:rejected|refused|invalid|incorrect|wrong|denied"
    r"|accepted|expired|revoked))"
)
# changed the password from x7 to y8
_SAID_CHANGED = re.compile(
    r"(?i)(\bpassword[^\n\"']{0,40}?\bfrom[ \t]+)(\S{1,256})([ \t]+to[ \t]+)([^\s,;.]{1,256})"
)
# In a message: incorrect password 'x', password 'x' was rejected, password authentication failed
# (tried 'x').
_QUOTED_SAID = re.compile(
    r"(?i)(\b(?:incorrect|wrong|invalid|bad|rejected|expired|unknown)[ \t]{1,3}"
    r"(?:password|passphrase|passwd|pwd|token|secret|api[ -]?key)[ \t]{0,3}:?[ \t]{1,3}"
    r"|\b(?:password|passphrase|passwd|pwd|token|secret|api[ -]?key)[ \t]+"
    r"(?=(?:\"[^\"\n]{1,256}\"|'[^'\n]{1,256}'|`[^`\n]{1,256}`)[ \t]+(?:was|is|has been|did|does)["
    r" \t]+(?:not[ \t]+)?"
    r"(?:rejected|refused|invalid|incorrect|wrong|denied|accepted|expired|revoked|match|leaked"
    r"|correct))"
    r"|\bpassword[^\n\"']{0,60}\((?:tried|used|got|given|was)[ \t]*:?[ \t]+)"
    r"(\"[^\"\n]{1,256}\"|'[^'\n]{1,256}'|`[^`\n]{1,256}`)"
)
_NAME_OF_CODE = re.compile(r"[A-Za-z_]+(?:[.-][A-Za-z_]+)*\Z")
_HAS_LETTERS = re.compile(r"\w{3}")


def _mask_quoted(text: str) -> str:
    return _QUOTED_SAID.sub(_masked_quoted, text)


def _masked_quoted(match: re.Match[str]) -> str:
    """A parser's token is code: a word or a sign. What a person calls a password may be a word as
    well.
    """
    before, quote, inner = match[1], match[2][0], match[2][1:-1]
    is_code = re.search(r"(?i)token|secret|key", before) and _NAME_OF_CODE.match(inner)
    if (
        is_code
        or not _HAS_LETTERS.search(inner)
        or NO_SECRET.match(inner)
        or _SAYS_NOTHING.match(inner)
    ):
        return match[0]
    return f"{before}{quote}{MASK}{quote}"


_SIGNS = re.compile(r"[^A-Za-z'’,.;:!?)(-]")


def _mask_said(text: str) -> str:
    told = _SAID_WITH.sub(_masked_with, _SAID.sub(_masked_sentence, text))
    told = _masks_group(_SAID_FOR)(told)
    return _SAID_CHANGED.sub(_masked_change, told)


def _masked_change(match: re.Match[str]) -> str:
    """Both, the old one and the new one; a word of the sentence stays."""
    return match[1] + _mask_with_a_sign(match[2]) + match[3] + _mask_with_a_sign(match[4])


def _mask_with_a_sign(value: str) -> str:
    bare = value.strip("'\"`")
    if not _SIGNS.search(bare) or NO_SECRET.match(bare):
        return value
    return value.replace(bare, MASK)


def _masked_with(match: re.Match[str]) -> str:
    """The punctuation of a sentence stays, and so does a placeholder."""
    bare = match[2].rstrip(".,;:!?)")
    if not bare or NO_SECRET.match(bare) or CODE.match(bare):
        return match[0]
    return f"{match[1]}{MASK}{match[2][len(bare) :]}"


def _masked_sentence(match: re.Match[str]) -> str:
    value, following = match[2], match[3]
    bare = value.rstrip(".,;:!?)")
    if value[0] in "\"'`":
        inner = value[1:-1]
        if NO_SECRET.match(inner):
            return match[0]
        return f"{match[1]}{value[0]}{MASK}{value[-1]}"
    if not bare or any(form.match(bare) for form in (NO_SECRET, CODE, _SAYS_NOTHING)):
        return match[0]
    # "a parser's token is code: a word" goes on.
    ends_here = (bare != value and value[-1] != ":") or following in ("", "\n")
    if not _SIGNS.search(bare) and not ends_here:
        return match[0]
    return f"{match[1]}{MASK}{value[len(bare) :]}"


def _mask_registry(text: str) -> str:
    return _REGISTRY.sub(_masked_registry, text)


def _masked_registry(match: re.Match[str]) -> str:
    """Only what is the base64 of a name and a password: `"auth": "optional"` is none."""
    try:
        plain = base64.b64decode(match[2] + "=" * (-len(match[2]) % 4), validate=True)
    except ValueError:
        return match[0]
    is_pair = b":" in plain and plain.isascii()
    if is_pair:
        return match[1] + MASK
    return match[0]


def _masks_group(pattern: re.Pattern[str]) -> Callable[[str], str]:
    """Keeps what stands before the secret, in whichever group that is, and the quotes around it."""

    def replaced(match: re.Match[str]) -> str:
        before = next(group for group in match.groups() if group is not None)
        value = match[0][len(before) :]
        is_quoted = len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]
        if is_quoted:
            return f"{before}{value[0]}{MASK}{value[0]}"
        return before + MASK

    return lambda text: pattern.sub(replaced, text)


def _masks_all(pattern: re.Pattern[str], replacement: str = MASK) -> Callable[[str], str]:
    return lambda text: pattern.sub(replacement, text)


# -- what somebody else has cut short: password 'open ses...

_CUT = re.compile(r"\.{3}|…")
_QUOTES = ("'", '"')
# Characters before a cut that are looked at: a name, and what of its value is left.
_LOOKED_BACK = 400
# What may have stood behind the end of a quotation.
_ENDINGS = ("", " was rejected")
# Where providers' tokens begin; their forms are known by a length that a cut one has no more.
_CUT_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_])((?:AKIA|ASIA|AIza|ya29\.|GOCSPX-|gh[pousr]_|github_pat_|gl[a-z]{2,6}-"
    r"|npm_|pypi-|hf_|[srp]k_(?:live|test)_|whsec_|xox[a-z]-|xapp-|SG\.|shp(?:at|ss|ca|pa)_|dapi"
    r"|eyJ)"
    r"[\w.=+/-]{3,256}?)(?=\.{3}|…)"
)


def _mask_cut(text: str) -> str:
    """What stands before a cut is read as if its quotation ended there."""
    if not _CUT.search(text):
        return text
    lines = _CUT_TOKEN.sub(MASK, text).split("\n")
    return "\n".join(map(_mask_cut_line, lines))


def _mask_cut_line(line: str) -> str:
    """Each piece by itself, and no more than the last characters of one: a line may be long."""
    told: list[str] = []
    at = 0
    for cut in _CUT.finditer(line):
        begin = max(at, cut.start() - _LOOKED_BACK)
        told += (line[at:begin], _mask_open_quotation(line[begin : cut.start()]), cut[0])
        at = cut.end()
    return "".join((*told, line[at:]))


def _mask_open_quotation(head: str) -> str:
    """`password 'open ses` -> `password '[masked]`."""
    for quote in _QUOTES:
        if head.count(quote) % 2 == 0:
            continue
        for ending in _ENDINGS:
            closed = f"{head}{quote}{ending}"
            masked = closed
            for rule in _OF_QUOTATIONS:
                masked = rule(masked)
            if masked != closed and masked.endswith(f"{MASK}{quote}{ending}"):
                return masked.removesuffix(f"{quote}{ending}")
    return head


_OF_QUOTATIONS: tuple[Callable[[str], str], ...] = (
    _masks_group(_QUOTED_PAIR),
    _masks_group(_COMMAND_LINE),
    _masks_group(_OPTION),
    mask_named,
    _mask_said,
    _mask_quoted,
)


_RULES_OF_PLAIN_TEXT: tuple[Callable[[str], str], ...] = (
    _mask_private_keys,
    _mask_cut,
    _masks_all(_URL_CREDENTIALS, f"{MASK}@"),
    _masks_all(_URL_TOKEN, f"{MASK}@"),
    _masks_group(_PAIR_AT_HOST),
    _masks_group(_URL_SIGNED),
    _masks_all(_WEBHOOK),
    _masks_all(_KNOWN_TOKENS),
    _masks_all(_AUTHORIZATION, rf"\1\2{MASK}"),
    _masks_all(_COOKIE, rf"\1{MASK}"),
    _masks_group(_SESSION),
    _masks_all(_BEARER, rf"\1{MASK}"),
    _mask_command_lists,
    _masks_group(_QUOTED_PAIR),
    _masks_group(_COMMAND_LINE),
    _masks_group(_FURTHER_COMMANDS),
    _masks_group(_PIPED),
    _masks_group(_DIRECTORY),
    _masks_group(_ORACLE),
    _masks_group(_REDIS_AUTH),
    _masks_group(_SQL_PASSWORD),
    _masks_group(_IDENTIFIED_BARE),
    mask_inserted,
    _masks_group(_OPTION),
    _masks_group(_SETTING_LINE),
    _masks_group(_PASSIN),
    _masks_group(_NETRC),
    _masks_group(_PGPASS),
    _masks_group(_ELEMENT),
    _masks_group(_ATTRIBUTE),
    _masks_group(_ATTRIBUTE_BEFORE),
    _masks_group(_NAMED_ELEMENT),
    _masks_group(_PAIR_OF_CODE),
    _masks_group(MEMBERS_OF_NAME_AND_VALUE),
    mask_pairs,
    mask_arguments,
    mask_compared,
    _masks_group(_ENCODED),
    _masks_group(_ON_NEXT_LINE),
    _masks_group(_IN_COLUMNS),
    _mask_registry,
    _masks_group(_KEY_DATA),
    mask_named,
    _mask_said,
    _mask_quoted,
)
_RULES = (*_RULES_OF_PLAIN_TEXT, _mask_encoded_texts)
