"""Taskiq on Redis: streams, lists, and the schedules in which retries wait."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.common.redis_broker import RedisBroker

_NEXT = {
    "task_id": "another",
    "task_name": "skillrun:another",
    "labels": {},
    "args": [],
    "kwargs": {},
}


class TaskiqBroker(RedisBroker):
    """What a worker has is pending in its consumer group; only after a next message somebody looks
    for that.
    """

    QUEUE = re.compile(r"(?!.*:(?:time:.*|cron|interval)$)(.+)")
    WAITS = re.compile(r".+:data:[^:]+")  # a schedule
    STREAM = re.compile(r"(?s).+")
    ALONE = True

    def _list_streams(self) -> list[str]:
        return [key for key, _ in self.find_keys(self.STREAM, b"stream")]

    def _list_groups(self) -> Iterator[tuple[str, str, str]]:
        """(stream, group, the last id that was given to a worker)."""
        for stream in self._list_streams():
            groups: Any = self.redis.call("XINFO", "GROUPS", stream)
            for group in groups:
                told = dict(zip(group[::2], group[1::2], strict=True))
                yield stream, told[b"name"].decode(), told[b"last-delivered-id"].decode()

    def _list_new(self) -> Iterator[tuple[str, list[bytes]]]:
        """(stream, fields) of the messages that no worker was given."""
        for stream, _, last in self._list_groups():
            entries: Any = self.redis.call("XRANGE", stream, f"({last}", "+")
            for _, fields in entries:
                yield stream, fields

    def _list_pending(self) -> Iterator[tuple[str, str, Any]]:
        """(stream, group, [id, consumer, idle ms, times]) of what a worker has."""
        for stream, group, _ in self._list_groups():
            entries: Any = self.redis.call("XPENDING", stream, group, "-", "+", 1000)
            for entry in entries:
                yield stream, group, entry

    def count_waiting(self) -> int:
        scheduled = []
        for key in self.read_kinds():
            if self.WAITS.fullmatch(key):
                scheduled.append(key)
        in_streams = [*self._list_new(), *self._list_pending()]
        return super().count_waiting() + len(scheduled) + len(in_streams)

    def list_queues(self) -> list[str]:
        return sorted({*super().list_queues(), *self._list_streams()})

    def remember_waiting(self) -> None:
        super().remember_waiting()
        self.kept += [("XADD", stream, "*", *fields) for stream, fields in self._list_new()]

    def lose_messages(self) -> None:
        groups = list(self._list_groups())
        super().lose_messages()
        for stream, group, _ in groups:
            self.redis.call("XGROUP", "CREATE", stream, group, "0", "MKSTREAM")

    def pass_time(self, seconds: float) -> None:
        """And another message comes: without one nobody claims what is pending."""
        super().pass_time(seconds)
        touched = set()
        for stream, group, (id_, consumer, idle, _) in list(self._list_pending()):
            older = int(idle) + round(seconds * 1000)
            self.redis.call("XCLAIM", stream, group, consumer, 0, id_, "IDLE", older, "JUSTID")
            touched.add(stream)
        for stream in touched:
            self.redis.call("XADD", stream, "*", "data", json.dumps(_NEXT))
