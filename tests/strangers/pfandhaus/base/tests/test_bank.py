import httpx
import pytest

from pfandhaus.bank import BankClient, BankUnavailable, PaymentRejected, Transfer

TRANSFER = Transfer("DE02120300000000202051", 100, "x")


def answer(monkeypatch, *args, **kwargs):
    monkeypatch.setattr(httpx, "post", lambda *a, **k: httpx.Response(*args, **kwargs))


def test_reference(monkeypatch):
    answer(monkeypatch, 201, json={"reference": "BK-9"})
    assert BankClient().transfer(TRANSFER, end_to_end_id="PH1") == "BK-9"


@pytest.mark.parametrize("status, error", [(503, BankUnavailable), (409, BankUnavailable), (422, PaymentRejected)])
def test_errors(monkeypatch, status, error):
    answer(monkeypatch, status)
    with pytest.raises(error):
        BankClient().transfer(TRANSFER, end_to_end_id="PH1")


def test_an_unreadable_answer_says_nothing(monkeypatch):
    answer(monkeypatch, 200, text="<html>")
    with pytest.raises(BankUnavailable):
        BankClient().transfer(TRANSFER, end_to_end_id="PH1")


def test_no_iban_in_repr():
    assert TRANSFER.iban not in repr(TRANSFER)
