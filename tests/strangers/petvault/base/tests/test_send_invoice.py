import pytest

from petvault import claims
from petvault.dispatch import request_delivery, requeue_open
from petvault.post import NotSent
from petvault.tasks import send_invoice
from petvault.vault import VaultRefused, VaultUnavailable

STATE = "select status, attempts, object_key from deliveries"
DEAD = "select subject, attempts from dead_invoices"
KEY = "invoices/2026/2026-0117.pdf"


def test_delivers_once(outside, rows, caplog):
    caplog.set_level("INFO")
    request_delivery(1)
    request_delivery(1)
    assert list(outside.objects) == [KEY] and outside.objects[KEY].startswith(b"%PDF")
    assert [mail["to"] for mail in outside.mails] == ["nora@post.example"]
    assert rows(STATE) == [("mailed", 1, KEY)]
    done = [r for r in caplog.records if r.message == "invoice delivered"]
    assert [r.invoice_id for r in done] == [1]


def test_passing_trouble(outside, rows):
    outside.trouble["put"] = [VaultUnavailable("SlowDown")]
    outside.trouble["send"] = [NotSent(451), NotSent(421)]
    request_delivery(1)
    assert len(outside.mails) == 1
    assert rows(STATE) == [("mailed", 4, KEY)] and rows(DEAD) == []


@pytest.mark.parametrize(
    "where, error", [("put", VaultRefused("AccessDenied")), ("send", NotSent(550))]
)
def test_for_good(outside, rows, where, error):
    outside.trouble[where] = [error] * 20
    request_delivery(1)
    assert len(outside.trouble[where]) == 19
    assert rows(DEAD) == [("invoice:1", 1)] and not outside.mails


def test_gives_up(outside, rows, caplog):
    outside.trouble["send"] = [NotSent(451, "later")] * 20
    request_delivery(1)
    assert len(outside.trouble["send"]) == 14
    assert rows(DEAD) == [("invoice:1", 6)]
    assert "NotSent" in [r for r in caplog.records if r.levelname == "ERROR"][-1].reason


def test_lease(outside, rows, clock):
    claims.take(1)  # and the worker dies
    send_invoice.apply(kwargs={"invoice_id": 1})
    assert not outside.mails and rows(STATE) == [("open", 1, None)]
    clock.now += claims.LEASE
    send_invoice.apply(kwargs={"invoice_id": 1})
    assert len(outside.mails) == 1 and rows(STATE) == [("mailed", 2, KEY)]


def test_late_worker_does_not_undo(outside, rows, clock):
    late = claims.take(1)
    clock.now += claims.LEASE
    send_invoice.apply(kwargs={"invoice_id": 1})
    with pytest.raises(claims.ClaimLost):
        claims.fail(late, "too slow")
    assert rows(STATE) == [("mailed", 2, KEY)] and rows(DEAD) == []


def test_deadly_invoice(outside, rows, clock):
    for _ in range(6):
        claims.take(1)
        clock.now += claims.LEASE
    send_invoice.apply(kwargs={"invoice_id": 1})
    assert not outside.mails and rows(DEAD) == [("invoice:1", 7)]


def test_broker_down(outside, rows, monkeypatch, clock):
    from kombu.exceptions import OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(send_invoice, "delay", lambda **_: (_ for _ in ()).throw(OperationalError()))
        request_delivery(1)
    assert rows(STATE) == [("open", 0, None)]
    requeue_open()
    requeue_open()
    assert len(outside.mails) == 1


def test_lost_message(outside, rows, monkeypatch, clock):
    with monkeypatch.context() as patch:
        patch.setattr(send_invoice, "delay", lambda **_: None)
        request_delivery(1)
    requeue_open()
    assert not outside.mails
    clock.now += 15 * 60
    requeue_open()
    assert len(outside.mails) == 1


@pytest.mark.parametrize("bad", [{}, {"invoice_id": "1"}, {"invoice_id": 0}, {"invoice_id": 1, "x": 2}])
def test_malformed(outside, rows, bad):
    send_invoice.apply(kwargs=bad)
    assert len(rows(DEAD)) == 1 and not outside.mails and rows(STATE) == []


def test_unknown(outside, rows):
    send_invoice.apply(kwargs={"invoice_id": 99})
    assert rows(DEAD) == [("invoice:99", 1)]
