"""The lines of a file that start a worker, of every library."""

from __future__ import annotations

import re
from functools import cache

from skillrun.frameworks.known.launchers import Start, find_starts
from skillrun.frameworks.known.recognise import KnownRecogniser
from skillrun.frameworks.registry import recognisers

# `--queue-name` is that of Django's tasks.
_QUEUE_OPTIONS = ("-Q", "--queues", "-q", "--queue", "--queue-name")


def list_starts(path: str, text: str | None) -> list[Start]:
    """In the order of the lines."""
    return list(find_starts(path, text or "", _list_commands()))


@cache
def _list_commands() -> tuple[str, ...]:
    """The command lines that start a worker, of all libraries."""
    found: list[str] = []
    for recogniser in recognisers():
        if isinstance(recogniser, KnownRecogniser):
            found += recogniser.starts
    return tuple(dict.fromkeys(found))


def read_options(start: Start) -> dict[str, tuple[str, ...]]:
    """Returns each option of a start -> the words that follow it: ("-Q", "mail") -> "-Q":
    ("mail",). A word with a dot is a setting that is given on the command line, and counts as an
    option.
    """
    options: dict[str, tuple[str, ...]] = {}
    name = ""
    for word in start.words[1:]:
        if word.startswith("-") or "." in word:
            name = word
            options[name] = ()
        elif name:
            options[name] = (*options[name], word)
    return options


def read_queue_names(start: Start) -> list[str]:
    """The names of the queues on a command line: "mail" and "sms" of `celery worker -Q mail,sms`,
    "high" of `rq worker high`.
    """
    options = read_options(start)
    words: list[str] = []
    for name in _QUEUE_OPTIONS:
        words += options.get(name, ())
    if start.words[0].endswith(("rq", "rqworker")):
        # RQ takes its queues without an option, behind the sub-command `worker`.
        for word in start.words[1:]:
            if not word.startswith(("-", "worker")):
                words.append(word)
    names: list[str] = []
    for word in words:
        names += filter(None, re.split(r"[,\s]", word))
    return names
