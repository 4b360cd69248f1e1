from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from celery.exceptions import Retry

from kassa import tasks
from kassa.service import Outcome


class Service:
    def __init__(self, answer: Outcome | Exception) -> None:
        self.answer = answer

    def handle(self, message: Any) -> Outcome:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waits: list[float] = []

    def retry(exc: Exception | None = None, countdown: float = 0) -> Retry:
        waits.append(countdown)
        return Retry("again", exc)

    monkeypatch.setattr(tasks.capture_payment, "retry", retry)
    return waits


def run(monkeypatch: pytest.MonkeyPatch, answer: Outcome | Exception) -> str:
    monkeypatch.setattr(tasks.capture_payment, "service", lambda: Service(answer))
    return tasks.capture_payment({"order_id": 1001})


def test_a_finished_message_is_acknowledged(monkeypatch: pytest.MonkeyPatch, retries: list[float]) -> None:
    assert run(monkeypatch, Outcome("captured")) == "captured"
    assert retries == []


def test_a_planned_attempt_is_published(monkeypatch: pytest.MonkeyPatch, retries: list[float]) -> None:
    with pytest.raises(Retry):
        run(monkeypatch, Outcome("retry", timedelta(seconds=30)))
    assert retries == [30]


def test_a_database_that_is_down_is_waited_for(monkeypatch: pytest.MonkeyPatch, retries: list[float]) -> None:
    with pytest.raises(Retry):
        run(monkeypatch, psycopg.OperationalError("down"))
    assert 5 <= retries[0] <= 10
