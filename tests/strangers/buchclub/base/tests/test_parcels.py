import smtplib
from datetime import timedelta

import pytest
import requests
from django.core import mail
from django.core.management import call_command
from django.utils import timezone

from parcels import services
from parcels.distributor import Distributor
from parcels.errors import DistributorAway, Rejected
from parcels.models import DeadLetter, Parcel
from parcels.tasks import order_parcel

MARCH = {"member_id": 1, "month": "2026-03"}


def parcels():
    return list(Parcel.objects.order_by("member_id", "month").values_list("member_id", "month", "status", "order_number"))


def test_the_month_is_ordered_once_for_each_member(wholesaler):
    call_command("order_month", "2026-03")
    call_command("order_month", "2026-03")
    assert parcels() == [(1, "2026-03", "confirmed", "BS-1"), (2, "2026-03", "confirmed", "BS-2")]
    assert wholesaler.calls == ["BC-1-2026-03", "BC-2-2026-03"]
    assert [m.to for m in mail.outbox] == [["anna@members.example"], ["tom@members.example"]]


def test_a_second_delivery_does_nothing(wholesaler):
    order_parcel.apply(kwargs=MARCH)
    order_parcel.apply(kwargs=MARCH)
    assert len(wholesaler.calls) == len(mail.outbox) == 1


def test_a_lost_answer(wholesaler):
    wholesaler.after = [DistributorAway("ReadTimeout")]
    order_parcel.apply(kwargs=MARCH)
    assert parcels() == [(1, "2026-03", "confirmed", "BS-1")]
    assert set(wholesaler.calls) == {"BC-1-2026-03"}


def test_six_tries(wholesaler):
    wholesaler.before = [DistributorAway("HTTP 503")] * 9
    order_parcel.apply(kwargs=MARCH)
    assert len(wholesaler.calls) == 6
    assert parcels() == [(1, "2026-03", "failed", "")]
    assert DeadLetter.objects.get().key == "BC-1-2026-03"
    assert mail.outbox == []


def test_rejected(wholesaler):
    wholesaler.before = [Rejected("HTTP 422")]
    order_parcel.apply(kwargs=MARCH)
    assert len(wholesaler.calls) == 1
    assert parcels()[0][2] == "failed"
    assert DeadLetter.objects.count() == 1


def test_the_mail_is_tried_again_and_nothing_is_ordered_twice(wholesaler, monkeypatch, caplog):
    tries = []

    def refuse(*args, **kwargs):
        tries.append(args)
        raise smtplib.SMTPRecipientsRefused({"anna@members.example": (450, b"later")})

    with monkeypatch.context() as patch:
        patch.setattr(mail, "send_mail", refuse)
        order_parcel.apply(kwargs=MARCH)
    assert len(tries) == 6 and len(wholesaler.calls) == 1
    assert parcels() == [(1, "2026-03", "unconfirmed", "BS-1")]
    assert DeadLetter.objects.count() == 1
    assert "anna@" not in caplog.text and "Ebner" not in caplog.text


def test_a_late_success_beats_a_failure(wholesaler):
    late = services.begin(**MARCH)
    wholesaler.before = [Rejected("HTTP 422")]
    order_parcel.apply(kwargs=MARCH)
    services.ordered(late, "BS-7")
    services.confirmed(late)
    assert parcels() == [(1, "2026-03", "confirmed", "BS-7")]
    assert DeadLetter.objects.count() == 0


@pytest.mark.parametrize(
    "message",
    [{}, {"member_id": "1", "month": "2026-03"}, {"member_id": 1, "month": "March"}, {"member_id": 9, "month": "2026-03"}, dict(MARCH, gift=1)],
)
def test_bad_messages_are_kept(wholesaler, message):
    order_parcel.apply(kwargs=message)
    order_parcel.apply(kwargs=message)
    assert DeadLetter.objects.count() == 1
    assert wholesaler.calls == [] and parcels() == []


def test_the_sweep_publishes_what_was_lost(wholesaler, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(order_parcel, "delay", lambda **_: 1 / 0)
        services.plan_parcel(**MARCH)
    assert parcels()[0][2] == "planned"
    services.publish_stalled()
    assert parcels()[0][2] == "confirmed"
    Parcel.objects.update(planned_at=timezone.now() - timedelta(days=1))
    services.publish_stalled()
    assert len(wholesaler.calls) == 1


def test_a_parcel_that_kills_its_workers(wholesaler):
    for _ in range(12):
        services.begin(**MARCH)
    order_parcel.apply(kwargs=MARCH)
    assert parcels()[0][2] == "failed" and wholesaler.calls == []


@pytest.mark.parametrize("status, kind", [(503, DistributorAway), (429, DistributorAway), (422, Rejected)])
def test_answers(status, kind):
    class Session:
        def post(self, url, **kwargs):
            answer = requests.Response()
            answer.status_code = status
            return answer

    with pytest.raises(kind):
        Distributor(Session()).order(reference="r", isbn="i", name="n", address="a")
