"""What a stand-in answers: for the calls of an HTTP client its own response, made of what the spec
says in `returns`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

_OK = 200


def make_answer(original: Any, returns: Any, given: dict[str, Any]) -> Any:
    """`returns` as the callable's own library would give it. `given`: the call's arguments.

    A call of an HTTP client answers with that client's response; so does an adapter whose `returns`
    says {http: ...}, with the client that its module has imported.
    """
    name = str(getattr(original, "__name__", ""))
    library = str(getattr(original, "__module__", "")).partition(".")[0]
    if library not in _RESPONSES or name not in _CALLS:
        library = ""
        if _is_response(returns):
            library = _find_client(original)
    if library not in _RESPONSES:
        return returns
    described = _describe_response(returns)
    method = "post"
    if name in _METHODS:
        method = name
    return _RESPONSES[library](described, method, str(given.get("url") or "/"))


def answer_in_place(original: Any, error: Exception, given: dict[str, Any]) -> Any:
    """What a real call gives back in place of an error; None where it raises it.

    A call of an HTTP client answers with the response, whatever its status: it is
    `raise_for_status` that raises. What is told to fail silently, as Django's mails may be, says
    how many were sent.
    """
    library = str(getattr(original, "__module__", "")).partition(".")[0]
    if library in _RESPONSES and _is_of(type(error), library):
        return getattr(error, "response", None)
    # Of the transport alone: SMTPException is an OSError.
    if given.get("fail_silently") and isinstance(error, OSError):
        return 0
    return None


def mark_injected(error: BaseException) -> None:
    """It is the proof's own, and no error of the repository's."""
    error.__dict__["__skillrun__"] = True


def find_unavailable(original: Any) -> Callable[[], BaseException] | None:
    """Makes what stands for a 503 of the other side, where the callable is a call of an HTTP
    client; None elsewhere.
    """
    library = str(getattr(original, "__module__", "")).partition(".")[0]
    if library not in _RESPONSES or getattr(original, "__name__", "") not in _CALLS:
        return None

    def make() -> BaseException:
        kind = getattr(sys.modules[library], _STATUS_ERRORS[library])
        error = make_status_error(kind, [503])
        assert error is not None
        mark_injected(error)
        return error

    return make


def _find_client(original: Any) -> str:
    """The HTTP client that the callable's module has imported, else one that is imported at all."""
    held = getattr(original, "__globals__", {})
    for library in _RESPONSES:
        if library in held or any(_is_of(value, library) for value in list(held.values())):
            return library
    return next((library for library in _RESPONSES if library in sys.modules), "")


def _is_of(value: Any, library: str) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == library


def _is_response(returns: Any) -> bool:
    return isinstance(returns, dict) and len(returns) == 1 and isinstance(returns.get("http"), dict)


_METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_CALLS = (*_METHODS, "request", "send")


def _describe_response(returns: Any) -> dict[str, Any]:
    """{"http": {"status": ..., "json": ..., "text": ..., "headers": ...}}, or the body alone."""
    if _is_response(returns):
        return dict(returns["http"])
    if isinstance(returns, str):
        return {"text": returns}
    return {"json": returns}


def _write_body(described: dict[str, Any]) -> bytes:
    if "text" in described:
        return str(described["text"]).encode()
    if described.get("json") is None:
        return b""
    return json.dumps(described["json"]).encode()


def _write_headers(described: dict[str, Any]) -> dict[str, str]:
    kind = "application/json"
    if "text" in described:
        kind = "text/plain"
    headers = {"content-type": kind}
    headers.update({name: str(value) for name, value in described.get("headers", {}).items()})
    return headers


def _make_httpx(described: dict[str, Any], method: str, url: str) -> Any:
    httpx = sys.modules["httpx"]
    if "://" in url:
        absolute = url
    else:
        absolute = "http://localhost/" + url.lstrip("/")
    return httpx.Response(
        described.get("status", _OK),
        headers=_write_headers(described),
        content=_write_body(described),
        request=httpx.Request(method.upper(), absolute),
    )


def _make_requests(described: dict[str, Any], method: str, url: str) -> Any:
    requests = sys.modules["requests"]
    response = requests.models.Response()
    response.status_code = described.get("status", _OK)
    response.headers.update(_write_headers(described))
    response._content = _write_body(described)
    response.encoding = "utf-8"
    response.url = url
    response.request = requests.models.PreparedRequest()
    response.request.prepare(method=method.upper(), url="http://localhost/")
    if response.status_code < 400:
        response.reason = "OK"
    else:
        response.reason = "Error"
    return response


_RESPONSES: dict[str, Callable[[dict[str, Any], str, str], Any]] = {
    "httpx": _make_httpx,
    "requests": _make_requests,
}

_STATUS_ERRORS = {"httpx": "HTTPStatusError", "requests": "HTTPError"}


def make_status_error(kind: type[BaseException], args: list[Any]) -> BaseException | None:
    """An HTTP client's error about a status, of `args: [503]`; None for every other error.

    Who handles one asks for `error.response.status_code`, so a response belongs to it.
    """
    library = str(kind.__module__).partition(".")[0]
    if library not in _RESPONSES or len(args) != 1 or not isinstance(args[0], int):
        return None
    said = f"{args[0]} injected by skillrun"
    # An API says in its own format what is wrong: whoever reads on finds something to read.
    response = _RESPONSES[library]({"status": args[0], "json": {"error": said}}, "post", "/")
    make: Callable[..., BaseException] = kind
    try:
        return make(said, request=response.request, response=response)
    except TypeError:
        return None


def make_usual_status_error(kind: type[BaseException]) -> BaseException | None:
    """The same where nobody says which status: one that passes. The client itself makes no such
    error without its response.
    """
    library = str(kind.__module__).partition(".")[0]
    if kind.__name__ != _STATUS_ERRORS.get(library):
        return None
    return make_status_error(kind, [503])


def make_described_error(
    kind: type[BaseException], args: list[Any], kwargs: dict[str, Any]
) -> BaseException:
    """With keyword arguments, where {http: ...} becomes a response of the exception's own HTTP
    client, its argument `response` where it has no name; what that client wants besides is taken
    from the response.
    """
    library = str(kind.__module__).partition(".")[0]
    if _is_response(kwargs):
        # {http: ...} alone: both clients call it so.
        kwargs = {"response": kwargs}
    described = [name for name, value in kwargs.items() if _is_response(value)]
    if library not in _RESPONSES or not described:
        return kind(*args, **kwargs)
    name = described[0]
    response = _RESPONSES[library](_describe_response(kwargs[name]), "post", "/")
    filled = {"request": response.request, **kwargs, name: response}
    if not args and "message" not in kwargs:
        args = [f"{response.status_code} injected by skillrun"]
    return kind(*args, **filled)
