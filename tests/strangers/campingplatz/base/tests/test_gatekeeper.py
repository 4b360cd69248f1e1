import io
import logging
import sqlite3
import urllib.error

import pytest

from campingplatz import db, gate_queue, gatekeeper, reception
from campingplatz.barrier import Barrier
from campingplatz.http import HouseClient, Refused, Unavailable


class Controller:
    def __init__(self):
        self.calls, self.receipts, self.before, self.after = [], {}, [], []

    def open(self, gate, plate, until, key):
        self.calls.append((gate, plate, until, key))
        if self.before:
            raise self.before.pop(0)
        receipt = self.receipts.setdefault(key, f"rc-{key}")
        if self.after:
            raise self.after.pop(0)
        return receipt


@pytest.fixture
def camp(tmp_path, monkeypatch):
    path = str(tmp_path / "camp.db")
    monkeypatch.setenv("CAMP_DATABASE", path)
    db.main([])
    with db.transaction() as conn:
        conn.execute("insert into bookings values (1, 'Familie Nord', 'HH-AB 12', 'B7', '2031-08-14', 'booked')")
    return path


@pytest.fixture
def controller(monkeypatch):
    fake = Controller()
    monkeypatch.setattr(Barrier, "open", lambda self, **call: fake.open(**call))
    return fake


@pytest.fixture
def clock(monkeypatch):
    now = [1_900_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


def row(path):
    conn = sqlite3.connect(path)
    found = conn.execute("select receipt, opened_at is not null, parked_at is not null, attempts from gate_queue")
    return found.fetchone()


def test_check_in_opens_the_gate_once(camp, controller, clock):
    assert reception.check_in(1)
    assert not reception.check_in(1)
    assert gatekeeper.run_once() == 1
    assert gatekeeper.run_once() == 0
    assert row(camp) == ("rc-gate-1", 1, 0, 1)
    assert controller.calls == [("main", "HH-AB 12", "2031-08-14", "gate-1")]


def test_a_lost_answer_is_asked_for_under_the_same_key(camp, controller, clock):
    controller.after = [Unavailable("TimeoutError")]
    reception.check_in(1)
    gatekeeper.run_once()
    assert gatekeeper.run_once() == 0
    clock[0] += 10
    gatekeeper.run_once()
    assert row(camp)[:3] == ("rc-gate-1", 1, 0)
    assert {key for *_, key in controller.calls} == {"gate-1"}


def test_parked_after_six(camp, controller, clock):
    controller.before = [Unavailable("HTTP 503")] * 10
    reception.check_in(1)
    for _ in range(10):
        gatekeeper.run_once()
        clock[0] += 601
    assert len(controller.calls) == 6
    assert row(camp) == (None, 0, 1, 6)
    assert reception.parked() == [(1, "main", 6, "HTTP 503")]
    controller.before = []
    assert reception.retry(1)
    gatekeeper.run_once()
    assert row(camp)[:3] == ("rc-gate-1", 1, 0)


def test_refused_is_parked_at_once(camp, controller, clock):
    controller.before = [Refused("HTTP 422")]
    reception.check_in(1)
    gatekeeper.run_once()
    assert row(camp)[2] == 1


def test_a_dead_poller_gives_its_row_back(camp, controller, clock):
    controller.after = [KeyboardInterrupt()]
    reception.check_in(1)
    with pytest.raises(KeyboardInterrupt):
        gatekeeper.run_once()
    assert gatekeeper.run_once() == 0
    clock[0] += 61
    gatekeeper.run_once()
    assert row(camp)[:3] == ("rc-gate-1", 1, 0)


def test_pollers_that_die_six_times_leave_it_parked(camp, controller, clock):
    reception.check_in(1)
    for _ in range(6):
        gate_queue.claim_next(60)
        clock[0] += 61
    gatekeeper.run_once()
    assert row(camp)[2] == 1 and controller.calls == []


def test_the_late_one_does_not_park_what_is_open(camp, controller, clock):
    reception.check_in(1)
    late = gate_queue.claim_next(60)
    clock[0] += 61
    gatekeeper.run_once()
    assert not gate_queue.park(late, "HTTP 503")
    assert row(camp)[:3] == ("rc-gate-1", 1, 0)


def test_the_log_has_key_and_try_but_no_plate(camp, controller, clock, caplog):
    caplog.set_level(logging.INFO)
    reception.check_in(1)
    gatekeeper.run_once()
    assert "key=gate-1 outcome=opened attempt=1" in caplog.text
    assert "HH-AB" not in caplog.text and "Nord" not in caplog.text


@pytest.mark.parametrize("code, kind", [(503, Unavailable), (429, Unavailable), (422, Refused), (404, Refused)])
def test_kinds_of_failure(monkeypatch, code, kind):
    def urlopen(request, timeout):
        assert request.headers["Idempotency-key"] == "gate-1"
        raise urllib.error.HTTPError(request.full_url, code, "", {}, io.BytesIO())

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(kind, match=f"HTTP {code}"):
        HouseClient("http://x", "s").post("/p", {}, "gate-1")
