"""A storage for Huey: the driver is handed what is enqueued; locks, results and revocations are
files in the scratch folder, which outlive a killed process and not a schedule.

Runs in the zygote, beside the driver.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huey.constants import EmptyData
from huey.storage import BaseStorage, MemoryStorage, RedisStorage

from ...probe.driver import Probe


class Storage(BaseStorage):
    """Hands on what is enqueued, and keeps the rest in files that other processes of the
    proof see.
    """

    blocking = True

    def __init__(self, probe: Probe, instance: Any, send: Callable[[Any, bytes], None]) -> None:
        super().__init__(instance.name)
        self.probe, self.huey, self.send = probe, instance, send
        self.waiting: list[bytes] = []
        self.hold: list[bytes] | None = None
        self.frozen = False
        name = hashlib.sha256(str(instance.name).encode()).hexdigest()[:16]
        self.folder = Path(probe.settings["scratch"]) / ".huey" / name
        self.real: Any = None
        self.alive: Any = None  # the file that tells other workers of this one, once it has begun

    def __getattr__(self, name: str) -> Any:
        """What only the repository's own storage has, such as its connection."""
        if name.startswith("__") or "huey" not in vars(self):
            raise AttributeError(name)
        if self.real is None:
            self.real = self.huey.get_storage(**self.huey.storage_kwargs)
        return getattr(self.real, name)

    # -- the queue

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        if self.hold is not None:
            self.hold.append(data)
        else:
            self.send(self.huey, data)

    def add_to_schedule(self, data: bytes, ts: datetime.datetime, *_: Any) -> None:
        self.send(self.huey, data)

    def dequeue(self) -> bytes | None:
        if self.waiting:
            return self.waiting.pop(0)
        return None

    def queue_size(self) -> int:
        return len(self.waiting)

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self.waiting[:limit]

    def flush_queue(self) -> None:
        self.waiting.clear()

    def read_schedule(self, ts: datetime.datetime) -> list[bytes]:
        return []

    def schedule_size(self) -> int:
        return 0

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return []

    def flush_schedule(self) -> None: ...

    # -- locks, results, revocations: a file each, "until when|value"

    @contextlib.contextmanager
    def lock_file(self, key: Any) -> Iterator[Path]:
        """The file of a key, while no other process has any. The library's work, not the
        handler's.
        """
        if isinstance(key, bytes):
            name = key
        else:
            name = str(key).encode()
        with self.probe.recorder.quiet():
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "mutex", "ab") as mutex:
                fcntl.flock(mutex, fcntl.LOCK_EX)
                yield self.folder / hashlib.sha256(name).hexdigest()

    def put_data(self, key: Any, value: bytes, is_result: bool = False) -> None:
        with self.lock_file(key) as path:
            _write_value(path, value)

    def peek_data(self, key: Any) -> Any:
        with self.lock_file(key) as path:
            return _read_value(path)

    def pop_data(self, key: Any) -> Any:
        with self.lock_file(key) as path:
            found = _read_value(path)
            if not self.frozen:
                path.unlink(missing_ok=True)
            return found

    def has_data_for_key(self, key: Any) -> bool:
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: Any, value: bytes, ttl: float | None = None) -> bool:
        ttl = self._check_ttl(ttl)
        with self.lock_file(key) as path:
            if _read_value(path) is not EmptyData:
                return False
            _write_value(path, value, ttl)
            return True

    def _check_ttl(self, ttl: float | None) -> float | None:
        """As the repository's own storage: Redis forgets in time, memory never, and the others
        refuse.
        """
        kind = self.huey.storage_class
        if ttl is None or not isinstance(kind, type) or issubclass(kind, RedisStorage):
            return ttl
        if issubclass(kind, MemoryStorage):
            return None
        raise NotImplementedError("ttl is not supported by this storage.")

    def incr(self, key: Any, amount: int = 1) -> int:
        with self.lock_file(f"counter:{key}") as path:
            found = _read_value(path)
            count = amount
            if found is not EmptyData:
                count += int(found)
            _write_value(path, str(count).encode())
            return count

    def delete_counter(self, key: Any) -> None:
        self.pop_data(f"counter:{key}")

    def result_store_size(self) -> int:
        return 0

    def result_items(self) -> dict[str, bytes]:
        return {}

    def flush_results(self) -> None: ...

    def flush_counters(self) -> None: ...

    def others_alive(self) -> bool:
        """Whether another delivery is at work; from now on this one is, until its process ends."""
        with self.lock_file("alive") as path:
            others = any(_is_locked(other) for other in path.parent.glob("alive.*"))
            self.alive = open(path.with_name(f"alive.{os.getpid()}"), "ab")
            fcntl.lockf(self.alive, fcntl.LOCK_EX)
            return others


def _write_value(path: Path, value: bytes, ttl: float | None = None) -> None:
    until = b""
    if ttl is not None:
        until = str(time.time() + ttl).encode()
    path.write_bytes(until + b"|" + value)


def _read_value(path: Path) -> Any:
    """The value, or EmptyData where there is none or its time is over."""
    try:
        until, _, value = path.read_bytes().partition(b"|")
    except FileNotFoundError:
        return EmptyData
    if until and float(until) <= time.time():
        return EmptyData
    return value


def _is_locked(path: Path) -> bool:
    """Whether another process holds a file; a lock ends with the process, before skillrun hears of
    its end.
    """
    with open(path, "ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
