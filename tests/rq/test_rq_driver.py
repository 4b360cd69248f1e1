"""The driver of RQ with other versions of the Redis client."""

from __future__ import annotations

from typing import Any

import pytest
from redis.connection import UnixDomainSocketConnection

from skillrun.frameworks.rq.driver import OLDEST, list_quiet_options
from skillrun.probe import names


class Of5:
    def __init__(self, path: str = "", **kwargs: Any) -> None: ...


class Abstract5(Of5):
    def __init__(
        self, db: int = 0, protocol: int = 2, lib_name: str = "", lib_version: str = ""
    ) -> None: ...


class Abstract7(Of5):
    def __init__(
        self, db: int = 0, protocol: int = 3, driver_info: Any = None, lib_name: str = ""
    ) -> None: ...


class Of4:
    def __init__(self, path: str = "", db: int = 0) -> None: ...


def test_a_connection_is_told_to_say_nothing_in_the_words_of_its_version() -> None:
    assert list_quiet_options(Of4) == {}
    assert list_quiet_options(Abstract5) == {"protocol": 2, "lib_name": None, "lib_version": None}
    assert list_quiet_options(Abstract7) == {"protocol": 2, "driver_info": None}
    assert list_quiet_options(UnixDomainSocketConnection)["protocol"] == 2


def test_an_rq_that_nobody_tried_is_said() -> None:
    for known in ("1.14.0", "2.0", "10.0.1"):
        names.check_version("RQ", known, OLDEST)
    with pytest.raises(
        names.NotThere, match=r"RQ 1\.13\.0 is too old: the proof knows RQ from 1\.14 on"
    ):
        names.check_version("RQ", "1.13.0", OLDEST)
