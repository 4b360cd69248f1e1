from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from conftest import Rows
from redis.exceptions import ConnectionError as RedisDown

from returns_portal import actors, outbox, portal
from returns_portal.workflow import Later


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    messages: list[Any] = []
    monkeypatch.setattr(outbox.send_return_label, "send", messages.append)
    return messages


def test_a_click_publishes_and_empties_the_outbox(rows: Rows, sent: list[Any]) -> None:
    portal.request_label(501)
    assert sent == [{"return_id": 501}]
    assert rows("SELECT * FROM outbox") == []


def test_without_a_broker_the_message_waits(rows: Rows, sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as down:
        down.setattr(outbox.send_return_label, "send", _down)
        portal.request_label(502)
    assert rows("SELECT return_id FROM outbox") == [(502,)]
    assert outbox.publish_pending() == 1
    assert sent == [{"return_id": 502}]


def test_later_becomes_a_delayed_message(monkeypatch: pytest.MonkeyPatch) -> None:
    class Workflow:
        def run(self, payload: Any) -> Later:
            return Later(outbox_delay)

    from datetime import timedelta

    outbox_delay = timedelta(seconds=40)
    monkeypatch.setattr(actors, "build_workflow", Workflow)
    with pytest.raises(dramatiq.errors.Retry) as caught:
        actors.send_return_label({"return_id": 501})
    assert caught.value.delay == 40_001


def _down(message: Any) -> None:
    raise RedisDown("no broker")
