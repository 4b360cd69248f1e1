"""A server that stands for GitHub's API: pull requests and their comments, and each way in which it
says no.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEAD = "5e" * 20
TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
BOT = {"login": "github-actions[bot]", "type": "Bot"}
PERSON = {"login": "somebody", "type": "User"}
PER_PAGE = 100
POLL_S = 0.01  # its end is asked for so often; by itself only twice a second


@dataclass
class Failure:
    """How the next requests of a method end. `is_done`: it was carried out all the same."""

    method: str
    status: int
    times: int = 1
    message: str = "no"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False


@dataclass
class GitHub:
    """What it holds, what it was asked, and what fails next."""

    url: str = ""
    head: str = HEAD
    user: dict[str, str] | None = None  # whose the token is; None: a pipeline's
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    next_id: int = 1
    before_post: Callable[[], object] = bool  # what happens before a comment is written
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, body: str, user: dict[str, str] = BOT) -> dict[str, Any]:
        with self.lock:
            comment = {"id": self.next_id, "body": body, "user": user}
            self.next_id += 1
            self.comments.append(comment)
        return comment

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.comments]

    def count(self, method: str) -> int:
        return sum(line.startswith(f"{method} ") for line in self.asked)


class _Handler(http.server.BaseHTTPRequestHandler):
    github: GitHub

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        self.github.asked.append(f"{self.command} {self.path}")
        self.github.tokens.add(self.headers.get("Authorization"))
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"null")
        for failure in self.github.failures:
            if failure.method == self.command and failure.times:
                failure.times -= 1
                if failure.is_done:
                    self._carry_out(body)
                self._send(failure.status, {"message": failure.message}, failure.headers)
                return
        self._send(*self._carry_out(body))

    def _carry_out(self, body: Any) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")
        github = self.github
        if parts.path == "/user":
            if github.user is None:
                return 403, {"message": "Resource not accessible by integration"}, {}
            return 200, github.user, {}
        if words[:3] != ["repos", "shop", "shop"]:
            return 404, {"message": "Not Found"}, {}
        if words[3:] == ["pulls", "7"]:
            return 200, {"number": 7, "head": {"sha": github.head}}, {}
        if words[3:] == ["issues", "7", "comments"] and self.command == "POST":
            github.before_post()
            return 201, github.add(body["body"], github.user or BOT), {}
        if words[3:] == ["issues", "7", "comments"]:
            return self._list_page(parse_qs(parts.query))
        return self._edit(int(words[-1]), body)

    def _list_page(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        page, size = int(query["page"][0]), int(query["per_page"][0])
        assert size <= PER_PAGE
        found = self.github.comments[(page - 1) * size : page * size]
        # As a browser sends text, so does GitHub give it back.
        shown = [{**one, "body": one["body"].replace("\n", "\r\n")} for one in found]
        link = {}
        if page * size < len(self.github.comments):
            link = {"Link": f'<{self.github.url}/elsewhere?page={page + 1}>; rel="next"'}
        return 200, shown, link

    def _edit(self, number: int, body: Any) -> tuple[int, Any, dict[str, str]]:
        for comment in self.github.comments:
            if comment["id"] == number:
                if self.command == "DELETE":
                    self.github.comments.remove(comment)
                    return 204, None, {}
                comment["body"] = body["body"]
                return 200, comment, {}
        return 404, {"message": "Not Found"}, {}

    def _send(self, status: int, value: Any, headers: Mapping[str, str]) -> None:
        if not status:  # a proxy that speaks no HTTP
            self.wfile.write(b"what?\r\n\r\n")
            return
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_github() -> Iterator[GitHub]:
    """A GitHub of its own, until the end of the block."""
    github = GitHub()
    handler = type("Handler", (_Handler,), {"github": github})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    github.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
