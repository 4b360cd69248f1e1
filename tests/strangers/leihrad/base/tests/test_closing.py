import io
import json
import logging

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import OperationalError

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable
from rentals import ledger
from rentals.closing import close_rentals
from rentals.models import ParkedRental, Rental


def rows():
    return list(Rental.objects.order_by("pk").values_list("status", "fee_cents", "payment_ref"))


def test_returned_rentals_are_closed_and_charged(house):
    call_command("close_rentals")
    call_command("close_rentals")
    assert rows() == [("charged", 390, "pay-1"), ("charged", 1500, "pay-2"), ("riding", None, "")]
    assert house.asked == [("leihrad-rental-1", 390), ("leihrad-rental-2", 1500)]


def test_one_failure_does_not_stop_the_rest(house, clock):
    house.plan = [PaymentUnavailable("HTTP 503")]
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "charged", "riding"]
    call_command("close_rentals")
    assert len(house.asked) == 2
    clock.forward(hours=1)
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["charged", "charged", "riding"]


def test_a_lost_answer_is_asked_for_again(house, clock):
    lost = PaymentUnavailable("ReadTimeout")
    lost.lost = True
    house.plan = [lost]
    close_rentals()
    clock.forward(hours=1)
    close_rentals()
    assert rows()[0] == ("charged", 390, "pay-1") and len(house.payments) == 2


def test_after_five_attempts_the_rental_is_parked(house, clock):
    Rental.objects.exclude(pk=1).delete()
    house.plan = [PaymentUnavailable("HTTP 503")] * 9
    for _ in range(8):
        close_rentals()
        clock.forward(hours=1)
    assert len(house.asked) == 5 and rows()[0][0] == "parked"
    parked = ParkedRental.objects.get()
    assert (parked.rental_id, parked.attempts, parked.reason) == (1, 5, "attempts used up: HTTP 503")
    out = io.StringIO()
    call_command("parked", stdout=out)
    assert out.getvalue().startswith("1\t")


def test_a_declined_card_is_parked_at_once(house):
    house.plan = [PaymentDeclined("HTTP 402")]
    close_rentals()
    assert [row[0] for row in rows()] == ["parked", "charged", "riding"]


def test_two_runs_at_once_charge_once(house):
    close_first = [ledger.close(rental) for rental in ledger.returned()]
    seen_by_both = ledger.chargeable()
    assert close_first == [True, True] and len(seen_by_both) == 2
    assert ledger.claim(seen_by_both[0]) and ledger.claim(seen_by_both[0]) is None
    close_rentals()
    assert house.asked == [("leihrad-rental-2", 1500)]


def test_a_charge_counts_even_if_another_run_has_parked(house):
    close_rentals_of_one = [ledger.close(rental) for rental in ledger.returned()][0]
    mine = ledger.claim(ledger.chargeable()[0])
    assert close_rentals_of_one and ledger.park(Rental.objects.get(pk=1), "attempts used up")
    assert ledger.settle(mine, "pay-9") and not ledger.settle(mine, "pay-9")
    assert rows()[0] == ("charged", 390, "pay-9") and not ParkedRental.objects.exists()


def test_runs_that_die_come_to_an_end(house, clock):
    Rental.objects.exclude(pk=1).delete()
    [ledger.close(rental) for rental in ledger.returned()]
    for _ in range(5):
        assert ledger.claim(ledger.chargeable()[0])
        clock.forward(hours=1)
    close_rentals()
    assert house.asked == [] and rows()[0][0] == "parked"


def test_trouble_with_the_database_is_reported(house, monkeypatch):
    def locked(rental, ref):
        raise OperationalError("database is locked")

    monkeypatch.setattr(ledger, "settle", locked)
    with pytest.raises(CommandError, match="2 rentals"):
        call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "closed", "riding"]


@pytest.mark.parametrize(
    "status, raised", [(402, PaymentDeclined), (503, PaymentUnavailable), (202, PaymentUnavailable), (401, PaymentUnavailable)]
)
def test_what_the_payment_house_says(monkeypatch, status, raised):
    def post(self, url, **more):
        answer = requests.Response()
        answer.status_code, answer._content = status, b"{}"
        return answer

    monkeypatch.setattr(requests.Session, "post", post)
    with pytest.raises(raised):
        PaymentClient().charge(idempotency_key="k", card_token="t", amount_cents=1, purpose="p")


def test_the_log(house, caplog):
    caplog.set_level(logging.INFO)
    close_rentals()
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "rentals.closing"]
    charged = [line for line in lines if line["outcome"] == "charged"]
    assert [(line["key"], line["attempt"], line["job"]) for line in charged][0] == ("leihrad-rental-1", 1, "close-rentals")
    assert len({line["job_id"] for line in lines}) == 1
    assert "tok_demo" not in caplog.text and "r-7011" not in caplog.text
