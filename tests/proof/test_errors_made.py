"""Injected errors are made as their classes want it, and can be logged; what nobody can guess is
said.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from skillrun.probe.names import NotThere, make_error, make_ordered_error


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


@pytest.mark.parametrize("path", ["httpx:HTTPStatusError", "requests:HTTPError"])
def test_a_response_may_be_described(path: str) -> None:
    pytest.importorskip(path.partition(":")[0])
    response = {"http": {"status": 429, "headers": {"Retry-After": "30"}}}
    for kwargs in ({"response": response}, response):
        error: Any = make_error(path, [], kwargs)
        assert error.response.status_code == 429
        assert error.response.headers["Retry-After"] == "30"
        assert "429" in str(error)


@pytest.mark.parametrize("path", ["httpx:HTTPStatusError", "requests:HTTPError"])
def test_an_error_about_a_status_has_its_response(path: str) -> None:
    """The client makes none without, and who handles one asks for the status."""
    pytest.importorskip(path.partition(":")[0])
    error: Any = make_error(path, [])
    assert error.response.status_code == 503


def test_keyword_arguments_are_taken_as_given() -> None:
    error = make_error("subprocess:CalledProcessError", [], {"returncode": 3, "cmd": "x"})
    assert (error.returncode, error.cmd) == (3, "x")  # type: ignore[attr-defined]


def test_a_factory_makes_what_its_class_cannot() -> None:
    order = {"error": "OSError", "factory": "os:strerror", "args": [2]}
    with pytest.raises(NotThere, match="os:strerror makes no OSError: str"):
        make_ordered_error(order)
    order = {"error": "json:JSONDecodeError", "factory": "test_errors_made:decline", "args": [3]}
    assert str(make_ordered_error(order)).startswith("declined: line 1 column 4")


def decline(place: int) -> json.JSONDecodeError:
    return json.JSONDecodeError("declined", "text", place)
