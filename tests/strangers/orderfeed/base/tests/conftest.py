from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "feedsite.settings"
os.environ["FEED_DB"] = str(Path(tempfile.mkdtemp()) / "test.sqlite3")

import django

django.setup()

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone


class LogiHub:
    """Answers requests with the statuses or errors it is told, then with 201; keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int | BaseException] = []
        self.requests: list[dict[str, Any]] = []

    @property
    def references(self) -> list[str]:
        return [request["reference"] for request in self.requests]

    def post(self, url: str, json: dict[str, Any], **_: Any) -> requests.Response:
        self.requests.append(json)
        answer = self.answers.pop(0) if self.answers else 201
        if isinstance(answer, BaseException):
            raise answer
        response = requests.Response()
        response.status_code = answer
        response._content = b"{}"
        return response


class Clock:
    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    call_command("migrate", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def orders(tables: None) -> Iterator[None]:
    call_command("prepare", sample=True)
    yield
    call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def logihub(monkeypatch: pytest.MonkeyPatch) -> LogiHub:
    server = LogiHub()
    monkeypatch.setattr(requests, "post", server.post)
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock
