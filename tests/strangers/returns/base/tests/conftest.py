from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from returns_portal import desk, models, setup_db

Rows = Callable[[str], list[tuple[Any, ...]]]


class Clock:
    def __init__(self) -> None:
        self.now = models.utcnow()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Foreign:
    """Carrier and mail server in one: fails as told, else notes what it did."""

    def __init__(self) -> None:
        self.label_errors: list[BaseException] = []
        self.mail_errors: list[BaseException] = []
        self.references: list[str] = []
        self.mails: list[str] = []

    def create_label(self, *, reference: str, sender: str, weight_grams: int) -> dict[str, str]:
        self.references.append(reference)
        if self.label_errors:
            raise self.label_errors.pop(0)
        return {"tracking_no": "PH1", "label_url": "https://labels.example/PH1"}

    def send_label(self, *, to: str, order_no: str, tracking_no: str, label_url: str) -> None:
        if self.mail_errors:
            raise self.mail_errors.pop(0)
        self.mails.append(to)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    path = tmp_path / "returns.db"
    monkeypatch.setenv("RETURNS_DB", str(path))
    setup_db.main(sample=True)

    def read(query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    return read


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(desk, "utcnow", clock)
    return clock


@pytest.fixture
def foreign() -> Foreign:
    return Foreign()
