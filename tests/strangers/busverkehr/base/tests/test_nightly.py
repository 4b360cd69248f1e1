import io
import json
import logging
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from busverkehr import counter, nightly, printer, replacements, store
from busverkehr.printer import OrderRejected, PrinterBusy

ONE = "select status, tries, printer_job from replacements where id = 1"


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = time.time()

        def later(self, seconds):
            self.now += seconds

    made = Clock()
    monkeypatch.setattr(time, "time", lambda: made.now)
    return made


def test_a_night(works, rows):
    assert nightly.run() == {"ordered": 3}
    assert nightly.run() == {}
    assert works.asked == ["BV-E-1", "BV-E-2", "BV-E-3"]
    assert rows("select id, status, printer_job from replacements order by id") == [
        (1, "ordered", "KD-1"), (2, "ordered", "KD-2"), (3, "ordered", "KD-3"),
    ]


def test_reported_at_the_counter(works, rows):
    lost = ("A-300000", "Eva Huber", "Ring 1", "4400 Steyr", "1", "2027-12-31")
    assert counter.report_loss(*lost) == counter.report_loss(*lost) == 4
    nightly.run()
    assert works.asked.count("BV-E-4") == 1


def test_one_is_busy_and_the_others_go_on(works, rows, clock):
    works.before["BV-E-1"] = [PrinterBusy("HTTP 503")]
    assert nightly.run() == {"retry": 1, "ordered": 2}
    clock.later(14 * 60)
    assert nightly.run() == {}
    clock.later(2 * 60)
    assert nightly.run() == {"ordered": 1}
    assert rows(ONE) == [("ordered", 2, "KD-3")]


def test_an_answer_is_lost(works, rows, clock):
    works.after["BV-E-1"] = [PrinterBusy("TimeoutError")]
    nightly.run()
    clock.later(3600)
    nightly.run()
    assert works.asked.count("BV-E-1") == 2 and rows(ONE) == [("ordered", 2, "KD-1")]


def test_six_tries(works, rows, clock, caplog):
    works.before["BV-E-1"] = [PrinterBusy("HTTP 503")] * 9
    with caplog.at_level(logging.INFO):
        for _ in range(9):
            nightly.run()
            clock.later(5 * 3600)
    assert works.asked.count("BV-E-1") == 6
    assert rows(ONE) == [("failed", 6, None)]
    assert counter.failed_orders() == [("A-100234", "tried 6 times: HTTP 503")]
    mine = [r.getMessage() for r in caplog.records if "key=BV-E-1 " in r.getMessage()]
    assert "attempt=6 outcome=failed" in mine[-1] and all("job_id=" in line for line in mine)
    assert "Vogt" not in caplog.text and "geheim" not in caplog.text


def test_waits_grow():
    assert [replacements.wait_after(n) // 60 for n in range(1, 7)] == [15, 30, 60, 120, 240, 240]


def test_rejected(works, rows):
    works.before["BV-E-1"] = [OrderRejected("HTTP 422")]
    assert nightly.run() == {"failed": 1, "ordered": 2}
    assert rows("select replacement_id, reason from failed_orders") == [(1, "rejected: HTTP 422")]


def test_two_runs_at_once(works):
    with closing(store.connect()) as one, closing(store.connect()) as other:
        assert replacements.due(one) == replacements.due(other)
        assert replacements.take(one, 1, 0).number == "BV-E-1"
        assert replacements.take(other, 1, 0) is None
    nightly.run()
    assert works.asked == ["BV-E-2", "BV-E-3"]


def test_killed_runs(works, rows, clock):
    for tries in range(6):
        with closing(store.connect()) as connection:
            replacements.take(connection, 1, tries)
        clock.later(5 * 3600)
    nightly.run()
    assert "BV-E-1" not in works.asked and rows(ONE)[0][0] == "failed"


def test_a_late_answer(works, rows):
    with closing(store.connect()) as connection:
        order = replacements.take(connection, 1, 0)
        assert replacements.failed(connection, order, "whatever")
        assert replacements.ordered(connection, order, "KD-9")
        assert not replacements.failed(connection, order, "whatever")
    assert rows(ONE) == [("ordered", 1, "KD-9")] and counter.failed_orders() == []


def test_the_database_stumbles(works, rows, monkeypatch):
    real, errors = replacements.ordered, [sqlite3.OperationalError("database is locked")] * 2

    def ordered(*args):
        if errors:
            raise errors.pop()
        return real(*args)

    monkeypatch.setattr(replacements, "ordered", ordered)
    assert nightly.run() == {"ordered": 3}
    assert len(works.asked) == 3


def test_the_number_is_too_old(works, rows, clock):
    works.before["BV-E-1"] = [PrinterBusy("HTTP 503")]
    nightly.run()
    clock.later(11 * 86400)
    nightly.run()
    assert works.asked.count("BV-E-1") == 1 and rows(ONE)[0][0] == "failed"


@pytest.mark.parametrize("code, kind", [(503, PrinterBusy), (401, PrinterBusy), (429, PrinterBusy), (422, OrderRejected)])
def test_answers(monkeypatch, code, kind):
    def urlopen(request, timeout):
        raise urllib.error.HTTPError(request.full_url, code, "no", {}, io.BytesIO(b""))

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(kind):
        printer.place_order("BV-E-1", {})


def test_the_order(monkeypatch):
    def urlopen(request, timeout):
        assert json.loads(request.data)["order_number"] == "BV-E-1"
        return io.BytesIO(b'{"job": "KD-5"}')

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert printer.place_order("BV-E-1", {}) == "KD-5"
