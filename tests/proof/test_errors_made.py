"""Injected errors are made as their classes want it, and can be logged; what nobody can guess is
said.
"""

from __future__ import annotations

import pytest

from skillrun.probe.names import NotThere, make_error


@pytest.mark.parametrize(
    "path",
    [
        "TimeoutError",
        "KeyError",
        "urllib.error:URLError",
        "sqlalchemy.exc:OperationalError",
        "redis.exceptions:ConnectionError",
        "psycopg:OperationalError",
        "django.db.utils:OperationalError",
    ],
)
def test_an_error_can_be_logged(path: str) -> None:
    assert "injected by skillrun" in str(make_error(path, []))


def test_arguments_are_taken_as_given() -> None:
    assert make_error("OSError", [28, "full"]).args == (28, "full")


@pytest.mark.parametrize(
    "path", ["urllib.error:HTTPError", "subprocess:CalledProcessError", "UnicodeDecodeError"]
)
def test_what_a_handler_may_decide_by_is_not_made_up(path: str) -> None:
    with pytest.raises(NotThere, match="cannot be made without arguments"):
        make_error(path, [])


def test_what_is_no_exception_is_said() -> None:
    with pytest.raises(NotThere, match="os:getcwd is no exception"):
        make_error("os:getcwd", [])
