"""Which broker an address such as redis:// or a name such as REDIS_URL says, near a word such as
"broker".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

_SCHEMES = {
    **dict.fromkeys(
        ("redis", "rediss", "valkey", "valkeys", "sentinel", "redis-socket", "unix"), "redis"
    ),
    **dict.fromkeys(("amqp", "amqps", "pyamqp", "librabbitmq"), "rabbitmq"),
    **dict.fromkeys(("sqs",), "sqs"),
    **dict.fromkeys(("memory",), "memory"),
    **dict.fromkeys(("filesystem",), "filesystem"),
    **dict.fromkeys(("confluentkafka", "kafka"), "kafka"),
    **dict.fromkeys(("sqla", "sqlalchemy", "db"), "sqlalchemy"),
    **dict.fromkeys(("mongodb",), "mongodb"),
    **dict.fromkeys(("azureservicebus",), "azureservicebus"),
    **dict.fromkeys(("gcpubsub",), "gcpubsub"),
}
_ADDRESS = re.compile(rf"(?i)\b({'|'.join(_SCHEMES)})(?:\+\w+)?://")
_HINT = re.compile(r"(?i)redis|rabbit|amqp|sqs|valkey")
# Characters after the word in which its address stands, over at most four lines.
_NEAR = 300
_LINES = 4
# Mentions of the word in one file; more is data.
_MANY = 200
_HINTED = {
    "redis": "redis",
    "valkey": "redis",
    "rabbit": "rabbitmq",
    "amqp": "rabbitmq",
    "sqs": "sqs",
}


def find_broker(text: str, word: str) -> tuple[str, int] | None:
    """(broker, line) from an address near the word, else from a name such as REDIS_URL beside
    it.
    """
    if word not in text.lower():
        return None
    plain = re.sub(r"(?m)^[ \t]*#.*$", "", text)
    mentions = [found.end() for found in islice(re.finditer(f"(?i){word}", plain), _MANY)]
    return _find_first(plain, mentions, _read_address) or _find_first(plain, mentions, _read_hint)


def _find_first(
    text: str, mentions: list[int], judge: Callable[[str], str | None]
) -> tuple[str, int] | None:
    for end in mentions:
        broker = judge(text[end : end + _NEAR])
        if broker:
            return broker, text.count("\n", 0, end) + 1
    return None


def _read_address(near: str) -> str | None:
    found = _ADDRESS.search("\n".join(near.split("\n")[:_LINES]))
    # `url.startswith("redis://")` asks for an address and gives none.
    if not found or "startswith" in near[: found.start()]:
        return None
    return _SCHEMES[found[1].lower()]


def _read_hint(near: str) -> str | None:
    line = near.split("\n")[0].partition("#")[0]
    assigned = re.search(r"[=:(]", line)
    found = None
    if assigned:
        found = _HINT.search(line, assigned.end())
    if not found:
        return None
    return _HINTED[found[0].lower()]
