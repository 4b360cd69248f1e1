"""Finds Celery command lines and brokers in files that start processes: Procfile, compose, systemd,
scripts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from skillrun.frameworks.common.joining import whole_command

_WORD = re.compile(r"[^\s\"'`,\[\]()]+")
_PROGRAM = re.compile(r"(?:[\w-]+=)?(?:[^-=][^=]*/)?celery")  # /opt/venv/bin/celery, command=celery
_COMMENT = ("#", "//", ";")
_JOINED = 24  # lines of a command that is written as a list, one word a line
_MODES = ("worker", "beat", "multi")

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
_NEAR = (
    300  # characters after the word "broker" in which its address stands, over at most four lines
)
_MANY = 200  # mentions of a broker in one file; more is data
_HINTED = {
    "redis": "redis",
    "valkey": "redis",
    "rabbit": "rabbitmq",
    "amqp": "rabbitmq",
    "sqs": "sqs",
}


@dataclass(frozen=True)
class Launch:
    """A command line that starts Celery: mode worker, beat or multi; `app` is the value of -A as
    written.
    """

    line: int
    mode: str
    app: str | None
    beat: bool
    text: str


def find_launches(text: str) -> Iterator[Launch]:
    """Every Celery command line of a file; comments are left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "celery" in line and not line.lstrip().startswith(_COMMENT):
            launch = _launch(number, line, _whole(lines, number))
            if launch:
                yield launch


def _whole(lines: list[str], number: int) -> str:
    """The command that begins in a line, with backslashes and one-word-a-line lists joined."""
    listed = (
        re.match(r"\s*- [\"']?(?:\S*/)?(?:celery|python3?)[\"']?\s*$", lines[number]) is not None
    )
    return whole_command(lines, number, _JOINED, listed=listed)


def _launch(number: int, line: str, whole: str) -> Launch | None:
    words = _WORD.findall(whole)
    start = next((at for at, word in enumerate(words) if _PROGRAM.fullmatch(word)), None)
    if start is None:
        return None
    rest = words[start + 1 : start + 40]
    mode = next((word.rstrip(";") for word in rest if word.rstrip(";") in _MODES), None)
    if mode is None:
        return None
    beat = mode == "beat" or "-B" in rest or "--beat" in rest
    return Launch(number + 1, mode, _app_value(words[start + 1 :]), beat, line.strip())


def _app_value(words: list[str]) -> str | None:
    for at, word in enumerate(words[:20]):
        if word in ("-A", "--app") and at + 1 < len(words):
            return words[at + 1]
        if word.startswith("--app="):
            return word.removeprefix("--app=")
        if word.startswith("-A") and len(word) > 2:
            return word[2:].removeprefix("=")
    return None


def find_broker(text: str) -> tuple[str, int] | None:
    """(broker, line) from an address near the word "broker", else from a name such as REDIS_URL
    beside it.
    """
    plain = re.sub(r"(?m)^[ \t]*#.*$", "", text)
    mentions = [found.end() for found in islice(re.finditer(r"(?i)broker", plain), _MANY)]
    return _first(plain, mentions, _address) or _first(plain, mentions, _hint)


def _first(
    text: str, mentions: list[int], judge: Callable[[str], str | None]
) -> tuple[str, int] | None:
    for end in mentions:
        broker = judge(text[end : end + _NEAR])
        if broker:
            return broker, text.count("\n", 0, end) + 1
    return None


def _address(near: str) -> str | None:
    found = _ADDRESS.search("\n".join(near.split("\n")[:4]))
    if not found or "startswith" in near[: found.start()]:
        return None
    return _SCHEMES[found[1].lower()]


def _hint(near: str) -> str | None:
    line = near.split("\n")[0].partition("#")[0]
    assigned = re.search(r"[=:(]", line)
    found = _HINT.search(line, assigned.end()) if assigned else None
    return _HINTED[found[0].lower()] if found else None
