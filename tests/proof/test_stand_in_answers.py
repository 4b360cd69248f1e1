"""What a stand-in answers: the response of the HTTP client that it stands for."""

from __future__ import annotations

import types
from typing import Any

import httpx
import pytest

from skillrun.probe.answers import make_answer
from skillrun.probe.names import make_error

requests = pytest.importorskip("requests")


@pytest.mark.parametrize("call", [httpx.post, httpx.Client.post, httpx.AsyncClient.put])
def test_a_call_of_httpx_answers_with_its_response(call: Any) -> None:
    answer = make_answer(call, {"id": "re_1"}, {"url": "/refunds"})
    assert answer.raise_for_status().json() == {"id": "re_1"}


def test_a_call_of_requests_answers_with_its_response() -> None:
    answer = make_answer(requests.post, {"id": "re_1"}, {"url": "http://partner/refunds"})
    answer.raise_for_status()
    assert (answer.status_code, answer.json()) == (200, {"id": "re_1"})


def test_a_status_can_be_said() -> None:
    said = {"http": {"status": 409, "json": {"error": "done"}, "headers": {"X-Try": 2}}}
    answer = make_answer(requests.Session.post, said, {"url": "http://partner/"})
    assert (answer.status_code, answer.headers["X-Try"]) == (409, "2")
    with pytest.raises(requests.HTTPError):
        answer.raise_for_status()
    with pytest.raises(httpx.HTTPStatusError):
        make_answer(httpx.post, said, {}).raise_for_status()


def test_an_adapter_answers_with_the_client_that_its_module_has() -> None:
    names: dict[str, Any] = {"requests": requests}
    exec("def post_order(order): ...", names)
    answer = make_answer(names["post_order"], {"http": {"json": {"ok": True}}}, {"order": 7})
    assert isinstance(answer, requests.Response)


def test_everything_else_is_given_as_it_is_written() -> None:
    def charge(cents: int) -> None: ...

    assert make_answer(charge, {"id": "ch_1"}, {"cents": 5}) == {"id": "ch_1"}
    assert make_answer(types.SimpleNamespace(), None, {}) is None
    assert make_answer(httpx.URL, "ch_1", {}) == "ch_1"


@pytest.mark.parametrize("path", ["httpx:HTTPStatusError", "requests:HTTPError"])
def test_an_error_about_a_status_has_a_response(path: str) -> None:
    error: Any = make_error(path, [503])
    assert error.response.status_code == 503
    assert "503" in str(error)
