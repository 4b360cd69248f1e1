"""The probe of RQ with other versions of the Redis client."""

from __future__ import annotations

from typing import Any

from redis.connection import UnixDomainSocketConnection

from skillrun.frameworks.rq.probe import quiet


class Of5:
    def __init__(self, path: str = "", **kwargs: Any) -> None: ...


class Abstract5(Of5):
    def __init__(self, db: int = 0, protocol: int = 2, lib_name: str = "", lib_version: str = "") -> None: ...


class Of4:
    def __init__(self, path: str = "", db: int = 0) -> None: ...


def test_a_connection_is_told_to_say_nothing_in_the_words_of_its_version() -> None:
    assert quiet(Of4) == {}
    assert quiet(Abstract5) == {"protocol": 2, "lib_name": None, "lib_version": None}
    assert quiet(UnixDomainSocketConnection) == {"protocol": 2, "driver_info": None}
