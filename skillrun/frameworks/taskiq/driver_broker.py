"""What a taskiq broker does with its messages, as its own code says: whether it acknowledges them,
reads a delay, and gives back the message of a worker that died.

Runs in the zygote, beside the driver.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

from taskiq import AsyncBroker, InMemoryBroker

_IN_MEMORY = "the queue is a worker's own memory: a job whose process dies is lost"
_UNACKED = "{name} acknowledges nothing: a job whose worker dies is lost"
_NEVER_CLAIMED = "{name} claims nothing that a dead worker did not acknowledge: its job is lost"
_EARLY = "acknowledged before it runs (ack_type when_received): a worker that dies loses it"
_STREAM = (
    "the message of a worker that dies stays pending, and is claimed by a worker when it was idle for {idle:g} s and "
    "another message has come after it: in a quiet stream it waits; no death counts as an attempt"
)
_ACKED = "a worker that dies gives the message back; that counts as no attempt"
# Milliseconds, where a broker says nothing else.
_IDLE_MS = 1000


def is_early(labels: dict[str, Any]) -> bool:
    """Whether a message is acknowledged before its task runs."""
    asked = labels.get("ack_type")
    return str(getattr(asked, "value", asked)).lower() == "when_received"


class BrokerCode:
    """The functions of a broker's class."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.functions = list(_list_functions(type(broker)))

    @functools.cached_property
    def can_acknowledge(self) -> bool:
        """Whether its messages can be acknowledged: then its own code makes such messages."""
        return self._has_word("AckableMessage")

    @functools.cached_property
    def gives_back(self) -> bool:
        """Whether the message of a worker that died is delivered again."""
        # Redis streams: by who claims what is pending; the brokers for a cluster and for sentinels
        # do not.
        is_left_pending = self._has_word("xreadgroup") and not self._has_word("xautoclaim")
        # PostgreSQL: a NOTIFY is sent once.
        is_sent_once = self._has_word("add_listener")
        return self.can_acknowledge and not is_left_pending and not is_sent_once

    @property
    def redelivery_s(self) -> float:
        """Seconds until the message of a dead worker may be claimed; other brokers see its
        connection go.
        """
        return float(getattr(self.broker, "idle_timeout", _IDLE_MS)) / 1000

    def comes_back(self, labels: dict[str, Any]) -> bool:
        """Whether that of a worker that dies, with these labels, is delivered again."""
        return self.gives_back and not is_early(labels)

    def describe_death(self, labels: dict[str, Any]) -> str:
        """What becomes of a message whose worker dies."""
        if isinstance(self.broker, InMemoryBroker):
            return _IN_MEMORY
        name = type(self.broker).__name__
        if not self.can_acknowledge:
            return _UNACKED.format(name=name)
        if not self.gives_back:
            return _NEVER_CLAIMED.format(name=name)
        if is_early(labels):
            return _EARLY
        if hasattr(self.broker, "idle_timeout"):
            return _STREAM.format(idle=self.redelivery_s)
        return _ACKED

    def read_delay(self, labels: dict[str, Any]) -> float:
        """The label `delay`, where the broker reads it: those of taskiq-redis, ZeroMQ and memory do
        not.
        """
        if "delay" not in labels or not self._has_word("delay"):
            return 0.0
        return max(0.0, float(labels["delay"] or 0.0))

    def _has_word(self, word: str) -> bool:
        return any(_has_name(function, word) for function in self.functions)


def _list_functions(kind: type) -> Iterator[Any]:
    """Of a broker's class and its bases, up to taskiq's own."""
    for base in kind.__mro__[: kind.__mro__.index(AsyncBroker)]:
        for value in vars(base).values():
            if isinstance(value, types.FunctionType):
                yield value


def _has_name(function: Any, word: str) -> bool:
    """Whether a function's code names something."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if word in code.co_names or word in code.co_consts:
            return True
        codes += [one for one in code.co_consts if isinstance(one, types.CodeType)]
    return False
