import logging
import smtplib
from datetime import date
from xml.etree import ElementTree as ET

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import OperationalError

from berths import billing, claims, filing
from berths.billing import bill_due
from berths.harbour import depart
from berths.models import ParkedBill, Stay


@pytest.fixture
def broken_mail(monkeypatch):
    """Mails that fail: put the errors into the list, first one first."""
    errors, real = [], EmailMessage.send

    def send(self, fail_silently=False):
        if errors:
            raise errors.pop(0)
        return real(self, fail_silently)

    monkeypatch.setattr(EmailMessage, "send", send)
    return errors


def test_bills_a_stay(stay, folder, outbox):
    bill_due()
    stay.refresh_from_db()
    root = ET.parse(folder / f"{stay.invoice_number}.xml").getroot()
    assert root.findtext("Total") == "1386.00" and root.get("date") == "2026-05-05"
    assert outbox[0].to == ["agent@reederei.example"]
    assert outbox[0].message()["Message-ID"] == f"<{stay.invoice_number}@hafenamt.example>"
    assert stay.status == "billed" and stay.filed_at and stay.mailed_at


def test_second_run_does_nothing(stay, folder, outbox):
    bill_due()
    next(folder.iterdir()).unlink()
    bill_due()
    assert len(outbox) == 1 and list(folder.iterdir()) == []


def test_ship_at_berth_is_not_billed(outbox):
    Stay.objects.create(ship="X", imo="1", gross_tonnage=1, agent_email="a@b.example", arrived_on=date(2026, 5, 1))
    bill_due()
    assert outbox == []


def test_departure_is_booked_once(stay):
    assert not depart(stay.pk, date(2026, 5, 30))
    stay.refresh_from_db()
    assert stay.amount_cents == 138600


def test_mail_comes_later_and_file_not_again(stay, folder, outbox, broken_mail, clock):
    broken_mail.append(smtplib.SMTPServerDisconnected("gone"))
    bill_due()
    next(folder.iterdir()).unlink()
    clock.forward(minutes=13)
    bill_due()
    assert outbox == []
    clock.forward(minutes=1)
    bill_due()
    assert len(outbox) == 1 and list(folder.iterdir()) == []


def test_share_is_away(stay, folder, outbox, clock, settings_folder_away):
    bill_due()
    assert outbox == []
    settings_folder_away()
    clock.forward(minutes=14)
    bill_due()
    assert len(outbox) == 1


@pytest.fixture
def settings_folder_away(folder, tmp_path_factory):
    from django.conf import settings

    settings.ACCOUNTING_DIR = folder / "not-mounted"
    return settings.ACCOUNTING_DIR.mkdir


def test_parked_after_five(stay, broken_mail, outbox, clock):
    broken_mail.extend([smtplib.SMTPServerDisconnected("gone")] * 9)
    for _ in range(9):
        bill_due()
        clock.forward(days=1)
    assert len(broken_mail) == 4
    assert ParkedBill.objects.get().attempts == 5
    stay.refresh_from_db()
    assert stay.status == "parked"


def test_unknown_agent_is_parked_at_once(stay, broken_mail, outbox, clock):
    broken_mail.append(smtplib.SMTPRecipientsRefused({"agent@reederei.example": (550, b"unknown")}))
    with pytest.raises(CommandError):
        call_command("bill_berths")
    clock.forward(days=1)
    bill_due()
    assert outbox == [] and ParkedBill.objects.get().reason == "SMTPRecipientsRefused"
    call_command("unpark", str(stay.pk))
    bill_due()
    assert len(outbox) == 1 and not ParkedBill.objects.exists()


def test_claimed_stay_is_left_alone(stay, outbox, clock):
    assert claims.claim(stay.pk) and claims.claim(stay.pk) is None
    bill_due()
    assert outbox == []
    clock.forward(minutes=10)
    bill_due()
    assert len(outbox) == 1


def test_stay_whose_runs_died_is_parked(stay, outbox, clock):
    for _ in range(5):
        assert claims.claim(stay.pk)
        clock.forward(minutes=10)
    bill_due()
    assert outbox == [] and ParkedBill.objects.count() == 1


def test_mark_survives_a_stumbling_database(stay, outbox, monkeypatch):
    real, errors = claims.mark_billed, [OperationalError("locked")]

    def mark(stay):
        if errors:
            raise errors.pop()
        return real(stay)

    monkeypatch.setattr(billing.claims, "mark_billed", mark)
    bill_due()
    stay.refresh_from_db()
    assert len(outbox) == 1 and stay.status == "billed"


def test_no_half_file(folder, monkeypatch):
    monkeypatch.setattr(filing.os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError):
        filing.put(folder, "LG-2026-00001", b"<Invoice/>")
    assert list(folder.iterdir()) == []


def test_log(stay, outbox, caplog):
    with caplog.at_level(logging.INFO, "berths"):
        bill_due()
    stay.refresh_from_db()
    assert f"key={stay.invoice_number} attempt=1 outcome=billed" in caplog.text
    assert "agent@" not in caplog.text
