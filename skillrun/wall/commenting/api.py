"""GitHub's API as far as one comment needs it: a token goes to that host alone, and each answer
that is no success becomes one line.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from skillrun.core.errors import Misuse
from skillrun.core.text import masked, visible

_TIMEOUT_S = 30
_MOST_BYTES = 20_000_000  # of an answer: a hundred comments of 65,536 characters, and their names
_LONGEST = 200  # characters of what the API says of a failure
_NOT_FOUND = 404
_NO_RIGHTS = (401, 403, _NOT_FOUND)
_PASSING = (408, 425, 429)  # and every 5xx
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Answer:
    """A success: its JSON value, and whether another page follows."""

    value: Any
    has_next: bool


class ApiProblem(Exception):
    """What went wrong, in one line."""


class NoRights(ApiProblem):
    """The token may not do this: nothing to wait for."""


class Gone(NoRights):
    """What was to be edited or deleted is not there. GitHub says the same to a token
    that may not see it.
    """


class Passing(ApiProblem):
    """It may work later. `wait_s`: when the API says so itself."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: who followed it would hand the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Api:
    """Requests with one token. `now` and the wait are the caller's, so that a test
    needs no time.
    """

    def __init__(self, url: str, token: str, now: Callable[[], float] = time.time) -> None:
        """Raises Misuse for an address to which a token would go in the clear."""
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or parts.hostname in _LOOPBACK
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_safe:
            raise Misuse(
                f"GITHUB_API_URL {visible(url, 200)}: a token goes over https alone",
                hint="leave it unset for github.com",
            )
        self._url, self._token, self._now = url.rstrip("/"), token, now
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Raises ApiProblem; NoRights and Passing are told apart."""
        request = urllib.request.Request(f"{self._url}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self._token}")
        request.add_header("Accept", "application/vnd.github+json")
        request.add_header("X-GitHub-Api-Version", "2022-11-28")
        request.add_header("User-Agent", "skillrun")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                return _read_answer(response.headers, response.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise self._explain_status(method, error) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            # A refused connection, a time-out, a body that is cut off or no JSON.
            reason = getattr(error, "reason", error)
            raise Passing(f"the API did not answer: {_shorten(str(reason))}") from None

    def _explain_status(self, method: str, error: urllib.error.HTTPError) -> ApiProblem:
        said = f"the API answered {error.code} to {method}{_read_message(error)}"
        wait_s = self._find_wait(error.headers)
        if error.code in (403, 429) and wait_s is not None:
            return Passing(f"{said}; the token's rate limit is used up", wait_s)
        if method in ("DELETE", "PATCH") and error.code == _NOT_FOUND:
            return Gone(said)
        if error.code in _NO_RIGHTS:
            return NoRights(said)
        if error.code in _PASSING or error.code >= 500:
            return Passing(said, wait_s)
        return ApiProblem(said)

    def _find_wait(self, headers: Message) -> float | None:
        """Seconds until the limit is lifted; None where no limit is spoken of."""
        try:
            if headers.get("retry-after") is not None:
                return max(0.0, float(headers["retry-after"]))
            if headers.get("x-ratelimit-remaining") == "0":
                return max(0.0, float(headers.get("x-ratelimit-reset", "0")) - self._now())
        except ValueError:
            return None
        return None


def _read_answer(headers: Message, content: bytes) -> Answer:
    value = None
    if content:
        value = json.loads(content)
    return Answer(value, 'rel="next"' in headers.get("link", ""))


def _read_message(error: urllib.error.HTTPError) -> str:
    """What the API says of it, e.g. `: Resource not accessible by integration`."""
    # A proxy in between answers with a page of HTML, which tells nothing.
    try:
        message = json.loads(error.read(_MOST_BYTES))["message"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, http.client.HTTPException):
        return ""
    return f": {_shorten(str(message))}"


def _shorten(text: str) -> str:
    return visible(masked(text), limit=_LONGEST)
